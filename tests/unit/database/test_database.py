"""The database: many threads, one connection, and each change made or not."""

import asyncio
import resource
import signal
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import wait
from pathlib import Path

import pytest

from qmonus_lite.database.database import Database, Synchronous
from qmonus_lite.database.schema import DatabaseSchema, read_schema
from qmonus_lite.database.transaction import DatabaseFailed
from qmonus_lite.errors import BadResource

STATEMENTS = {
    "add": "INSERT INTO word (name, n) VALUES (:name, :n)",
    "all": "SELECT name, n FROM word ORDER BY rowid",
    "slow": "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 400000)"
    " SELECT max(n) FROM c",
}
SCHEMA = DatabaseSchema(
    statements=STATEMENTS,
    migrations=("CREATE TABLE word (name TEXT PRIMARY KEY, n INTEGER);",),
)
SampleDatabase = Database[DatabaseFailed]


def opened(path: Path, synchronous: Synchronous = "FULL") -> SampleDatabase:
    return Database(path, SCHEMA, synchronous, DatabaseFailed, migration_values={})


@pytest.fixture
def database(tmp_path: Path) -> Iterator[SampleDatabase]:
    database = opened(tmp_path / "words.sqlite3")
    yield database
    database.close()


def words(database: SampleDatabase) -> list[str]:
    return [row[0] for row in database.rows("all", {}, list).result(10)]


def test_changes_and_shows_in_the_order_asked(database: SampleDatabase) -> None:
    assert database.change("add", {"name": "a", "n": 1}).result(10) == 1
    database.change("add", {"name": "b", "n": 2}, lazy=True)

    assert words(database) == ["a", "b"]


def test_only_the_owner_can_read_it(database: SampleDatabase, tmp_path: Path) -> None:
    assert (tmp_path / "words.sqlite3").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("synchronous", ["FULL", "NORMAL"])
def test_what_is_done_survives(tmp_path: Path, synchronous: Synchronous) -> None:
    for name in ("a", "b"):
        database = opened(tmp_path / "w.sqlite3", synchronous)
        database.change("add", {"name": name, "n": 1}, lazy=True)
        database.close()
    database = opened(tmp_path / "w.sqlite3")

    assert words(database) == ["a", "b"]
    database.close()


def test_a_job_at_fault_fails_alone(database: SampleDatabase) -> None:
    database.change("add", {"name": "a", "n": 1}).result(10)
    # These go into one commit: the database is busy while they are submitted.
    busy = database.rows("slow", {}, list)
    bad = [
        database.change("add", {"name": "a", "n": 2}),
        database.change("add", {"name": "\ud800", "n": 2}),
        database.change("add", {"name": "b", "n": 1 << 70}),
    ]
    good = database.change("add", {"name": "c", "n": 3})

    assert good.result(10) == 1
    busy.result(10)
    assert all(isinstance(job.exception(10), DatabaseFailed) for job in bad)
    assert words(database) == ["a", "c"]


def test_a_job_that_was_cancelled_harms_nobody(database: SampleDatabase) -> None:
    busy = database.rows("slow", {}, list)
    given_up = database.change("add", {"name": "a", "n": 1})
    kept = database.change("add", {"name": "b", "n": 1})
    assert given_up.cancel()

    assert kept.result(10) == 1
    busy.result(10)
    assert words(database) == ["b"]


async def test_a_cancelled_caller_harms_nobody(database: SampleDatabase) -> None:
    async def ask() -> None:
        await asyncio.wrap_future(database.rows("slow", {}, list))

    for _ in range(3):
        asking = asyncio.create_task(ask())
        await asyncio.sleep(0.01)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)

    assert await asyncio.wrap_future(database.rows("all", {}, list)) == []


def test_many_threads_ask_at_once(database: SampleDatabase) -> None:
    def ask(thread: int) -> None:
        jobs = [database.change("add", {"name": f"{thread}-{n}", "n": n}) for n in range(50)]
        wait(jobs, 10)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(words(database)) == 400


