# SPDX-License-Identifier: GPL-2.0-only
"""Runs several specs as one campaign; stores their results, finds and loads stored runs."""

import contextvars
import math
import re
import threading
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
from rig.campaigns import old_results, pipeline, record, stored
from rig.campaigns.live import machine_of
from rig.campaigns.results import Prepared, RunResult, RunSpec, provenance
from rig.context import Context
from rig.errors import ConfigError, InfraError, RigError, unknown
from rig.history import unread
from rig.store import Store, write_whole
from rig.verdict.rules import Trouble, conclude

RESULT = unread.RESULT
LABEL_MAX = 80
"""Characters of a label that go into a directory's name: a name may have 255 bytes."""
SAFE = re.compile(r"[^A-Za-z0-9@._-]+")
UNSAFE_SLOT = re.compile(r"[^A-Za-z0-9@._:-]+")

_RESULT = pydantic.TypeAdapter(RunResult)


def new_directory(store: Store, label: str) -> Path:
    """Make a directory under `runs/`, named after the time and the label."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    store.ready()
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
    raise InfraError(f"{parent} has 999 runs of {stamp} already", hint="try again in a second")


def execute(
    context: Context,
    specs: Sequence[RunSpec],
    directory: Path,
    *,
    suffix: str = "",
    names: Sequence[str] = (),
    on_result: Callable[[RunResult], None] = lambda _: None,
) -> tuple[RunResult, ...]:
    """Run the specs in their order: kernels are built one after the other, guests run in parallel.

    Each result is stored as soon as it exists, in a directory whose name ends with `suffix`, or is
    that of `names`; then `on_result` is called with it, in any thread. An error in the request is
    raised. An error in a series or a kernel is a result. What is interrupted has no result: its
    directory says PENDING.
    """
    if not specs:
        raise ConfigError(
            "these options select nothing to run", hint="rig list shows what there is"
        )
    stopped = threading.Event()

    def complete(spec: RunSpec, ready: Prepared | RunResult, path: Path) -> RunResult:
        if isinstance(ready, Prepared):
            result = pipeline.execute(ready, path) if spec.boot else pipeline.built(ready, path)
        else:
            result = ready
            pipeline.keep_series(spec, path)
        # Ctrl-C kills QEMU, and a guest that was killed proves nothing.
        if not stopped.is_set():
            store_result(result, path)
            on_result(result)
        return result

    paths = [directory / name for name in names or [slot + suffix for slot in slots(specs)]]
    for path in paths:
        path.mkdir(parents=True, exist_ok=True)
        (path / stored.PENDING).touch()
    with guests(side_by_side(specs), stopped) as submit:
        futures = []
        for spec, path in zip(specs, paths, strict=True):
            ready = _prepare_or_verdict(context, spec)
            futures.append(submit(partial(complete, spec, ready, path)))
        return tuple(future.result() for future in futures)


Submit = Callable[[Callable[[], Any]], Future[Any]]


@contextmanager
def guests(most: int, stopped: threading.Event | None = None) -> Iterator[Submit]:
    """Threads for `most` guests at a time; an exception in the context ends all guests.

    `stopped` is set before they are ended.
    """
    with ThreadPoolExecutor(max_workers=most) as pool:
        try:
            # A new thread has no log step: it gets a copy of our context.
            yield lambda work: pool.submit(contextvars.copy_context().run, work)
        except BaseException:
            # Only this thread gets Ctrl-C, so it ends the guests of the other threads.
            if stopped:
                stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
            proc.stop_all()
            raise


def slots(specs: Sequence[RunSpec]) -> tuple[str, ...]:
    """The names of the specs' directories: architecture, tree (if there are several), mutant.

    Equal names get a number.
    """
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
    """The number of guests that fit: one for each core, in three quarters of the free memory."""
    meminfo = Path("/proc/meminfo").read_text()
    available = re.search(r"^MemAvailable: +(\d+) kB$", meminfo, re.MULTILINE)
    free = int(available[1]) >> 10 if available else 0
    largest = max(spec.machine.memory + 256 for spec in specs)
    return max(1, min(proc.cpus(), free * 3 // 4 // largest, len(specs)))


def _prepare_or_verdict(context: Context, spec: RunSpec) -> Prepared | RunResult:
    """What is needed to boot; or the verdict, if the series does not apply or compile."""
    began = time.monotonic()
    try:
        return pipeline.prepare(context, spec)
    except ConfigError:
        raise
    except RigError as error:
        return RunResult(
            machine=machine_of(spec),
            provenance=provenance(spec),
            seconds=round(time.monotonic() - began, 2),
            ended=pipeline.now(),
            verdict=conclude((), (), Trouble.of(error)),
            detail="\n".join(filter(None, (error.detail, error.hint))),
        )


def store_result(result: RunResult, directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    write_whole(directory / RESULT, _RESULT.dump_json(result, indent=1))
    (directory / stored.PENDING).unlink(missing_ok=True)
    record.stored_now(directory / RESULT)


def runs(store: Store) -> tuple[Path, ...]:
    """The directories of stored runs, newest last; without those that run or were interrupted."""
    return tuple(filter(stored.is_whole, _with_results(store)))


def _with_results(store: Store) -> tuple[Path, ...]:
    return tuple(
        sorted(path for path in (store.root / "runs").glob("*") if any(path.glob(f"*/{RESULT}")))
    )


def find(store: Store, name: str = "") -> Path:
    """The stored run with this name, or with a name that has this part; the newest without one.

    A run that was interrupted is found by its whole name only.
    """
    whole = runs(store)
    if not name and whole:
        return whole[-1]
    everything = _with_results(store)
    matches = [path for path in everything if name == path.name] or [
        path for path in whole if name and name in path.name
    ]
    if not matches and not whole:
        raise ConfigError("there is no stored run yet", hint="rig run v6.12 makes one")
    if not matches:
        raise unknown("run", name, (path.name for path in whole))
    if len(matches) > 1:
        raise ConfigError(
            f"{name!r} matches {len(matches)} runs", hint=f"the newest is {matches[-1].name}"
        )
    return matches[0]


def load(path: Path) -> RunResult:
    """Raises InfraError for a damaged file."""
    return stored.read(path, lambda document: _RESULT.validate_python(old_results.result(document)))


def load_all(directory: Path) -> tuple[RunResult, ...]:
    """All results of a run. One that is missing is INCONCLUSIVE."""
    return stored.with_missing(tuple(map(load, stored_results(directory))))


def stored_results(directory: Path) -> tuple[Path, ...]:
    """The files of a run's results, in the order of a report."""
    return tuple(sorted(directory.glob(f"*/{RESULT}"), key=_place))


def _place(path: Path) -> tuple[str, float, str]:
    """Sort key: by name, and parts of a series before the whole one: batch:2, batch:10, batch."""
    whole, _, upto = path.parent.name.partition(":")
    number = re.match(r"\d+", upto)
    return whole, int(number[0]) if number else math.inf, upto
