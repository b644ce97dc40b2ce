# SPDX-License-Identifier: GPL-2.0-only
"""`BuildSpec` -> `KernelBuild`: configures and compiles a tree in its lane, keeps the kernel."""

import contextlib
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rig import git, log, proc
from rig.arch import Arch
from rig.errors import BuildError, ConfigError
from rig.kernel import builddir, buildhost, kconfig, makelog, sandbox, tree
from rig.kernel import flavour as flavours
from rig.kernel.builddir import Lane
from rig.kernel.kconfig import Setting
from rig.kernel.makelog import Meter
from rig.kernel.tree import KernelTree, TreeSpec
from rig.store import Store, digest, file_digest, host_trouble

EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
"""git's hash of a tree without files, which every repository has."""
KCONFIG_FILES = (":(glob)**/Kconfig*", "scripts")
RELEASE_FILE = "include/config/kernel.release"
RELEASE = re.compile(r"[\w.+~-]{1,64}")
SHARED_HEADER = re.compile(r"(?:^|[/\0])include/[^\0]*\.h(?:\0|$)")
CONFIG_MAX, IMAGE_MAX = 4 << 20, 1 << 30
ARTEFACTS = {"vmlinux": 2 << 30, "System.map": 64 << 20, ".config": CONFIG_MAX}
"""Files that are kept of a build, and their size limit in bytes: the rig reads some as a whole."""
# Write .config only if it differs, because make looks at its time stamp. This runs in the sandbox:
# if a series made .config, or a directory, a symlink, it cannot lead to a file of the host.
CONFIGURE = (
    '(cd "$1" && xargs -0 -r rm -f -- <"$0/again"); '
    'cmp -s "$0/config" "$1/.config" || cp --remove-destination -- "$0/config" "$1/.config"; '
    'shift; exec "$@"'
)
ALL_OBJECTS = "all objects"
"""In the manifest of a build: of what its warnings are. An older rig kept those of the objects that
one make happened to compile, which cannot be compared with those of another build."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KernelConfig:
    arch: Arch
    flavour: str
    requested: tuple[Setting, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildSpec:
    tree: KernelTree
    config: KernelConfig
    unconfined: bool = False
    """A series may be built even if the sandbox does not work."""

    @property
    def may_escape(self) -> bool:
        """Whether it may be built without a sandbox: it is trusted, or the user allows it."""
        return self.unconfined or not self.tree.series

    @property
    def lane(self) -> str:
        """The lane's name. It has the release, because a lane that went from v6.12 to v7.2 and back
        would compile everything twice."""
        config = self.config
        return f"{config.arch.name}-{config.flavour}-{self.tree.version.base}"


@dataclass(frozen=True, kw_only=True, slots=True)
class KernelBuild:
    digest: str
    arch: str
    label: str
    release: str
    directory: Path
    image: Path
    vmlinux: Path
    warnings: tuple[str, ...]
    whole: bool = False
    """Whether these are the warnings of all objects; see all_warnings()."""
    seconds: float
    objects: int
    """Number of files that were compiled; 0 for a build from the store."""
    reused: bool


def fragments(kconfigs: Path, arch: Arch, flavour: str, extra: tuple[Path, ...]) -> KernelConfig:
    """The configuration of a flavour, with the suites' own fragments (`extra`)."""
    flavours.check(kconfigs, flavour, (arch.name,))
    paths = (
        kconfigs / "base.config",
        kconfigs / "arch" / f"{arch.name}.config",
        kconfigs / "flavour" / f"{flavour}.config",
        *(path for path in extra if path.is_file()),
    )
    parsed = []
    for path in paths:
        inside = path.is_relative_to(kconfigs.parent)
        shown = path.relative_to(kconfigs.parent) if inside else path
        parsed.append(kconfig.parse_fragment(str(shown), path.read_text()))
    return KernelConfig(arch=arch, flavour=flavour, requested=kconfig.merge(parsed))


def toolchain(arch: Arch) -> str:
    """The first line of `gcc --version`: the compiler and its exact version."""
    return proc.run([sandbox.tool(arch.tool("gcc")), "--version"]).stdout.splitlines()[0]


