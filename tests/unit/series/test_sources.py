# SPDX-License-Identifier: GPL-2.0-only
"""Sources as b4 is given them; b4 itself is in tests/intake."""

import mailbox
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from b4 import LoreSubject

from rig.errors import ConfigError
from rig.series import b4, rfc822, sources

FROM = b"From a@b Thu Jan  1 00:00:00 1970\n"
WHO = ("-c", "user.name=Zoë", "-c", "user.email=zoe@example.org")
DIFF = b"diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-old\n+new\n"


def mail(subject: str, body: bytes = DIFF, header: str = "Message-Id: <a@b>\n") -> bytes:
    return f"From: A <a@b>\nSubject: {subject}\n{header}\n".encode() + body


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """b4 hands back the mailbox it is given; what it was asked."""
    calls: list[Any] = []

    def thread(source: str, out: Path, *, local: Path | None = None, newer: bool = False) -> Path:
        calls.append((source, newer))
        assert local is not None
        return Path((out / "thread").write_bytes(local.read_bytes()) and out / "thread")

    monkeypatch.setattr(b4, "thread", thread)
    return calls


def gather(tmp_path: Path, source: object, name: str = "") -> list[bytes]:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    threads = sources.gather(tmp_path / "shelf", str(source), name, scratch, all_revisions=False)
    return [mail for thread in threads for mail in thread.mails]


# Mails that b4 would not take


def test_a_mail_without_a_message_id_gets_one_of_its_own(tmp_path: Path, given: list[Any]) -> None:
    path = tmp_path / "x.mbox"
    path.write_bytes(FROM + mail("[PATCH 1/2] a", header="") + FROM + mail("[PATCH 2/2] b"))
    first, second = gather(tmp_path, path)
    assert rfc822.header(first, "Message-ID").endswith("@rig.invalid>")
    assert rfc822.header(second, "Message-ID") == "<a@b>"
    assert rfc822.body_of(first) == DIFF.decode()


@pytest.mark.parametrize(
    ("subject", "readable"),
    [
        ("[v2,1/3] mm: x", "[PATCH v2 1/3] mm: x"),
        ("[RFC,v3,0/2] mm: x", "[PATCH RFC v3 0/2] mm: x"),
        ("=?utf-8?q?=5Bv2=2C1/3=5D?= =?utf-8?q?_mm=3A_=C3=A9?=", "[PATCH v2 1/3] mm: é"),
        ("[PATCH v2 1/3] mm: a, b", "[PATCH v2 1/3] mm: a, b"),
        ("[v2,1/3]\n mm: folded", "[PATCH v2 1/3] mm: folded"),
        ("Re: [v2,1/3] mm: x", "Re: [v2,1/3] mm: x"),
    ],
)
def test_patchworks_subjects(tmp_path: Path, given: list[Any], subject: str, readable: str) -> None:
    path = tmp_path / "x.mbox"
    path.write_bytes(FROM + mail(subject))
    (read,) = gather(tmp_path, path)
    assert rfc822.header(read, "Subject") == readable
    assert rfc822.header(read, "Message-ID") == "<a@b>"


def test_one_mail_as_git_am_takes_it(tmp_path: Path, given: list[Any]) -> None:
    path = tmp_path / "x.eml"
    path.write_bytes(mail("[PATCH] a"))
    assert [rfc822.header(content, "Subject") for content in gather(tmp_path, path)] == [
        "[PATCH] a"
    ]


@pytest.mark.parametrize("kind", ["mbox", "mail", "directory"])
def test_a_line_that_begins_as_a_mail_does(tmp_path: Path, given: list[Any], kind: str) -> None:
    """b4 reads by Python's mailbox, for which it would be the next mail."""
    original = mail("[PATCH] a", b"It is clear\nFrom the report\n\nFrom here on\n---\n" + DIFF)
    path = tmp_path / "x"
    if kind == "directory":
        path.mkdir()
        (path / "0001-a.patch").write_bytes(FROM + original)
    else:
        path.write_bytes((FROM if kind == "mbox" else b"") + original)
    (read,) = gather(tmp_path, path)
    with closing(mailbox.mbox(tmp_path / "scratch" / "source.mbox")) as box:
        assert len(box) == 1
    quoted = "It is clear\n>From the report\n\n>From here on\n---\n"
    assert rfc822.body_of(read).rstrip() == quoted + DIFF.decode().rstrip()


