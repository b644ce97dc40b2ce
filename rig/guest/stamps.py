# SPDX-License-Identifier: GPL-2.0-only
"""Divides a console's bytes into the kernel's messages, by the time stamps of printk().

What a message is depends on the bytes alone, never on the portions in which they come. A line may
have any length; of a message, LINE_MAX bytes are kept. The work is linear and the memory bounded.

The kernel and programs write to one console. After the first stamp, text without a stamp is from
user space. A stamp may stand anywhere: the kernel does not wait for a program's line to end. A
program that writes a whole stamped line to the console cannot be told from the kernel.
"""

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from rig.guest import headlines

LINE_MAX = 4096
"""Bytes kept of a message. Only broken user-space programs print longer lines."""
PART = 1 << 16
"""Bytes that are read at once."""
_TORN = 64
"""Bytes. No stamp is longer."""
_CONTEXT = 256
"""Bytes before a stamp that can show that it is quoted."""

_DROPPED = bytes(code for code in (*range(32), 127) if code not in b"\t\n\x07\x1b")
_REST = b"\x07\x1b"
_CSI = r"[0-?]*[ -/]*[@-~]"
ESCAPE = rf"\x1b(?:\[{_CSI}|\][^\x07\x1b\n]*(?:\x07|\x1b\\)|[()*+][0-9A-Za-z]|[0-9=>@-Z\\^_a-z])"
"""A pattern of ECMA-48's and the VT100's escape sequences."""
CSI_C1 = rf"\x9b{_CSI}"
"""The same of sequences that begin with a character of C1."""
_ESCAPE = re.compile(rf"{ESCAPE}|\xc2(?:{CSI_C1}|[\x80-\x9f])".encode())
PRINTK = r"\[ {0,8}(?P<at>\d{1,12}\.\d{3,9})\](?:\[ {0,8}(?P<caller>[TC]\d{1,10})\])?"
"""A pattern of printk's stamp, with the caller that CONFIG_PRINTK_CALLER adds."""
LOGGED = re.compile(rf"(?:<[0-9]+>)?{PRINTK} ?", re.ASCII)
"""The stamp of a line of the kernel log, with the level that dmesg --raw adds."""
_STAMP = PRINTK.encode()
STAMP = re.compile(_STAMP + rb"(?=[ \t]|$)(?P<blank>[ \t]{0,3})", re.ASCII)
_TORN_STAMP = re.compile(rb"[\[\x1b]")
_FIRST = (
    rb"(?:-+\[ cut here|={20}|page: refcount:|INFO: task |reboot: Restarting|%s)"
    % headlines.ANY.encode()
)
"""No other line can begin anything, where no splat is open."""
_TIMED = re.compile(_STAMP + rb"[ \t]{1,3}" + _FIRST, re.ASCII)
_UNTIMED = re.compile(rb"(?m)^" + _FIRST + rb"|" + _STAMP, re.ASCII)
_QUOTE = re.compile(rb"(?:['\"`=(<]|: )$|(?:^|[\s=(:,])['\"`][^'\"`]*$")
_ECHO = re.compile(
    rb"(?:Kernel c|C)ommand line: |Unknown kernel command line parameters"
    rb"|.{1,40}: Unknown parameter|[\w.-]{1,20}\[\d+\]: "
)
"""Messages that repeat what a user wrote, and those of programs that name themselves."""


@dataclass(slots=True)
class Line:
    """A message of the kernel's. `bare` has no leading blanks: lines come with one to three."""

    bare: bytes
    text: str
    at: float | None
    caller: str


