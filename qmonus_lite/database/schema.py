"""SQL files of a database: its statements, and the migrations between its formats.

A database `NAME` has a file `NAME.sql` with its statements and the files `NAME_format_1.sql`,
`NAME_format_2.sql` and so on, each of which migrates the format before it.
"""

import re
import sqlite3
from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable

from qmonus_lite.values import Value

#: Statement that gives the format of a database that has tables and no format number yet.
UNNUMBERED = "unnumbered_format"


class DatabaseSchema(Value, frozen=True, kw_only=True):
    """Statements of a database by name, and its migrations: the first one makes format 1."""

    statements: Mapping[str, str]
    migrations: tuple[str, ...]


def read_schema(package: str, name: str) -> DatabaseSchema:
    """The schema in the SQL files `name` of a package."""
    folder = files(package)
    return DatabaseSchema(
        statements=statements(folder.joinpath(f"{name}.sql").read_text()),
        migrations=tuple(_migrations(folder, name)),
    )


def statements(text: str) -> dict[str, str]:
    """The statements of an SQL file, by their `-- name:` line."""
    parts = re.split(r"^-- name: (\w+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def split_script(script: str) -> Iterator[str]:
    """The single statements of a script; each statement ends at the end of a line."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _migrations(folder: Traversable, name: str) -> Iterator[str]:
    number = 1
    while (file := folder.joinpath(f"{name}_format_{number}.sql")).is_file():
        yield file.read_text()
        number += 1
