# SPDX-License-Identifier: GPL-2.0-only
"""Benchmarks: which counters of which case, and what follows from them.

The programs are the cases of the suite `bench`; one module of rig/benches for each.
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
    """As it stands in the table."""
    of: str
    per: str = ""
    factor: float = 1
    time: bool = False
    """It is of seconds, which under TCG are the emulator's."""
    lacking: str = ""
    """Why some kernels or schedules do not count it."""

    def value(self, counters: Mapping[str, int]) -> float | None:
        """None where the kernel does not offer it, or nothing was there to divide by."""
        if self.of not in counters or (self.per and not counters.get(self.per)):
            return None
        return counters[self.of] * self.factor / (counters[self.per] if self.per else 1)


BROADCAST = "flushes that are broadcast, as arm64's are, send no IPI and no kernel counts them"
COUNTED_BY_ICOUNT = "--schedule seeded counts them"


def of_reclaim(kind: str) -> tuple[Metric, ...]:
    """What a cover letter on reclaim counts, and the same for each page reclaimed; of `anon` or
    `file` pages."""
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
    """Of the suite `bench`."""
    work: str
    """How much is done, for the head of the table."""
    metrics: tuple[Metric, ...]
    image: str = "test"
    """Of images/, with what the case needs besides itself."""

    @property
    def live_only(self) -> str:
        """Why it has no seeds, or nothing."""
        (case,) = suite.cases_of(self.selection)
        return case.live_only

    @property
    def selection(self) -> Selection:
        return Selection(suite=SUITE, cases=(self.case,))

    def sample(self, counters: Mapping[str, int], machine: Machine) -> dict[str, float]:
        """The metrics of one run."""
        known = dict(counters)
        if isinstance(machine.schedule, Seeded):
            # What -icount counts: every CPU's instructions move the one virtual clock.
            known["instructions"] = known.get("nanoseconds", 0) >> machine.schedule.shift
        values = ((metric.name, metric.value(known)) for metric in self.metrics)
        return {name: value for name, value in values if value is not None}

    def metric(self, name: str) -> Metric:
        return next(one for one in self.metrics if one.name == name)


def judged(metric: Metric, machine: Machine) -> bool:
    """Whether a difference in it says anything of hardware."""
    return not metric.time or machine.accel is Accel.KVM


def known() -> dict[str, Benchmark]:
    return discover.constants(rig.benches, "BENCH", Benchmark)


def metrics() -> dict[str, tuple[str, ...]]:
    """Of each benchmark, by their names."""
    return {name: tuple(metric.name for metric in one.metrics) for name, one in known().items()}


def pick(name: str) -> Benchmark:
    return discover.pick(rig.benches, "BENCH", Benchmark, name, "benchmark")
