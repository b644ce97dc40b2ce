# SPDX-License-Identifier: GPL-2.0-only
"""The page of a stored run. tests/browser looks at it in a real browser."""

import base64
import gzip
import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rig.campaigns import execute, stored
from rig.campaigns.results import RunResult
from rig.guest.console import Splat, scan
from rig.guest.qemu import Seeded
from rig.report import campaign, evidence, html, text
from rig.report.campaign import Campaign
from rig.suites import suite
from rig.verdict.rules import Outcome
from tests.unit.conftest import GONE, INTRODUCED, about, blamed, case, result
from tests.unit.report.markup import Page, contrast, schemes

Results = dict[str, tuple[RunResult, ...]]
Store = Callable[..., Path]
KASAN = (Path(__file__).parents[2] / "data/console/from-source/kasan.log").read_text()


@pytest.fixture
def keep(tmp_path: Path) -> Store:
    """Store results as a run."""

    def store(*results: RunResult, files: dict[str, str] | None = None) -> Path:
        directory = tmp_path / "runs" / "20260302-100000-unmap-batch@v2"
        for number, one in enumerate(results, 1):
            path = directory / f"{one.machine.arch}-{number}"
            execute.store_result(one, path)
            for name, said in (files or {}).items():
                (path / name).parent.mkdir(exist_ok=True)
                (path / name).write_text(said)
        return directory

    return store


def read(directory: Path) -> Page:
    return Page(html.page(directory))


KINDS = (
    *("pass", "repeated", "fail", "inconclusive", "splat", "build", "boot", "broken"),
    *("revisions", "each-patch", "blamed"),
)


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_says_what_the_text_says(kind: str, results: Results, keep: Store) -> None:
    page = read(keep(*results[kind]))
    assert page.complaints == []
    for one in results[kind]:
        assert one.verdict.reason in page.text
        assert one.provenance.commit in page.text
        for name, of in one.cases.items():
            assert name in page.texts("summary")
            assert all(line in page.text for line in of.evidence)
        for splat in one.splats:
            assert "\n".join(splat.text) in "".join(page.texts("pre"))
    assert page.texts("h1")[0] == text.overall(results[kind])
    assert f"rig report {keep().name}" in page.texts("pre")


def test_a_case_has_its_rule_and_its_floors(keep: Store) -> None:
    known = suite.pick("stale_tlb").cases[0]
    floor = known.floors[0]
    counters = ((floor.counter, floor.at_least - 1), ("lost", 0))
    low = case(known.name, Outcome.INCONCLUSIVE, "too few", counters=counters)
    page = read(keep(result(cases=(low, case("of another rig")))))
    assert known.guards in page.text
    assert f"needs {floor.at_least:,}" in page.text
    assert f"{floor.at_least - 1:,}" in page.texts("b")
    assert "stale_tlb/of another rig" in page.text


def test_floors_follow_the_iterations_that_were_run(keep: Store) -> None:
    known = suite.pick("stale_tlb").cases[0]
    one = result(cases=(case(known.name, counters=((known.floors[0].counter, 10**6),)),))
    less = replace(one, provenance=about(one.provenance, iterations=known.iterations * 2))
    twice = known.scaled(known.iterations * 2).floors[0].at_least
    assert twice != known.floors[0].at_least
    assert f"needs {twice:,}" in read(keep(less)).text


def test_a_splat_is_marked_in_the_console_with_its_decoded_stack(keep: Store) -> None:
    found = scan(KASAN)
    decoded = tuple(replace(splat, text=tuple(map(source, splat.text))) for splat in found)
    one = result(cases=(case("anon_lost_write"),), splats=decoded)
    page = read(keep(one, files={"console.log": KASAN}))
    assert page.complaints == []
    marked = page.texts("mark")
    assert any(found[0].title in line for line in marked)
    assert " (mm/x.c:7)" in marked, "where the kernel printed an address"
    unmarked = set(KASAN.splitlines()) - set(marked)
    assert any("Linux" in line or "]" in line for line in unmarked)
    assert "r1-splat-0" in page.ids
    assert "#r1-splat-0" in page.links


