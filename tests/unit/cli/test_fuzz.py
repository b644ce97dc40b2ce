# SPDX-License-Identifier: GPL-2.0-only
"""Thousands of command lines, most of them wrong: never a traceback, only documented statuses.

The lines are made from the tree of commands, so that a new option takes part. They are the same in
each run. No program is run: what would fetch, build or boot is replaced as far down as possible.
"""

import contextlib
import io
import os
import random
import shlex
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from rig import __main__ as main
from rig import arch, proc
from rig.arch import Arch
from rig.benches import benchmark
from rig.campaigns import each_patch, execute, explore, pipeline, replay, trace
from rig.campaigns.results import Prepared, RunResult, RunSpec, provenance
from rig.cli import bugs, doctor, requirements
from rig.cli import run as verbs
from rig.errors import InfraError
from rig.guest import accel
from rig.guest.accel import Probe
from rig.guest.qemu import Accel
from rig.kernel import base, basefinder, kbuild, mutant, sandbox, tree
from rig.kernel.base import Base
from rig.kernel.kbuild import KernelBuild
from rig.kernel.tree import KernelTree, TreeSpec
from rig.series import intake, model
from rig.series.model import SeriesVersion
from rig.shelves import Shelves
from rig.store import Store
from rig.suites import suite
from rig.verdict.rules import CaseResult, Outcome, SuiteResult, conclude
from rig.version import KernelVersion

LINES = 2400
SEED = 18
DOCUMENTED = {0, 1, 2, 3, 4}
PATIENCE = 20
"""Seconds for one line; each takes some milliseconds."""

ODD = (
    *("", " ", "-", "--", "---", "-1", "-3", "0", "1", "00", "+1", "1e9", "1.5", "nan", "inf"),
    *("9" * 5000, "-" + "9" * 5000, "18446744073709551616", "9223372036854775808"),
    *("0x10", "１２", "²", "٣", "%s", "%n", "$HOME", "~", "~nobody/x"),
    *("x" * 300, "x" * 70000, "a/" * 3000, "\x01", "\x7f", "\x1b[2J", "\udc80", "\ud800", "ü€😀"),
    *("\u202e", "\n", "a\nb", "\t", ",", ",,", "a,", ",a", "@", "@v", "@v1", "s@v", "s@v1:"),
    *("@v1,v2", ":", ":3", "v", "v6", "v6.12.", "v6.12:1", "v6.12@v1", "v9999.9999", "V6.12"),
    *("v6.12-rc1", "..", ".", "/", "../..", "...", "1..", "..1", "1..2..3", "5..1", "1..999999999"),
    *("/dev/zero", "/dev/null", "/dev/full", "/proc/self/mem", "/nowhere/x", "dir", "fifo", "loop"),
    *("empty.mbx", "zeros.mbx", "text.mbx", "dir/x.mbx", "fifo:1", "./fifo", "x.mbx", "./x.mbx:9"),
    *("*", "?", "[", "{}", "`id`", "$(id)", ";", "|", "\\", '"'),
    *("'", "#", "<a@b.c>", "a@b.c", "https://", "https://lore.kernel.org/r/a@b.c"),
    *("git:", "git: a..b", "git:dir v1..v2", "git:~nobody a..b", "none", "all", "auto", "True"),
    *("null", "--help", "--arch"),
)  # fmt: skip
"""What a command line can hold; a NUL it cannot."""

