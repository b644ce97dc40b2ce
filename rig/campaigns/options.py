# SPDX-License-Identifier: GPL-2.0-only
"""The options of a run: each one once, with its name, default, help and limits.

The verbs, pytest and the user's config.toml take their options from here, and the "run it again"
commands are written from here. A new option is a field of What, Where or How.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, get_args, get_origin

import platformdirs

from rig.errors import ConfigError

NUMBER_MAX = 2**63 - 1
"""QEMU's -icount seed and the suites' are signed 64-bit numbers."""


def option(default: Any, help: str, **facts: Any) -> Any:
    """A field of a group. Facts: `flag` if it is not the field's name, `limits` (least, most),
    `choices`, `off`, the flag that turns it off, and `unset`, the flag that leaves the choice to
    the kernel. An empty text sets every other option back."""
    return field(default=default, metadata={"help": help, **facts})


@dataclass(frozen=True, kw_only=True)
class What:
    """Which kernel is tested."""

    target: str
    base: str = option("", "Base to apply the series to [default: the series' own].")
    tree: Path | None = option(None, "Your git tree, never modified; bases are its revisions.")
    flavour: str = option("base", "Kernel flavour: a file of kconfigs/flavour/.")
    mutant: str = option("", "Break this rule of the kernel first.")
    each_patch: bool = option(
        False, "Build after every patch; run after the last.", off="--no-each-patch"
    )
    after: tuple[str, ...] = option(
        (), "With --each-patch: also run after these patches: 1,3 or all."
    )
    unconfined: bool = option(
        False,
        "Run a series without the sandbox, where it does not work (docs/security.md).",
        off="--no-unconfined",
    )


@dataclass(frozen=True, kw_only=True)
class Where:
    """On which machines."""

    arch: tuple[str, ...] = option(("x86_64",), "Architectures, comma-separated.")
    accel: str = option("auto", "auto, kvm or tcg.", choices=("auto", "kvm", "tcg"))
    schedule: str = option(
        "live",
        "live, or seeded: the same seed gives the same run, byte for byte.",
        choices=("live", "seeded"),
    )
    # The suites keep one CPU for reclaim and need at least one more to race with it; the kernels
    # are built for 8.
    cpus: int = option(4, "CPUs of the guest.", limits=(2, 8))
    memory: int = option(1024, "Memory of the guest, MiB.", limits=(512, 65536))
    zram: int = option(512, "Swap on zram, MiB.", limits=(0, 65536))
    swap_disk: int = option(256, "Swap on a virtio disk, MiB.", limits=(0, 65536))
    lru_gen: bool | None = option(
        None,
        "MGLRU, or the classic LRU [default: the kernel's choice].",
        off="--no-lru-gen",
        unset="--default-lru",
    )


@dataclass(frozen=True, kw_only=True)
class How:
    """Which tests, and how much of them."""

    suites: tuple[str, ...] = option(
        (),
        "Suites, comma-separated [default: all except kselftest_mm and bench].",
        flag="--suite",
    )
    cases: tuple[str, ...] = option(
        (),
        "Cases, comma-separated: CASE or SUITE/CASE [default: all of the suites].",
        flag="--case",
    )
    promises: tuple[str, ...] = option(
        (), "Cases that this kernel must pass, whatever its version.", flag="--promise"
    )
    seed: int = option(
        1,
        "Seed of the suites' programs; with --schedule seeded, of the whole guest.",
        limits=(0, NUMBER_MAX),
    )
    iterations: int = option(
        0, "Iterations of every case [default: the case's own].", limits=(0, 10**9)
    )
    pages: int = option(
        0, "Pages per case, where supported [default: the case's own].", limits=(0, 4096)
    )
    repeat: int = option(1, "Boot and run this many times.", limits=(1, 1000))
    blame: bool = option(
        True,
        "After a FAIL of a series, find out whether its base fails too, and which patch is the"
        " first that fails.",
        off="--no-blame",
    )


@dataclass(frozen=True, kw_only=True)
class Request(What, Where, How):
    """All options, as the user wrote them; the names in it are not checked yet."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Option:
    """One field of a group, as the command line, pytest and config.toml need it."""

    name: str
    group: str
    """The group's docstring, which is its heading in `--help`."""
    kind: type
    """The type of one value: str, int, bool or Path."""
    several: bool
    """It takes a comma-separated list."""
    default: Any
    help: str
    flag: str
    off: str
    unset: str
    limits: tuple[int, int] | None
    choices: tuple[str, ...]

    def parsed(self, value: Any) -> Any:
        """The field's value, from the text of a command line or a file."""
        return comma(value) if self.several and isinstance(value, str) else value

    def written(self, value: Any) -> Any:
        """The opposite: the text of a command line or a file, from the field's value."""
        return ",".join(value) if self.several else value

    def words(self, value: Any) -> list[str]:
        """The arguments that set this value."""
        if self.kind is bool:
            return [self.unset if value is None else self.flag if value else self.off]
        return [self.flag, "" if value is None else str(self.written(value))]


