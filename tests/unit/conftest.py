# SPDX-License-Identifier: GPL-2.0-only
"""What unit tests of several modules share: a store of their own, processes that must end."""

import contextlib
import os
import shutil
import subprocess
import sys
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rig import git
from rig.campaigns.blame import with_blame
from rig.campaigns.options import Request
from rig.campaigns.results import Prepared, Provenance, RunResult, RunSpec, provenance
from rig.errors import GuestLost
from rig.guest import boot as guests
from rig.guest.boot import Ran
from rig.guest.console import scan
from rig.guest.qemu import Accel, Machine, Swap
from rig.guest.software import Software
from rig.kernel import sandbox
from rig.kernel.base import Base
from rig.kernel.kbuild import KernelBuild
from rig.kernel.tree import Subject, TreeSpec
from rig.store import Store
from rig.suites import suite
from rig.suites.suite import Selection
from rig.verdict.blame import Blame, Culprit, Earlier, Mark, Prefix, Since, Tally
from rig.verdict.floors import Floor
from rig.verdict.rules import (
    CaseResult,
    Outcome,
    Owner,
    Shows,
    SuiteResult,
    Trouble,
    Verdict,
    conclude,
)

TOP = Path(__file__).parent.parent.parent
KERNEL = TOP / "tests" / "data" / "kernel"
PATIENCE = 120.0
"""Seconds until something that must happen is taken not to happen; nothing ever waits that long."""

Eventually = Callable[[Callable[[], object]], None]
Alive = Callable[[int], bool]
Script = Callable[..., "subprocess.Popen[str]"]
Program = Callable[[str, str], Path]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    root = tmp_path / "store"
    root.mkdir()
    return Store(root)


@pytest.fixture
def eventually() -> Eventually:
    """Wait, no longer than it takes, until something holds."""

    def wait(holds: Callable[[], object]) -> None:
        end = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < end, "it never came to hold"
            time.sleep(0.005)

    return wait


