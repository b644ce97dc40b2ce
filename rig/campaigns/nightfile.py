# SPDX-License-Identifier: GPL-2.0-only
"""The file of a night, as values: what is tested, for how long, and who gets the digest.

docs/nightly.toml is an example with every key. An error names the line and the key.
"""

import re
import tomllib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import pydantic

from rig import arch as arches
from rig.benches import benchmark
from rig.campaigns import gc
from rig.campaigns.options import OPTIONS, check_range
from rig.errors import ConfigError, RigError, unknown
from rig.kernel import flavour
from rig.series import model
from rig.shelves import Shelves
from rig.suites import suite

Names = tuple[str, ...]
Schedule = Literal["live", "seeded"]
EXAMPLE = "docs/nightly.md explains every key"
BUDGET = re.compile(r"(?:(\d{1,3})h)? ?(?:(\d{1,4})m)?")
NAME = re.compile(r"[\w.-]{1,40}")
OPTION_KEYS = tuple(
    entry.flag.removeprefix("--")
    for name, entry in OPTIONS.items()
    if name in ("accel", "cpus", "memory", "zram", "swap_disk", "iterations", "pages", "unconfined")
)
"""Options of a run that [options] may set; the matrix has its own keys."""


class Table(pydantic.BaseModel):
    """A table of the file. A key that it does not have is an error."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Git(Table):
    """Branches and tags of a git tree."""

    path: Path
    fetch: str = "origin"
    """The remote that is fetched first, into the store; empty: none."""
    branches: Names = ()
    """Revisions, as git takes them: origin/mm-unstable."""
    tags: Names = ()
    """Patterns of `git tag --list`: the newest tag of each is tested."""


class Shelf(Table):
    """Series of patches/."""

    series: Names = pydantic.Field(min_length=1)
    """Names, or `all`."""
    revisions: Literal["newest", "all"] = "newest"
    base: str = ""
    tree: Path | None = None


class Matrix(Table):
    """Every combination of these is run, on every tree."""

    arch: Names = pydantic.Field(default=("x86_64",), min_length=1)
    flavours: Names = pydantic.Field(default=("base",), min_length=1)
    lru: tuple[Literal["default", "classic", "mglru"], ...] = pydantic.Field(
        default=("default",), min_length=1
    )
    suites: Names = ()
    """All except kselftest_mm and bench, if it is empty."""
    schedules: tuple[Schedule, ...] = pydantic.Field(default=("live",), min_length=1)
    live_runs: int = pydantic.Field(default=1, ge=1, le=1000)
    seeds: int = pydantic.Field(default=4, ge=1, le=1000)


class Bench(Table):
    """Benchmarks, on every tree, architecture, flavour and LRU of the first matrix."""

    names: Names = pydantic.Field(min_length=1)
    schedules: tuple[Schedule, ...] = pydantic.Field(default=("seeded",), min_length=1)
    rounds: int = pydantic.Field(default=3, ge=1, le=100)


class Mail(Table):
    """Where the digest goes; nowhere but stdout, if it is empty."""

    file: Path | None = None
    maildir: Path | None = None
    sendmail: str = ""
    """A program that reads a mail on stdin, like /usr/sbin/sendmail."""
    to: str = ""
    sender: str = pydantic.Field(default="rig@localhost", alias="from")


class Gc(Table):
    """What `rig gc --remove` does after the night."""

    keep_days: float = pydantic.Field(default=gc.DAYS, ge=0, lt=gc.DAYS_MOST)
    max_size: float = pydantic.Field(default=0.0, ge=0, lt=gc.GIB_MOST)
    """GiB; 0: no limit."""


class NightFile(Table):
    name: str = ""
    budget: str = "8h"
    start: str = "22:00"
    """When the timer of `rig nightly install` starts it."""
    site: Path | None = None
    """Where `rig site` is written after the night."""
    bases: Names = ()
    git: tuple[Git, ...] = ()
    shelf: Shelf | None = None
    matrix: tuple[Matrix, ...] = pydantic.Field(default=(Matrix(),), min_length=1)
    bench: Bench | None = None
    options: dict[str, Any] = {}
    mail: Mail = Mail()
    gc: Gc | None = None

    @property
    def seconds(self) -> float:
        """The budget."""
        match = BUDGET.fullmatch(self.budget)
        hours, minutes = (int(part or 0) for part in match.groups()) if match else (0, 0)
        return 3600.0 * hours + 60.0 * minutes

    @property
    def asked(self) -> dict[str, Any]:
        """The options, as fields of a Request."""
        by_key = {entry.flag.removeprefix("--"): entry.name for entry in OPTIONS.values()}
        return {by_key[key]: value for key, value in self.options.items()}


def load(path: Path, shelves: Shelves) -> NightFile:
    """The file, checked: every name in it exists. Raises ConfigError with the line and the key."""
    try:
        text = path.read_text()
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}", hint="it is not TOML (https://toml.io)") from error
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", "") or error
        raise ConfigError(f"{path} cannot be read: {why}", hint=EXAMPLE) from error
    try:
        file = NightFile.model_validate(document)
    except pydantic.ValidationError as error:
        complaints = [_complaint(one) for one in error.errors()]
    else:
        complaints = list(_check(file, shelves))
    if complaints:
        told = [(*_told(path, text, where, what), what.hint) for where, what in complaints]
        (_, first, hint), *others = sorted(told)
        raise ConfigError(first, hint=hint or EXAMPLE, detail="\n".join(one[1] for one in others))
    home = path.absolute().parent
    return _absolute(file.model_copy(update={"name": file.name or _stem(path)}), home)


def _stem(path: Path) -> str:
    return re.sub(r"[^\w.-]+", "-", path.stem)[:40] or "night"


def _absolute(file: NightFile, home: Path) -> NightFile:
    """The file with its paths from its own directory, and ~ as the user's home."""

    def whole(path: Path | None) -> Path | None:
        return home / path.expanduser() if path else None

    return file.model_copy(
        update={
            "site": whole(file.site),
            "git": tuple(one.model_copy(update={"path": whole(one.path)}) for one in file.git),
            "shelf": file.shelf and file.shelf.model_copy(update={"tree": whole(file.shelf.tree)}),
            "mail": file.mail.model_copy(
                update={"file": whole(file.mail.file), "maildir": whole(file.mail.maildir)}
            ),
        }
    )


