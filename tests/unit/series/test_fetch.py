# SPDX-License-Identifier: GPL-2.0-only
"""The shelf and what is let onto it; b4 is played, the real one is in tests/intake."""

import fcntl
import os
import re
from pathlib import Path

import pytest

from rig.errors import ConfigError, InfraError
from rig.series import b4, fetch, model, rfc822, sources

FROM = b"From git@z Thu Jan  1 00:00:00 1970\n"
DIFF = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-old\n+{}\n"


def mail(identifier: str, subject: str, body: str = "", header: str = "") -> bytes:
    return (
        f"From: A <a@b>\nSubject: {subject}\nMessage-ID: <{identifier}>\n{header}\n{body}\n"
    ).encode()


def revision(number: int, word: str = "", change_id: str = "20260301-mine-0123456789ab") -> bytes:
    end = f"---\nchange-id: {change_id}\n" if change_id else ""
    mails = [
        mail(f"c{number}@x", f"[PATCH v{number} 0/1] mm: a {word} title", f"Why.\n\n{end}"),
        mail(f"p{number}@x", f"[PATCH v{number} 1/1] mm: one", DIFF.format(word or number)),
    ]
    return b"".join(FROM + content for content in mails)


class Archive:
    """b4, and what it finds."""

    def __init__(self) -> None:
        self.data = b""
        self.fails: Exception | None = None

    def thread(
        self, source: str, out: Path, *, local: Path | None = None, newer: bool = False
    ) -> Path:
        path = out / "thread"
        path.write_bytes(local.read_bytes() if local else self.data)
        return path

    def am(self, mails: Path, number: int, out: Path, *, with_trailers: bool) -> str:
        if self.fails:
            raise self.fails
        patches = {}
        for content in rfc822.split(mails.read_bytes(), "x"):
            if sources.revision_in(content) == number and "0/" not in rfc822.header(
                content, "Subject"
            ):
                patches[rfc822.header(content, "Message-ID")] = FROM + content
            elif sources.revision_in(content) == number:
                (out / f"v{number}.cover").write_bytes(content)
        if patches:
            (out / f"v{number}.mbx").write_bytes(b"".join(patches.values()))
        return f"said of v{number}\n"


@pytest.fixture
def archive(monkeypatch: pytest.MonkeyPatch) -> Archive:
    fake = Archive()
    monkeypatch.setattr(b4, "thread", fake.thread)
    monkeypatch.setattr(b4, "am", fake.am)
    monkeypatch.setattr(b4, "older", lambda source, mails, revisions, out: None)
    return fake


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    return tmp_path / "shelf"


def left(shelf: Path) -> list[str]:
    return sorted(str(path.relative_to(shelf)) for path in shelf.rglob("*"))


def test_a_revision_with_its_cover_and_thread(archive: Archive, shelf: Path) -> None:
    archive.data = revision(2)
    done = fetch.fetch(shelf, "c2@example.org")
    (series,) = done.series
    assert (series.label, done.fresh, done.said) == ("mine@v2", (2,), "said of v2\n")
    assert left(shelf) == ["mine", "mine/v2.cover", "mine/v2.mbx", "mine/v2.thread.mbx"]
    assert (series.message_id, series.cover) == ("c2@x", "mm: a title\n\nWhy.\n\n---\nchange-id: "
                                           "20260301-mine-0123456789ab\n")  # fmt: skip


def test_the_revision_that_is_named_or_the_newest_or_all(archive: Archive, shelf: Path) -> None:
    archive.data = revision(1) + revision(2) + FROM + mail("re@x.org", "Re: [PATCH v2 0/1] mm: a")
    archive.data = archive.data.replace(b"c1@x", b"c1@x.org")
    for source, revisions in (("c1@x.org", [1]), ("re@x.org", [2]), ("gone@x.org", [2])):
        done = fetch.fetch(shelf, source, name=f"s-{source[:2]}-{revisions[0]}")
        assert [series.revision for series in done.series] == revisions
    done = fetch.fetch(shelf, "c1@x.org", name="all", all_revisions=True)
    assert [series.label for series in done.series] == ["all@v1", "all@v2"]


def test_the_same_again_is_no_work_and_no_error(archive: Archive, shelf: Path) -> None:
    archive.data = revision(2)
    fetch.fetch(shelf, "c2@example.org")
    before = {path: path.stat().st_ino for path in shelf.rglob("*")}
    done = fetch.fetch(shelf, "c2@example.org")
    assert (done.series[0].label, done.fresh) == ("mine@v2", ())
    assert {path: path.stat().st_ino for path in shelf.rglob("*")} == before


