# SPDX-License-Identifier: GPL-2.0-only
"""The digest of a night, as text and as a mail; and what a night would run."""

import os
from collections.abc import Iterator, Sequence
from email.message import EmailMessage
from email.utils import localtime
from hashlib import sha256
from itertools import groupby
from pathlib import Path

from rig import log, printable, proc
from rig.campaigns.handover import Found
from rig.campaigns.nightfile import Mail, NightFile
from rig.campaigns.nightly import Morning
from rig.campaigns.nightplan import Plan, Row
from rig.history.changes import Kind
from rig.history.night import Change
from rig.report import files
from rig.store import host_trouble

WIDTH, LINES = 80, 24
"""Of a screen."""
TROUBLE = 3
"""At most this many trees that were not tested are named."""


def render(morning: Morning, found: Sequence[Found] = ()) -> str:
    """At most a screen; one line if nothing changed. `found`: what bisections have found."""
    body = [*_trouble(morning), *_changes(morning, found)]
    head = _fit(headline(morning))
    if not body:
        return printable.page([head])
    room = LINES - 2
    if len(body) > room:
        rest = f"[{len(body) - room + 1} more lines: {_see(morning)}]"
        body = [*body[: room - 1], rest]
    return printable.page([head, "", *body])


def headline(morning: Morning) -> str:
    """What changed, in one line: the worst first."""
    news = [change.finding.kind for change in morning.changes if change.finding.new]
    counts = [_count(news.count(kind), kind) for kind in dict.fromkeys(news)]
    total, old = len(morning.outcomes), len(morning.changes) - len(news)
    runs = f"{total} run{'s' * (total != 1)}" + _left(morning)
    before = f", {old} failing as before" * bool(old)
    changed = ", ".join(counts) or ("nothing changed" if total else "nothing was run")
    return f"{morning.night.name}: {changed}; {runs}{before}, {log.duration(morning.seconds)}"


def _count(number: int, kind: Kind) -> str:
    return f"{number} {kind}{'s' * (number > 1 and kind is Kind.NEW_FAILURE)}"


def _left(morning: Morning) -> str:
    left = len(morning.night.left)
    return f" of {left + len(morning.outcomes)}" * bool(left)


def _trouble(morning: Morning) -> Iterator[str]:
    """Trees that were not tested: no failure, but who reads the digest must know."""
    troubled = morning.night.plan.trouble
    for where, why in troubled[:TROUBLE]:
        yield _fit(f"not tested: {where}: {why}")
    if len(troubled) > TROUBLE:
        yield f"not tested: {len(troubled) - TROUBLE} more: {_see(morning)}"
    if troubled:
        yield ""


def _changes(morning: Morning, found: Sequence[Found]) -> Iterator[str]:
    new = [change for change in morning.changes if change.finding.new]
    for kind, group in groupby(new, lambda change: change.finding.kind):
        yield f"{kind}"
        for change in group:
            yield from _change(change)
            yield from (_fit(f"    {_answer(one)}") for one in found if one.change == change)
    if new:
        yield _see(morning)


def _change(change: Change) -> Iterator[str]:
    finding = change.finding
    yield _fit(f"  {change.name}: {change.tree}, {change.setup}")
    old, new = finding.commits
    commits = f" ({old[:12]}..{new[:12]})" if old and new and old != new else ""
    if finding.text or commits:
        yield _fit(f"    {finding.text}", end=commits)


def _answer(found: Found) -> str:
    """Of a bisection; `rig report` has its evidence."""
    if (bisection := found.bisection) is None:
        return f"bisect: {found.trouble}"
    culprit = bisection.culprit
    if culprit is None or culprit.same_kernel:
        return f"bisect: not found: {bisection.reason or 'the kernel is the same before it'}"
    return f"bisect: {culprit.name} ({culprit.subject}) with {culprit.chance:.1%}"


def _see(morning: Morning) -> str:
    return f"rig history --night '{morning.night.name}'"


def _fit(text: str, end: str = "") -> str:
    text = printable.line(text)
    room = WIDTH - len(end)
    return (text if len(text) <= room else f"{text[: room - 1]}…") + end


