# SPDX-License-Identifier: GPL-2.0-only
"""Series whose Makefiles, scripts and sources are written to get out of where they are built.

docs/security.md lists these tests by the boundary that each of them tries.
"""

import os
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rig import arch, git, proc
from rig.arch import Arch
from rig.campaigns import each_patch
from rig.errors import BuildError, ConfigError, InfraError
from rig.guest import qemu, seeded, symbolize
from rig.guest.qemu import Accel, Files, Machine, Seeded
from rig.guest.software import PORT, SSH, Software, live_command
from rig.kernel import builddir, kbuild, kconfig, mutant, sandbox, selftests, tree, weave
from rig.kernel.base import Base
from rig.kernel.kbuild import BuildSpec, KernelConfig
from rig.kernel.tree import TreeSpec
from rig.log import Event
from rig.series import model
from rig.store import Store, file_digest

TOP = Path(__file__).parents[3]
SHELF = TOP / "tests" / "data" / "mbx" / "shelf"
HOST: Arch = next(one for one in arch.known().values() if one.is_host())
CONFIG = KernelConfig(
    arch=HOST, flavour="base", requested=kconfig.parse_fragment("x", "CONFIG_SMP=y\n").settings
)
RELEASE = "release:\n"
pytestmark = pytest.mark.skipif(bool(sandbox.broken()), reason=sandbox.broken())

Hostile = Callable[..., BuildSpec]


@pytest.fixture
def hostile(store: Store, base: Base, kernel: Path) -> Hostile:
    """The build of a series that replaces a text of a file of the kernel in miniature, or appends
    to it; what earlier calls did is kept."""

    def build(path: str, new: str, old: str = "", of: str = "a series") -> BuildSpec:
        file = kernel / path
        before = file.read_text() if file.is_file() else ""
        assert old in before
        file.write_text(before.replace(old, new) if old else before + new)
        commit = git.import_tree(store, kernel, "hostile\n")
        made = tree.materialize(store, TreeSpec(base=replace(base, commit=commit)))
        return BuildSpec(tree=replace(made, base=base, series=of), config=CONFIG)

    return build


@pytest.fixture
def spec(store: Store, base: Base) -> BuildSpec:
    return BuildSpec(tree=tree.materialize(store, TreeSpec(base=base)), config=CONFIG)


@pytest.fixture
def victim() -> Iterator[Path]:
    """A file of the user's, where anybody may write."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        Path(name).chmod(0o777)
        path = Path(name) / "bashrc"
        path.write_text("mine\n")
        path.chmod(0o666)
        yield path


def does(script: str) -> str:
    """A Makefile's release: that runs a script."""
    return f"{RELEASE}\t@({script}) || true\n"


def compiled(events: list[Event]) -> set[str]:
    return {event.text for event in events if event.kind == "progress"}


# What a build writes, and where


def test_a_build_writes_its_output_and_nothing_else(
    store: Store, hostile: Hostile, victim: Path
) -> None:
    lane = store.root / "lanes" / f"{HOST.name}-base-v6.12"
    places = [lane / "src/mm/evil", lane / "evil", lane / "given/config", lane / "ccache/evil"]
    places += [store.root / "evil", victim, Path(os.environ["HOME"]) / "evil", Path("/tmp/evil")]
    script = does("; ".join(f"echo evil > {place}" for place in places))
    assert kbuild.build(store, hostile("Makefile", script, RELEASE)).release == "6.12.0-rig"
    assert [place for place in places if place.exists() and "evil" in place.read_text()] == []


def test_what_a_series_says_it_compiles_is_removed_in_its_box_only(
    store: Store, hostile: Hostile, victim: Path
) -> None:
    """Files that had a warning are removed before the next make. Here a symbolic link leads out."""
    warning = "echo 'a.c:1:2: warning: x'"
    said = f"echo '  CC      link/bashrc'; {warning}; echo '  CC      ../../x'; {warning}"
    said += f"; echo '  CC      {victim}'; {warning}"
    script = does(f"ln -sfn {victim.parent} $(O)/link; {said}")
    built = kbuild.build(store, hostile("Makefile", script, RELEASE))
    assert (len(built.warnings), built.whole) == (1, True)
    lane = store.root / "lanes" / f"{HOST.name}-base-v6.12"
    assert builddir.warned(lane / "out") == (), "the base has none"
    assert builddir.warned(lane / "series" / "out") == ("link/bashrc",)
    assert kbuild.build(store, hostile("README", "x")).whole
    assert victim.read_text() == "mine\n"


