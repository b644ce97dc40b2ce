# SPDX-License-Identifier: GPL-2.0-only
"""A benchmark: a case of the suite `bench`, and the metrics computed from its counters.

Each module of rig/benches declares one benchmark.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import rig.benches
from rig import discover
from rig.guest.qemu import Accel, Machine, Seeded
from rig.suites import suite
from rig.suites.suite import Selection

SUITE = "bench"


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """A counter, or one divided by another."""

    name: str
    title: str
    """Its name in the table."""
    of: str
    per: str = ""
    factor: float = 1
    time: bool = False
    """It depends on seconds, which under TCG measure the emulator."""
    lacking: str = ""
    """Why some architectures or schedules do not have it."""

    def value(self, counters: Mapping[str, int]) -> float | None:
        """None if the kernel does not have the counter, or the divisor is 0."""
        if self.of not in counters or (self.per and not counters.get(self.per)):
            return None
        return counters[self.of] * self.factor / (counters[self.per] if self.per else 1)


BROADCAST = "arm64's flushes are broadcast by hardware: no IPI is sent, and no kernel counts them"
COUNTED_BY_ICOUNT = "--schedule seeded counts them"


def of_reclaim(kind: str) -> tuple[Metric, ...]:
    """The counts of a cover letter on reclaim, and the same per page reclaimed.

    `kind`: `anon` or `file` pages.
    """
    scan, steal = f"pgscan_{kind}", f"pgsteal_{kind}"
    return (
        Metric(name="ops_per_s", title="bogo ops/s", of="bogo_ops", per="nanoseconds",
               factor=1e9, time=True),
        Metric(name="tlb_shootdowns", title="TLB shootdowns", of="tlb_shootdowns",
               lacking=BROADCAST),
        Metric(name="function_call_ipis", title="Function call IPIs", of="function_call_ipis"),
        Metric(name=scan, title=f"{scan} (pages)", of=scan),
        Metric(name=steal, title=f"{steal} (pages)", of=steal),
        Metric(name="tlb_shootdowns_per_page", title="  shootdowns / page", of="tlb_shootdowns",
               per=steal, lacking=BROADCAST),
        Metric(name="function_call_ipis_per_page", title="  call IPIs / page",
               of="function_call_ipis", per=steal),
        Metric(name="efficiency", title="  steal / scan", of=steal, per=scan),
        Metric(name="instructions_per_page", title="  instructions / page", of="instructions",
               per=steal, lacking=COUNTED_BY_ICOUNT),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Benchmark:
    name: str
    summary: str
    case: str
    """A case of the suite `bench`."""
    work: str
    """The amount of work, for the head of the table."""
    metrics: tuple[Metric, ...]
    image: str = "test"
    """An image of images/ that has what the case needs."""

    @property
    def live_only(self) -> str:
        """Why it does not run in the seeded schedule; empty if it does."""
        (case,) = suite.cases_of(self.selection)
        return case.live_only

    @property
    def selection(self) -> Selection:
        return Selection(suite=SUITE, cases=(self.case,))

    def sample(self, counters: Mapping[str, int], machine: Machine) -> dict[str, float]:
        """The metrics of one run."""
        extended = counted(counters, machine)
        values = ((metric.name, metric.value(extended)) for metric in self.metrics)
        return {name: value for name, value in values if value is not None}

    def metric(self, name: str) -> Metric:
        return next(metric for metric in self.metrics if metric.name == name)


def counted(counters: Mapping[str, int], machine: Machine) -> dict[str, int]:
    """The counters of a run; in the seeded schedule also `instructions`."""
    if not isinstance(machine.schedule, Seeded):
        return dict(counters)
    # With -icount the instructions of all CPUs advance one virtual clock.
    instructions = counters.get("nanoseconds", 0) >> machine.schedule.shift
    return {**counters, "instructions": instructions}


def judged(metric: Metric, machine: Machine) -> bool:
    """Whether a difference in it tells anything about hardware."""
    return not metric.time or machine.accel is Accel.KVM


def known() -> dict[str, Benchmark]:
    return discover.constants(rig.benches, "BENCH", Benchmark)


def metrics() -> dict[str, tuple[str, ...]]:
    """The names of each benchmark's metrics."""
    return {name: tuple(metric.name for metric in bench.metrics) for name, bench in known().items()}


def pick(name: str) -> Benchmark:
    return discover.pick(rig.benches, "BENCH", Benchmark, name, "benchmark")
