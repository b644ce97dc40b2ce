# SPDX-License-Identifier: GPL-2.0-only
"""`rig nightly`: runs the plan of a night, as far as its budget goes.

The plan is stored before the first run, and each run has its directory from then on: PENDING says
which are to be run. So a night that was killed goes on where it was, and runs nothing twice.

Each run is stored and recorded like every other one, in a night of the history that has its name.
"""

import contextlib
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pydantic

from rig import log
from rig.campaigns import execute, failures, nightplan, record, stored
from rig.campaigns import request as requests
from rig.campaigns.failures import BOOT, BUILD
from rig.campaigns.nightfile import NightFile
from rig.campaigns.nightplan import Job, Plan, Row
from rig.campaigns.results import RunResult, RunSpec
from rig.context import Context
from rig.errors import ConfigError, InfraError, RigError
from rig.guest.qemu import Seeded
from rig.history import database, queries, unread
from rig.history import night as nights
from rig.history.night import Change
from rig.store import Store, write_whole
from rig.verdict.rules import Outcome

FILE = unread.NIGHT
LOCK = "nightly"
GO_ON = 18 * 3600.0
"""Seconds. A night that was interrupted goes on, unless the next one is due."""
NEWEST = 16
"""Nights that are looked at."""
OUT_OF_TIME = "the budget was used up"
BATCH = 4
"""So many runs for each guest that fits are begun together: then the budget is looked at again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Night:
    """A night, as it is stored."""

    name: str
    """In the history: 2026-11-28 mm."""
    began: str
    budget: float
    plan: Plan
    ended: str = ""
    left: tuple[tuple[str, str], ...] = ()
    """Slots of what was not run, each with the reason."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Morning:
    """What a night has shown."""

    night: Night
    directory: Path
    outcomes: tuple[Outcome, ...]
    """Of each run."""
    changes: tuple[Change, ...]
    seconds: float

    @property
    def worse(self) -> tuple[Change, ...]:
        return tuple(each for each in self.changes if each.finding.new and each.finding.kind.worse)

    @property
    def outcome(self) -> Outcome:
        """FAIL: something got worse. BROKEN, INCONCLUSIVE: the night says nothing."""
        if self.worse:
            return Outcome.FAIL
        if any(outcome is not Outcome.BROKEN for outcome in self.outcomes):
            return Outcome.PASS
        reasons = {reason for _, reason in self.night.left}
        out_of_time = not self.outcomes and not self.night.plan.trouble
        return Outcome.INCONCLUSIVE if out_of_time and reasons == {OUT_OF_TIME} else Outcome.BROKEN


@contextlib.contextmanager
def run(context: Context, file: NightFile) -> Iterator[Morning]:
    """Run the night, or what is left of it. It has ended when the context ends without an error:
    until then, the same call goes on with it.

    Raises ConfigError if another night is running.
    """
    with _alone(context.store):
        night, directory = _find(context.store, file) or _begin(context, file)
        _mend(context.store, directory)
        left = Run(context, night, directory).run()
        _mend(context.store, directory)
        night = replace(night, left=left)
        yield morning(context.store, night, directory)
        for slot, _ in left:
            shutil.rmtree(directory / slot, ignore_errors=True)
        _store(replace(night, ended=_now()), directory)


@contextlib.contextmanager
def _alone(store: Store) -> Iterator[None]:
    store.ready()
    with store.at_once(LOCK) as free:
        if not free:
            file = store.root / "locks" / f"{LOCK}.lock"
            raise ConfigError(
                f"another night is running in {store.root}",
                hint=f"wait until it has ended; `fuser {file}` names its process",
            )
        yield


# --- the night ---------------------------------------------------------------------------------


def _find(store: Store, file: NightFile) -> tuple[Night, Path] | None:
    """The night of this file that was interrupted not long ago."""
    # More than one: after a clock that was set back, the newest is not the last.
    for directory in reversed(_directories(store, file.name)[-NEWEST:]):
        night = load(directory)
        if night is None or night.name.split()[1:2] != [file.name]:
            continue
        if not night.ended and _since(night.began) <= GO_ON:
            log.note(f"the night {night.name} was interrupted: going on")
            return night, directory
    return None


def _directories(store: Store, name: str) -> list[Path]:
    return sorted((store.root / "runs").glob(f"*-nightly-{name}*/"))


def _begin(context: Context, file: NightFile) -> tuple[Night, Path]:
    for directory in _directories(context.store, file.name):
        with contextlib.suppress(OSError):  # killed before the plan was stored: nothing is in it
            directory.rmdir()
    record.import_new(context.store)
    with database.reading(context.store) as connection:
        name = _name(file.name, queries.nights(connection), _now()[:10])
    began = _now()
    with log.step(f"Planning the night {name}"):
        plan = nightplan.make(context, file, name)
    night = Night(name=name, began=began, budget=file.seconds, plan=plan)
    directory = execute.new_directory(context.store, f"nightly-{file.name}")
    _store(night, directory)
    return night, directory


def _name(file: str, known: Sequence[str], day: str) -> str:
    """The day and the file. Names sort by time, also if the clock was set back."""
    own = [name for name in known if name.split()[1:2] == [file]]
    newest = max(own, default="")
    if newest[:10] > day:
        log.note(f"the clock says {day}, and the last night was {newest}: it was set back")
    day = max(day, newest[:10])
    name = f"{day} {file}"
    count = sum(each[:10] == day for each in own)
    return f"{name} {count + 1:03}" if count else name


def _mend(store: Store, directory: Path) -> None:
    """What was stored before a kill, and is not in the history."""
    if any(directory.glob(f"*/{execute.RESULT}")):
        with contextlib.suppress(InfraError), log.step("Looking at what is stored"):
            record.import_all(store, [directory])


