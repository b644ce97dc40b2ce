# SPDX-License-Identifier: GPL-2.0-only
"""The site of a history. tests/browser looks at it in a real browser."""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pytest

from rig.campaigns import execute
from rig.cli import run
from rig.errors import ConfigError
from rig.history import database
from rig.history.changes import Cell, Point
from rig.report import cells, chart, runpages, site
from rig.store import Store
from rig.suites import suite
from rig.verdict.rules import Outcome, conclude
from tests.unit.conftest import about, case, result
from tests.unit.report.markup import Page

CASE = "stale_tlb/anon_lost_write"
KNOWN = next(one for one in suite.pick("stale_tlb").cases if one.name == "anon_lost_write")
LOST = "page 7: CPU 2 wrote 42, read back 41"


def night(
    store: Store, number: int, *outcomes: Outcome, arch: str = "x86_64", **rest: object
) -> Path:
    """Store a run of a night: the case, and another that passes."""
    counters = tuple((floor.counter, 2 * floor.at_least + number) for floor in KNOWN.floors)
    cases = (
        *(case(KNOWN.name, outcome, "" if outcome is Outcome.PASS else LOST, counters=counters)
          for outcome in outcomes or (Outcome.PASS,)),
        case("dio_pinned"),
    )  # fmt: skip
    one = result(arch, cases, **rest)
    one = replace(
        one,
        provenance=replace(one.provenance, commit=f"{number:040x}", build=f"b{number}"),
        verdict=conclude(one.suites, one.splats, None),
        ended=f"2026-03-{number:02}T02:00:00+00:00",
    )
    directory = store.root / "runs" / f"202603{number:02}-020000-{arch}"
    execute.store_result(one, directory / arch)
    (directory / arch / "kernel.config").write_text("CONFIG_SMP=y\n")
    (directory / arch / "console.log").write_text(f"[    0.000000] Linux {number}\n")
    return directory


@pytest.fixture
def made(store: Store, tmp_path: Path) -> Callable[[], runpages.Written]:
    """Write the site of the store to SITE."""

    def write() -> runpages.Written:
        with database.reading(store) as connection:
            return site.write(store, connection, tmp_path / "site")

    return write


Made = Callable[[], runpages.Written]


def pages(top: Path) -> dict[str, Page]:
    """Every page, which has no complaint and no link that leads nowhere."""
    found = {}
    for path in sorted(top.rglob("*.html")):
        page = Page(path.read_bytes())
        assert page.complaints == [], path
        for link in page.links:
            if not link.startswith(("#", "data:")):
                assert (path.parent / unquote(link)).is_file(), f"{path}: {link}"
        found[str(path.relative_to(top))] = page
    return found


def test_a_new_failure_is_on_top_and_leads_to_its_run(
    store: Store, made: Made, tmp_path: Path
) -> None:
    for number in range(1, 6):
        night(store, number)
        night(store, number, arch="arm64")
    night(store, 6)
    night(store, 6, Outcome.FAIL, arch="arm64")
    assert made().new == 12
    every = pages(tmp_path / "site")
    index = every["index.html"]
    assert "Newest night 2026-03-06" in index.text
    assert index.text.index("new failure") < index.text.index("The matrix")
    assert LOST in index.text
    assert "runs/20260306-020000-arm64.html" in index.links
    assert f"cases/{cells.slug(CASE)}.html" in index.links
    assert {"arm64 tcg live", "x86_64 tcg live"} <= {*index.texts("th")}
    assert "FAIL" in index.texts("td")
    assert "1 of 2" in index.texts("td")


def test_a_case_has_its_rule_its_nights_and_its_evidence(
    store: Store, made: Made, tmp_path: Path
) -> None:
    for number in range(1, 6):
        night(store, number)
    night(store, 6, Outcome.FAIL)
    made()
    page = pages(tmp_path / "site")["cases/stale_tlb--anon_lost_write.html"]
    assert KNOWN.guards in page.text
    assert "5 of 6 runs passed" in page.text
    titles = page.texts("title")
    assert "2026-03-01: 1 of 1 passed" in titles
    assert f"2026-03-06: 0 of 1 passed: {LOST}" in titles
    run = "../runs/20260306-020000-x86_64.html"
    assert page.links.count(run) == 3, "the last run, the bar, the list"
    assert "2.0 times its floor of" in page.text
    floor = KNOWN.floors[0]
    assert f"{floor.counter} {floor.at_least:,}" in page.text


