# SPDX-License-Identifier: GPL-2.0-only
"""Patch series as b4 writes them: one mbox a revision, `patches/<series>/vN.mbx`."""

import base64
import email
import email.policy
import email.utils
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rig import printable
from rig.errors import ConfigError, unknown
from rig.series import intake, rfc822, vetting

# The fields that git reads in a mail's header.
FIELD = re.compile(rb"^(?:From|Date|Subject):.*\n(?:[ \t].*\n)*", re.I | re.M)
# All brackets before the subject, which git-mailinfo(1) removes too: [RESEND][PATCH v3 1/2].
SUBJECT = re.compile(r"\s*(?:Re:\s*)?(?P<tags>(?:\[[^\]]*\]\s*)+)(?P<subject>.*)", re.I)
A_PATCH = re.compile(r"\b(?:PATCH|RFC)(?:v\d+)?\b", re.I)
# [PATCHv2] names a revision; v6.12, the kernel that a patch is for, does not.
REVISION = re.compile(r"(?:\b|(?<=PATCH)|(?<=RFC))v(\d+)(?![\w.])", re.I | re.A)
DIGITS_MAX = 4
"""Of a revision and of a number of patches: no real series has more."""
TRAILER = re.compile(r"^(base-commit|change-id):\s*(\S+)\s*$", re.MULTILINE)
# SUITE/CASE: a case that must pass with the series, though not on every kernel of that version.
PROMISES = re.compile(r"^Promises:\s*(\S+)\s*$", re.MULTILINE)
# As `b4 prep --edit-deps` writes it.
NEEDS = re.compile(r"^prerequisite-change-id:\s*(\S+):v([0-9]{1,4})\s*$", re.MULTILINE)
PLAIN = "a patch must be plain text: ask its author to send it again (b4 send, git send-email)"
FILE_NAME = re.compile(r"^v(?P<revision>[0-9]{1,4})(?:\.on-(?P<base>.+))?\.mbx$")


@dataclass(frozen=True, kw_only=True, slots=True)
class Patch:
    number: int
    subject: str
    author: str
    files: tuple[str, ...]
    mail: bytes
    """The mail as it was sent, without the mbox's From line."""

    @property
    def mbox(self) -> bytes:
        return rfc822.FROM + self.mail

    @property
    def as_read(self) -> bytes:
        """An mbox for `git am`: the author's fields, and only the text that the rig has checked.

        git reads every part of a mail, and takes more lines for From lines than FROM_LINE does.
        Text in base64 has neither.
        """
        head = re.split(rb"\r?\n\r?\n", self.mail, maxsplit=1)[0] + b"\n"
        text, charset = rfc822.part_of(self.mail)
        kind = f"Content-Type: text/plain; charset={charset}\n" if charset else ""
        kind += "Content-Transfer-Encoding: base64\n\n"
        return b"".join(
            (rfc822.FROM, *FIELD.findall(head), kind.encode(), base64.encodebytes(text))
        )

    def hunk(self, file: str, start: int) -> str:
        """The hunk of `file` whose old side begins at line `start`; empty if there is none."""
        hunk: list[str] = []
        current = ""
        for line in vetting.lines(rfc822.body_of(self.mail).split("\n-- \n")[0]):
            if line.startswith("diff --git "):
                current, hunk = vetting.named(line), []
            elif current == file and (match := vetting.HUNK.match(line)):
                if hunk:
                    break
                if int(match[1]) == start:
                    hunk = [line]
            elif hunk:
                hunk.append(line)
        return "\n".join(hunk).rstrip("\n")