@pytest.mark.parametrize("left", ["ln -sf {victim} {file}", "rm -f {file}; mkfifo {file}"])
@pytest.mark.parametrize(
    "name", [".config", "System.map", "vmlinux", HOST.image, "include/config/kernel.release"]
)
def test_what_is_no_file_is_neither_read_nor_written(
    store: Store, hostile: Hostile, victim: Path, name: str, left: str
) -> None:
    """A FIFO has no writer, and nobody waits for one."""
    hostile("init.c", "int x;\n")
    boot = "\t@cp $< $@\n"
    attack = left.format(victim=victim, file=f"$(O)/{name}")
    evil = hostile("Makefile", f"{boot}\t@{attack}\n", boot)
    with pytest.raises(BuildError, match=r"which the command (should have )?left"):
        kbuild.build(store, evil)
    assert victim.read_text() == "mine\n"
    built = [path.name for path in (store.root / "builds").iterdir()]
    assert len(built) == 1, "the base, which was built first"


def test_a_map_that_is_too_large_is_refused(store: Store, hostile: Hostile) -> None:
    """It is read all at once; a hole in it costs nothing."""
    hostile("init.c", "int x;\n")
    boot = "\t@cp $< $@\n"
    evil = hostile("Makefile", f"{boot}\t@truncate -s 1G $(O)/System.map\n", boot)
    with pytest.raises(
        BuildError, match=r"System\.map, which the command left, has 1073741824 bytes"
    ):
        kbuild.build(store, evil)


def test_a_kconfig_file_that_is_no_text_is_read(
    store: Store, hostile: Hostile, kernel: Path
) -> None:
    (kernel / "mm" / "Kconfig").write_bytes(b"config \xff\n\thelp\n\t  caf\xe9\n")
    settings = kconfig.parse_fragment("x", "CONFIG_NONE=y\n").settings
    evil = replace(hostile("init.c", "int x;\n"), config=replace(CONFIG, requested=settings))
    with pytest.raises(ConfigError, match="CONFIG_NONE"):
        kbuild.build(store, evil)


def test_a_release_that_is_no_release_is_refused(store: Store, hostile: Hostile) -> None:
    evil = hostile("Makefile", "LOCALVERSION)/../../x", "LOCALVERSION)")
    with pytest.raises(BuildError, match="is not a kernel release"):
        kbuild.build(store, evil)


# One series and the next

PLANT = (
    "echo 'int evil(void) { return 1; }' | $(CC) -x c -c -o $(O)/mm/rmap.o -; "
    "touch -d 2037-01-01 $(O)/mm/rmap.o; echo x >$(O)/../ccache/x; echo x >$$CCACHE_DIR/x"
)


def test_a_series_objects_reach_no_other_kernel(
    store: Store, spec: BuildSpec, hostile: Hostile
) -> None:
    evil = hostile("Makefile", does(PLANT), RELEASE)
    kbuild.build(store, evil)
    again = kbuild.build(store, replace(evil, config=replace(CONFIG, requested=())))
    assert "evil" in (again.directory / "System.map").read_text(), "or the attempt proves nothing"
    innocent = hostile("Makefile", RELEASE, does(PLANT), of="another series")
    for requested in (innocent, spec):
        other = replace(requested, config=replace(CONFIG, requested=()))
        assert "evil" not in (kbuild.build(store, other).directory / "System.map").read_text()
    assert list((store.root / "lanes").glob("*/ccache/x")) == []


