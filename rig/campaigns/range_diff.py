# SPDX-License-Identifier: GPL-2.0-only
"""`rig diff`: compares two revisions of a series patch by patch, with git range-diff."""

import re
from dataclasses import replace

from rig import git, log
from rig.campaigns.options import Request
from rig.context import Context
from rig.errors import ConfigError
from rig.kernel import base, basefinder, tree
from rig.kernel.tree import TreeSpec
from rig.series import model, target


def diff(context: Context, request: Request, old: str, new: str) -> str:
    """The output of `git range-diff` for two revisions of the series that the request names.

    Each revision is applied to its own base; the bases may differ. Raises ConfigError, ApplyError.
    """
    if request.tree is not None:
        base.check_tree(request.tree)
    numbers = pair(model.revisions(context.shelves.patches, request.target), old, new)
    versions = [
        model.load(context.shelves.patches, request.target, number, request.base)
        for number in numbers
    ]
    with log.step(f"Comparing {versions[0].label} with {versions[1].label}"):
        ranges = []
        for version in versions:
            below = model.beneath(context.shelves.patches, version, request.base)
            version_base = basefinder.base_of(
                context.store, version, below=below, name=request.base, tree=request.tree
            )
            applied = TreeSpec(base=version_base, series=version, below=below)
            ends = (
                tree.materialize(context.store, spec)
                for spec in (replace(applied, series=None), applied)
            )
            ranges.append("..".join(end.commit for end in ends))
        arguments = ("-c", "diff.renames=true", "range-diff", "--no-color")
        return git.git(*arguments, *ranges, cwd=git.repository(context.store)).stdout


def pair(revisions: tuple[int, ...], old: str, new: str) -> tuple[int, int]:
    """The revisions to compare. Default for `new`: the newest; for `old`: the one before it."""
    if not old and len(revisions) < 2:
        raise ConfigError(
            f"there is only one revision, v{revisions[0]}", hint="rig fetch --all-revisions"
        )
    numbers = []
    for revision in (old or f"v{revisions[-2]}", new or f"v{revisions[-1]}"):
        if not re.fullmatch(f"v?{target.N}", revision):
            shown = revision if len(revision) < 40 else f"{revision[:40]}…"
            raise ConfigError(f"{shown!r} is not a revision", hint="write it like v1")
        numbers.append(int(revision.removeprefix("v")))
    return numbers[0], numbers[1]
