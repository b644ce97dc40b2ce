# SPDX-License-Identifier: GPL-2.0-only
"""What somebody asked for, in their words -> `RunSpec`s; names are checked before work begins."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from rig import arch as arches
from rig import log
from rig.campaigns import each_patch as each_patches
from rig.campaigns import pipeline
from rig.campaigns.options import OPTIONS, Request
from rig.campaigns.results import RunSpec
from rig.context import Context
from rig.errors import ConfigError, unknown
from rig.guest import accel, image
from rig.guest.qemu import Accel, Machine, Seeded, Swap
from rig.kernel import base, basefinder, kbuild, mutant, sandbox
from rig.kernel.kbuild import KernelBuild
from rig.kernel.tree import TreeSpec
from rig.series import fetch, model, target
from rig.series.model import SeriesVersion
from rig.series.target import Target
from rig.shelves import Shelves
from rig.store import Store
from rig.suites import suite

SEVERAL = r"v\d+(,v\d+)*"
"""Revisions: v1, or v1,v2."""


def fetched(shelves: Shelves, request: Request) -> Request:
    """A series that is a mail still is put on the shelf first, unless it is there.

    What the user's tree or the shelf has is no mail, though it may look like one.
    """
    if not (named := target.message(request.target)):
        return request
    if request.tree is not None:
        base.check_tree(request.tree)
    if _is_revision(request):
        return request
    _check_revision(shelves, request.target)
    if not (there := model.by_message_id(shelves.patches, named)):
        found = fetch.fetch(shelves.patches, request.target).series[-1]
        return replace(request, target=found.label)
    found, variant = there
    if variant and request.base not in ("", variant):
        log.note(f"{named} is {found.label} for {variant}, and {request.base} is asked for")
    return replace(request, target=found.label, base=request.base or variant)


def check(shelves: Shelves, request: Request) -> None:
    """Raise ConfigError for any name or number that is not there, with the nearest that are."""
    if not request.arch:
        raise ConfigError("no architecture is named", hint=f"known: {', '.join(arches.known())}")
    for name in request.arch:
        arches.pick(name)
    suite.select(request.suites, request.cases)
    suite.check_promises(request.promises)
    if request.mutant:
        mutant.check_name(mutant.load_all(shelves.patches), request.mutant)
    kbuild.check_flavour(shelves.kconfigs, request.flavour)
    image.load(shelves.images, "test")
    for name, entry in OPTIONS.items():
        if entry.choices and (value := getattr(request, name)) not in entry.choices:
            raise unknown(f"value of {entry.flag}", value, entry.choices)
    if request.after and not request.each_patch:
        raise ConfigError("--after is for --each-patch", hint="--each-patch --after 1,3")
    if request.schedule == "seeded" and request.accel == Accel.KVM:
        raise ConfigError("the seeded schedule is TCG's: KVM's CPUs cannot be made to take turns")
    _check_numbers(request)
    _check_target(shelves, request)


def specs(context: Context, request: Request) -> tuple[RunSpec, ...]:
    """A spec for each repetition and architecture; ConfigError before the first long step."""
    for one in (asked := revisions(request)):
        check(context.shelves, one)
    plain = tuple(spec for one in asked for spec in _specs(context, one))
    if request.each_patch:
        plain = tuple(one for spec in plain for one in _each_patch(spec, request.after))
    return plain * request.repeat


def revisions(request: Request) -> tuple[Request, ...]:
    """A request for each revision: of `batch@v1,v2` two."""
    name, _, several = request.target.partition("@")
    if "," not in several or not re.fullmatch(SEVERAL, several):
        return (request,)
    numbers = dict.fromkeys(several.split(","))
    return tuple(replace(request, target=f"{name}@{number}") for number in numbers)


def _specs(context: Context, request: Request) -> Iterator[RunSpec]:
    tree = tree_spec(context, request)
    suite.check_promises(tree.promises)  # those of what is below as well
    for name in _architectures(request):
        yield RunSpec(
            request=_pinned(request, tree),
            tree=tree,
            machine=_machine(context.store, request, name),
            suites=suite.select(request.suites, request.cases),
            promises=tuple(dict.fromkeys((*tree.promises, *request.promises))),
        )


def _pinned(request: Request, tree: TreeSpec) -> Request:
    """What gives the same again when the shelf has a newer revision."""
    if tree.series is None:
        return request
    shelved = not target.parse(request.target).file
    upto = "" if tree.upto is None else f":{tree.upto}"
    named = f"{tree.series.label}{upto}" if shelved else request.target
    return replace(request, target=named, base=tree.base.name)


def at_seed(spec: RunSpec, seed: int) -> RunSpec:
    """The spec in the seeded schedule, with that seed."""
    machine = replace(spec.machine, schedule=Seeded(seed=seed))
    return replace(spec.but(seed=seed, schedule="seeded"), machine=machine)


def _each_patch(spec: RunSpec, after: tuple[str, ...]) -> Iterator[RunSpec]:
    for number, step in enumerate(steps := tuple(each_patches.steps(spec.tree)), 1):
        boot = step.last or "all" in after or str(number) in after
        suites = spec.suites if boot else ()
        promises = spec.promises if step.last else step.whole.promises
        yield replace(spec, tree=step.whole, suites=suites, boot=boot, step=step, promises=promises)
    if wrong := set(after) - {"all", *(str(number + 1) for number in range(len(steps)))}:
        raise ConfigError(
            f"{spec.tree.label} has no patch {min(wrong)}", hint=f"1 to {len(steps)}, or all"
        )


def build(context: Context, request: Request) -> tuple[KernelBuild, ...]:
    """The kernel of a target for each architecture. No QEMU is needed: TCG in name."""
    check(context.shelves, request)
    tree = tree_spec(context, request)
    specs = (
        RunSpec(request=request, tree=tree, machine=Machine(arch=name, accel=Accel.TCG))
        for name in _architectures(request)
    )
    return tuple(kbuild.build(context.store, pipeline.build_spec(context, spec)) for spec in specs)


def _architectures(request: Request) -> tuple[str, ...]:
    """By their own names, each once."""
    return tuple(dict.fromkeys(arches.pick(name).name for name in request.arch))


def _check_target(shelves: Shelves, request: Request) -> None:
    if request.tree is not None:
        base.check_tree(request.tree)
    is_series = names_a_series(shelves, request.target)
    if not is_series and not _is_revision(request):
        _check_revision(shelves, request.target)
    if request.tree is None or is_series:
        wanted = target.parse(request.target)
        if not wanted.base:
            found = _series(shelves, wanted, request.base)
            found.first(1 if wanted.upto is None else wanted.upto)
            suite.check_promises(found.promises)
    if is_series and not request.unconfined and (why := sandbox.broken()):
        raise sandbox.refusal(why)
    if request.base and not is_series:
        raise ConfigError(
            f"--base {request.base} is what a series is applied to, and {request.target} is none",
            hint=f"rig run {request.base}, or SERIES --base {request.base}",
        )


def _is_revision(request: Request) -> bool:
    """Of the user's tree."""
    return request.tree is not None and bool(base.commit_of(request.tree, request.target))


