"""Migration of a database: all of it or nothing, once, and never backwards."""

import logging
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from qmonus_lite.database.database import Database
from qmonus_lite.database.schema import DatabaseSchema, split_script
from qmonus_lite.database.transaction import DatabaseFailed
from qmonus_lite.errors import BadResource

FIRST = "CREATE TABLE word (name TEXT);\n"
SECOND = "ALTER TABLE word ADD COLUMN n INTEGER NOT NULL DEFAULT 0;\nUPDATE word SET n = :n;\n"


def schema(*migrations: str, unnumbered: str = "") -> DatabaseSchema:
    statements = {"all": "SELECT * FROM word ORDER BY rowid", "add": "INSERT INTO word VALUES (:a)"}
    more = {"unnumbered_format": unnumbered} if unnumbered else {}
    return DatabaseSchema(statements=statements | more, migrations=migrations)


def opened(place: Path, schema: DatabaseSchema, **values: Any) -> list[Any]:
    """Open a database with migrations; gives its rows."""
    database = Database(place, schema, "FULL", DatabaseFailed, migration_values=values)
    try:
        return database.rows("all", {}, list).result(10)
    finally:
        database.close()


def words(place: Path, *names: str) -> None:
    """A database of format 1 with these words."""
    opened(place, schema(FIRST))
    with closing(sqlite3.connect(place)) as database, database:
        database.executemany("INSERT INTO word VALUES (?)", [(name,) for name in names])


def test_migrations_run_in_order_with_their_values_and_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    place = tmp_path / "w.sqlite3"
    words(place, "a")

    assert opened(place, schema(FIRST, SECOND), n=5) == [("a", 5)]
    assert opened(place, schema(FIRST, SECOND), n=6) == [("a", 5)]
    assert [vars(record)["format"] for record in caplog.records] == [2]


def test_a_new_database_is_no_migration_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    assert opened(tmp_path / "w.sqlite3", schema("CREATE TABLE word (name TEXT);")) == []
    assert caplog.records == []


def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    place = tmp_path / "w.sqlite3"
    words(place, "a")
    broken = schema(FIRST, SECOND, "CREATE TABLE more (n INTEGER);\nDROP TABLE missing;\n")
    with pytest.raises(BadResource, match="cannot be migrated to format 3: no such table: missing"):
        opened(place, broken, n=5)

    assert opened(place, schema(FIRST)) == [("a",)]
    with closing(sqlite3.connect(place)) as database:
        tables = database.execute("SELECT name FROM sqlite_master").fetchall()
    assert tables == [("word",)]


def test_another_process_that_writes_is_waited_for_and_then_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qmonus_lite.database.database.BUSY_TIMEOUT_SECONDS", 0.05)
    place = tmp_path / "w.sqlite3"
    words(place, "a")
    with closing(sqlite3.connect(place, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(BadResource, match="cannot be migrated to format 2: database is locked"):
            opened(place, schema(FIRST, SECOND), n=1)
        other.execute("ROLLBACK")

    assert opened(place, schema(FIRST, SECOND), n=1) == [("a", 1)]


def test_a_database_without_a_number_begins_at_the_format_that_it_has(tmp_path: Path) -> None:
    place = tmp_path / "w.sqlite3"
    words(place, "a")
    with closing(sqlite3.connect(place)) as database:
        database.execute("PRAGMA user_version = 0")
    asks = "SELECT count(*) FROM sqlite_master WHERE name = 'word'"

    assert opened(place, schema(FIRST, SECOND, unnumbered=asks), n=2) == [("a", 2)]
    assert opened(tmp_path / "new", schema(FIRST, SECOND, unnumbered=asks), n=2) == []


def test_splits_a_script_into_its_statements() -> None:
    script = "-- First; of two.\nSELECT\n  ';';\n\nSELECT 2; -- last;\n-- The end.\n"

    assert [statement.strip() for statement in split_script(script)] == [
        "-- First; of two.\nSELECT\n  ';';",
        "SELECT 2; -- last;",
    ]
