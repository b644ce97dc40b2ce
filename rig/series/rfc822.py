# SPDX-License-Identifier: GPL-2.0-only
"""Mails as bytes: headers, the one text that is read, and the mails of an mbox."""

import codecs
import email
import email.policy
import re
from email.message import EmailMessage

from rig.errors import ConfigError

# What git and b4 put before each mail of an mbox (git-mailsplit(1)).
FROM_LINE = re.compile(rb"^From \S+ .*\d{1,2}:\d{2}:\d{2} \d{4}\r?$", re.MULTILINE)
FROM = b"From rig Thu Jan  1 00:00:00 1970\n"
PROBE = bytes(range(128)) + b"~{AB~}"


def header(mail: bytes, name: str) -> str:
    """A header of a mail on one line, decoded; empty where there is none or it is damaged."""
    try:
        return " ".join(str(parsed(mail).get(name, "")).split())
    except Exception:  # email's parser raises whatever comes (IndexError, for one)
        return ""


def parsed(mail: bytes) -> EmailMessage:
    return email.message_from_bytes(mail, policy=email.policy.default)


def body_of(mail: bytes) -> str:
    """The text of a mail, its transfer encoding undone, and its mailer's line ends with it."""
    text = text_of(mail)
    return text.replace("\r\n", "\n") if has_mailers_ends(mail) else text


def has_mailers_ends(mail: bytes) -> bool:
    """Whether the CRs in the text of a mail are its mailer's: all lines end in one, which a patch
    to a file with CRs has not."""
    text = text_of(mail)
    return "\n" in text and text.count("\r\n") == text.count("\n")


def is_html_only(mail: bytes) -> bool:
    message = parsed(mail)
    return message.get_body(("plain",)) is None and message.get_body(("html",)) is not None


def part_of(mail: bytes) -> tuple[bytes, str]:
    """The one part of a mail that is read, and what it says its charset is."""
    part = parsed(mail).get_body(preferencelist=("plain",))
    payload = part.get_payload(decode=True) if part is not None else b""
    charset = part.get_content_charset("") if part is not None else ""
    return payload if isinstance(payload, bytes) else b"", charset if _is_ascii(charset) else ""


def _is_ascii(charset: str) -> bool:
    """Whether ASCII is itself in it. git does not decode a diff, so another would hide lines."""
    try:
        return PROBE.decode(charset or "ascii") == PROBE.decode("ascii")
    except (LookupError, ValueError):
        return False


def text_of(mail: bytes) -> str:
    payload, charset = part_of(mail)
    # A mail that names no charset, or only ASCII, may hold UTF-8 all the same, as source code does.
    text = charset and codecs.lookup(charset).name
    return payload.decode("utf-8" if text in ("", "ascii") else text, "replace")


def split(data: bytes, where: str) -> list[bytes]:
    """The mails of an mbox, without their From lines."""
    if not data.strip():
        raise ConfigError(f"{where} is empty", hint="write it with `b4 am -o - MESSAGE-ID`")
    starts = [match.start() for match in FROM_LINE.finditer(data)]
    if not starts or data[: starts[0]].strip():
        raise ConfigError(
            f"{where} is not an mbox: it does not begin with a From line",
            hint="write it with `b4 am` or `git format-patch --stdout`",
        )
    parts = [data[a:b] for a, b in zip(starts, [*starts[1:], len(data)], strict=True)]
    return [part.split(b"\n", 1)[1] if b"\n" in part else b"" for part in parts]
