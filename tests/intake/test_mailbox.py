# SPDX-License-Identifier: GPL-2.0-only
"""Mailboxes of every kind, by the real b4, without a server."""

import mailbox
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from rig.errors import ConfigError
from rig.series import fetch, model, rfc822
from tests.intake.conftest import diff, mail, revision

MBX = Path(__file__).parent.parent / "data" / "mbx"
FROM = b"From a@b Thu Jan  1 00:00:00 1970\n"


@pytest.fixture(autouse=True)
def _nobody_to_ask(user: Callable[[str], None]) -> None:
    user("http://127.0.0.1:9/mm")


def written(path: Path, *mails: bytes) -> Path:
    path.write_bytes(b"".join(FROM + mail + b"\n" for mail in mails))
    return path


def test_a_series_that_git_wrote(shelf: Path) -> None:
    (series,) = fetch.fetch(shelf, str(MBX / "shelf" / "unmap-batch" / "v2.mbx")).series
    given = model.read(MBX / "shelf" / "unmap-batch" / "v2.mbx")
    assert (series.label, series.base, series.change_id) == (
        "unmap-batch@v2",
        given.base,
        given.change_id,
    )
    for ours, theirs in zip(series.patches, given.patches, strict=True):
        assert (ours.subject, ours.author, ours.files) == (
            theirs.subject,
            theirs.author,
            theirs.files,
        )
        assert rfc822.body_of(ours.mail).strip() == rfc822.body_of(theirs.mail).strip()


@pytest.mark.parametrize("coding", ["quoted-printable", "base64"])
def test_a_transfer_encoding_is_undone(shelf: Path, coding: str) -> None:
    (series,) = fetch.fetch(shelf, str(MBX / f"{coding}.mbx")).series
    given = model.read(MBX / f"{coding}.mbx")
    assert b"Content-Transfer-Encoding: 8bit" in series.patches[0].mail
    assert (
        rfc822.body_of(series.patches[0].mail).strip()
        == rfc822.body_of(given.patches[0].mail).strip()
    )


@pytest.mark.parametrize("kind", ["sent", "patchwork's"])
def test_a_maildir(shelf: Path, tmp_path: Path, kind: str) -> None:
    box = mailbox.Maildir(tmp_path / "mails")
    for raw in revision(2, stem="box", title="mm: boxed"):
        bare = raw.replace(b"[PATCH v2 ", b"[v2,").replace(b"\nMessage-Id: ", b"\nX-Was: ")
        box.add(raw if kind == "sent" else bare)
    (series,) = fetch.fetch(shelf, str(tmp_path / "mails")).series
    assert (series.label, len(series.patches)) == ("boxed@v2", 2)


def test_a_directory_of_patches(shelf: Path, tmp_path: Path) -> None:
    home = tmp_path / "patches"
    home.mkdir()
    for number, raw in enumerate(revision(1, stem="dir", title="mm: filed")):
        (home / f"000{number}.patch").write_bytes(raw)
    (series,) = fetch.fetch(shelf, str(home)).series
    assert (series.label, len(series.patches)) == ("filed@v1", 2)


def test_patchworks_mbox(shelf: Path, tmp_path: Path) -> None:
    """It has no cover letter, and its subjects are [v2,1/2]."""
    mails = [
        mail.replace(b"[PATCH v2 ", b"[v2,").replace(b"\nSubject", b"\nX-Patchwork-Id: 7\nSubject")
        for mail in revision(2, stem="pw", title="x")[1:]
    ]
    (series,) = fetch.fetch(shelf, str(written(tmp_path / "x.mbox", *mails)), name="pw").series
    assert [patch.subject for patch in series.patches] == ["mm: one", "mm: two"]
    assert (series.revision, series.cover) == (2, "")


@pytest.mark.parametrize(
    ("tags", "label"),
    [
        ("[PATCHv2 {}]", "x@v2"),
        ("[RESEND][PATCH v3 {}]", "x@v3"),
        ("[PATCH v3 {}] [RESEND]", "x@v3"),
        ("[PATCH v6.12 {}]", "x@v1"),
    ],
)
def test_what_a_revision_is_called(shelf: Path, tmp_path: Path, tags: str, label: str) -> None:
    mails = [
        mail.replace(b"[PATCH v9 %d/2]" % n, tags.format(f"{n}/2").encode())
        for n, mail in enumerate(revision(9, stem="t", title="mm: x"))
    ]
    (series,) = fetch.fetch(shelf, str(written(tmp_path / "x.mbox", *mails))).series
    assert (series.label, len(series.patches), series.cover[:6]) == (label, 2, "mm: x\n")


