# SPDX-License-Identifier: GPL-2.0-only
"""Mails as bytes: their headers, the text part that the rig reads, and the mails of an mbox."""

import codecs
import email
import email.policy
import functools
import re
from email.message import EmailMessage

from rig.errors import ConfigError

# What git and b4 put before each mail of an mbox (git-mailsplit(1)).
FROM_LINE = re.compile(rb"^From \S+ .*\d{1,2}:\d{2}:\d{2} \d{4}\r?$", re.MULTILINE)
HEADERS_END = re.compile(rb"\r?\n(?=\r?\n)")
CONTENT = re.compile(rb"^content-[a-z-]+:.*(?:\n[ \t].*)*", re.MULTILINE | re.IGNORECASE)
"""A field that describes a mail, or a part of it, such as Content-Type."""
CONTENT_MAX, FIELD_MAX, HEADER_MAX = 1000, 16 << 10, 256 << 10
"""Bytes of such a field, of any field, and of a mail's whole header."""
PARTS_MAX = 100
FROM = b"From rig Thu Jan  1 00:00:00 1970\n"
# All of ASCII, and an escape sequence of HZ, a charset that is ASCII but for such sequences.
PROBE = bytes(range(128)) + b"~{AB~}"


def header(mail: bytes, name: str) -> str:
    """A header of a mail, decoded and on one line; empty if it is absent or damaged."""
    try:
        return " ".join(str(parsed(mail).get(name, "")).split())
    except Exception:  # email's parser raises many types for a damaged header, such as IndexError
        return ""


def headers(mail: bytes) -> bytes:
    """The mail without its text."""
    return HEADERS_END.split(mail, maxsplit=1)[0] + b"\n"


def parsed(mail: bytes) -> EmailMessage:
    """Raises ConfigError for a mail that would keep the parser busy for hours."""
    _check_size(mail)
    return email.message_from_bytes(mail, policy=email.policy.default)


@functools.lru_cache(maxsize=256)
def _check_size(mail: bytes) -> None:
    """Python's parser takes a time that grows with the square of the length of a field, and a lot
    for each part of a mail. The limits are far above what mailers write."""
    mail = mail.replace(b"\r\n", b"\n").replace(b"\r", b"\n")  # each of them ends a line
    header = headers(mail)
    contents = CONTENT.findall(mail)
    fields = re.split(rb"\n(?![ \t])", header[:HEADER_MAX])
    parts = len(contents)
    if parts <= PARTS_MAX and max(map(len, contents), default=0) <= CONTENT_MAX:
        for content in contents:
            boundary = email.message_from_bytes(content, policy=email.policy.default).get_boundary()
            if boundary is not None:
                parts += mail.count(b"\n--" + boundary.encode(errors="surrogateescape"))
        if parts <= PARTS_MAX and len(header) <= HEADER_MAX and max(map(len, fields)) <= FIELD_MAX:
            return
    raise ConfigError(
        "a mail has too many parts, or fields that are too long",
        hint="no mailer writes such a mail: look at it before you trust its author",
    )


def body_of(mail: bytes) -> str:
    """The text of a mail, with transfer encoding and the mailer's CRs removed."""
    text = text_of(mail)
    return text.replace("\r\n", "\n") if has_mailers_ends(mail) else text


def has_mailers_ends(mail: bytes) -> bool:
    """Whether a mailer added the CRs in the text: then all lines end in one. In a patch to a file
    with CRs only some lines do."""
    text = text_of(mail)
    return "\n" in text and text.count("\r\n") == text.count("\n")


def is_html_only(mail: bytes) -> bool:
    message = parsed(mail)
    return message.get_body(("plain",)) is None and message.get_body(("html",)) is not None


def part_of(mail: bytes) -> tuple[bytes, str]:
    """The part of a mail that the rig reads, and its charset; "" for a charset that is unknown, or
    in which ASCII bytes are not ASCII."""
    part = parsed(mail).get_body(preferencelist=("plain",))
    payload = part.get_payload(decode=True) if part is not None else b""
    charset = part.get_content_charset("") if part is not None else ""
    return payload if isinstance(payload, bytes) else b"", charset if _is_ascii(charset) else ""


def _is_ascii(charset: str) -> bool:
    """Whether ASCII bytes are ASCII in this charset.

    git does not decode a diff. In another charset the rig would see other lines than git does.
    """
    try:
        return PROBE.decode(charset or "ascii") == PROBE.decode("ascii")
    except (LookupError, ValueError):
        return False


def text_of(mail: bytes) -> str:
    payload, charset = part_of(mail)
    # A mail that names no charset, or ASCII, may still hold UTF-8, as source code does.
    codec = charset and codecs.lookup(charset).name
    return payload.decode("utf-8" if codec in ("", "ascii") else codec, "replace")


def split(data: bytes, where: str) -> list[bytes]:
    """The mails of an mbox, without their From lines."""
    if not data.strip():
        raise ConfigError(f"{where} is empty", hint="write it again: `b4 am -o - MESSAGE-ID`")
    starts = [match.start() for match in FROM_LINE.finditer(data)]
    if not starts or data[: starts[0]].strip():
        raise ConfigError(
            f"{where} is not an mbox: it does not begin with a From line",
            hint="write it by `b4 am` or `git format-patch --stdout`",
        )
    parts = [data[a:b] for a, b in zip(starts, [*starts[1:], len(data)], strict=True)]
    return [part.split(b"\n", 1)[1] if b"\n" in part else b"" for part in parts]
