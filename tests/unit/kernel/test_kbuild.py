# SPDX-License-Identifier: GPL-2.0-only
"""Builds of tests/data/kernel: four files, with the host's make, gcc and bubblewrap."""

import json
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rig import arch, git, log, proc
from rig.errors import BuildError, ConfigError, DiskFull, InfraError
from rig.kernel import base as bases
from rig.kernel import builddir, buildhost, kbuild, kconfig, makelog, sandbox, tree
from rig.kernel.base import Base
from rig.kernel.kbuild import BuildSpec, KernelBuild, KernelConfig
from rig.kernel.tree import TreeSpec
from rig.log import Event
from rig.store import Store

Eventually = Callable[[Callable[[], object]], None]
HOST = next(one for one in arch.known().values() if one.is_host())
BOXED = not sandbox.broken()


def config(*lines: str) -> KernelConfig:
    fragment = kconfig.parse_fragment("kconfigs/base.config", "\n".join(lines) + "\n")
    return KernelConfig(arch=HOST, flavour="base", requested=fragment.settings)


SMP = config("CONFIG_SMP=y", "# CONFIG_DEBUG_VM is not set")


@pytest.fixture
def spec(store: Store, base: Base) -> BuildSpec:
    return BuildSpec(tree=tree.materialize(store, TreeSpec(base=base)), config=SMP)


@pytest.fixture
def edited(store: Store, base: Base, kernel: Path) -> Callable[..., BuildSpec]:
    """The kernel with something else in some file, or appended to it."""

    def edit(path: str, text: str, old: str = "") -> BuildSpec:
        before = (kernel / path).read_text() if (kernel / path).is_file() else ""
        assert old in before
        (kernel / path).parent.mkdir(exist_ok=True)
        (kernel / path).write_text(before.replace(old, text) if old else before + text)
        commit = git.import_tree(store, kernel, f"{path}\n")
        changed = Base(name=base.name, commit=commit, origin=base.origin)
        return BuildSpec(tree=tree.materialize(store, TreeSpec(base=changed)), config=SMP)

    return edit


def makes(events: list[Event]) -> list[str]:
    return [event.text for event in events if event.kind == "command" and " make -C " in event.text]


def compiled(events: list[Event]) -> set[str]:
    return {event.text for event in events if event.kind == "progress"}


# What comes out


def test_a_kernel_is_built_once(store: Store, spec: BuildSpec, events: list[Event]) -> None:
    built = kbuild.build(store, spec)
    assert (built.arch, built.label, built.reused) == (HOST.name, "v6.12", False)
    assert built.release == "6.12.0-rig"
    assert built.objects == 3
    assert built.warnings == ()
    assert built.vmlinux == built.directory / "vmlinux"
    assert built.image == built.directory / Path(HOST.image).name
    assert "CONFIG_SMP=y" in (built.directory / ".config").read_text()
    assert "shrink_list" in (built.directory / "System.map").read_text()
    manifest = store.manifest("builds", built.digest)
    assert manifest["commit"] == spec.tree.commit
    assert manifest["origin"] == "tests/data/kernel"
    assert manifest["sandboxed"] == BOXED
    assert "KBUILD_BUILD_TIMESTAMP=" in manifest["command"]
    assert compiled(events) == {"init.o", "mm/rmap.o", "mm/vmscan.o"}

    events.clear()
    again = kbuild.build(store, spec)
    assert makes(events) == [], "nothing to do is no make at all"
    assert again == replace(built, reused=True, objects=0)


def test_the_same_content_under_another_name_is_not_built_again(
    store: Store, spec: BuildSpec, kernel: Path, events: list[Event]
) -> None:
    built = kbuild.build(store, spec)
    commit = git.import_tree(store, kernel, "another commit of the same tree\n")
    assert commit != spec.tree.commit
    other = TreeSpec(base=Base(name="v6.12", commit=commit, origin="elsewhere"))
    events.clear()
    reused = kbuild.build(store, replace(spec, tree=tree.materialize(store, other)))
    assert (reused.digest, reused.reused) == (built.digest, True)
    assert makes(events) == []


def test_in_a_lane_only_what_differs_is_compiled(
    store: Store, spec: BuildSpec, edited: Callable[..., BuildSpec], events: list[Event]
) -> None:
    first = kbuild.build(store, spec)
    events.clear()
    changed = edited("mm/vmscan.c", "int more(void) { return 1; }\n")
    second = kbuild.build(store, changed)
    assert compiled(events) == {"mm/vmscan.o"}
    assert second.objects == 1
    assert second.digest != first.digest
    assert "more" in (second.directory / "System.map").read_text()
    assert "more" not in (first.directory / "System.map").read_text()
    lanes = [path.name for path in (store.root / "lanes").iterdir() if path.is_dir()]
    assert lanes == [f"{HOST.name}-base-v6.12"]


