# SPDX-License-Identifier: GPL-2.0-only
"""What is known of a bisection: it follows from the stored runs alone, in their order."""

import contextlib
import re
import shutil
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from rig import log
from rig.campaigns import buildcost, execute, inquiry
from rig.campaigns.ancestry import GOOD
from rig.campaigns.buildcost import BuildCost
from rig.campaigns.culprit import Costs, Search
from rig.campaigns.failures import Failure
from rig.campaigns.inquiry import Answer, Kind, Question, Said
from rig.campaigns.rates import Runs
from rig.campaigns.results import RunResult, RunSpec
from rig.campaigns.suspects import Suspects
from rig.errors import InfraError
from rig.store import Store
from rig.verdict.rules import Outcome

CERTAIN = 4096
"""What one decisive run counts as."""
MUTE, DEAD = 4, 2
"""Runs of a commit that say nothing, or do not boot, before it is skipped."""
GUEST = 5.0
"""Seconds of a guest, until one is measured."""
SLOT = re.compile(r"(?:-(?P<place>\d+))?-(?P<index>\d{5,})-(?P<number>good|\d+)")
"""The end of the name of a run's directory."""


@dataclass(slots=True)
class Row:
    """What is known of a commit that was tested."""

    failed: int = 0
    passed: int = 0
    mute: int = 0
    """Runs that say nothing."""
    dead: int = 0
    """Of those: the kernel did not boot."""
    skipped: str = ""
    build: str = ""
    """The digest of its build."""
    build_seconds: float = 0.0
    seconds: float = 0.0
    failing: list[int] = field(default_factory=list)
    """Seeds."""
    passing: list[int] = field(default_factory=list)

    @property
    def told(self) -> int:
        return self.failed + self.passed


class Standing:
    """The search, and a row for each commit that was tested."""

    def __init__(
        self,
        store: Store,
        suspects: Suspects,
        question: Question,
        confidence: float,
        directory: Path,
        side: int,
    ) -> None:
        """`side`: the number of guests that run side by side."""
        self.suspects, self.question, self.side = suspects, question, side
        self.wanted: Failure | None = None
        """The failure that is looked for."""
        self.settled = False
        """Whether that is known for good."""
        self.results: list[tuple[int, RunResult]] = []
        self.following = 0
        """The number of the next run."""
        self.store, self._confidence = store, confidence
        self._began = _began(directory)
        found = []
        for path in directory.glob(f"*/{execute.RESULT}"):
            if match := SLOT.search(path.parent.name):
                index = int(match["index"]) + int(match["place"] or 1) - 1
                number = GOOD if match["number"] == "good" else int(match["number"])
                found.append((index, number, path))
        for index, number, path in sorted(found):
            self.following = index + 1
            try:
                result = execute.load(path)
            except InfraError:  # damaged: it is run again
                shutil.rmtree(path.parent, ignore_errors=True)
                continue
            if result.verdict.outcome is not Outcome.BROKEN:
                self.results.append((number, result))
        if found:
            log.note(f"{len(found)} runs of this bisection are stored; it goes on from there")
        self._begin()

    def _begin(self) -> None:
        """The search, from all results."""
        range_ = self.suspects.range
        files = [commit.files for commit in range_.commits]
        self.cost = BuildCost(files, _full_build(self.store, self.suspects.whole))
        costs = Costs(guest=GUEST / self.side, build=self.cost.between)
        self.search = Search(range_.ancestry, costs, confidence=self._confidence)
        self.rows: dict[int, Row] = {}
        self.others: dict[str, int] = {}
        """Failures that are not looked for, and how often they came."""
        self.headline = ""
        self.good: float | None = None
        """The metric of the good end."""
        ends = [result for number, result in self.results if number == self.search.end]
        self.wanted, self.settled = inquiry.wanted(self.question, ends)
        for number, result in self.results:
            self._take(number, result)

    def add(self, number: int, result: RunResult) -> None:
        """Count a run. The signature may change until it is settled: then all are judged again."""
        self.results.append((number, result))
        self._take(number, result)
        if self.settled:
            return
        ends = [result for number, result in self.results if number == self.search.end]
        wanted, self.settled = inquiry.wanted(self.question, ends)
        if wanted != self.wanted:
            self._begin()

    def _take(self, number: int, result: RunResult) -> None:
        """Count a run."""
        row = self.rows.setdefault(number, Row())
        row.seconds += result.seconds if result.provenance.build else 0.0
        self._take_build(number, row, result)
        good = self.good if number != GOOD else None
        said = inquiry.answer(self.question, result, self.wanted, good)
        if self.question.kind is Kind.METRIC and number == GOOD:
            self.good = inquiry.measured(self.question, result)
        for other in said.others:
            text = f"{self.suspects.name(number)}: {other}"
            self.others[text] = self.others.get(text, 0) + 1
        if said.said in (Said.FAILED, Said.PASSED):
            self._count(number, row, said, result.provenance.request.seed)
        else:
            self._count_mute(number, row, said)
        if not self.question.decisive:
            guests = sum(entry.told + entry.mute for entry in self.rows.values())
            seconds = max(0.1, sum(entry.seconds for entry in self.rows.values()) / guests)
            self.search.costs = replace(self.search.costs, guest=seconds / self.side)

    def _take_build(self, number: int, row: Row, result: RunResult) -> None:
        if row.build or row.build_seconds:
            return
        row.build = result.provenance.build
        row.build_seconds = self._build_seconds(result)
        if row.build_seconds:
            self.cost.learn(row.build_seconds, number, self.search.previous)
        if row.build:
            self.search.build(number)

    def _build_seconds(self, result: RunResult) -> float:
        """What its build took; 0 for a kernel that was in the store before."""
        if not result.provenance.build:
            return result.seconds
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            manifest = self.store.manifest("builds", result.provenance.build)
            file = self.store.path("builds", result.provenance.build) / "manifest.json"
            return float(manifest["seconds"]) if file.stat().st_mtime >= self._began else 0.0
        return 0.0

    def _count(self, number: int, row: Row, said: Answer, seed: int) -> None:
        failed = said.said is Said.FAILED
        if failed:
            self.headline = self.headline or said.reason
        row.failed += failed
        row.passed += not failed
        (row.failing if failed else row.passing).append(seed)
        weight = CERTAIN if self.question.decisive else 1
        self.search.record(number, Runs(failed=weight * failed, passed=weight * (not failed)))

    def _count_mute(self, number: int, row: Row, said: Answer) -> None:
        row.mute += 1
        row.dead += said.is_dead
        often = row.mute >= MUTE and row.mute > 3 * row.told
        never_boots = row.dead >= DEAD and not row.told
        if said.said is Said.NEVER or often or never_boots:
            row.skipped = said.reason
            self.search.skip(number)


def _began(directory: Path) -> float:
    """When the bisection was begun: its directory is named after that time."""
    try:
        stamp = datetime.strptime(directory.name[:15], "%Y%m%d-%H%M%S")
    except ValueError:
        return 0.0
    return stamp.replace(tzinfo=UTC).timestamp()


def _full_build(store: Store, spec: RunSpec) -> float:
    """Seconds of a whole build of this architecture on this host, if the store has one."""
    arch, seconds = spec.machine.arch, list[float]()
    for path in store.root.glob("builds/*/manifest.json"):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            manifest = store.manifest("builds", path.parent.name)
            if (manifest["arch"], manifest["flavour"]) == (arch, spec.request.flavour):
                seconds.append(float(manifest["seconds"]))
    return max(seconds, default=buildcost.FULL)
