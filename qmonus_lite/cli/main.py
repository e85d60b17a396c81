"""Entry point of `qmonus-lite`: dispatches to a command and prints refusals as one message."""

import io
import os
import signal
import sys
from collections.abc import Sequence

from qmonus_lite import __version__
from qmonus_lite.cli import arguments, help, owner_rights
from qmonus_lite.cli.command import Command
from qmonus_lite.cli.commands import COMMANDS
from qmonus_lite.cli.utf8_mode import execute_in_utf8_mode
from qmonus_lite.errors import BadPlugins, BadResource, BadSetting, StartupError
from qmonus_lite.settings.sources import flag_fault, refusal

#: Exit status after an error of type StartupError.
REFUSED = 2
#: Exit status of a command whose output is not read to its end, as of one that SIGPIPE ends.
CLOSED_PIPE = 128 + signal.SIGPIPE


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit status."""
    if argv is None:
        execute_in_utf8_mode()
    typed = list(sys.argv[1:] if argv is None else argv)
    _print_anything()
    try:
        status = _run_or_refuse(typed)
        if sys.stdout is not None:
            # Otherwise the interpreter writes the rest at its exit, and prints what fails there.
            sys.stdout.flush()
    except BrokenPipeError:
        # The reader has ended, as `| head -1` does; what is not written yet has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CLOSED_PIPE
    return status


def _run_or_refuse(typed: list[str]) -> int:
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
    return command.run(given) if command.serves else _run_with_rights(command, given)


def _run_with_rights(command: Command, given: arguments.Arguments) -> int:
    """Run a command that ends; raises BadResource for a file that this user has no rights for."""
    try:
        if os.geteuid() != 0:
            return command.run(given)
        with owner_rights.of_data_dir(given.settings(os.environ, own=command.own_names)):
            return command.run(given)
    except PermissionError as error:
        text = f"{error.filename}: {error.strerror}; run as the user who runs the gateway"
        raise BadResource(text) from None


def _check_flags(name: str, command: Command, given: arguments.Arguments) -> None:
    """Raise BadSetting for flags that this command does not use, instead of ignoring them."""
    faults = [
        fault
        for flag in given.flags
        if flag not in command.own_names
        and flag != "config"
        and (fault := _fault_of(flag, name, command))
    ]
    if faults:
        raise refusal(faults)


def _fault_of(flag: str, name: str, command: Command) -> str | None:
    if fault := flag_fault(flag):
        return fault
    if command.flags is not None and flag not in command.flags:
        return f"--{flag}: {name} has no use for it; see qmonus-lite {name} --help"
    return None
