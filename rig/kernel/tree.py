# SPDX-License-Identifier: GPL-2.0-only
"""`TreeSpec` -> `KernelTree`: a base with a series, or its first patches, on top."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

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
        """SERIES@vN of the series under test, or the base: what a command has as its target."""
        return self.series[-1] if self.series else self.base

    @property
    def part(self) -> str:
        """v2:3 of batch@v2:3: what differs between the subjects of one campaign."""
        if not self.series:
            return self.base
        return self.series[-1].rpartition("@")[2] + ("" if self.upto is None else f":{self.upto}")

    @property
    def label(self) -> str:
        """For people; nothing reads it back."""
        if not self.series:
            return self.base
        upto = "" if self.upto is None else f":{self.upto}"
        return f"{' + '.join(self.series)}{upto} on {self.base}"

    @property
    def whole(self) -> "Subject":
        """The series with all its patches."""
        return replace(self, upto=None)


@dataclass(frozen=True, kw_only=True, slots=True)
class TreeSpec:
    base: Base
    series: SeriesVersion | None = None
    below: tuple[SeriesVersion, ...] = ()
    """What the series goes on top of, lowest first."""
    upto: int | None = None
    """How many of the series' patches; all by default."""

    @property
    def own(self) -> tuple[Patch, ...]:
        """The series' patches, without those below."""
        if self.series is None:
            return ()
        return self.series.first(len(self.series.patches) if self.upto is None else self.upto)

    @property
    def patches(self) -> tuple[Patch, ...]:
        return (*(patch for one in self.below for patch in one.patches), *self.own)

    @property
    def promises(self) -> tuple[str, ...]:
        """Of what is below, and of the series if all of it is there."""
        whole = self.series is not None and len(self.own) == len(self.series.patches)
        every = (*self.below, *([self.series] if self.series and whole else []))
        return tuple(dict.fromkeys(one for each in every for one in each.promises))

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
    """git's hash of the content: what a build is named after."""
    version: KernelVersion
    """As the tree's own Makefile has it."""
    series: str = ""
    """Digest of the whole series that is on top, or of which a part is; empty for a trusted base,
    which comes from Debian, kernel.org or the user's own tree."""


def materialize(store: Store, spec: TreeSpec) -> KernelTree:
    """The tree as a commit of linux.git. Raises ApplyError, naming patch, file and hunk, and a base
    that is here and does better."""
    try:
        return _materialize(store, spec)
    except ApplyError as error:
        others = (one for one in base.fetched(store) if one.commit != spec.base.commit)
        fits = next((one for one in others if applies(store, replace(spec, base=one))), None)
        if fits:
            error.hint = f"it does apply to {fits.name}: --base {fits.name}"
        raise


def applies(store: Store, spec: TreeSpec) -> bool:
    try:
        _materialize(store, spec)
    except ApplyError:
        return False
    return True


def _materialize(store: Store, spec: TreeSpec) -> KernelTree:
    commit = spec.base.commit
    if spec.patches:
        # Trees of a rig that did not look at what git had made are made again.
        inputs = {"base": commit, "patches": model.digest(spec.patches), "checked": 1}
        name = digest(inputs)

        def apply(_: Path) -> dict[str, str]:
            with log.step(f"Applying {spec.label}"):
                applied = _apply(store, spec)
            git.keep(store, f"trees/{name}", applied)
            return {"commit": applied, "label": spec.label}

        store.make("trees", name, inputs, apply)
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
    """The same for each of its first patches: they share what is made of them."""
    if spec.series is None:
        return "" if spec.base.trusted else f"base {spec.base.commit}"
    whole = (*spec.below, spec.series)
    return model.digest(tuple(patch for one in whole for patch in one.patches))


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
        raise ConfigError(f"{commit} is no kernel tree: its Makefile has no version") from error


def tree_of(store: Store, commit: str) -> str:
    return git.text("rev-parse", f"{commit}^{{tree}}", cwd=git.repository(store))


def _apply(store: Store, spec: TreeSpec) -> str:
    files = tuple(dict.fromkeys(file for patch in spec.patches for file in patch.files))
    steps: list[Step] = []
    with git.sparse_worktree(store, spec.base.commit, files) as work:
        head = spec.base.commit
        for patch in spec.patches:
            # --keep-cr as b4 does, for the patch's own.
            strip = ("--no-keep-cr", "--quoted-cr=strip")
            ends = strip if rfc822.has_mailers_ends(patch.mail) else ("--keep-cr",)
            words = ("am", "--3way", "--quiet", *ends)
            done = git.git(*words, cwd=work, stdin=patch.as_read, check=False)
            if done.status:
                raise _rejected(spec, patch, done.stdout + done.stderr, work)
            before, head = head, git.text("rev-parse", "HEAD", cwd=work)
            name = _called(spec, patch)
            steps.append(Step(name=name, files=patch.files, before=before, after=head))
        applied.check(work, steps, spec.base.name)
    if there := sum(step.before == step.after for step in steps):
        log.note(f"{there} of its patches are in {spec.base.name} already")
    return head


def _called(spec: TreeSpec, patch: Patch) -> str:
    owner = next(one for one in (*spec.below, spec.series) if one and patch in one.patches)
    of = f"{patch.number}/{len(owner.patches)}" + (f" of {owner.label}" if spec.below else "")
    return f"patch {of} ({patch.subject})"


def _rejected(spec: TreeSpec, patch: Patch, said: str, work: Path) -> RigError:
    """Name the first hunk git could not place, and show it."""
    git.git("am", "--abort", cwd=work, check=False)
    diff = rfc822.body_of(patch.mail).encode()
    words = ("apply", "--check", "--index", "--verbose")
    output = git.git(*words, cwd=work, stdin=diff, check=False).stderr + said
    called = _called(spec, patch)
    if outside := OUTSIDE.search(output):
        return ConfigError(
            f"{called}: {outside[1] or outside[2]!r} is a path outside the tree", hint=vetting.HINT
        )
    if beyond := BEYOND.search(output):
        return ConfigError(
            f"{called}: {beyond[1]!r} is written through a symlink", hint=vetting.HINT
        )
    where, hunk = "", ""
    if failed := re.search(r"error: patch failed: (.+):(\d+)", output):
        file, line = failed[1], int(failed[2])
        where, hunk = f": {file}, the hunk at line {line}", patch.hunk(file, line)
    elif absent := re.search(
        r"error: (.+): (No such file or directory|does not exist in index)", output
    ):
        where = f": {absent[1]} is not in {spec.base.name}"
    elif there := re.search(r"error: (.+): already exists in (index|working directory)", output):
        where = f": {there[1]} is in {spec.base.name} already"
    return ApplyError(
        f"{called} does not apply to {spec.base.name}{where}",
        hint=applied.OTHER_BASE,
        detail=hunk or said.strip()[-2000:],
    )