def test_what_a_series_first_patches_leave_is_in_no_other_kernel(
    store: Store, spec: BuildSpec, hostile: Hostile
) -> None:
    """Its last patch takes back what its first did, and leaves a tree that others have as well."""
    others = replace(CONFIG, requested=kconfig.parse_fragment("x", "CONFIG_SWAP=y\n").settings)
    kbuild.build(store, spec)
    kbuild.build(store, replace(hostile("Makefile", does(PLANT), RELEASE), config=others))
    last = replace(hostile("Makefile", RELEASE, does(PLANT)), config=others)
    assert last.tree.tree == spec.tree.tree
    evil = kbuild.build(store, last)
    assert "evil" in (evil.directory / "System.map").read_text(), "or the attempt proves nothing"
    for other in ("another series", ""):
        innocent = replace(last, tree=replace(last.tree, series=other))
        built = kbuild.build(store, innocent)
        assert "evil" not in (built.directory / "System.map").read_text()
    assert kbuild.build(store, last).digest == built.digest, "the base's, now that there is one"


def test_a_base_that_is_not_trusted_is_built_apart(
    store: Store, base: Base, spec: BuildSpec, hostile: Hostile
) -> None:
    """A stranger's branch, which the user has fetched and a mail's base-commit names."""
    evil = hostile("Makefile", does(PLANT), RELEASE)
    other = replace(base, commit=evil.tree.commit, trusted=False)
    untrusted = BuildSpec(tree=tree.materialize(store, TreeSpec(base=other)), config=CONFIG)
    assert untrusted.tree.series and not untrusted.may_escape
    kbuild.build(store, untrusted)
    innocent = replace(spec, config=replace(CONFIG, requested=()))
    kbuild.build(store, spec)
    assert "evil" not in (kbuild.build(store, innocent).directory / "System.map").read_text()
    assert list((store.root / "lanes").glob("*/ccache/x")) == []


def test_a_series_starts_from_the_bases_objects(
    store: Store, hostile: Hostile, events: list[Event]
) -> None:
    kbuild.build(store, hostile("mm/vmscan.c", "int a;\n"))
    steps = [event.title for event in events if event.kind == "begin" and "Building" in event.title]
    assert len(steps) == 2, "the base's, and its own"
    events.clear()
    kbuild.build(store, hostile("mm/rmap.c", "int b;\n", of="another series"))
    assert compiled(events) == {"mm/vmscan.o", "mm/rmap.o"}
    events.clear()
    kbuild.build(store, hostile("init.c", "int c;\n", of="another series"))
    assert compiled(events) == {"init.o"}, "of a series' first patches nothing is compiled twice"


def test_a_series_that_changes_a_header_is_not_built_twice(
    store: Store, hostile: Hostile, events: list[Event]
) -> None:
    kbuild.build(store, hostile("include/linux/mm.h", "/* changed */\n"))
    steps = [event.title for event in events if event.kind == "begin" and "Building" in event.title]
    assert len(steps) == 1, "nearly every object would be compiled twice"


def test_a_killed_build_of_a_series_leaves_nothing_to_start_from(
    store: Store, hostile: Hostile, monkeypatch: pytest.MonkeyPatch, events: list[Event]
) -> None:
    kbuild.build(store, hostile("mm/vmscan.c", "int a;\n"))
    real = proc.run

    def killed(argv: proc.Argv, **rest: Any) -> proc.Done:
        if "vmlinux" in argv:
            raise KeyboardInterrupt
        return real(argv, **rest)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(proc, "run", killed)
        kbuild.build(store, hostile("mm/vmscan.c", "int b;\n"))
    events.clear()
    kbuild.build(store, hostile("init.c", "int c;\n"))
    assert compiled(events) == {"init.o", "mm/vmscan.o"}, "a new copy of the base's objects"


def test_a_series_has_its_configuration_to_itself(
    store: Store, spec: BuildSpec, hostile: Hostile
) -> None:
    """A configuration is named after the Kconfig files, and the Makefile is none of them."""
    done = "done > $(O)/.config\n"
    forged = f"{done}\t@echo CONFIG_EVIL=y >>$(O)/.config\n"
    evil = kbuild.build(store, hostile("Makefile", forged, done))
    assert "EVIL" not in (evil.directory / ".config").read_text(), "its base's was there"
    strange = replace(CONFIG, requested=kconfig.parse_fragment("x", "CONFIG_SWAP=y\n").settings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kbuild, "_build_base_first", lambda store, spec: None)
        first = replace(hostile("init.c", "int x;\n"), config=strange)
        assert "EVIL" in (kbuild.build(store, first).directory / ".config").read_text()
    other = hostile("Makefile", done, forged, of="another series")
    for requested in (other, spec):
        built = kbuild.build(store, replace(requested, config=strange))
        assert "EVIL" not in (built.directory / ".config").read_text()


