# SPDX-License-Identifier: GPL-2.0-only
"""Kernel configuration: reads fragments, merges them, and checks a .config against them."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from rig.errors import ConfigError

SETTING = re.compile(r"CONFIG_(?P<symbol>[A-Za-z0-9_]+)=(?P<value>.*)")
UNSET = re.compile(r"# CONFIG_(?P<symbol>[A-Za-z0-9_]+) is not set")
VALUE = re.compile(r'[ynm]|-?[0-9]+|0[xX][0-9a-fA-F]+|"(?:[^"\\]|\\.)*"')


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """One line of a fragment. The value is as in .config; `n` means "is not set"."""

    symbol: str
    """With CONFIG_."""
    value: str
    fragment: str
    line: int
    where_known: bool = False
    """Requested only from kernels that have the symbol."""

    def __str__(self) -> str:
        return f"{self.symbol}={self.value}"

    @property
    def where(self) -> str:
        return f"{self.fragment}:{self.line}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Fragment:
    name: str
    settings: tuple[Setting, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Missing:
    """A requested setting that a .config does not have."""

    setting: Setting
    got: str | None
    """The value in the .config. None if it does not mention the symbol: then the symbol does not
    exist or cannot be set."""

    def __str__(self) -> str:
        got = "not in .config" if self.got is None else f"is {self.got} in .config"
        return f"{self.setting} requested at {self.setting.where}: {got}"


def parse_fragment(name: str, text: str) -> Fragment:
    """Read a fragment. The kernel takes `=yes # perhaps` for y and ignores lines that it cannot
    read; here both are errors.

    A line with a `?` before it is requested only from kernels that have the symbol. Raises
    ConfigError with the number of the line.
    """
    settings = []
    for number, stripped in enumerate(map(str.strip, text.splitlines()), 1):
        where_known = stripped.startswith("?")
        line = stripped.removeprefix("?")
        if match := SETTING.fullmatch(line):
            value = match["value"].strip()
            if not VALUE.fullmatch(value):
                raise ConfigError(
                    f"{name}:{number}: {line!r} has no valid Kconfig value",
                    hint='write y, n, m, a number or a "string"; a comment needs its own line',
                )
        elif match := UNSET.fullmatch(line):
            value = "n"
        elif not where_known and (not line or line.startswith("#")):
            continue
        else:
            raise ConfigError(
                f"{name}:{number}: {line!r} is not a line of a config fragment",
                hint="write CONFIG_X=y, # CONFIG_X is not set, or a comment",
            )
        symbol = f"CONFIG_{match['symbol']}"
        settings.append(
            Setting(symbol=symbol, value=value, fragment=name, line=number, where_known=where_known)
        )
    fragment = Fragment(name=name, settings=tuple(settings))
    merge((fragment,))
    return fragment


def merge(fragments: Iterable[Fragment]) -> tuple[Setting, ...]:
    """The settings of all fragments, each symbol once, in the order in which they come first.

    Later fragments do not override earlier ones: a contradiction raises ConfigError that names both
    lines.
    """
    merged: dict[str, Setting] = {}
    for fragment in fragments:
        for setting in fragment.settings:
            first = merged.setdefault(setting.symbol, setting)
            if first.value != setting.value:
                raise ConfigError(
                    f"{first} at {first.where} contradicts {setting} at {setting.where}",
                    hint=f"set {setting.symbol} in only one of the two",
                )
    return tuple(merged.values())


def render(settings: Iterable[Setting]) -> str:
    """The settings in the format of KCONFIG_ALLCONFIG and .config."""
    return "".join(
        f"# {setting.symbol} is not set\n" if setting.value == "n" else f"{setting}\n"
        for setting in settings
    )


def parse_config(text: str) -> dict[str, str]:
    """Symbol -> value, from a .config. The kernel wrote it, so other lines are not errors."""
    config = {}
    for line in text.splitlines():
        if match := SETTING.fullmatch(line):
            config[f"CONFIG_{match['symbol']}"] = match["value"]
        elif match := UNSET.fullmatch(line):
            config[f"CONFIG_{match['symbol']}"] = "n"
    return config


def missing(settings: Iterable[Setting], config: Mapping[str, str]) -> tuple[Missing, ...]:
    """The settings that `config` does not have. An absent symbol counts as n.

    A .config has a line for every symbol that can be set.
    """
    return tuple(
        Missing(setting=setting, got=config.get(setting.symbol))
        for setting in settings
        if config.get(setting.symbol, "n") != setting.value
        and not (setting.where_known and setting.symbol not in config)
    )


ENTRY = re.compile(r"\s*(?:menu)?config\s+(?P<symbol>[A-Za-z0-9_]+)\s*(?:#.*)?$")
OPEN = re.compile(r"\s*(?P<block>if|menu|choice)\b\s*(?P<rest>.*)")
CLOSE = re.compile(r"\s*end(?P<block>if|menu|choice)\b")
DEPENDS = re.compile(r"\s*depends\s+on\s+(?P<condition>.*)")
HELP = re.compile(r"\s*(?:---)?help(?:---)?\s*$")
OTHER = re.compile(r"\s*(?:source|comment|mainmenu)\b")


@dataclass(kw_only=True, slots=True)
class _Entry:
    """A symbol, or a block (if, menu, choice), with its own conditions."""

    name: str
    where: str = ""
    conditions: list[str] = field(default_factory=list)


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines of a Kconfig file, continued lines joined, without help texts."""
    help_indent: int | None = None
    in_help = False
    held = ""
    for number, line in enumerate(text.expandtabs().splitlines(), 1):
        if in_help:
            indent = len(line) - len(line.lstrip())
            if not line.strip():
                continue
            if help_indent is None:
                help_indent = indent
            if indent >= help_indent and indent > 0:
                continue
            in_help = False
        held += line
        if held.endswith("\\"):
            held = held[:-1] + " "
            continue
        if HELP.match(held):
            in_help, help_indent = True, None
        yield number, held
        held = ""


