# SPDX-License-Identifier: GPL-2.0-only
"""Real guests of each architecture, with the default base, from the user's store."""

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

ARCHITECTURES = tuple(arch.standard())

Boot = Callable[..., AbstractContextManager[Guest]]


@pytest.fixture(scope="session")
def store() -> Store:
    return Store.default()


@pytest.fixture(scope="session", params=ARCHITECTURES)
def prepared(request: pytest.FixtureRequest, store: Store) -> Prepared:
    """The default kernel without a series, and every suite's program; built if not in the store."""
    return prepare(store, request.param)


def prepare(store: Store, name: str) -> Prepared:
    with reporter():
        spec = request.specs(
            Context(store, Shelves.default()), Request(target="v6.12", arch=(name,))
        )[0]
        return pipeline.prepare(Context(store, Shelves.default()), spec)


@pytest.fixture
def boot(prepared: Prepared, tmp_path: Path) -> Boot:
    """boot(*words, initrd=…) boots a guest, with these words on its kernel command line."""

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
def guest(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    """A guest shared by the tests of a module that do not break it."""
    machine, directory = prepared.spec.machine, tmp_path_factory.mktemp("guest")
    with guests.boot(machine, prepared.software, directory) as booted:
        yield booted
