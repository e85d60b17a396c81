"""Migration of a database to the format of this version, in one transaction.

The format number is SQLite's `user_version`. A database without one is empty or was made by a
version that did not number; the statement `unnumbered_format` finds out which format it has.
"""

import logging
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qmonus_lite.database.schema import UNNUMBERED, DatabaseSchema, split_script
from qmonus_lite.errors import BadResource

logger = logging.getLogger(__name__)


def migrate(
    connection: sqlite3.Connection, path: Path, schema: DatabaseSchema, values: Mapping[str, Any]
) -> None:
    """Bring a database to the newest format; `values` are the parameters of the migrations.

    Raises BadResource for a format that is newer and if a migration fails; the database is then
    unchanged. Processes that start at the same time migrate one after the other. A new
    database is made by the same statements, and nothing is logged.
    """
    newest = len(schema.migrations)
    if _number(connection) == newest:
        return
    empty = connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is None
    try:
        found = _migrate(connection, path, schema, values)
    except sqlite3.Error as error:
        raise BadResource(
            f"{path}: cannot be migrated to format {newest}: {error}; it is unchanged"
        ) from None
    if empty:
        return
    for number in range(found + 1, newest + 1):
        extra = {"action": "database_migrated", "database": path.name, "format": number}
        logger.info("%s migrated to format %d", path.name, number, extra=extra)


def _migrate(
    connection: sqlite3.Connection, path: Path, schema: DatabaseSchema, values: Mapping[str, Any]
) -> int:
    """Run the missing migrations in one transaction; gives the format from before."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        found = format_of(connection, schema)
        _check(path, found, len(schema.migrations))
        for migration in schema.migrations[found:]:
            for statement in split_script(migration):
                connection.execute(statement, values)
        connection.execute(f"PRAGMA user_version = {len(schema.migrations)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return found


def check_current(connection: sqlite3.Connection, path: Path, schema: DatabaseSchema) -> None:
    """Raise BadResource unless the database has the format of this version."""
    found, newest = format_of(connection, schema), len(schema.migrations)
    _check(path, found, newest)
    if found < newest or _number(connection) != newest:
        raise BadResource(
            f"{path}: has the format of an older version ({found}, this version has {newest});"
            " start the gateway once, which migrates it"
        )


def format_of(connection: sqlite3.Connection, schema: DatabaseSchema) -> int:
    """The format of a database; 0 if it is empty."""
    if number := _number(connection):
        return number
    if UNNUMBERED not in schema.statements:
        return 0
    return int(connection.execute(schema.statements[UNNUMBERED]).fetchone()[0])


def _number(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _check(path: Path, found: int, newest: int) -> None:
    if found > newest:
        raise BadResource(
            f"{path}: has format {found}, made by a newer version; this version reads formats up"
            f" to {newest}: start the newer version, or restore a copy from before its first start"
        )
