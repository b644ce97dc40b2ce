# SPDX-License-Identifier: GPL-2.0-only
"""The programs of a kernel tree's own tools/testing/selftests, static, by the tree's own Makefile.

They are compiled from the tree under test, because a series may change them. That makes compiling
them running the series: it happens where the kernel is built, in the lane, under its sandbox.
"""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from rig import git, lane, log, proc
from rig.errors import BuildError
from rig.kbuild import BuildSpec
from rig.store import Store, digest, host_trouble

FOLDER = "tools/testing/selftests"
EXPORT = (FOLDER, "tools/include", "tools/scripts", "tools/build", "tools/arch", "scripts",
          "mm/gup_test.h")  # fmt: skip
"""What the selftests' Makefiles and sources reach for, beside the headers for user space."""
HEADERS = ("include/uapi", "{arch}/include/uapi", "{arch}/entry/syscalls", "{arch}/tools")
"""What the headers for user space are made from; not every architecture has all of it."""
LDFLAGS = "-static -s"
TARGET = "rig-list"
LIST = "$(notdir $(TEST_GEN_PROGS) $(TEST_GEN_FILES))"
STOPPED = re.compile(r"make(?:\[\d+\])?: \*\*\* \[.*?([^/\] ]+)\] Error ")
COMPLAINT = re.compile(r"\b(?:fatal )?error: |undefined reference to|cannot find -l")
REASON_MAX = 200


def build(
    store: Store, spec: BuildSpec, folder: str, names: Sequence[str], known: Sequence[str] = ()
) -> tuple[Path, ...]:
    """The programs of selftests/`folder`, by name; `known` is which others the tree may have.

    In place of one that the tree does not have, or that does not compile, comes a script which says
    so in KTAP: nobody is left out in silence.
    """
    arch, names = spec.config.arch, sorted(set(names))
    inputs = {
        "trees": _trees(store, spec),
        "arch": arch.name,
        "compiler": proc.run([arch.tool("gcc"), "--version"]).stdout.splitlines()[0],
        "flags": LDFLAGS,
        "folder": folder,
        "names": names,
    }

    def make(out: Path) -> dict[str, object]:
        with (
            lane.held(store, spec.lane, spec.tree) as place,
            log.step(f"Compiling selftests/{folder} of {spec.tree.label} for {arch.name}") as step,
            host_trouble("building selftests"),
        ):
            there, missing = _make(store, spec, place, folder, names, out)
            if other := sorted({*there} - {*names, *known}):
                step.note(f"{spec.tree.label} has more than the list knows: {', '.join(other)}")
        for name, why in missing.items():
            (out / name).write_text(stub(why))
        return {"missing": missing, "unlisted": other}

    entry = store.make("selftests", digest(inputs), inputs, make)
    return tuple(entry / name for name in names)


def stub(why: str) -> str:
    """A program that skips itself."""
    return f"#!/bin/sh\ncat <<'END'\nTAP version 13\n1..0 # SKIP {why}\nEND\nexit 4\n"


def _trees(store: Store, spec: BuildSpec) -> dict[str, str]:
    """What the programs are made from, by git's hash of it."""
    here = "/".join(Path(spec.config.arch.image).parts[:2])
    paths = (*EXPORT, *(path.format(arch=here) for path in HEADERS))
    listed = git.text("ls-tree", spec.tree.commit, *paths, cwd=git.repository(store))
    found = {path: words.split()[2] for words, path in
             (line.split("\t") for line in listed.splitlines())}  # fmt: skip
    if FOLDER not in found:
        raise BuildError(f"{spec.tree.label} has no {FOLDER}")
    return found


def _make(
    store: Store, spec: BuildSpec, place: Path, folder: str, names: Sequence[str], out: Path
) -> tuple[list[str], dict[str, str]]:
    """Which programs the tree has, and why some of `names` are not in `out` afterwards."""
    arch, box, env = spec.config.arch, lane.sandbox(place), lane.environment(place)
    work = place / "out" / "selftests"
    shutil.rmtree(work, ignore_errors=True)
    (work / "bin").mkdir(parents=True)
    try:
        _run([*box, *lane.make_command(arch, place, "headers")], env)
        tar = work / "export.tar"
        git.git("archive", "-o", tar, spec.tree.commit, *EXPORT, cwd=git.repository(store))
        _run([*box, "tar", "-xf", str(tar), "-C", str(work)], env)
        make = _command(spec, place, work, folder)
        said = _run([*box, *make, f"--eval={TARGET}: ; @echo {TARGET} {LIST}", TARGET], env)
        there = said.rpartition(TARGET)[2].split()
        targets = [str(work / "bin" / name) for name in names if name in there]
        done = proc.run([*box, *make, *targets], env=env, check=False, deadline=1800)
        said = f"{done.stdout}{done.stderr}".replace(f"{work}/", "")
        why = complaints(said)
        missing = {}
        for name in names:
            made = work / "bin" / name
            if name not in there:
                missing[name] = f"{spec.tree.label} has no {name} for {arch.name}"
            elif made.is_file() and not made.is_symlink() and name not in why:
                shutil.copy2(made, out / name)
            else:
                said_of_it = why.get(name, "make says nothing")
                missing[name] = f"does not compile in {spec.tree.label}: {said_of_it}"
        (out / "make.log").write_text(said)
        return there, missing
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _run(command: list[str], env: dict[str, str]) -> str:
    done = proc.run(command, env=env, check=False)
    if done.status:
        said = f"{done.stdout}{done.stderr}"[-3000:]
        raise BuildError("the selftests cannot be built", detail=said)
    return done.stdout


def _command(spec: BuildSpec, place: Path, work: Path, folder: str) -> list[str]:
    arch = spec.config.arch
    settings = {
        "OUTPUT": str(work / "bin"),
        "ARCH": arch.kernel,
        "CROSS_COMPILE": "" if arch.is_host() else arch.cross,
        "KHDR_INCLUDES": f"-isystem {place / 'out' / 'usr' / 'include'}",
        "LDFLAGS": LDFLAGS,
    }
    words = [f"{key}={value}" for key, value in settings.items()]
    # -O: one target's output in one piece; -k: as many as can be had.
    options = ["-s", "-k", "-O", "--no-print-directory", f"-j{lane.jobs()}"]
    return ["make", "-C", str(work / FOLDER / folder), *options, *words]


def complaints(said: str) -> dict[str, str]:
    """Target -> the first thing the compiler or linker has against it, from make -k -O."""
    found: dict[str, str] = {}
    pending = ""
    for line in said.splitlines():
        if stopped := STOPPED.search(line):
            found[stopped[1]] = (pending or line.strip())[:REASON_MAX]
            pending = ""
        elif not pending and COMPLAINT.search(line):
            pending = line.strip()
    return found
