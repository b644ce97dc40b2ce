# SPDX-License-Identifier: GPL-2.0-only
"""Every verb, in this process; tests/unit/cli/test_main.py has it as a program."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer

from rig import __main__ as main
from rig.arch import Arch, known
from rig.campaigns import execute as executing
from rig.campaigns import pipeline, range_diff, request
from rig.campaigns.options import Request
from rig.campaigns.results import Prepared, RunResult, RunSpec
from rig.cli import app, doctor, run
from rig.cli.doctor import Findings
from rig.cli.requirements import Need
from rig.context import Context
from rig.errors import BuildError, ConfigError
from rig.guest.accel import Probe
from rig.guest.qemu import Accel
from rig.guest.session import Streams
from rig.kernel.kbuild import KernelBuild
from rig.series import fetch as fetching
from rig.series import model
from rig.store import Store

Results = dict[str, tuple[RunResult, ...]]
Status = tuple[int, str, str]
Rig = Callable[..., Status]
VERBS = (
    "run",
    "mutate",
    "bench",
    "bisect",
    "explore",
    "replay",
    "build",
    "shell",
    "report",
    "history",
    "nightly",
    "site",
    "man",
    "list",
    "doctor",
    "gc",
    "fetch",
    "reply",
    "diff",
    "series",
    "b4-check",
)


@pytest.fixture
def rig(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """`rig WORDS`: status, stdout, stderr. Errors of the rig's own are raised."""
    monkeypatch.setenv("RIG_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("COLUMNS", "100")

    def call(*words: object) -> Status:
        with pytest.raises(SystemExit) as ended:
            run.app([str(word) for word in words], prog_name="rig")
        output = capsys.readouterr()
        code = ended.value.code
        return (code if isinstance(code, int) else 0), output.out, output.err

    return call


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch, spec: RunSpec) -> list[Request]:
    """What is requested; there is one spec for each architecture."""
    requests: list[Request] = []

    def specs(context: Context, sent: Request) -> tuple[RunSpec, ...]:
        requests.append(sent)
        return (spec,) * len(sent.arch)

    monkeypatch.setattr(request, "specs", specs)
    return requests


@pytest.fixture
def gives(monkeypatch: pytest.MonkeyPatch) -> Callable[[tuple[RunResult, ...]], None]:
    """Campaigns have these results."""

    def give(results: tuple[RunResult, ...]) -> None:
        def execute(context: Context, specs: Any, directory: Path) -> Any:
            for number, result in enumerate(results):
                executing.store_result(result, directory / str(number))
            return results

        monkeypatch.setattr(executing, "execute", execute)

    return give


# What is typed wrong


def test_verbs_that_are_none_come_with_the_nearest(rig: Rig) -> None:
    status, out, err = rig("runn")
    assert (status, out) == (2, "")
    assert "No such command 'runn'" in err
    assert "'run'" in err.replace("'runn'", "")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["run"], "Missing argument 'TARGET'"),
        (["build"], "Missing argument 'TARGET'"),
        (["run", "x", "--no-such"], r"No such option:? '?--no-such"),
        (["run", "x", "--mutnat", "y"], "--mutant"),
        (["run", "x", "--cpus", "two"], "Invalid value for '--cpus'"),
        (["run", "x", "y"], "Got unexpected extra argument"),
        (["list", "x"], "Got unexpected extra argument"),
    ],
)
def test_options_that_are_none(rig: Rig, words: list[str], complaint: str) -> None:
    status, out, err = rig(*words)
    assert (status, out) == (2, "")
    assert re.search(complaint, plain(err))


def plain(text: str) -> str:
    """Without the frame typer draws."""
    return re.sub(r"[│╭╮╰╯─]", " ", text)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_an_example(rig: Rig, verb: str) -> None:
    status, out, err = rig(verb, "--help")
    assert (status, err) == (0, "")
    assert re.search(rf"Examples?: rig {verb}", plain(out))
    assert rig(verb, "-h")[1] == out


