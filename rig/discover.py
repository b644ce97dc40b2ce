# SPDX-License-Identifier: GPL-2.0-only
"""Collects one constant from every module of a package, such as each suite's SUITE."""

import functools
import importlib
import pkgutil
from types import ModuleType
from typing import TypeVar

from rig.errors import InfraError, unknown

T = TypeVar("T")


def constants(package: ModuleType, constant: str, kind: type[T]) -> dict[str, T]:
    """Module name -> its `constant`, for every module and package directly inside `package`.

    Modules whose names begin with an underscore are skipped, and so is the one that defines `kind`.

    Raises InfraError for a module that lacks the constant, or whose constant has another type, or a
    name other than the module's.
    """
    values: dict[str, T] = {}
    for found in _modules(tuple(package.__path__)):
        name = f"{package.__name__}.{found}"
        if found.startswith("_") or name == kind.__module__:
            continue
        module = importlib.import_module(name)
        value: object = getattr(module, constant, None)
        if not isinstance(value, kind):
            raise InfraError(f"{module.__name__} must define {constant} = {kind.__name__}(…)")
        if (own_name := getattr(value, "name", found)) != found:
            raise InfraError(
                f"{module.__name__}.{constant} has the name {own_name!r}; it must be {found!r}"
            )
        values[found] = value
    return values


@functools.cache
def _modules(path: tuple[str, ...]) -> tuple[str, ...]:
    """The names of the modules in a package. Thousands of results are read in one process."""
    return tuple(info.name for info in pkgutil.iter_modules(path))


def pick(package: ModuleType, constant: str, kind: type[T], name: str, noun: str) -> T:
    """The constant of the module `name`. Raises ConfigError, with similar names, for no module."""
    values = constants(package, constant, kind)
    if name not in values:
        raise unknown(noun, name, values)
    return values[name]
