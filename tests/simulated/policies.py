#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Ways to bisect, on a simulated history: no kernels, no guests. See docs/bisect.md.

python tests/simulated/policies.py --trials 100

The history is linear. Commit 0 is the oldest; a run of the culprit or of a later commit fails with
the rate P, a run of an earlier one with the rate Q, for a cause of its own.

git             `git bisect run` with one run of each commit
kci-dev         a commit is bad if three runs of it fail (kci-dev bisect --retry-fail 2)
syzkaller       10 or 20 runs of each commit, and its thresholds (pkg/bisect/bisect.go)
git_bayesect    the PyPI package, one run at a time (it must be installed), with its own
                confidence of 95 %, and with 99 %
rig             rig/campaigns/culprit.py
rig-files       the same, with a prior by the files that a commit touches: with 80 % the culprit is
                taken to be among the commits that touch some files (--touched, their part of all)

--among says how often it is among them.

The other tools trust both ends. The rig builds and runs the bad end, and that is counted.
"""

import argparse
import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from rig.campaigns import forecast
from rig.campaigns.ancestry import linear
from rig.campaigns.culprit import Costs, Search

TAKEN = 0.8
"""How often `rig-files` takes the culprit to be among the commits that touch the files."""
Fails = Callable[[int], bool]
Answer = tuple[int | None, int, int]
"""The culprit, or None if the tool gives up; guests; builds."""


def git(size: int, fails: Fails) -> Answer:
    low, high, builds = -1, size - 1, 0
    while high - low > 1:
        middle, builds = (low + high) // 2, builds + 1
        low, high = (low, middle) if fails(middle) else (middle, high)
    return high, builds, builds


def kci(size: int, fails: Fails) -> Answer:
    low, high, guests, builds = -1, size - 1, 0, 0
    while high - low > 1:
        middle, builds = (low + high) // 2, builds + 1
        bad = True
        for _ in range(3):
            guests += 1
            if not fails(middle):
                bad = False
                break
        low, high = (low, middle) if bad else (middle, high)
    return high, guests, builds


def syzkaller(size: int, fails: Fails) -> Answer:
    failed = sum(fails(size - 1) for _ in range(20))
    guests, builds, flaky = 20, 1, failed < 10
    if failed < max(2, 20 // 6):
        return None, guests, builds
    chance, confidence, skipped = failed / 20, 1.0, set[int]()
    low, high = -1, size - 1
    while high - low > 1:
        rest = [commit for commit in range(low + 1, high) if commit not in skipped]
        if not rest:
            return None, guests, builds
        middle = min(rest, key=lambda commit: abs(commit - (low + high) // 2))
        runs = 20 if flaky else 10
        failed = sum(fails(middle) for _ in range(runs))
        guests, builds = guests + runs, builds + 1
        if failed == 0:
            low = middle
            confidence *= 1 - (1 - chance) ** runs
        elif failed >= max(2, runs // 6):
            high = middle
            chance = (chance + failed / runs) / 2
            flaky = flaky or failed / runs < 0.5
        else:
            skipped.add(middle)
    return (high if confidence >= 0.5 else None), guests, builds


def bayesect(size: int, fails: Fails) -> dict[str, Answer]:
    """For both confidences: the second answer continues the first."""
    from git_bayesect import Bisector

    bisector, built = Bisector([1] * (size + 1)), set[int]()  # its index 0 is the newest
    answers = dict[str, Answer]()
    for guests in range(forecast.RUNS_MAX):
        best = int(bisector.distribution.argmax())
        for name, confidence in (("95 %", 0.95), ("99 %", 0.99)):
            if name not in answers and bisector.distribution[best] >= confidence:
                answers[name] = size - 1 - best, guests, len(built)
        if "99 %" in answers:
            return answers
        index = bisector.select()
        built.add(index)
        bisector.record(index, fails(size - 1 - index))
    given_up = None, forecast.RUNS_MAX, len(built)
    return {"95 %": given_up, "99 %": given_up} | answers


def rig(size: int, fails: Fails, build: float, prior: Sequence[float] = ()) -> Answer:
    costs = Costs(guest=1.0, build=lambda commit, previous: build)
    search = Search(linear(size), costs, prior=prior)
    result = forecast.simulate(search, fails)
    found = result.culprit.commits[0] if result.culprit else None
    return found, int(result.spent.guests), int(result.spent.builds)


def touching(size: int, part: float) -> list[int]:
    """The commits that touch the files: the same in each trial."""
    return sorted(random.Random(1).sample(range(size), round(part * size)))


def rig_files(size: int, fails: Fails, build: float, part: float) -> Answer:
    touch = {*touching(size, part)}
    weights = TAKEN / len(touch), (1 - TAKEN) / (size - len(touch))
    prior = [weights[commit not in touch] for commit in range(size)]
    return rig(size, fails, build, prior)


@dataclass
class Row:
    right: int = 0
    given_up: int = 0
    guests: list[int] = field(default_factory=list)
    builds: list[int] = field(default_factory=list)

    def add(self, answer: Answer, culprit: int) -> None:
        found, guests, builds = answer
        self.right += found == culprit
        self.given_up += found is None
        self.guests.append(guests)
        self.builds.append(builds)

    def __str__(self) -> str:
        trials = len(self.guests)
        return (
            f"right {100 * self.right / trials:5.1f} %  given up {self.given_up:4}  guests"
            f" {sum(self.guests) / trials:7.1f}  builds {sum(self.builds) / trials:6.2f}"
            f"  (at most {max(self.builds)})  of {trials}"
        )


Policies = Mapping[str, Callable[[int, Fails], Answer | dict[str, Answer]]]


def compare(
    policies: Policies,
    *,
    size: int,
    bad: float,
    good: float,
    trials: range,
    touched: float = 0.0,
    among: float = TAKEN,
) -> dict[str, Row]:
    """Each policy on the same culprits."""
    rows, ancestry = dict[str, Row](), linear(size)
    for trial in trials:
        for name, policy in policies.items():
            chance = random.Random(f"{trial} {bad} {good}")
            culprit = chance.randrange(size)
            if touched:
                touch = touching(size, touched)
                others = [*{*range(size)}.difference(touch)]
                culprit = chance.choice(touch if chance.random() < among else others)
            fails = forecast.culprit_at(ancestry, culprit, bad, good, chance)
            answers = policy(size, fails)
            for kind, answer in answers.items() if isinstance(answers, dict) else [("", answers)]:
                rows.setdefault(f"{name} {kind}".strip(), Row()).add(answer, culprit)
    return rows


def table(policies: Policies, options: argparse.Namespace) -> Iterator[str]:
    for good in options.unrelated:
        for bad in options.rates:
            trials = range(options.first, options.first + options.trials)
            rows = compare(
                policies, size=options.commits, bad=bad, good=good, trials=trials,
                touched=options.touched, among=options.among,
            )  # fmt: skip
            yield from (f"P {bad:<5} Q {good:<5} {name:18} {row}" for name, row in rows.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--commits", type=int, default=1023)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--first", type=int, default=0, help="number of the first trial")
    parser.add_argument("--build", type=float, default=10.0, help="guests a build is worth")
    parser.add_argument("--rates", type=float, nargs="+", default=[0.5, 0.2, 0.1, 0.05])
    parser.add_argument("--unrelated", type=float, nargs="+", default=[0.0, 0.01])
    parser.add_argument("--touched", type=float, default=0.0, help="part of the commits")
    parser.add_argument("--among", type=float, default=TAKEN, help="the culprit is among them")
    parser.add_argument("--only", nargs="+", help="names of policies")
    options = parser.parse_args()
    policies: Policies = {
        "git": git,
        "kci-dev": kci,
        "syzkaller": syzkaller,
        "git_bayesect": bayesect,
        "rig": partial(rig, build=options.build),
    }
    if options.touched:
        with_files = partial(rig_files, build=options.build, part=options.touched)
        policies = {**policies, "rig-files": with_files}
    chosen = {n: policies[n] for n in options.only or policies}
    for line in table(chosen, options):
        print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