def test_a_tree_has_all_its_cases_and_a_night_all_its_runs(
    store: Store, made: Made, tmp_path: Path
) -> None:
    night(store, 1)
    night(store, 2, Outcome.INCONCLUSIVE)
    made()
    every = pages(tmp_path / "site")
    (tree,) = (page for name, page in every.items() if name.startswith("trees/"))
    assert {CASE, "stale_tlb/dio_pinned", "kernel/health"} <= {*tree.texts("th")}
    assert "INCONCLUSIVE" in tree.texts("td")
    assert "nights/2026-03-02.html" in every["index.html"].links
    assert "20260302-020000-x86_64" in every["nights/2026-03-02.html"].texts("td")
    assert "2026-03-01.html" in every["nights/2026-03-02.html"].links
    assert "2026-03-02.html" in every["nights/2026-03-01.html"].links


def test_the_page_of_a_run_is_that_of_its_report(store: Store, made: Made, tmp_path: Path) -> None:
    night(store, 1, Outcome.FAIL)
    made()
    page = pages(tmp_path / "site")["runs/20260301-020000-x86_64.html"]
    assert "../index.html" in page.links
    assert LOST in page.text
    (config,) = (link for link in page.links if link.endswith("kernel.config.txt"))
    assert (tmp_path / "site/runs" / config).read_text() == "CONFIG_SMP=y\n"
    assert "Linux 1" in page.text


@pytest.mark.parametrize(
    ("console", "size"),
    [("[    0.000000] Linux\n", 0), ("x\n" * 4000, 1), ("x" * 3000, 1), ("x\n" * (3 << 20), 1)],
)
def test_a_console_that_a_page_of_the_site_shortens_is_a_download(
    store: Store, made: Made, tmp_path: Path, console: str, size: int
) -> None:
    (night(store, 1) / "x86_64" / "console.log").write_text(console)
    made()
    page = pages(tmp_path / "site")["runs/20260301-020000-x86_64.html"]
    assert len([link for link in page.links if "base64" in link]) == size