def test_what_is_there_is_never_written_again(archive: Archive, shelf: Path) -> None:
    archive.data = revision(2)
    fetch.fetch(shelf, "c2@example.org")
    before = (shelf / "mine" / "v2.mbx").read_bytes()
    archive.data = revision(1) + revision(2, "other")
    with pytest.raises(ConfigError, match=r"v2\.mbx exists and differs from") as bad:
        fetch.fetch(shelf, "c2@example.org", all_revisions=True)
    assert "--name" in bad.value.hint
    assert (shelf / "mine" / "v2.mbx").read_bytes() == before
    assert left(shelf) == ["mine", "mine/v2.cover", "mine/v2.mbx", "mine/v2.thread.mbx"]


def test_a_name_is_of_one_series(archive: Archive, shelf: Path) -> None:
    archive.data = revision(1)
    fetch.fetch(shelf, "c1@example.org")
    archive.data = revision(2, change_id="20260301-other-0123456789ab")
    with pytest.raises(ConfigError, match="mine is the name of another series: its change-id"):
        fetch.fetch(shelf, "c2@example.org", name="mine")
    assert model.revisions(shelf, "mine") == (1,)


@pytest.mark.parametrize(
    ("change_id", "name"),
    [
        ("20260301-mine-0123456789ab", "mine"),
        ("", "a-fine-title"),
        ("made-by-hand", "a-fine-title"),
    ],
)
def test_names(archive: Archive, shelf: Path, change_id: str, name: str) -> None:
    archive.data = revision(1, "fine", change_id)
    assert fetch.fetch(shelf, "c1@example.org").series[0].name == name


def other(
    number: int, *, header: str = "", body: str = "", title: str = "fs: b", to: str = "c"
) -> bytes:
    """A single patch that has nothing of revision()'s by itself."""
    return FROM + mail(f"o{number}@x", f"[PATCH v{number}] {title}", body + DIFF.format(to), header)


@pytest.mark.parametrize(
    ("name", "ids"),
    [("mine", ("", "")), ("mine", ("20260301-mine-0123456789ab", "")), ("", ("", ""))],
)
def test_a_further_revision_has_something_of_its_series(
    archive: Archive, shelf: Path, name: str, ids: tuple[str, str]
) -> None:
    archive.data = revision(1, "mine", ids[0])
    fetch.fetch(shelf, "c1@example.org", name="mine")
    end = f"---\nchange-id: {ids[1]}\n" if ids[1] else ""
    archive.data = other(2, title="fs: mine", body=f"Why.\n{end}")
    with pytest.raises(
        ConfigError, match="mine is the name of another series: v2 shares no ti"
    ) as bad:
        fetch.fetch(shelf, "o2@example.org", name=name)
    assert "--name OTHER" in bad.value.hint
    assert model.revisions(shelf, "mine") == (1,)


@pytest.mark.parametrize(
    "fresh",
    [
        other(2, title="mm: a mine title"),
        other(2, title="mm:  One"),
        other(2, to="mine"),
        other(2, header="In-Reply-To: <c1@x>\n"),
        other(2, header="References: <p@x> <p1@x>\n"),
        other(2, body="Link to v1: https://lore.kernel.org/r/c1@x/\n\n"),
        revision(1, "mine", "") + other(2),
    ],
    ids=["title", "patch", "diff", "answer", "reference", "link", "together"],
)
def test_what_a_further_revision_may_have(archive: Archive, shelf: Path, fresh: bytes) -> None:
    archive.data = revision(1, "mine", "")
    fetch.fetch(shelf, "c1@example.org", name="mine")
    archive.data = fresh
    done = fetch.fetch(shelf, "o2@example.org", name="mine", all_revisions=True)
    assert (done.series[-1].label, done.fresh) == ("mine@v2", (2,))


def test_an_older_revision_may_be_the_one_that_is_linked(archive: Archive, shelf: Path) -> None:
    archive.data = other(2, body="Since v1 (https://lore.kernel.org/r/c1@x): all.\n\n")
    fetch.fetch(shelf, "o2@example.org", name="mine")
    archive.data = revision(1, "mine", "")
    assert fetch.fetch(shelf, "c1@example.org", name="mine").fresh == (1,)


