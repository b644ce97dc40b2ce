# SPDX-License-Identifier: GPL-2.0-only
"""`Request` (the user's options) -> `RunSpec`s; names and numbers are checked first."""

import hashlib
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from rig import arch as arches
from rig import log
from rig.campaigns import each_patch as each_patches
from rig.campaigns import pipeline
from rig.campaigns.options import OPTIONS, Request, check_limits
from rig.campaigns.results import RunSpec
from rig.context import Context
from rig.errors import ConfigError, unknown
from rig.guest import accel, image
from rig.guest.qemu import Accel, Machine, Seeded, Swap
from rig.kernel import base, basefinder, flavour, kbuild, mutant, sandbox
from rig.kernel.kbuild import KernelBuild
from rig.kernel.tree import TreeSpec
from rig.series import fetch, intake, model, target
from rig.series.model import SeriesVersion
from rig.series.target import Target
from rig.shelves import Shelves
from rig.store import Store
from rig.suites import suite

REVISIONS = r"v\d+(,v\d+)*"
"""v1, or v1,v2."""


def kept(text: str, store: Callable[[], Store]) -> str:
    """The target `text`. If it is a pipe or stdin, a file of the store that has its mails.

    A run reads its target several times, and the command that runs it again once more; a pipe can
    be read only once.
    """
    if match := target.STDIN.fullmatch(text):
        name, data = "stdin", intake.stdin()
    elif (match := target.FILE.fullmatch(text)) and _is_pipe(match["path"]):
        name, data = "pipe", intake.read(Path(match["path"]))
    else:
        return text
    if not data.strip():
        raise ConfigError(f"{name}: there is no mail in it", hint="b4 am -o- ID | rig run -")
    digest = hashlib.sha256(data).hexdigest()[:32]

    def make(directory: Path) -> None:
        (directory / f"{name}.mbx").write_bytes(data)

    entry = store().make("mails", f"{name}-{digest}", {"sha256": digest}, make)
    return f"{entry / name}.mbx{':' if match['upto'] else ''}{match['upto'] or ''}"


def _is_pipe(path: str) -> bool:
    try:
        return Path(path).is_fifo()
    except (OSError, ValueError):  # such as a name that is too long
        return False


def fetched(shelves: Shelves, request: Request) -> Request:
    """If the target is a message-id, fetch the series into patches/, unless it is there already.

    A revision of the user's tree is not fetched, though its name may look like a message-id.
    """
    if not (message_id := target.message(request.target)):
        return request
    if request.tree is not None:
        base.check_tree(request.tree)
    if _is_tree_revision(request):
        return request
    _check_revision(shelves, request.target)
    if not (match := model.by_message_id(shelves.patches, message_id)):
        series = fetch.fetch(shelves.patches, request.target).series[-1]
        return replace(request, target=series.label)
    series, variant = match
    if variant and request.base not in ("", variant):
        log.note(f"{message_id} is {series.label} for base {variant}, but --base is {request.base}")
    return replace(request, target=series.label, base=request.base or variant)


def check(shelves: Shelves, request: Request) -> None:
    """Raise ConfigError for an unknown name or a wrong number; the hint has names that exist."""
    if not request.arch:
        raise ConfigError("no architecture is named", hint=f"known: {', '.join(arches.known())}")
    names = [arches.pick(name).name for name in request.arch]
    suite.select(request.suites, request.cases)
    suite.check_promises(request.promises)
    if request.mutant:
        mutant.check_name(mutant.load_all(shelves.patches), request.mutant)
    flavour.check(shelves.kconfigs, request.flavour, names)
    image.load(shelves.images, "test")
    for name, entry in OPTIONS.items():
        if entry.choices and (value := getattr(request, name)) not in entry.choices:
            raise unknown(f"value of {entry.flag}", value, entry.choices)
    if request.after and not request.each_patch:
        raise ConfigError("--after needs --each-patch", hint="--each-patch --after 1,3")
    if request.schedule == "seeded" and request.accel == Accel.KVM:
        raise ConfigError(
            "--schedule seeded needs TCG: with --accel kvm the CPUs cannot run in turn",
            hint="leave out --accel",
        )
    _check_numbers(request)
    _check_target(shelves, request)


def specs(context: Context, request: Request) -> tuple[RunSpec, ...]:
    """A spec for each repetition and architecture. Raises ConfigError before any long step."""
    requests = revisions(request)
    for revision in requests:
        check(context.shelves, revision)
    single = tuple(spec for revision in requests for spec in _specs(context, revision))
    if request.each_patch:
        single = tuple(step for spec in single for step in _each_patch(spec, request.after))
    return single * request.repeat


def revisions(request: Request) -> tuple[Request, ...]:
    """A request for each revision: two for `batch@v1,v2`."""
    name, _, listed = request.target.partition("@")
    if "," not in listed or not re.fullmatch(REVISIONS, listed):
        return (request,)
    numbers = dict.fromkeys(listed.split(","))
    return tuple(replace(request, target=f"{name}@{number}") for number in numbers)


def _specs(context: Context, request: Request) -> Iterator[RunSpec]:
    tree = tree_spec(context, request)
    suite.check_promises(tree.promises)  # also those of the series below this one
    pinned = _pinned(request, tree)
    for name in architectures(request):
        yield RunSpec(
            request=pinned,
            tree=tree,
            machine=_machine(context.store, request, name),
            suites=suite.select(request.suites, request.cases),
            promises=tuple(dict.fromkeys((*tree.promises, *request.promises))),
        )