def build(store: Store, spec: BuildSpec) -> KernelBuild:
    """The kernel, from the store if the same content was compiled before.

    Raises BuildError with the compiler's first error, ConfigError for a symbol that cannot be set,
    InfraError if the sandbox does not work and a series needs it.
    """
    if (why := sandbox.broken()) and not spec.may_escape:
        raise sandbox.refusal(why)
    if spec.tree.series:
        _build_base_first(store, spec)
    compiler = toolchain(spec.config.arch)
    resolved = _configuration(store, spec, compiler)
    text = (resolved / ".config").read_text()
    made_of = {
        "tree": spec.tree.tree,
        "config": digest({"config": text}),
        "toolchain": compiler,
        "settings": builddir.SETTINGS,
    }
    inputs = owned(store, "builds", made_of, spec.tree)
    name = digest(inputs)
    compiled: list[Path] = []

    def compile_(out: Path) -> Mapping[str, Any]:  # not called if another rig was faster
        compiled.append(out)
        buildhost.check(spec.config.arch)
        return _compile(store, spec, resolved, out)

    store.make("builds", name, inputs, compile_)
    path, facts = store.path("builds", name), store.manifest("builds", name)
    return KernelBuild(
        digest=name,
        arch=spec.config.arch.name,
        label=spec.tree.label,
        release=facts["release"],
        directory=path,
        image=path / facts["image"],
        vmlinux=path / "vmlinux",
        warnings=tuple(facts["warnings"]),
        whole=facts.get("warnings_of") == ALL_OBJECTS,
        seconds=facts["seconds"],
        objects=facts["objects"] if compiled else 0,
        reused=not compiled,
    )


def all_warnings(store: Store, spec: BuildSpec, built: KernelBuild) -> tuple[str, ...]:
    """The warnings of all objects of a kernel, which build() has returned for `spec`.

    They are in its entry, unless an older rig made it or had compiled in its lane. Then the kernel
    is compiled again, for its warnings.
    """
    if built.whole:
        return built.warnings
    inputs = {"build": built.digest, "warnings_of": ALL_OBJECTS}

    def compile_(out: Path) -> Mapping[str, Any]:
        buildhost.check(spec.config.arch)
        resolved = _configuration(store, spec, toolchain(spec.config.arch))
        facts = _compile(store, spec, resolved, out, warnings=True)
        for file in out.iterdir():
            file.unlink()
        return {"warnings": facts["warnings"]}

    store.make("warnings", digest(inputs), inputs, compile_)
    return tuple(store.manifest("warnings", digest(inputs))["warnings"])


def _build_base_first(store: Store, spec: BuildSpec) -> None:
    """Build the base, so that the build of a series can start from a copy of its objects.

    Not if the series changes a header, and so most objects: then two kernels would be compiled
    instead of one.
    """
    if sandbox.broken() or builddir.compiled(store, spec.lane) or not spec.tree.base.trusted:
        return
    range_ = (spec.tree.base.commit, spec.tree.commit)
    words = ("diff-tree", "-r", "-z", "--no-renames", "--name-only", "--diff-filter=M", *range_)
    if SHARED_HEADER.search(git.git(*words, cwd=git.repository(store)).stdout):
        return
    base = tree.materialize(store, TreeSpec(base=spec.tree.base))
    with contextlib.suppress(BuildError, ConfigError):  # then the series starts without objects
        build(store, replace(spec, tree=base))


def owned(
    store: Store, kind: str, inputs: Mapping[str, Any], tree: KernelTree
) -> Mapping[str, Any]:
    """The inputs that name an entry which the tree's own Makefiles make.

    An entry that a series makes is named after the series too, and no other tree uses it: its
    content may come from any patch of the series, even from one that a later patch reverts.
    """
    if not tree.series or store.find(kind, digest(inputs)):
        return inputs
    return {**inputs, "series": tree.series}


