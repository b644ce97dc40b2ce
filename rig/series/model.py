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
from rig.series import rfc822, vetting

# What git takes from a mail's header.
FIELD = re.compile(rb"^(?:From|Date|Subject):.*\n(?:[ \t].*\n)*", re.I | re.M)
# All brackets before the subject: [RESEND][PATCH v3 1/2], which git-mailinfo(1) takes away too.
SUBJECT = re.compile(r"\s*(?:Re:\s*)?(?P<tags>(?:\[[^\]]*\]\s*)+)(?P<subject>.*)", re.I)
A_PATCH = re.compile(r"\b(?:PATCH|RFC)(?:v\d+)?\b", re.I)
# [PATCHv2] is one; v6.12, the kernel a patch is for, is none.
REVISION = re.compile(r"(?:\b|(?<=PATCH)|(?<=RFC))v(\d+)(?![\w.])", re.I | re.A)
DIGITS_MAX = 4
"""Of a revision, and of how many patches there are: more is nobody's series."""
TRAILER = re.compile(r"^(base-commit|change-id):\s*(\S+)\s*$", re.MULTILINE)
# As `b4 prep --edit-deps` has it.
# What a kernel with the series on top is held to, beyond what its version is: SUITE/CASE.
PROMISES = re.compile(r"^Promises:\s*(\S+)\s*$", re.MULTILINE)
NEEDS = re.compile(r"^prerequisite-change-id:\s*(\S+):v([0-9]{1,4})\s*$", re.MULTILINE)
PLAIN = "a patch is plain text: ask its author to send it again (b4 send, git send-email)"
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
        """For git am, which reads every part of a mail, and more From lines than FROM_LINE: who
        wrote it, and the text that has been looked at here, encoded."""
        head = re.split(rb"\r?\n\r?\n", self.mail, maxsplit=1)[0] + b"\n"
        text, charset = rfc822.part_of(self.mail)
        kind = f"Content-Type: text/plain; charset={charset}\n" if charset else ""
        kind += "Content-Transfer-Encoding: base64\n\n"
        return b"".join(
            (rfc822.FROM, *FIELD.findall(head), kind.encode(), base64.encodebytes(text))
        )

    def hunk(self, file: str, line: int) -> str:
        """The hunk of `file` whose old side begins at `line`, or nothing."""
        found: list[str] = []
        here = ""
        for text in vetting.lines(rfc822.body_of(self.mail).split("\n-- \n")[0]):
            if text.startswith("diff --git "):
                here, found = vetting.named(text), []
            elif here == file and (match := vetting.HUNK.match(text)):
                if found:
                    break
                if int(match[1]) == line:
                    found = [text]
            elif found:
                found.append(text)
        return "\n".join(found).rstrip("\n")


@dataclass(frozen=True, kw_only=True, slots=True)
class SeriesVersion:
    name: str
    revision: int
    change_id: str
    base: str
    """A base of the rig (from the file's name), or a base-commit; empty where none is named."""
    cover: str
    patches: tuple[Patch, ...]
    needs: tuple[tuple[str, int], ...] = ()
    """Change-id and revision of the series this one goes on top of."""
    promises: tuple[str, ...] = ()
    """Cases that run only where a kernel promises what they test."""
    top: bytes = b""
    """The mail an answer goes to: the cover letter, or the first patch; with all the headers that
    are known."""

    @property
    def message_id(self) -> str:
        return rfc822.header(self.top, "Message-ID").strip("<> ")

    @property
    def date(self) -> str:
        """Of the top mail, like 2026-03-17; empty where it says none."""
        said = email.utils.parsedate_tz(rfc822.header(self.top, "Date"))
        return f"{said[0]:04}-{said[1]:02}-{said[2]:02}" if said else ""

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
    beside: bytes = b"",
    thread: Sequence[bytes] = (),
) -> SeriesVersion:
    """Read an mbox. `revision` and `base`, where given, are what the file's name promised.

    `beside` is a cover letter that is not in the mbox, as `b4 am` writes it; in the mails of
    `thread` are headers that b4 leaves out.

    Raises ConfigError for what is not a whole series: no mail, a mail without a patch, a hunk cut
    short, a number missing.
    """
    where = where or name
    if data.count(b"\r\n") == data.count(b"\n"):  # a mailer's, not the patch's
        data = data.replace(b"\r\n", b"\n")
    mails = [*([beside] if beside else []), *rfc822.split(data, where)]
    cover, top, revisions, patches = _collect(mails, where)
    _check_revision(revisions, revision, where)
    wanted = rfc822.header(top, "Message-ID")
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
            (one for one in thread if wanted and rfc822.header(one, "Message-ID") == wanted), top
        ),
    )


