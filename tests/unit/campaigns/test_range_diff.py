# SPDX-License-Identifier: GPL-2.0-only
"""Two revisions of tests/data's series on tests/data's kernel."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from rig.campaigns import range_diff
from rig.campaigns.options import Request
from rig.context import Context
from rig.errors import ConfigError
from rig.kernel import base, basefinder
from rig.kernel.base import Base
from rig.series.model import SeriesVersion
from rig.shelves import Shelves
from rig.store import Store

SHELF = Path(__file__).parents[2] / "data" / "mbx" / "shelf"
SHELVES = Shelves(kconfigs=Path("/k"), patches=SHELF, images=Path("/i"))


@pytest.fixture
def one_base(base: Base, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every revision is on the kernel in miniature; the revisions that asked."""
    asked: list[str] = []

    def base_of(store: Store, found: SeriesVersion, **_: object) -> Base:
        asked.append(found.label)
        return base

    monkeypatch.setattr(basefinder, "base_of", base_of)
    return asked


def diff(store: Store, old: str, new: str) -> str:
    return range_diff.diff(Context(store, SHELVES), Request(target="unmap-batch"), old, new)


def test_what_became_of_each_patch(store: Store, one_base: list[str]) -> None:
    output = diff(store, "v1", "v2")
    assert one_base == ["unmap-batch@v1", "unmap-batch@v2"]
    assert re.findall(r"^(\S+): +\S+ (.) (\S+): +\S+ (.+)$", output, re.MULTILINE) == [
        ("-", ">", "1", "mm/rmap: count what is pending"),
        ("1", "=", "2", "mm/vmscan: flush once a batch"),
        ("2", "=", "3", "mm: give the batch its file's name"),
    ]
    assert "\x1b" not in output
    assert all(" = " in line for line in diff(store, "v2", "v2").splitlines()), "the same"


def test_a_rename_is_one(
    store: Store, one_base: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not a file that goes and another that comes."""
    (tmp_path / "shelf" / "unmap-batch").mkdir(parents=True)
    v2 = (SHELF / "unmap-batch" / "v2.mbx").read_bytes()
    v3 = v2.replace(b"PATCH v2", b"PATCH v3").replace(b"+#define BATCH 31", b"+#define BATCH 32")
    for number, data in ((2, v2), (3, v3)):
        (tmp_path / "shelf" / "unmap-batch" / f"v{number}.mbx").write_bytes(data)
    shelves = replace(SHELVES, patches=tmp_path / "shelf")
    output = range_diff.diff(Context(store, shelves), Request(target="unmap-batch"), "", "")
    assert "mm/batch.c => mm/unmap_batch.c" in output
    assert "-+#define BATCH 31" in output
    assert "++#define BATCH 32" in output


@pytest.mark.parametrize(
    ("revisions", "meant"),
    [(("", ""), (3, 5)), (("v1", ""), (1, 5)), (("v1", "v3"), (1, 3)), (("3", "1"), (3, 1))],
)
def test_the_revisions_that_are_meant(revisions: tuple[str, str], meant: tuple[int, int]) -> None:
    assert range_diff.pair((1, 3, 5), *revisions) == meant


def test_revisions_that_are_none(store: Store) -> None:
    with pytest.raises(ConfigError, match="there is only one revision"):
        range_diff.pair((1,), "", "")
    for said in ("vv1", "x", "v²", "v-1", "9" * 5000):
        with pytest.raises(ConfigError, match="is not a revision"):
            range_diff.pair((1, 2), said, "")
    with pytest.raises(ConfigError, match="no revision of unmap-batch named 'v7'"):
        diff(store, "v1", "v7")
    with pytest.raises(ConfigError, match="no series named 'unmap'"):
        range_diff.diff(Context(store, SHELVES), Request(target="unmap"), "", "")


def test_a_tree_that_is_none_is_refused_at_once(
    store: Store, one_base: list[str], tmp_path: Path
) -> None:
    """As of every verb, and before anything is read."""
    for tree, complaint in (
        (tmp_path / "gone", r"--tree .*/gone: there is no such directory"),
        (tmp_path, r"--tree .* is not a git tree"),
    ):
        with pytest.raises(ConfigError, match=f"^{complaint}$"):
            asked = Request(target="unmap-batch", tree=tree)
            range_diff.diff(Context(store, SHELVES), asked, "v1", "v2")
    assert one_base == []


def test_the_base_is_the_requests(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def resolve(store: Store, name: str, *, tree: Path | None = None) -> Base:
        asked.append(name)
        raise ConfigError("enough")

    monkeypatch.setattr(base, "resolve", resolve)
    with pytest.raises(ConfigError, match="enough"):
        range_diff.diff(
            Context(store, SHELVES), Request(target="unmap-batch", base="v9.9"), "v1", "v2"
        )
    assert asked == ["v9.9"]