def _kconfig_digest(store: Store, tree: KernelTree) -> str:
    """A digest of all files that a configuration depends on: Kconfig files, and scripts they run.

    They are found by the difference to a tree that was listed before. Listing all 85,000 files of a
    tree takes longer than all the rest of a build that is in the store.
    """

    def list_(out: Path) -> None:
        listings = store.root.glob("kconfigs/[0-9a-f]*/files.json")
        newest_first = sorted(listings, key=lambda path: path.stat().st_mtime, reverse=True)
        # A list outlives its tree, if that was borrowed from a repository that is gone.
        for listed in (*(path.parent.name for path in newest_first), EMPTY_TREE):
            last = listed == EMPTY_TREE
            if not last and not store.find("kconfigs", listed):
                continue
            trees = ("-r", "-z", "--no-renames", listed, tree.tree, "--", *KCONFIG_FILES)
            result = git.git("diff-tree", *trees, cwd=git.repository(store), check=last)
            if result.status == 0:
                break
        known = store.path("kconfigs", listed) / "files.json"
        files: dict[str, str] = {} if last else json.loads(known.read_text())
        words = iter(result.stdout.split("\0"))
        for change, path in zip(words, words, strict=False):
            _, mode, _, blob, _ = change.split()
            files[path] = f"{mode} {blob}"
        present = {path: entry for path, entry in files.items() if not entry.startswith("000000")}
        (out / "files.json").write_text(json.dumps(present, sort_keys=True))

    directory = store.make("kconfigs", tree.tree, {"patterns": KCONFIG_FILES}, list_)
    return file_digest(directory / "files.json")


# --- the configuration -------------------------------------------------------------------------


def _configuration(store: Store, spec: BuildSpec, compiler: str) -> Path:
    """The entry that has the .config. It is looked up by all that the .config depends on."""
    inputs = {
        "kconfig": _kconfig_digest(store, spec.tree),
        "requested": kconfig.render(spec.config.requested),
        "arch": spec.config.arch.kernel,
        "toolchain": compiler,
    }
    request = digest(owned(store, "configs", inputs, spec.tree))
    return store.find("configs", request) or _configure(store, spec, request)


def _configure(store: Store, spec: BuildSpec, request: str) -> Path:
    """Let Kconfig resolve the requested settings, and check that each of them holds."""
    inputs = {"requested": kconfig.render(spec.config.requested)}

    def resolve(out: Path) -> Mapping[str, Any]:
        text, warnings = _resolved(store, spec)
        (out / ".config").write_text(text)
        return {"warnings": warnings}

    return store.make("configs", request, inputs, resolve)


def _resolved(store: Store, spec: BuildSpec) -> tuple[str, list[str]]:
    """The .config, and Kconfig's warnings."""
    buildhost.check(spec.config.arch)
    with (
        builddir.held(store, spec.lane, spec.tree) as held,
        log.step(f"Configuring {spec.tree.label} for {spec.config.arch.name}"),
    ):
        fragment = held.given / "requested.config"
        fragment.write_text(kconfig.render(spec.config.requested))
        command = builddir.make_command(
            spec.config.arch, held.place, f"KCONFIG_ALLCONFIG={fragment}", "allnoconfig"
        )
        result = proc.run(_boxed(command, held, spec), check=False)
        output = result.stdout + result.stderr
        if result.status:
            failure = BuildError(
                f"make allnoconfig failed in {spec.tree.label}", detail=output[-3000:]
            )
            raise buildhost.fault(spec.config.arch, output, result.status) or failure
        text = sandbox.read(held.out, ".config", CONFIG_MAX).decode("utf-8", "replace")
        _check_config(spec, held.source, text)
    return text, makelog.kconfig_warnings(output)


def _boxed(command: list[str], held: Lane, spec: BuildSpec) -> list[str]:
    return sandbox.command(command, held.box(), unconfined=spec.may_escape)


def _check_config(spec: BuildSpec, source: Path, text: str) -> None:
    absent = kconfig.missing(spec.config.requested, kconfig.parse_config(text))
    if not absent:
        return
    paths = source.rglob("Kconfig*")
    files = (path for path in paths if path.is_file() and not path.is_symlink())
    texts = {str(path.relative_to(source)): path.read_text(errors="replace") for path in files}
    raise ConfigError(
        f"{len(absent)} of the requested settings cannot be set in {spec.tree.label}: "
        + ", ".join(missing.setting.symbol for missing in absent),
        hint="add the settings that they depend on, or remove them from the fragment",
        detail="\n".join(kconfig.explain(missing, texts) for missing in absent),
    )


