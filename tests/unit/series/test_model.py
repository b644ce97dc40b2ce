# SPDX-License-Identifier: GPL-2.0-only
"""Mails as git and b4 write them are in tests/data/mbx; they apply to tests/data/kernel."""

import base64
import re
import time
from pathlib import Path

import pytest

from rig.errors import ConfigError
from rig.series import model, rfc822, sources

TOP = Path(__file__).parents[3]
MBX = TOP / "tests" / "data" / "mbx"
SHELF = MBX / "shelf"
UNMAP = SHELF / "unmap-batch"
V2 = (UNMAP / "v2.mbx").read_bytes()
FROM = b"From git@z Thu Jan  1 00:00:00 1970\n"
MAILS = [FROM + mail for mail in V2.split(FROM)[1:]]
DIFF = "diff --git a/mm/x.c b/mm/x.c\n--- a/mm/x.c\n+++ b/mm/x.c\n@@ -1 +1 @@\n-old\n+new\n"

HTML = "MIME-Version: 1.0\nContent-Type: text/html; charset=utf-8\n"


def mail(subject: str, body: str = DIFF, header: str = "") -> bytes:
    return FROM + f"From: A <a@b>\nSubject: {subject}\n{header}\n{body}\n".encode()


# What b4 and git write


def test_a_series_with_a_cover_letter() -> None:
    v2 = model.load(SHELF, "unmap-batch", 2)
    assert (v2.name, v2.revision, v2.label) == ("unmap-batch", 2, "unmap-batch@v2")
    assert v2.change_id == "20260301-unmap-batch-5f2d8c1e9a3b"
    assert v2.base == "adc218676eef25575469234709c2d87185ca223a"
    assert v2.cover.startswith("mm: batch the TLB flush of pageout\n\nEvery page that is written")
    assert "Zoë Müller (3):" in v2.cover
    assert [(patch.number, patch.subject) for patch in v2.patches] == [
        (1, "mm/rmap: count what is pending"),
        (2, "mm/vmscan: flush once a batch"),
        (3, "mm: give the batch its file's name"),
    ]
    assert {patch.author for patch in v2.patches} == {"Zoë Müller <zoe@example.org>"}
    assert [patch.files for patch in v2.patches] == [
        ("mm/rmap.c",),
        ("mm/batch.c", "mm/vmscan.c"),
        ("mm/old.c", "mm/batch.c", "mm/unmap_batch.c"),
    ], "a rename touches both names"
    assert [patch.mail for patch in v2.patches] == [m.removeprefix(FROM) for m in MAILS[1:]]


def test_a_series_without_one() -> None:
    v1 = model.load(SHELF, "unmap-batch", 1)
    assert (v1.revision, v1.cover, v1.change_id, v1.base) == (1, "", "", "")
    assert [patch.number for patch in v1.patches] == [1, 2]


@pytest.mark.parametrize("name", ["single", "quoted-printable", "base64"])
def test_one_mail_without_a_number_in_any_encoding(name: str) -> None:
    series = model.read(MBX / f"{name}.mbx")
    assert (series.name, series.revision, series.label) == (name, 1, f"{name}@v1")
    (patch,) = series.patches
    assert (patch.number, patch.files) == (1, ("mm/rmap.c",))
    body = rfc822.body_of(patch.mail)
    assert "Signed-off-by: Zoë Müller" in body
    assert "\n+\ttlb_ubc.pending++;\n" in body


@pytest.mark.parametrize("charset", ["utf-7", "utf-16", "rot13", "zip", "undefined", "hz", "no"])
def test_a_charset_that_ascii_is_not_in_hides_nothing(charset: str) -> None:
    """git takes a diff's bytes as they are."""
    header = f"Content-Type: text/plain; charset={charset}\n"
    (patch,) = model.parse("s", mail("[PATCH] x", header=header)).patches
    assert rfc822.body_of(patch.mail) == DIFF + "\n"


@pytest.mark.parametrize("second", ["base64", "quoted-printable"])
def test_git_is_given_the_text_that_was_read(second: str) -> None:
    """Of two encodings git would take the last; it decodes what is in the header, too."""
    header = f"Content-Transfer-Encoding: 8bit\nContent-Transfer-Encoding: {second}\n"
    (patch,) = model.parse("s", mail("[PATCH] x", header=header)).patches
    head, _, body = patch.as_read.partition(b"\n\n")
    assert base64.decodebytes(body).decode() == rfc822.body_of(patch.mail) == DIFF + "\n"
    assert head.splitlines() == [
        *(b"From rig Thu Jan  1 00:00:00 1970", b"From: A <a@b>", b"Subject: [PATCH] x"),
        b"Content-Transfer-Encoding: base64",
    ]


