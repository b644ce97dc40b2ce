# SPDX-License-Identifier: GPL-2.0-only
"""Errors. There is one class for each owner of a fault: user, series, kernel, rig.

The owner decides the outcome (DESIGN.md, outcome rule 2). A fault of the rig or its host is never
counted against a kernel. A kernel that does not build, boot or stay up is never excused.
"""

import contextlib
import difflib
from collections.abc import Iterable, Iterator


class RigError(Exception):
    """`message` says what is wrong, `hint` what to do next; `detail` is the evidence, verbatim."""

    def __init__(self, message: str, *, hint: str = "", detail: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.detail = detail

    def __str__(self) -> str:
        return self.message


class ConfigError(RigError):
    """The user asked for something that does not exist or is not possible."""


class SeriesError(RigError):
    """The series is at fault."""


class ApplyError(SeriesError):
    """A patch does not apply to the base."""


class BuildError(SeriesError):
    """The tree does not compile."""


class KernelError(RigError):
    """The kernel is at fault."""


class BootError(KernelError):
    """The kernel did not boot."""


class GuestLost(KernelError):
    """The kernel booted, and then died or stopped answering."""

    output = ""
    """What the command that ran had printed until then."""
    hung = False
    """It stopped answering, and printed no splat."""
    tasks: tuple[str, ...] = ()
    """What each CPU and each blocked task of a hung guest does, a line each."""


class InfraError(RigError):
    """The rig or its host is at fault."""


class QemuCrashed(InfraError):
    """QEMU has a bug: a failed assertion, a segmentation fault."""


class DiskFull(InfraError):
    """There is no space left on a disk."""

    # The messages of tools. The last is apt's, which computes the space before it begins.
    WORDS = ("No space left on device", "Disk quota exceeded", "enough free space")

    def __init__(self, doing: str, *, detail: str = "") -> None:
        super().__init__(
            f"the disk is full: {doing}",
            hint="free some space, or set RIG_STORE to a directory on a larger disk",
            detail=detail,
        )


def unknown(kind: str, name: str, known: Iterable[str], *, hint: str = "") -> ConfigError:
    """An error for a `name` that is not in `known`; its hint has the most similar names."""
    names = sorted(set(known))
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if near:
        hint = f"did you mean {' or '.join(near)}?"
    elif names:
        hint = f"known: {', '.join(names[:12])}{', …' if len(names) > 12 else ''}"
    return ConfigError(f"there is no {kind} named {name!r}", hint=hint)


@contextlib.contextmanager
def needs_extra(extra: str) -> Iterator[None]:
    """Around the import of a library that only the extra of this name installs.

    Use it before the work begins, so that the user does not learn at the end what is missing.
    """
    try:
        yield
    except ImportError as error:
        raise ConfigError(
            f"{error.name} is not installed",
            # On PyPI, `rig` is another project.
            hint=f"in a checkout: .venv/bin/pip install --editable '.[{extra}]'",
        ) from error
