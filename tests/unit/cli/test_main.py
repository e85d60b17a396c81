"""The command line as a whole: finding a command, and saying what was refused."""

import subprocess
import sys
from importlib import import_module
from pkgutil import iter_modules

import pytest

from qmonus_lite import __version__
from qmonus_lite.cli import __path__ as PATH
from qmonus_lite.cli.commands import COMMANDS
from qmonus_lite.settings.table import FLAGS
from tests.unit.cli.conftest import Shell


def test_says_its_version(shell: Shell) -> None:
    assert shell.run("--version").out == f"qmonus-lite {__version__}\n"


@pytest.mark.parametrize("argument", ["--help", "-h", "help"])
def test_shows_all_commands(shell: Shell, argument: str) -> None:
    ended = shell.run(argument)

    assert ended.status == 0
    assert all(f"\n  {name}" in ended.out for name in COMMANDS)


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_explains_its_flags(shell: Shell, name: str) -> None:
    ended = shell.run(name, "--help")
    taken = COMMANDS[name].flags
    names = tuple(FLAGS) if taken is None else taken

    assert ended.status == 0
    assert COMMANDS[name].summary in " ".join(ended.out.split())
    assert all(f"  --{flag}=" in ended.out and f"example: --{flag}=" in ended.out for flag in names)
    assert all(flag in ended.out for flag in COMMANDS[name].own_flags)


def test_help_shows_defaults_as_one_would_type_them(shell: Shell) -> None:
    page = shell.run("up", "--help").out

    for line in (
        "--port=9099",
        "--plugins_base_dirs=plugins",
        "--lambda_sync_timeout=5",
        "--data_dir=",
    ):
        assert f"  {line}\n" in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("upp",), "no command 'upp'; there are: up, apigw, lambda, writer, check"),
        (("check", "--prot=1"), "--prot: no such setting; did you mean --port?"),
        (("check", "--port=1"), "--port: check has no use for it; see qmonus-lite check --help"),
        (("up", "--roles=x"), "--roles: no such setting"),
        (("--prot=1",), "--prot: no such setting; did you mean --port?"),
        (("up", "more"), "unexpected 'more'; flags look like --name=value"),
        (("--port=0",), "--port=0: expected a port, 1 to 65535"),
        (("lambda", "--lambda_port=x"), "--lambda_port=x: expected a port"),
        (("up", "--event_secret=swordfish"), "--event_secret: a secret cannot be a flag"),
        (("check", "--event-secret", "swordfish"), "--event_secret: a secret cannot be a flag"),
    ],
)
def test_refuses_in_one_line(shell: Shell, arguments: tuple[str, ...], message: str) -> None:
    message_line = shell.refused(*arguments)

    assert message_line.startswith(message)
    assert "\n" not in message_line
    assert "swordfish" not in message_line


def test_reports_every_flag_that_a_command_does_not_take(shell: Shell) -> None:
    assert shell.refused("check", "--prot=1", "--port=1").splitlines() == [
        "2 faults in the settings:",
        "--prot: no such setting; did you mean --port?",
        "--port: check has no use for it; see qmonus-lite check --help",
    ]


def test_help_says_where_secrets_are_given(shell: Shell) -> None:
    page = shell.run("up", "--help").out

    assert "\n  QMONUS_LITE_EVENT_SECRET\n" in page
    assert "--event_secret" not in page


def test_takes_dashes_for_the_flags_of_a_command(shell: Shell) -> None:
    (shell.folder / "more").mkdir()

    assert shell.run("check", "--plugins-base-dirs=more").status == 0


def test_every_command_of_a_module_is_in_the_table() -> None:
    modules = [import_module(f"qmonus_lite.cli.{module.name}") for module in iter_modules(PATH)]
    found = [name for module in modules for name in vars(module).get("COMMANDS", ())]

    assert set(found) == set(COMMANDS)
    assert all(name in COMMANDS for name in COMMANDS) and "no-command" not in COMMANDS


def test_the_supervisor_does_not_load_the_servers() -> None:
    look_up = "import sys; from qmonus_lite.cli.commands import COMMANDS; COMMANDS['up']"
    command = [sys.executable, "-c", f"{look_up}; print(*sys.modules)"]

    loaded = set(subprocess.check_output(command, text=True).split())
    assert "qmonus_lite.supervisor" in loaded
    assert loaded.isdisjoint({"aiohttp", "jsonschema", "qmonus_lite.apigw", "qmonus_lite.worker"})
