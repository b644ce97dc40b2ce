# SPDX-License-Identifier: GPL-2.0-only
"""Errors, one class per owner of the fault.

The owner decides the outcome (DESIGN.md, outcome rule 2): trouble of the rig or its host is never
counted against a kernel, and a kernel that does not build, boot or stay up is never excused.
"""

import contextlib
import difflib
from collections.abc import Iterable, Iterator


class RigError(Exception):
    """What went wrong, and in `hint` what to do next; `detail` is the evidence, verbatim."""

    def __init__(self, message: str, *, hint: str = "", detail: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.detail = detail

    def __str__(self) -> str:
        return self.message


class ConfigError(RigError):
    """The user asked for something that is not there or cannot be."""


class SeriesError(RigError):
    """The series is at fault."""


class ApplyError(SeriesError):
    """A patch does not apply to the base."""


class BuildError(SeriesError):
    """The tree does not compile."""


class KernelError(RigError):
    """The kernel is at fault."""


class BootError(KernelError):
    """The kernel did not come up."""


class GuestLost(KernelError):
    """The kernel was up and is gone, or no longer answers."""


class InfraError(RigError):
    """The rig or its host is at fault."""


class DiskFull(InfraError):
    """There is no room."""

    # What tools say of it; apt counts before it begins.
    WORDS = ("No space left on device", "Disk quota exceeded", "enough free space")

    def __init__(self, doing: str, *, detail: str = "") -> None:
        super().__init__(
            f"the disk is full: {doing}",
            hint="free some room, or set RIG_STORE to a directory on a larger disk",
            detail=detail,
        )


def unknown(kind: str, name: str, known: Iterable[str], *, hint: str = "") -> ConfigError:
    """Say that `name` is no known `kind`, with the nearest names."""
    names = sorted(set(known))
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if near:
        hint = f"did you mean {' or '.join(near)}?"
    elif names:
        hint = f"known: {', '.join(names[:12])}{', …' if len(names) > 12 else ''}"
    return ConfigError(f"there is no {kind} named {name!r}", hint=hint)


@contextlib.contextmanager
def needs_extra(extra: str) -> Iterator[None]:
    """Around the import of what only `pip install rig[extra]` installs: it is asked for before the
    work begins, rather than missed at its end."""
    try:
        yield
    except ImportError as error:
        raise ConfigError(
            f"{error.name} is not installed", hint=f"pip install 'rig[{extra}]'"
        ) from error
