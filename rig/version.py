# SPDX-License-Identifier: GPL-2.0-only
"""Kernel versions, and ranges of them as mutants and suites write them."""

import functools
import re
from dataclasses import dataclass
from typing import Self

from rig.errors import ConfigError

# A Debian package writes v7.3-rc7 as 7.3~rc7: '~' sorts before everything else there.
VERSION = re.compile(
    r"v?(?P<major>\d{1,4})\.(?P<minor>\d{1,4})(?:\.(?P<patch>\d{1,6}))?(?:[-~]rc(?P<rc>\d{1,4}))?"
    r"(?P<extra>[-+~.][\w.+~-]*)?",
    re.ASCII,
)
_Key = tuple[int, int, int, bool, int]


@functools.total_ordering
@dataclass(frozen=True, kw_only=True, slots=True)
class KernelVersion:
    """A version as in `uname -r` or a git tag. Order: release candidates, release, stable updates.

    `extra` is what a build or a distribution appends. Versions that differ in it are not equal; in
    the order it counts last.
    """

    major: int
    minor: int
    patch: int = 0
    rc: int | None = None
    extra: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        match = VERSION.fullmatch(text)
        if not match:
            raise ConfigError(
                f"{text!r} is not a kernel version",
                hint="write it like v6.12, 6.12.117 or v7.3-rc7",
            )
        return cls(
            major=int(match["major"]),
            minor=int(match["minor"]),
            patch=int(match["patch"] or 0),
            rc=int(match["rc"]) if match["rc"] else None,
            extra=match["extra"] or "",
        )

    def __str__(self) -> str:
        patch = f".{self.patch}" if self.patch else ""
        rc = "" if self.rc is None else f"-rc{self.rc}"
        return f"{self.major}.{self.minor}{patch}{rc}{self.extra}"

    @property
    def base(self) -> str:
        """The release it belongs to, as its tag: v6.12 for 6.12.117, v7.3 for 7.3-rc7."""
        return f"v{self.major}.{self.minor}"

    @property
    def tag(self) -> str:
        """The tag in the kernel's git trees, without `extra`, which no tag has."""
        patch = f".{self.patch}" if self.patch else ""
        rc = "" if self.rc is None else f"-rc{self.rc}"
        return f"{self.base}{patch}{rc}"

    @property
    def is_base(self) -> bool:
        """Whether it is neither a stable update nor a release candidate."""
        return self.patch == 0 and self.rc is None

    @property
    def key(self) -> _Key:
        """A sort key for releases, without `extra`."""
        return (self.major, self.minor, self.patch, self.rc is None, self.rc or 0)

    def __lt__(self, other: Self) -> bool:
        return (self.key, self.extra) < (other.key, other.extra)


def _side(version: KernelVersion, bound: KernelVersion) -> int:
    """-1, 0 or 1: `version` is before, at or after `bound`.

    A bound like v6.16 stands for its release candidates and stable updates as well: a change
    "in v6.16" came in the merge window before v6.16-rc1, and v6.16.9 has it too.
    """
    if bound.is_base:
        own_release, bound_release = (version.major, version.minor), (bound.major, bound.minor)
        return (own_release > bound_release) - (own_release < bound_release)
    return (version.key > bound.key) - (version.key < bound.key)


@dataclass(frozen=True, kw_only=True, slots=True)
class VersionRange:
    """`>=v6.16`, `>`, `<`, `<=`, `v6.12..v7.0` (with both ends) or a single base, `v6.12`."""

    low: KernelVersion | None = None
    high: KernelVersion | None = None
    open_low: bool = False
    open_high: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        text = text.strip()
        if match := re.fullmatch(r"(?P<op>[<>]=?)\s*(?P<version>\S+)", text):
            version = KernelVersion.parse(match["version"])
            strict = "=" not in match["op"]
            if match["op"].startswith(">"):
                return cls(low=version, open_low=strict)
            return cls(high=version, open_high=strict)
        first, dots, last = text.partition("..")
        low = KernelVersion.parse(first)
        high = KernelVersion.parse(last) if dots else low
        if _side(low, high) > 0:
            raise ConfigError(
                f"the version range {text!r} is empty", hint=f"did you mean {last}..{first}?"
            )
        return cls(low=low, high=high)

    def __contains__(self, version: KernelVersion) -> bool:
        if self.low is not None:
            side = _side(version, self.low)
            if side < 0 or (self.open_low and side == 0):
                return False
        if self.high is not None:
            side = _side(version, self.high)
            if side > 0 or (self.open_high and side == 0):
                return False
        return True

    def __str__(self) -> str:
        if self.low is not None and self.high is not None:
            return self.low.tag if self.low == self.high else f"{self.low.tag}..{self.high.tag}"
        if self.low is not None:
            return f"{'>' if self.open_low else '>='}{self.low.tag}"
        return f"{'<' if self.open_high else '<='}{self.high.tag}" if self.high else "any"
