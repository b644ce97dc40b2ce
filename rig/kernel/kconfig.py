# SPDX-License-Identifier: GPL-2.0-only
"""Kernel configuration: fragments, what they ask for together, and whether a .config grants it."""

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
    """One line of a fragment. A value is as in .config; `n` stands for "is not set"."""

    symbol: str
    """With its CONFIG_."""
    value: str
    fragment: str
    line: int
    where_known: bool = False
    """Asked only of kernels that have the symbol."""

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
    """What was asked for and does not hold."""

    setting: Setting
    got: str | None
    """None: the .config does not mention the symbol, it is unknown or cannot be chosen."""

    def __str__(self) -> str:
        got = "it is absent" if self.got is None else f"got {self.got}"
        return f"{self.setting} asked by {self.setting.where}, {got}"


def parse_fragment(name: str, text: str) -> Fragment:
    """Stricter than the kernel, which takes `=yes # perhaps` for y and drops what it cannot read.

    A `?` before the line asks for it only where the kernel has the symbol. Raises ConfigError with
    the line's number.
    """
    settings = []
    for number, whole in enumerate(map(str.strip, text.splitlines()), 1):
        where_known = whole.startswith("?")
        line = whole.removeprefix("?")
        if match := SETTING.fullmatch(line):
            value = match["value"].strip()
            if not VALUE.fullmatch(value):
                raise ConfigError(
                    f"{name}:{number}: {line!r} has no value Kconfig knows",
                    hint='y, n, m, a number or a "string"; a comment needs a line of its own',
                )
        elif match := UNSET.fullmatch(line):
            value = "n"
        elif not where_known and (not line or line.startswith("#")):
            continue
        else:
            raise ConfigError(
                f"{name}:{number}: {line!r} is no line of a fragment",
                hint="CONFIG_X=y, # CONFIG_X is not set, or a comment",
            )
        symbol = f"CONFIG_{match['symbol']}"
        settings.append(
            Setting(symbol=symbol, value=value, fragment=name, line=number, where_known=where_known)
        )
    fragment = Fragment(name=name, settings=tuple(settings))
    merge((fragment,))
    return fragment


def merge(fragments: Iterable[Fragment]) -> tuple[Setting, ...]:
    """All their settings, each symbol once, where it came first.

    Later fragments do not win over earlier ones: raises ConfigError naming both.
    """
    merged: dict[str, Setting] = {}
    for fragment in fragments:
        for setting in fragment.settings:
            first = merged.setdefault(setting.symbol, setting)
            if first.value != setting.value:
                raise ConfigError(
                    f"{first} of {first.where} contradicts {setting} of {setting.where}",
                    hint=f"settle {setting.symbol} in one of the two",
                )
    return tuple(merged.values())


def render(settings: Iterable[Setting]) -> str:
    """As KCONFIG_ALLCONFIG and .config have it."""
    return "".join(
        f"# {setting.symbol} is not set\n" if setting.value == "n" else f"{setting}\n"
        for setting in settings
    )


def parse_config(text: str) -> dict[str, str]:
    """A .config, which the kernel wrote: nothing in it is an error."""
    config = {}
    for line in text.splitlines():
        if match := SETTING.fullmatch(line):
            config[f"CONFIG_{match['symbol']}"] = match["value"]
        elif match := UNSET.fullmatch(line):
            config[f"CONFIG_{match['symbol']}"] = "n"
    return config


def missing(settings: Iterable[Setting], config: Mapping[str, str]) -> tuple[Missing, ...]:
    """What of `settings` does not hold in `config`. A symbol that is absent is as good as n.

    The kernel mentions every symbol that can be chosen.
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
    """A symbol, or a block around symbols, and its own conditions."""

    name: str
    where: str = ""
    conditions: list[str] = field(default_factory=list)


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines, joined where they are continued, without help texts, which may say anything."""
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
    """Every symbol's entry of a Kconfig file, with the blocks around it, complete when yielded."""
    blocks: list[_Entry] = []
    found: list[tuple[_Entry, tuple[_Entry, ...]]] = []
    current: _Entry | None = None
    for number, line in _logical_lines(text):
        if match := ENTRY.match(line):
            current = _Entry(name=match["symbol"], where=f"{path}:{number}")
            found.append((current, tuple(blocks)))
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
    yield from found


def _bare(condition: str) -> str:
    return " ".join(condition.partition("#")[0].split())


def symbols(kconfig_texts: Mapping[str, str]) -> frozenset[str]:
    """All symbols these Kconfig files define, with their CONFIG_."""
    return frozenset(
        f"CONFIG_{entry.name}"
        for path, text in kconfig_texts.items()
        for entry, _ in _entries(path, text)
    )


def depends_on(symbol: str, kconfig_texts: Mapping[str, str]) -> str:
    """What `symbol` depends on, in Kconfig's words: its own conditions and those around it.

    "" if on nothing, or if no text defines it. A symbol defined more than once needs one of its
    definitions: hand in one architecture's. What surrounds a `source` line elsewhere is not seen.
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
    return " && ".join(f"({one})" if "||" in one else one for one in conditions)


def explain(lack: Missing, kconfig_texts: Mapping[str, str]) -> str:
    """`lack` in a sentence, with what the symbol depends on, or the names nearest to it."""
    known = symbols(kconfig_texts)
    symbol = lack.setting.symbol
    if symbol in known:
        needs = depends_on(symbol, kconfig_texts)
        return f"{lack}; it depends on {needs}" if needs else str(lack)
    near = difflib.get_close_matches(symbol, sorted(known), n=3, cutoff=0.75)
    return f"{lack}; no such symbol" + (f", perhaps {' or '.join(near)}" if near else "")
