# SPDX-License-Identifier: GPL-2.0-only
"""The user's own defaults, from a file to what a verb is given."""

from typing import Any

import pytest
from typer.testing import CliRunner

from rig.campaigns import request
from rig.campaigns.options import Request, config_file
from rig.cli import defaults, run
from rig.errors import ConfigError


def write(text: str) -> None:
    config_file().parent.mkdir(parents=True)
    config_file().write_text(text)


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    received: list[Request] = []

    def specs(context: object, sent: Request) -> None:
        received.append(sent)
        raise ConfigError("that is all")

    monkeypatch.setattr(request, "specs", specs)
    monkeypatch.setattr(request, "fetched", lambda shelves, sent: sent)
    return received


def ask(*words: str) -> None:
    known: Any = defaults.load(["run", "build"])
    CliRunner().invoke(run.app, words, default_map=known)


def test_without_a_file_there_are_none() -> None:
    assert defaults.load(["run"]) == {}


def test_the_command_line_goes_before_the_file(requests: list[Request]) -> None:
    write('arch = ["x86_64", "arm64"]\ncpus = 2\nlru-gen = false\nsuite = "stale_tlb"\n')
    ask("run", "v6.12")
    ask("run", "v6.12", "--cpus", "8", "--arch", "arm64")
    both = ("x86_64", "arm64")
    kept: dict[str, Any] = {"target": "v6.12", "lru_gen": False, "suites": ("stale_tlb",)}
    assert requests == [
        Request(arch=both, cpus=2, **kept),
        Request(arch=("arm64",), cpus=8, **kept),
    ]


def test_a_home_directory_is_known(
    requests: list[Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    write('tree = "~/linux"\n')
    ask("run", "my-branch")
    assert str(requests[0].tree) == "/home/ann/linux"


def test_the_command_line_sets_back_what_the_file_says(requests: list[Request]) -> None:
    write('tree = "~/linux"\nlru-gen = true\neach-patch = true\nunconfined = true\n')
    ask("run", "v6.12", "--tree", "", "--default-lru", "--no-each-patch", "--no-unconfined")
    assert requests == [Request(target="v6.12")]


@pytest.mark.parametrize(
    ("text", "complaint", "hint"),
    [
        ("archs = 'x86_64'\n", "no option for .*config.toml named 'archs'", "did you mean arch?"),
        ("arch = \n", "config.toml cannot be read: Invalid value", ""),
    ],
)
def test_what_is_wrong_with_the_file_is_said(text: str, complaint: str, hint: str) -> None:
    write(text)
    with pytest.raises(ConfigError, match=complaint) as bad:
        defaults.load(["run"])
    assert bad.value.hint == hint