def test_the_help_says_targets_and_statuses(rig: Rig) -> None:
    status, out, _ = rig("--help")
    assert status == 0
    for verb in VERBS:
        assert re.search(rf"^\W*{verb} ", out, re.MULTILINE)
    for word in ("SERIES@v2:3", "0 pass", "1 fail", "2 bad input", "3 broken", "4 inconclusive"):
        assert word in plain(out)


def test_without_a_verb_the_help_is_shown(rig: Rig) -> None:
    status, out, err = rig()
    assert status in (0, 2)  # click 8.2 made a mistake of it
    assert "Usage: rig" in plain(out + err)


def test_every_verb_is_known() -> None:
    command = typer.main.get_command(run.app)
    assert set(command.commands) == set(VERBS)  # type: ignore[attr-defined]


# rig run


@pytest.mark.parametrize(
    ("kind", "status"),
    [("pass", 0), ("fail", 1), ("splat", 1), ("build", 1), ("broken", 3), ("inconclusive", 4)],
)
def test_the_status_is_the_verdicts(
    rig: Rig,
    requests: list[Request],
    gives: Callable[..., None],
    results: Results,
    kind: str,
    status: int,
) -> None:
    gives(results[kind])
    code, out, err = rig("run", "x", "--quiet")
    assert (code, err) == (status, "")
    assert out.splitlines()[0].split(": ")[1].split()[0] == results[kind][0].verdict.outcome
    assert re.search(r"^rig report \d{8}-\d{6}-v6\.12$", out, re.MULTILINE)


def test_everything_that_is_asked_for_arrives(
    rig: Rig, requests: list[Request], gives: Callable[..., None], results: Results
) -> None:
    gives(results["pass"])
    rig(
        *("run", "s@v2:3", "--arch", "x86_64, arm64", "--base", "v7.2", "--tree", "/linux"),
        *("--suite", "a,b", "--case", "c", "--mutant", "m", "--seed", "7", "--repeat", "2"),
        *("--flavour", "debug", "--accel", "tcg", "--cpus", "8", "--memory", "2048"),
        *("--zram", "64", "--swap-disk", "128", "--no-lru-gen"),
    )
    assert requests == [
        Request(
            target="s@v2:3", arch=("x86_64", "arm64"), base="v7.2", tree=Path("/linux"),
            suites=("a", "b"), cases=("c",), mutant="m", seed=7, repeat=2, flavour="debug",
            accel="tcg", cpus=8, memory=2048, zram=64, swap_disk=128, lru_gen=False,
        )
    ]  # fmt: skip


def test_what_is_not_asked_for_is_a_requests_own(
    rig: Rig, requests: list[Request], gives: Callable[..., None], results: Results
) -> None:
    gives(results["pass"])
    rig("run", "v6.12")
    assert requests == [Request(target="v6.12")]


def test_results_go_to_the_files_that_are_named(
    rig: Rig, requests: list[Request], gives: Callable[..., None], results: Results, tmp_path: Path
) -> None:
    gives(results["fail"])
    status, _, _ = rig("run", "x", "--json", tmp_path / "o.json", "--junit", tmp_path / "o.xml")
    assert status == 1
    assert json.loads((tmp_path / "o.json").read_text())[0]["verdict"]["outcome"] == "FAIL"
    assert b"<failure" in (tmp_path / "o.xml").read_bytes()


def test_a_file_that_cannot_be_written_is_said_first(
    requests: list[Request], tmp_path: Path, rig: Rig
) -> None:
    with pytest.raises(ConfigError, match=r"out\.json cannot be written"):
        run.app(["run", "x", "--json", str(tmp_path / "gone" / "out.json")])
    assert requests == []


