# SPDX-License-Identifier: GPL-2.0-only
"""The options of a run: one table for the verbs, pytest and the lines that run it again."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from rig.campaigns import request
from rig.campaigns.options import OPTIONS, Option, Request, command
from rig.cli import run
from rig.errors import ConfigError
from rig.shelves import Shelves
from rig.suites import suite

OTHER: dict[type, Any] = {str: "other", int: 7, Path: Path("/other tree")}


def changed(entry: Option) -> Any:
    """A value that is not the default."""
    if entry.choices:
        return entry.choices[-1]
    if entry.limits:
        return entry.limits[1]
    if entry.kind is bool:
        return not entry.default
    return ("one", "two") if entry.several else OTHER[entry.kind]


@pytest.mark.parametrize("name", OPTIONS)
def test_the_command_asks_for_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written is read back by the verb itself."""
    asked = replace(Request(target="v6.12"), **{name: changed(OPTIONS[name])})
    received: list[Request] = []

    def specs(context: object, one: Request) -> None:
        received.append(one)
        raise ConfigError("that is all")

    monkeypatch.setattr(request, "specs", specs)
    monkeypatch.setattr(request, "fetched", lambda shelves, one: one)
    words = command(asked)
    assert words[:3] == ["rig", "run", "v6.12"] and len(words) > 3
    CliRunner().invoke(run.app, words[1:])
    assert received == [asked]


def test_a_choice_can_be_no() -> None:
    assert command(Request(target="a", lru_gen=False)) == ["rig", "run", "a", "--no-lru-gen"]


def test_the_defaults_need_no_words() -> None:
    assert command(Request(target="v6.12"), "build") == ["rig", "build", "v6.12"]
    seeded = Request(target="v6.12", schedule="seeded", seed=3)
    assert command(seeded, "explore") == ["rig", "explore", "v6.12"]


@pytest.mark.parametrize("name", [name for name, entry in OPTIONS.items() if entry.limits])
def test_a_number_out_of_range_is_refused(name: str) -> None:
    least, most = OPTIONS[name].limits or (0, 0)
    for value in (least - 1, most + 1):
        with pytest.raises(ConfigError, match=f"{OPTIONS[name].flag} {value} is out of range"):
            request.check(Shelves.default(), replace(Request(target="v6.12"), **{name: value}))


@pytest.mark.parametrize("name", [name for name, entry in OPTIONS.items() if entry.choices])
def test_a_word_that_is_no_choice_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"no value of {OPTIONS[name].flag} named 'tgc'"):
        request.check(Shelves.default(), replace(Request(target="v6.12"), **{name: "tgc"}))


def test_every_option_has_a_help_and_a_flag_of_its_own() -> None:
    assert all(entry.help.endswith((".", "].")) for entry in OPTIONS.values())
    flags = [flag for entry in OPTIONS.values() for flag in (entry.flag, entry.off) if flag]
    assert len(set(flags)) == len(flags)
    assert OPTIONS["seed"].default == suite.SEED
    named = OPTIONS["suites"].help
    assert all(name in named for name in suite.known() if name not in suite.standard())
