# SPDX-License-Identifier: GPL-2.0-only
"""Selftests of a kernel in miniature, compiled by the host's compiler in a lane."""

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from rig import arch, git, proc
from rig.errors import BuildError
from rig.kernel import builddir, selftests, tree
from rig.kernel.base import Base
from rig.kernel.kbuild import BuildSpec, KernelConfig
from rig.kernel.tree import TreeSpec
from rig.log import Event
from rig.store import Store
from rig.verdict import kselftest, ktap
from rig.verdict.rules import Outcome

HOST = next(one for one in arch.known().values() if one.is_host())
ARCH = "/".join(Path(HOST.image).parts[:2])
# As lib.mk has it: a pattern rule, something to say whatever is asked, and helper sources that only
# listed programs get.
MAKEFILE = """\
CC = $(CROSS_COMPILE)gcc
CFLAGS = -Wall $(KHDR_INCLUDES)
TEST_GEN_FILES = good needs_header broken unlinked new_here
$(info CHK [config] local_config.mk)
TARGETS := $(addprefix $(OUTPUT)/,$(TEST_GEN_FILES))
all: $(TARGETS)
$(TARGETS): helper.c
$(OUTPUT)/%: %.c
\t$(CC) $(CFLAGS) $(LDFLAGS) $^ -o $@
"""
FILES = {
    "Makefile": MAKEFILE,
    "helper.c": "int helper(void) { return 7; }\n",
    "good.c": "int helper(void);\nint main(void) { return helper(); }\n",
    "needs_header.c": "#include <linux/rig.h>\nint main(void) { return RIG - 5; }\n",
    "broken.c": "int main(void) { return missing; }\n",
    "unlinked.c": "int nowhere(void);\nint main(void) { return nowhere(); }\n",
    "new_here.c": "int main(void) { return 0; }\n",
    "not_listed.c": "int main(void) { return 0; }\n",
}
HEADERS = """
headers:
\t@mkdir -p $(O)/usr/include/linux
\t@cp include/uapi/linux/rig.h $(O)/usr/include/linux/
"""
NAMES = ("good", "needs_header", "broken", "unlinked", "not_listed", "gone")

Edit = Callable[..., BuildSpec]


@pytest.fixture
def kernel_with(store: Store, base: Base, kernel: Path) -> Edit:
    """The kernel in miniature with selftests, some of its files replaced."""
    (kernel / "Makefile").write_text((kernel / "Makefile").read_text() + HEADERS)
    files = {f"{selftests.FOLDER}/mm/{name}": text for name, text in FILES.items()}
    files |= {f"{path}/x": "" for path in selftests.EXPORT if path.count(".") == 0}
    files |= {path: "" for path in selftests.EXPORT if path.endswith(".h")}
    files |= {"include/uapi/linux/rig.h": "#define RIG 5\n"}
    files |= {f"{ARCH}/include/uapi/x.h": "", f"{ARCH}/mm/tlb.c": ""}

    def edit(elsewhere: dict[str, str] | None = None, **changed: str) -> BuildSpec:
        named = {name: name.replace("__", ".") for name in changed}
        here = files | {
            f"{selftests.FOLDER}/mm/{named[name]}": text for name, text in changed.items()
        }
        here |= elsewhere or {}
        for path, text in here.items():
            (kernel / path).parent.mkdir(parents=True, exist_ok=True)
            (kernel / path).write_text(text)
        commit = git.import_tree(store, kernel, "v6.12\n")
        result = tree.materialize(
            store, TreeSpec(base=Base(name="v6.12", commit=commit, origin=""))
        )
        return BuildSpec(tree=result, config=KernelConfig(arch=HOST, flavour="base", requested=()))

    return edit


def built(store: Store, spec: BuildSpec) -> dict[str, Path]:
    return {path.name: path for path in selftests.build(store, spec, "mm", NAMES, ("new_here",))}


def skips(program: Path) -> str:
    """Why a program skips itself, by what the rig makes of its output."""
    done = subprocess.run(["sh", program], capture_output=True, text=True, check=False)
    report = ktap.parse(done.stdout, foreign=True)
    result = kselftest.judge(report, program.name, (), done.returncode, 1, ())
    assert (result.outcome, done.returncode) == (Outcome.SKIP, kselftest.SKIP_STATUS)
    return result.reason