def test_what_a_series_says_it_compiles_is_expected_of_no_other(
    store: Store, spec: BuildSpec, hostile: Hostile
) -> None:
    kbuild.build(store, spec)
    (memory,) = (store.root / "lanes").glob("*.objects")
    before = memory.read_text()
    lies = "for i in 1 2 3 4 5 6 7; do echo '  CC      mm/x.o'; done"
    assert kbuild.build(store, hostile("Makefile", does(lies), RELEASE)).objects == 7
    assert memory.read_text() == before


def test_what_a_series_leaves_is_no_other_users_to_run(store: Store, hostile: Hostile) -> None:
    leave = "cp /bin/true $(O)/evil; chmod 6755 $(O)/evil"
    kbuild.build(store, hostile("Makefile", does(leave), RELEASE))
    (evil,) = (store.root / "lanes").glob("*/series/out/evil")
    assert evil.stat().st_mode & 0o6000, "or the attempt proves nothing"
    assert evil.parent.parent.stat().st_mode & 0o777 == 0o700


def test_what_a_build_is_made_of_is_noted(store: Store, spec: BuildSpec) -> None:
    built = kbuild.build(store, spec)
    sums = store.manifest("builds", built.digest)["sha256"]
    assert set(sums) == {"vmlinux", "System.map", ".config", Path(HOST.image).name}
    assert sums["vmlinux"] == file_digest(built.vmlinux)


# Programs of the tree, and programs that read it


def test_checkpatch_is_the_bases_and_boxed(
    store: Store, base: Base, kernel: Path, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "secret")
    (kernel / "scripts").mkdir()
    script = (
        f"open(F, '>', '{victim}') and print F 'evil'; print \"-:1: \", %ENV, \"\\n\";"
        'print "total: 0 errors, 1 warnings, 1\n";'
    )
    (kernel / "scripts" / "checkpatch.pl").write_text(script)
    commit = git.import_tree(store, kernel, "v6.12\n")
    v2 = model.load(SHELF, "unmap-batch", 2)
    step, *_ = each_patch.steps(TreeSpec(base=replace(base, commit=commit), series=v2))
    # What is on top of the base is a stranger's.
    stranger = replace(step, before=replace(step.before, base=base))
    count, output = each_patch.checkpatch(store, stranger)
    assert count == "0 errors, 1 warnings", "the base's own was run"
    assert "secret" not in output
    assert victim.read_text() == "mine\n"


def test_spatch_is_boxed(
    store: Store, hostile: Hostile, victim: Path, program: Callable[[str, str], Path]
) -> None:
    """Whatever a hostile source or a .cocciconfig makes of spatch."""
    program("spatch", f"echo evil >{victim}; echo ran >&2; exit 1")
    evil = hostile(".cocciconfig", f"[spatch]\n\toptions = --debug --profile -o {victim}\n")
    body = "@@ @@\n- a();\n+ if (!rig_mutant(X)) a();\n"
    header = "// SPDX-License-Identifier: GPL-2.0-only\n// Rule: x\n// Files: mm/rmap.c\n"
    parsed = mutant.parse("x", f"{header}// Killed-By: suite/case\n\n{body}")
    with pytest.raises(ConfigError, match="spatch rejects it") as bad:
        weave.instrument(store, evil.tree, (parsed,))
    assert bad.value.detail.endswith("ran")
    assert victim.read_text() == "mine\n"