def test_every_series_of_the_checkout_can_be_read() -> None:
    shelf = TOP / "patches"
    assert "batch-dirty-tlb-flush" in model.names(shelf)
    for name in model.names(shelf):
        for path in (shelf / name).glob("*.mbx"):
            series = model.read(path, name)
            assert series.label == f"{name}@{path.name.split('.')[0]}"
            assert [patch.number for patch in series.patches] == [
                *range(1, len(series.patches) + 1)
            ]


def test_mails_in_any_order_are_patches_in_theirs() -> None:
    shuffled = model.parse("s", b"".join(MAILS[n] for n in (3, 1, 0, 2)))
    assert shuffled.patches == model.parse("s", V2).patches


def test_trailers_of_a_single_patch_count_and_the_covers_come_first() -> None:
    below = f"{DIFF}\nbase-commit: 1111\nchange-id: of-the-patch\n"
    assert model.parse("s", mail("[PATCH] x", below)).base == "1111"
    cover = mail("[PATCH 0/1] x", "---\nbase-commit: 2222\n")
    both = model.parse("s", cover + mail("[PATCH 1/1] x", below))
    assert (both.base, both.change_id) == ("2222", "of-the-patch")


@pytest.mark.parametrize(
    ("subject", "number", "revision", "text"),
    [
        ("[PATCH] mm: x", 1, 1, "mm: x"),
        ("[PATCH v12 1/1] mm: x", 1, 12, "mm: x"),
        ("[RFC PATCH v3 1/1] mm: x", 1, 3, "mm: x"),
        ("[PATCH mm-unstable v2 1/1] mm: x", 1, 2, "mm: x"),
        ("[PATCH RESEND 01/01] mm: x", 1, 1, "mm: x"),
        ("[patch 1/1] mm: x [really]", 1, 1, "mm: x [really]"),
        ("[PATCHv2 1/1] mm: x", 1, 2, "mm: x"),
        ("[RFC v2 1/1] mm: x", 1, 2, "mm: x"),
        ("[RFC] mm: x", 1, 1, "mm: x"),
        ("[RFCv3 1/1] mm: x", 1, 3, "mm: x"),
        ("[RFC PATCHv11] mm: x", 1, 11, "mm: x"),
        ("[RESEND][PATCH v3 1/1] mm: x", 1, 3, "mm: x"),
        ("[RFC] [PATCH V2 1/1] mm: x", 1, 2, "mm: x"),
        ("[PATCH v3][RESEND] mm: x", 1, 3, "mm: x"),
        ("[PATCH v6.12 1/1] mm: x", 1, 1, "mm: x"),
        ("[PATCH v6.12-rc1] mm: x", 1, 1, "mm: x"),
        ("[PATCH v6.12.y v2 1/1] mm: x", 1, 2, "mm: x"),
        ("[PATCH 6.12-v2 1/1] mm: x", 1, 2, "mm: x"),
        ("[PATCH 1/1] mm: a subject that\n is folded", 1, 1, "mm: a subject that is folded"),
    ],
)
def test_subjects(subject: str, number: int, revision: int, text: str) -> None:
    series = model.parse("s", mail(subject))
    assert (series.revision, series.patches[0].number) == (revision, number)
    assert series.patches[0].subject == text


def test_a_line_is_what_git_takes_for_one() -> None:
    """Source code may hold form feeds, and other characters Python splits lines at."""
    body = DIFF.replace("old", "o\x0cl\x85d\u2028").replace("new", "n\x1ew")
    patch = model.parse("s", mail("[PATCH] x", body)).patches[0]
    assert patch.hunk("mm/x.c", 1) == "@@ -1 +1 @@\n-o\x0cl\x85d\u2028\n+n\x1ew"


@pytest.mark.parametrize("charset", ["", "us-ascii", "UTF-8", "utf8", "no-such-charset"])
def test_source_code_in_utf_8_whatever_the_mail_calls_it(charset: str) -> None:
    header = f"Content-Type: text/plain; charset={charset}\n" if charset else ""
    header += "Content-Transfer-Encoding: 8bit\n"
    text = mail("[PATCH] x", DIFF.replace("new", "Größe"), header)
    assert "+Größe\n" in rfc822.body_of(model.parse("s", text).patches[0].mail)


