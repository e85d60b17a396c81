"""Modules of scripts in `sys.modules`, where dataclasses, typing, pickle and inspect look them up.

A name is the same from load to load, so that a pickle of one process or day is read in another. It
contains a colon and no dot: no installed module has such a name, and `__import__` returns the
module itself.
"""

import sys
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Protocol

from qmonus_lite.scripting.origin import Origin


class HasModule(Protocol):
    """A compiled script."""

    @property
    def module(self) -> ModuleType:
        """The module whose dict is the globals of the script."""


def module_name(origin: Origin) -> str:
    """Name of the module of a script: `gate:script` for the label `gate.script`."""
    return origin.label.replace(":", "%3A").replace(".", ":")


def new_module(origin: Origin) -> ModuleType:
    """An empty module for a script, not yet in `sys.modules`."""
    module = ModuleType(module_name(origin))
    module.__file__ = origin.file
    return module


@contextmanager
def importing(module: ModuleType) -> Iterator[None]:
    """Put the module in `sys.modules` while its code runs, then restore what was there."""
    name = module.__name__
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        yield
    finally:
        if before is not None:
            sys.modules[name] = before
        else:
            sys.modules.pop(name, None)


def publish(scripts: Iterable[HasModule]) -> None:
    """Put the modules of the scripts in `sys.modules`, in place of those of the same name.

    Each is removed when its script is freed, which is after the last run of it, unless another has
    taken its place by then.
    """
    for script in scripts:
        sys.modules[script.module.__name__] = script.module
        weakref.finalize(script, _remove, script.module).atexit = False


def _remove(module: ModuleType) -> None:
    if sys.modules.get(module.__name__) is module:
        del sys.modules[module.__name__]