def test_a_directory_of_patches_is_in_order(tmp_path: Path, given: list[Any]) -> None:
    home = tmp_path / "patches"
    home.mkdir()
    (home / "0002-b.patch").write_bytes(FROM + mail("[PATCH 2/2] b"))
    (home / "0001-a.patch").write_bytes(mail("[PATCH 1/2] a"))
    (home / "notes").write_text("no mail")
    mails = gather(tmp_path, home)
    assert [rfc822.header(content, "Subject") for content in mails] == [
        "[PATCH 1/2] a",
        "[PATCH 2/2] b",
    ]


def test_a_maildir(tmp_path: Path, given: list[Any]) -> None:
    """Nothing is asked of its mails that is not of a directory's."""
    for name, content in (
        ("new/1.M2.x", FROM + mail("[v2,2/2] b", header="")),
        ("cur/1.M1.x:2,S", mail("[v2,1/2] a", b"From here\n" + DIFF, header="")),
        ("new/.2.x", b"of whoever delivers it"),
        ("tmp/3.x", b"half"),
    ):
        (tmp_path / "mails" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mails" / name).write_bytes(content)
    mails = gather(tmp_path, tmp_path / "mails")
    assert [rfc822.header(content, "Subject") for content in mails] == [
        "[PATCH v2 1/2] a",
        "[PATCH v2 2/2] b",
    ]
    assert all(rfc822.header(content, "Message-ID").endswith("@rig.invalid>") for content in mails)
    assert b"\n>From here\n" in mails[0]


# git:PATH BASE..TIP


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A git tree of the user's, with two commits on top of `base` on `topic`."""
    home = tmp_path / "tree"
    home.mkdir()

    def git(*words: str) -> None:
        subprocess.run(["git", *WHO, *words], cwd=home, check=True, capture_output=True)

    git("init", "-q", "-b", "main")
    for number, word in enumerate(("base", "one", "two")):
        (home / "x.c").write_bytes(b"latin-1: \xe9\n" + word.encode() + b"\n")
        git("add", "x.c")
        git("commit", "-q", "-m", f"mm: {word}\n\nSigned-off-by: Zoë <zoe@example.org>")
        if number == 0:
            git("tag", "base")
    git("checkout", "-q", "-b", "fix/topic")
    return home


def test_commits_are_patches_byte_for_byte(tree: Path, tmp_path: Path, given: list[Any]) -> None:
    first, second = gather(tmp_path, f"git:{tree} base..fix/topic", "topic")
    assert rfc822.header(first, "Subject") == "[PATCH 1/2] mm: one"
    assert rfc822.header(first, "From") == "Zoë <zoe@example.org>"
    assert b"latin-1: \xe9" in second
    assert b"base-commit: " in first


SETTINGS = """
[diff]
    noprefix = true
    context = 1
    interHunkContext = 9
    algorithm = patience
    renames = false
    orderFile = order
    relative = true
    suppressBlankEmpty = true
    external = false
[color]
    ui = always
[core]
    abbrev = 40
    quotePath = false
[format]
    attach = x
    headers = "Organization: x\\n"
    to = x@y.z
    cc = x@y.z
    subjectPrefix = PATCH mm
    suffix = .txt
    coverLetter = true
    signOff = true
    signature = me
    signatureFile = /etc/hostname
    outputDirectory = /nowhere
    thread = deep
    from = true
    forceInBodyFrom = true
    encodeEmailHeaders = false
    notes = true
    pretty = oneline
    noprefix = true
[i18n]
    logOutputEncoding = latin1
[log]
    showSignature = true
"""


def test_the_trees_settings_change_no_patch(tree: Path, tmp_path: Path, given: list[Any]) -> None:
    text = "".join(f"{number}\n\n" for number in range(40))
    (tree / "é").mkdir()
    (tree / "é" / "y.c").write_text(text)
    (tree / "é" / "z.c").write_text("z\n")
    for words in (
        ("add", "."),
        ("commit", "-q", "-m", "mm: é"),
        ("mv", "é/y.c", "y.c"),
        ("notes", "add", "-m", "a note"),
    ):
        subprocess.run(["git", *WHO, *words], cwd=tree, check=True)
    (tree / "y.c").write_text(text.replace("20\n", "2O\n").replace("25\n", "2S\n"))
    (tree / "order").write_text("y.c\nx.c\n")
    subprocess.run(["git", *WHO, "commit", "-q", "-a", "-m", "mm: moved"], cwd=tree, check=True)
    found = []
    for name, settings in (("plain", ""), ("set", SETTINGS)):
        (tmp_path / name).mkdir()
        with (tree / ".git" / "config").open("a") as config:
            config.write(settings)
        found.append(gather(tmp_path / name, f"git:{tree} base..fix/topic", "topic"))
    assert b"rename from" in found[0][-1]
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("checkout", "tip", "name"),
    [
        ("fix/topic", "fix/topic", "topic"),
        ("fix/topic", "HEAD", "topic"),
        ("fix/topic", "@", "topic"),
        ("main", "fix/topic", "topic"),
        ("--detach", "HEAD", "one"),
        ("fix/topic", "HEAD~1", "one"),
        ("fix/topic", "tagged", "one"),
        ("fix/topic", "origin/there", "there"),
    ],
)
def test_what_commits_are_called(
    tree: Path, tmp_path: Path, given: list[Any], checkout: str, tip: str, name: str
) -> None:
    for words in (
        ("tag", "tagged"),
        ("update-ref", "refs/remotes/origin/there", "HEAD"),
        ("checkout", "-q", checkout),
    ):
        subprocess.run(["git", *words], cwd=tree, check=True)
    (tmp_path / "scratch").mkdir()
    source = f"git:{tree} base..{tip}"
    (thread,) = sources.gather(
        tmp_path / "shelf", source, "", tmp_path / "scratch", all_revisions=False
    )
    assert thread.name == name


