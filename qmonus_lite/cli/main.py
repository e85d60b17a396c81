"""Entry point of `qmonus-lite`: dispatches to a command and prints refusals as one message."""

import io
import sys
from collections.abc import Sequence

from qmonus_lite import __version__
from qmonus_lite.cli import arguments, help
from qmonus_lite.cli.command import Command
from qmonus_lite.cli.commands import COMMANDS
from qmonus_lite.errors import BadPlugins, BadSetting, StartupError
from qmonus_lite.settings.sources import flag_fault, refusal

#: Exit status after an error of type StartupError.
REFUSED = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit status."""
    typed = list(sys.argv[1:] if argv is None else argv)
    _print_anything()
    try:
        return _run(typed)
    except BadPlugins as error:
        print(f"qmonus-lite: {len(error.faults)} fault(s) in plugins:\n{error}", file=sys.stderr)
    except StartupError as error:
        print(f"qmonus-lite: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        return 130
    return REFUSED


def _print_anything() -> None:
    """Print characters that the encoding of stdout lacks as backslash escapes."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _run(typed: list[str]) -> int:
    if typed[:1] == ["--version"]:
        print(f"qmonus-lite {__version__}")
        return 0
    if typed[:1] in (["--help"], ["-h"], ["help"]):
        print(help.overview(COMMANDS))
        return 0
    name = typed.pop(0) if typed and not typed[0].startswith("-") else "up"
    if name not in COMMANDS:
        raise BadSetting(f"no command {name!r}; there are: {', '.join(COMMANDS)}")
    command = COMMANDS[name]
    given = arguments.parse(typed)
    if given.wants_help:
        print(help.page(name, command))
        return 0
    _check_flags(name, command, given)
    return command.run(given)


def _check_flags(name: str, command: Command, given: arguments.Arguments) -> None:
    """Raise BadSetting for flags that this command does not use, instead of ignoring them."""
    own = {flag.removeprefix("--").partition("=")[0] for flag in command.own_flags}
    faults = [
        fault
        for flag in given.flags
        if flag not in own and flag != "config" and (fault := _fault_of(flag, name, command))
    ]
    if faults:
        raise refusal(faults)


def _fault_of(flag: str, name: str, command: Command) -> str | None:
    if fault := flag_fault(flag):
        return fault
    if command.flags is not None and flag not in command.flags:
        return f"--{flag}: {name} has no use for it; see qmonus-lite {name} --help"
    return None
