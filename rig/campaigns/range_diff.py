# SPDX-License-Identifier: GPL-2.0-only
"""Two revisions of a series, patch against patch: git range-diff on the commits they become."""

from dataclasses import replace

from rig import git, log
from rig.campaigns.options import Request
from rig.context import Context
from rig.errors import ConfigError
from rig.kernel import base, basefinder, tree
from rig.kernel.tree import TreeSpec
from rig.series import model


def diff(context: Context, asked: Request, old: str, new: str) -> str:
    """What `git range-diff` says of two revisions of the series that is asked for.

    Each is on its own base, which may differ. Raises ConfigError, ApplyError.
    """
    if asked.tree is not None:
        base.check_tree(asked.tree)
    numbers = pair(model.revisions(context.shelves.patches, asked.target), old, new)
    found = [
        model.load(context.shelves.patches, asked.target, number, asked.base) for number in numbers
    ]
    with log.step(f"Comparing {found[0].label} with {found[1].label}"):
        ranges = []
        for one in found:
            below = model.beneath(context.shelves.patches, one, asked.base)
            found_base = basefinder.base_of(
                context.store, one, below=below, name=asked.base, tree=asked.tree
            )
            whole = TreeSpec(base=found_base, series=one, below=below)
            ends = (
                tree.materialize(context.store, spec)
                for spec in (replace(whole, series=None), whole)
            )
            ranges.append("..".join(made.commit for made in ends))
        words = ("-c", "diff.renames=true", "range-diff", "--no-color")
        return git.git(*words, *ranges, cwd=git.repository(context.store)).stdout


def pair(revisions: tuple[int, ...], old: str, new: str) -> tuple[int, int]:
    """The two that are meant: `v1 v2`, `v1` and the newest, or the newest and the one before."""
    if not old and len(revisions) < 2:
        raise ConfigError("there is only one revision", hint="rig fetch --all-revisions")
    numbers = []
    for said in (old or f"v{revisions[-2]}", new or f"v{revisions[-1]}"):
        digits = said.removeprefix("v")
        if not (digits.isascii() and digits.isdigit()):
            raise ConfigError(f"{said!r} is no revision", hint="a revision is like v1")
        numbers.append(int(digits))
    return numbers[0], numbers[1]
