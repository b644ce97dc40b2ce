# SPDX-License-Identifier: GPL-2.0-only
# ruff: noqa: E101 (kernel code is indented with tabs, semantic patches with both)
"""Semantic patches woven into tests/data/kernel by the host's spatch."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from rig import git
from rig.errors import BuildError, ConfigError, InfraError
from rig.kernel import mutant, tree, weave
from rig.kernel.base import Base
from rig.kernel.mutant import Mutant
from rig.kernel.tree import KernelTree, TreeSpec
from rig.log import Event
from rig.store import Store

HEADER = """\
// SPDX-License-Identifier: GPL-2.0-only
// Rule: a test's
// Files: {files}
// Killed-By: suite/case
"""
# Skips a call, and says a condition is not met.
NO_ADD = """\
@@
expression list args;
@@
- arch_tlbbatch_add_pending(args);
+ if (!rig_mutant(NO_ADD))
+ 	arch_tlbbatch_add_pending(args);
"""
NO_FLUSH = """\
@@
@@
  try_to_unmap_flush(...)
  {
  <...
- if (!tlb_ubc.flush_required)
+ if (rig_mutant(NO_FLUSH) || !tlb_ubc.flush_required)
  	return;
  ...>
  }
"""


def made(name: str, body: str, files: str = "mm/rmap.c", more: str = "") -> Mutant:
    return mutant.parse(name, HEADER.format(files=files) + more + "\n" + body)


@pytest.fixture
def clean(store: Store, base: Base) -> KernelTree:
    return tree.materialize(store, TreeSpec(base=base))


def show(store: Store, woven: KernelTree, path: str) -> str:
    return git.git("show", f"{woven.commit}:{path}", cwd=git.repository(store)).stdout


STUBS = {
    "cache.h": "#define __read_mostly",
    "init.h": "#define __init\n#define __initconst\n#define early_param(name, function) "
    'static int (*const early)(char *) = function; static const char *const said = name "=";'
    "const void *const used[] = {&early, &said};",
    "kernel.h": "#define EINVAL 22\n#define ARRAY_SIZE(x) (sizeof(x) / sizeof((x)[0]))",
    "printk.h": "int printf(const char *, ...);\n#define pr_err printf\n#define pr_info printf",
    "string.h": "int match_string(const char *const *names, unsigned long n, const char *name);",
    "compiler.h": "#define READ_ONCE(x) (*(const volatile typeof(x) *)&(x))\n"
    "#define unlikely(x) __builtin_expect(!!(x), 0)",
}


def compiles(top: Path, *files: str) -> None:
    for name, text in STUBS.items():
        (top / "include" / "linux" / name).write_text(f"{text}\n")
    gcc = ["gcc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-Iinclude"]
    result = subprocess.run(
        [*gcc, "-include", "linux/compiler.h", *files],
        cwd=top, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr


def test_mutants_are_woven_behind_their_numbers(
    store: Store, clean: KernelTree, tmp_path: Path, events: list[Event]
) -> None:
    mutants = (made("no-add", NO_ADD), made("no-flush", NO_FLUSH))
    woven = weave.instrument(store, clean, mutants)
    assert woven.label == "v6.12, instrumented"
    assert (woven.base, woven.version) == (clean.base, clean.version)
    assert woven.commit != clean.commit
    assert woven.tree == tree.tree_of(store, woven.commit) != clean.tree

    diff = git.git(
        "diff", "--name-status", clean.commit, woven.commit, cwd=git.repository(store)
    ).stdout.splitlines()
    assert diff == [
        "A\tinclude/linux/rig_mutant.h", "M\tmm/Makefile", "A\tmm/rig_mutant.c", "M\tmm/rmap.c",
    ]  # fmt: skip

    rmap = show(store, woven, "mm/rmap.c")
    assert "#include <linux/mm.h>\n#include <linux/rig_mutant.h>\n" in rmap
    assert re.search(
        r"if \(!rig_mutant\(NO_ADD\)\)\n\t\tarch_tlbbatch_add_pending\(&tlb_ubc, mm\);", rmap
    )
    assert "if (rig_mutant(NO_FLUSH) || !tlb_ubc.flush_required)\n\t\treturn;" in rmap
    header = show(store, woven, "include/linux/rig_mutant.h")
    assert "\tRIG_MUTANT_NONE,\n\tRIG_MUTANT_NO_ADD,\n\tRIG_MUTANT_NO_FLUSH,\n};" in header
    assert '\t"none",\n\t"no-add",\n\t"no-flush",\n};' in show(store, woven, "mm/rig_mutant.c")
    assert show(store, woven, "mm/Makefile").splitlines()[-1] == "obj-y += rig_mutant.o"

    out = tmp_path / "out"
    git.git("worktree", "add", "--quiet", "--detach", out, woven.commit, cwd=git.repository(store))
    compiles(out, "mm/rmap.c", "mm/rig_mutant.c")

    events.clear()
    assert weave.instrument(store, clean, mutants) == woven
    assert not [event for event in events if "spatch" in event.text], "it was woven before"


def test_the_console_line_that_is_waited_for_is_the_one_that_is_printed() -> None:
    printed = re.search(r'pr_info\("(.*)\\n", arg\)', weave.SOURCE_TEXT)
    assert printed
    assert printed[1].replace("%s", "no-flush") == weave.says_it_is_on("no-flush")


def test_other_mutants_are_another_tree(store: Store, clean: KernelTree) -> None:
    first = weave.instrument(store, clean, (made("no-add", NO_ADD),))
    other = weave.instrument(store, clean, (made("no-add", NO_ADD.replace("if (!", "if (1 && !")),))
    assert first.tree != other.tree


def test_another_header_is_not_woven_again(
    store: Store, clean: KernelTree, events: list[Event]
) -> None:
    first = weave.instrument(store, clean, (made("no-add", NO_ADD),))
    events.clear()
    again = made("no-add", NO_ADD, more="// Equivalent-On: arm64: a reason\n")
    assert weave.instrument(store, clean, (again,)) == first
    assert not [event for event in events if "spatch" in event.text]


def test_a_mutant_that_is_not_for_this_version_is_left_out(store: Store, clean: KernelTree) -> None:
    later = made(
        "no-gone", "rig_mutant(NO_GONE)\n", "mm/gone.c", "// Not-On: <v7.0: not there yet\n"
    )
    woven = weave.instrument(store, clean, (made("no-add", NO_ADD), later))
    assert "NO_GONE" not in show(store, woven, "include/linux/rig_mutant.h")


@pytest.mark.parametrize(
    ("body", "files", "complaint"),
    [
        (NO_ADD.replace("add_pending", "gone"), "mm/rmap.c", "matches nothing in mm/rmap.c"),
        (NO_ADD, "mm/rmap.c, mm/vmscan.c", "matches nothing in mm/vmscan.c"),
        (NO_ADD, "mm/gone.c", "there is no mm/gone.c in this tree"),
        ("@@\n- no semantic patch (\n+ rig_mutant(NO_ADD)\n", "mm/rmap.c", "spatch rejects"),
        ("// rig_mutant(NO_ADD)\n", "mm/rmap.c", "matches nothing|spatch rejects"),
    ],
    ids=["nothing", "nothing-in-the-second", "no-file", "unparsable", "empty"],
)
def test_a_mutant_that_cannot_be_woven_is_named(
    store: Store, clean: KernelTree, body: str, files: str, complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint) as bad:
        weave.instrument(store, clean, (made("no-add", body, files),))
    assert bad.value.message.startswith("patches/mutants/no-add.cocci")
    assert bad.value.hint or bad.value.detail
    assert list((store.root / "instrumented").iterdir()) == []
    assert list((git.repository(store) / "worktrees").glob("*")) == []


def said_by_gcc(top: Path, file: str) -> BuildError:
    for name, text in STUBS.items():
        (top / "include" / "linux" / name).write_text(f"{text}\n")
    result = subprocess.run(
        ["gcc", "-std=gnu11", "-Iinclude", "-include", "linux/compiler.h", "-fsyntax-only", file],
        cwd=top, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode
    first = next(line for line in result.stderr.splitlines() if "error:" in line)
    return BuildError(f"it does not compile: {first}", detail=result.stderr)


@pytest.mark.parametrize("wrong", ["no-add", "no-flush"])
def test_a_mutant_that_does_not_compile_is_named(
    store: Store, clean: KernelTree, tmp_path: Path, wrong: str
) -> None:
    bodies = {"no-add": NO_ADD, "no-flush": NO_FLUSH}
    bodies[wrong] = bodies[wrong].replace("rig_mutant(", "no_such_thing && rig_mutant(", 1)
    mutants = tuple(made(name, body) for name, body in bodies.items())
    woven = weave.instrument(store, clean, mutants)
    out = tmp_path / "out"
    git.git("worktree", "add", "--quiet", "--detach", out, woven.commit, cwd=git.repository(store))
    error = said_by_gcc(out, "mm/rmap.c")
    blamed = weave.blame(store, woven, mutants, error)
    assert blamed.message == f"patches/mutants/{wrong}.cocci: {error.message}"
    assert blamed.detail == error.detail


def test_blame_without_a_place_or_a_mutant_near_it(store: Store, clean: KernelTree) -> None:
    mutants = (made("no-add", NO_ADD), made("no-flush", NO_FLUSH))
    woven = weave.instrument(store, clean, mutants)

    def blame(message: str) -> str:
        return weave.blame(store, woven, mutants, BuildError(message)).message

    both = "patches/mutants/no-add.cocci or patches/mutants/no-flush.cocci: "
    assert blame("mm/rmap.c:1:1: error: nonsense") == f"{both}mm/rmap.c:1:1: error: nonsense"
    for elsewhere in ("mm/vmscan.c:7:1: error: nonsense", "*** No rule to make target"):
        assert blame(elsewhere) == elsewhere


@pytest.mark.parametrize("number", ["KILL", "TERM", "SEGV"])
def test_a_spatch_that_the_host_kills_is_not_the_mutants_fault(
    store: Store, clean: KernelTree, program: Callable[[str, str], Path], number: str
) -> None:
    program("spatch", f"kill -{number} $$")
    with pytest.raises(InfraError, match="spatch was killed by signal"):
        weave.instrument(store, clean, (made("no-add", NO_ADD),))