def test_a_message_that_quotes_a_mail(tree: Path, tmp_path: Path, given: list[Any]) -> None:
    text = "mm: two\n\nFrom 0123 Mon Sep 17 00:00:00 2001\nSubject: x\n\nFrom there."
    subprocess.run(["git", *WHO, "commit", "-q", "--amend", "-m", text], cwd=tree, check=True)
    _, two = gather(tmp_path, f"git:{tree} base..fix/topic", "topic")
    assert rfc822.header(two, "Subject") == "[PATCH 2/2] mm: two"
    assert ">From 0123 Mon Sep 17 00:00:00 2001\nSubject: x\n\n>From there." in rfc822.body_of(two)


def test_an_empty_commit_is_no_patch(tree: Path, tmp_path: Path, given: list[Any]) -> None:
    """b4 prep keeps the cover letter in one."""
    (tree / "x.c").write_text("three")
    for words in (("--allow-empty", "-m", "cover"), ("-a", "-m", "mm: three")):
        subprocess.run(["git", *WHO, "commit", "-q", *words], cwd=tree, check=True)
    (tree / "sub").mkdir()
    mails = gather(tmp_path, f"git:{tree / 'sub'} base..HEAD")
    assert [rfc822.header(content, "Subject") for content in mails] == [
        "[PATCH 1/3] mm: one",
        "[PATCH 2/3] mm: two",
        "[PATCH 3/3] mm: three",
    ]


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("git:{} base..base", "there is no commit in this range"),
        (
            "git:{} fix/topic..empty",
            r"topic\.\.empty: all commits in this range are empty",
        ),
        ("git:{} base..nope", "has no revision named 'nope'"),
        ("git:{} --all..base", "has no revision named '--all'"),
        ("git:{}/gone base..HEAD", "gone is not a git tree"),
        ("git:/ base..HEAD", "/ is not a git tree"),
    ],
)
def test_commits_that_are_not_there(
    tree: Path, tmp_path: Path, given: list[Any], source: str, complaint: str
) -> None:
    empty = ("commit", "-q", "--allow-empty", "-m", "nothing")
    for words in (("checkout", "-q", "-b", "empty"), empty):
        subprocess.run(["git", *WHO, *words], cwd=tree, check=True)
    with pytest.raises(ConfigError, match=complaint):
        gather(tmp_path, source.format(tree))