def test_source_code_in_latin_1() -> None:
    header = "Content-Type: text/plain; charset=iso-8859-1\n"
    text = mail("[PATCH] x", DIFF.replace("new", "Größe"), header)
    text = text.decode().encode("latin-1")
    assert "+Größe\n" in rfc822.body_of(model.parse("s", text).patches[0].mail)


def test_line_ends_of_a_mailer_are_not_the_patchs() -> None:
    assert model.parse("s", V2.replace(b"\n", b"\r\n")) == model.parse("s", V2)
    own = mail("[PATCH] x", DIFF.replace("+new", "+new\r"))
    assert b"+new\r\n" in model.parse("s", own).patches[0].mail


def test_a_from_in_a_message_is_not_the_next_mail() -> None:
    body = f"From here on all is well.\nFrom: me\n\n{DIFF}"
    assert len(model.parse("s", mail("[PATCH] x", body)).patches) == 1


def test_the_first_patches() -> None:
    v2 = model.parse("s", V2)
    assert [patch.number for patch in v2.first(2)] == [1, 2]
    assert v2.first(3) == v2.patches
    for count in (0, 4, -1):
        with pytest.raises(ConfigError, match=rf"s@v2 has patches 1 to 3, not {count}") as bad:
            v2.first(count)
        assert bad.value.hint == "s@v2:3 is the whole series"


def test_a_hunk_is_found_by_file_and_line() -> None:
    patch = model.load(SHELF, "unmap-batch", 2).patches[0]
    hunk = patch.hunk("mm/rmap.c", 17)
    assert hunk.startswith(
        "@@ -17,4 +18,5 @@ void try_to_unmap_flush(void)\n \n \tarch_tlbbatch_flush"
    )
    assert hunk.endswith("+\ttlb_ubc.pending = 0;\n }")
    assert patch.hunk("mm/rmap.c", 8).count("@@") == 2
    assert patch.hunk("mm/rmap.c", 9) == ""
    assert patch.hunk("mm/vmscan.c", 17) == ""
    signed = model.read(MBX / "single.mbx").patches[0]
    assert "2.39.5" not in signed.hunk("mm/rmap.c", 17)


def test_the_digest_is_of_every_mail_and_their_order() -> None:
    v2 = model.parse("s", V2)
    assert model.digest(v2.patches) == model.digest(model.parse("other", V2).patches)
    changed = model.parse("s", V2.replace(b"pending++", b"pending--"))
    digests = {
        model.digest(patches)
        for patches in (v2.patches, v2.first(2), v2.patches[::-1], changed.patches)
    }
    assert len(digests) == 4


def test_html_beside_the_text_is_nobodys_trouble() -> None:
    header = 'MIME-Version: 1.0\nContent-Type: multipart/alternative; boundary="b"\n'
    parts = [f"--b\nContent-Type: text/{kind}\n\n{DIFF}\n" for kind in ("html", "plain")]
    series = model.parse("s", mail("[PATCH] x", "".join([*parts, "--b--\n"]), header))
    assert series.patches[0].files == ("mm/x.c",)


# What is no whole series


