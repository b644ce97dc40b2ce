# SPDX-License-Identifier: GPL-2.0-only
"""Finds every module of a package and demands one named constant of each."""

import importlib
import pkgutil
from types import ModuleType
from typing import TypeVar

from rig.errors import InfraError, unknown

T = TypeVar("T")


def constants(package: ModuleType, constant: str, kind: type[T]) -> dict[str, T]:
    """Module name -> its `constant`, for every module and package directly inside `package`.

    A module whose name begins with an underscore is the package's own business, and so is the one
    that defines `kind`. A module that
    lacks the constant, or has one of another type or under another name than its module's, is a
    mistake of whoever added it and is said at once.
    """
    found: dict[str, T] = {}
    for info in pkgutil.iter_modules(package.__path__):
        name = f"{package.__name__}.{info.name}"
        if info.name.startswith("_") or name == kind.__module__:
            continue
        module = importlib.import_module(name)
        value: object = getattr(module, constant, None)
        if not isinstance(value, kind):
            raise InfraError(f"{module.__name__} must define {constant} = {kind.__name__}(…)")
        if getattr(value, "name", info.name) != info.name:
            raise InfraError(f"{module.__name__}.{constant} must be named {info.name!r}")
        found[info.name] = value
    return found


def pick(package: ModuleType, constant: str, kind: type[T], name: str, noun: str) -> T:
    """The constant of the module `name`, or a ConfigError with the nearest names."""
    known = constants(package, constant, kind)
    if name not in known:
        raise unknown(noun, name, known)
    return known[name]
