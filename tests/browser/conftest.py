# SPDX-License-Identifier: GPL-2.0-only
"""A browser, and a site to look at.

`./bootstrap test` does not run these tests, because chromium with its libraries is 0.5 GB:

    apt-get install chromium && .venv/bin/tox -e browser
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rig.campaigns import execute
from rig.history import database
from rig.report import html, site
from rig.store import Store
from rig.verdict.rules import Outcome
from tests.browser.chromium import Browser, browser, program
from tests.unit.conftest import GONE, INTRODUCED, KASAN, blamed, case, result
from tests.unit.report.test_site import night

KASAN_LOG = Path(__file__).parents[1] / "data" / "console" / "from-source" / "kasan.log"
HOSTILE = "</pre><script>console.error('owned')</script><img src=x onerror=alert(1)>"
LONG = "page 1408: CPU 3 wrote 1432, read back 1430 (after reclaim), and " + "0123456789abcdef" * 12


@pytest.fixture(scope="session")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if not program():
        pytest.fail("chromium is not installed: apt-get install chromium", pytrace=False)
    with browser(tmp_path_factory.mktemp("profile")) as one:
        yield one


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of forty nights: cases that fail, come and go, prove nothing; a splat; a stranger."""
    root = tmp_path_factory.mktemp("site")
    store = Store(root / "store")
    for number in range(1, 29):
        night(store, number, Outcome.FAIL if number == 28 else Outcome.PASS)
        bad = {7: Outcome.FAIL, 13: Outcome.INCONCLUSIVE, 21: Outcome.BROKEN}
        night(store, number, bad.get(number, Outcome.PASS), arch="arm64")
    store_run(store, "20260328-030000-kasan", KASAN_LOG.read_text())
    store_run(store, "20260328-040000-hostile", HOSTILE)
    with database.reading(store) as connection:
        site.write(store, connection, root / "public")
    return root / "public"


def store_run(store: Store, name: str, console: str) -> Path:
    """A run with everything that a page can have."""
    lost = case("anon_lost_write", Outcome.FAIL, LONG, evidence=(LONG, HOSTILE))
    low = case("dio_pinned", Outcome.INCONCLUSIVE, HOSTILE)
    skipped = case("migration_lost_write", Outcome.SKIP, "no such kernel")
    results = (
        result(cases=(lost, low, skipped, case("read_after_free")), splats=KASAN[:1]),
        blamed("arm64", INTRODUCED, earlier=(GONE,)),
    )
    directory = store.root / "runs" / name
    for one in results:
        execute.store_result(one, directory / one.machine.arch)
        for file in ("console.log", "kernel.config", "qemu.cmd"):
            (directory / one.machine.arch / file).write_text(console)
    return directory


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of one run, as it is mailed."""
    root = tmp_path_factory.mktemp("alone")
    directory = store_run(Store(root), "20260328-030000-kasan", KASAN_LOG.read_text())
    html.write(directory, root / "run.html")
    return root / "run.html"
