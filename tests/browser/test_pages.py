# SPDX-License-Identifier: GPL-2.0-only
"""The site and the page of a run in a real browser.

RIG_PICTURES=DIR keeps the screenshots, for a person to look at.
"""

import os
from collections import Counter
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.browser.chromium import Browser

PICTURES = os.environ.get("RIG_PICTURES", "")
PHONE = 390
VIEWS = {
    "light": {"dark": False, "width": 1200},
    "dark": {"dark": True, "width": 1200},
    "phone": {"dark": False, "width": PHONE},
    "phone-dark": {"dark": True, "width": PHONE},
}
CONTRAST = """
(() => {
  const parse = c => c.match(/[\\d.]+/g).map(Number);
  const part = v => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; };
  const light = c => 0.2126 * part(c[0]) + 0.7152 * part(c[1]) + 0.0722 * part(c[2]);
  const behind = e => {
    for (; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (c.length === 3 || c[3] > 0) return c;
    }
    return [255, 255, 255];
  };
  const low = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let n = walk.nextNode(); n; n = walk.nextNode()) {
    const e = n.parentElement;
    if (!n.data.trim() || !e.getClientRects().length || e.closest('svg')) continue;
    const [a, b] = [light(parse(getComputedStyle(e).color)), light(behind(e))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) low.push(`${ratio.toFixed(2)} ${e.tagName}.${e.className} ${n.data.trim()}`);
  }
  return low.slice(0, 10);
})()
"""
WIDE = """
[...document.querySelectorAll('body *')].filter(e => {
  const r = e.getBoundingClientRect();
  return r.width && r.right > innerWidth + 1 && !e.closest('.scroll, pre, .jump, svg');
}).slice(0, 5).map(e => e.tagName + '.' + e.className + ' ' + e.textContent.slice(0, 40))
"""
HIDDEN = """
[...document.querySelectorAll('main *')].filter(e => {
  const r = e.getBoundingClientRect();
  return e.textContent.trim() && r.width && r.right <= 0;
}).slice(0, 5).map(e => e.tagName + '.' + e.className + ' ' + e.textContent.slice(0, 40))
"""
FOCUSED = """
(() => {
  const e = document.activeElement;
  if (!e || e === document.body) return '';
  const s = getComputedStyle(e), r = e.getBoundingClientRect();
  const seen = s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2 && r.right > 0;
  return `${e.tagName} ${e.getAttribute('href') || e.textContent.trim().slice(0, 30)} ${seen}`;
})()
"""
STOPS = """
[...document.querySelectorAll('a, summary, [tabindex="0"]')]
  .filter(e => e.checkVisibility({contentVisibilityAuto: true})).length
"""
LINKS = """
[...document.querySelectorAll('a')].map(
  e => new URL(e.href.baseVal ?? e.href, document.baseURI).href)
"""


def pages(home: Path) -> dict[str, Path]:
    """One of each kind, by its name."""
    return {
        "index": home / "index.html",
        "tree": next((home / "trees").iterdir()),
        "case": home / "cases" / "stale_tlb--anon_lost_write.html",
        "night": home / "nights" / "2026-03-28.html",
        "run": home / "runs" / "20260328-030000-kasan.html",
        "hostile": home / "runs" / "20260328-040000-hostile.html",
    }


KINDS = ("index", "tree", "case", "night", "run", "hostile")


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_page_is_read_on_every_screen(tab: Browser, home: Path, kind: str, view: str) -> None:
    tab.look(**VIEWS[view])  # type: ignore[arg-type]
    tab.said.clear()
    tab.open(pages(home)[kind])
    if PICTURES:
        Path(PICTURES).mkdir(parents=True, exist_ok=True)
        tab.picture(Path(PICTURES) / f"{kind}-{view}.png")
    assert tab.said == [], "nothing is on the console: no error, no script, no refused style"
    assert tab.ask("document.styleSheets[0].cssRules.length") > 20, "the policy lets the style in"
    assert tab.ask(CONTRAST) == []
    assert tab.ask("document.documentElement.scrollWidth <= innerWidth"), tab.ask(WIDE)
    assert tab.ask(WIDE) == []
    assert tab.ask(HIDDEN) == []


def test_dark_is_dark_and_light_is_light(tab: Browser, home: Path) -> None:
    colours = []
    for dark in (False, True):
        tab.look(dark=dark)
        tab.open(home / "index.html")
        colours.append(tab.ask("getComputedStyle(document.body).backgroundColor"))
    assert colours == ["rgb(255, 255, 255)", "rgb(17, 22, 27)"]


def test_every_link_leads_to_a_page_or_a_place_in_one(tab: Browser, home: Path) -> None:
    seen: Counter[str] = Counter()
    for path in sorted(home.rglob("*.html")):
        tab.open(path)
        for link in tab.ask(LINKS):
            url = urlsplit(link)
            assert url.scheme in ("file", "data"), link
            if url.scheme == "file":
                target = Path(unquote(url.path))
                assert target.is_file(), f"{path}: {link}"
                assert target.is_relative_to(home)
            seen[url.scheme] += 1
        lost = tab.ask("[...document.querySelectorAll('a[href^=\"#\"]')].map(e => e.hash.slice(1))"
                       ".filter(id => !document.getElementById(id))")  # fmt: skip
        assert lost == [], path
    assert seen["file"] > 400


@pytest.mark.parametrize("kind", ["index", "case", "run"])
def test_a_page_is_used_by_the_keyboard(tab: Browser, home: Path, kind: str) -> None:
    tab.look()
    tab.open(pages(home)[kind])
    visited = []
    for _ in range(400):
        tab.press("Tab")
        if not (where := tab.ask(FOCUSED)):
            break
        visited.append(where)
    assert visited[0].startswith("A #main"), "the first stop skips to the content"
    assert [stop for stop in visited if not stop.endswith(" true")] == [], "each stop is seen"
    count = tab.ask(STOPS)
    assert len(visited) >= count > 5


def test_a_splat_is_found_in_the_console(tab: Browser, alone: Path) -> None:
    tab.look()
    tab.said.clear()
    tab.open(alone, "r2-splat-0")
    assert tab.said == []
    top = tab.ask("document.getElementById('r2-splat-0').getBoundingClientRect().top")
    assert 0 <= top < 900, "the link leads into the console"
    marked = tab.ask("getComputedStyle(document.querySelector('mark')).backgroundColor")
    assert marked == "rgb(255, 233, 168)"


def test_a_page_that_is_mailed_needs_nothing_else(tab: Browser, alone: Path) -> None:
    tab.call("Network.enable")
    tab.open(alone)
    asked = [event["params"]["request"]["url"] for event in tab.events
             if event["method"] == "Network.requestWillBeSent"]  # fmt: skip
    assert [url for url in asked if not url.startswith("data:")] == [alone.as_uri()]
    packed = tab.ask("document.querySelectorAll('a[download][href^=\"data:\"]').length")
    assert packed >= 8, "all files are in it"


def test_a_case_opens_and_closes_without_a_script(tab: Browser, alone: Path) -> None:
    tab.look()
    tab.open(alone)
    opened = "document.querySelectorAll('details[open]').length"
    before = tab.ask(opened)
    tab.ask("[...document.querySelectorAll('summary')].find(e => !e.parentElement.open).focus()")
    tab.press("Enter")
    assert tab.ask(opened) == before + 1
    assert tab.ask("document.scripts.length") == 0
