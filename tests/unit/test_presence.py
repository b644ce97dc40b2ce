# SPDX-License-Identifier: GPL-2.0-only
import time
from pathlib import Path

import pytest

from rig import presence
from rig.store import Store
from tests.unit.conftest import Eventually, Script

LIVES = """
import sys, time
from pathlib import Path
from rig import presence
presence.enter(Path(sys.argv[1]))
print("entered", flush=True)
time.sleep(float(sys.argv[2]))
"""


def test_another_rig_is_there_as_long_as_it_lives(
    store: Store, script: Script, eventually: Eventually
) -> None:
    assert presence.oldest(store.root) is None, "this process is not another"
    before = time.time() - 5
    other = script(LIVES, store.root, 600)
    assert other.stdout is not None
    other.stdout.readline()
    started = presence.oldest(store.root)
    assert started is not None
    assert before < started < time.time() + 5
    other.kill()  # SIGKILL: it cleans nothing up
    other.wait()
    assert presence.oldest(store.root) is None


def test_a_rig_that_ends_leaves_nothing(store: Store, script: Script) -> None:
    assert script(LIVES, store.root, 0).wait() == 0
    assert list((store.root / presence.DIRECTORY).iterdir()) == []


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    presence.enter(tmp_path / "none")
    assert presence.oldest(tmp_path / "none") is None
    assert not (tmp_path / "none").exists()


def test_every_verb_enters_its_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    monkeypatch.setenv("RIG_STORE", str(tmp_path / "a"))
    Store.default()
    assert len(list((tmp_path / "a" / presence.DIRECTORY).iterdir())) == 1
    monkeypatch.setenv("RIG_STORE", str(tmp_path / "b"))
    Store.default().ready()  # makes the store
    assert len(list((tmp_path / "b" / presence.DIRECTORY).iterdir())) == 1