@pytest.mark.parametrize("name", ["../x", "a/b", "v6.12", "s@v2", "-x", "a b", "."])
def test_names_that_are_none(shelf: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be the name of a series"):
        fetch.fetch(shelf, "c1@example.org", name=name)
    assert not shelf.exists()


@pytest.mark.parametrize(
    ("name", "change_id"), [("mutants", ""), ("", "20260301-mutants-0123456789ab")]
)
def test_the_mutants_are_no_series(
    archive: Archive, shelf: Path, name: str, change_id: str
) -> None:
    archive.data = revision(1, change_id=change_id)
    with pytest.raises(ConfigError, match="patches/mutants holds the mutants") as bad:
        fetch.fetch(shelf, "c1@example.org", name=name)
    assert "--name" in bad.value.hint
    assert not shelf.exists() or left(shelf) == []


# What is not let in: nothing is left behind


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (FROM + mail("a@x", "hello", "no patch"), "^a@example.org: there is no patch in it"),
        (FROM + mail("a@x", "[PATCH 0/1] mm: x", "only words"), "there is no patch in it"),
        (FROM + mail("a@x", "[PATCH] mm: x", "only words"), "v1: patch 1 .* there is no diff"),
        (
            FROM + mail("a@x", "[PATCH] mm: x", "<p>x</p>", "Content-Type: text/html\n"),
            "'\\[PATCH\\] mm: x' is HTML only",
        ),
        (
            FROM + mail("a@x", "[PATCH] mm: x", "diff --git a/x b/x\nGIT binary patch\n"),
            "v1: patch 1 .* 'x' is a binary patch",
        ),
        (revision(1).replace(b" 1/1]", b" 1/2]").replace(b" 0/1]", b" 0/2]"), "patch 2 of 2 is mi"),
        (revision(1)[:-8], "v1: patch 1 .* is truncated"),
    ],
)
def test_bad_input(archive: Archive, shelf: Path, data: bytes, complaint: str) -> None:
    archive.data = data
    with pytest.raises(ConfigError, match=complaint) as bad:
        fetch.fetch(shelf, "a@example.org")
    assert fetch.SCRATCH not in bad.value.message
    assert left(shelf) == []


def test_one_bad_revision_keeps_the_others_out(archive: Archive, shelf: Path) -> None:
    archive.data = revision(1) + revision(2).replace(b"+++ b/x", b"GIT binary patch")
    with pytest.raises(ConfigError, match="v2: patch 1"):
        fetch.fetch(shelf, "c1@example.org", all_revisions=True)
    assert left(shelf) == []


def test_what_stops_in_the_middle(archive: Archive, shelf: Path) -> None:
    archive.data, archive.fails = revision(1), InfraError("no more")
    with pytest.raises(InfraError):
        fetch.fetch(shelf, "c1@example.org")
    assert left(shelf) == []


def test_what_a_killed_rig_left_goes(archive: Archive, shelf: Path) -> None:
    """Another rig may be at work, in another container: its pid says nothing, its lock does."""
    for name in ("abcdefg1", "abcdefg2"):
        (shelf / f"{fetch.SCRATCH}{name}" / "work").mkdir(parents=True)
    lock = os.open(shelf / f"{fetch.SCRATCH}abcdefg2", os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    archive.data = revision(1)
    fetch.fetch(shelf, "c1@example.org")
    os.close(lock)
    assert sorted(path.name for path in shelf.iterdir()) == [f"{fetch.SCRATCH}abcdefg2", "mine"]
    fetch.fetch(shelf, "c1@example.org")
    assert [path.name for path in shelf.iterdir()] == ["mine"]


def test_a_shelf_that_fails_in_the_middle(
    archive: Archive, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.data = revision(1)
    fetch.fetch(shelf, "c1@example.org")
    before = left(shelf)
    real = Path.hardlink_to

    def hardlink_to(self: Path, target: Path) -> None:
        if self.suffix == ".mbx" and "thread" not in self.name:
            raise OSError(28, "No space left on device", str(self))
        real(self, target)

    monkeypatch.setattr(Path, "hardlink_to", hardlink_to)
    archive.data = revision(2)
    with pytest.raises(InfraError, match="the disk is full"):
        fetch.fetch(shelf, "c2@example.org")
    assert left(shelf) == before


# Back to v1


def test_links_are_followed_once(
    archive: Archive, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources_: list[str] = []

    def thread(source: str, out: Path, **rest: object) -> Path:
        sources_.append(source)
        if source == "c0@x.org":
            raise ConfigError("there is no message c0@x.org on the server")
        number = int(source[1])
        link = f"Link to v{number - 1}: https://lore.kernel.org/r/c{number - 1}@x.org\nWhy."
        data = revision(number, change_id="").replace(b"Why.", link.encode())
        path = out / "thread"
        path.write_bytes(re.sub(rb"<c(\d)@x>", rb"<c\1@x.org>", data))
        return path

    monkeypatch.setattr(b4, "thread", thread)
    done = fetch.fetch(shelf, "c3@x.org", name="s", all_revisions=True)
    assert [series.revision for series in done.series] == [1, 2, 3]
    assert sources_ == ["c3@x.org", "c2@x.org", "c1@x.org", "c0@x.org"]