def _entries(path: str, text: str) -> Iterator[tuple[_Entry, tuple[_Entry, ...]]]:
    """The symbols of a Kconfig file with all their conditions, each with the blocks around it."""
    blocks: list[_Entry] = []
    entries: list[tuple[_Entry, tuple[_Entry, ...]]] = []
    current: _Entry | None = None
    for number, line in _logical_lines(text):
        if match := ENTRY.match(line):
            current = _Entry(name=match["symbol"], where=f"{path}:{number}")
            entries.append((current, tuple(blocks)))
        elif match := OPEN.match(line):
            current = _Entry(name=match["block"])
            if match["block"] == "if":
                current.conditions.append(_bare(match["rest"]))
            blocks.append(current)
        elif CLOSE.match(line):
            current = None
            if blocks:
                blocks.pop()
        elif OTHER.match(line):
            current = None
        elif current and (match := DEPENDS.match(line)):
            current.conditions.append(_bare(match["condition"]))
    yield from entries


def _bare(condition: str) -> str:
    """A condition without comment, with single spaces."""
    return " ".join(condition.partition("#")[0].split())


def symbols(kconfig_texts: Mapping[str, str]) -> frozenset[str]:
    """All symbols that these Kconfig files define, with CONFIG_."""
    return frozenset(
        f"CONFIG_{entry.name}"
        for path, text in kconfig_texts.items()
        for entry, _ in _entries(path, text)
    )


def depends_on(symbol: str, kconfig_texts: Mapping[str, str]) -> str:
    """What `symbol` depends on, in Kconfig's syntax: its own conditions and those of its blocks.

    "" if it depends on nothing, or if no text defines it. If a symbol has several definitions, the
    result has all of them, so give the files of one architecture only. Conditions around a `source`
    line in another file are not seen.
    """
    name = symbol.removeprefix("CONFIG_")
    definitions = []
    for path, text in kconfig_texts.items():
        for entry, blocks in _entries(path, text):
            if entry.name == name:
                conditions = [c for block in (*blocks, entry) for c in block.conditions]
                definitions.append((_all(conditions), entry.where))
    if len(definitions) == 1:
        return definitions[0][0]
    return " or ".join(f"{text or 'nothing'} ({where})" for text, where in definitions)


def _all(conditions: list[str]) -> str:
    if len(conditions) == 1:
        return conditions[0]
    return " && ".join(
        f"({condition})" if "||" in condition else condition for condition in conditions
    )


def explain(missing: Missing, kconfig_texts: Mapping[str, str]) -> str:
    """`missing` as a sentence, with what the symbol depends on, or with similar symbols."""
    names = symbols(kconfig_texts)
    symbol = missing.setting.symbol
    if symbol in names:
        needs = depends_on(symbol, kconfig_texts)
        return f"{missing}; it depends on {needs}" if needs else str(missing)
    near = difflib.get_close_matches(symbol, sorted(names), n=3, cutoff=0.75)
    suggestion = f"; did you mean {' or '.join(near)}?" if near else ""
    return f"{missing}; there is no such symbol{suggestion}"