def test_another_configuration_is_another_build(store: Store, spec: BuildSpec) -> None:
    first = kbuild.build(store, spec)
    other = kbuild.build(store, replace(spec, config=config("CONFIG_SWAP=y")))
    assert other.digest != first.digest
    assert "CONFIG_SWAP=y" in (other.directory / ".config").read_text()
    assert "CONFIG_SMP=y" not in (other.directory / ".config").read_text()


def test_another_compiler_is_another_build(
    store: Store, spec: BuildSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = kbuild.build(store, spec)
    monkeypatch.setattr(kbuild, "toolchain", lambda arch: "gcc (Another) 99.1")
    assert kbuild.build(store, spec).digest != first.digest


def test_progress_knows_its_end_from_the_last_full_build(
    store: Store, spec: BuildSpec, events: list[Event]
) -> None:
    kbuild.build(store, spec)
    assert {event.total for event in events if event.kind == "progress"} == {0}
    shutil.rmtree(store.root / "builds")
    for path in (store.root / "lanes").glob("*/out"):
        shutil.rmtree(path)
    events.clear()
    kbuild.build(store, spec)
    assert [(e.done, e.total) for e in events if e.kind == "progress"] == [(1, 3), (2, 3), (3, 3)]


# Warnings

UNUSED = "static int unused;\n"


def test_a_kernel_has_the_warnings_of_all_its_objects(
    store: Store, edited: Callable[..., BuildSpec], events: list[Event]
) -> None:
    """Not only of those that this make compiled. Three compilers at once warn, or two."""
    built = kbuild.build(store, edited("init.c", UNUSED))
    (warning,) = built.warnings
    assert warning.startswith("init.c:")
    assert "warning: ‘unused’ defined but not used" in warning
    assert built.whole

    events.clear()
    assert kbuild.build(store, edited("README", "x")).warnings == (warning,)
    assert compiled(events) == {"init.o"}, "again, and nothing else"
    more = kbuild.build(store, edited("mm/rmap.c", UNUSED)).warnings
    assert [text.partition(":")[0] for text in more] == ["init.c", "mm/rmap.c"]
    assert set(kbuild.build(store, edited("init.c", "", UNUSED)).warnings) == {*more} - {warning}
    assert kbuild.build(store, edited("mm/rmap.c", "", UNUSED)).warnings == ()
    events.clear()
    kbuild.build(store, edited("README", "x"))
    assert compiled(events) == set()


def test_a_warning_in_a_header_is_one(store: Store, edited: Callable[..., BuildSpec]) -> None:
    """How many objects include it, and are compiled in this make, does not matter."""
    old = kbuild.build(store, edited("include/linux/mm.h", "#warning old\n")).warnings
    assert len(old) == 1
    for path in ("README", "mm/rmap.c", "include/linux/mm.h"):
        assert kbuild.build(store, edited(path, "\n")).warnings == old
    assert kbuild.build(store, edited("include/linux/mm.h", "", "#warning old\n")).warnings == ()


def test_an_object_that_the_kernel_does_not_have_has_no_warnings(
    store: Store, edited: Callable[..., BuildSpec], kernel: Path
) -> None:
    old = kbuild.build(store, edited("mm/vmscan.c", UNUSED)).warnings
    assert kbuild.build(store, edited("Makefile", "", " mm/vmscan.o")).warnings == ()
    assert kbuild.build(store, edited("Makefile", "mm/rmap.o mm/vmscan.o", "mm/rmap.o")).warnings \
        == old  # fmt: skip
    (kernel / "mm/vmscan.c").unlink()
    assert kbuild.build(store, edited("Makefile", "", " mm/vmscan.o")).warnings == ()


RWX = "ld: warning: vmlinux has a LOAD segment with RWX permissions"


def test_a_warning_of_the_linker_is_there_although_nothing_is_to_be_linked(
    store: Store, edited: Callable[..., BuildSpec]
) -> None:
    """link-vmlinux.sh names files that are no targets of make's."""
    link = '\t@echo "  LD      vmlinux"\n'
    warns = f"{link}\t@echo '  LD      .tmp_vmlinux1'; echo '{RWX}' >&2\n"
    assert kbuild.build(store, edited("Makefile", warns, link)).warnings == (RWX,)
    assert kbuild.build(store, edited("README", "x")).warnings == (RWX,)


KCONFIG = "mm/Kconfig:12:warning: config symbol defined without type"


def test_kconfigs_warnings_come_with_the_configuration(
    store: Store, edited: Callable[..., BuildSpec]
) -> None:
    """A configuration is resolved once, and used for many builds."""
    edited("init.c", UNUSED)
    built = kbuild.build(store, edited("Makefile", f"\t@echo '{KCONFIG}' >&2\n{SED}", SED))
    assert len(built.warnings) == 2 and KCONFIG in built.warnings
    assert kbuild.build(store, edited("README", "x")).warnings == built.warnings


def test_the_warnings_of_a_make_that_failed_are_not_forgotten(
    store: Store, edited: Callable[..., BuildSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = kbuild.build(store, edited("mm/rmap.c", UNUSED))
    with monkeypatch.context() as patch, pytest.raises(BuildError):
        patch.setattr(kbuild, "CONFIGURE", "exit 2")  # before it has removed anything
        kbuild.build(store, edited("README", "x"))
    assert kbuild.build(store, edited("README", "y")).warnings == first.warnings
    edited("init.c", UNUSED)
    with pytest.raises(BuildError):
        kbuild.build(store, edited("mm/vmscan.c", "nonsense"))
    built = kbuild.build(store, edited("mm/vmscan.c", "", "nonsense"))
    assert len(built.warnings) == 2
    assert {*first.warnings} < {*built.warnings}


@pytest.mark.parametrize("late", [False, True], ids=["while make runs", "when it has ended"])
def test_the_warnings_of_a_make_that_was_killed_are_not_forgotten(
    store: Store,
    edited: Callable[..., BuildSpec],
    monkeypatch: pytest.MonkeyPatch,
    late: bool,
) -> None:
    kbuild.build(store, edited("mm/rmap.c", UNUSED))
    run = proc.run

    def killed(argv: Any, **how: Any) -> Any:
        done = run(argv, **how)
        if "on_line" in how:
            raise KeyboardInterrupt
        return done

    broken = edited("mm/vmscan.c", "" if late else "nonsense")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(proc, "run", killed)
        kbuild.build(store, edited("init.c", UNUSED) if late else broken)
    if not late:
        edited("mm/vmscan.c", "", "nonsense")
    built = kbuild.build(store, edited("README", "x"))
    assert built.whole
    sources = [text.partition(":")[0] for text in built.warnings]
    assert sources == ["init.c", "mm/rmap.c"][1 - late :]


def test_what_an_older_rig_compiled_is_compiled_again_for_its_warnings(
    store: Store, edited: Callable[..., BuildSpec], events: list[Event]
) -> None:
    """It kept none in the lane. That costs a whole build, and only those pay who need it."""
    kbuild.build(store, edited("init.c", UNUSED))
    (store.root / "lanes" / f"{HOST.name}-base-v6.12" / builddir.WARNED).unlink()
    changed = edited("mm/vmscan.c", "int more;\n")
    events.clear()
    built = kbuild.build(store, changed)
    assert (compiled(events), built.whole) == ({"mm/vmscan.o"}, False)
    for expected in ({"init.o", "mm/rmap.o", "mm/vmscan.o"}, set()):
        events.clear()
        (warning,) = kbuild.all_warnings(store, changed, built)
        assert warning.startswith("init.c:")
        assert compiled(events) == expected
    later = kbuild.build(store, edited("mm/vmscan.c", "int still;\n"))
    assert (later.warnings, later.whole) == ((warning,), True)


def test_an_older_rig_may_have_compiled_in_between(
    store: Store, edited: Callable[..., BuildSpec]
) -> None:
    kbuild.build(store, edited("mm/rmap.c", ""))
    lane = store.root / "lanes" / f"{HOST.name}-base-v6.12"
    kept = (lane / builddir.WARNED).read_bytes()
    kbuild.build(store, edited("init.c", UNUSED))
    (lane / builddir.WARNED).write_bytes(kept)  # an older rig would not have written it
    changed = edited("mm/vmscan.c", "int more;\n")
    built = kbuild.build(store, changed)
    assert not built.whole
    assert len(kbuild.all_warnings(store, changed, built)) == 1


def test_an_older_rigs_entry_has_the_warnings_of_some_objects(
    store: Store, edited: Callable[..., BuildSpec], events: list[Event]
) -> None:
    changed = edited("init.c", UNUSED)
    whole = kbuild.build(store, changed)
    for kind in ("builds", "configs"):
        (path,) = store.root.glob(f"{kind}/*/manifest.json")
        manifest = json.loads(path.read_text())
        manifest.pop("warnings_of", None)
        if kind == "builds":
            manifest["warnings"] = []
        else:
            del manifest["warnings"]
        path.write_text(json.dumps(manifest))
    old = kbuild.build(store, changed)
    assert (old.warnings, old.whole, old.reused) == ((), False, True)
    events.clear()
    assert kbuild.all_warnings(store, changed, old) == whole.warnings
    assert "init.o" in compiled(events)
    assert kbuild.build(store, changed) == old, "which others may be using"


@pytest.mark.skipif(not Path(sandbox.tool("ccache")).is_absolute(), reason="no ccache")
def test_ccache_repeats_warnings(
    store: Store, edited: Callable[..., BuildSpec], events: list[Event]
) -> None:
    changed = edited("init.c", UNUSED)
    first = kbuild.build(store, changed)
    lane = store.root / "lanes" / f"{HOST.name}-base-v6.12"
    for path in (store.root / "builds", lane / "out"):
        shutil.rmtree(path)
    events.clear()
    assert kbuild.build(store, changed).warnings == first.warnings
    stats = proc.run(["ccache", "--print-stats"], env={"CCACHE_DIR": str(lane / "ccache")}).stdout
    hits = {name: int(count) for name, count in map(str.split, stats.splitlines())}
    assert hits["direct_cache_hit"] + hits["preprocessed_cache_hit"] == 3


# Configuration


def test_fragments_are_read_in_their_order(tmp_path: Path) -> None:
    top = tmp_path / "kconfigs"
    for name, text in {
        "base.config": "CONFIG_SMP=y\n",
        f"arch/{HOST.name}.config": "CONFIG_ARCH=y\n",
        "flavour/base.config": "# nothing\n",
        "flavour/debug.config": "CONFIG_DEBUG_VM=y\n",
    }.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(text)
    suite = tmp_path / "suite.config"
    suite.write_text("CONFIG_SWAP=y\n")
    merged = kbuild.fragments(top, HOST, "debug", (suite, tmp_path / "gone"))
    assert [(str(setting), setting.fragment) for setting in merged.requested] == [
        ("CONFIG_SMP=y", "kconfigs/base.config"),
        ("CONFIG_ARCH=y", f"kconfigs/arch/{HOST.name}.config"),
        ("CONFIG_DEBUG_VM=y", "kconfigs/flavour/debug.config"),
        ("CONFIG_SWAP=y", "suite.config"),
    ]
    with pytest.raises(ConfigError, match="no flavour named 'debgu'") as bad:
        kbuild.fragments(top, HOST, "debgu", ())
    assert bad.value.hint == "did you mean debug?"
    suite.write_text("# CONFIG_SMP is not set\n")
    with pytest.raises(ConfigError, match=r"kconfigs/base\.config:1 contradicts"):
        kbuild.fragments(top, HOST, "base", (suite,))


def test_a_symbol_that_cannot_be_had_is_named_with_what_it_needs(
    store: Store, spec: BuildSpec, events: list[Event]
) -> None:
    requested = config("CONFIG_SMP=y", "CONFIG_ZSWAP=y", "CONFIG_SWAPP=y")
    with pytest.raises(ConfigError) as bad:
        kbuild.build(store, replace(spec, config=requested))
    assert bad.value.message == (
        "2 of the requested settings cannot be set in v6.12: CONFIG_ZSWAP, CONFIG_SWAPP"
    )
    first, other = bad.value.detail.splitlines()
    assert first == (
        "CONFIG_ZSWAP=y requested at kconfigs/base.config:2: not in .config; "
        "it depends on SWAP && HAVE_ZPOOL"
    )
    assert "did you mean CONFIG_SWAP" in other
    assert not [line for line in makes(events) if "vmlinux" in line], "nothing was compiled"
    assert not (store.root / "builds").exists()
    assert kbuild.build(store, spec), "the lane is none the worse"


SED = "\t@sed"


def test_a_configuration_that_fails_is_the_trees_fault(
    store: Store, edited: Callable[..., BuildSpec]
) -> None:
    fails = "\t@echo 'Kconfig:3: syntax error' >&2; exit 1\n\t@sed"
    with pytest.raises(BuildError, match="make allnoconfig failed") as bad:
        kbuild.build(store, edited("Makefile", fails, SED))
    assert "Kconfig:3: syntax error" in bad.value.detail


# What does not compile


def test_the_compilers_own_first_error_comes_first(
    store: Store, edited: Callable[..., BuildSpec], spec: BuildSpec
) -> None:
    broken = edited("mm/vmscan.c", "int nonsense(void) { return missing; }\n")
    with pytest.raises(BuildError) as bad:
        kbuild.build(store, broken)
    assert bad.value.message.startswith("it does not compile: mm/vmscan.c:")
    assert "error: ‘missing’ undeclared" in bad.value.message
    assert bad.value.detail.splitlines()[0] in f"{bad.value.message}"
    assert not list((store.root / "builds").iterdir())
    assert kbuild.build(store, spec).release, "the lane is none the worse"


def failed(tmp_path: Path, *lines: str) -> Exception:
    """What is made of make's output."""
    with log.step("Building") as step:
        meter = makelog.Meter(step, 0)
        for line in lines:
            meter(line)
    return makelog.failure(meter, tmp_path / "src", HOST)


STOP = "make[2]: *** [scripts/Makefile.build:243: mm/x.o] Error 1"


@pytest.mark.parametrize(
    ("said", "first"),
    [
        ("aarch64-linux-gnu-ld: mm/x.o: file not recognized", ""),
        ("x.c:(.text+0x5): undefined reference to `y'", ""),
        ("ERROR: modpost: missing MODULE_LICENSE()", ""),
        ("mm/x.c:1:10: fatal error: y.h: No such file or directory", ""),
        ("ld: warning: x has a LOAD segment with RWX permissions", STOP),
        ("mm/x.c:1: warning: unused", STOP),
        ("sh: 1: objtool: not found", STOP),
    ],
)
def test_errors_of_other_tools(tmp_path: Path, said: str, first: str) -> None:
    before = [f"  CC      mm/{n}.o" for n in range(50)]
    error = failed(tmp_path, *before, said, STOP, "make: *** [Makefile:1: mm] Error 2")
    assert isinstance(error, BuildError)
    assert error.message == f"it does not compile: {first or said}"
    assert said in error.detail, "what was said before make stopped is shown"
    assert error.detail.startswith(said) == (not first)


def test_make_may_fail_without_a_word(tmp_path: Path) -> None:
    error = failed(tmp_path)
    assert str(error) == "it does not compile: no output from make"
    assert str(failed(tmp_path, "one", "two")) == "it does not compile: two"


def test_paths_are_the_trees(tmp_path: Path) -> None:
    error = failed(tmp_path, f"{tmp_path}/src/mm/x.c:1:2: error: y")
    assert str(error) == "it does not compile: mm/x.c:1:2: error: y"


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("cc1: fatal error: error writing to /tmp/x.s: No space left on device", DiskFull),
        ("gcc: fatal error: Killed signal terminated program cc1", InfraError),
        ("virtual memory exhausted: Cannot allocate memory", InfraError),
    ],
)
def test_what_the_host_lacks_is_not_the_series_fault(
    tmp_path: Path, said: str, kind: type[InfraError]
) -> None:
    error = failed(tmp_path, f"x.c:1: error: {said}", *["  CC      mm/x.o"] * 50, STOP)
    assert type(error) is kind
    assert said in error.detail  # type: ignore[attr-defined]


def test_a_full_disk_while_configuring(store: Store, edited: Callable[..., BuildSpec]) -> None:
    """A real one: /dev/full."""
    with pytest.raises(DiskFull):
        kbuild.build(store, edited("Makefile", "\t@cat Makefile > /dev/full\n\t@sed", SED))


STOPPED = "make[2]: *** [scripts/Makefile.build:229: mm/x.o] "


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f"{STOPPED}Killed", "was killed"),
        (f"{STOPPED}Error 137", "was killed"),
        (f"{STOPPED}Terminated", "a program of this host did not work"),
        (f"{STOPPED}Bus error", "a program of this host did not work"),
        (f"{STOPPED}Error 143", "a program of this host did not work"),
        ("gcc: fatal error: Terminated signal terminated program cc1", "did not work"),
        ("cc1: internal compiler error: Killed (program cc1)", "was killed"),
        ("mm/x.c:1: internal compiler error: Bus error", "a program of this host did not work"),
        ("mm/x.c:1: internal compiler error: in final_scan_insn, at final.c:3073", "did not work"),
        ("collect2: fatal error: ld terminated with signal 11 [Segmentation fault]", "not work"),
        ("cc1: error while loading shared libraries: libmpc.so.3: cannot open", "did not work"),
        ("sh: 1: as: not found", "as is not installed, and a kernel build needs it"),
        ("gcc: fatal error: cannot execute ‘as’: execvp: No such file", "as is not installed"),
        ("make[1]: gawk: No such file or directory", ""),
        ("/bin/sh: line 1: awk: command not found", "awk is not installed"),
    ],
)
def test_a_program_that_was_killed_or_is_missing_is_not_the_series_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, message: str
) -> None:
    which = shutil.which
    gone = ("as", "awk")
    monkeypatch.setattr(shutil, "which", lambda x, **how: None if x in gone else which(x, **how))
    error = failed(tmp_path, "  CC      mm/x.o", line, "make: *** [Makefile:1: mm] Error 2")
    if not message:
        assert isinstance(error, BuildError), "gawk is no program that every kernel needs"
        return
    assert isinstance(error, InfraError)
    assert message in error.message
    assert line in error.detail