# What is nothing


@pytest.mark.parametrize("source", ["nothing", "./gone.mbox", "git:/tree", "git:/tree base", ""])
def test_what_is_no_source(tmp_path: Path, given: list[Any], source: str) -> None:
    with pytest.raises(ConfigError, match=r"cannot be fetched|there is no \*\.patch") as bad:
        gather(tmp_path, source)
    assert "a source is a message-id" in bad.value.hint


@pytest.mark.parametrize("data", [b"", b"\n\n", b"\x00\x01", b"no mail at all\n"])
def test_files_that_are_no_mailbox(tmp_path: Path, given: list[Any], data: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(data)
    with pytest.raises(ConfigError, match=r"is empty|is not an mbox"):
        gather(tmp_path, path)


# Revisions


@pytest.mark.parametrize(
    ("subject", "revision"),
    [
        ("[PATCH] x", 1),
        ("[PATCH v2 1/3] x", 2),
        ("[RFC PATCH V12 0/3] x", 12),
        ("[PATCH mm-unstable v3] x", 3),
        ("[2/3] x", 1),
        ("Re: [PATCH v2 1/3] x", 0),
        ("[ANNOUNCE] v2 of x", 0),
        ("hello", 0),
        ("[PATCHv2 1/3] x", 2),
        ("[RESEND][PATCH v3 1/2] x", 3),
        ("[PATCH v3 1/2] [RESEND] x", 3),
        ("[PATCH [RFC] v3 1/2] x", 3),
        ("[PATCH v6.12 1/2] x", 1),
        ("[PATCH v6.12 v2, 1/2] x", 2),
        ("[PATCH net-v5 1/2] x", 1),
        ("[PATCH] x [v2]", 1),
        ("[RESEND] v2 of x", 0),
    ],
)
def test_revisions(subject: str, revision: int) -> None:
    assert sources.revision_of(subject) == sources.revision_in(mail(subject)) == revision
    if revision:  # real b4's reading
        assert LoreSubject(subject).revision == revision


def test_titles() -> None:
    assert sources.title("[RESEND] [PATCHv2 1/3] mm: x [1]") == "mm: x [1]"
    assert sources.title("mm: x") == "mm: x"


def test_links_back() -> None:
    text = (
        b"Changes in v3:\n- x\n- Link to v2: https://lore.kernel.org/r/two@x.y\n"
        b"v1: https://lore.kernel.org/all/one@x.y/\nRFC v1:\n  https://lore.kernel.org/r/rfc@x.y\n"
        b"v4 will be at https://lore.kernel.org/r/four@x.y\nsee https://lore.kernel.org/r/other@x.y\n"
    )
    identifiers = sources._links(
        [mail("[PATCH v3 0/2] x", text), mail("Re: [PATCH v3 0/2] x", text)]
    )
    assert identifiers == ["two@x.y", "one@x.y", "rfc@x.y"]


def test_names() -> None:
    assert sources.slug("batch the TLB flush!") == "batch-the-tlb-flush"
    assert sources.slug("…") == "series"
    long = sources.slug("word " * 30)
    assert len(long) <= 48
    assert long.endswith("word")