class Lines:
    """Calls `take` with each message. `idle()` says that no splat is open."""

    def __init__(self, take: Callable[[Line], None], idle: Callable[[], bool]) -> None:
        self._take = take
        self._idle = idle
        self._rest = bytearray()
        """The line that is not complete."""
        self._timed = False
        self._first = _UNTIMED
        self._begin()

    def _begin(self) -> None:
        self._continued = False
        """Some of this line was read before."""
        self._at: float | None = None
        """The stamp before, on this line."""
        self._echo = False
        self._before = b""

    def feed(self, data: bytes) -> None:
        """Take more bytes."""
        if len(data) <= PART:
            self._part(data.translate(None, _DROPPED))
            return
        for start in range(0, len(data), PART):
            self._part(data[start : start + PART].translate(None, _DROPPED))

    def close(self) -> None:
        """The bytes have ended: the last line is complete."""
        if self._rest:
            self._part(b"\n")

    def _part(self, data: bytes) -> None:
        end = data.rfind(b"\n") + 1
        if end:
            self._complete(bytes(self._rest) + data[:end])
            self._rest.clear()
            data = data[end:]
        self._rest += data
        if len(self._rest) >= LINE_MAX:
            self._rest = bytearray(self._pieces(bytes(self._rest)))

    def _complete(self, block: bytes) -> None:
        """Read complete lines; only the first may have begun earlier."""
        if not _is_plain(block):  # an escape sequence does not go on in the next line
            block = _ESCAPE.sub(b"", block).translate(None, _REST)
        start = 0
        while start < len(block):
            first = None
            if not self._continued and self._idle():
                first = self._first.search(block, start)
                if not first:
                    return
                start = block.rfind(b"\n", start, first.start()) + 1 or start
            end = block.index(b"\n", start)
            self._fragment(self._pieces(block[start:end]), wanted=first is not None)
            self._begin()
            start = end + 1

    def _pieces(self, raw: bytes) -> bytes:
        """Read the start of a long line, and return the rest. No stamp is cut in two, and as much
        as is kept of a message stays with its stamp."""
        start = 0
        while len(raw) - start >= LINE_MAX:
            piece = raw[start : start + LINE_MAX]
            length = max((stamp.start() for stamp in STAMP.finditer(piece)), default=0)
            if not length:
                torn = _TORN_STAMP.search(piece, LINE_MAX - _TORN)
                length = torn.start() if torn else LINE_MAX
            self._fragment(piece[:length])
            self._continued = True
            start += length
        return raw[start:]

    def _fragment(self, raw: bytes, wanted: bool = False) -> None:
        """Read a line, or a piece of it. `wanted`: something begins in it, or may begin."""
        if not _is_plain(raw):
            raw = _ESCAPE.sub(b"", raw).translate(None, _REST)
        stamps: Iterable[re.Match[bytes]] = STAMP.finditer(raw)
        wanted = wanted or not self._idle() or self._first.search(raw) is not None
        if not wanted:  # where the last message begins is still needed
            stamps = deque(stamps, maxlen=1)
        position = 0
        stamp: re.Match[bytes] | None = None
        for following in stamps:
            if self._quoted(raw[position : following.start()], float(following["at"])):
                continue
            if wanted and following.start():
                self._message(raw[position : following.start()], stamp)
            stamp, position = following, following.end()
            self._timed, self._first = True, _TIMED
            self._at, self._before = float(following["at"]), b""
            self._echo = _ECHO.match(raw, position) is not None
        if wanted:
            self._message(raw[position:], stamp)
        self._before = (self._before + raw[position:])[-_CONTEXT:]

    def _quoted(self, text: bytes, at: float) -> bool:
        """A message of the kernel's repeats this stamp: it is no message of its own.

        A CPU that dies writes into the line of another. It continues anywhere, but not earlier.
        """
        if self._at is None:
            return False
        before = (self._before + text)[-_CONTEXT:]
        return self._echo or at < self._at or _QUOTE.search(before) is not None

    def _message(self, text: bytes, stamp: re.Match[bytes] | None) -> None:
        if stamp is None and (self._timed or self._continued):
            return
        text = text.rstrip()
        blank = stamp["blank"][1:].decode() if stamp else ""
        caller = stamp["caller"] if stamp else None
        self._take(
            Line(
                bare=text,
                text=blank + text.decode(errors="replace"),
                at=float(stamp["at"]) if stamp else None,
                caller=caller.decode() if caller else "",
            )
        )


def _is_plain(raw: bytes) -> bool:
    """There is no escape sequence in it."""
    return not (b"\x1b" in raw or b"\x07" in raw or b"\xc2" in raw)


def without(line: str) -> str:
    """A line of the kernel log without its stamp."""
    stamp = LOGGED.match(line)
    return line[stamp.end() :] if stamp else line


def parts(text: str) -> Iterator[bytes]:
    """A text's bytes, in parts."""
    for start in range(0, len(text), PART):
        yield text[start : start + PART].encode(errors="surrogateescape")
