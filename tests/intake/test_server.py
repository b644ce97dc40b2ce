# SPDX-License-Identifier: GPL-2.0-only
"""`rig fetch` against public-inbox's own server, by b4 as it comes from PyPI."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rig.campaigns import request
from rig.campaigns.options import Request
from rig.errors import ConfigError, InfraError
from rig.series import b4, fetch, model, rfc822
from rig.shelves import Shelves
from tests.intake.conftest import CHANGE_ID, PATIENCE, Faulty, Server

Knows = Callable[..., None]


def left(shelf: Path) -> list[str]:
    return sorted(str(path.relative_to(shelf)) for path in shelf.rglob("*"))


def test_a_message_id(server: Server, user: Knows, shelf: Path) -> None:
    user(server.url)
    fetched = fetch.fetch(shelf, "unmap-v2-0@example.org")
    (series,) = fetched.series
    assert (series.label, fetched.fresh) == ("unmap-batch@v2", (2,))
    assert (series.change_id, series.base) == (
        CHANGE_ID,
        "adc218676eef25575469234709c2d87185ca223a",
    )
    assert series.cover.startswith("mm: batch it well\n\nWhy.")
    assert [patch.subject for patch in series.patches] == ["mm: one", "mm: two"]
    assert series.patches[0].author == "Zoë Müller <zoe@example.org>"
    assert "Reviewed-by" not in rfc822.body_of(series.patches[0].mail)
    assert series.message_id == "unmap-v2-0@example.org"
    assert rfc822.header(series.top, "Cc") == "Ann <ann@example.org>, bob@example.org"
    assert left(shelf) == [
        "unmap-batch",
        "unmap-batch/v2.cover",
        "unmap-batch/v2.mbx",
        "unmap-batch/v2.thread.mbx",
    ]


def test_what_is_on_the_shelf_is_what_b4_wrote(
    server: Server, user: Knows, shelf: Path, tmp_path: Path
) -> None:
    user(server.url)
    fetch.fetch(shelf, "unmap-v2-0@example.org")
    b4.am(shelf / "unmap-batch" / "v2.thread.mbx", 2, tmp_path, with_trailers=False)
    for name in ("v2.mbx", "v2.cover"):
        assert (shelf / "unmap-batch" / name).read_bytes() == (tmp_path / name).read_bytes()


def test_tags_are_collected_on_request(server: Server, user: Knows, shelf: Path) -> None:
    user(server.url)
    (series,) = fetch.fetch(shelf, "unmap-v2-0@example.org", with_trailers=True).series
    tag = "Reviewed-by: Ann <ann@example.org>"
    assert [tag in rfc822.body_of(patch.mail) for patch in series.patches] == [True, False]


@pytest.mark.parametrize("form", ["{url}/unmap-v1-0@example.org/", "<unmap-v1-2@example.org>"])
def test_a_link_and_any_mail_of_the_series(
    server: Server, user: Knows, shelf: Path, form: str
) -> None:
    user(server.url)
    (series,) = fetch.fetch(shelf, form.format(url=server.url), name="mine").series
    assert series.label == "mine@v1"


def test_all_revisions_by_change_id(server: Server, user: Knows, shelf: Path) -> None:
    user(server.url)
    for asked in ("unmap-v2-0@example.org", "unmap-v1-0@example.org"):
        fetched = fetch.fetch(shelf, asked, all_revisions=True, name=asked[:8])
        assert [series.revision for series in fetched.series] == [1, 2]
        assert [series.message_id for series in fetched.series] == [
            "unmap-v1-0@example.org",
            "unmap-v2-0@example.org",
        ]
        assert b"new 1 v1" in fetched.series[0].patches[0].mail


def test_all_revisions_by_links(server: Server, user: Knows, shelf: Path) -> None:
    """The title changed each time: no search finds them. The links name lore; b4.midmask wins."""
    user(server.url)
    fetched = fetch.fetch(shelf, "linked-v3-0@example.org", all_revisions=True)
    assert [series.label for series in fetched.series] == [
        f"third-name@v{number}" for number in (1, 2, 3)
    ]
    assert fetched.series[0].cover.startswith("mm: first name")


def test_one_revision_joins_the_others_of_its_series(
    server: Server, user: Knows, shelf: Path
) -> None:
    user(server.url)
    fetch.fetch(shelf, "unmap-v1-0@example.org", name="mine")
    assert fetch.fetch(shelf, "unmap-v2-0@example.org").series[0].label == "mine@v2"
    again = fetch.fetch(shelf, "unmap-v2-0@example.org")
    assert (again.series[0].label, again.fresh) == ("mine@v2", ())
    assert model.revisions(shelf, "mine") == (1, 2)


def test_two_revisions_under_one_name(server: Server, user: Knows, shelf: Path) -> None:
    user(server.url)
    fetch.fetch(shelf, "unmap-v2-0@example.org", name="mine")
    before = (shelf / "mine" / "v2.mbx").read_bytes()
    with pytest.raises(ConfigError, match=r"mine/v2\.mbx exists and differs from what was fetched"):
        fetch.fetch(shelf, "linked-v3-0@example.org", name="mine", all_revisions=True)
    assert (shelf / "mine" / "v2.mbx").read_bytes() == before
    assert model.revisions(shelf, "mine") == (2,), "nor v1 and v3"


def test_a_run_of_a_message_id(server: Server, user: Knows, shelf: Path) -> None:
    """Fetched, then a target like any other; the second time nobody is asked."""
    user(server.url)
    shelves = Shelves(kconfigs=shelf, patches=shelf, images=shelf)
    asked = Request(target="unmap-v2-0@example.org", base="v6.12", cpus=8)
    meant = replace(asked, target="unmap-batch@v2")
    assert request.fetched(shelves, asked) == meant
    user("http://127.0.0.1:9/mm")
    assert request.fetched(shelves, asked) == meant


# What is not there, and servers that fail


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        ("gone@example.org", "there is no message gone@example.org on the server"),
        ("talk@example.org", "talk@example.org: there is no patch in it"),
    ],
)
def test_what_is_not_there(
    server: Server, user: Knows, shelf: Path, asked: str, complaint: str
) -> None:
    user(server.url)
    with pytest.raises(ConfigError, match=complaint):
        fetch.fetch(shelf, asked)
    assert left(shelf) == []


@pytest.mark.parametrize("fault", ["error", "stops", "silent"])
def test_a_server_that_fails(
    user: Knows, faulty: Callable[[str], Faulty], shelf: Path, fault: str
) -> None:
    server_fault = faulty(fault)
    user(server_fault.url, patience=1.0 if fault in ("slow", "silent") else PATIENCE)
    with pytest.raises(InfraError, match=r"the server did not deliver the thread: .") as bad:
        fetch.fetch(shelf, "unmap-v2-0@example.org")
    assert "Traceback" not in bad.value.message
    assert server_fault.asked
    assert left(shelf) == []


@pytest.mark.parametrize("asked", ["unmap-v2-0@example.org", "linked-v1-0@example.org"])
def test_a_server_that_does_not_search(
    user: Knows, faulty: Callable[[str], Faulty], shelf: Path, asked: str
) -> None:
    """b4 goes on with what it has; a revision would be missing, and nobody told."""
    user(faulty("search").url)
    with pytest.raises(InfraError, match="did not answer the search for other revisions"):
        fetch.fetch(shelf, asked, all_revisions=True)
    assert left(shelf) == []
    assert fetch.fetch(shelf, asked).fresh


def test_the_search_back_may_fail_too(
    server: Server, user: Knows, faulty: Callable[[str], Faulty], tmp_path: Path
) -> None:
    user(server.url)
    path = b4.thread("unmap-v2-0@example.org", tmp_path)
    user(faulty("search").url)
    with pytest.raises(InfraError, match="x: the server did not answer the search"):
        b4.older("x", path, [1], tmp_path)
    path.unlink()
    with pytest.raises(InfraError, match="x: the search for older revisions failed in b4"):
        b4.older("x", tmp_path, [1], tmp_path / "gone" / "gone")


def test_a_server_that_is_slow(
    user: Knows, faulty: Callable[[str], Faulty], shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers all the time, and never comes to an end."""
    monkeypatch.setattr(b4, "DEADLINE", 5.0)
    user(faulty("slow").url, patience=1.0)
    with pytest.raises(InfraError, match="did not deliver the thread within 5 s"):
        fetch.fetch(shelf, "unmap-v2-0@example.org")
    assert left(shelf) == []


def test_a_server_that_is_not_there(user: Knows, shelf: Path) -> None:
    user("http://127.0.0.1:9/mm")
    with pytest.raises(InfraError, match="the server did not deliver the thread"):
        fetch.fetch(shelf, "unmap-v2-0@example.org")
    assert left(shelf) == []