TARGETS = (
    *("v6.12", "v7.2", "batch-dirty-tlb-flush", "batch-dirty-tlb-flush@v1", "text.mbx"),
    *("batch-dirty-tlb-flush@v2:3", "batch-dirty-tlb-flush@v1,v2", "lazyfree-batched-unmap@v4"),
    *("batch-dirty-tlb-flush@v99", "batch-dirty-tlb-flush:99", "good.mbx", "good.mbx:1", "HEAD"),
)
MUTANTS = (
    *("lazyfree-extra-ref-swapbacked", "no-remote-flush", "no-flush-before-pageout"),
    *("batch-past-page-table", "batch-write-upgrade"),
)
CASES = suite.case_names(suite.known().values())
VALID: Mapping[str, tuple[str, ...]] = {
    "target": TARGETS,
    "against": TARGETS,
    "source": ("good.mbx", "dir", "text.mbx", "a@b.c", "git:tree v1..HEAD"),
    "name": ("run-seeded", "run-live", "run-mutate", "batch-dirty-tlb-flush", *benchmark.known()),
    "names": ("batch-dirty-tlb-flush", "lazyfree-batched-unmap"),
    "who": ("A U Thor <a@example.org>",),
    "old": ("v1", "1", "v2"),
    "new": ("v1", "v2", "2"),
    "command": ("cat", "-x", "exit 3"),
    "arch": (*arch.known(), "x86_64,arm64", "all", "x86_64,x86_64"),
    "suites": (*suite.known(), ",".join(suite.known())),
    "cases": (*CASES, *(name.partition("/")[2] for name in CASES)),
    "case": CASES,
    "promises": CASES,
    "mutant": (*MUTANTS, ",".join(MUTANTS), mutant.NONE),
    "flavour": ("base", "debug"),
    "base": ("v6.12", "v7.2"),
    "tree": ("tree", "dir", "/nowhere"),
    "after": ("all", "1", "1,2", "99"),
    "accel": ("auto", "kvm", "tcg"),
    "schedule": ("live", "seeded"),
    "seeds": ("1..3", "7", "1,2,5..6"),
    "rounds": ("auto", "2", "8"),
    "trace": ("try_to_unmap_one", "a,b"),
    "json": ("out.json",),
    "junit": ("out.xml",),
    "output": ("out.eml",),
    "plot": ("out.svg", "out.png", "out.pdf"),
}
NUMBERS = ("1", "2", "4", "8", "64", "512", "1024", "0", "-1", "3", "100000", "4096")


def lines(count: int, seed: int = SEED) -> Iterator[list[str]]:
    """First each option of each verb with some odd values, then anything."""
    chosen = random.Random(seed)
    program: Any = typer.main.get_command(verbs.app)
    commands = sorted(program.commands.items())
    for verb, command in commands:
        for entry in command.params:
            if entry.name != "help" and not (entry.param_type_name == "option" and entry.is_flag):
                for odd in chosen.sample(ODD, 6):
                    count -= 1
                    yield with_odd(chosen, verb, command.params, entry, odd)
    for number in range(count):
        verb, command = commands[number % len(commands)]
        yield line(chosen, verb, command.params)


def with_odd(chosen: random.Random, verb: str, params: list[Any], odd: Any, text: str) -> list[str]:
    """A line in which everything but one value is valid."""
    words = [verb]
    for entry in params:
        if entry.param_type_name == "argument" and (entry.required or entry is odd):
            words.append(text if entry is odd else value(chosen, entry, 0))
        elif entry is odd:
            words += [entry.opts[0], text]
    return words


def line(chosen: random.Random, verb: str, params: list[Any]) -> list[str]:
    """A command line: its values are odd with a probability that differs from line to line."""
    oddness = chosen.choice((0.0, 0.05, 0.2, 0.6))
    words: list[str] = []
    for entry in params:
        if entry.param_type_name == "argument":
            if entry.required or chosen.random() < 0.5:
                times = chosen.choice((1, 1, 2)) if entry.nargs == -1 else 1
                words += [value(chosen, entry, oddness) for _ in range(times)]
        elif entry.name != "help" and chosen.random() < 0.15:
            flag = chosen.choice((*entry.opts, *entry.secondary_opts))
            words.append(flag)
            if not entry.is_flag:
                words.append(value(chosen, entry, oddness))
    if chosen.random() < oddness / 3:
        at = chosen.randrange(len(words) + 1)
        match chosen.randrange(4):
            case 0:  # a word too many
                words.insert(at, chosen.choice(ODD))
            case 1 if words:  # a word too few
                del words[at - 1]
            case 2:  # the same twice
                words += words
            case _:
                chosen.shuffle(words)
    return [chosen.choice(ODD) if chosen.random() < oddness / 50 else verb, *words]


def value(chosen: random.Random, entry: Any, oddness: float) -> str:
    if chosen.random() < oddness:
        return chosen.choice(ODD)
    if entry.name in VALID:
        return chosen.choice(VALID[entry.name])
    return chosen.choice(NUMBERS)


# What would fetch, build or boot