@pytest.mark.parametrize("path", ["mm/rmap.c", "mm/Makefile", "mm/rig_mutant.c"])
def test_a_link_of_a_base_that_is_not_trusted_is_not_followed(
    store: Store,
    base: Base,
    kernel: Path,
    victim: Path,
    program: Callable[[str, str], Path],
    path: str,
) -> None:
    """Mutants are written into a work tree by the rig itself, which no box holds."""
    program("spatch", "for file; do :; done; echo 'int rig_mutant(X);' >>$file")
    header = "// SPDX-License-Identifier: GPL-2.0-only\n// Rule: x\n// Files: mm/rmap.c\n"
    body = "@@ @@\n- a();\n+ if (!rig_mutant(X)) a();\n"
    parsed = mutant.parse("x", f"{header}// Killed-By: suite/case\n\n{body}")
    (kernel / path).unlink(missing_ok=True)
    (kernel / path).symlink_to(victim)
    theirs = replace(base, commit=git.import_tree(store, kernel, "theirs\n"), trusted=False)
    with pytest.raises(ConfigError, match="is a symlink that leads out of the tree"):
        weave.instrument(store, tree.materialize(store, TreeSpec(base=theirs)), (parsed,))
    assert victim.read_text() == "mine\n"


def test_a_source_that_is_no_text_is_woven_into(
    store: Store, hostile: Hostile, kernel: Path, program: Callable[[str, str], Path]
) -> None:
    (kernel / "mm" / "rmap.c").write_bytes(b"/* caf\xe9 */\n#include <linux/mm.h>\n")
    program("spatch", "for file; do :; done; echo 'int rig_mutant(X);' >>$file")
    header = "// SPDX-License-Identifier: GPL-2.0-only\n// Rule: x\n// Files: mm/rmap.c\n"
    body = "@@ @@\n- a();\n+ if (!rig_mutant(X)) a();\n"
    parsed = mutant.parse("x", f"{header}// Killed-By: suite/case\n\n{body}")
    woven = weave.instrument(store, hostile("init.c", "int x;\n").tree, (parsed,))
    text = git.git(
        "show", f"{woven.commit}:mm/rmap.c", cwd=git.repository(store), exact=True
    ).stdout
    assert os.fsencode(text).startswith(b"/* caf\xe9 */\n")


def test_what_reads_a_vmlinux_is_boxed(
    tmp_path: Path, victim: Path, program: Callable[[str, str], Path]
) -> None:
    """Whatever a hostile vmlinux makes of binutils."""
    program(HOST.tool("addr2line"), f"echo evil >{victim}; echo /src/mm/x.c:7")
    (tmp_path / "vmlinux").touch()
    (tmp_path / "System.map").write_text("1000 T f\nnonsense\nxyz T g\n1000000000000000000 T h\n")
    assert symbolize.decode(HOST, tmp_path, ("f+0x1/0x2",)) == ("f+0x1/0x2 (mm/x.c:7)",)
    assert victim.read_text() == "mine\n"


SELFTESTS = """
all: $(OUTPUT)/good
$(OUTPUT)/good:
\t{recipe}
TEST_GEN_FILES = good
"""


@pytest.fixture
def with_selftest(kernel: Path) -> Callable[[str], None]:
    """Give the kernel in miniature a selftest, `good`, that is made like this."""

    def write(recipe: str) -> None:
        top = kernel / selftests.FOLDER / "mm"
        top.mkdir(parents=True)
        for path in (*selftests.EXPORT, *selftests.HEADERS):
            file = kernel / path.format(arch="/".join(Path(HOST.image).parts[:2]))
            file.parent.mkdir(parents=True, exist_ok=True)
            if not file.exists():
                file.write_text("") if file.suffix else file.mkdir()
            if file.is_dir():
                (file / "x").touch()
        (top / "Makefile").write_text(SELFTESTS.format(recipe=recipe))

    return write


def test_a_series_headers_are_in_no_other_selftest(
    store: Store, hostile: Hostile, with_selftest: Callable[[str], None]
) -> None:
    """The top Makefile makes the headers, and is none of what a selftest is named after."""
    with_selftest("mkdir -p $(@D); cat $(O)$(lastword $(KHDR_INCLUDES))/x.h >$@")
    headers = "headers:\n\t@mkdir -p $(O)/usr/include; echo {} >$(O)/usr/include/x.h\n"
    hostile("Makefile", headers.format("good"))
    evil = hostile("Makefile", "echo evil", "echo good")
    (program,) = selftests.build(store, evil, "mm", ("good",))
    assert program.read_text() == "evil\n", "or the attempt proves nothing"
    innocent = hostile("Makefile", "echo good", "echo evil", of="another series")
    base = replace(innocent, tree=replace(innocent.tree, series=""))
    for requested in (innocent, base, evil):
        (program,) = selftests.build(store, requested, "mm", ("good",))
        assert program.read_text() == "good\n", "the last one is what the base has, too"