@pytest.mark.parametrize("name", ["make", "gcc", "ld", "flex", "bison", "bc", "objcopy"])
def test_a_missing_build_tool_is_named_before_make_runs(
    store: Store, spec: BuildSpec, events: list[Event], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda x, **how: None if x == name else which(x, **how))
    with pytest.raises(InfraError, match=f"{name} is not installed") as missing:
        kbuild.build(store, spec)
    assert "rig doctor --fix" in missing.value.hint
    assert makes(events) == []


def test_a_tool_that_only_a_cross_build_needs_is_installed_for_its_architecture(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    foreign = next(one for one in arch.known().values() if not one.is_host())
    name, which = f"{foreign.cross}ld", shutil.which
    monkeypatch.setattr(shutil, "which", lambda x, **how: None if x == name else which(x, **how))
    buildhost.check(HOST)
    with pytest.raises(InfraError, match=f"{name} is not installed") as missing:
        buildhost.check(foreign)
    assert f"rig doctor --fix --arch {foreign.name}" in missing.value.hint


def test_a_missing_library_is_not_the_series_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    libelf = buildhost.Need(package="libelf-dev", why="", files=(f"{tmp_path}/libelf.h",))
    monkeypatch.setattr(buildhost, "BUILD", (*buildhost.BUILD, libelf))
    error = failed(tmp_path, "elf.h:10:10: fatal error: gelf.h: No such file or directory", STOP)
    assert isinstance(error, InfraError)
    assert error.message == "libelf-dev is not installed, and a kernel build needs it"


@pytest.mark.parametrize("number", ["TERM", "KILL", "BUS"])
@pytest.mark.parametrize("victim", ["$$PPID", "$$$$"], ids=["make", "a command of make's"])
def test_a_build_that_was_killed_is_not_the_series_fault(
    store: Store, spec: BuildSpec, edited: Callable[..., BuildSpec], victim: str, number: str
) -> None:
    recipe = '\t@echo "  CC'
    killed = edited("Makefile", f"\t@kill -{number} {victim}\n{recipe}", recipe)
    with pytest.raises(InfraError):
        kbuild.build(store, killed)
    assert kbuild.build(store, spec).release, "the lane is none the worse"


# What a configuration depends on


def test_a_configuration_is_resolved_again_where_a_kconfig_file_or_a_script_differs(
    store: Store, spec: BuildSpec, edited: Callable[..., BuildSpec]
) -> None:
    digests = [
        kbuild._kconfig_digest(store, spec_.tree)
        for spec_ in (
            spec,
            edited("mm/vmscan.c", "int more;\n"),
            edited("mm/Kconfig", "config MORE\n"),
            edited("scripts/Makefile", "# more\n"),
            edited("Kconfig", "# more\n"),
        )
    ]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 4


def test_a_tree_that_was_borrowed_and_is_gone_does_not_matter(
    store: Store, spec: BuildSpec, edited: Callable[..., BuildSpec], kernel: Path, tmp_path: Path
) -> None:
    """It was the last tree that was listed, and the lane has it checked out."""
    theirs = tmp_path / "theirs"
    shutil.copytree(kernel, theirs)
    (theirs / "mm" / "Kconfig").write_text("config THEIRS\n\tbool\n")
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "-m", "mine"]):
        git.git(*words, cwd=theirs)
    borrowed = bases.resolve(store, "HEAD", tree=theirs)
    same_lane = replace(borrowed, name=spec.tree.base.name)
    theirs_spec = replace(spec, tree=tree.materialize(store, TreeSpec(base=same_lane)))
    assert theirs_spec.lane == spec.lane
    built = kbuild.build(store, theirs_spec)
    shutil.rmtree(theirs)
    assert git.lacks(store, borrowed.commit), "the test shows nothing"
    # Newer than all other lists, and in a lane of the same name.
    other = edited("mm/vmscan.c", "int more;\n")
    assert kbuild.build(store, other).digest != built.digest
    assert kbuild._kconfig_digest(store, other.tree) == kbuild._kconfig_digest(store, spec.tree)


