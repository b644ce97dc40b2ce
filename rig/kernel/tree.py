# SPDX-License-Identifier: GPL-2.0-only
"""`TreeSpec` -> `KernelTree`: applies a series, or its first patches, to a base."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rig import git, log
from rig.errors import ApplyError, ConfigError, RigError
from rig.kernel import applied, base
from rig.kernel.applied import Step
from rig.kernel.base import Base
from rig.series import model, rfc822, vetting
from rig.series.model import Patch, SeriesVersion
from rig.store import Store, digest
from rig.version import KernelVersion

OUTSIDE = re.compile(r"error: (?:invalid path '(.+)'|((?:.*/)?\.\./.*): does not exist in index)")
BEYOND = re.compile(r"error: (?:affected file|reading from) '(.+?)'(?: is)? beyond a symbolic link")


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """What a tree is, in names: what a result is of."""

    base: str
    """v6.12, or a revision of the user's tree."""
    series: tuple[str, ...] = ()
    """SERIES@vN, lowest first: the last is under test, the others are what it is on top of."""
    upto: int | None = None
    """How many patches of the last series; all by default."""

    @property
    def name(self) -> str:
        """SERIES@vN of the series under test, or the base."""
        return self.series[-1] if self.series else self.base

    @property
    def target(self) -> str:
        """The same, with :N if it is only a part: what a command has as its target."""
        return self.name + ("" if self.upto is None else f":{self.upto}")

    @property
    def part(self) -> str:
        """v2:3 of batch@v2:3: what differs between the subjects of one campaign."""
        return self.target.rpartition("@")[2] if self.series else self.base

    @property
    def label(self) -> str:
        """For people; nothing reads it back."""
        if not self.series:
            return self.base
        return f"{' + '.join((*self.series[:-1], self.target))} on {self.base}"

    @property
    def whole(self) -> "Subject":
        """The series with all its patches."""
        return replace(self, upto=None)


@dataclass(frozen=True, kw_only=True, slots=True)
class TreeSpec:
    base: Base
    series: SeriesVersion | None = None
    below: tuple[SeriesVersion, ...] = ()
    """The series that `series` goes on top of, lowest first."""
    upto: int | None = None
    """How many patches of the series; all by default."""

    @property
    def own(self) -> tuple[Patch, ...]:
        """The patches of `series`, without those of the series below."""
        if self.series is None:
            return ()
        return self.series.first(len(self.series.patches) if self.upto is None else self.upto)

    @property
    def patches(self) -> tuple[Patch, ...]:
        return (*(patch for series in self.below for patch in series.patches), *self.own)

    @property
    def beneath(self) -> "TreeSpec":
        """The tree that `series` is applied to: the base, with the series below.

        The highest of those is its series: so it is built as what it is, a stranger's.
        """
        if not self.below:
            return replace(self, series=None, upto=None)
        return replace(self, series=self.below[-1], below=self.below[:-1], upto=None)

    @property
    def promises(self) -> tuple[str, ...]:
        """The promises of the series below, and of `series` if all of its patches are applied."""
        is_complete = self.series is not None and len(self.own) == len(self.series.patches)
        complete = (*self.below, *([self.series] if self.series and is_complete else []))
        return tuple(dict.fromkeys(promise for series in complete for promise in series.promises))

    @property
    def subject(self) -> Subject:
        versions = (*self.below, *([self.series] if self.series else []))
        names = tuple(version.label for version in versions)
        return Subject(base=self.base.name, series=names, upto=self.upto)

    @property
    def label(self) -> str:
        return self.subject.label


@dataclass(frozen=True, kw_only=True, slots=True)
class KernelTree:
    label: str
    base: Base
    commit: str
    tree: str
    """git's hash of the content. The name of a build is made from it."""
    version: KernelVersion
    """From the tree's own Makefile."""
    series: str = ""
    """Digest of the whole series, even if only a part of it is applied; empty for a trusted base:
    one from Debian, kernel.org or the user's own tree."""


def materialize(store: Store, spec: TreeSpec) -> KernelTree:
    """Make the tree a commit of linux.git.

    Raises ApplyError that names the patch, the file and the hunk. Its hint names another base in
    the store to which the series applies, if there is one.
    """
    try:
        return _materialize(store, spec)
    except ApplyError as error:
        others = (other for other in base.fetched(store) if other.commit != spec.base.commit)
        fits = next((other for other in others if applies(store, replace(spec, base=other))), None)
        if fits:
            error.hint = f"it applies to {fits.name}: use --base {fits.name}"
        raise


def applies(store: Store, spec: TreeSpec) -> bool:
    try:
        _materialize(store, spec)
    except ApplyError:
        return False
    return True