def _pinned(request: Request, tree: TreeSpec) -> Request:
    """The request with its revision, base and absolute paths: the same run, from any directory and
    also when patches/ has a newer revision."""
    if request.tree is not None:
        request = replace(request, tree=request.tree.absolute())
    if tree.series is None:
        return request
    parsed = target.parse(request.target)
    pinned = tree.subject.target
    if parsed.file is not None:
        upto = "" if parsed.upto is None else f":{parsed.upto}"
        pinned = f"{parsed.file.absolute()}{upto}"
    return replace(request, target=pinned, base=tree.base.name)


def at_seed(spec: RunSpec, seed: int) -> RunSpec:
    """The spec in the seeded schedule, with this seed."""
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
    """The kernel of a target for each architecture. QEMU need not be installed."""
    check(context.shelves, request)
    tree = tree_spec(context, request)
    specs = (
        # The machine is not booted: TCG is there because the field needs a value.
        RunSpec(request=request, tree=tree, machine=Machine(arch=name, accel=Accel.TCG))
        for name in architectures(request)
    )
    return tuple(kbuild.build(context.store, pipeline.build_spec(context, spec)) for spec in specs)


def architectures(request: Request) -> tuple[str, ...]:
    """The requested architectures by their own names, without duplicates."""
    return tuple(dict.fromkeys(arches.pick(name).name for name in request.arch))


def _check_target(shelves: Shelves, request: Request) -> None:
    if request.tree is not None:
        base.check_tree(request.tree)
    is_series = names_a_series(shelves, request.target)
    if not is_series and not _is_tree_revision(request):
        _check_revision(shelves, request.target)
    if request.tree is None or is_series:
        parsed = target.parse(request.target)
        if not parsed.base:
            series = _series(shelves, parsed, request.base)
            series.first(1 if parsed.upto is None else parsed.upto)
            suite.check_promises(series.promises)
    if is_series and not request.unconfined and (reason := sandbox.broken()):
        raise sandbox.refusal(reason)
    if request.base and not is_series:
        word = shlex.quote(request.base)
        raise ConfigError(
            f"--base {request.base} is for a series, and {request.target} is not a series",
            hint=f"rig run {word}, or SERIES --base {word}",
        )


def _is_tree_revision(request: Request) -> bool:
    """Whether the target is a revision of the user's tree."""
    return request.tree is not None and bool(base.commit_of(request.tree, request.target))


def _check_revision(shelves: Shelves, text: str) -> None:
    """Raise ConfigError for SERIES@TEXT of a known series if TEXT is no list of revisions."""
    name, at, suffix = text.partition("@")
    revision = suffix.partition(":")[0]
    if not at or re.fullmatch(REVISIONS, revision) or target.FILE.fullmatch(text):
        return
    if name in model.names(shelves.patches):
        existing = (f"v{number}" for number in model.revisions(shelves.patches, name))
        raise ConfigError(
            f"{name} has no revision {revision!r}",
            hint=f"its revisions: {', '.join(existing)}",
        )


def _check_numbers(request: Request) -> None:
    check_limits(request)
    if request.pages % suite.PAGES_STEP:
        raise ConfigError(f"--pages {request.pages} is not a multiple of {suite.PAGES_STEP}")
    if not request.zram and not request.swap_disk:
        raise ConfigError(
            "with --zram 0 and --swap-disk 0 the guest has no swap, and reclaim needs swap",
            hint="leave out one of the two",
        )


def _machine(store: Store, request: Request, arch: str) -> Machine:
    facts = arches.pick(arch)
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
    accelerator = accel.choose(store, facts, request.accel)
    cpuinfo = Path("/proc/cpuinfo").read_text()
    return Machine(
        arch=arch,
        accel=accelerator,
        cmdline=facts.tcg_cmdline(cpuinfo) if accelerator is Accel.TCG else (),
        cpus=request.cpus,
        memory=request.memory,
        swap=Swap(zram=request.zram, disk=request.swap_disk),
        lru_gen=request.lru_gen,
    )


def tree_spec(context: Context, request: Request) -> TreeSpec:
    """The base and the series of a target. Fetches the base if the store does not have it."""
    if request.tree is not None and not names_a_series(context.shelves, request.target):
        return TreeSpec(base=base.resolve(context.store, request.target, tree=request.tree))
    parsed = target.parse(request.target)
    if parsed.base:
        return TreeSpec(base=base.resolve(context.store, request.base or parsed.base))
    series = _series(context.shelves, parsed, request.base)
    below = model.beneath(context.shelves.patches, series, request.base)
    return TreeSpec(
        base=basefinder.base_of(
            context.store, series, below=below, name=request.base, tree=request.tree
        ),
        series=series,
        below=below,
        upto=parsed.upto,
    )


def _tree_missing(name: str) -> ConfigError:
    return ConfigError(
        f"there is no series named {name!r}, but the git tree in this directory has such a"
        " revision",
        hint="add --tree . to test it",
    )


def names_a_series(shelves: Shelves, text: str) -> bool:
    try:
        parsed = target.parse(text)
    except ConfigError:
        return False
    if parsed.file is not None:  # or a branch whose name looks like a path: mm/fixes
        return parsed.file.suffix in (".mbx", ".mbox", ".patch") or parsed.file.is_file()
    return parsed.series in model.names(shelves.patches)


def _series(shelves: Shelves, parsed: Target, base_name: str) -> SeriesVersion:
    if parsed.file is not None:
        if not parsed.file.exists() and base.commit_of(Path(), str(parsed.file)):
            raise _tree_missing(str(parsed.file))
        return model.read(parsed.file)
    names = model.names(shelves.patches)
    if parsed.series not in names:
        if base.commit_of(Path(), parsed.series):
            raise _tree_missing(parsed.series)
        raise unknown("series", parsed.series, (*names, base.DEFAULT))
    return model.load(shelves.patches, parsed.series, parsed.revision, base_name)