def test_threads_that_add_share_commits(database: SampleDatabase) -> None:
    ended: list[int | DatabaseFailed] = []

    def add(thread: int) -> None:
        for n in range(20):
            ended.extend(database.insert("add", [{"name": f"{thread}-{n}", "n": n}]))

    threads = [threading.Thread(target=add, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(end for end in ended if isinstance(end, int)) == list(range(1, 161))
    assert len(words(database)) == 160


def test_a_row_at_fault_fails_alone(database: SampleDatabase) -> None:
    rows = [{"name": name, "n": 1} for name in ("a", "a", "\ud800", "b")]
    first, again, bad, last = database.insert("add", rows)

    assert (first, last) == (1, 2)
    assert isinstance(again, DatabaseFailed) and isinstance(bad, DatabaseFailed)
    assert words(database) == ["a", "b"]


def test_rows_that_could_not_be_committed_say_so(database: SampleDatabase, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "words.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    database._database.execute("PRAGMA busy_timeout = 50")
    ended = database.insert("add", [{"name": "a", "n": 1}, {"name": "b", "n": 1}])
    other.execute("ROLLBACK")
    other.close()

    assert all(isinstance(end, DatabaseFailed) for end in ended)
    assert words(database) == []
    assert database.insert("add", [{"name": "a", "n": 1}]) == [1]


def test_lazy_changes_are_done_without_company(database: SampleDatabase) -> None:
    assert database.change("add", {"name": "a", "n": 1}, lazy=True).result(10) == 1


def test_another_process_may_write_meanwhile(database: SampleDatabase, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "words.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    waiting = database.change("add", {"name": "a", "n": 1})
    other.execute("INSERT INTO word VALUES ('b', 2)")
    other.execute("COMMIT")
    other.close()

    assert waiting.result(10) == 1
    assert sorted(words(database)) == ["a", "b"]


def test_a_full_disk_fails_what_was_asked_and_nothing_later(
    database: SampleDatabase, tmp_path: Path
) -> None:
    """The kernel takes no more bytes for a file of this process: EFBIG, as EDQUOT or ENOSPC."""
    database.change("add", {"name": "a", "n": 1}).result(10)
    size = (tmp_path / "words.sqlite3-wal").stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        failed = database.change("add", {"name": "b" * 10_000, "n": 2}).exception(10)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)

    assert isinstance(failed, DatabaseFailed)
    assert database.change("add", {"name": "c", "n": 3}).result(10) == 1
    assert words(database) == ["a", "c"]


def test_a_change_that_breaks_off_ends_nothing_but_itself(database: SampleDatabase) -> None:
    """Its thread serves all who ask: without it every later change would wait for ever."""
    broken = database.change("no such statement", {})

    assert isinstance(broken.exception(10), DatabaseFailed)
    assert database.change("add", {"name": "a", "n": 1}).result(10) == 1
    assert words(database) == ["a"]


@pytest.mark.parametrize(
    "content", [b"not a database, but quite long " * 100, b"SQLite format 3\0"]
)
def test_refuses_a_file_that_is_no_database(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w.sqlite3").write_bytes(content)

    with pytest.raises(BadResource, match=r"w\.sqlite3: not a usable database"):
        opened(tmp_path / "w.sqlite3")


def test_refuses_a_place_where_no_file_can_be(tmp_path: Path) -> None:
    with pytest.raises(BadResource, match="not a usable database"):
        opened(tmp_path / "missing" / "w.sqlite3")


@pytest.mark.parametrize(
    ("package", "name"),
    [("qmonus_lite.event_logs.sqlite", "event_log"), ("qmonus_lite.events", "inbox")],
)
def test_reads_statements_and_migrations_from_their_files(package: str, name: str) -> None:
    schema = read_schema(package, name)

    assert schema.migrations
    assert schema.statements
    assert all(text.strip() for text in (*schema.migrations, *schema.statements.values()))


def full(database: SampleDatabase) -> None:
    """Let the database grow no more, as on a full disk."""
    [(pages,)] = database._database.execute("PRAGMA page_count").fetchall()
    database._database.execute(f"PRAGMA max_page_count = {pages}")


def room_again(database: SampleDatabase) -> None:
    database._database.execute("PRAGMA max_page_count = 100000")


def row(name: str) -> dict[str, object]:
    return {"name": name * 10_000, "n": 1}


@pytest.mark.parametrize("way", ["add", "change"])
def test_knows_that_it_cannot_write_until_a_write_works(database: SampleDatabase, way: str) -> None:
    assert not database.failing
    full(database)
    if way == "add":
        assert isinstance(database.insert("add", [row("a")])[0], DatabaseFailed)
    else:
        with pytest.raises(DatabaseFailed):
            database.change("add", row("a")).result(10)
    assert database.failing
    # To read works all the same, and says nothing of it.
    assert words(database) == []
    assert database.failing

    room_again(database)
    assert database.insert("add", [row("b")]) == [1]
    assert not database.failing


def probed(database: SampleDatabase) -> None:
    """Return when a probe has ended: it comes after the jobs that were gathered with it."""
    database.probe()
    for _ in range(2):
        words(database)


def test_a_probe_finds_out_that_it_can_write_again(
    database: SampleDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qmonus_lite.database.database.PROBE_INTERVAL_SECONDS", 0.0)
    full(database)
    database.insert("add", [row("a")])
    probed(database)
    assert database.failing

    room_again(database)
    probed(database)
    assert not database.failing
    # Nothing of it is left.
    tables = database._database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    assert tables.fetchall() == [("word",)]


def test_a_failing_database_is_probed_once_a_second_at_the_most(database: SampleDatabase) -> None:
    full(database)
    database.insert("add", [row("a")])
    probed(database)
    room_again(database)
    probed(database)

    assert database.failing
