"""Output of --help: every flag with its default and an example."""

import dataclasses
from collections.abc import Mapping

from qmonus_lite import __version__
from qmonus_lite.cli.command import Command
from qmonus_lite.settings import Settings


def overview(commands: Mapping[str, Command]) -> str:
    """The help text of `qmonus-lite --help`."""
    lines = [
        f"qmonus-lite {__version__}: a programmable upload gateway",
        "",
        "usage: qmonus-lite COMMAND [--name=value ...]; flags alone mean 'up'",
        "",
    ]
    width = max(map(len, commands))
    lines += [f"  {name:<{width}}  {command.summary}" for name, command in commands.items()]
    lines += ["", "'qmonus-lite COMMAND --help' has the flags of a command."]
    return "\n".join(lines)


def page(name: str, command: Command) -> str:
    """The help text of one command."""
    lines = [f"usage: qmonus-lite {name} {command.usage}".rstrip(), "", command.summary, ""]
    lines += [f"  {flag}\n      {gloss}" for flag, gloss in command.own_flags.items()]
    lines += ["  --config=FILE.yml\n      settings by name; a flag or the environment beats them"]
    lines += [
        f"  --{entry.name}={default_text(entry.default)}\n"
        f"      {entry.metadata['help']}\n      example: {entry.metadata['example']}"
        for entry in dataclasses.fields(Settings)
        if command.flags is None or entry.name in command.flags
    ]
    lines += ["", "Each flag is also QMONUS_LITE_<NAME> in the environment."]
    return "\n".join(lines)


def default_text(default: object) -> str:
    """A default value in command-line syntax; empty for None."""
    if default is None:
        return ""
    if isinstance(default, tuple):
        return ",".join(map(str, default))
    return f"{default:g}" if isinstance(default, float) else str(default)
