"""The ledger: many threads, one database, nothing half."""

import asyncio
import resource
import signal
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import wait
from pathlib import Path

import pytest

from qmonus_lite.errors import BadPlace
from qmonus_lite.events.ledger import Ledger, LedgerFailed, statements

SQL = {
    "schema": "CREATE TABLE IF NOT EXISTS word (name TEXT PRIMARY KEY, n INTEGER);",
    "add": "INSERT INTO word (name, n) VALUES (:name, :n)",
    "all": "SELECT name, n FROM word ORDER BY rowid",
    "slow": "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 400000)"
    " SELECT max(n) FROM c",
}


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "words.sqlite3", SQL, "FULL")
    yield ledger
    ledger.close()


def words(ledger: Ledger) -> list[str]:
    return [row[0] for row in ledger.rows("all", {}).result(10)]


def test_changes_and_shows_in_the_order_asked(ledger: Ledger) -> None:
    assert ledger.change("add", {"name": "a", "n": 1}).result(10) == 1
    ledger.change("add", {"name": "b", "n": 2}, lazy=True)

    assert words(ledger) == ["a", "b"]


def test_only_the_owner_can_read_it(ledger: Ledger, tmp_path: Path) -> None:
    assert (tmp_path / "words.sqlite3").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("synchronous", ["FULL", "NORMAL"])
def test_what_is_done_survives(tmp_path: Path, synchronous: "str") -> None:
    for name in ("a", "b"):
        ledger = Ledger(tmp_path / "w.sqlite3", SQL, synchronous)  # type: ignore[arg-type]
        ledger.change("add", {"name": name, "n": 1}, lazy=True)
        ledger.close()
    ledger = Ledger(tmp_path / "w.sqlite3", SQL, "FULL")

    assert words(ledger) == ["a", "b"]
    ledger.close()


def test_a_job_at_fault_fails_alone(ledger: Ledger) -> None:
    ledger.change("add", {"name": "a", "n": 1}).result(10)
    # These go into one commit: the ledger is busy while they are asked.
    busy = ledger.rows("slow", {})
    bad = [
        ledger.change("add", {"name": "a", "n": 2}),
        ledger.change("add", {"name": "\ud800", "n": 2}),
        ledger.change("add", {"name": "b", "n": 1 << 70}),
    ]
    good = ledger.change("add", {"name": "c", "n": 3})

    assert good.result(10) == 1
    busy.result(10)
    assert all(isinstance(one.exception(10), LedgerFailed) for one in bad)
    assert words(ledger) == ["a", "c"]


def test_a_job_that_was_cancelled_harms_nobody(ledger: Ledger) -> None:
    busy = ledger.rows("slow", {})
    given_up = ledger.change("add", {"name": "a", "n": 1})
    kept = ledger.change("add", {"name": "b", "n": 1})
    assert given_up.cancel()

    assert kept.result(10) == 1
    busy.result(10)
    assert words(ledger) == ["b"]


async def test_a_cancelled_caller_harms_nobody(ledger: Ledger) -> None:
    async def ask() -> None:
        await asyncio.wrap_future(ledger.rows("slow", {}))

    for _ in range(3):
        asking = asyncio.create_task(ask())
        await asyncio.sleep(0.01)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)

    assert await asyncio.wrap_future(ledger.rows("all", {})) == []


def test_many_threads_ask_at_once(ledger: Ledger) -> None:
    def ask(thread: int) -> None:
        jobs = [ledger.change("add", {"name": f"{thread}-{n}", "n": n}) for n in range(50)]
        wait(jobs, 10)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()

    assert len(words(ledger)) == 400