def _collect(mails: Sequence[bytes], where: str) -> tuple[str, bytes, set[int], tuple[Patch, ...]]:
    """Cover letter, top mail, revisions that are named, patches."""
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
            raise ConfigError(f"{where}: one mail says {total} patches, another {count}")
        total = count or total
        if number == 0 and count:
            cover, top = f"{subject}\n\n{body.strip()}\n", mail
            continue
        if not count and patches:
            raise ConfigError(
                f"{where}: more than one patch, and they are not numbered",
                hint="`git format-patch --numbered` numbers them",
            )
        number = number or 1
        if number in patches:
            raise ConfigError(f"{where}: patch {number} is there twice")
        patches[number] = Patch(
            number=number,
            subject=subject,
            author=author,
            # A file that is cut short is cut in its last mail.
            files=vetting.whole(body, f"{where}: patch {number} ({subject})", mail is mails[-1]),
            mail=mail,
        )
    _check_numbers(patches, total, where)
    ordered = tuple(patches[number] for number in sorted(patches))
    return cover, top or ordered[0].mail, revisions, ordered


def _headers(mail: bytes, where: str) -> tuple[int, int, int, str, str]:
    """Number, count, revision, subject, author of a mail."""
    message = rfc822.parsed(mail)
    try:
        subject = " ".join(str(message.get("Subject", "")).split())
        author = str(message.get("From", ""))
    except Exception as error:  # email's parser raises whatever comes (IndexError, for one)
        raise ConfigError(
            f"{where}: the header of a mail cannot be read: it is damaged, or no mail"
        ) from error
    if not subject:
        raise ConfigError(f"{where}: a mail has no Subject: it is truncated, or no mail")
    match = SUBJECT.fullmatch(subject)
    if not match or not A_PATCH.search(match["tags"]):
        raise ConfigError(
            f"{where}: {subject!r} is not a patch", hint="a subject looks like [PATCH v2 3/5] mm: …"
        )
    number = count = 0
    if numbering := re.search(r"([0-9]+)/([0-9]+)", match["tags"]):
        number, count = (_number(said, where) for said in numbering.groups())
    revision = REVISION.search(match["tags"])
    return number, count, _number(revision[1], where) if revision else 1, match["subject"], author


def _number(said: str, where: str) -> int:
    if len(said) > DIGITS_MAX:
        raise ConfigError(f"{where}: no series has a number like {said[:12]}…", hint=vetting.HINT)
    return int(said)


def _check_numbers(patches: Mapping[int, Patch], total: int, where: str) -> None:
    if not patches:
        raise ConfigError(f"{where}: a cover letter, but no patch")
    last = total or max(patches)
    if max(patches) > last:
        raise ConfigError(f"{where}: patch {max(patches)} of {last}: there is no such number")
    absent = [str(n) for n in range(1, last + 1) if n not in patches]
    if absent:
        raise ConfigError(
            f"{where}: patch {', '.join(absent)} of {last} is missing",
            hint="fetch the series again",
        )


def _check_revision(found: set[int], promised: int, where: str) -> None:
    if len(found) > 1:
        raise ConfigError(f"{where}: mails of more than one revision: {sorted(found)}")
    if promised and found != {promised}:
        raise ConfigError(f"{where}: the file's name says v{promised}, its mails v{found.pop()}")


# --- the shelf: patches/<series>/vN.mbx and vN.on-<base>.mbx -----------------------------------