# --- what would run ----------------------------------------------------------------------------


def preview(file: NightFile, plan: Plan, width: int) -> str:
    """`rig nightly --check`: the rows in their order, and the time from measured runs."""
    order = list(dict.fromkeys(job.row for job in plan.jobs))
    total, unknown = 0.0, 0
    builds: dict[tuple[str, ...], float | None] = {}
    lines: list[str] = []
    for place in order:
        row = plan.rows[place]
        builds.setdefault(row.kernel, row.build)
        alone = 1 if row.bench else width
        seconds = None if row.seconds is None else row.runs * row.seconds / alone
        unknown += seconds is None
        total += seconds or 0.0
        lines += _row(row, seconds)
    built = {kernel: seconds for kernel, seconds in builds.items() if seconds != 0.0}
    unmeasured = sum(seconds is None for seconds in built.values())
    total += sum(seconds or 0.0 for seconds in built.values())
    runs = len(plan.jobs)
    out = [
        f"{file.name}: {runs} run{'s' * (runs != 1)} in {len(order)} rows, about "
        f"{log.duration(total)} of {file.budget}, {width} guest{'s' * (width != 1)} at a time"
    ]
    if built:
        out.append(f"{len(built)} kernels are new, or not known to be built:")
        for (label, _, arch, flavour), build in built.items():
            time = "not measured" if build is None else log.duration(build)
            out.append(f"  {label}, {arch} {flavour}: {time}")
    if unknown or unmeasured:
        out.append(f"Not in the time: {unknown} rows and {unmeasured} builds never measured")
    if total > file.seconds:
        out.append("The budget ends first: the last rows come another night")
    out += [f"not tested: {where}: {why}" for where, why in plan.trouble]
    return printable.page([*out, "", *lines])


def _row(row: Row, seconds: float | None) -> Iterator[str]:
    time = "not measured" if seconds is None else log.duration(seconds)
    last = f", last run in {row.last}" if row.last else ", never run"
    yield f"{row.why}: {row.label}, {row.setup}"
    yield f"  {row.does}: {row.runs} run{'s' * (row.runs != 1)}, {time}{last}"


# --- the mail ----------------------------------------------------------------------------------


def deliver(morning: Morning, mail: Mail, found: Sequence[Found] = ()) -> None:
    """Write or send the digest to what the file of the night names, and to nothing else.

    The same digest is delivered twice only to a program, if the rig is killed in between.
    Raises InfraError.
    """
    sent = bytes(message(morning, mail, found))
    if mail.file:
        files.put(mail.file, render(morning, found).encode())
    if mail.maildir:
        _to_maildir(mail.maildir, _identity(morning), sent)
    if mail.sendmail:
        with log.step(f"Handing the digest to {mail.sendmail}"):
            proc.run([mail.sendmail, "-t", "-i"], stdin=sent, deadline=120)


def message(morning: Morning, mail: Mail, found: Sequence[Found] = ()) -> EmailMessage:
    made = EmailMessage()
    made["From"] = mail.sender
    if mail.to:
        made["To"] = mail.to
    made["Subject"] = printable.line(headline(morning))
    made["Date"] = localtime()
    made["Message-ID"] = f"<{_identity(morning)}@rig.invalid>"
    made.set_content(render(morning, found))
    return made


def _identity(morning: Morning) -> str:
    """The same if the rig is killed while it delivers, and delivers again."""
    words = f"{morning.directory} {morning.night.name} {morning.night.began}"
    return sha256(os.fsencode(words)).hexdigest()[:32]


def _to_maildir(maildir: Path, name: str, mail: bytes) -> None:
    """As maildir(5) has it: written to tmp/, then renamed to new/. A reader moves it to cur/."""
    with host_trouble(f"delivering the digest to {maildir}"):
        for part in ("tmp", "new", "cur"):
            (maildir / part).mkdir(parents=True, exist_ok=True)
        if not any((maildir / "cur").glob(f"{name}*")):
            (maildir / "tmp" / name).write_bytes(mail)
            (maildir / "tmp" / name).rename(maildir / "new" / name)