@dataclass(frozen=True, kw_only=True, slots=True)
class SeriesVersion:
    name: str
    revision: int
    change_id: str
    base: str
    """A base of the rig (from the file's name) or a base-commit; empty if the series has none."""
    cover: str
    patches: tuple[Patch, ...]
    needs: tuple[tuple[str, int], ...] = ()
    """Change-id and revision of each series that this one goes on top of."""
    promises: tuple[str, ...] = ()
    """Cases that run only on a kernel that promises to pass them."""
    top: bytes = b""
    """The mail that a reply answers: the cover letter, or the first patch. It has all headers that
    are available."""

    @property
    def message_id(self) -> str:
        return rfc822.header(self.top, "Message-ID").strip("<> ")

    @property
    def date(self) -> str:
        """The top mail's date, like 2026-03-17; empty if it has none."""
        fields = email.utils.parsedate_tz(rfc822.header(self.top, "Date"))
        return f"{fields[0]:04}-{fields[1]:02}-{fields[2]:02}" if fields else ""

    @property
    def label(self) -> str:
        return f"{self.name}@v{self.revision}"

    def first(self, count: int) -> tuple[Patch, ...]:
        if not 1 <= count <= len(self.patches):
            raise ConfigError(
                f"{self.label} has patches 1 to {len(self.patches)}, not {count}",
                hint=f"{self.label}:{len(self.patches)} is the whole series",
            )
        return self.patches[:count]


def digest(patches: tuple[Patch, ...]) -> str:
    return hashlib.sha256(b"\0".join(patch.mail for patch in patches)).hexdigest()


def parse(
    name: str,
    data: bytes,
    *,
    revision: int = 0,
    base: str = "",
    where: str = "",
    cover_mail: bytes = b"",
    thread: Sequence[bytes] = (),
) -> SeriesVersion:
    """Read an mbox. `revision` and `base`, if given, are from the file's name.

    `cover_mail` is the cover letter, if it is not in the mbox: `b4 am` writes it to another file.
    The mails of `thread` have headers that b4 leaves out.

    Raises ConfigError if the series is not complete: no mail, a mail without a patch, a truncated
    hunk, a missing number.
    """
    where = where or name
    if data.count(b"\r\n") == data.count(b"\n"):  # the CRs are from a mailer, not from the patch
        data = data.replace(b"\r\n", b"\n")
    mails = [*([cover_mail] if cover_mail else []), *rfc822.split(data, where)]
    cover, top, revisions, patches = _collect(mails, where)
    _check_revision(revisions, revision, where)
    identifier = rfc822.header(top, "Message-ID")
    texts = [cover, *(rfc822.body_of(patch.mail) for patch in patches)]
    trailers: Mapping[str, str] = dict(m for text in reversed(texts) for m in TRAILER.findall(text))
    return SeriesVersion(
        name=name,
        revision=revision or revisions.pop(),
        change_id=trailers.get("change-id", ""),
        base=base or trailers.get("base-commit", ""),
        cover=cover,
        patches=patches,
        needs=tuple((name, int(number)) for name, number in NEEDS.findall(cover)),
        promises=tuple(PROMISES.findall(cover)),
        top=next(
            (
                mail
                for mail in thread
                if identifier and rfc822.header(mail, "Message-ID") == identifier
            ),
            top,
        ),
    )


def _collect(mails: Sequence[bytes], where: str) -> tuple[str, bytes, set[int], tuple[Patch, ...]]:
    """The cover letter, the top mail, the revisions in subjects, and the patches."""
    cover, top = "", b""
    patches: dict[int, Patch] = {}
    revisions: set[int] = set()
    total = 0
    for mail in mails:
        number, count, mail_revision, subject, author = _headers(mail, where)
        if rfc822.is_html_only(mail):
            raise ConfigError(
                f"{where}: {rfc822.header(mail, 'Subject')!r} is HTML only", hint=PLAIN
            )
        body = rfc822.body_of(mail)
        revisions.add(mail_revision)
        if count and total and count != total:
            raise ConfigError(
                f"{where}: one subject says {total} patches, another says {count}",
                hint="these mails are not of one series: fetch the series again",
            )
        total = count or total
        if number == 0 and count:
            cover, top = f"{subject}\n\n{body.strip()}\n", mail
            continue
        if not count and patches:
            raise ConfigError(
                f"{where}: there is more than one patch, and the patches have no numbers",
                hint="`git format-patch --numbered` writes numbers like [PATCH 1/2]",
            )
        number = number or 1
        if number in patches:
            raise ConfigError(
                f"{where}: there are two patches with the number {number}",
                hint="remove one of the two mails, or fetch the series again",
            )
        patches[number] = Patch(
            number=number,
            subject=subject,
            author=author,
            # If a file is truncated, then in its last mail.
            files=vetting.whole(body, f"{where}: patch {number} ({subject})", mail is mails[-1]),
            mail=mail,
        )
    _check_numbers(patches, total, where)
    ordered = tuple(patches[number] for number in sorted(patches))
    return cover, top or ordered[0].mail, revisions, ordered


