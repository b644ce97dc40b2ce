# SPDX-License-Identifier: GPL-2.0-only
"""A real guest of each architecture, on the default base, from the store everybody shares."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from rig import arch
from rig.campaigns import pipeline, request
from rig.campaigns.options import Request
from rig.campaigns.results import Prepared
from rig.cli.progress import reporter
from rig.context import Context
from rig.guest import boot as guests
from rig.guest.boot import Guest, Software
from rig.shelves import Shelves
from rig.store import Store

ARCHITECTURES = tuple(arch.known())

Boot = Callable[..., AbstractContextManager[Guest]]


@pytest.fixture(scope="session")
def store() -> Store:
    return Store.default()


@pytest.fixture(scope="session", params=ARCHITECTURES)
def prepared(request: pytest.FixtureRequest, store: Store) -> Prepared:
    """The clean default kernel with every suite's program, built if it is not there."""
    return prepare(store, request.param)


def prepare(store: Store, name: str) -> Prepared:
    with reporter():
        spec = request.specs(
            Context(store, Shelves.default()), Request(target="v6.12", arch=(name,))
        )[0]
        return pipeline.prepare(Context(store, Shelves.default()), spec)


@pytest.fixture
def boot(prepared: Prepared, tmp_path: Path) -> Boot:
    """boot(*words, initrd=…): a guest of its own, with more on its kernel command line."""

    def start(*words: str, initrd: tuple[bytes, ...] = ()) -> AbstractContextManager[Guest]:
        machine = prepared.spec.machine
        machine = replace(machine, cmdline=(*machine.cmdline, *words))
        software = prepared.software
        return guests.boot(
            machine,
            Software(kernel=software.kernel, initrd=(*software.initrd, *initrd)),
            tmp_path / "guest",
        )

    return start


@pytest.fixture(scope="module")
def up(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    """A guest that a module's gentle tests share."""
    machine, directory = prepared.spec.machine, tmp_path_factory.mktemp("guest")
    with guests.boot(machine, prepared.software, directory) as ready:
        yield ready
