"""Command `check`: loads the plugin folders and prints all faults and warnings."""

import os
import sys
from collections.abc import Iterable, Sequence

from qmonus_lite.catalog.lint.warning import PluginWarning
from qmonus_lite.catalog.plugins import Listed
from qmonus_lite.cli.arguments import Arguments
from qmonus_lite.cli.command import Command, no_positionals
from qmonus_lite.cli.excerpt import excerpt
from qmonus_lite.cli.terminal import BOLD, DIM, RED, YELLOW, is_terminal, styled
from qmonus_lite.compose.plugin_loader import make_reading_loader
from qmonus_lite.errors import BadPlugins, BadSetting, Fault
from qmonus_lite.settings import values


def check(arguments: Arguments) -> int:
    """Print all faults and warnings; returns 1 for a fault, or with --strict for a warning."""
    no_positionals(arguments)
    strict = _switch(arguments, "strict")
    settings = arguments.settings(os.environ, own=("strict",))
    try:
        catalog = make_reading_loader(settings).load()
    except BadPlugins as error:
        _show(error.faults)
        print(f"{len(error.faults)} fault(s); nothing of these folders would be taken over")
        return 1
    _list(catalog.listed)
    for file in catalog.commented_out:
        print(f"{file}: commented out: off")
    _show(catalog.warnings)
    warnings = sum(warning.level == "warning" for warning in catalog.warnings)
    counted = f", {warnings} warning(s)" if warnings else ""
    print(f"{len(catalog.listed)} plugin(s), no faults{counted}", file=sys.stderr)
    return 1 if strict and warnings else 0


def _show(found: Sequence[Fault | PluginWarning]) -> None:
    for fault in found:
        place, _, text = str(fault).partition(": ")
        print(f"{styled(place, BOLD)}: {styled(text, _colour(fault))}")
        if shown := excerpt(fault.file, fault.line, fault.column):
            print(shown)


def _colour(found: Fault | PluginWarning) -> str:
    if isinstance(found, Fault):
        return RED
    return YELLOW if found.level == "warning" else DIM


def _list(plugins: Iterable[Listed]) -> None:
    """A line for each plugin; on a terminal the kinds and names stand below one another."""
    lines = [(f"{plugin.file}:", plugin.kind, plugin.name) for plugin in plugins]
    if not is_terminal():
        for line in lines:
            print(*line)
        return
    widths = [max((len(line[column]) for line in lines), default=0) for column in (0, 1)]
    for file, kind, name in lines:
        print(f"{file:<{widths[0]}} {styled(f'{kind:<{widths[1]}}', DIM)} {name}")


def _switch(arguments: Arguments, name: str) -> bool:
    try:
        return values.switch(arguments.flags.get(name, "false"))
    except ValueError as error:
        raise BadSetting(f"--{name}={arguments.flags[name]}: {error}") from None


COMMANDS = {
    "check": Command(
        run=check,
        summary="load the plugin folders and print every fault and every warning",
        usage="[--strict] [--name=value ...]",
        own_flags={"--strict": "warnings end with status 1 too"},
    ),
}
