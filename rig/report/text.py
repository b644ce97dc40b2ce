# SPDX-License-Identifier: GPL-2.0-only
"""The verdict of a run, as text to paste into a mail."""

import re
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

import jinja2

from rig import printable
from rig.campaigns import partial
from rig.campaigns.results import RunResult
from rig.kernel.tree import Subject
from rig.report import blame
from rig.verdict.rules import Outcome

TEMPLATES = Path(__file__).parent / "templates"
# The kernel's mails are read at 80 columns, quoted twice.
WIDTH = 76
FEW = 8
"""Up to this many cases, all counters are shown. With more, a PASS shows one line of them."""


class Block(str):
    """Several lines, made by a filter. Any other text is printed as one line."""

    __slots__ = ()


def render(results: Sequence[RunResult], name: str = "") -> str:
    """All results of a campaign; `name` is the stored run, for `rig report`."""
    return (
        environment()
        .get_template("verdict.txt.j2")
        .render(
            results=results,
            name=name,
            overall=overall(results),
            tally=tally(results),
            many=many(results),
            labels=labels(results),
            beside=tuple(_beside(results)),
        )
        .rstrip()
        + "\n"
    )


def environment() -> jinja2.Environment:
    """For the templates of reports and mails. It makes every value printable."""
    jinja = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=_shown,
    )
    jinja.filters["counters"] = _counters
    jinja.filters["head"] = head
    jinja.filters["indented"] = _indented
    jinja.filters["fold"] = fold
    jinja.filters["circumstances"] = circumstances
    jinja.filters["not_run"] = partial.not_run
    jinja.filters["blame"] = blame.lines
    return jinja


def _shown(value: object) -> str:
    return (printable.text if isinstance(value, Block) else printable.line)(str(value))


def labels(results: Sequence[RunResult]) -> tuple[str, ...]:
    """The labels of the trees that were run, without duplicates."""
    return tuple(subject.label for subject in subjects(results))


def subjects(results: Sequence[RunResult]) -> tuple[Subject, ...]:
    return tuple(dict.fromkeys(result.provenance.subject for result in results))


def _beside(results: Sequence[RunResult]) -> Iterator[str]:
    """A table for each architecture: a row for each case, a column for each tree."""
    ran = [result for result in results if result.suites]
    if len(columns := subjects(ran)) < 2:
        return
    machines: dict[str, list[RunResult]] = {}
    for result in ran:
        machines.setdefault(result.machine.arch, []).append(result)
    for arch, group in machines.items():
        rows: dict[str, dict[Subject, list[Outcome]]] = {}
        for result in group:
            for suite in result.suites:
                for case in suite.cases:
                    row = rows.setdefault(f"{suite.suite}/{case.name}", {})
                    row.setdefault(result.provenance.subject, []).append(case.outcome)
        width = max(map(len, rows), default=0)
        yield ""
        head = (f"{subject.part:12}" for subject in columns)
        yield f"{arch:{width}}  {'  '.join(head)}".rstrip()
        for name, row in rows.items():
            cells = (
                f"{Outcome.worst(row[subject]) if subject in row else '-':12}"
                for subject in columns
            )
            yield f"{name:{width}}  {'  '.join(cells)}".rstrip()


def many(results: Sequence[RunResult]) -> bool:
    return sum(len(suite.cases) for result in results for suite in result.suites) > FEW


def overall(results: Sequence[RunResult]) -> Outcome:
    return Outcome.worst(result.verdict.outcome for result in results)


def tally(results: Sequence[RunResult]) -> str:
    """`20 of 20 PASS`, if there are several runs. Kernels that were only built do not count."""
    outcomes = [result.verdict.outcome for result in results]
    ran = [outcome for outcome in outcomes if outcome is not Outcome.SKIP]
    built = len(outcomes) - len(ran)
    passed = f"{ran.count(Outcome.PASS)} of {len(ran)} PASS"
    return f"{passed}, {built} only built" if built else passed


def circumstances(result: RunResult) -> str:
    """Where the result holds: accelerator, schedule, machine; and how long it took."""
    machine, qemu = result.machine, re.search(r"version (\S+)", result.provenance.qemu)
    swap = [name for name in ("zram", "disk") if getattr(machine.swap, name)]
    seed = getattr(machine.schedule, "seed", None)
    words = (
        f"{machine.accel.upper()} {machine.schedule.kind}" + ("" if seed is None else f" {seed}"),
        f"{machine.cpus} CPUs",
        f"{machine.memory} MiB",
        "+".join(swap),
        f"QEMU {qemu[1] if qemu else '?'}",
        f"boot {result.boot_seconds:.1f} s" if result.boot_seconds else "",
        f"all {result.seconds:.0f} s",
    )
    return ", ".join(filter(None, words))


def _counters(counters: tuple[tuple[str, int], ...], indent: int, most: int = 0) -> Block:
    """The counters, as many as fit on a line, in at most `most` lines (0: no limit)."""
    lines, line = [], ""
    for name, value in counters:
        word = f"{printable.line(name)} {value:,}"
        if line and indent + len(line) + len(word) + 2 > WIDTH:
            lines.append(line)
            line = ""
        line = f"{line}  {word}" if line else word
    return Block(f"\n{' ' * indent}".join([*lines, line][: most or None]))


def fold(text: str, indent: int, first: int = 0) -> Block:
    """The text in lines that fit; `first` columns of the first line are taken already."""
    folded = textwrap.fill(
        printable.text(text),
        WIDTH,
        initial_indent=" " * first,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return Block(folded[first:])


def head(text: str, lines: int) -> Block:
    """The first lines of a text, and how many more there are."""
    all_lines = printable.text(text).splitlines()
    more = [f"[{len(all_lines) - lines} more lines]"] if len(all_lines) > lines else []
    return Block("\n".join([*all_lines[:lines], *more]))


def _indented(text: str, indent: int) -> Block:
    return Block(textwrap.indent(text, " " * indent))