@pytest.mark.parametrize(
    ("data", "complaint", "hint"),
    [
        (b"", "where is empty", "b4 am"),
        (b" \n\n", "where is empty", "b4 am"),
        (b"\x7fELF\x02\x01\x01", "is not an mbox", "format-patch --stdout"),
        (b"<html>From here\n</html>\n", "is not an mbox", "b4 am"),
        (b"junk\n" + V2, "is not an mbox", ""),
        (b"From: A\nSubject: [PATCH] x\n\n" + DIFF.encode(), "does not begin with a From line", ""),
        (FROM, "a mail has no Subject", ""),
        (FROM + b"From: A <a@b>\n\nno subject\n", "a mail has no Subject: it is truncated", ""),
        (mail("an announcement"), "'an announcement' is not a patch", "[PATCH v2 3/5]"),
        (mail("[ANNOUNCE] a dispatch"), "is not a patch", "[PATCH v2 3/5]"),
        (mail("[GIT PULL] PATCH 1/2"), "is not a patch", "[PATCH v2 3/5]"),
        (mail("Re: mm: x [PATCH 1/2]"), "is not a patch", "[PATCH v2 3/5]"),
        (mail("[PATCH] x", "text\n"), r"patch 1 \(x\): there is no diff in the mail", "b4 am"),
        (mail("[PATCH] x", DIFF, HTML), r"where: '\[PATCH\] x' is HTML only", "plain text"),
        (
            mail("[PATCH 0/1] y", "<p>\n", HTML) + mail("[PATCH 1/1] x"),
            r"where: '\[PATCH 0/1\] y' is HTML only",
            "b4 send",
        ),
        (mail("[PATCH 0/2] x", "text\n"), "a cover letter, but no patch", ""),
        (MAILS[0] + MAILS[1] + MAILS[3], "patch 2 of 3 is missing", "fetch the series again"),
        (MAILS[0] + MAILS[2], "patch 1, 3 of 3 is missing", ""),
        (b"".join(MAILS[:3]), "patch 3 of 3 is missing", ""),
        (V2 + MAILS[2], "two patches with the number 2", ""),
        (V2 + mail("[PATCH 1/3] x"), "two patches with the number 1", ""),
        (b"".join(MAILS[:3]) + mail("[PATCH v3 3/3] x"), r"more than one revision: v2, v3", ""),
        (MAILS[1] + mail("[PATCH v2 2/2] x"), "one subject says 3 patches, another says 2", ""),
        (mail("[PATCH 3/2] x") + mail("[PATCH 1/2] x"), "patch 3 of 2", ""),
        (mail("[PATCH] x") * 2, "the patches have no numbers", "--numbered"),
        (mail("[PATCH 1/2] x") + mail("[PATCH] y"), "have no numbers", ""),
    ],
)
def test_what_is_no_whole_series(data: bytes, complaint: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=complaint) as bad:
        model.parse("s", data, where="where")
    assert bad.value.message.startswith("where")
    assert hint in bad.value.hint


def test_a_hunk_cut_short_is_named() -> None:
    cut = V2[: V2.rindex(b"+\treturn batch->pending >= BATCH;")]
    with pytest.raises(
        ConfigError, match=r"patch 3 \(mm: give.*truncated: lines missing in the last hunk of"
    ) as bad:
        model.parse("s", cut)
    assert "mm/unmap_batch.c: 2" in bad.value.message
    assert "fetch the series again" in bad.value.hint


def test_hunks_missing_at_the_end_are_noticed_by_the_diffstat() -> None:
    cut = MBX.joinpath("single.mbx").read_bytes()
    cut = cut[: cut.rindex(b"@@ -17")]
    with pytest.raises(ConfigError, match=r"less than its diffstat says, '1 file changed, 2 ins"):
        model.parse("s", cut)


def test_a_diffstat_edited_by_hand_in_the_middle_is_nobodys_trouble() -> None:
    edited = V2.replace(b"1 file changed, 2 insertions(+)", b"1 file changed, 9 insertions(+)")
    assert len(model.parse("s", edited).patches) == 3


@pytest.mark.parametrize("path", [UNMAP / "v1.mbx", MBX / "single.mbx", MBX / "base64.mbx"])
def test_cut_anywhere_it_is_refused_or_nothing_is_missing(path: Path) -> None:
    """No part of a series is ever taken for the whole."""
    data = path.read_bytes()

    def changes(text: bytes) -> list[str]:
        bodies = (rfc822.body_of(patch.mail) for patch in model.parse("s", text).patches)
        return [line for body in bodies for line in re.findall(r"^[-+@ ].*\n", body, re.M)]

    whole = changes(data.partition(b"-- \n")[0])
    last = data.rindex(b"Subject:")
    lines = [last + match.start() for match in re.finditer(rb"\n", data[last:])]
    for end in {cut for line in lines for cut in (line - 9, line, line + 1) if cut < len(data)}:
        try:
            parsed = changes(data[:end])
        except ConfigError:
            continue
        assert parsed[: len(whole)] == whole, data[:end].decode()[-99:]
    with pytest.raises(ConfigError):
        changes(data[: last + 200])


@pytest.mark.parametrize(
    "junk", [b"\xff\xfe\x00", b"=?utf-8?q?=ff?=", b"=?x?b?!!!?=", b'<<>>((("', b"a" * 5000]
)
def test_garbage_in_headers_is_no_traceback(junk: bytes) -> None:
    """Which of them Python's parser stumbles over differs from version to version."""
    data = FROM + b"From: " + junk + b"\nSubject: [PATCH] " + junk + b" x\n\n" + DIFF.encode()
    try:
        author = model.parse("s", data, where="where").patches[0].author
    except ConfigError as error:
        assert error.message.startswith("where: the header of a mail cannot be read")
    else:
        author.encode()