def _check_revision(shelves: Shelves, text: str) -> None:
    """What stands behind a series' name and an @ is a revision of it, and nothing else."""
    name, at, said = text.partition("@")
    wanted = said.partition(":")[0]
    if not at or re.fullmatch(SEVERAL, wanted) or target.FILE.fullmatch(text):
        return
    if name in model.names(shelves.patches):
        known = (f"v{number}" for number in model.revisions(shelves.patches, name))
        raise ConfigError(
            f"there is no revision of {name} named {wanted!r}",
            hint=f"its revisions: {', '.join(known)}",
        )


def _check_numbers(request: Request) -> None:
    for name, entry in OPTIONS.items():
        least, most = entry.limits or (0, 0)
        if entry.limits and not least <= (value := getattr(request, name)) <= most:
            raise ConfigError(f"{entry.flag} {value} is out of range", hint=f"{least} to {most}")
    if request.pages % suite.PAGES_STEP:
        raise ConfigError(f"--pages {request.pages} is no multiple of {suite.PAGES_STEP}")
    if not request.zram and not request.swap_disk:
        raise ConfigError(
            "a guest without swap has nowhere to reclaim to", hint="--zram or --swap-disk"
        )


def _machine(store: Store, request: Request, arch: str) -> Machine:
    known = arches.pick(arch)
    if request.schedule == "seeded":
        return Machine(
            arch=arch,
            accel=Accel.TCG,
            cpus=request.cpus,
            memory=request.memory,
            swap=Swap(zram=request.zram, disk=request.swap_disk),
            lru_gen=request.lru_gen,
            schedule=Seeded(seed=request.seed),
        )
    chosen = accel.choose(store, known, request.accel)
    cpuinfo = Path("/proc/cpuinfo").read_text()
    return Machine(
        arch=arch,
        accel=chosen,
        cmdline=known.tcg_cmdline(cpuinfo) if chosen is Accel.TCG else (),
        cpus=request.cpus,
        memory=request.memory,
        swap=Swap(zram=request.zram, disk=request.swap_disk),
        lru_gen=request.lru_gen,
    )


def tree_spec(context: Context, request: Request) -> TreeSpec:
    """The base and the series a target means; the base is fetched if need be."""
    if request.tree is not None and not names_a_series(context.shelves, request.target):
        return TreeSpec(base=base.resolve(context.store, request.target, tree=request.tree))
    wanted = target.parse(request.target)
    if wanted.base:
        return TreeSpec(base=base.resolve(context.store, request.base or wanted.base))
    found = _series(context.shelves, wanted, request.base)
    below = model.beneath(context.shelves.patches, found, request.base)
    return TreeSpec(
        base=basefinder.base_of(
            context.store, found, below=below, name=request.base, tree=request.tree
        ),
        series=found,
        below=below,
        upto=wanted.upto,
    )


def _revision_here(name: str) -> ConfigError:
    return ConfigError(
        f"there is no series named {name!r}, but this directory's git tree has such a revision",
        hint="--tree . tests it",
    )


def names_a_series(shelves: Shelves, text: str) -> bool:
    try:
        wanted = target.parse(text)
    except ConfigError:
        return False
    if wanted.file is not None:  # or a branch that is named like one: mm/fixes
        return wanted.file.suffix in (".mbx", ".mbox", ".patch") or wanted.file.is_file()
    return wanted.series in model.names(shelves.patches)


def _series(shelves: Shelves, wanted: Target, base_name: str) -> SeriesVersion:
    if wanted.file is not None:
        if not wanted.file.exists() and base.commit_of(Path(), str(wanted.file)):
            raise _revision_here(str(wanted.file))
        return model.read(wanted.file)
    known = model.names(shelves.patches)
    if wanted.series not in known:
        if base.commit_of(Path(), wanted.series):
            raise _revision_here(wanted.series)
        raise unknown("series", wanted.series, (*known, base.DEFAULT))
    return model.load(shelves.patches, wanted.series, wanted.revision, base_name)
