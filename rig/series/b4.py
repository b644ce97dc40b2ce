# SPDX-License-Identifier: GPL-2.0-only
"""Runs b4: fetches threads from a public-inbox server, and makes a series of a thread.

b4 is installed with the rig and follows the user's git configuration (b4.midmask and so on).
Attestation is off: it would look up keys in the DNS.
"""

import os
import sys
from pathlib import Path

from rig import proc
from rig.errors import ConfigError, InfraError

DEADLINE = 300.0
"""Seconds for one call of b4; the largest threads of a list are a few MiB."""

NO_SEARCH = "Server returned an error."
"""b4's message for a search that failed. For a thread, the HTTP status follows these words."""

OLDER_REVISIONS = Path(__file__).with_name("older_revisions.py")
"""A program of its own; its docstring says why."""


def thread(
    source: str, out: Path, *, local: Path | None = None, newer: bool = False, whom: str = ""
) -> Path:
    """Write an mbox to `out`: the thread of a message-id or link, or the mails of a local mailbox.

    `newer` adds newer revisions of the series. Error messages name `whom`, or else `source`.
    """
    path = out / "thread"
    options = ["mbox", "-C", *(["-c"] if newer else []), "-o", str(out), "-n", path.name]
    options += ["-m", str(local)] if local else ["--", source]
    try:
        result = _b4(*options, offline=local is not None and not newer)
    except proc.DeadlineExceeded as error:
        raise InfraError(
            f"{whom or source}: the server did not deliver the thread within {DEADLINE:g} s",
            hint="try again later; b4.midmask in your git configuration names another server",
            detail=error.detail,
        ) from error
    if result.status or not path.is_file():
        raise _no_thread(whom or source, result)
    _check_search(whom or source, result)
    return path


def _check_search(source: str, result: proc.Done) -> None:
    """Raise InfraError if a search failed: b4 itself goes on without its results."""
    if NO_SEARCH in result.stderr:
        raise InfraError(
            f"{source}: the server did not answer the search for other revisions",
            hint="try again later, or without --all-revisions",
            detail=result.stderr.strip()[-2000:],
        )


def _no_thread(source: str, result: proc.Done) -> ConfigError | InfraError:
    output = (result.stderr + result.stdout).strip()
    lines = [line for line in output.splitlines() if line.strip()]
    if "returned an error: 404" in output or "No messages found" in output:
        return ConfigError(
            f"there is no message {source} on the server",
            hint="check the message-id; b4.midmask in your git configuration names the server, the"
            " default is lore.kernel.org",
        )
    if "Could not retrieve thread" in output or "Traceback" in output:
        return InfraError(
            f"{source}: the server did not deliver the thread: {lines[-1]}",
            hint="try again later; b4.midmask in your git configuration names another server",
            detail=output[-2000:],
        )
    return ConfigError(
        f"{source}: there is no mail in it that b4 can read",
        hint="check that it is an mbox, a maildir or a patch",
        detail=output[-2000:],
    )


def older(source: str, mails: Path, revisions: list[int], out: Path) -> Path | None:
    """An mbox with the mails of these older revisions, or None if the server has none.

    b4 finds them by change-id, or by subject and author.
    """
    path = out / "older"
    numbers = ",".join(str(number) for number in revisions)
    # -P keeps this directory off sys.path: there, `import b4` would find this module.
    argv: list[str | Path] = [sys.executable, "-P", OLDER_REVISIONS, mails, numbers, path]
    result = proc.run(argv, check=False, deadline=DEADLINE)
    if result.status:
        raise InfraError(
            f"{source}: the search for older revisions failed in b4",
            hint="try again later, or without --all-revisions",
            detail=result.stderr.strip()[-2000:],
        )
    _check_search(source, result)
    return path if path.is_file() else None


def am(mails: Path, revision: int, out: Path, *, with_trailers: bool) -> str:
    """Write out/vN.mbx and, if there is a cover letter, out/vN.cover; returns b4's output."""
    trailers = [] if with_trailers else ["-T"]
    options = ["am", *trailers, "-m", str(mails), "-v", str(revision)]
    result = _b4(*options, "-o", str(out), "-n", f"v{revision}.mbx", offline=True)
    if result.status:
        lines = [line.strip() for line in result.stderr.splitlines() if line.strip(" -")]
        reasons = [line for line in lines if line.startswith(("WARNING", "CRITICAL"))] or lines[-1:]
        reason = reasons[0] if reasons else f"status {result.status}, no message"
        raise ConfigError(
            f"`b4 am` failed for v{revision}: {reason}",
            hint="see b4's output above; a mail may be missing or damaged",
            detail=result.stderr.strip()[-2000:],
        )
    return result.stderr + result.stdout


def _b4(*options: str, offline: bool) -> proc.Done:
    """Run b4, not interactive and with an empty stdin; `-c` overrides the user's configuration."""
    installed = Path(sys.executable).with_name("b4")
    program = str(installed) if os.access(installed, os.X_OK) else "b4"
    settings = ("-c", "b4.attestation-policy=off", "-c", "b4.save-maildirs=no")
    common = ["-n", "--no-stdin", *(["--offline-mode"] if offline else []), *settings]
    return proc.run([program, *common, *options], check=False, deadline=DEADLINE)