def source(line: str) -> str:
    """The line of a stack, as rig/guest/symbolize.py decodes it."""
    return re.sub(r"(\+0x[0-9a-f]+/0x[0-9a-f]+)", r"\1 (mm/x.c:7)", line)


def test_the_splats_of_every_known_console_are_found(tmp_path: Path) -> None:
    consoles = sorted((Path(__file__).parents[2] / "data" / "console").rglob("*.log"))
    missed = total = 0
    for path in consoles:
        (tmp_path / "console.log").write_bytes(path.read_bytes())
        splats = scan(path.read_text(errors="replace"))
        (shown,) = evidence.consoles(tmp_path, splats, "a")
        assert shown.shown.count("<mark") <= sum(len(splat.text) for splat in splats)
        missed += sum(f'id="a-{number}"' not in shown.shown for number in range(len(splats)))
        total += len(splats)
    assert total > 50
    assert missed == 0, f"{missed} of {total}"


def test_each_console_has_the_splats_that_it_printed(keep: Store) -> None:
    two = (*scan(KASAN), *scan(KASAN))
    one = result(cases=(case("anon_lost_write"),), splats=two)
    files = {"console.log": KASAN, "guest-2/console.log": KASAN}
    page = read(keep(one, files=files))
    assert page.complaints == []
    assert {f"r1-splat-{number}" for number in range(len(two))} <= {*page.ids}


def test_a_long_console_is_shortened_around_its_splats(keep: Store) -> None:
    filler = "".join(f"[   99.{n:06}] line {n}\n" for n in range(20000))
    one = result(splats=scan(KASAN))
    page = read(keep(one, files={"console.log": filler + KASAN + filler}))
    assert scan(KASAN)[0].title in "".join(page.texts("mark"))
    assert "lines are left out]" in page.text
    assert page.text.count("] line ") < 2 * evidence.LINES_MAX


def test_a_huge_file_is_read_in_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "FILE_MAX", 100)
    (tmp_path / "console.log").write_text("first\n" + "x\n" * 1000 + "last\n")
    data = evidence.read(tmp_path / "console.log")
    assert data.startswith(b"first\n")
    assert data.endswith(b"last\n")
    assert b"1,911 bytes are left out" in data


def test_downloads_are_in_the_page(keep: Store) -> None:
    files = {
        "kernel.config": "CONFIG_SMP=y\n# CONFIG_NUMA is not set\n",
        "qemu.cmd": "qemu -m 1G -smp 4",
    }
    directory = keep(result(), files={**files, "console.log": "[    0.000000] Linux\n"})
    page = read(directory)
    data = [link.partition("base64,")[2] for link in page.links if "base64" in link]
    unpacked = [gzip.decompress(base64.b64decode(each)).decode() for each in data]
    assert set(files.values()) <= set(unpacked)
    assert (directory / "x86_64-1" / "result.json").read_text() in unpacked
    assert "CONFIG_SMP=y" in page.texts("pre")
    assert "NUMA" not in page.text
    assert "qemu \\\n    -m 1G \\\n    -smp 4" in page.texts("pre")


def test_the_commands_that_give_the_result_again(keep: Store) -> None:
    plain = read(keep(result(cases=(case("anon_lost_write"),)))).texts("pre")
    assert "rig run unmap-batch@v2 --base v6.12 --case stale_tlb/anon_lost_write" in plain
    assert not any(said.startswith("rig replay") for said in plain)
    one = result(cases=(case("anon_lost_write", digest="d1", command=("stale_tlb", "x")),))
    seeded = replace(one, machine=replace(one.machine, schedule=Seeded(seed=7)))
    page = read(keep(seeded))
    assert f"rig replay {keep().name}" in page.texts("pre")
    odd = replace(one, provenance=about(one.provenance, suites=("gone",)))
    assert "rig run unmap-batch@v2 --base v6.12 --suite gone" in read(keep(odd)).texts("pre")


def test_a_blame_and_an_earlier_revision_are_told(keep: Store) -> None:
    page = read(keep(blamed("x86_64", INTRODUCED, earlier=(GONE,))))
    said = "\n".join(page.texts("pre"))
    assert "introduced by patch 3/4 (mm/rmap: unmap a folio's PTEs at once)" in said
    assert "v1's failure of stale_tlb/other: gone" in said