def _materialize(store: Store, spec: TreeSpec) -> KernelTree:
    commit = spec.base.commit
    if not spec.base.trusted:
        applied.check_base(git.repository(store), commit)
    if spec.patches:
        # "checked": so that trees of an older rig, without applied.check(), are not used.
        inputs = {"base": commit, "patches": model.digest(spec.patches), "checked": 1}
        name = digest(inputs)

        def apply(_: Path) -> dict[str, str]:
            with log.step(f"Applying {spec.label}"):
                applied = _apply(store, spec)
            git.keep(store, f"trees/{name}", applied)
            return {"commit": applied, "label": spec.label}

        def check(manifest: Mapping[str, Any]) -> str:
            return git.lacks_changes(store, spec.base.commit, manifest["commit"])

        store.make("trees", name, inputs, apply, check)
        commit = store.manifest("trees", name)["commit"]
    return KernelTree(
        label=spec.label,
        base=spec.base,
        commit=commit,
        tree=tree_of(store, commit),
        version=_version_of(store, commit),
        series=_series_digest(spec),
    )


def _series_digest(spec: TreeSpec) -> str:
    """It is the same for every number of patches of a series: they may share objects."""
    if spec.series is None:
        return "" if spec.base.trusted else f"base {spec.base.commit}"
    stack = (*spec.below, spec.series)
    return model.digest(tuple(patch for series in stack for patch in series.patches))


def _version_of(store: Store, commit: str) -> KernelVersion:
    repo = git.repository(store)
    makefile = git.git("show", f"{commit}:Makefile", cwd=repo, check=False).stdout
    field = dict(
        re.findall(r"^(VERSION|PATCHLEVEL|SUBLEVEL|EXTRAVERSION) *= *(\S*)$", makefile, re.M)
    )
    try:
        number = f"{field['VERSION']}.{field['PATCHLEVEL']}.{field['SUBLEVEL']}"
        return KernelVersion.parse(number + field.get("EXTRAVERSION", ""))
    except (KeyError, ConfigError) as error:
        raise ConfigError(
            f"{commit} is not a kernel tree: its Makefile has no version",
            hint="name a revision of the kernel's source",
        ) from error


def tree_of(store: Store, commit: str) -> str:
    return git.text("rev-parse", f"{commit}^{{tree}}", cwd=git.repository(store))


def _apply(store: Store, spec: TreeSpec) -> str:
    files = tuple(dict.fromkeys(file for patch in spec.patches for file in patch.files))
    steps: list[Step] = []
    with git.sparse_worktree(store, spec.base.commit, files) as work:
        head = spec.base.commit
        for patch in spec.patches:
            # --keep-cr, as b4 does it, for a patch to a file that has CRs.
            removed = ("--no-keep-cr", "--quoted-cr=strip")
            line_ends = removed if rfc822.has_mailers_ends(patch.mail) else ("--keep-cr",)
            words = ("am", "--3way", "--quiet", *line_ends)
            result = git.git(*words, cwd=work, stdin=patch.as_read, check=False)
            if result.status:
                raise _rejected(spec, patch, result.stdout + result.stderr, work)
            before, head = head, git.text("rev-parse", "HEAD", cwd=work)
            name = _called(spec, patch)
            steps.append(Step(name=name, files=patch.files, before=before, after=head))
        applied.check(work, steps, spec.base.name)
    if present := sum(step.before == step.after for step in steps):
        log.note(f"{spec.base.name} already has {present} of its patches")
    return head


def _called(spec: TreeSpec, patch: Patch) -> str:
    owner = next(
        series for series in (*spec.below, spec.series) if series and patch in series.patches
    )
    of = f"{patch.number}/{len(owner.patches)}" + (f" of {owner.label}" if spec.below else "")
    return f"patch {of} ({patch.subject})"


def _rejected(spec: TreeSpec, patch: Patch, am_output: str, work: Path) -> RigError:
    """The error for a patch that git rejected, with the first hunk that git could not place."""
    git.git("am", "--abort", cwd=work, check=False)
    diff = rfc822.body_of(patch.mail).encode()
    words = ("apply", "--check", "--index", "--verbose")
    output = git.git(*words, cwd=work, stdin=diff, check=False).stderr + am_output
    name = _called(spec, patch)
    if outside := OUTSIDE.search(output):
        return ConfigError(
            f"{name}: {outside[1] or outside[2]!r} is a path outside the tree", hint=vetting.HINT
        )
    if beyond := BEYOND.search(output):
        return ConfigError(f"{name}: a directory in {beyond[1]!r} is a symlink", hint=vetting.HINT)
    where, hunk = "", ""
    if failed := re.search(r"error: patch failed: (.+):(\d+)", output):
        file, line = failed[1], int(failed[2])
        where, hunk = f": {file}, the hunk at line {line}", patch.hunk(file, line)
    elif missing := re.search(
        r"error: (.+): (No such file or directory|does not exist in index)", output
    ):
        where = f": {missing[1]} is not in {spec.base.name}"
    elif existing := re.search(r"error: (.+): already exists in (index|working directory)", output):
        where = f": it adds {existing[1]}, which exists there already"
    return ApplyError(
        f"{name} does not apply to {spec.base.name}{where}",
        hint=applied.OTHER_BASE,
        detail=hunk or am_output.strip()[-2000:],
    )
