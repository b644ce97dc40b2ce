# SPDX-License-Identifier: GPL-2.0-only
"""What every kind of test shares."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rig import log

TOP = Path(__file__).parent.parent
UNIT = TOP / "tests" / "unit"

sys.path.insert(0, str(TOP / "tests" / "executed"))
import programs  # noqa: E402


def pytest_configure(config: pytest.Config) -> None:
    """Tests interrupt programs. A shell's background job ignores SIGINT, and so would they."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    config.pluginmanager.register(programs.Watch())


@pytest.fixture(autouse=True)
def _no_home(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """A unit test leaves the user's home directory and store alone, and depends on neither."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(home))  # the user's own defaults (rig/cli/defaults.py)
        if not request.path.is_relative_to(UNIT):
            yield
            return
        for name in ("HOME", "RIG_STORE", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
            patch.setenv(name, str(home))
        yield


@pytest.fixture
def events() -> Iterator[list[log.Event]]:
    """Every event that is said during the test."""
    seen: list[log.Event] = []
    with log.subscribed(seen.append):
        yield seen