def comma(text: str) -> tuple[str, ...]:
    """The items of a comma-separated text. Raises ConfigError if it has commas only."""
    items = tuple(word.strip() for word in text.split(",") if word.strip())
    if "," in text and not items:
        raise ConfigError(f"{text!r} names nothing", hint="a comma-separated list is like a,b")
    return items


def check_limits(request: Request) -> None:
    """Raise ConfigError for a number that is out of its range."""
    for name, entry in OPTIONS.items():
        if entry.limits is not None:
            check_range(entry.flag, getattr(request, name), *entry.limits)


def check_range(flag: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:  # a NaN is in no range
        shown = "of this size" if abs(value) > 10**20 else f"{value}"
        raise ConfigError(f"{flag} {shown} is out of range", hint=f"{least} to {most}")


def _options() -> dict[str, Option]:
    table = {}
    for group in (What, Where, How):
        for entry in fields(group):
            if entry.default is MISSING:  # the target, which is an argument
                continue
            facts: Mapping[str, Any] = entry.metadata
            several = get_origin(entry.type) is tuple
            # The type itself, or the first of tuple[str, ...] and Path | None.
            kind: Any = next(iter(get_args(entry.type)), entry.type)
            table[entry.name] = Option(
                name=entry.name,
                group=f"{group.__doc__}".rstrip("."),
                kind=kind,
                several=several,
                default=entry.default,
                help=facts["help"],
                flag=facts.get("flag", f"--{entry.name.replace('_', '-')}"),
                off=facts.get("off", ""),
                unset=facts.get("unset", ""),
                limits=facts.get("limits"),
                choices=facts.get("choices", ()),
            )
    return table


OPTIONS = _options()
"""Field -> option, in the order of `--help` and of the commands that the rig writes."""


_WHERE, _HOW = (tuple(entry.name for entry in fields(group)) for group in (Where, How))
_EACH_PATCH = ("each_patch", "after")
LEFT_OUT: Mapping[str, tuple[str, ...]] = {
    "run": (),
    "mutate": ("mutant", "blame", *_EACH_PATCH),
    "bench": ("mutant", *_EACH_PATCH, *_HOW),
    "build": (*(name for name in _WHERE if name != "arch"), *_EACH_PATCH, *_HOW),
    "shell": ("schedule", *_EACH_PATCH, *_HOW),
    "bisect": ("mutant", "repeat", "blame", *_EACH_PATCH),
    "explore": ("accel", "schedule", "seed", "repeat", "blame", *_EACH_PATCH),
    "b4-check": tuple(name for name in OPTIONS if name not in ("arch", "tree")),
}
"""Verb -> options that it does not have: it boots nothing, or it runs no tests or its own."""


def config_file() -> Path:
    """The user's own defaults (rig/cli/defaults.py)."""
    return platformdirs.user_config_path("rig") / "config.toml"


def _configured() -> set[str]:
    """The options for which the user has another default, or could have."""
    try:
        document = tomllib.loads(config_file().read_text())
    except (OSError, ValueError):
        return set()
    return {name for name, entry in OPTIONS.items() if entry.flag.removeprefix("--") in document}


def command(request: Request, verb: str = "run") -> list[str]:
    """The command line for this request: all options of the verb that are not the rig's default.

    An option that is in the user's config.toml is always written: the command does the same with
    this file and without it.
    """
    words, configured = ["rig", verb, request.target], _configured()
    for name, entry in OPTIONS.items():
        value = getattr(request, name)
        if name not in LEFT_OUT[verb] and (value != entry.default or name in configured):
            words += entry.words(value)
    return words