# The file's name, and the shelf


def test_the_name_of_the_file_is_held_against_the_mails(tmp_path: Path) -> None:
    wrong = tmp_path / "v3.mbx"
    wrong.write_bytes(V2)
    with pytest.raises(ConfigError, match=r"v3\.mbx: the file's name says v3, the subjects .* v2"):
        model.read(wrong)


def test_the_name_of_the_file_says_the_base() -> None:
    assert model.read(UNMAP / "v2.on-v9.9.mbx").base == "v9.9"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.mbx: No such file"):
        model.read(tmp_path / "gone.mbx")
    with pytest.raises(ConfigError, match="is a directory"):
        model.read(tmp_path)


def test_the_shelf(tmp_path: Path) -> None:
    assert model.names(SHELF) == ("unmap-batch",)
    assert model.revisions(SHELF, "unmap-batch") == (1, 2)
    assert model.load(SHELF, "unmap-batch").revision == 2
    assert model.load(SHELF, "unmap-batch", 1).revision == 1
    assert model.names(tmp_path / "nowhere") == ()


def test_a_variant_is_taken_for_its_base_only() -> None:
    assert model.load(SHELF, "unmap-batch", 2, "v9.9").base == "v9.9"
    assert model.load(SHELF, "unmap-batch", 2, "v6.12").base.startswith("adc218676eef")
    assert model.load(SHELF, "unmap-batch", 1, "v9.9").base == ""


