# SPDX-License-Identifier: GPL-2.0-only
"""Programs compiled with the host's compiler. A small fake guest library keeps this fast."""

import subprocess
from pathlib import Path

import pytest

from rig import arch
from rig.errors import InfraError
from rig.guest import programs
from rig.log import Event
from rig.store import Store

HOST = next(target for target in arch.known().values() if target.is_host())


@pytest.fixture(autouse=True)
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "guestlib"
    directory.mkdir()
    (directory / "lib.h").write_text("int lib(void);\n")
    (directory / "lib.c").write_text('#include "lib.h"\nint lib(void) { return 7; }\n')
    monkeypatch.setattr(programs, "LIBRARY", directory)
    return directory


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    directory = tmp_path / "stale_tlb"
    directory.mkdir()
    (directory / "main.c").write_text("#include <lib.h>\nint main(void) { return lib(); }\n")
    (directory / "__init__.py").touch()
    return directory


def test_a_program_is_static_and_compiled_once(
    store: Store, sources: Path, events: list[Event]
) -> None:
    program = programs.build(store, HOST, "stale_tlb", sources)
    assert program.name == "stale_tlb"
    assert subprocess.run([program], check=False).returncode == 7
    headers = subprocess.run(["readelf", "-l", program], capture_output=True, check=True).stdout
    assert b"INTERP" not in headers
    assert str(sources.parent).encode() not in program.read_bytes(), "same bytes in any checkout"
    events.clear()
    assert programs.build(store, HOST, "stale_tlb", sources) == program
    assert [event.text for event in events if "-o" in event.text] == []


def test_any_change_compiles_a_program_again(store: Store, sources: Path, library: Path) -> None:
    programs_built = [programs.build(store, HOST, "stale_tlb", sources)]
    for path in (sources / "main.c", library / "lib.c", library / "lib.h"):
        path.write_text(path.read_text() + "\n/* changed */\n")
        programs_built.append(programs.build(store, HOST, "stale_tlb", sources))
    (sources / "lib.h").write_text("#include_next <lib.h>\n")
    programs_built.append(programs.build(store, HOST, "stale_tlb", sources))
    (library / "lib.h").write_text("int lib(void);\n")
    programs_built.append(programs.build(store, HOST, "stale_tlb", sources))
    assert len(set(programs_built)) == 6


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("int main(void) { return missing; }\n", "‘missing’ undeclared"),
        ("int main(void) { int unused; return 0; }\n", "unused variable"),
        ("int other(void) { return 0; }\n", "undefined reference to `main'"),
    ],
)
def test_a_program_that_does_not_compile_is_the_rigs_fault(
    store: Store, sources: Path, text: str, message: str
) -> None:
    (sources / "main.c").write_text(text)
    with pytest.raises(InfraError, match=f"stale_tlb does not compile for {HOST.name}") as error:
        programs.build(store, HOST, "stale_tlb", sources)
    assert message in error.value.detail
    assert not list((store.root / "programs").iterdir())


def test_programs_are_packed_where_the_guest_looks_for_them(tmp_path: Path) -> None:
    (tmp_path / "first").write_bytes(b"1111")
    (tmp_path / "second").write_bytes(b"2222")
    packed = programs.pack((tmp_path / "first", tmp_path / "second"))
    listing = subprocess.run(
        ["cpio", "--quiet", "--list", "--verbose"], input=packed, capture_output=True, check=True
    ).stdout.decode()
    lines = {line.split()[-1]: line.split()[0] for line in listing.splitlines()}
    assert lines["rig/bin/first"] == lines["rig/bin/second"] == "-rwxr-xr-x"
    assert b"1111" in packed