@pytest.fixture
def alive() -> Alive:
    """Whether a process runs; one that is dead and not yet waited for does not."""

    def look(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except (FileNotFoundError, ProcessLookupError):
            return False

    return look


@pytest.fixture
def script() -> Iterator[Script]:
    """Start a Python program that has the rig's modules; its arguments are strings.

    What is left of it when the test ends is killed, its children with it.
    """
    started: list[subprocess.Popen[str]] = []

    def start(source: str, *args: object) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-c", source, *map(str, args)],
            cwd=TOP,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Put a shell script of the test's own first on the PATH, under the name of a real program."""
    directory = tmp_path / "programs"
    directory.mkdir()
    monkeypatch.setenv("PATH", f"{directory}{os.pathsep}{os.environ['PATH']}")

    def write(name: str, body: str) -> Path:
        path = directory / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return path

    return write


@pytest.fixture
def unboxed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host where the sandbox does not work, and what is trusted runs by itself."""
    monkeypatch.setattr(sandbox, "broken", lambda: "the test has none")


# What a stranger may write


FORGED = "FORGED: PASS"
EVIL = (
    "\x1b]0;owned\x07\x1b[31m\u202e[bold]x[/]\r\n\x85{{ 7 * 7 }} $x \rover"
    f"\x00\ufeff\ufffe\x9b1m\udcff\n{FORGED}\nend"
    "</pre><script>alert(1)</script><a href='javascript:alert(1)' onload=\"alert(1)\">"
)


@pytest.fixture
def evil() -> str:
    """Text that takes a terminal over, misleads, is no XML, no UTF-8, markup, a script, and adds a
    line."""
    return EVIL


@pytest.fixture
def harmless() -> Callable[..., None]:
    """Assert that a person may be shown a text that evil was put into, and can see that it was."""

    def check(said: str, *, lines: bool = True) -> None:
        kinds = {char: unicodedata.category(char) for char in set(said) - {"\n", "\t"}}
        bad = [char for char, kind in kinds.items() if kind in ("Cc", "Cf", "Cs", "Zl", "Zp", "Cn")]
        assert bad == [], next(ascii(line) for line in said.split("\n") if set(line) & set(bad))
        assert r"\u202e[bold]x[" in said, "it was not fed"
        forged = [line for line in said.splitlines() if line.startswith(FORGED)]
        assert not (lines and forged), said

    return check


# A kernel in miniature, tests/data/kernel


@pytest.fixture
def kernel(tmp_path: Path) -> Path:
    """Its source, for a test to change."""
    return Path(shutil.copytree(KERNEL, tmp_path / "kernel"))


@pytest.fixture(scope="session")
def imported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A store that has it in linux.git, and its commit."""
    store = Store(tmp_path_factory.mktemp("imported"))
    return store.root, git.import_tree(store, KERNEL, "v6.12\n")


@pytest.fixture
def base(store: Store, imported: tuple[Path, str]) -> Base:
    """It, as a base in the test's own store."""
    root, commit = imported
    shutil.copytree(root / "linux.git", store.root / "linux.git")
    return Base(name="v6.12", commit=commit, origin="tests/data/kernel")


# A user whose git would change everything


HOSTILE = """\
[user]
    name = Somebody
    email = somebody@example.org
    signingKey = 0123456789
[commit]
    gpgSign = true
[tag]
    gpgSign = true
[core]
    hooksPath = {home}/hooks
    autocrlf = true
    excludesFile = {home}/ignore
    attributesFile = {home}/attributes
    editor = false
[init]
    templateDir = {home}/template
[alias]
    worktree = !false
[apply]
    whitespace = error-all
[am]
    keepcr = false
"""


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's home directory whose git would change everything; hooks leave `tripped`."""
    home = tmp_path / "hostile"
    for hooks in (home / "hooks", home / "template" / "hooks"):
        hooks.mkdir(parents=True)
        for name in (
            "post-checkout",
            "pre-commit",
            "post-commit",
            "applypatch-msg",
            "post-applypatch",
        ):
            (hooks / name).write_text(f"#!/bin/sh\ntouch {home}/tripped\nexit 1\n")
            (hooks / name).chmod(0o755)
    (home / ".gitconfig").write_text(HOSTILE.format(home=home))
    (home / "git").mkdir()
    for directory, prefix in ((home, ""), (home / "git", "")):
        (directory / f"{prefix}ignore").write_text("*.c\n")
        (directory / f"{prefix}attributes").write_text("* text eol=crlf ident\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
    monkeypatch.setenv("GIT_DIR", str(home / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(home / "index"))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.autocrlf")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "true")
    for name in ("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME", "GIT_COMMITTER_DATE"):
        monkeypatch.setenv(name, "2030-01-01T00:00:00Z")
    return home


# Results, as a run of each kind leaves them


def case(
    name: str, outcome: Outcome = Outcome.PASS, reason: str = "", **rest: object
) -> CaseResult:
    counters = (("pswpout", 937722), ("writes", 1400000000), ("reclaimed", 0))
    given = {"counters": counters, "seconds": 4.25, **rest}
    return CaseResult(name=name, outcome=outcome, reason=reason, **given)  # type: ignore[arg-type]


def result(arch: str = "x86_64", cases: tuple[CaseResult, ...] = (), **rest: object) -> RunResult:
    """What a run that came to its end leaves; the verdict follows from the cases and splats."""
    suites = (SuiteResult(suite="stale_tlb", cases=cases),) if cases else ()
    splats, trouble = rest.pop("splats", ()), rest.pop("trouble", None)
    origin = "Debian linux-source-6.12 6.12.117-1, sha256 " + 8 * "01234567"
    subject = Subject(base="v6.12", series=("unmap-batch@v2",))
    asked = Request(target="unmap-batch@v2", base="v6.12", arch=(arch,))
    given: dict[str, object] = {
        "machine": Machine(arch=arch, accel=Accel.TCG),
        "provenance": Provenance(
            request=asked, subject=subject, label=subject.label, origin=origin, commit="c0ffee",
            tree="7ree", build="b01d", release="6.12.0-rig", image="1mage",
            programs=(("stale_tlb", "pr06"),),
            qemu="QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)",
        ),
        "suites": suites, "splats": splats, "boot_seconds": 2.5, "seconds": 61.0,
        "ended": "2026-03-02T10:00:00+00:00",
        "verdict": conclude(suites, splats, trouble),  # type: ignore[arg-type]
    }  # fmt: skip
    return RunResult(**{**given, **rest})  # type: ignore[arg-type]


def about(known: Provenance, subject: Subject | None = None, **options: object) -> Provenance:
    """Of something else, or asked for with other options."""
    subject = subject or known.subject
    target = {"target": subject.target, "base": subject.base if subject.series else ""}
    asked = replace(known.request, **{**target, **options})  # type: ignore[arg-type]
    return replace(known, subject=subject, label=subject.label, request=asked)


def of_revision(number: int, upto: int | None = None) -> Provenance:
    subject = Subject(base="v6.12", series=(f"unmap-batch@v{number}",), upto=upto)
    return about(result().provenance, subject)


def blamed(arch: str, *blames: Blame, **rest: object) -> RunResult:
    """A run whose failures were looked for on the base."""
    failed = [blame.failure.partition("/")[2] for blame in blames]
    cases = (
        *(case(name, Outcome.FAIL, LOST[0], shows=Shows.WRONG_DATA) for name in failed),
        case("other"),
    )
    return with_blame(result(arch, cases, **rest), blames)


SIDES = {"shows": ("wrong data",), "against": "v6.12", "patches": 4}
INTRODUCED = Blame(
    failure="stale_tlb/anon_lost_write",
    mark=Mark.INTRODUCED,
    series=Tally(failed=7, runs=9),
    base=Tally(runs=12),
    culprits=(Culprit(number=3, subject="mm/rmap: unmap a folio's PTEs at once", chance=0.9953),),
    tested=(
        Prefix(upto=1, subject="mm: a", skipped="FAIL: it does not compile: mm/x.c:1: error: no"),
        Prefix(upto=2, subject="mm: b", tally=Tally(runs=8)),
        Prefix(upto=3, subject="mm: c", tally=Tally(failed=3, runs=4)),
    ),
    **SIDES,  # type: ignore[arg-type]
)
UNDECIDED = Blame(
    failure="stale_tlb/file_lost_write",
    mark=Mark.UNDECIDED,
    series=Tally(failed=1, runs=64),
    base=Tally(runs=64),
    **SIDES,  # type: ignore[arg-type]
)
THERE = Blame(
    failure="stale_tlb/anon_lost_write",
    mark=Mark.THERE,
    series=Tally(failed=2, runs=3),
    base=Tally(failed=2, runs=2),
    **SIDES,  # type: ignore[arg-type]
)
GONE = Earlier(
    revision="v1",
    failure="stale_tlb/other",
    since=Since.GONE,
    before=Tally(failed=3, runs=20),
    now=Tally(runs=1),
)

LOST = tuple(f"page {n}: CPU 2 wrote 42, read back 41" for n in range(17, 27))
KASAN = scan((TOP / "tests/data/console/from-source/kasan.log").read_text(errors="replace"))


@pytest.fixture
def results() -> dict[str, tuple[RunResult, ...]]:
    """Of every kind, by the name of its golden file."""
    series, kernel = Trouble(owner=Owner.SERIES, reason="mm/vmscan.c:7: error: no"), Owner.KERNEL
    low = "pswpout 12, at least 2000 needed"
    few = (("pswpout", 12),)
    lost = case("anon_lost_write", Outcome.FAIL, LOST[0], evidence=LOST)
    provenance = about(
        result().provenance, Subject(base="v6.12, instrumented"), mutant="no-remote-flush"
    )
    wide = Swap(zram=0, disk=256)
    return {
        "pass": (
            result(cases=(case("anon_lost_write"), case("other"))),
            result("arm64", cases=(case("anon_lost_write"), case("other", Outcome.SKIP, "no KSM"))),
        ),
        "repeated": tuple(result(cases=(case("anon_lost_write"),)) for _ in range(3)),
        "fail": (result(cases=(lost, case("other")), provenance=provenance),),
        "inconclusive": (
            result(cases=(case("anon_lost_write", Outcome.INCONCLUSIVE, low, counters=few),)),
        ),
        "splat": (result(cases=(case("anon_lost_write"),), splats=KASAN[:1]),),
        "build": (
            result(
                trouble=series, boot_seconds=0.0, detail="mm/vmscan.c:7: error: no\n    7 | no;"
            ),
        ),
        "boot": (
            result(
                trouble=Trouble(
                    owner=kernel, reason="the kernel hangs at boot: not up within 60 s"
                ),
                boot_seconds=0.0,
                detail="\n".join(f"console line {n}" for n in range(50)),
            ),
        ),
        "revisions": tuple(
            result(name, cases=(case("anon_lost_write", outcome),), provenance=of_revision(number))
            for number, outcome in ((1, Outcome.FAIL), (2, Outcome.PASS))
            for name in ("x86_64", "arm64")
        ),
        "each-patch": (
            result(
                provenance=of_revision(2, 1),
                boot_seconds=0.0,
                verdict=Verdict(outcome=Outcome.SKIP, reason="builds; not run"),
                checkpatch=("1 errors, 0 warnings", "7: ERROR: space prohibited"),
            ),
            result(cases=(case("anon_lost_write"),), checkpatch=("0 errors, 0 warnings",)),
        ),
        "blamed": (
            blamed("x86_64", INTRODUCED, UNDECIDED, earlier=(GONE,)),
            blamed("arm64", THERE),
        ),
        "broken": (
            result(
                "arm64",
                cases=(case("anon_lost_write", Outcome.BROKEN, "QEMU was killed by signal 9"),),
                trouble=Trouble(owner=Owner.RIG, reason="QEMU was killed by signal 9"),
                machine=Machine(arch="arm64", accel=Accel.KVM, cpus=8, memory=2048, swap=wide),
                warnings=("mm/x.c:1: warning: unused", "mm/y.c:2: warning: unused"),
            ),
        ),
    }


# A guest of the tests' own


@pytest.fixture
def spec(base: Base) -> RunSpec:
    """Two cases on a kernel, of a suite each."""
    machine = Machine(arch="x86_64", accel=Accel.TCG)
    selected = (
        Selection(suite="stale_tlb", cases=("anon_lost_write",)),
        Selection(suite="reclaim", cases=("anon_roundtrip",)),
    )
    asked = Request(target="v6.12")
    return RunSpec(request=asked, tree=TreeSpec(base=base), machine=machine, suites=selected)


@pytest.fixture
def prepared(spec: RunSpec, tmp_path: Path) -> Prepared:
    """It with all it needs made, in name."""
    build = tmp_path / "build"
    build.mkdir()
    (build / ".config").write_text("CONFIG_SMP=y\n")
    made = KernelBuild(
        digest="b01d", arch="x86_64", label="v6.12", release="6.12.0-rig", directory=build,
        image=build / "bzImage", vmlinux=build / "vmlinux", warnings=("x.c:1: warning: y",),
        seconds=1, objects=3, reused=False,
    )  # fmt: skip
    software = Software(kernel=build / "bzImage", initrd=())
    return Prepared(spec=spec, build=made, software=software, provenance=provenance(spec))


class FakeGuest:
    """Answers each command by the name of its case; what a real one does is in tests/boot."""

    def __init__(self, machine: Machine, says: dict[str, Any], console: str) -> None:
        self.machine, self.says = machine, says
        self.lost: GuestLost | None = None
        self.boot_seconds = 1.234
        self.printed = console
        self.console = SimpleNamespace(text=lambda: self.printed)

    def run(self, command: str, *, deadline: float) -> Ran:
        """Of several answers, each is given once. `before CASE` is said before its start line,
        `end` after the last case."""
        case, default = command.split()[1], passes(command.split()[1])
        if command.endswith(">/dev/kmsg"):
            name = command.split("'")[1].partition("/")[2].split()
            case, default = f"before {name[0]}" if name else "end", ""
        output = self.says[command] if command in self.says else self.says.get(case, default)
        if isinstance(output, list):
            output = output.pop(0) if output else default
        if output == "not ok":
            output = failing(case)
        if isinstance(output, GuestLost):
            self.lost = output
            self.printed += f"{output}\n"
        elif command.endswith(">/dev/kmsg") and isinstance(output, str):
            self.printed += output + command.split("'")[1] + "\n"
        if isinstance(output, BaseException):
            raise output
        return Ran(command=command, status=0, stdout=output, stderr="a word", seconds=1)

    def session(self, command: str, streams: Any) -> int:
        streams.out.write(self.says[command])
        return 3


def enough(floors: Iterable[Floor]) -> list[str]:
    """The lines of counters that reach these floors, on a kernel that can do all they ask for."""
    floors = tuple(floors)
    counters = {floor.unless: 0 for floor in floors if floor.unless}
    counters |= {floor.counter: 1_000_000_000 for floor in floors}
    return [f"# counter {name} {value}" for name, value in counters.items()]


def passes(case: str) -> str:
    every = (floor for entry in suite.declared().values() for floor in entry.floors)
    lines = sorted(enough(every))
    return "\n".join(["KTAP version 1", "1..1", *lines, f"ok 1 {case}", ""])


def failing(case: str) -> str:
    return passes(case).replace("ok 1", "# evidence page 17: lost\nnot ok 1")


@pytest.fixture
def boots(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Machine]]:
    """Guests that say this; a console that is left; what was booted."""

    def set_up(
        says: dict[str, Any] | None = None,
        console: str = "",
        error: Exception | None = None,
        again: Exception | None = None,
    ) -> list[Machine]:
        """`error` when a guest is booted; `again` when one is booted after the first."""
        booted: list[Machine] = []

        @contextlib.contextmanager
        def boot(machine: Machine, software: Any, directory: Path) -> Iterator[FakeGuest]:
            booted.append(machine)
            directory.mkdir(parents=True, exist_ok=True)
            (directory / "console.log").write_text(console)
            if failure := error or (again if len(booted) > 1 else None):
                raise failure
            yield FakeGuest(machine, says or {}, console)

        monkeypatch.setattr(guests, "boot", boot)
        return booted

    return set_up