# --- errors ------------------------------------------------------------------------------------

Where = tuple[str | int, ...]
"""Keys and places in arrays, down to what is wrong."""
Complaint = tuple[Where, ConfigError]
TABLES: dict[str, type[Table]] = {
    "git": Git, "shelf": Shelf, "matrix": Matrix, "bench": Bench, "mail": Mail,
    "gc": Gc,
}  # fmt: skip


def _complaint(error: Any) -> Complaint:
    """One of pydantic's errors."""
    where: Where = error["loc"]
    key = str(where[-1])
    if error["type"] == "extra_forbidden":
        table = TABLES.get(str(where[0]), NightFile) if len(where) > 1 else NightFile
        names = (field.alias or name for name, field in table.model_fields.items())
        return where, unknown("key", key, names)
    if error["type"] == "missing":
        return where[:-1], ConfigError(f"the key {key!r} is missing")
    if error["type"] == "literal_error":
        choices = re.findall(r"'([^']+)'", error["ctx"]["expected"])
        return where, unknown("value", str(error["input"]), choices)
    return where, ConfigError(error["msg"])


def _check(file: NightFile, shelves: Shelves) -> Iterator[Complaint]:
    """What pydantic does not know: the names that exist."""
    if file.name and not NAME.fullmatch(file.name):
        yield ("name",), ConfigError("a name has letters, digits, '.', '_' and '-' only")
    if not file.seconds:
        yield ("budget",), ConfigError(f"{file.budget!r} is no time", hint="like 4h, 90m or 1h30m")
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", file.start):
        yield ("start",), ConfigError(f"{file.start!r} is no time of day", hint="like 22:00")
    if not (file.bases or file.git or file.shelf):
        yield (), ConfigError("there is nothing to test", hint="bases, [[git]] or [shelf]")
    for place, tree in enumerate(file.git):
        if not (tree.branches or tree.tags):
            yield ("git", place), ConfigError("a tree needs branches or tags")
    yield from _check_names(file, shelves)
    for key, value in file.options.items():
        if key not in OPTION_KEYS:
            yield ("options", key), unknown("option", key, OPTION_KEYS)
        elif wrong := _wrong_option(key, value):
            yield ("options", key), wrong
    if file.mail.sendmail and not file.mail.to:
        yield ("mail", "sendmail"), ConfigError("sendmail needs `to`, the address of the reader")
    for key, address in (("to", file.mail.to), ("from", file.mail.sender)):
        if not address.isprintable():
            yield ("mail", key), ConfigError("an address is one line")


