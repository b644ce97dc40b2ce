# SPDX-License-Identifier: GPL-2.0-only
"""The lines of a report that a program of somebody else printed.

Terminals and consoles add to them: colours, carriage returns, control characters, a stamp of printk
in front of each line where KUnit writes its report to the kernel log. `read()` takes these away, as
kunit_parser.py of the kernel does. `torn()` finds the rest of a result behind something else.
"""

import re

from rig.guest import stamps

ESCAPE = re.compile(rf"{stamps.ESCAPE}|{stamps.CSI_C1}")
# All of C0 but the tab. surrogateescape turns invalid bytes into halves of surrogate pairs.
CONTROL = (*range(9), *range(10, 32), *range(127, 160), *range(0xD800, 0xE000))
_NOTHING = dict.fromkeys((*CONTROL, 0xFEFF))
VERSION = re.compile(r"K?TAP version [0-9]+$")
_KTAP = r"(?:K?TAP version [0-9]+$|1\.\.[0-9]+(?:\s|$)|(?:not )?ok\s+[0-9]+(?:\s|$))"
PLAIN = re.compile(rf"\s*{_KTAP}")
STAMPED = re.compile(rf"{stamps.LOGGED.pattern}\s*{_KTAP}")
NOT_OK = re.compile(r"not\s{1,9}ok[\s-]{1,9}(?P<number>[0-9]+)(?=\s|$)", re.IGNORECASE)
OK = re.compile(r"(?<![A-Za-z])ok\s{1,9}(?P<number>[0-9]+)(?=\s|$)")
PLAN = re.compile(r"1\.\.[0-9]{1,9}\s*(?:#|$)")
RESULT = re.compile(r"(?:not )?ok(?:\s|$)")
BAIL_OUT = re.compile(r"Bail out!", re.IGNORECASE)
PROTOCOL = re.compile(
    rf"\s*(?:{VERSION.pattern}|{PLAN.pattern}|{RESULT.pattern}|(?i:{BAIL_OUT.pattern}))"
)
BEGUN = re.compile(r"1\.\.|not\s+ok(?![a-z])|not(?:\s+o)?\s*(?:\[\s*[0-9]+\.|$)")
"""What begins as a plan or a result and is none: a line of the kernel may be in the middle."""
INNER = re.compile(r"[#\s]*(?:(?:not )?ok\b|1\.\.[0-9]|Bail out!)")
"""The report of a program that another one runs, as diagnostic lines: selftests/kselftest."""


def read(text: str) -> list[tuple[int, str]]:
    """The lines with their numbers, without escape sequences and without the same prefix of all."""
    lines = [
        (number, part)
        for number, line in enumerate(text.split("\n"), 1)
        # What a terminal shows after a carriage return begins at the start of a line.
        for part in ESCAPE.sub("", line).split("\r")
        if part
    ]
    plains = [plain(line) for _, line in lines]
    if any(map(PLAIN.match, plains)):
        return lines
    if version := next(filter(None, map(VERSION.search, plains)), None):
        prefix = version.string[: version.start()]
    elif any(map(STAMPED.match, plains)):
        prefix = ""
    else:
        return lines
    numbers = (number for number, _ in lines)
    return [(number, _without(prefix, line)) for number, line in zip(numbers, plains, strict=True)]


def plain(line: str) -> str:
    """The line without control characters, which may be before a result."""
    return line.translate(_NOTHING).rstrip()


def _without(prefix: str, line: str) -> str:
    if not prefix or stamps.LOGGED.fullmatch(prefix.rstrip()):
        return stamps.without(line)
    rest = line[len(prefix) :]
    # A prefix with a time in it differs from line to line, and may not be in all of them.
    same = line.startswith(prefix) or PLAIN.match(rest) or rest.lstrip().startswith("#")
    return rest if same else line


def torn(line: str, expected: int, *, ktap: bool) -> bool:
    """Whether the rest of a result is in a line behind something else.

    A line that was begun before takes the result behind it away. `expected` is the next result's
    number. `ktap`: the report has lines of KTAP, so an `ok` is more than prose.
    """
    body = line.lstrip()
    if RESULT.match(body):
        return bool(NOT_OK.search(body, 4))
    if PROTOCOL.match(body):
        return False
    if body.startswith("#"):
        if INNER.match(body):
            return False
        found = any(int(match["number"][:9]) == expected for match in NOT_OK.finditer(body))
        return found or bool(BAIL_OUT.search(body))
    if NOT_OK.search(body) or BAIL_OUT.search(body) or BEGUN.match(body):
        return True
    return ktap and any(int(match["number"][:9]) == expected for match in OK.finditer(body))
