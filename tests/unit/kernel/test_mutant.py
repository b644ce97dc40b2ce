# SPDX-License-Identifier: GPL-2.0-only
from pathlib import Path

import pytest

from rig.errors import ConfigError
from rig.kernel import mutant
from rig.version import KernelVersion

TOP = Path(__file__).parents[3]

WHOLE = """\
// SPDX-License-Identifier: GPL-2.0-only
//
// Rule: nobody writes through a stale entry
//   once it is gone.
//   Note: this line is part of it.
// Files: mm/rmap.c, mm/vmscan.c
//   mm/memory.c
// Killed-By: stale_tlb/anon_lost_write
// Killed-By: reclaim/anon_roundtrip, splat/bad_page
// Equivalent-On: arm64: the TLBI is a broadcast: nobody is left out
// Not-On: <v6.16: there is no such function
// Not-On: v7.1..v7.2: it is inlined
//
// A remark that belongs to nothing:
//   nor does this.

@@
expression e;
@@
- flush(e);
+ if (!rig_mutant(NO_FLUSH))
+ 	flush(e);
"""


def test_a_header_is_read() -> None:
    parsed = mutant.parse("no-flush", WHOLE)
    assert (parsed.name, parsed.symbol, parsed.text) == ("no-flush", "NO_FLUSH", WHOLE)
    assert parsed.rule == (
        "nobody writes through a stale entry once it is gone. Note: this line is part of it."
    )
    assert parsed.files == ("mm/rmap.c", "mm/vmscan.c", "mm/memory.c")
    assert parsed.killed_by == (
        "stale_tlb/anon_lost_write",
        "reclaim/anon_roundtrip",
        "splat/bad_page",
    )
    assert parsed.equivalent_on == (("arm64", "the TLBI is a broadcast: nobody is left out"),)
    assert parsed.not_on == (
        ("<v6.16", "there is no such function"),
        ("v7.1..v7.2", "it is inlined"),
    )


@pytest.mark.parametrize(
    ("version", "why"),
    [
        ("v6.12.117", "there is no such function"),
        ("v6.16", ""),
        ("v7.0", ""),
        ("v7.1.3", "it is inlined"),
        ("v7.3-rc1", ""),
    ],
)
def test_where_it_is_absent(version: str, why: str) -> None:
    assert mutant.parse("no-flush", WHOLE).absent(KernelVersion.parse(version)) == why


@pytest.mark.parametrize(
    ("old", "new", "complaint", "hint"),
    [
        ("// Rule: ", "// ", "the header has no Rule:", ""),
        ("// Files: mm/rmap.c, mm/vmscan.c\n//   mm/memory.c\n", "", "has no Files:", ""),
        ("mm/rmap.c, mm/vmscan.c\n//   mm/memory.c", "", "has no Files:", ""),
        ("// Killed-By: ", "// ", "has no Killed-By:", ""),
        ("Killed-By", "Killd-By", "no key in the header of where.cocci named 'Killd-By'", "Killed"),
        (": it is inlined", "", "'v7.1..v7.2' gives no reason", "Not-On: <v6.16: why"),
        (" it is inlined", "", "'v7.1..v7.2' gives no reason", ""),
        (
            "arm64: the TLBI is a broadcast: nobody is left out",
            "arm64",
            "'arm64' gives no reason",
            "",
        ),
        ("v7.1..v7.2", "v7.2..v7.1", "Not-On: the version range", "v7.1..v7.2"),
        ("<v6.16", "before-v6.16", "Not-On: 'before-v6.16' is not a kernel version", ""),
        (
            "rig_mutant(NO_FLUSH)",
            "rig_mutant(OTHER)",
            r"does not have rig_mutant\(NO_FLUSH\)",
            "on",
        ),
    ],
)
def test_a_header_that_does_not_say_enough(old: str, new: str, complaint: str, hint: str) -> None:
    text = WHOLE.replace(old, new)
    assert text != WHOLE
    with pytest.raises(ConfigError, match=complaint) as bad:
        mutant.parse("no-flush", text, "where.cocci")
    assert "where.cocci" in bad.value.message
    assert hint in bad.value.hint


@pytest.mark.parametrize("name", ["no.flush", "No-Flush", "no_flush", "2-late", "no--flush", ""])
def test_a_name_must_do_as_a_c_identifier(name: str) -> None:
    text = WHOLE.replace("NO_FLUSH", name.upper().replace("-", "_"))
    with pytest.raises(ConfigError, match="is not a valid name for a mutant"):
        mutant.parse(name, text, "where.cocci")


def test_the_shelf(tmp_path: Path) -> None:
    assert mutant.load_all(tmp_path) == ()
    (tmp_path / "mutants").mkdir()
    for name in ("no-flush", "late-flush", "early-flush"):
        text = WHOLE.replace("NO_FLUSH", name.upper().replace("-", "_"))
        (tmp_path / "mutants" / f"{name}.cocci").write_text(text)
    (tmp_path / "mutants" / "README").write_text("no mutant")
    mutants = mutant.load_all(tmp_path)
    assert [parsed.name for parsed in mutants] == ["early-flush", "late-flush", "no-flush"]
    mutant.check_name(mutants, "no-flush")
    with pytest.raises(ConfigError, match="no mutant named 'no-flsh'") as bad:
        mutant.check_name(mutants, "no-flsh")
    assert bad.value.hint.startswith("did you mean no-flush")
    (tmp_path / "mutants" / "bad.cocci").write_text("@@ @@\n")
    with pytest.raises(ConfigError, match=r"mutants/bad\.cocci: the header has no Rule:"):
        mutant.load_all(tmp_path)


def test_a_mutant_that_is_no_text_is_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "mutants").mkdir()
    (tmp_path / "mutants" / "bad.cocci").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"bad\.cocci"):
        mutant.load_all(tmp_path)


def test_the_mutants_of_the_checkout() -> None:
    from rig import arch
    from rig.suites import suite

    cases = {
        f"{owner.name}/{case.name}" for owner in suite.known().values() for case in owner.cases
    }
    mutants = mutant.load_all(TOP / "patches")
    assert mutants
    for parsed in mutants:
        for name in parsed.killed_by:
            assert name in cases or name.startswith("splat/"), f"{parsed.name}: {name}"
        assert {name for name, _ in parsed.equivalent_on} <= set(arch.known())