@pytest.mark.parametrize(("kind", "status"), [("pass", 3), ("fail", 1), ("inconclusive", 3)])
def test_a_verdict_is_printed_and_stored_though_its_file_cannot_be_written(
    rig: Rig,
    requests: list[Request],
    gives: Callable[..., None],
    results: Results,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kind: str,
    status: int,
) -> None:
    """The disk was filled by the run itself."""
    gives(results[kind])
    monkeypatch.setattr("sys.argv", words := ["rig", "run", "x", "-q", "--json", "/dev/full"])
    assert main.run(words[1:]) == status
    output = capsys.readouterr()
    assert f": {results[kind][0].verdict.outcome}" in output.out.splitlines()[0]
    assert output.err.startswith("rig: /dev/full cannot be written: No space left on device\n")
    assert f": {results[kind][0].verdict.outcome}" in rig("report")[1].splitlines()[0]


# rig build


def built(monkeypatch: pytest.MonkeyPatch, result: Any) -> None:
    def build(context: Context, one: Request) -> Any:
        if isinstance(result, Exception):
            raise result
        return result

    monkeypatch.setattr(request, "build", build)


def test_a_build(rig: Rig, monkeypatch: pytest.MonkeyPatch, prepared: Prepared) -> None:
    built(monkeypatch, (prepared.build,))
    status, out, err = rig("build", "x", "-q")
    assert (status, err) == (0, "")
    assert out.startswith("x86_64  v6.12  6.12.0-rig: 3 objects compiled")