def _headers(mail: bytes, where: str) -> tuple[int, int, int, str, str]:
    """Number, number of patches, revision, subject and author of a mail."""
    message = rfc822.parsed(mail)
    try:
        subject = " ".join(str(message.get("Subject", "")).split())
        author = str(message.get("From", ""))
    except Exception as error:  # email's parser raises many types, such as IndexError
        raise ConfigError(
            f"{where}: the header of a mail cannot be read: it is damaged, or this is not a mail",
            hint="fetch the series again",
        ) from error
    if not subject:
        raise ConfigError(
            f"{where}: a mail has no Subject: it is truncated, or this is not a mail",
            hint="fetch the series again",
        )
    match = SUBJECT.fullmatch(subject)
    if not match or not A_PATCH.search(match["tags"]):
        raise ConfigError(
            f"{where}: {subject!r} is not a patch", hint="a subject looks like [PATCH v2 3/5] mm: …"
        )
    number = count = 0
    if numbering := re.search(r"([0-9]+)/([0-9]+)", match["tags"]):
        number, count = (_number(digits, where) for digits in numbering.groups())
    revision = REVISION.search(match["tags"])
    return number, count, _number(revision[1], where) if revision else 1, match["subject"], author


def _number(digits: str, where: str) -> int:
    if len(digits) > DIGITS_MAX:
        raise ConfigError(
            f"{where}: {digits[:12]}… is too large for the number of a patch or revision",
            hint=vetting.HINT,
        )
    return int(digits)


def _check_numbers(patches: Mapping[int, Patch], total: int, where: str) -> None:
    if not patches:
        raise ConfigError(
            f"{where}: there is a cover letter, but no patch", hint="fetch the series again"
        )
    last = total or max(patches)
    if max(patches) > last:
        raise ConfigError(
            f"{where}: a subject says patch {max(patches)} of {last}",
            hint="correct the number in its Subject, or fetch the series again",
        )
    absent = [str(n) for n in range(1, last + 1) if n not in patches]
    if absent:
        raise ConfigError(
            f"{where}: patch {', '.join(absent)} of {last} is missing",
            hint="fetch the series again",
        )


def _check_revision(revisions: set[int], promised: int, where: str) -> None:
    if len(revisions) > 1:
        raise ConfigError(
            f"{where}: there are mails of more than one revision:"
            f" {', '.join(f'v{number}' for number in sorted(revisions))}",
            hint="keep the mails of one revision: `b4 am -v N` takes those of vN",
        )
    if promised and revisions != {promised}:
        actual = revisions.pop()
        raise ConfigError(
            f"{where}: the file's name says v{promised}, the subjects in it say v{actual}",
            hint=f"rename the file to v{actual}.mbx",
        )


# --- patches/<series>/vN.mbx and vN.on-<base>.mbx ----------------------------------------------


def names(shelf: Path) -> tuple[str, ...]:
    """The series in patches/, which is `shelf`: its directories that hold a revision."""
    paths = shelf.glob("*/v*.mbx")
    return tuple(sorted({path.parent.name for path in paths if FILE_NAME.match(path.name)}))


