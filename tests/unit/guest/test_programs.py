# SPDX-License-Identifier: GPL-2.0-only
"""Programs compiled by the host's compiler; a library of the test's own, as it is quick."""

import subprocess
from pathlib import Path

import pytest

from rig import arch
from rig.errors import InfraError
from rig.guest import programs
from rig.log import Event
from rig.store import Store

HOST = next(one for one in arch.known().values() if one.is_host())


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
    made = programs.build(store, HOST, "stale_tlb", sources)
    assert made.name == "stale_tlb"
    assert subprocess.run([made], check=False).returncode == 7
    headers = subprocess.run(["readelf", "-l", made], capture_output=True, check=True).stdout
    assert b"INTERP" not in headers
    assert str(sources.parent).encode() not in made.read_bytes(), "the same bytes in any checkout"
    events.clear()
    assert programs.build(store, HOST, "stale_tlb", sources) == made
    assert [event.text for event in events if "-o" in event.text] == []


def test_any_change_compiles_it_again(store: Store, sources: Path, library: Path) -> None:
    made = [programs.build(store, HOST, "stale_tlb", sources)]
    for path in (sources / "main.c", library / "lib.c", library / "lib.h"):
        path.write_text(path.read_text() + "\n/* changed */\n")
        made.append(programs.build(store, HOST, "stale_tlb", sources))
    (sources / "lib.h").write_text("#include_next <lib.h>\n")
    made.append(programs.build(store, HOST, "stale_tlb", sources))
    (library / "lib.h").write_text("int lib(void);\n")
    made.append(programs.build(store, HOST, "stale_tlb", sources))
    assert len(set(made)) == 6


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("int main(void) { return missing; }\n", "‘missing’ undeclared"),
        ("int main(void) { int unused; return 0; }\n", "unused variable"),
        ("int other(void) { return 0; }\n", "undefined reference to `main'"),
    ],
)
def test_one_that_does_not_compile_is_the_rigs_fault(
    store: Store, sources: Path, text: str, complaint: str
) -> None:
    (sources / "main.c").write_text(text)
    with pytest.raises(InfraError, match=f"stale_tlb does not compile for {HOST.name}") as bad:
        programs.build(store, HOST, "stale_tlb", sources)
    assert complaint in bad.value.detail
    assert not list((store.root / "programs").iterdir())


def test_programs_are_packed_where_the_guest_looks_for_them(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"1111")
    (tmp_path / "two").write_bytes(b"2222")
    packed = programs.pack((tmp_path / "one", tmp_path / "two"))
    listing = subprocess.run(
        ["cpio", "--quiet", "--list", "--verbose"], input=packed, capture_output=True, check=True
    ).stdout.decode()
    lines = {line.split()[-1]: line.split()[0] for line in listing.splitlines()}
    assert lines["rig/bin/one"] == lines["rig/bin/two"] == "-rwxr-xr-x"
    assert b"1111" in packed
