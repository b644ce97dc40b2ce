# SPDX-License-Identifier: GPL-2.0-only
"""`Bisection`: what `rig bisect` has found, or has found so far, as it is stored."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydantic

from rig.campaigns import stored
from rig.campaigns.inquiry import Question
from rig.campaigns.options import Request
from rig.errors import ConfigError
from rig.store import Store, write_whole
from rig.verdict.rules import Outcome

FILE, LOG = "bisection.json", "git-bisect.log"
DIRECTORY = "*-bisect-*"


@dataclass(frozen=True, kw_only=True, slots=True)
class Tested:
    """A commit that was built, or was to be."""

    name: str
    subject: str
    failed: int
    passed: int
    seconds: float
    """Of its guests."""
    build_seconds: float
    """0 if the store had the kernel."""
    bad: float
    """How likely it has the fault."""
    skipped: str = ""
    """Why it cannot be tested."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Suspect:
    """How likely a commit is the culprit."""

    name: str
    subject: str
    chance: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """Runs that anybody can repeat."""

    name: str
    runs: int
    seeds: tuple[int, ...]
    """Seeds that fail at the culprit, or that pass at its parent; empty without seeds."""
    again: tuple[str, ...]
    """The command that runs them again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Culprit:
    name: str
    commit: str
    subject: str
    author: str
    link: str
    diffstat: str
    chance: float
    failing: Evidence | None
    passing: tuple[Evidence, ...]
    """Of each of its parents."""
    same_kernel: bool
    """Its kernel image is byte for byte that of a parent."""
    mail: str = ""
    """The headers of the mail that it was sent in, for `rig reply`; empty if that is not known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bisection:
    request: Request
    good: str
    bad: str
    paths: tuple[str, ...]
    first_parent: bool
    commits: int
    arch: str
    schedule: str
    question: Question
    confidence: float
    signature: str
    """The failure that is looked for; empty before one was seen."""
    headline: str
    """How one run shows it."""
    runs: int
    """Of bad commits."""
    failures: int
    rate: float
    low: float
    high: float
    """95 % interval of the rate."""
    tested: tuple[Tested, ...]
    """In the order in which they were tested."""
    others: tuple[str, ...]
    """Failures that are not the one that is looked for."""
    suspects: tuple[Suspect, ...]
    """The most likely commits, and all that are the answer."""
    culprit: Culprit | None
    reason: str
    """Why there is no culprit; empty if there is one."""
    hint: str = ""
    builds: int
    guests: int

    @property
    def outcome(self) -> Outcome:
        """PASS: the culprit was found. Anything else proves nothing."""
        found = self.culprit is not None and not self.culprit.same_kernel
        return Outcome.PASS if found else Outcome.INCONCLUSIVE


_BISECTION = pydantic.TypeAdapter(Bisection)


def store(bisection: Bisection, directory: Path) -> None:
    write_whole(directory / FILE, _BISECTION.dump_json(bisection, indent=1))


def load(directory: Path) -> Bisection | None:
    """The bisection stored in the directory; None if another campaign is stored there."""
    path = directory / FILE
    return stored.read(path, _validated) if path.is_file() else None


def _validated(document: Any) -> Bisection:
    return _BISECTION.validate_python(document)


def log(store: Store, name: str = "") -> str:
    """The log of a bisection for `git bisect replay`: of the newest one without a name."""
    everything = sorted((store.root / "runs").glob(f"{DIRECTORY}/{FILE}"))
    matches = [path.parent for path in everything if name in path.parent.name]
    if not matches:
        names = ", ".join(path.parent.name for path in everything[-4:])
        raise ConfigError(
            f"there is no bisection named {name!r}" if name else "there is no bisection yet",
            hint=f"known: {names}" if names else "rig bisect GOOD BAD --tree PATH makes one",
        )
    if not (path := matches[-1] / LOG).is_file():
        raise ConfigError(
            f"{matches[-1].name} is of the patches of a series, which `git bisect` does not know",
            hint=f"rig report {matches[-1].name}",
        )
    return path.read_text()