# --- compiling ---------------------------------------------------------------------------------


def _compile(
    store: Store, spec: BuildSpec, resolved: Path, out: Path, *, warnings: bool = False
) -> Mapping[str, Any]:
    """Compile with the .config of the entry `resolved`. With `warnings`, those of all objects are
    had at any price; otherwise if the lane knows enough."""
    arch = spec.config.arch
    began = time.monotonic()
    of_kconfig = store.manifest("configs", resolved.name).get("warnings")
    if warnings and of_kconfig is None:  # an older rig made the entry
        _, of_kconfig = _resolved(store, spec)
    with builddir.held(store, spec.lane, spec.tree, warnings=warnings) as held:
        title = f"Building {spec.tree.label} for {arch.name}"
        with log.step(title) as step, host_trouble("building"):
            if why := sandbox.broken():
                step.note(f"the build is not confined: {why}")
            command, meter = _make(store, spec, held, step, resolved)
            for name, limit in {**ARTEFACTS, arch.image: IMAGE_MAX}.items():
                sandbox.take(held.out, name, out / Path(name).name, limit)
            release = sandbox.read(held.out, RELEASE_FILE, 4096).decode("utf-8", "replace").strip()
    if not RELEASE.fullmatch(release):
        raise BuildError(
            f"{RELEASE_FILE} has {release!r}, which is not a kernel release",
            hint="look for a change to the version in the series' Makefiles",
        )
    whole = of_kconfig is not None and held.warned is not None
    return {
        "release": release,
        "label": spec.tree.label,
        "arch": arch.name,
        "flavour": spec.config.flavour,
        "commit": spec.tree.commit,
        "origin": spec.tree.base.origin,
        "image": Path(arch.image).name,
        "objects": meter.objects,
        "warnings": [*(of_kconfig or ()), *meter.warnings],
        "warnings_of": ALL_OBJECTS if whole else "some objects",
        "seconds": round(time.monotonic() - began, 1),
        "sandboxed": not why,
        "command": proc.paste(command),
    }


def _make(
    store: Store, spec: BuildSpec, held: Lane, step: log.Step, resolved: Path
) -> tuple[list[str], Meter]:
    """Run make in the lane. Returns the command, and what make has printed."""
    arch = spec.config.arch
    (held.given / "config").write_bytes((resolved / ".config").read_bytes())
    held.compile_again()
    expected = _expected(store, spec, held)
    meter = Meter(step, expected, place=held.place, warned=held.note_warned)
    make = builddir.make_command(arch, held.place, arch.target, "vmlinux")
    places = (str(held.given), str(held.place / "out"))
    command = _boxed(["sh", "-c", CONFIGURE, *places, *make], held, spec)
    with held.making():
        result = proc.run(command, check=False, on_line=meter, deadline=7200)
        held.keep_warned(meter.warned, complete=result.status == 0)
        if result.status:
            raise makelog.failure(meter, held.source, arch, result.status)
    _remember(store, spec, meter)
    return command, meter


def _expected(store: Store, spec: BuildSpec, held: Lane) -> int:
    """Number of files in a full build, from an earlier one; 0 for a build that has objects to
    start from."""
    memory = store.root / "lanes" / f"{spec.config.arch.name}-{spec.config.flavour}.objects"
    return 0 if (held.out / "vmlinux").is_file() else _count(memory)


def _count(memory: Path) -> int:
    try:
        return int(memory.read_text())
    except (OSError, ValueError):
        return 0


def _remember(store: Store, spec: BuildSpec, meter: Meter) -> None:
    memory = store.root / "lanes" / f"{spec.config.arch.name}-{spec.config.flavour}.objects"
    if spec.tree.series:  # the output of its Makefiles is not trusted
        return
    if _count(memory) < meter.objects:
        memory.write_text(str(meter.objects))
