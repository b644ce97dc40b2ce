# SPDX-License-Identifier: GPL-2.0-only
"""Simulates `rig bench --rounds auto`, without guests: `python -m rig.cli.false_differences`.

With equal kernels every difference that is found is false. With --change, it prints how often the
difference is found. The rules are those of rig/campaigns/statistics.py; the numbers are random.
"""

import argparse
import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from rig.benches.benchmark import Benchmark, Metric
from rig.campaigns import statistics
from rig.campaigns.statistics import Difference, Samples
from rig.guest.qemu import Accel, Live, Machine, Swap

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

MACHINE = Machine(arch="x86_64", accel=Accel.KVM, cpus=4, memory=1024, swap=Swap(), schedule=Live())
FOUND = (Difference.LOWER, Difference.HIGHER)
Noise = Callable[["numpy.random.Generator", tuple[int, int]], "NDArray[numpy.float64]"]
"""(generator, (measurements in the order of time, metrics)) -> noise of variance about 1."""


def _autocorrelated(
    random: "numpy.random.Generator", shape: tuple[int, int]
) -> "NDArray[numpy.float64]":
    """Each measurement keeps 0.7 of the one before it."""
    noise = random.standard_normal(shape)
    for number in range(1, shape[0]):
        noise[number] = 0.7 * noise[number - 1] + math.sqrt(1 - 0.7**2) * noise[number]
    return noise


def _drift(random: "numpy.random.Generator", shape: tuple[int, int]) -> "NDArray[numpy.float64]":
    """Half of it is noise, and the machine becomes slower by as much every ten rounds."""
    slope = [[number / 20] for number in range(shape[0])]
    return 0.5 * random.standard_normal(shape) + slope


KINDS: dict[str, Noise] = {
    "normal": lambda random, shape: random.standard_normal(shape),
    "log-normal": lambda random, shape: (random.lognormal(0, 0.7, shape) - 1.28) / 1.02,
    "heavy-tailed": lambda random, shape: random.standard_t(3, shape) / math.sqrt(3),
    "autocorrelated": _autocorrelated,
    "drift": _drift,
}


def benchmark(metrics: int) -> Benchmark:
    names = (f"metric{number}" for number in range(metrics))
    made = tuple(Metric(name=name, title=name, of=name) for name in names)
    return Benchmark(name="simulated", summary="", case="", work="", metrics=made)


def rounds(
    kind: str, noise: float, change: float, metrics: int, most: int, seed: Sequence[int]
) -> Iterator[Samples]:
    """The measurements of at most so many rounds. `noise` and `change` are in percent."""
    import numpy

    generator = numpy.random.default_rng(seed)
    values = 100 * (1 + noise / 100 * KINDS[kind](generator, (2 * most, metrics)))
    orders = statistics.orders(f"{kind} {seed}")
    for number, order in zip(range(most), orders, strict=False):
        pair = (values[2 * number + order[0]], values[2 * number + order[1]])
        factors = (1.0, 1 + change / 100)
        before, after = (
            {f"metric{place}": factor * float(value) for place, value in enumerate(side)}
            for side, factor in zip(pair, factors, strict=True)
        )
        yield before, after


def campaign(
    kind: str, noise: float, change: float, *, seed: int, most: int, comparisons: int, metrics: int
) -> tuple[bool, int]:
    """Whether any difference is found, and the number of rounds of all comparisons."""
    bench, found, total = benchmark(metrics), False, 0
    fewest = statistics.rounds_needed(bench, MACHINE, comparisons)
    for number in range(comparisons):
        kept: list[Samples] = []
        for pair in rounds(kind, noise, change, metrics, max(most, fewest), (seed, number)):
            kept.append(pair)
            if len(kept) >= fewest and statistics.narrow(bench, MACHINE, kept):
                break
        lines = statistics.lines(bench, MACHINE, kept, comparisons)
        found |= any(line.difference in FOUND for line in lines)
        total += len(kept)
    return found, total


def _list(text: str) -> list[float]:
    return [float(word) for word in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=2500)
    parser.add_argument("--noise", type=_list, default=[1, 2, 5, 9, 15, 20], help="percent")
    parser.add_argument("--change", type=_list, default=[0], help="percent; 0: equal kernels")
    parser.add_argument("--kind", default=",".join(KINDS), help="kinds of noise")
    parser.add_argument("--most", type=int, default=40, help="rounds in the time of a comparison")
    parser.add_argument("--comparisons", type=int, default=1, help="of one campaign")
    parser.add_argument("--metrics", type=int, default=1, help="of each comparison")
    given = parser.parse_args()
    print("kind            noise   change   found   rounds")  # noqa: T201
    for kind in given.kind.split(","):
        for noise in given.noise:
            for change in given.change:
                results = [
                    campaign(
                        kind, noise, change, seed=seed, most=given.most,
                        comparisons=given.comparisons, metrics=given.metrics,
                    )
                    for seed in range(given.simulations)
                ]  # fmt: skip
                found = 100 * sum(one for one, _ in results) / len(results)
                number = sum(number for _, number in results) / len(results) / given.comparisons
                line = f"{kind:<15} {noise:3g} %   {change:4g} %  {found:5.1f} %  {number:6.1f}"
                print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
