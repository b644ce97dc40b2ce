# SPDX-License-Identifier: GPL-2.0-only
"""A comparison as the table a cover letter has, with an interval and a verdict for each metric."""

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


def render(found: Sequence[Comparison], name: str = "") -> str:
    lines = [line for one in found for line in _table(one)]
    if name:
        lines += [f"rig report {name}"]
    return printable.page(lines)


def _table(one: Comparison) -> Iterator[str]:
    machine, known = one.machine, benchmark.pick(one.bench)
    seeded = isinstance(machine.schedule, Seeded)
    swap = machine.swap.zram + machine.swap.disk
    yield "=" * WIDTH
    yield f"{one.bench}: {one.before} against {one.after}".center(WIDTH).rstrip()
    yield "=" * WIDTH
    yield f"  Kernel: {one.release}   CPUs: {machine.cpus}   {machine.where}"
    yield f"  MemTotal: {machine.memory}M   SwapTotal: {swap}M   rounds: {one.rounds}"
    yield f"  {known.work}"
    yield "-" * WIDTH
    yield f"{'Metric':<22} {'Before':<13} {'After':<13} Delta (abs / %)"
    for line in one.lines:
        # Of a round that is not a seed there is no interval.
        yield from _metric(line, known.metric(line.metric).title, seeded or one.rounds > 1)
    yield "-" * WIDTH
    yield from _missing(one, known)
    if seeded:
        yield "  Each round is a seed; in [ ] the least and the greatest difference. Without it:"
        yield "  the same to the last digit."
    elif one.rounds > 1:
        yield "  In [ ] the 95 % interval of the mean difference, by bootstrap over the rounds."
    if one.lines and not statistics.can_decide(machine, one.rounds):
        yield "  So few rounds decide nothing, whatever they show."
    for why in one.discarded:
        yield from _fold(f"discarded: {why}")
    if one.failure:
        yield from _fold(f"FAIL: {one.failure}")
        yield from _evidence(one)
    for judged in one.claims:
        yield from _fold(f"{judged.word}: {judged.claim.said}: {judged.why}")
        yield f"      there: {judged.claim.machine}"
    yield ""


def _evidence(one: Comparison) -> Iterator[str]:
    """As much of it as of a run's."""
    for splat in one.splats:
        yield f"  splat: {splat.title}"
        yield from _indented("\n".join(splat.text), 30)
    if one.detail:
        yield from _indented(one.detail, 40)


def _indented(said: str, most: int) -> Iterator[str]:
    yield from textwrap.indent(head(said, most), " " * 6).splitlines()


def _fold(said: str) -> Iterator[str]:
    yield from f"  {fold(said, 4, 2)}".splitlines()


def _missing(one: Comparison, known: Benchmark) -> Iterator[str]:
    counted = {line.metric for line in one.lines}
    missing: dict[str, list[str]] = {}
    for metric in known.metrics if counted else ():
        if metric.name not in counted:
            missing.setdefault(metric.lacking, []).append(metric.title.strip())
    for why, titles in missing.items():
        said = f"not counted here: {', '.join(titles)}" + (f" ({why})" if why else "")
        yield from _fold(said)


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
