"""Output of --help: every flag with its default and an example."""

from collections.abc import Mapping

from qmonus_lite import __version__
from qmonus_lite.cli.command import Command
from qmonus_lite.settings.table import FLAGS, SECRETS


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
    lines += [f"  {flag}\n      {meaning}" for flag, meaning in command.own_flags.items()]
    lines += ["  --config=FILE.yml\n      settings by name; a flag or the environment beats them"]
    lines += [
        f"  --{name}={default_text(setting.default)}\n"
        f"      {setting.help}\n      example: {setting.example}"
        for name, setting in FLAGS.items()
        if command.flags is None or name in command.flags
    ]
    lines += ["", "Each flag is also QMONUS_LITE_<NAME> in the environment."]
    if command.flags is None:
        lines += ["Secrets are no flags; they are read from the environment only:"]
        lines += [
            f"  {setting.variable}\n      {setting.help}; otherwise {setting.other_source}"
            for setting in SECRETS.values()
        ]
    return "\n".join(lines)


def default_text(default: object) -> str:
    """A default value in command-line syntax; empty for None."""
    if default is None:
        return ""
    if isinstance(default, tuple):
        return ",".join(map(str, default))
    return f"{default:.12g}" if isinstance(default, float) else str(default)