def test_the_trees_own_makefile_makes_them_and_nobody_is_left_out_in_silence(
    store: Store, kernel_with: Edit
) -> None:
    programs = built(store, kernel_with())
    assert list(programs) == sorted(NAMES)
    assert subprocess.run([programs["good"]], check=False).returncode == 7
    assert subprocess.run([programs["needs_header"]], check=False).returncode == 0
    headers = subprocess.run(["readelf", "-l", programs["good"]], capture_output=True, check=True)
    assert b"INTERP" not in headers.stdout, "static"
    broken, unlinked = skips(programs["broken"]), skips(programs["unlinked"])
    assert broken.startswith("does not compile in v6.12: broken.c:1:")
    assert "‘missing’ undeclared" in broken
    assert "undefined reference to `nowhere'" in unlinked
    assert skips(programs["gone"]) == f"v6.12 has no gone for {HOST.name}"
    assert skips(programs["not_listed"]) == f"v6.12 has no not_listed for {HOST.name}"


def test_they_are_made_once_for_what_they_are_made_from(
    store: Store, kernel_with: Edit, events: list[Event]
) -> None:
    first = built(store, kernel_with())
    events.clear()
    assert built(store, kernel_with()) == first
    assert built(store, kernel_with({f"{ARCH}/mm/tlb.c": "int changed;\n"})) == first
    assert not [event for event in events if "Compiling" in event.text]
    assert built(store, kernel_with({f"{ARCH}/include/uapi/x.h": "int changed;\n"})) != first
    other = built(store, kernel_with(helper__c="int helper(void) { return 8; }\n"))
    assert subprocess.run([other["good"]], check=False).returncode == 8
    assert subprocess.run([first["good"]], check=False).returncode == 7


def test_what_the_list_does_not_know_is_said(
    store: Store, kernel_with: Edit, events: list[Event]
) -> None:
    makefile = MAKEFILE.replace("new_here", "new_here quite_new")
    built(store, kernel_with(Makefile=makefile))
    (note,) = [event.text for event in events if "that our list does not have" in event.text]
    assert note.endswith("not have: quite_new")


def test_the_lane_keeps_nothing_of_them(store: Store, kernel_with: Edit) -> None:
    built(store, kernel_with())
    (out,) = store.root.glob("lanes/*/out")
    assert not (out / "selftests").exists()


def test_headers_that_cannot_be_made_are_the_trees_fault(store: Store, kernel_with: Edit) -> None:
    broken = kernel_with(Makefile="$(error no such luck)\n")
    with pytest.raises(BuildError, match="selftests cannot be built") as bad:
        built(store, broken)
    assert "no such luck" in bad.value.detail


def test_a_tree_without_selftests_is_said(store: Store, base: Base) -> None:
    result = tree.materialize(store, TreeSpec(base=base))
    spec = BuildSpec(tree=result, config=KernelConfig(arch=HOST, flavour="base", requested=()))
    with pytest.raises(BuildError, match=r"v6\.12 has no tools/testing/selftests"):
        built(store, spec)


def test_a_lane_whose_make_was_stopped_is_marked(
    store: Store, kernel_with: Edit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its objects may be half written: the next build tidies the lane."""
    run = proc.run

    def stopped(argv: Sequence[str], **options: Any) -> proc.Done:
        if "-k" in argv:
            raise KeyboardInterrupt
        return run(argv, **options)

    spec = kernel_with()
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(proc, "run", stopped)
        built(store, spec)
    assert [path.name for path in store.root.glob(f"lanes/*/{builddir.KILLED}")] == [
        builddir.KILLED
    ]
    built(store, spec)
    assert list(store.root.glob(f"lanes/*/{builddir.KILLED}")) == []


def test_what_make_says_of_each() -> None:
    output = """\
make: Entering directory '/x'
khugepaged.c: In function ‘main’:
khugepaged.c:1195:24: error: ‘KSFT_SKIP’ undeclared (first use in this function)
khugepaged.c:1196:24: error: and more
make: *** [../lib.mk:222: bin/khugepaged] Error 1
migration.c:12:10: fatal error: numa.h: No such file or directory
compilation terminated.
make[1]: *** [../lib.mk:221: bin/migration] Error 1
make: *** [../lib.mk:221: bin/silent] Error 1
make: Target 'all' not remade because of errors.
"""
    reasons = selftests.complaints(output)
    assert reasons["khugepaged"].startswith("khugepaged.c:1195:24: error: ‘KSFT_SKIP’ undeclared")
    assert (
        reasons["migration"] == "migration.c:12:10: fatal error: numa.h: No such file or directory"
    )
    assert reasons["silent"] == "make: *** [../lib.mk:221: bin/silent] Error 1"
    assert len(reasons) == 3