def names(shelf: Path) -> tuple[str, ...]:
    """The series there are, those directories that hold a revision."""
    paths = shelf.glob("*/v*.mbx")
    return tuple(sorted({path.parent.name for path in paths if FILE_NAME.match(path.name)}))


def revisions(shelf: Path, name: str) -> tuple[int, ...]:
    if name not in names(shelf):
        raise unknown("series", name, names(shelf))
    matches = (FILE_NAME.match(path.name) for path in (shelf / name).iterdir())
    return tuple(sorted({int(match["revision"]) for match in matches if match}))


def load(shelf: Path, name: str, revision: int | None = None, base: str = "") -> SeriesVersion:
    """A revision from the shelf, the newest by default, in its variant for `base` if it has one."""
    known = revisions(shelf, name)
    revision = revision if revision is not None else known[-1]
    if revision not in known:
        raise unknown(f"revision of {name}", f"v{revision}", (f"v{number}" for number in known))
    variant = shelf / name / f"v{revision}.on-{base}.mbx"
    path = variant if base and variant.is_file() else shelf / name / f"v{revision}.mbx"
    return read(path, name)


def by_message_id(shelf: Path, wanted: str) -> tuple[SeriesVersion, str] | None:
    """The revision on the shelf that this mail is of, its top or a patch; and the base that it is
    of the variant for, if it is of no other."""
    for name in names(shelf):
        matches = [
            match for path in (shelf / name).iterdir() if (match := FILE_NAME.match(path.name))
        ]
        # A variant has the cover letter that lies beside its revision's own mbox.
        for match in sorted(matches, key=lambda one: (int(one["revision"]), one["base"] or "")):
            found = read(shelf / name / match[0], name)
            own = (rfc822.header(patch.mail, "Message-ID").strip("<> ") for patch in found.patches)
            if wanted in (found.message_id, *own):
                return found, match["base"] or ""
    return None


def beneath(
    shelf: Path, found: SeriesVersion, base: str = "", above: tuple[str, ...] = ()
) -> tuple[SeriesVersion, ...]:
    """What a series goes on top of, lowest first, from the shelf; `above` are those on top of it.

    Raises ConfigError for one that is not there, or is on top of itself.
    """
    above = (*above, found.label)
    newest = {load(shelf, name).change_id: name for name in names(shelf)} if found.needs else {}
    below: list[SeriesVersion] = []
    for change_id, revision in dict.fromkeys(found.needs):
        if change_id not in newest:
            raise ConfigError(
                f"{found.label} goes on top of {change_id}, v{revision}, which is not in patches/",
                hint="fetch that series first: rig fetch MESSAGE-ID",
            )
        one = load(shelf, newest[change_id], revision, base)
        if one.label in above:
            raise ConfigError(f"a series on top of itself: {' on '.join((*above, one.label))}")
        below += [*beneath(shelf, one, base, above), one]
    return tuple(dict.fromkeys(below))


def called(path: Path) -> str:
    """What a series that is on no shelf is called: never an option, nor another directory's."""
    return " ".join(printable.line(path.stem).split()).lstrip("-.") or "series"


def read(path: Path, name: str = "") -> SeriesVersion:
    """A series from any mbox; on the shelf the file's name says revision and base.

    vN.cover and vN.thread.mbx, which `rig fetch` leaves beside vN.mbx, are read with it.
    """
    match = FILE_NAME.match(path.name)
    beside = thread = b""
    try:
        data = path.read_bytes()
        if match:
            cover = path.with_name(f"v{match['revision']}.cover")
            whole = path.with_name(f"v{match['revision']}.thread.mbx")
            beside = cover.read_bytes() if cover.is_file() else b""
            thread = whole.read_bytes() if whole.is_file() else b""
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    return parse(
        name or called(path),
        data,
        revision=int(match["revision"]) if match else 0,
        base=(match["base"] or "") if match else "",
        where=str(path),
        beside=beside,
        thread=rfc822.split(thread, str(path)) if thread else (),
    )