def revisions(shelf: Path, name: str) -> tuple[int, ...]:
    if name not in names(shelf):
        raise unknown("series", name, names(shelf))
    matches = (FILE_NAME.match(path.name) for path in (shelf / name).iterdir())
    return tuple(sorted({int(match["revision"]) for match in matches if match}))


def load(shelf: Path, name: str, revision: int | None = None, base: str = "") -> SeriesVersion:
    """A revision from patches/, by default the newest; its variant for `base` if there is one."""
    numbers = revisions(shelf, name)
    revision = revision if revision is not None else numbers[-1]
    if revision not in numbers:
        raise unknown(f"revision of {name}", f"v{revision}", (f"v{number}" for number in numbers))
    variant = shelf / name / f"v{revision}.on-{base}.mbx"
    path = variant if base and variant.is_file() else shelf / name / f"v{revision}.mbx"
    return read(path, name)


def by_message_id(shelf: Path, identifier: str) -> tuple[SeriesVersion, str] | None:
    """The revision in patches/ that has this mail as its top or as a patch.

    With it comes the base, if the mail is only in the variant for that base; else "".
    """
    for name in names(shelf):
        matches = [
            match for path in (shelf / name).iterdir() if (match := FILE_NAME.match(path.name))
        ]
        # vN.mbx comes before its variants, which share its cover letter.
        for match in sorted(matches, key=lambda name: (int(name["revision"]), name["base"] or "")):
            series = read(shelf / name / match[0], name)
            ids = (rfc822.header(patch.mail, "Message-ID").strip("<> ") for patch in series.patches)
            if identifier in (series.message_id, *ids):
                return series, match["base"] or ""
    return None


def beneath(
    shelf: Path, series: SeriesVersion, base: str = "", above: tuple[str, ...] = ()
) -> tuple[SeriesVersion, ...]:
    """The series in patches/ that a series goes on top of, lowest first.

    `above` are the labels of the series on top of it. Raises ConfigError if one is not in patches/,
    or if one would be on top of itself.
    """
    above = (*above, series.label)
    newest = {load(shelf, name).change_id: name for name in names(shelf)} if series.needs else {}
    below: list[SeriesVersion] = []
    for change_id, revision in dict.fromkeys(series.needs):
        if change_id not in newest:
            raise ConfigError(
                f"{series.label} goes on top of {change_id}, v{revision}, which is not in patches/",
                hint="fetch that series too: rig fetch MESSAGE-ID",
            )
        lower = load(shelf, newest[change_id], revision, base)
        if lower.label in above:
            raise ConfigError(
                f"a series is on top of itself: {' on '.join((*above, lower.label))}",
                hint="correct prerequisite-change-id in one of their cover letters",
            )
        below += [*beneath(shelf, lower, base, above), lower]
    return tuple(dict.fromkeys(below))


def called(path: Path) -> str:
    """The name of a series outside patches/. It cannot look like an option or like a path."""
    return " ".join(printable.line(path.stem).split()).lstrip("-.") or "series"


def read(path: Path, name: str = "") -> SeriesVersion:
    """Read a series from any mbox. A name like vN.mbx or vN.on-BASE.mbx gives revision and base.

    vN.cover and vN.thread.mbx, which `rig fetch` writes beside vN.mbx, are read with it.
    """
    match = FILE_NAME.match(path.name)
    cover_mail = thread = b""
    try:
        data = intake.read(path)
        if match:
            cover = path.with_name(f"v{match['revision']}.cover")
            thread_file = path.with_name(f"v{match['revision']}.thread.mbx")
            cover_mail = cover.read_bytes() if cover.is_file() else b""
            thread = thread_file.read_bytes() if thread_file.is_file() else b""
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", hint="check the path of the mbox") from error
    return parse(
        name or called(path),
        data,
        revision=int(match["revision"]) if match else 0,
        base=(match["base"] or "") if match else "",
        where=str(path),
        cover_mail=cover_mail,
        thread=rfc822.split(thread, str(path)) if thread else (),
    )
