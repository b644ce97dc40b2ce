# SPDX-License-Identifier: GPL-2.0-only
"""Campaigns: several specs run as one, and the runs that are stored."""

import contextvars
import json
import math
import re
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pydantic

from rig import proc
from rig.campaigns import old_results, pipeline
from rig.campaigns.results import Prepared, RunResult, RunSpec, provenance
from rig.context import Context
from rig.errors import ConfigError, InfraError, RigError, unknown
from rig.store import Store, write_whole
from rig.verdict.rules import Trouble, conclude

RESULT = "result.json"
LABEL_MAX = 80
"""Characters of a label that are kept: a name may have 255 bytes, and people read it."""
SAFE = re.compile(r"[^A-Za-z0-9@._-]+")
UNSAFE_SLOT = re.compile(r"[^A-Za-z0-9@._:-]+")

_RESULT = pydantic.TypeAdapter(RunResult)


def new_directory(store: Store, label: str) -> Path:
    """A directory under `runs/` of its own, named after the time and what is run."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    parent = store.root / "runs"
    parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(1, 1000):
        again = f"-{attempt}" if attempt > 1 else ""
        path = parent / f"{stamp}-{SAFE.sub('-', label)[-LABEL_MAX:]}{again}"
        try:
            path.mkdir()
        except FileExistsError:
            continue
        return path
    raise InfraError(f"{parent} is full of runs of this second")


def execute(
    context: Context,
    specs: Sequence[RunSpec],
    directory: Path,
    *,
    suffix: str = "",
    on_result: Callable[[RunResult], None] = lambda _: None,
) -> tuple[RunResult, ...]:
    """Run the specs, in their order: kernels one after the other, guests side by side.

    Each result is stored, in a directory with that suffix, and handed to `on_result` by any thread,
    as soon as it is there. What is wrong with the request is raised; what is wrong with a series or
    a kernel is a result.
    """

    def complete(spec: RunSpec, ready: Prepared | RunResult, path: Path) -> RunResult:
        if isinstance(ready, Prepared):
            result = pipeline.execute(ready, path) if spec.boot else pipeline.built(ready, path)
        else:
            result = ready
            pipeline.keep_series(spec, path)
        store_result(result, path)
        on_result(result)
        return result

    with guests(side_by_side(specs)) as submit:
        futures = []
        for spec, slot in zip(specs, _slots(specs), strict=True):
            ready = _prepare_or_verdict(context, spec)
            futures.append(submit(partial(complete, spec, ready, directory / (slot + suffix))))
        return tuple(future.result() for future in futures)


Submit = Callable[[Callable[[], Any]], Future[Any]]


@contextmanager
def guests(most: int) -> Iterator[Submit]:
    """Threads for so many guests at a time; whatever is raised in the context ends them all."""
    with ThreadPoolExecutor(max_workers=most) as pool:
        try:
            # A thread of its own has no log step unless it is handed ours.
            yield lambda work: pool.submit(contextvars.copy_context().run, work)
        except BaseException:
            # Ctrl-C comes to this thread only: the others' guests are ended for them.
            pool.shutdown(wait=False, cancel_futures=True)
            proc.stop_all()
            raise


def _slots(specs: Sequence[RunSpec]) -> tuple[str, ...]:
    """The specs' directories: architecture and mutant, and the part of a series where there are
    several; numbered where several share them."""
    several = len({spec.tree.label for spec in specs}) > 1
    parts = (
        (spec.machine.arch, _slot(spec) if several else "", spec.request.mutant) for spec in specs
    )
    names = ["-".join(filter(None, part)) for part in parts]
    return tuple(
        f"{name}-{names[: n + 1].count(name):0{len(str(names.count(name)))}}"
        if names.count(name) > 1
        else name
        for n, name in enumerate(names)
    )


def _slot(spec: RunSpec) -> str:
    return UNSAFE_SLOT.sub("-", spec.tree.subject.part)[-LABEL_MAX:]


def side_by_side(specs: Sequence[RunSpec]) -> int:
    """How many guests fit: one for each core, in three quarters of what memory is available."""
    meminfo = Path("/proc/meminfo").read_text()
    available = re.search(r"^MemAvailable: +(\d+) kB$", meminfo, re.MULTILINE)
    free = int(available[1]) >> 10 if available else 0
    largest = max(spec.machine.memory + 256 for spec in specs)
    return max(1, min(proc.cpus(), free * 3 // 4 // largest, len(specs)))


def _prepare_or_verdict(context: Context, spec: RunSpec) -> Prepared | RunResult:
    """A series that does not apply or compile has its verdict without a boot."""
    began = time.monotonic()
    try:
        return pipeline.prepare(context, spec)
    except ConfigError:
        raise
    except RigError as error:
        return RunResult(
            machine=pipeline.machine_of(spec),
            provenance=provenance(spec),
            seconds=round(time.monotonic() - began, 2),
            ended=pipeline.now(),
            verdict=conclude((), (), Trouble.of(error)),
            detail="\n".join(filter(None, (error.detail, error.hint))),
        )


def store_result(result: RunResult, directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    write_whole(directory / RESULT, _RESULT.dump_json(result, indent=1))


def runs(store: Store) -> tuple[Path, ...]:
    """The stored runs, newest last."""
    return tuple(
        sorted(path for path in (store.root / "runs").glob("*") if any(path.glob(f"*/{RESULT}")))
    )


def find(store: Store, name: str = "") -> Path:
    """A stored run by its name, a unique part of it, or the newest."""
    known = runs(store)
    if not known:
        raise ConfigError("there is no stored run yet", hint="rig run v6.12 makes one")
    if not name:
        return known[-1]
    matches = [path for path in known if name == path.name] or [
        path for path in known if name in path.name
    ]
    if not matches:
        raise unknown("run", name, (path.name for path in known))
    if len(matches) > 1:
        raise ConfigError(
            f"{name!r} is the name of {len(matches)} runs", hint=f"the newest is {matches[-1].name}"
        )
    return matches[0]


def load(path: Path) -> RunResult:
    try:
        return _RESULT.validate_python(old_results.result(json.loads(path.read_bytes())))
    except (ValueError, LookupError, TypeError) as error:
        raise ConfigError(
            f"{path} cannot be read: it is damaged, or another version of the rig's",
            detail=str(error)[:2000],
        ) from error


def load_all(directory: Path) -> tuple[RunResult, ...]:
    return tuple(load(path) for path in sorted(directory.glob(f"*/{RESULT}"), key=_place))


def _place(path: Path) -> tuple[str, float, str]:
    """By `_slots`, and a series' first patches before all of it: batch:2, batch:10, batch."""
    whole, _, upto = path.parent.name.partition(":")
    number = re.match(r"\d+", upto)
    return whole, int(number[0]) if number else math.inf, upto
