# SPDX-License-Identifier: GPL-2.0-only
"""b4, as it is installed with the rig: threads from a public-inbox server, series from threads.

It follows the user's own git configuration (b4.midmask and so on), and asks nobody else: looking
up keys in the DNS is switched off.
"""

import os
import sys
from pathlib import Path

from rig import proc
from rig.errors import ConfigError, InfraError

DEADLINE = 300.0
"""Seconds for a thread; the list's largest are some MiB."""

NO_SEARCH = "Server returned an error."
"""What b4 says of a search that failed; of a thread it says with which status."""

OLDER_REVISIONS = Path(__file__).with_name("older_revisions.py")
"""The program that looks for older revisions; see there why it is one."""


def thread(
    source: str, out: Path, *, local: Path | None = None, newer: bool = False, whom: str = ""
) -> Path:
    """The thread of a message-id or link, or the mails of a local mailbox, as an mbox in `out`."""
    path = out / "thread"
    words = ["mbox", "-C", *(["-c"] if newer else []), "-o", str(out), "-n", path.name]
    words += ["-m", str(local)] if local else ["--", source]
    try:
        done = _b4(*words, offline=local is not None and not newer)
    except proc.DeadlineExceeded as error:
        raise InfraError(
            f"{whom or source}: the server did not deliver the thread within {DEADLINE:g} s",
            hint="try again later; b4.midmask in your git configuration names another server",
            detail=error.detail,
        ) from error
    if done.status or not path.is_file():
        raise _no_thread(whom or source, done)
    _check_search(whom or source, done)
    return path


def _check_search(source: str, done: proc.Done) -> None:
    """b4 goes on without what a search would have found."""
    if NO_SEARCH in done.stderr:
        raise InfraError(
            f"{source}: the server does not answer the search for its other revisions",
            hint="try again later, or without --all-revisions",
            detail=done.stderr.strip()[-2000:],
        )


def _no_thread(source: str, done: proc.Done) -> ConfigError | InfraError:
    said = (done.stderr + done.stdout).strip()
    lines = [line for line in said.splitlines() if line.strip()]
    if "returned an error: 404" in said or "No messages found" in said:
        return ConfigError(
            f"there is no message {source} on the server",
            hint="b4.midmask in your git configuration names the server; the default is lore.kernel"
            ".org",
        )
    if "Could not retrieve thread" in said or "Traceback" in said:
        return InfraError(
            f"{source}: the server did not deliver the thread: {lines[-1] if lines else ''}",
            hint="try again later; b4.midmask in your git configuration names another server",
            detail=said[-2000:],
        )
    return ConfigError(f"{source}: there is no mail in it that b4 can read", detail=said[-2000:])


def older(source: str, mails: Path, revisions: list[int], out: Path) -> Path | None:
    """Mails of these older revisions, by the change-id or by subject and author, if there are."""
    path = out / "older"
    wanted = ",".join(str(number) for number in revisions)
    # -P: this directory is not on the program's path, or `import b4` would find this module.
    argv: list[str | Path] = [sys.executable, "-P", OLDER_REVISIONS, mails, wanted, path]
    done = proc.run(argv, check=False, deadline=DEADLINE)
    if done.status:
        raise InfraError(
            f"{source}: b4 fails to look for older revisions", detail=done.stderr.strip()[-2000:]
        )
    _check_search(source, done)
    return path if path.is_file() else None


def am(mails: Path, revision: int, out: Path, *, with_trailers: bool) -> str:
    """Write out/vN.mbx and, where there is a cover letter, out/vN.cover; returns what b4 said."""
    trailers = [] if with_trailers else ["-T"]
    words = ["am", *trailers, "-m", str(mails), "-v", str(revision)]
    done = _b4(*words, "-o", str(out), "-n", f"v{revision}.mbx", offline=True)
    if done.status:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip(" -")]
        words = [line for line in lines if line.startswith(("WARNING", "CRITICAL"))] or lines[-1:]
        raise ConfigError(
            f"b4 does not take v{revision}: {words[0] if words else 'it does not say why'}",
            detail=done.stderr.strip()[-2000:],
        )
    return done.stderr + done.stdout


def _b4(*words: str, offline: bool) -> proc.Done:
    """Not interactive, nothing on stdin; -c goes before what the user has configured."""
    beside = Path(sys.executable).with_name("b4")
    program = str(beside) if os.access(beside, os.X_OK) else "b4"
    settings = ("-c", "b4.attestation-policy=off", "-c", "b4.save-maildirs=no")
    how = ["-n", "--no-stdin", *(["--offline-mode"] if offline else []), *settings]
    return proc.run([program, *how, *words], check=False, deadline=DEADLINE)