@dataclass(frozen=True)
class World:
    """The rig on a machine where everything works at once."""

    prepared: Prepared

    def run(self, argv: proc.Argv, *, check: bool = True, **_: Any) -> proc.Done:
        words = tuple(map(str, argv))
        works = (
            words[0] == "git" and ({"--git-dir", "--verify"} & {*words}) and "HEAD" in str(words)
        )
        done = proc.Done(
            argv=words, status=0 if works or "--git-dir" in words else 1,
            stdout=40 * "c" if works else "", stderr="no", seconds=0,
        )  # fmt: skip
        if check and done.status:
            raise proc.CommandFailed(done, "")
        return done

    def base(self, store: Store, name: str, *, tree: Path | None = None) -> Base:
        return Base(name=name, commit=40 * "c", origin="the test")

    def base_of(self, store: Store, series: SeriesVersion, *, name: str, **_: Any) -> Base:
        return self.base(store, name or "v6.12")

    def materialize(self, store: Store, spec: TreeSpec) -> KernelTree:
        version = KernelVersion.parse(spec.base.name if spec.base.name[:1] == "v" else "v6.12")
        return KernelTree(
            label=spec.label, base=spec.base, commit=40 * "c", tree=40 * "7", version=version
        )

    def prepare(self, context: Any, spec: RunSpec) -> Prepared:
        pipeline.build_spec(context, spec)
        return replace(self.prepared, spec=spec, provenance=provenance(spec))

    def build(self, store: Store, spec: Any) -> KernelBuild:
        return self.prepared.build

    def execute(
        self,
        context: Any,
        specs: Any,
        directory: Path,
        *,
        suffix: str = "",
        on_result: Callable[[RunResult], None] = lambda _: None,
    ) -> tuple[RunResult, ...]:
        execute.side_by_side(specs)
        results = []
        for spec, slot in zip(specs, execute.slots(specs), strict=True):
            result = ran(self.prepare(context, spec))
            execute.store_result(result, directory / (slot + suffix))
            on_result(result)
            results.append(result)
        return tuple(results)

    def explore(self, context: Any, spec: RunSpec, seeds: Any, **_: Any) -> explore.Exploration:
        return explore.Exploration(
            label=spec.tree.label, arch=spec.machine.arch, suite="s", case="c", tried=(),
            mutant=spec.request.mutant,
        )  # fmt: skip

    def examine(self, store: Store, arches: list[Arch], *, fix: bool) -> doctor.Findings:
        return doctor.Findings(
            arches=tuple(entry.name for entry in arches), missing=(), unconfined="", store="/s",
            probes=(),
        )  # fmt: skip


def ran(prepared: Prepared) -> RunResult:
    suites = tuple(
        SuiteResult(
            suite=selection.suite,
            cases=tuple(
                CaseResult(
                    name=case.name, outcome=Outcome.PASS, reason="", digest="d1", command=("a",)
                )
                for case in suite.cases_of(selection)
            ),
        )
        for selection in prepared.spec.suites
    )
    return RunResult(
        machine=prepared.spec.machine, provenance=prepared.provenance, suites=suites,
        verdict=conclude(suites, (), None), ended="2026-03-02T10:00:00+00:00",
    )  # fmt: skip


def replayed(store: Store, record: replay.Recorded, directory: Path) -> replay.Replayed:
    return replay.Replayed(
        name=record.name, arch="x86_64", identical=True, seconds=1, before="", after="", note=""
    )


def traced(
    store: Store, record: replay.Recorded, functions: tuple[str, ...], out: Path
) -> trace.Traced:
    calls = tuple((name, 1) for name in functions)
    return trace.Traced(
        name=record.name, arch="x86_64", identical=True, calls=calls, file=out, note=""
    )


