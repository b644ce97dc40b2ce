# SPDX-License-Identifier: GPL-2.0-only
"""A comparison as a table like those in cover letters, with intervals and verdicts."""

import textwrap
from collections.abc import Iterator, Sequence

from rig import printable
from rig.benches import benchmark
from rig.benches.benchmark import Benchmark
from rig.campaigns import statistics
from rig.campaigns.compare import Comparison
from rig.campaigns.statistics import Difference, Line
from rig.guest.qemu import Seeded
from rig.report.text import fold, head

WIDTH = 78


def render(comparisons: Sequence[Comparison], name: str = "") -> str:
    lines = [line for comparison in comparisons for line in _table(comparison)]
    if name:
        lines += [f"rig report {name}"]
    return printable.page(lines)


def _table(comparison: Comparison) -> Iterator[str]:
    machine, bench = comparison.machine, benchmark.pick(comparison.bench)
    seeded = isinstance(machine.schedule, Seeded)
    swap = machine.swap.zram + machine.swap.disk
    yield "=" * WIDTH
    title = f"{comparison.bench}: {comparison.before} against {comparison.after}"
    yield title.center(WIDTH).rstrip()
    yield "=" * WIDTH
    yield f"  Kernel: {comparison.release}   CPUs: {machine.cpus}   {machine.where}"
    yield f"  MemTotal: {machine.memory}M   SwapTotal: {swap}M   rounds: {comparison.rounds}"
    yield f"  {bench.work}"
    yield "-" * WIDTH
    yield f"{'Metric':<22} {'Before':<13} {'After':<13} Delta (abs / %)"
    for line in comparison.lines:
        # One live round has no interval.
        interval = seeded or comparison.rounds > 1
        yield from _metric(line, bench.metric(line.metric).title, interval)
    yield "-" * WIDTH
    yield from _missing(comparison, bench)
    if seeded:
        yield "  Each round is a seed. In [ ]: the smallest and the greatest difference; without"
        yield "  [ ]: the same in every round."
        if comparison.can_decide:
            yield from _fold(_promise(comparison))
    elif comparison.rounds > 1:
        yield from _fold(_legend(comparison))
    if comparison.lines and not comparison.can_decide:
        yield "  Too few rounds to decide anything."
    for reason in comparison.discarded:
        yield from _fold(f"discarded: {reason}")
    if comparison.failure:
        yield from _fold(f"FAIL: {comparison.failure}")
        yield from _evidence(comparison)
    for judged in comparison.claims:
        yield from _fold(f"{judged.word}: {judged.claim.said}: {judged.why}")
        yield f"      there: {judged.claim.machine}"
    yield ""


def _legend(comparison: Comparison) -> str:
    if not statistics.can_decide(comparison.rounds):
        return "In [ ]: the smallest and the greatest difference of a round."
    return (
        "In [ ]: the 95 % interval of the mean difference; it and p are of one metric alone. "
        + _promise(comparison)
    )


def _promise(comparison: Comparison) -> str:
    number = comparison.comparisons
    together = f"{number} tables of this campaign" if number > 1 else "metrics of this table"
    return (
        f"`lower` and `higher` are wrong with a chance of at most 5 % for all {together} together."
    )


def _evidence(comparison: Comparison) -> Iterator[str]:
    """Cut to the same number of lines as in the report of a run."""
    for splat in comparison.splats:
        yield f"  splat: {splat.title}"
        yield from _indented("\n".join(splat.text), 30)
    if comparison.detail:
        yield from _indented(comparison.detail, 40)


def _indented(text: str, most: int) -> Iterator[str]:
    yield from textwrap.indent(head(text, most), " " * 6).splitlines()


def _fold(text: str) -> Iterator[str]:
    yield from f"  {fold(text, 4, 2)}".splitlines()


def _missing(comparison: Comparison, bench: Benchmark) -> Iterator[str]:
    counted = {line.metric for line in comparison.lines}
    missing: dict[str, list[str]] = {}
    for metric in bench.metrics if counted else ():
        if metric.name not in counted:
            missing.setdefault(metric.lacking, []).append(metric.title.strip())
    for reason, titles in missing.items():
        text = f"not counted here: {', '.join(titles)}" + (f" ({reason})" if reason else "")
        yield from _fold(text)


def _metric(line: Line, title: str, interval: bool) -> Iterator[str]:
    before, after = line.means
    change = after - before
    delta = f"{_number(change, signed=True)}{_percent(line, change)}"
    yield f"{title:<22} {_number(before):<13} {_number(after):<13} {delta}"
    if line.difference is Difference.SAME:
        return
    ends = f"[{_number(line.low, signed=True)} .. {_number(line.high, signed=True)}] "
    chance = f", p = {line.chance:.4f}" if 0 < line.chance < 1 else ""
    yield f"{'':<22} {ends if interval else ''}{line.difference}{chance}"


def _percent(line: Line, change: float) -> str:
    part = line.percent(change)
    return "" if part is None else f" ({part:+.1f}%)"


def _number(value: float, *, signed: bool = False) -> str:
    sign = "+" if signed and value > 0 else ""
    whole = float(value).is_integer() or abs(value) >= 10_000
    return sign + (f"{value:.0f}" if whole else f"{value:.3f}")
