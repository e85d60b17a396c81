"""Output of --help: every flag with its default and an example."""

from collections.abc import Mapping

from qmonus_lite import __version__
from qmonus_lite.cli.command import Command
from qmonus_lite.cli.terminal import BOLD, DIM, styled, wrapped
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
    for name, command in commands.items():
        summary = wrapped(command.summary, indent=width + 4, first=0)
        lines.append(f"  {styled(f'{name:<{width}}', BOLD)}  {summary}")
    lines += ["", "'qmonus-lite COMMAND --help' has the flags of a command."]
    return "\n".join(lines)


def page(name: str, command: Command) -> str:
    """The help text of one command."""
    lines = [*_usage(name, command.usage), "", wrapped(command.summary, 0), ""]
    lines += [_entry(flag, meaning) for flag, meaning in command.own_flags.items()]
    lines += [_entry("--config=FILE.yml", "settings by name; a flag or the environment beats them")]
    lines += [
        _entry(f"--{name}={default_text(setting.default)}", setting.help, setting.example)
        for name, setting in FLAGS.items()
        if command.flags is None or name in command.flags
    ]
    lines += ["", "Each flag is also QMONUS_LITE_<NAME> in the environment."]
    if command.flags is None:
        lines += ["Secrets are no flags; they are read from the environment only:"]
        lines += [
            _entry(setting.variable, f"{setting.help}; otherwise {setting.other_source}")
            for setting in SECRETS.values()
        ]
    return "\n".join(lines)


def _usage(name: str, usage: str) -> list[str]:
    """The usage lines: one for each form of a command that has several."""
    forms = usage.split(" | ")
    begin = f"usage: qmonus-lite {name} "
    rest = " " * len(begin.removesuffix(f"qmonus-lite {name} ")) + f"qmonus-lite {name} "
    return [f"{begin}{forms[0]}".rstrip(), *[f"{rest}{form}" for form in forms[1:]]]


def _entry(flag: str, meaning: str, example: str = "") -> str:
    """A flag and what it means, with an example."""
    lines = [f"  {styled(flag, BOLD)}", wrapped(meaning, 6)]
    if example:
        lines.append(styled(f"      example: {example}", DIM))
    return "\n".join(lines)


def default_text(default: object) -> str:
    """A default value in command-line syntax; empty for None."""
    if default is None:
        return ""
    if isinstance(default, tuple):
        return ",".join(map(str, default))
    return f"{default:g}" if isinstance(default, float) else str(default)