@contextlib.contextmanager
def refused(*_: Any, **__: Any) -> Iterator[Any]:
    raise InfraError("no program is run in this test")
    yield


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, prepared: Prepared) -> Path:
    """The current directory of the command lines, in a world that does nothing."""
    here = tmp_path / "here"
    for path in (here / "dir", here / "tree", tmp_path / "store", tmp_path / "home"):
        path.mkdir(parents=True, exist_ok=True)
    os.mkfifo(here / "fifo")
    (here / "loop").symlink_to("loop")
    shelves = Shelves.default()
    for name in ("batch-dirty-tlb-flush", "lazyfree-batched-unmap"):
        shutil.copytree(shelves.patches / name, tmp_path / "patches" / name)
    (tmp_path / "patches" / "mutants").mkdir()
    for name in MUTANTS:
        path = f"mutants/{name}.cocci"
        shutil.copyfile(shelves.patches / path, tmp_path / "patches" / path)
    (here / "good.mbx").write_bytes((shelves.patches / "batch-dirty-tlb-flush/v2.mbx").read_bytes())
    (here / "zeros.mbx").write_bytes(bytes(4096))
    (here / "empty.mbx").write_bytes(b"")
    (here / "text.mbx").write_bytes(b"From nobody\n\xff\xfe\n\n")
    monkeypatch.chdir(here)
    for name, path in (("RIG_STORE", "store"), ("HOME", "home"), ("XDG_CONFIG_HOME", "home")):
        monkeypatch.setenv(name, str(tmp_path / path))
    monkeypatch.setattr(Shelves, "default", lambda: replace(shelves, patches=tmp_path / "patches"))
    does = World(prepared)
    for module, name, fake in (
        (proc, "run", does.run), (proc, "spawn", refused), (proc, "interactive", refused),
        (base, "resolve", does.base), (basefinder, "base_of", does.base_of),
        (sandbox, "broken", lambda: ""), (tree, "materialize", does.materialize),
        (kbuild, "build", does.build), (pipeline, "prepare", does.prepare),
        (pipeline, "interact", lambda *_: 0), (execute, "execute", does.execute),
        (explore, "explore", does.explore), (doctor, "examine", does.examine),
        (requirements, "install", refused), (replay, "restore", lambda *_: None),
        (replay, "replay", replayed), (replay, "stopped", refused), (trace, "trace", traced),
        (each_patch, "checkpatch", lambda *_, **__: ()), (proc, "stop_all", lambda: None),
        (accel, "probe", lambda store, arch, kind: Probe(
            arch=arch.name, accel=kind, works=kind is Accel.TCG, why="no")),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, fake)
    monkeypatch.setattr("rig.kernel.weave.instrument", lambda store, source, mutants: source)
    monkeypatch.setattr(intake, "WRITER", 0.01)
    # The same files are read again and again.
    monkeypatch.setattr(model, "parse", cache(model.parse))
    command = typer.main.get_command(verbs.app)  # made once: it takes longer than all the rest
    monkeypatch.setattr(typer.main, "get_command", lambda _: command)
    return here


@dataclass
class Ended:
    status: int
    out: str
    bug: BaseException | None


def rig(words: list[str], monkeypatch: pytest.MonkeyPatch) -> Ended:
    """`rig WORDS` in this process, and what it did not expect."""
    found: list[BaseException] = []

    def report(error: BaseException, _: object) -> int:
        found.append(error)
        return bugs.BROKEN

    def late(*_: object) -> None:
        raise TimeoutError(f"{PATIENCE} s are over")

    monkeypatch.setattr(bugs, "status", report)
    monkeypatch.setattr(sys, "argv", ["rig", *words])
    monkeypatch.setattr(intake, "stdin", lambda: b"From: a@b.c\n\nno patch\n")
    output = io.TextIOWrapper(io.BytesIO(), errors="backslashreplace", write_through=True)
    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(PATIENCE)
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            status = main.run(words)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    output.seek(0)
    return Ended(status, output.read(), found[0] if found else None)


def shown(words: list[str]) -> str:
    return shlex.join(word if len(word) < 80 else f"{word[:20]}…{len(word)}" for word in words)


def test_no_command_line_is_a_traceback(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong: list[str] = []
    statuses: dict[int, int] = {}
    for words in lines(LINES):
        ended = rig(words, monkeypatch)
        statuses[ended.status] = statuses.get(ended.status, 0) + 1
        if ended.bug is not None:
            wrong.append(f"rig {shown(words)}: {ended.bug!r:.300}")
        elif ended.status not in DOCUMENTED or "Traceback" in ended.out:
            wrong.append(f"rig {shown(words)}: {ended.status}: {ended.out[-300:]}")
        elif ended.status and not ended.out.strip():
            wrong.append(f"rig {shown(words)}: {ended.status}, and nothing is said")
    assert not wrong, f"{len(wrong)} of {LINES}:\n" + "\n".join(wrong[:60])
    assert statuses[0] > LINES // 20 and statuses[2] > LINES // 5, f"it tests little: {statuses}"