def test_a_selftest_that_is_a_link_is_not_taken(
    store: Store, hostile: Hostile, with_selftest: Callable[[str], None], victim: Path
) -> None:
    with_selftest(f"echo evil >{victim}; ln -s {victim} $@")
    evil = hostile("Makefile", "headers:\n\t@true\n")
    (program,) = selftests.build(store, evil, "mm", ("good",))
    assert "does not compile" in program.read_text(), "a script that skips itself is in its place"
    assert victim.read_text() == "mine\n"


# QEMU, whatever comes out of the guest

ESCAPE = """
cat "$HOME/.ssh/id" /etc/passwd; echo "$GITHUB_TOKEN"
socat -t0.1 - TCP:127.0.0.1:{port} </dev/null && echo connected
echo evil >{victim}
"""
LINKS = """
for word; do case $word in
file:*) ln -s {victim} ${{word#file:}} ;;
file,id=answer,path=*) mkfifo ${{word#file,id=answer,path=}} ;;
esac; done
"""


@pytest.fixture
def seeded_run(
    tmp_path: Path, victim: Path, program: Callable[[str, str], Path]
) -> Callable[[str], seeded.Finished]:
    """A guest whose QEMU does as the script says."""

    def run(script: str) -> seeded.Finished:
        program(HOST.qemu, script)
        (tmp_path / HOST.seeded_kernel).touch()
        machine = Machine(arch=HOST.name, accel=Accel.TCG, schedule=Seeded(seed=1))
        software = Software(kernel=tmp_path / "kernel", initrd=(b"x",))
        return seeded.run(machine, software, ["x"], tmp_path / "run", deadline=60)

    return run


def test_qemu_is_boxed(
    seeded_run: Callable[[str], seeded.Finished],
    victim: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "secret")
    (Path(os.environ["HOME"]) / ".ssh").mkdir()
    (Path(os.environ["HOME"]) / ".ssh" / "id").write_text("secret\n")
    with socket.create_server(("127.0.0.1", 0)) as server:
        escape = ESCAPE.format(port=server.getsockname()[1], victim=victim)
        copy = "for word; do case $word in file:*) console=${word#file:} ;; "
        copy += 'file,id=answer,path=*) : >"${word#file,id=answer,path=}" ;; esac; done'
        seeded_run(f'{copy}; {{ {escape} }} >"$console" 2>&1; echo tried >>"$console"; exit 0')
    console = (tmp_path / "run" / "console.log").read_text()
    assert "tried" in console
    assert "secret" not in console and "root:" not in console and "connected" not in console
    assert victim.read_text() == "mine\n"


def test_what_qemu_leaves_is_read_without_following_links(
    seeded_run: Callable[[str], seeded.Finished], victim: Path, tmp_path: Path
) -> None:
    with pytest.raises(sandbox.Left, match=r"console\.log"):
        seeded_run(LINKS.format(victim=victim))
    assert victim.read_text() == "mine\n"
    assert not (tmp_path / "run" / "console.log").exists()


@pytest.mark.parametrize("left", [f"mkdir -p {'d/' * 1500}", "mkdir d; mkfifo d/x; chmod 0 d"])
def test_what_qemu_leaves_is_removed_whatever_it_is(
    seeded_run: Callable[[str], seeded.Finished], tmp_path: Path, left: str
) -> None:
    """Deeper than Python's recursion goes, and closed."""
    seeded_run(f"echo up >console.log; echo >answer.log; {left}")
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        *("console.log", "answer.log", "qemu.cmd"),
    }


def test_a_status_is_no_number_without_an_end(
    seeded_run: Callable[[str], seeded.Finished],
) -> None:
    """int() refuses 5,000 digits."""
    says = "echo rig: the program ended with"
    assert seeded_run(f"{says} {5000 * '9'} >console.log; echo >answer.log").status is None
    assert seeded_run(f"{says} 137 >console.log; echo >answer.log").status == 137


