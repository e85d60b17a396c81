"""The table of commands; the module of a command is imported when the command is looked up.

`up` and the short commands then do not load the servers: the supervisor starts in a fifth of the
time and keeps less than half of the memory.
"""

import gc
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import cast

from qmonus_lite.cli.command import Command

#: Modules of this package by command, in the order of the help.
_MODULES = {
    "up": "up",
    "apigw": "apigw",
    "lambda": "worker",
    "writer": "writer",
    "check": "plugins",
    "account": "accounts",
    "token": "accounts",
    "config": "secrets",
    "events": "events",
    "nodes": "nodes",
    "why": "why",
    "records": "records",
}


class _Commands(Mapping[str, Command]):
    """Commands by name; each module has its own in a mapping `COMMANDS`."""

    def __getitem__(self, name: str) -> Command:
        # Imports create many objects and free few, so that a garbage collection finds nothing.
        gc.disable()
        try:
            module = import_module(f"qmonus_lite.cli.{_MODULES[name]}")
        finally:
            gc.enable()
        return cast(Mapping[str, Command], module.COMMANDS)[name]

    def __iter__(self) -> Iterator[str]:
        return iter(_MODULES)

    def __len__(self) -> int:
        return len(_MODULES)

    def __contains__(self, name: object) -> bool:
        return name in _MODULES


COMMANDS: Mapping[str, Command] = _Commands()