def test_what_did_not_change_is_not_written_again(
    store: Store, made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directories = [night(store, number) for number in (1, 2, 3)]
    assert made().new == 3
    home = tmp_path / "site"
    before = {path: path.stat().st_mtime_ns for path in home.rglob("*.*")}
    assert made().new == 0
    assert before == {path: path.stat().st_mtime_ns for path in home.rglob("*.*")}
    stored = directories[1] / "x86_64" / "result.json"
    os.utime(stored, ns=(1, 1))
    assert made().new == 1
    night(store, 4)
    assert made().new == 1
    monkeypatch.setattr(runpages, "_recipe", lambda: b"another rig")
    assert made().new == 4
    (home / "runs" / f"{directories[0].name}.html").write_text("cut o")
    assert made().new == 1
    shutil.rmtree(directories[0])
    written = made()
    assert (written.new, len(written.pages)) == (0, 4), "the page stays"
    pages(home)


def test_a_run_that_cannot_be_read_has_no_page(store: Store, made: Made, tmp_path: Path) -> None:
    night(store, 1)
    (night(store, 2) / "x86_64" / "result.json").write_text("{}")
    assert made().pages == {"20260301-020000-x86_64"}
    assert "20260302-020000-x86_64" in pages(tmp_path / "site")["nights/2026-03-02.html"].text


def test_a_directory_with_other_files_is_left_alone(
    store: Store, made: Made, tmp_path: Path
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "thesis.tex").write_text("x")
    with pytest.raises(ConfigError, match="has files that are not of a site"):
        made()
    assert [path.name for path in (tmp_path / "site").iterdir()] == ["thesis.tex"]
    shutil.rmtree(tmp_path / "site")
    (tmp_path / "site").write_text("a file")
    with pytest.raises(ConfigError, match="is not a directory"):
        made()


def test_an_empty_history_has_a_page(made: Made, tmp_path: Path) -> None:
    made()
    assert "The history is empty" in pages(tmp_path / "site")["index.html"].text


def test_names_of_others_stay_in_the_site(
    store: Store, made: Made, tmp_path: Path, evil: str
) -> None:
    names = (
        "../../etc/passwd",
        "a/../b",
        ".",
        "",
        "x" * 300,
        evil.replace("\udcff", ""),
        "a/b",
        "a--b",
    )
    slugs = [cells.slug(name) for name in names]
    assert len({*slugs}) == len(names)
    assert all(cells.SAFE.sub("", slug) == slug and len(slug) < 100 for slug in slugs)
    assert not any(slug.startswith(".") for slug in slugs)
    one = result()
    night(
        store,
        1,
        provenance=about(one.provenance, replace(one.provenance.subject, series=("../x",))),
    )
    made()
    assert {path.name for path in (tmp_path / "site").iterdir()} == {
        *("index.html", ".rig-site", "runs", "files", "trees", "cases", "nights")
    }


def test_the_verb(
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    night(store, 1)
    (store.root / database.FILE).unlink()
    monkeypatch.setenv("RIG_STORE", str(store.root))
    with pytest.raises(SystemExit) as ended:
        run.app(["site", str(tmp_path / "out"), "-q"])
    assert ended.value.code in (0, None)
    assert capsys.readouterr().out == f"{tmp_path}/out/index.html: 1 run, 1 of them new\n"
    assert CASE in pages(tmp_path / "out")["cases/stale_tlb--anon_lost_write.html"].text


# Charts


def test_a_bar_shows_the_share_that_failed() -> None:
    one = (Cell(night="n1", passed=3, failed=1), Cell(night="n2", failed=2),
           Cell(night="n3", other="BROKEN", reason="<b>"), Cell(night="n4", passed=1),
           Cell(night="gone", failed=1))  # fmt: skip
    shown = chart.bars(one, ("n1", "n2", "n3", "n4"), 'a "label"', lambda path: "", height=28)
    page = Page(shown.encode())
    assert page.complaints == []
    assert shown.count("<rect") == 5
    assert 'class="fail" x="0" y="21" width="7" height="7"' in shown
    assert 'class="fail" x="8" y="0" width="7" height="28"' in shown
    assert 'class="broken" x="16"' in shown
    assert 'class="pass" x="24" y="9"' in shown, "a failure is higher, for who sees no colours"
    assert page.texts("title") == ["n1: 3 of 4 passed", "n2: 0 of 2 passed", "n3: BROKEN: <b>",
                                   "n4: 1 of 1 passed"]  # fmt: skip


@pytest.mark.parametrize("values", [(1.0,), (5.0, 5.0), (0.0, 0.0), (-3.0, 4e300), (0.01, 800.0)])
@pytest.mark.parametrize("floor", [0.0, 1.0])
def test_a_curve_stays_in_its_picture(values: tuple[float, ...], floor: float) -> None:
    points = tuple(Point(night=f"n{n}", value=value) for n, value in enumerate(values))
    bad = (*points, Point(night="n9", value=float("nan")), Point(night="n8", value=float("inf")))
    nights = tuple(f"n{n}" for n in range(10))
    shown = chart.curve(bad, nights, "x", floor=floor)
    assert Page(shown.encode()).complaints == []
    assert not any(word in shown.split("<title>")[0] for word in ("nan", "inf"))
    heights = [float(part.split('"')[1]) for part in shown.split(" cy=")[1:]]
    assert len(heights) == len(values)
    assert all(0 <= height <= chart.CURVE for height in heights)
    assert ("its floor" in shown) == bool(floor)


def test_values_of_other_nights_have_no_curve() -> None:
    assert chart.curve((Point(night="gone", value=1),), ("n1",), "x") == ""