FROM_THE = "It is clear\nFrom the report that\n\nFrom 0123 Mon Sep 17 00:00:00 2001\n\nFrom here."


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two commits on top of `base`, which say where they have it from."""
    home = tmp_path / "tree"
    home.mkdir()
    (home / "x.c").write_text("old\n")
    git(home, "init", "-q", "-b", "main")
    git(home, "add", "x.c")
    git(home, "commit", "-q", "-m", "base")
    git(home, "tag", "base")
    git(home, "checkout", "-q", "-b", "fix/topic")
    for word in ("one", "two"):
        (home / "x.c").write_text(f"{word}\n")
        git(home, "commit", "-q", "-a", "-m", f"mm: {word}\n\n{FROM_THE}")
    return home


def git(tree: Path, *words: str, stdin: bytes = b"") -> str:
    who = ("-c", "user.name=Zoë Müller", "-c", "user.email=zoe@example.org")
    fetched = subprocess.run(
        ["git", *who, *words], cwd=tree, input=stdin, capture_output=True, check=True
    )
    return fetched.stdout.decode()


@pytest.mark.parametrize("kind", ["range", "directory", "mbox"])
def test_a_message_with_a_line_that_begins_as_a_mail_does(
    shelf: Path, tmp_path: Path, tree: Path, kind: str
) -> None:
    """From git to b4, the shelf and git again. It is b4 am that has >From, of a server's too."""
    source = f"git:{tree} base..fix/topic"
    if kind != "range":
        # With a date, git's own patches are two mails for git am as well.
        text = git(tree, "format-patch", "--stdout", "base..fix/topic")
        text = text.replace("From 0123 ", "from 0123 ")
        path = tmp_path / "patches"
        path.mkdir()
        (path / "x.patch").write_text(text)
        source = f"{path}" if kind == "directory" else f"{path / 'x.patch'}"
    fetched = fetch.fetch(shelf, source, name="topic")
    assert fetch.fetch(shelf, source, name="topic").fresh == ()
    assert fetched.series == (model.load(shelf, "topic"),)
    assert [patch.subject for patch in fetched.series[0].patches] == ["mm: one", "mm: two"]
    git(tree, "checkout", "-q", "-b", "again", "base")
    git(tree, "am", "-q", stdin=(shelf / "topic" / "v1.mbx").read_bytes())
    git(tree, "diff", "--exit-code", "fix/topic")
    message = (
        git(tree, "log", "-1", "--format=%B", "again").strip().replace("from 0123", ">From 0123")
    )
    assert message == "mm: two\n\n" + FROM_THE.replace("From ", ">From ")


@pytest.mark.parametrize(
    "words",
    [
        ("-m", f'[mm] Re: two, "better": é\n\n{FROM_THE}'),
        ("--no-edit", "--author=Zoë M. Müller <zoe@example.org>"),
        ("--no-edit", "--author=Zoë Müller <zm@example.org>"),
        ("-m", f"mm: two\n\n{FROM_THE}\nAnd more."),
    ],
    ids=["subject", "name", "address", "body"],
)
def test_amended_commits_are_the_next_revision(
    shelf: Path, tree: Path, words: tuple[str, ...]
) -> None:
    source = f"git:{tree} base..HEAD"
    fetch.fetch(shelf, source)
    git(tree, "commit", "-q", "--amend", *words)
    for fresh in ((2,), ()):
        fetched = fetch.fetch(shelf, source)
        assert (fetched.series[0].label, fetched.fresh) == ("topic@v2", fresh)


HTML = mail("h@x.org", "[PATCH] mm: x", "<p>x</p>\n", header="Content-Type: text/html\n")


@pytest.mark.parametrize(
    ("mails", "complaint"),
    [
        ([HTML], "'\\[PATCH\\] mm: x' is HTML only"),
        ([mail("n@x.org", "[PATCH] mm: x", "no diff\n")], "there is no patch in it"),
        ([mail("n@x.org", "hello", "no patch\n")], r"/x\.mbox: there is no patch in it"),
        (
            [mail("b@x.org", "[PATCH] mm: x", "diff --git a/x b/x\nGIT binary patch\nliteral 0\n")],
            "'x' is a binary patch",
        ),
        (revision(1, stem="m", title="x")[:2], "patch 2 of 2 is missing"),
        (
            [mail("c@x.org", "[PATCH] mm: x", diff("a", "b").replace(" +1 @@", " +1,9 @@"))],
            "is truncated: lines missing in the last hunk of mm/x.c",
        ),
        (
            [mail("u@x.org", "[PATCH] mm: x", "a\u202eb\n---\n" + diff("a", "b"))],
            "`b4 am` failed for v1: WARNING: Message contains suspicious unicode",
        ),
    ],
    ids=[
        "html",
        "nodiff",
        "nopatch",
        "binary",
        "missing",
        "truncated",
        "unicode",
    ],
)
def test_bad_input(shelf: Path, tmp_path: Path, mails: list[bytes], complaint: str) -> None:
    path = written(tmp_path / "x.mbox", *mails)
    with pytest.raises(ConfigError, match=complaint) as bad:
        fetch.fetch(shelf, str(path))
    assert fetch.SCRATCH not in bad.value.message
    assert list(shelf.iterdir()) == []
    shutil.rmtree(shelf)