def _check_names(file: NightFile, shelves: Shelves) -> Iterator[Complaint]:
    flavours = flavour.names(shelves.kconfigs)
    for place, matrix in enumerate(file.matrix):
        at: Where = ("matrix", place)
        for number, name in enumerate(matrix.arch):
            try:
                arches.pick(name)
            except RigError as error:
                yield (*at, "arch", number), ConfigError(error.message, hint=error.hint)
        yield from _each((*at, "flavours"), matrix.flavours, "flavour", flavours)
        yield from _each((*at, "suites"), matrix.suites, "suite", suite.known())
    if file.bench:
        yield from _each(("bench", "names"), file.bench.names, "benchmark", benchmark.known())
    if file.shelf:
        names = (*model.names(shelves.patches), "all")
        yield from _each(("shelf", "series"), file.shelf.series, "series", names)


def _each(
    at: Where, names: Sequence[str], kind: str, known: Collection[str]
) -> Iterator[Complaint]:
    for number, name in enumerate(names):
        if name not in known:
            yield (*at, number), unknown(kind, name, known)


def _wrong_option(key: str, value: Any) -> ConfigError | None:
    entry = next(one for one in OPTIONS.values() if one.flag == f"--{key}")
    kinds = {int: "a number", bool: "true or false"}
    if type(value) is not entry.kind:
        return ConfigError(f"{value!r} is not {kinds.get(entry.kind, 'a text in quotes')}")
    if entry.choices and value not in entry.choices:
        return unknown("value", str(value), entry.choices)
    try:
        if entry.limits:
            check_range(key, int(str(value)), *entry.limits)
    except ConfigError as error:
        return error
    return None


def _told(path: Path, text: str, where: Where, what: RigError) -> tuple[int, str]:
    line = line_of(text, where)
    keys = ".".join(str(part) for part in where if isinstance(part, str))
    return line, f"{path}:{line}: {keys + ': ' * bool(keys)}{what.message}"


HEADER = re.compile(r"\s*(\[\[?)\s*([\w\"'.\s-]+?)\s*\]\]?\s*(?:#.*)?")
KEY = re.compile(r"\s*([\w\"'.-]+)\s*=")


def line_of(text: str, where: Where) -> int:
    """The line of a key of TOML, or of the value at a place in its array. tomllib does not tell.

    Of what is not found, the line of the table that it is in.
    """
    table: Where = ()
    seen: dict[str, int] = {}
    best, line = 0, 1
    for number, content in enumerate(text.splitlines(), 1):
        if match := HEADER.fullmatch(content):
            names = _parts(match[2])
            table = names
            if match[1] == "[[":
                place = seen.get(match[2], 0)
                seen[match[2]] = place + 1
                table = (*names, place)
            key = table
        elif match := KEY.match(content):
            key = (*table, *_parts(match[1]))
        else:
            continue
        if key == where[: len(key)] and len(key) > best:
            best, line = len(key), number
    return line + _further(text.splitlines()[line - 1 :], where[best:])


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip(" \t\"'") for part in dotted.split("."))


def _further(lines: Sequence[str], rest: Where) -> int:
    """Lines from an array's key to its value at a place."""
    if not rest or not isinstance(rest[0], int):
        return 0
    left = rest[0]
    for number, content in enumerate(lines):
        values = len(re.findall(r"\"[^\"]*\"|'[^']*'", content.partition("#")[0]))
        if left < values:
            return number
        left -= values
    return 0