def test_which_trees_were_there_before_does_not_matter(
    store: Store, edited: Callable[..., BuildSpec], kernel: Path
) -> None:
    more = edited("mm/Kconfig", "config MORE\n")
    (kernel / "mm/Kconfig").unlink()
    less = edited("Kconfig", "# more\n")
    digests = {}
    for order in ((more, less), (less, more)):
        shutil.rmtree(store.root / "kconfigs", ignore_errors=True)
        for spec_ in order:
            digests.setdefault(spec_.tree.tree, set()).add(
                kbuild._kconfig_digest(store, spec_.tree)
            )
    assert [len(names) for names in digests.values()] == [1, 1]


# The sandbox


@pytest.fixture
def outside() -> Iterator[Path]:
    """A directory of the host's that anybody may write, and that is no /tmp."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        Path(name).chmod(0o777)
        yield Path(name)


@pytest.mark.skipif(not BOXED, reason="bubblewrap does not work here")
def test_a_build_writes_nothing_but_its_output(
    store: Store, spec: BuildSpec, edited: Callable[..., BuildSpec], outside: Path
) -> None:
    place = store.root / "lanes" / spec.lane
    places = [place / "src/mm/evil", place / "evil", store.root / "evil", outside / "evil"]
    places += [Path(os.environ["HOME"]) / "evil", place / "out" / "evil"]
    tries = "; ".join(f"echo evil > {path}" for path in places)
    evil = edited("Makefile", f"release:\n\t@({tries}) || true\n", "release:\n")
    assert kbuild.build(store, evil).release == "6.12.0-rig"
    assert [path for path in places if path.exists()] == [place / "out" / "evil"]


def test_without_bubblewrap_it_is_said_that_nothing_is_confined(
    store: Store, spec: BuildSpec, monkeypatch: pytest.MonkeyPatch, events: list[Event]
) -> None:
    monkeypatch.setattr(sandbox, "broken", lambda: "no bwrap")
    built = kbuild.build(store, spec)
    assert "the build is not confined: no bwrap" in [e.text for e in events]
    assert not store.manifest("builds", built.digest)["sandboxed"]


# Killed, and two at once


def test_two_builds_of_the_same_are_one_make(
    store: Store, spec: BuildSpec, events: list[Event]
) -> None:
    results: list[KernelBuild] = []
    threads = [
        threading.Thread(target=lambda: results.append(kbuild.build(store, spec))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len([line for line in makes(events) if "vmlinux" in line]) == 1
    assert results[0].digest == results[1].digest


def test_two_trees_of_one_lane_are_built_one_after_the_other(
    store: Store, spec: BuildSpec, edited: Callable[..., BuildSpec], events: list[Event]
) -> None:
    other = edited("mm/vmscan.c", "int more(void) { return 1; }\n")
    kbuild.build(store, spec)
    slower = replace(spec, config=config("CONFIG_SWAP=y"))
    events.clear()
    threads = [
        threading.Thread(target=kbuild.build, args=(store, spec_)) for spec_ in (slower, other)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    steps = [e for e in events if "Building" in e.title and e.kind in ("begin", "end", "fail")]
    assert [event.kind for event in steps] == ["begin", "end"] * 2
    assert steps[0].step == steps[1].step


def test_a_lane_left_between_two_trees_is_checked_out_again(
    store: Store, spec: BuildSpec, edited: Callable[..., BuildSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    kbuild.build(store, spec)
    source = store.root / "lanes" / spec.lane / "src" / "init.c"
    whole = source.read_text()

    def killed(place: Path, before: str, commit: str) -> bool:
        source.write_text("half a fi")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(builddir, "_step", killed)
        kbuild.build(store, edited("init.c", "int more;\n"))
    kbuild.build(store, replace(spec, config=config("CONFIG_SWAP=y")))
    assert source.read_text() == whole


KILLED = """
import sys
from pathlib import Path
from rig import arch
from rig.kernel import kbuild, kconfig, tree
from rig.kernel.base import Base
from rig.kernel.kbuild import BuildSpec, KernelConfig
from rig.store import Store
from rig.kernel.tree import TreeSpec
store = Store(Path(sys.argv[1]))
base = Base(name="v6.12", commit=sys.argv[2], origin="")
requested = kconfig.parse_fragment("x", "CONFIG_SMP=y\\n").settings
config = KernelConfig(arch=arch.pick(sys.argv[3]), flavour="base", requested=requested)
kbuild.build(store, BuildSpec(tree=tree.materialize(store, TreeSpec(base=base)), config=config))
"""


def test_a_killed_build_is_done_again_whole(
    store: Store,
    spec: BuildSpec,
    edited: Callable[..., BuildSpec],
    script: Callable[..., Any],
    eventually: Eventually,
    events: list[Event],
) -> None:
    """The compiler is killed when half of mm/vmscan.o is there, and kbuild has not noted it."""
    compile_ = "\t@$(CC) -Wall -Iinclude -c -o $@ $<\n"
    slow = (
        "\t@if test $< = mm/vmscan.c; then head -c 100 mm/vmscan.c > $@; "
        "echo half > $(O)/said; sleep 1000; fi\n"
    )
    hangs = edited("Makefile", slow + compile_, compile_)
    rig = script(KILLED, store.root, hangs.tree.commit, HOST.name)
    out = store.root / "lanes" / hangs.lane / "out"
    eventually(lambda: rig.poll() is not None or (out / "said").exists())
    rig.kill()
    rig.wait(120)
    eventually(lambda: not [p for p in Path("/proc").glob("[0-9]*/cmdline") if cmdline(p, out)])
    assert (out / "mm" / "vmscan.o").is_file(), "the half is there, and younger than its source"
    # What kbuild leaves beside every object it has finished, the last time it did.
    for name in ("init.o", "mm/rmap.o", "mm/vmscan.o"):
        command = (out / name).with_name(f".{Path(name).name}.cmd")
        command.touch()
        age = (out / name).stat().st_mtime if (out / name).exists() else 10**9
        back = 60 if name == "mm/vmscan.o" else -60
        os.utime(command, (age - back, age - back))
    events.clear()
    built = kbuild.build(store, replace(spec, config=config("CONFIG_SMP=y")))
    assert "mm/vmscan.o" in compiled(events)
    assert "shrink_list" in (built.directory / "System.map").read_text()
    entries = [path.name for path in (store.root / "builds").iterdir() if path.name[0] != "."]
    assert entries == [built.digest]


def cmdline(path: Path, out: Path) -> bool:
    try:
        return str(out).encode() in path.read_bytes()
    except OSError:
        return False


def test_what_a_killed_make_may_have_left_half_is_removed(tmp_path: Path) -> None:
    for name, made, noted in [
        ("old.o", 100, 100),  # finished long ago
        ("half.o", 200, 100),  # written again, and not finished
        ("young.o", 199, 199),  # finished just then: its note may be half
        ("sub/deep.o", 200, 50),
        ("gone.o", 0, 100),  # the compiler had removed it
    ]:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
        note = path.with_name(f".{path.name}.cmd")
        note.touch()
        os.utime(path, (made, made))
        os.utime(note, (noted, noted))
        if not made:
            path.unlink()
    (tmp_path / "no-note").touch()
    builddir._tidy(tmp_path)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"old.o", ".old.o.cmd", "no-note", ".gone.o.cmd"}


def test_a_finished_make_is_not_tidied_up_after(
    store: Store, spec: BuildSpec, edited: Callable[..., BuildSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BuildError):
        kbuild.build(store, edited("mm/vmscan.c", "int nonsense(void) { return missing; }\n"))

    def tidied(out: Path) -> None:
        raise AssertionError

    monkeypatch.setattr(builddir, "_tidy", tidied)
    kbuild.build(store, spec)


@pytest.mark.parametrize("lock", ["index.lock", "HEAD.lock"])
def test_a_checkout_that_was_killed_is_done_again(
    store: Store, spec: BuildSpec, edited: Callable[..., BuildSpec], lock: str
) -> None:
    kbuild.build(store, spec)
    (admin,) = (git.repository(store) / "worktrees").iterdir()
    (admin / lock).touch()
    source = store.root / "lanes" / spec.lane / "src"
    (source / "mm" / "vmscan.c").write_text("half a fi")
    changed = edited("init.c", "int more;\n")
    (store.root / "lanes" / spec.lane / "checked-out").unlink()
    assert "more" in (kbuild.build(store, changed).directory / "System.map").read_text()
    assert "shrink_list" in (source / "mm" / "vmscan.c").read_text()


def test_a_lane_whose_worktree_was_being_added_is_made_again(store: Store, spec: BuildSpec) -> None:
    source, repo = store.root / "lanes" / spec.lane / "src", git.repository(store)
    add = ("worktree", "add", "--quiet", "--detach", "--no-checkout")
    git.git(*add, source, spec.tree.commit, cwd=repo)
    (admin,) = (repo / "worktrees").iterdir()
    (admin / "locked").write_text("initializing\n")
    assert kbuild.build(store, spec).release


# A store that was damaged


def _empty(path: Path) -> None:
    path.write_text("")


@pytest.mark.parametrize("file", ["vmlinux", "manifest.json", "System.map", ".config"])
@pytest.mark.parametrize("harm", [_empty, lambda path: path.write_bytes(b"garbage")])
def test_a_damaged_kernel_is_built_again(
    store: Store, spec: BuildSpec, events: list[Event], file: str, harm: Callable[[Path], None]
) -> None:
    built = kbuild.build(store, spec)
    whole = built.vmlinux.read_bytes()
    harm(built.directory / file)
    again = kbuild.build(store, spec)
    assert (again.digest, again.reused) == (built.digest, False)
    assert built.vmlinux.read_bytes() == whole
    notes = [event.text for event in events if event.kind == "note" and "damaged" in event.text]
    assert len(notes) == 1 and notes[0].startswith(f"builds/{built.digest} in the store is damaged")


@pytest.mark.parametrize(
    "damaged",
    ["kconfigs/*/files.json", "kconfigs/*/manifest.json", "configs/*/*", "lanes/*.objects"],
)
@pytest.mark.parametrize("content", [b"", b"{", b"\xff\x00 garbage"])
def test_what_a_build_reads_from_the_store_may_be_damaged(
    store: Store, spec: BuildSpec, edited: Callable[..., BuildSpec], damaged: str, content: bytes
) -> None:
    kbuild.build(store, spec)
    paths = list(store.root.glob(damaged))
    assert paths
    for path in paths:
        path.write_bytes(content)
    for directory in (store.root / "lanes").glob("*/out"):
        shutil.rmtree(directory)  # then the number of objects is read
    assert kbuild.build(store, edited("mm/vmscan.c", "int more;\n")).objects == 3
    shutil.rmtree(store.root / "builds")
    assert kbuild.build(store, spec).release == "6.12.0-rig"


@pytest.mark.parametrize(
    "gone", ["linux.git", "linux.git/HEAD", "lanes/*/src", "linux.git/worktrees"]
)
def test_a_lane_whose_work_tree_is_gone_is_made_again(
    store: Store, spec: BuildSpec, kernel: Path, gone: str
) -> None:
    kbuild.build(store, spec)
    for path in store.root.glob(gone):
        shutil.rmtree(path) if path.is_dir() else path.write_text("")
    commit = git.import_tree(store, kernel, "v6.12\n")
    shutil.rmtree(store.root / "builds")
    again = TreeSpec(base=Base(name="v6.12", commit=commit, origin="again"))
    rebuilt = replace(spec, tree=tree.materialize(store, again))
    assert kbuild.build(store, rebuilt).release == "6.12.0-rig"


@pytest.mark.parametrize(
    "damaged",
    [
        *("lanes/*/checked-out", "lanes/*/src/.git", "lanes/*/warned", "lanes/*/ready"),
        *(
            "linux.git/info/attributes",
            "linux.git/worktrees/*/gitdir",
            "linux.git/worktrees/*/HEAD",
        ),
        "linux.git/objects/info/alternates",
    ],
)
@pytest.mark.parametrize(
    "content", [b"", bytes(41), b"\xff\xfe garbage\n"], ids=["empty", "zeros", "garbage"]
)
def test_a_lane_whose_own_files_are_damaged_is_checked_out_again(
    store: Store, spec: BuildSpec, edited: Callable[..., BuildSpec], damaged: str, content: bytes
) -> None:
    kbuild.build(store, spec)
    (store.root / "linux.git/objects/info/alternates").touch()
    paths = list(store.root.glob(damaged))
    assert paths
    for path in paths:
        path.write_bytes(content)
    assert kbuild.build(store, edited("mm/vmscan.c", "int more;\n")).release == "6.12.0-rig"