def test_threads_that_add_share_commits(ledger: Ledger) -> None:
    ended: list[int | LedgerFailed] = []

    def add(thread: int) -> None:
        for n in range(20):
            ended.extend(ledger.add("add", [{"name": f"{thread}-{n}", "n": n}]))

    threads = [threading.Thread(target=add, args=(n,)) for n in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()

    assert sorted(one for one in ended if isinstance(one, int)) == list(range(1, 161))
    assert len(words(ledger)) == 160


def test_a_row_at_fault_fails_alone(ledger: Ledger) -> None:
    rows = [{"name": name, "n": 1} for name in ("a", "a", "\ud800", "b")]
    first, again, bad, last = ledger.add("add", rows)

    assert (first, last) == (1, 2)
    assert isinstance(again, LedgerFailed) and isinstance(bad, LedgerFailed)
    assert words(ledger) == ["a", "b"]


def test_rows_that_could_not_be_committed_say_so(ledger: Ledger, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "words.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    ledger._database.execute("PRAGMA busy_timeout = 50")
    ended = ledger.add("add", [{"name": "a", "n": 1}, {"name": "b", "n": 1}])
    other.execute("ROLLBACK")
    other.close()

    assert all(isinstance(one, LedgerFailed) for one in ended)
    assert words(ledger) == []
    assert ledger.add("add", [{"name": "a", "n": 1}]) == [1]


def test_lazy_changes_are_done_without_company(ledger: Ledger) -> None:
    assert ledger.change("add", {"name": "a", "n": 1}, lazy=True).result(10) == 1


def test_another_process_may_write_meanwhile(ledger: Ledger, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "words.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    waiting = ledger.change("add", {"name": "a", "n": 1})
    other.execute("INSERT INTO word VALUES ('b', 2)")
    other.execute("COMMIT")
    other.close()

    assert waiting.result(10) == 1
    assert sorted(words(ledger)) == ["a", "b"]


def test_a_full_disk_fails_what_was_asked_and_nothing_later(ledger: Ledger, tmp_path: Path) -> None:
    """The kernel takes no more bytes for a file of this process: EFBIG, as EDQUOT or ENOSPC."""
    ledger.change("add", {"name": "a", "n": 1}).result(10)
    size = (tmp_path / "words.sqlite3-wal").stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        failed = ledger.change("add", {"name": "b" * 10_000, "n": 2}).exception(10)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)

    assert isinstance(failed, LedgerFailed)
    assert ledger.change("add", {"name": "c", "n": 3}).result(10) == 1
    assert words(ledger) == ["a", "c"]


def test_a_change_that_breaks_off_ends_nothing_but_itself(ledger: Ledger) -> None:
    """Its thread serves all who ask: without it every later change would wait for ever."""
    broken = ledger.change("no such statement", {})

    assert isinstance(broken.exception(10), LedgerFailed)
    assert ledger.change("add", {"name": "a", "n": 1}).result(10) == 1
    assert words(ledger) == ["a"]


@pytest.mark.parametrize(
    "content", [b"not a database, but quite long " * 100, b"SQLite format 3\0"]
)
def test_refuses_a_file_that_is_no_database(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w.sqlite3").write_bytes(content)

    with pytest.raises(BadPlace, match=r"w\.sqlite3: not a usable database"):
        Ledger(tmp_path / "w.sqlite3", SQL, "FULL")


def test_refuses_a_place_where_no_file_can_be(tmp_path: Path) -> None:
    with pytest.raises(BadPlace, match="not a usable database"):
        Ledger(tmp_path / "missing" / "w.sqlite3", SQL, "FULL")


@pytest.mark.parametrize("file", ["outbox.sql", "inbox.sql"])
def test_reads_statements_by_their_names(file: str) -> None:
    found = statements(file)

    assert next(iter(found)) == "schema"
    assert all(text.strip() for text in found.values())


def full(ledger: Ledger) -> None:
    """Let the database grow no more, as on a full disk."""
    [(pages,)] = ledger._database.execute("PRAGMA page_count").fetchall()
    ledger._database.execute(f"PRAGMA max_page_count = {pages}")


def room_again(ledger: Ledger) -> None:
    ledger._database.execute("PRAGMA max_page_count = 100000")


def row(name: str) -> dict[str, object]:
    return {"name": name * 10_000, "n": 1}


@pytest.mark.parametrize("way", ["add", "change"])
def test_knows_that_it_cannot_write_until_a_write_works(ledger: Ledger, way: str) -> None:
    assert not ledger.failing
    full(ledger)
    if way == "add":
        assert isinstance(ledger.add("add", [row("a")])[0], LedgerFailed)
    else:
        with pytest.raises(LedgerFailed):
            ledger.change("add", row("a")).result(10)
    assert ledger.failing
    # To read works all the same, and says nothing of it.
    assert words(ledger) == []
    assert ledger.failing

    room_again(ledger)
    assert ledger.add("add", [row("b")]) == [1]
    assert not ledger.failing


def probed(ledger: Ledger) -> None:
    """Return when a probe has ended: it comes after the jobs that were gathered with it."""
    ledger.probe()
    for _ in range(2):
        words(ledger)


def test_a_probe_finds_out_that_it_can_write_again(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qmonus_lite.events.ledger.PROBING", 0.0)
    full(ledger)
    ledger.add("add", [row("a")])
    probed(ledger)
    assert ledger.failing

    room_again(ledger)
    probed(ledger)
    assert not ledger.failing
    # Nothing of it is left.
    tables = ledger._database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    assert tables.fetchall() == [("word",)]


def test_a_failing_database_is_probed_once_a_second_at_the_most(ledger: Ledger) -> None:
    full(ledger)
    ledger.add("add", [row("a")])
    probed(ledger)
    room_again(ledger)
    probed(ledger)

    assert ledger.failing
