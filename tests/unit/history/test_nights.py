# SPDX-License-Identifier: GPL-2.0-only
"""tests/simulated/nights.py, a small part of it: the promises, and quiet nights."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "simulated" / "nights.py"


@pytest.fixture(scope="module")
def nights() -> ModuleType:
    spec = importlib.util.spec_from_file_location("simulated_nights", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_planted_changes_are_told_in_time(nights: ModuleType) -> None:
    rows = list(nights.planted(3, seed=2))
    assert len(rows) >= 8
    for title, promise, delays in rows:
        assert all(delay is not None and delay <= promise for delay in delays), (title, delays)


def test_quiet_nights_are_quiet(nights: ModuleType) -> None:
    assert sum(nights.quiet(10, seed=2).values()) == 0


def test_the_noise_is_what_its_name_says(nights: ModuleType) -> None:
    chosen = nights.random.Random(1)
    for noise in (nights.normal(1), nights.heavy(1), nights.correlated(nights.normal(1), 0.5)()):
        values = [noise(chosen) for _ in range(4000)]
        assert abs(nights.statistics.mean(values) - 1) < 0.002
        assert 0.008 < nights.statistics.stdev(values) < 0.03