def test_revisions_are_numbers(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    for revision in (9, 10):
        data = mail(f"[PATCH v{revision}] x")
        (tmp_path / "s" / f"v{revision}.mbx").write_bytes(data)
    assert model.load(tmp_path, "s").revision == 10


def test_other_files_are_no_revisions(tmp_path: Path) -> None:
    for name in ("mutants/x.cocci", "s/v1.mbx", "s/v1.mbx.orig", "notes/vague.mbx", "empty/README"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert model.names(tmp_path) == ("s",)
    assert model.revisions(tmp_path, "s") == (1,)


def test_names_that_are_not_there() -> None:
    with pytest.raises(ConfigError, match="no series named 'unmap-bach'") as bad:
        model.load(SHELF, "unmap-bach")
    assert bad.value.hint == "did you mean unmap-batch?"
    with pytest.raises(ConfigError, match="no revision of unmap-batch named 'v3'") as bad:
        model.load(SHELF, "unmap-batch", 3)
    assert "v1" in bad.value.hint
    assert "v2" in bad.value.hint


# What rig fetch leaves beside vN.mbx


def test_a_cover_letter_and_a_thread_beside_the_mbx(tmp_path: Path) -> None:
    cover = MAILS[0].removeprefix(FROM).replace(b"To: linux-mm@example.org\n", b"")
    (tmp_path / "v2.mbx").write_bytes(b"".join(MAILS[1:]))
    alone = model.read(tmp_path / "v2.mbx")
    assert (alone.cover, alone.base) == ("", "")
    assert alone.message_id == "20260302-unmap-batch-v2-1@example.org"
    (tmp_path / "v2.cover").write_bytes(cover)
    two = model.read(tmp_path / "v2.mbx")
    whole = model.load(SHELF, "unmap-batch", 2)
    assert (two.cover, two.base, two.change_id) == (whole.cover, whole.base, whole.change_id)
    assert two.patches == whole.patches
    assert (two.message_id, two.date) == ("20260302-unmap-batch-v2-0@example.org", "2026-03-02")
    assert rfc822.header(two.top, "To") == ""
    (tmp_path / "v2.thread.mbx").write_bytes(V2)
    assert rfc822.header(model.read(tmp_path / "v2.mbx").top, "To") == "linux-mm@example.org"


def test_a_variant_has_the_same_cover_letter(tmp_path: Path) -> None:
    (tmp_path / "v2.on-v9.9.mbx").write_bytes(b"".join(MAILS[1:]))
    (tmp_path / "v2.cover").write_bytes(MAILS[0].removeprefix(FROM))
    variant = model.read(tmp_path / "v2.on-v9.9.mbx")
    assert (variant.base, variant.message_id) == ("v9.9", "20260302-unmap-batch-v2-0@example.org")


@pytest.mark.parametrize(
    ("mbx", "number", "variant"),
    [
        ("v2", 0, ""),
        ("v2", 1, ""),
        ("v2", 3, ""),
        ("v2.on-v9.9", 0, "v9.9"),
        ("v2.on-v9.9", 2, "v9.9"),
    ],
)
def test_a_revision_by_any_of_its_mails(
    tmp_path: Path, mbx: str, number: int, variant: str
) -> None:
    home = tmp_path / "unmap-batch"
    home.mkdir()
    (home / "v2.mbx").write_bytes(V2)
    (home / "v2.on-v9.9.mbx").write_bytes(V2.replace(b"-v2-", b"-v2.9-"))
    identifier = f"20260302-unmap-batch-{'v2.9' if variant else 'v2'}-{number}@example.org"
    match = model.by_message_id(tmp_path, identifier)
    assert match is not None
    assert match[0] == model.load(tmp_path, "unmap-batch", 2, variant)
    assert match[1] == variant
    assert model.by_message_id(tmp_path, identifier.replace("batch", "bacth")) is None


def test_a_mail_of_a_revision_and_of_its_variant_is_the_revisions(tmp_path: Path) -> None:
    home = tmp_path / "s"
    home.mkdir()
    for name in ("v2.on-v9.9.mbx", "v2.mbx"):
        (home / name).write_bytes(b"".join(MAILS[1:]))
    (home / "v2.cover").write_bytes(MAILS[0].removeprefix(FROM))
    match = model.by_message_id(tmp_path, "20260302-unmap-batch-v2-0@example.org")
    assert match == (model.load(tmp_path, "s", 2), "")


@pytest.mark.parametrize(
    ("header", "value"),
    [("", ""), ("Date: soon\n", ""), ("Date: Tue, 17 Mar 2026 09:00:00 +0000\n", "2026-03-17")],
)
def test_dates(header: str, value: str) -> None:
    assert model.parse("x", mail("[PATCH] x", header=header)).date == value


def test_a_binary_patch_is_not_read() -> None:
    """By git least of all: a few bytes of it can be any number of them."""
    binary = "diff --git a/x.png b/x.png\nGIT binary patch\nliteral 3\n"
    with pytest.raises(ConfigError, match=r"x: patch 1 \(x\): 'x\.png' is a binary patch"):
        model.parse("x", mail("[PATCH] x", DIFF + binary))


# Mails that are written to keep the rig busy

BUSY = b"From: A <a@b.org>\nSubject: [PATCH 1/1] mm: x\n"
CHANGE = b"diff --git a/a.c b/a.c\n--- a/a.c\n+++ b/a.c\n@@ -1 +1 @@\n-a\n+b\n"
MANY = 20_000
NESTS = b"".join(
    b'Content-Type: multipart/mixed; boundary="b%d"\n\n--b%d\n' % (number, number)
    for number in range(300)
)


@pytest.mark.parametrize(
    "header",
    [
        BUSY.replace(b"mm: x", b"=?utf-8?q?a?= " * MANY),
        BUSY.replace(b"A <a@b.org>", b"A <a@b.org>, " * MANY),
        BUSY + b"Content-Type: text/plain" + b"; a=b" * MANY + b"\n",
        BUSY + b"X: y\rContent-Type: text/plain" + b";\r a=b" * MANY + b"\r",
        BUSY + b'Content-Type: multipart/mixed; boundary="b"\n\n' + b"--b\n\n" * MANY,
        BUSY + b"Content-Type: multipart/mixed; boundary*=us-ascii''%62\n\n" + b"--b\n\n" * MANY,
        BUSY + NESTS,
        BUSY + b"X: y\n" * 10 * MANY,
    ],
    ids=["words", "addresses", "parameters", "CRs", "parts", "encoded", "nested", "fields"],
)
def test_a_mail_that_keeps_the_parser_busy_is_refused(header: bytes) -> None:
    with pytest.raises(ConfigError, match=r"too many parts, or fields that are too long|damaged"):
        model.parse("s", rfc822.FROM + header + b"\nWhy.\n---\n" + CHANGE)


@pytest.mark.parametrize(
    "body", [b"diff --git" + b" x" * 10 * MANY + b"\n", b"v1 " * 10 * MANY + b"\n"]
)
def test_a_long_line_does_not_keep_the_rig_busy(body: bytes) -> None:
    """The time grew with the square of its length: an hour for 5 MiB."""
    began = time.process_time()
    mail = BUSY.replace(b"PATCH", b"PATCH v9") + b"\n" + body + CHANGE
    model.parse("s", rfc822.FROM + mail)
    assert sources._links([mail]) == []
    assert time.process_time() - began < 5
