# SPDX-License-Identifier: GPL-2.0-only
"""`rig bisect`: which commit did it. The policy (culprit.py) says what to run; this runs it.

Each run is a stored run like any other, in one directory for the bisection. Its name ends with a
digest of what is asked. All that is known follows from the stored runs: a bisection that was
interrupted, or killed, goes on when it is started again.
"""

import math
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path

from rig import log
from rig.campaigns import (
    bisection,
    conclusion,
    execute,
    forecast,
    pipeline,
    rates,
    stored,
)
from rig.campaigns import request as requests
from rig.campaigns.ancestry import GOOD
from rig.campaigns.bisection import Bisection
from rig.campaigns.culprit import CONFIDENCE, FAILURES, Culprit
from rig.campaigns.inquiry import Kind, Question
from rig.campaigns.results import RunResult, RunSpec, provenance
from rig.campaigns.standing import SLOT, Row, Standing
from rig.campaigns.suspects import Suspects
from rig.context import Context
from rig.errors import ConfigError, InfraError
from rig.guest.qemu import SEED_MAX, Seeded
from rig.store import Store, digest, write_whole
from rig.suites import suite
from rig.suites.suite import Selection
from rig.verdict.rules import Outcome, Verdict

RUNS = 128
"""Runs of the bad end without a failure after which it is taken for good."""
RARE = 4
"""So many times RUNS without enough failures: the failure is too rare for a search."""
BROKEN = 3
"""Broken runs in a row before the bisection stops."""
EVIDENCE = 64
"""At most this many runs of a culprit or its parent only for the report."""
GO_ON = "the same command goes on where this one has stopped"


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    confidence: float = CONFIDENCE
    runs: int = RUNS
    deadline: float = math.inf
    """Of time.monotonic(): then nothing more is run."""


def bisect(
    context: Context, suspects: Suspects, question: Question, options: Options
) -> tuple[Bisection, Path]:
    """Search the culprit. Returns the answer and the directory it is stored in.

    Raises InfraError if the host or the rig fails: the same call goes on.
    """
    suspects = _for(question, suspects)
    name = _identity(suspects, question)
    with context.store.lock(f"bisect-{name}"):
        directory = _directory(context.store, suspects, name)
        campaign = Campaign(context, suspects, question, options, directory)
        try:
            campaign.search()
        finally:
            _remove_pending(directory)
        return campaign.save(), directory


def _for(question: Question, suspects: Suspects) -> Suspects:
    """The range with what the question runs."""
    whole = suspects.whole
    seeded = isinstance(whole.machine.schedule, Seeded)
    if question.kind is Kind.BUILD:
        whole = replace(whole, suites=(), boot=False)
    elif question.kind is Kind.BOOT:
        if seeded:
            raise ConfigError(
                "--boot runs no case, and the seeded schedule runs nothing else",
                hint="leave out --schedule, or name a case",
            )
        whole = replace(whole, suites=())
    elif question.kind is Kind.METRIC:
        bench = question.bench
        whole = replace(whole, suites=(bench.selection,), image=bench.image)
    return replace(suspects, whole=whole)


def _identity(suspects: Suspects, question: Question) -> str:
    """A digest of what determines the meaning of a run: not of the confidence, nor of the tree's
    place."""
    whole, range_ = suspects.whole, suspects.range
    machine = whole.machine
    sources = sorted(
        path
        for selection in whole.suites
        for directory in (selection.suite, "guestlib")
        for path in (Path(suite.__file__).parent / directory).glob("*.[ch]")
    )
    asked = {
        "commits": [range_.good, *(commit.name for commit in range_.commits)],
        "parents": [commit.parents for commit in range_.commits],
        "patches": [patch.mail.hex() for patch in suspects.patches],
        "question": repr(question),
        "machine": repr(replace(machine, schedule=Seeded(seed=0))),
        "schedule": machine.schedule.kind,
        "suites": repr(whole.suites),
        "image": whole.image,
        "flavour": whole.request.flavour,
        "promises": whole.request.promises,
        "numbers": [whole.request.seed, whole.request.iterations, whole.request.pages],
        "programs": [path.read_text() for path in dict.fromkeys(sources)],
    }
    return digest(asked)[:12]


def _directory(store: Store, suspects: Suspects, name: str) -> Path:
    if existing := sorted((store.root / "runs").glob(f"{bisection.DIRECTORY}-{name}")):
        _remove_pending(existing[-1])
        return existing[-1]
    label = f"bisect-{suspects.name(len(suspects.range) - 1)}"[:60]
    return execute.new_directory(store, f"{label}-{name}")


