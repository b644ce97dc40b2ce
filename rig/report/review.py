# SPDX-License-Identifier: GPL-2.0-only
"""Stored verdicts as `b4 review` shows them: what its review-series-check-cmd prints.

b4 hands the cover letter over on stdin and takes a JSON array of {tool, status, summary, url,
details}, where a status is pass, warn or fail (b4/review/checks.py, _run_external_cmd). Whatever it
does not know becomes a fail, and so would an exit status without output: trouble of ours is said as
a warning, for it says nothing about the series.
"""

import json
import shlex
from collections.abc import Sequence

from rig import printable
from rig.campaigns import execute, request
from rig.campaigns.options import Request
from rig.campaigns.results import RunResult
from rig.context import Context
from rig.errors import RigError
from rig.report import reply, text
from rig.series import rfc822, target
from rig.store import Store
from rig.verdict.rules import Outcome

STATUS = {Outcome.PASS: "pass", Outcome.FAIL: "fail"}
"""All else has proved nothing: a warning."""


def message_id(mail: bytes) -> str:
    return rfc822.header(mail, "Message-ID").strip("<> ")


def check(context: Context, identifier: str, arches: tuple[str, ...] = ()) -> list[dict[str, str]]:
    """An entry for each architecture of the last run; it is run first on `arches` if it was not."""
    # A stranger says what it is: no file of the user's, no option, no word for a shell.
    if not (typed := target.typed(identifier)):
        return [_entry("rig", "warn", "there is no Message-ID in the mail on stdin")]
    if not (found := stored(context.store, identifier)) and arches:
        asked = request.fetched(context.shelves, Request(target=typed, arch=arches))
        specs = request.specs(context, asked)
        directory = execute.new_directory(context.store, specs[0].tree.label)
        found = (execute.execute(context, specs, directory), directory.name)
    if not found:
        return [_entry("rig", "warn", "not run yet", f"rig run {shlex.quote(typed)}")]
    return _entries(*found)


def stored(store: Store, identifier: str) -> tuple[Sequence[RunResult], str] | None:
    """The newest run of the whole series that this mail is the top of, and its name."""
    for directory in reversed(execute.runs(store)):
        if message_id(reply.top_of(directory)) != identifier:
            continue
        results = [
            one for one in reply.whole(reply.tests(directory)) if not one.provenance.request.mutant
        ]
        if len(reply.trees(results)) == 1:
            return results, directory.name
    return None


def trouble(error: RigError) -> list[dict[str, str]]:
    said = "\n".join(filter(None, (error.detail, error.hint)))
    return [_entry("rig", "warn", error.message, said)]


def render(entries: Sequence[dict[str, str]]) -> str:
    return json.dumps(list(entries), indent=1, ensure_ascii=False) + "\n"


def _entries(results: Sequence[RunResult], name: str) -> list[dict[str, str]]:
    by_arch: dict[str, list[RunResult]] = {}
    for result in results:
        by_arch.setdefault(result.machine.arch, []).append(result)
    found = []
    for arch, own in by_arch.items():
        worst = max(own, key=lambda result: result.verdict.outcome.severity).verdict
        times = f" ({len(own)} runs)" if len(own) > 1 else ""
        found.append(
            _entry(
                f"rig/{arch}",
                STATUS.get(worst.outcome, "warn"),
                f"{worst.outcome}: {worst.reason.splitlines()[0] if worst.reason else ''}{times}",
                text.render(own, name),
            )
        )
    return found


def _entry(tool: str, status: str, summary: str, details: str = "") -> dict[str, str]:
    """b4 shows them on a terminal."""
    return {
        "tool": printable.line(tool),
        "status": status,
        "summary": printable.line(summary),
        "url": "",
        "details": printable.text(details),
    }
