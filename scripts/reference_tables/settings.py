"""Tables of flags, secrets, options of scripts, and commands."""

from contextlib import redirect_stdout
from io import StringIO

from qmonus_lite.cli import help
from qmonus_lite.cli.commands import COMMANDS
from qmonus_lite.scripting.options import OPTIONS
from qmonus_lite.settings.table import FLAGS, SECRETS
from reference_tables.markdown import code, table


def settings() -> str:
    """Every flag."""
    return table(
        ("flag", "default", "meaning", "example"),
        (
            (
                code(f"--{name}"),
                code(help.default_text(setting.default)),
                setting.help,
                code(setting.example),
            )
            for name, setting in FLAGS.items()
        ),
    )


def secrets() -> str:
    """Every setting that is no flag, since it is secret."""
    return table(
        ("variable", "meaning", "read without it"),
        (
            (code(setting.variable), setting.help, setting.other_source)
            for setting in SECRETS.values()
        ),
    )


def options() -> str:
    """Every setting that scripts see."""
    return table(
        ("attribute", "meaning"),
        ((code(f"options.{name}"), option.gloss) for name, option in OPTIONS.items()),
    )


def commands() -> str:
    """Every command, and its page of --help where that is no repetition of all flags."""
    rows = table(
        ("command", "what it does"),
        (
            (code(f"qmonus-lite {name} {command.usage}".strip()), command.summary)
            for name, command in COMMANDS.items()
        ),
    )
    # As printed into a pipe: on a terminal a page has its width, and colours.
    with redirect_stdout(StringIO()):
        pages = [
            f"### {name}\n\n```text\n{help.page(name, command)}\n```"
            for name, command in COMMANDS.items()
            if command.flags is not None
        ]
    return "\n\n".join([rows, *pages])