def _remove_pending(directory: Path) -> None:
    """Remove the runs that were interrupted. Results stay: there may be thousands to read."""
    for pending in directory.glob(f"*/{stored.PENDING}"):
        if SLOT.search(pending.parent.name):
            shutil.rmtree(pending.parent, ignore_errors=True)


class Campaign:
    """A bisection while it runs."""

    def __init__(
        self,
        context: Context,
        suspects: Suspects,
        question: Question,
        options: Options,
        directory: Path,
    ) -> None:
        self.context, self.suspects, self.question = context, suspects, question
        self.options, self.directory = options, directory
        self.reason = self.hint = ""
        """Why the search ends without a culprit, and what to do."""
        guests = 1 if question.kind is Kind.BUILD else 64
        self.side = execute.side_by_side([suspects.whole] * guests)
        self.known = Standing(
            context.store, suspects, question, options.confidence, directory, self.side
        )
        self._announced = False
        self._evident: set[int] = set()
        """Commits that were run only for the report."""
        self._broken = 0

    # --- what is run ---------------------------------------------------------------------------

    def search(self) -> None:
        """Run until the culprit is known, or nothing more is to be learnt."""
        range_ = self.suspects.range
        title = f"Bisecting {len(range_)} commits on {self.suspects.whole.machine.arch}"
        with log.step(title) as step:
            while following := self._next():
                self._try(*following)
                self.save()
                step.progress(
                    sum(row.told for row in self.known.rows.values()), 0, self._standing()
                )

    def _standing(self) -> str:
        """How the search stands, as text."""
        likely, chance = max(self.known.search.posterior().items(), key=lambda entry: entry[1])
        built = sum(bool(row.build) for row in self.known.rows.values())
        name, subject = self.suspects.name(likely), self.suspects.subject(likely)
        return f"{built} kernels; {name} ({subject}) with {chance:.0%}"

    def _next(self) -> tuple[int, int] | None:
        """The commit to run next, and how often; None at the end."""
        end = self.known.search.end
        if time.monotonic() >= self.options.deadline:
            return self._stop("the time for it is used up", GO_ON)
        if self.question.kind is Kind.METRIC and self.known.good is None:
            if GOOD not in self.known.rows:
                return GOOD, 1
            why = self.known.rows[GOOD].skipped
            return self._stop(f"{self.question.metric} cannot be measured at the good end: {why}")
        row = self.known.rows.get(end, Row())
        if row.skipped and not self.known.search.known():
            return self._stop(
                f"the bad end cannot be tested: {row.skipped}",
                "--build or --boot, if it does not build or boot; more --iterations, if the case"
                " proves nothing",
            )
        if not self.known.search.known():
            return self._of_bad_end(row)
        self._announce()
        if found := self.known.search.culprit():
            return self._evidence(found)
        if self._good_fails():
            return self._stop(*conclusion.good_fails(self.known))
        choice = None
        if self.known.search.runs.total < forecast.RUNS_MAX or self.question.decisive:
            choice = self.known.search.choose()
        if choice is None or (self.question.decisive and choice.commit in self.known.rows):
            return self._stop("more runs are not expected to tell more")
        return choice.commit, choice.runs

    def _good_fails(self) -> bool:
        """Whether the good end has shown itself that it is bad.

        That it fails a little less often than the bad end, and a commit between made it worse, can
        hardly be excluded by runs, and nobody asks for that commit.
        """
        row = self.known.rows.get(GOOD, Row())
        return row.failed >= FAILURES and self.known.search.posterior()[GOOD] > 0.5

    def _stop(self, reason: str, hint: str = "") -> tuple[int, int] | None:
        """End the search without a culprit."""
        self.reason, self.hint = reason, hint
        return None

    def _of_bad_end(self, row: Row) -> tuple[int, int] | None:
        """Runs of the bad end until its rate is known."""
        most, end = self.options.runs, self.known.search.end
        if self.question.decisive and row.told:
            return self._stop("the bad end does not fail", "are the ends the right way round?")
        if not row.failed and row.passed >= most:
            rate = 1 - 0.05 ** (1 / row.passed)
            return self._stop(
                f"the bad end has not failed in {row.passed} runs: it fails in less than"
                f" {rate:.1%} of them, if at all",
                "more --iterations, another --case or --schedule, or the machine options of the"
                f" run that failed; or more runs: --runs {8 * most}",
            )
        if row.told >= RARE * most:
            return self._stop(
                f"the bad end fails too rarely: in {row.failed} of {row.told} runs",
                f"more --iterations, a case that fails more often, or --runs {8 * most}",
            )
        return end, self.side

    def _evidence(self, found: Culprit) -> tuple[int, int] | None:
        """Runs that the report lacks: a failure of the culprit, and passes of its parents."""
        if len(found.commits) != 1 or found.commits == (GOOD,):
            return None
        (culprit,) = found.commits
        rate = rates.mean(self.known.search.rates()[0], rates.BAD)
        runs = 1 if self.question.decisive else min(EVIDENCE, max(1, round(3 / rate)))
        for number in (culprit, *self.suspects.parents(culprit)):
            row = self.known.rows.get(number, Row())
            enough = row.skipped or (row.failed if number == culprit else row.told)
            if not enough and number not in self._evident:
                self._evident.add(number)
                return number, runs
        return None

    def _announce(self) -> None:
        """Say what the search will cost, before it begins."""
        if self._announced:
            return
        self._announced = True
        log.note(conclusion.expectation(self.known))

    def _try(self, number: int, runs: int) -> None:
        """Run a commit so often; its first failure ends it, and a culprit that is known earlier."""
        name = f"{self.suspects.name(number)} ({self.suspects.subject(number)})"
        with log.step(name) as step:
            done = 0
            while done < runs:
                # The first run alone: two would compile a commit that does not build twice.
                is_built = number in self.known.rows and self.known.rows[number].build
                count = min(self.side, runs - done) if is_built else 1
                results = self._run(number, count)
                done += count
                before = self.known.rows[number].failed if number in self.known.rows else 0
                for result in results:
                    self.known.add(number, result)
                row = self.known.rows.get(number, Row())
                step.progress(done, runs, f"{row.failed} of {row.told} failed")
                known = self.known.search.known() and self.known.search.culprit()
                if row.skipped or row.failed > before or (known and number not in self._evident):
                    break
            if number in self.known.rows and (why := self.known.rows[number].skipped):
                step.note(f"skipped: {why}")

    def _run(self, number: int, count: int) -> list[RunResult]:
        """The results of so many runs that are not broken."""
        spec = self.suspects.spec(self.context.store, number)
        spec = replace(spec, suites=self._suites(spec))
        specs = [self._at(spec, self.known.following + place) for place in range(count)]
        suffix = f"-{self.known.following:05}-{'good' if number == GOOD else number}"
        self.known.following += count
        try:
            results = execute.execute(self.context, specs, self.directory, suffix=suffix)
        except ConfigError as error:
            if number == self.known.search.end:
                raise
            results = (_refused(specs[0], error),)
            slot = f"{spec.machine.arch}{suffix}"
            execute.store_result(results[0], self.directory / slot)
        broken = [result for result in results if result.verdict.outcome is Outcome.BROKEN]
        self._broken = self._broken + 1 if len(broken) == len(results) else 0
        if self._broken >= BROKEN:
            raise InfraError(broken[-1].verdict.reason, hint=GO_ON, detail=broken[-1].detail)
        return [result for result in results if result not in broken]

    def _suites(self, spec: RunSpec) -> tuple[Selection, ...]:
        """Only the case that fails, once it is known: a seeded case has a guest of its own."""
        wanted, seeded = self.known.wanted, isinstance(spec.machine.schedule, Seeded)
        settled = self.known.settled and self.known.search.known()
        if not seeded or not settled or wanted is None or not wanted.is_case:
            return spec.suites
        name, _, case = wanted.name.partition("/")
        return (Selection(suite=name, cases=(case,)),)

    def _at(self, spec: RunSpec, index: int) -> RunSpec:
        """With a fresh seed, so that two runs are two samples, also of two equal kernels."""
        if self.question.kind is Kind.BUILD:
            return spec
        first = spec.request.seed
        seed = first if self.question.decisive else (first + index) % (SEED_MAX + 1)
        if isinstance(spec.machine.schedule, Seeded):
            return requests.at_seed(spec, seed)
        return spec.but(seed=seed)

    def save(self) -> Bisection:
        """Store how it stands."""
        confidence = self.options.confidence
        standing = conclusion.conclude(self.known, confidence, self.reason, self.hint)
        bisection.store(standing, self.directory)
        if not self.suspects.patches:
            text = conclusion.git_log(self.known, confidence)
            write_whole(self.directory / bisection.LOG, text.encode())
        return standing


def _refused(spec: RunSpec, error: ConfigError) -> RunResult:
    """The result of a commit that cannot be configured."""
    return RunResult(
        machine=spec.machine,
        provenance=provenance(spec),
        ended=pipeline.now(),
        verdict=Verdict(outcome=Outcome.INCONCLUSIVE, reason=error.message),
        detail=error.detail,
    )