@pytest.mark.parametrize("left", ["console.log", "answer.log"])
def test_a_console_that_qemu_leaves_has_an_end(
    seeded_run: Callable[[str], seeded.Finished], tmp_path: Path, left: str
) -> None:
    """It is read as a whole, and a hole in a file costs nothing."""
    with pytest.raises(sandbox.Left, match=rf"{left}.* has \d+ bytes; the limit"):
        seeded_run(f'echo up >console.log; truncate -s {seeded.MOST[left] + 1} "{left}"')
    assert not (tmp_path / "run" / left).exists()


def test_a_live_guest_has_no_port_on_this_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its port is of the box's own loopback, and a socket leads to it."""
    own = tmp_path / "own"
    files = Files(kernel=tmp_path / "k", initrd=tmp_path / "i", qmp=own / "qmp", port=PORT)
    for path in (files.kernel, files.initrd):
        path.touch()
    own.mkdir()
    monkeypatch.setattr(proc, "find", lambda name: Path("/usr/bin") / name)
    machine = Machine(arch=HOST.name, accel=Accel.TCG)
    command = live_command(machine, Software(kernel=files.kernel, initrd=()), files, tmp_path / "n")
    line = " ".join(command)
    assert "--unshare-net" in command and "socat UNIX-LISTEN" in line
    assert f"hostfwd=tcp:127.0.0.1:{PORT}-" in line
    assert str(own / SSH) in command


@pytest.mark.parametrize("name", ["a,b", "a,file=/etc/passwd"])
def test_a_comma_in_a_path_adds_no_option(
    tmp_path: Path, name: str, eventually: Callable[[Callable[[], object]], None]
) -> None:
    """RIG_STORE may have any name; QEMU's own parser is asked."""
    disk, qmp = tmp_path / name / "disk", tmp_path / "q,server=off"
    disk.parent.mkdir(parents=True)
    disk.write_bytes(bytes(1 << 20))
    machine = Machine(arch=HOST.name, accel=Accel.TCG)
    files = Files(kernel=disk, initrd=disk, qmp=qmp, swap_disk=disk, data_disk=disk)
    argv = [*qemu.argv(machine, files), "-S"]
    start = argv.index("-kernel")
    del argv[start : start + 6]
    with proc.spawn(argv) as process:
        eventually(lambda: qmp.is_socket() or process.poll() is not None)
        assert process.poll() is None, process.stdout and process.stdout.read()


# A host without a box


def test_a_series_is_refused_where_the_box_does_not_work(
    store: Store, spec: BuildSpec, hostile: Hostile, unboxed: None
) -> None:
    evil = hostile("init.c", "int x;\n")
    with pytest.raises(InfraError, match="a series cannot be confined here: the test has none"):
        kbuild.build(store, evil)
    assert kbuild.build(store, spec).release, "a base is trusted"
    built = kbuild.build(store, replace(evil, unconfined=True))
    assert not store.manifest("builds", built.digest)["sandboxed"]
    lanes = {path.name for path in (store.root / "lanes").iterdir() if path.is_dir()}
    assert lanes == {f"{HOST.name}-base-v6.12-unconfined"}


# All of this by an ordinary user

USER = 61234


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user runs all of this already")
def test_an_ordinary_user_is_as_safe() -> None:
    """Another box holds them: a user namespace, and files that are the user's own."""
    user = ["setpriv", "--reuid", str(USER), "--regid", str(USER), "--clear-groups", "--"]
    with tempfile.TemporaryDirectory(dir="/var/tmp") as home:
        os.chown(home, USER, USER)
        clean = {"PATH": os.environ["PATH"], "HOME": home, "PYTHONDONTWRITEBYTECODE": "1"}

        def python(*words: str) -> proc.Done:
            env = [f"{key}={value}" for key, value in clean.items()]
            argv = ["env", "--ignore-environment", *env, sys.executable, *words]
            return proc.run([*user, *argv], cwd=TOP, check=False)

        if python("-c", "import pytest, rig").status:
            pytest.skip(f"{sys.executable} or the checkout cannot be read by others")
        options = ("-q", "-p", "no:cacheprovider", "--basetemp", f"{home}/t")
        done = python("-m", "pytest", *options, "-k", "not ordinary", str(Path(__file__)))
    assert done.status == 0, (done.stdout + done.stderr)[-5000:]
    assert " skipped" not in done.stdout
