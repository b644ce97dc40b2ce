# SPDX-License-Identifier: GPL-2.0-only
"""`rig b4-check`: stored verdicts in the format of b4's review-series-check-cmd.

b4 gives the cover letter on stdin and reads a JSON array of {tool, status, summary, url, details};
a status is pass, warn or fail (b4/review/checks.py, _run_external_cmd). b4 takes any other status,
and an exit status without output, as fail. Trouble of the rig is therefore a warning: it says
nothing about the series.
"""

import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from rig import arch as architectures
from rig import printable
from rig.campaigns import blame, execute, partial
from rig.campaigns import request as requests
from rig.campaigns.options import OPTIONS, Request, command
from rig.campaigns.results import RunResult
from rig.context import Context
from rig.errors import RigError
from rig.kernel import base
from rig.report import reply, text
from rig.series import rfc822, target
from rig.store import Store
from rig.verdict.rules import Outcome

STATUS = {Outcome.PASS: "pass", Outcome.FAIL: "fail"}
"""Any other outcome proves nothing, and is a warning."""
CONFIG = "b4.review-series-check-cmd"


def message_id(mail: bytes) -> str:
    return rfc822.header(mail, "Message-ID").strip("<> ")


def configuration(arches: tuple[str, ...], tree: Path | None, *, run: bool) -> str:
    """The git command that makes `b4 review` start this rig, which need not be on PATH.

    Raises ConfigError for an architecture or a tree that is not there.
    """
    for name in arches:
        architectures.pick(name)
    git = ["git"]
    if tree:
        tree = tree.absolute()
        base.check_tree(tree)
        git += ["-C", str(tree)]
    own = next(filter(_is_rig, (Path(sys.argv[0]), Path(sys.executable).with_name("rig"))), None)
    words = [str(own.absolute())] if own else [sys.executable, "-m", "rig"]
    words += ["b4-check", *(["--run"] if run else [])]
    words += command(Request(target="", arch=arches, tree=tree), "b4-check")[3:]
    return shlex.join([*git, "config", CONFIG, shlex.join(words)])


def _is_rig(path: Path) -> bool:
    return path.name == "rig" and os.access(path, os.X_OK) and path.is_file()


def check(
    context: Context,
    identifier: str,
    arches: tuple[str, ...] = OPTIONS["arch"].default,
    tree: Path | None = None,
    *,
    run: bool = False,
) -> list[dict[str, str]]:
    """An entry for each architecture of the newest run. If there is none, `run` it on `arches`,
    with bases from `tree`."""
    # A stranger wrote the identifier: it must not become a file name, an option, or shell syntax.
    if not (typed := target.typed(identifier)):
        return [_entry("rig", "warn", "there is no Message-ID in the mail on stdin")]
    if found := stored(context.store, identifier):
        return _entries(*found)
    request = Request(target=typed, arch=arches, tree=tree and tree.absolute())
    if not run:
        return [_entry("rig", "warn", "not run yet", shlex.join(command(request)))]
    specs = requests.specs(context, requests.fetched(context.shelves, request))
    directory = execute.new_directory(context.store, specs[0].tree.label)
    results = execute.execute(context, specs, directory)
    return _entries(blame.blame(context, specs, results, directory), directory.name)


def stored(store: Store, identifier: str) -> tuple[Sequence[RunResult], str] | None:
    """The newest run of the whole series that this mail belongs to, and its name."""
    for directory in reversed(execute.runs(store)):
        if message_id(reply.top_of(directory)) != identifier:
            continue
        results = [
            result
            for result in reply.whole(reply.tests(directory))
            if not result.provenance.request.mutant
        ]
        if len(reply.trees(results)) == 1:
            return results, directory.name
    return None


def trouble(error: RigError) -> list[dict[str, str]]:
    details = "\n".join(filter(None, (error.detail, error.hint)))
    return [_entry("rig", "warn", error.message, details)]


def render(entries: Sequence[dict[str, str]]) -> str:
    return json.dumps(list(entries), indent=1, ensure_ascii=False) + "\n"


def _entries(results: Sequence[RunResult], name: str) -> list[dict[str, str]]:
    by_arch: dict[str, list[RunResult]] = {}
    for result in results:
        by_arch.setdefault(result.machine.arch, []).append(result)
    entries = []
    for arch, group in by_arch.items():
        result = max(group, key=lambda result: result.verdict.outcome.severity)
        worst, marks = result.verdict, dict.fromkeys(each.summary for each in result.blame)
        whose = "".join(f"; {mark}" for mark in marks) if worst.outcome is Outcome.FAIL else ""
        times = f" ({len(group)} runs)" if len(group) > 1 else ""
        absent = next(filter(None, map(partial.not_run, group)), "")
        absent = f"; not run: {absent}" if absent else ""
        entries.append(
            _entry(
                f"rig/{arch}",
                STATUS.get(worst.outcome, "warn"),
                f"{worst.outcome}: {worst.reason.splitlines()[0] if worst.reason else ''}{times}"
                f"{whose}{absent}",
                text.render(group, name),
            )
        )
    return entries


def _entry(tool: str, status: str, summary: str, details: str = "") -> dict[str, str]:
    """An entry; its texts are made printable, as b4 shows them on a terminal."""
    return {
        "tool": printable.line(tool),
        "status": status,
        "summary": printable.line(summary),
        "url": "",
        "details": printable.text(details),
    }