# --- its runs ----------------------------------------------------------------------------------


@dataclass(slots=True)
class Run:
    """A night while it runs."""

    context: Context
    night: Night
    directory: Path
    dead: dict[tuple[str, ...], str] = field(default_factory=dict)
    """Kernels that do not build, and rows whose kernel does not boot, with the reason."""
    specs: dict[int, RunSpec] = field(default_factory=dict)
    """Of each row."""
    left: dict[str, str] = field(default_factory=dict)
    _began: float = 0.0
    """When this process began with it; monotonic."""
    _spent: float = 0.0
    """Seconds of the night until then."""

    def run(self) -> tuple[tuple[str, str], ...]:
        """Run what is pending; returns the slots that were left out, with the reasons."""
        self._began, self._spent = time.monotonic(), max(0.0, _since(self.night.began))
        pending = [job for job in self.night.plan.jobs if self._is_pending(job)]
        done = len(self.night.plan.jobs) - len(pending)
        with log.step(f"Night {self.night.name}") as step:
            while pending:
                batch = self._batch(pending)
                if batch:
                    self._execute(batch)
                done += max(1, len(batch))
                pending = pending[max(1, len(batch)) :]
                step.progress(done, len(self.night.plan.jobs))
        return tuple(self.left.items())

    def _is_pending(self, job: Job) -> bool:
        slot = self.directory / job.slot
        try:
            self._learn(job, execute.load(slot / execute.RESULT))
        except InfraError:  # there is none, or it is damaged
            shutil.rmtree(slot, ignore_errors=True)
            slot.mkdir()
            (slot / stored.PENDING).touch()
            return True
        (slot / stored.PENDING).unlink(missing_ok=True)
        return False

    def _batch(self, pending: Sequence[Job]) -> list[Job]:
        """The next runs, all of one kernel; none if the first of them cannot be run."""
        row = self._row(pending[0])
        if reason := self._reason(pending[0]):
            self.left[pending[0].slot] = reason
            return []
        batch = [pending[0]]
        width = execute.side_by_side([self._spec(pending[0])] * len(pending))
        before = (row.seconds or 0.0) / width
        # A benchmark is alone on the host.
        for job in pending[1 : 1 if row.bench else BATCH * width]:
            other = self._row(job)
            if other.kernel != row.kernel or other.bench or self._reason(job, before):
                break
            batch.append(job)
            before += (other.seconds or 0.0) / width
        return batch

    def _reason(self, job: Job, before: float = 0.0) -> str:
        """Why a run is left out; `before`: seconds of what is to be run before it."""
        row = self._row(job)
        for key in (row.kernel, (*row.kernel, str(job.row))):
            if key in self.dead:
                return self.dead[key]
        left = self.night.budget - self._spent - (time.monotonic() - self._began)
        if left <= before + (row.seconds or 0.0):
            return OUT_OF_TIME
        try:
            self._spec(job)
        except RigError as error:
            self.dead[(*row.kernel, str(job.row))] = error.message
            return error.message
        return ""

    def _execute(self, batch: Sequence[Job]) -> None:
        specs = [self._spec(job) for job in batch]
        names = [job.slot for job in batch]
        try:
            results = execute.execute(self.context, specs, self.directory, names=names)
        except RigError as error:
            log.note(f"{self._row(batch[0]).label}: {error.message}")
            self.dead[self._row(batch[0]).kernel] = error.message
            for job in batch:
                if not (self.directory / job.slot / execute.RESULT).is_file():
                    self.left[job.slot] = error.message
            return
        for job, result in zip(batch, results, strict=True):
            self._learn(job, result)

    def _learn(self, job: Job, result: RunResult) -> None:
        """A kernel that does not build or boot is not tried again in this night."""
        row = self._row(job)
        names = {failure.name for failure in failures.of(result)}
        if not result.provenance.build or BUILD in names:
            self.dead[row.kernel] = f"it was not built: {result.verdict.reason}"
        elif BOOT in names:
            self.dead[(*row.kernel, str(job.row))] = f"it did not boot: {result.verdict.reason}"

    def _row(self, job: Job) -> Row:
        return self.night.plan.rows[job.row]

    def _spec(self, job: Job) -> RunSpec:
        if job.row not in self.specs:
            self.specs[job.row] = nightplan.spec_of(self.context, self._row(job))
        spec = self.specs[job.row]
        seeded = isinstance(spec.machine.schedule, Seeded)
        return requests.at_seed(spec, job.seed) if seeded else spec.but(seed=job.seed)


# --- what it has shown -------------------------------------------------------------------------


def morning(store: Store, night: Night, directory: Path) -> Morning:
    """Of a night that has ended, or as far as it has come."""
    until = datetime.fromisoformat(night.ended) if night.ended else datetime.now(UTC)
    seconds = (until - datetime.fromisoformat(night.began)).total_seconds()
    outcomes = []
    for job in night.plan.jobs:
        if (path := directory / job.slot / execute.RESULT).is_file():
            outcomes.append(execute.load(path).verdict.outcome)
    with database.reading(store) as connection:
        changes = nights.changed(connection, night.name)
    return Morning(
        night=night,
        directory=directory,
        outcomes=tuple(outcomes),
        changes=changes,
        seconds=max(0.0, seconds),
    )


def load(directory: Path) -> Night | None:
    """The night stored in the directory; None if another campaign is stored there."""
    path = directory / FILE
    return stored.read(path, _NIGHT.validate_python) if path.is_file() else None


def _store(night: Night, directory: Path) -> None:
    write_whole(directory / FILE, _NIGHT.dump_json(night, indent=1))


_NIGHT = pydantic.TypeAdapter(Night)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _since(time: str) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(time)).total_seconds()