def test_a_build_that_fails(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    built(monkeypatch, BuildError("it does not compile"))
    with pytest.raises(BuildError):
        run.app(["build", "x", "-q"])


def test_no_warning_is_lost(rig: Rig, monkeypatch: pytest.MonkeyPatch, prepared: Prepared) -> None:
    warned: KernelBuild = replace(prepared.build, warnings=("mm/x.c:1: warning: y",))
    built(monkeypatch, (warned,))
    assert "mm/x.c:1: warning: y" in rig("build", "x", "-q")[1]


# rig shell


def test_a_command_in_a_guest_has_its_own_status(
    rig: Rig, requests: list[Request], prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []

    def interact(prepared: Prepared, command: Any, streams: Streams) -> int:
        given.extend(command)
        streams.out.write(b"guest says\n")
        return 7

    monkeypatch.setattr(pipeline, "prepare", lambda context, spec: prepared)
    monkeypatch.setattr(pipeline, "interact", interact)
    status, out, _ = rig("shell", "v6.12", "--arch", "arm64", "--", "cat", "--help", "/x y")
    assert (status, out, given) == (7, "guest says\n", ["cat", "--help", "/x y"])
    assert requests[0].arch == ("arm64",)


def test_a_shell_is_in_one_guest(rig: Rig, requests: list[Request]) -> None:
    with pytest.raises(
        ConfigError, match="rig shell boots one guest, and these options select 2"
    ) as bad:
        run.app(["shell", "v6.12", "--arch", "x86_64,arm64"])
    assert bad.value.hint == "name one architecture, and one revision"


# rig report


def test_a_stored_run_is_printed_again(
    rig: Rig, requests: list[Request], gives: Callable[..., None], results: Results, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="no stored run yet"):
        run.app(["report"])
    gives(results["fail"])
    first = rig("run", "x", "-q")
    assert rig("report") == first
    name = first[1].splitlines()[-1].removeprefix("rig report ")
    assert rig("report", name[:11], "--json", tmp_path / "o.json") == first
    assert json.loads((tmp_path / "o.json").read_text())
    assert rig("report", name, "--html", tmp_path / "o.html") == first
    assert (tmp_path / "o.html").read_text().startswith("<!DOCTYPE html>")
    with pytest.raises(ConfigError, match="two options name the same file"):
        run.app(["report", "--html", str(tmp_path / "o.html"), "--json", str(tmp_path / "o.html")])
    assert rig("report", "--list") == (0, f"{name}\n", "")


# Whatever a verb says


def test_a_result_is_shown_and_not_obeyed(
    capsys: pytest.CaptureFixture[str], evil: str, harmless: Callable[..., None]
) -> None:
    app.say(evil)
    harmless(plain := capsys.readouterr().out, lines=False)
    app.say(evil, lambda shown: f"\x1b[1m{shown}\x1b[m")
    assert capsys.readouterr().out == f"\x1b[1m{plain}\x1b[m", "and the rig's own colours are"


@pytest.mark.parametrize("terminal", [True, False])
def test_colours_are_for_a_terminal(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, terminal: bool, evil: str
) -> None:
    output = f"1:  1111111 < -:  ------- {evil}\n"
    monkeypatch.setattr(range_diff, "diff", lambda *_: output)
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)
    monkeypatch.delenv("NO_COLOR", raising=False)
    status, out, _ = rig("diff", "x")
    assert (status, out.count("\x1b")) == (0, 2 if terminal else 0)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in rig("diff", "x")[1]


# rig list, rig doctor


def test_the_list(rig: Rig) -> None:
    status, out, err = rig("list")
    assert (status, err) == (0, "")
    assert "  batch-dirty-tlb-flush@v1 batch-dirty-tlb-flush@v2" in out


@pytest.mark.parametrize(("missing", "status"), [(False, 0), (True, 3)])
def test_the_doctor(rig: Rig, monkeypatch: pytest.MonkeyPatch, missing: bool, status: int) -> None:
    asked: list[tuple[list[str], bool]] = []

    def examine(store: Store, arches: Sequence[Arch], *, fix: bool) -> Findings:
        names = [one.name for one in arches]
        asked.append((names, fix))
        needs = (Need(package="bc", why="asked", programs=("bc",)),) if missing else ()
        probes = tuple(Probe(arch=name, accel=Accel.TCG, works=True, why="") for name in names)
        return Findings(
            arches=tuple(names), missing=needs, probes=probes, unconfined="", store="/s"
        )

    monkeypatch.setattr(doctor, "examine", examine)
    code, out, _ = rig("doctor")
    assert code == status
    assert ("MISSING: bc: asked" in out) == missing
    rig("doctor", "--fix")
    rig("doctor", "--fix", "--arch", "x86")
    usual = ["arm64", "x86_64"]
    rig("doctor", "--arch", "all")
    assert asked[:3] == [(usual, False), (usual, True), (["x86_64"], True)]
    assert asked[3:] == [(list(known()), False)]
    with pytest.raises(ConfigError, match="no architecture named 'x86_46'"):
        rig("doctor", "--arch", "x86_46")


# rig fetch


@pytest.mark.parametrize(
    ("words", "source", "options"),
    [
        (["a@b.c"], "a@b.c", {}),
        (["git:~/linux", "v6.12..topic", "--name", "x"], "git:~/linux v6.12..topic", {"name": "x"}),
        (["x", "--all-revisions", "--with-trailers"], "x", {"all_revisions": True,
                                                            "with_trailers": True}),
    ],
)  # fmt: skip
def test_a_fetch(
    rig: Rig,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    source: str,
    options: dict[str, object],
) -> None:
    requests: list[Any] = []

    def fetch(shelf: Path, source: str, **given: object) -> fetching.Fetched:
        requests.append((source, {key: value for key, value in given.items() if value}))
        shelf = Path(__file__).parents[2] / "data" / "mbx" / "shelf"
        found = tuple(model.load(shelf, "unmap-batch", number) for number in (1, 2))
        return fetching.Fetched(series=found, fresh=(2,), said="")

    monkeypatch.setattr(fetching, "fetch", fetch)
    status, out, err = rig("fetch", *words, "-q")
    assert (status, err, requests) == (0, "", [(source, options)])
    assert "unmap-batch@v1: 2 patches, no base named, which was there already" in out
    assert "unmap-batch@v2: 3 patches, base adc218676eef\n" in out
    assert out.endswith("\nrig run unmap-batch@v2\n")


def test_a_run_of_a_mail_fetches_it(
    rig: Rig,
    requests: list[Request],
    gives: Callable[..., None],
    results: Results,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gives(results["pass"])
    monkeypatch.setattr(request, "fetched", lambda shelves, one: replace(one, target="got@v1"))
    assert rig("run", "a-mail@example.org", "-q")[0] == 0
    assert [sent.target for sent in requests] == ["got@v1"]