def test_a_result_that_is_not_stored_is_told(keep: Store) -> None:
    one = result()
    both = replace(one, provenance=about(one.provenance, arch=("x86_64", "arm64")))
    page = read(keep(both))
    assert page.complaints == []
    assert "no result is stored" in page.text


def test_a_campaign_of_many_runs_has_its_report(
    keep: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"console.log": "[    0.000000] Linux\n"}
    directory = keep(*(result() for _ in range(3)), files=files)
    told = Campaign(file=directory / "x", text="12 of 13 killed\n", outcome=Outcome.FAIL)
    monkeypatch.setattr(campaign, "load", lambda directory: told)
    monkeypatch.setattr(html, "FULL", 1)
    page = read(directory)
    assert page.complaints == []
    assert page.texts("h1")[0] == "FAIL", "not that of its runs"
    assert "12 of 13 killed\n" in page.texts("pre")
    assert page.text.count("Linux") == 1
    assert page.text.count("This page has no room for its files") == 2


def test_the_browser_loads_nothing_and_takes_the_style_of_the_page_only(keep: Store) -> None:
    data = html.page(keep(result())).decode().replace("&#39;", "'")
    (style,) = re.findall("<style>(.*?)</style>", data, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'sha256-{digest}';" in data
    assert "http:" not in data
    assert "https:" not in data


PAIRS = (
    *((front, back) for front in ("text", "muted", "link", "source") for back in ("page", "panel")),
    *(("on", badge) for badge in ("pass", "fail", "broken", "inconclusive", "skip")),
    *((front, "mark") for front in ("text", "source")),
    *((front, "page") for front in ("pass", "fail", "inconclusive", "broken")),
)


@pytest.mark.parametrize("number", [0, 1], ids=["light", "dark"])
def test_text_has_contrast(number: int) -> None:
    """WCAG 2 AA: 4.5 for text of any size."""
    colours = tuple(schemes((text.TEMPLATES / "style.css").read_text()))[number]
    low = {pair: ratio for pair in PAIRS
           if (ratio := contrast(colours[pair[0]], colours[pair[1]])) < 4.5}  # fmt: skip
    assert low == {}


def test_contrast_is_that_of_wcag() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


HOSTILE = (
    "</pre></style><script>alert(1)</script><a href=\"javascript:alert(1)\" onload='x'>"
    "\x1b[31m\u202e"
)


def test_files_of_a_guest_are_shown_and_not_obeyed(keep: Store) -> None:
    splat = replace(scan(KASAN)[0], title=HOSTILE, text=(HOSTILE, f"{HOSTILE}+0x1/0x2 (x:1)"))
    names = ("console.log", "qemu.cmd", "kernel.config", "series.mbx", f"{'x' * 9}<b>/console.log")
    directory = keep(result(splats=(splat,)), files=dict.fromkeys(names, HOSTILE + "\n" + KASAN))
    page = read(directory)
    assert page.complaints == []
    assert page.text.count("<script>alert(1)</script>") >= 6
    assert "\x1b" not in page.text
    assert "\u202e" not in page.text


def test_a_page_that_does_not_escape_is_noticed(
    keep: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = keep(result(splats=scan(KASAN)), files={"console.log": HOSTILE})
    monkeypatch.setattr(evidence.html, "escape", lambda said, **rest: said)
    assert read(directory).complaints


def test_the_page_of_a_run_that_is_not_whole(keep: Store) -> None:
    directory = keep(result())
    (directory / "arm64").mkdir()
    (directory / "arm64" / stored.PENDING).touch()
    (directory / "x86_64-1" / "console.log").mkdir()
    (directory / "x86_64-1" / "qemu.cmd").symlink_to("nowhere")
    assert read(directory).complaints == []


def test_a_splat_without_a_console_is_told(keep: Store) -> None:
    splat = Splat(kind=scan(KASAN)[0].kind, title="BUG: x", text=("BUG: x",), fatal=True, at=None)
    page = read(keep(result(splats=(splat,))))
    assert page.complaints == []
    assert "BUG: x" in page.texts("pre")
