"""The records database: what is found and listed, bounds, query plans, several processes."""

import sqlite3
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from qmonus_lite.clock import Clock
from qmonus_lite.errors import BadResource, Refusal
from qmonus_lite.observations import RequestCut
from qmonus_lite.records.record import for_account
from qmonus_lite.records.recorder import _statements
from qmonus_lite.records.store import (
    MAX_ATTEMPTS,
    SCHEMA,
    Bounds,
    RecordFilter,
    RecordStore,
)
from qmonus_lite.values import as_dict, changed
from tests.unit.records.observed import GATE, refused, stored, tried

NOW = 1_800_000_000.0
BOUNDS = Bounds(max_age_seconds=100.0, max_rows=1000)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RecordStore]:
    store = RecordStore(tmp_path / "records.db", Clock("UTC"), migrates=True)
    yield store
    store.close()


def write(store: RecordStore, *observed: Any, at: float = NOW, bounds: Bounds = BOUNDS) -> None:
    store.write(_statements([(entry, at) for entry in observed]), bounds)


def paths(store: RecordStore, limit: int = 100, **wanted: Any) -> list[str]:
    return [entry.path for entry in store.page(RecordFilter(**wanted), limit).uploads]


def test_a_record_has_its_steps_and_is_found_by_each_id(store: RecordStore) -> None:
    write(store, stored(event_id="u1", digest="sha-256=00", handlers=(GATE,)), tried())

    [record] = store.find("r1")

    assert store.find("u1") == [record]
    assert record.time == "2027-01-15T07:59:57.000+00:00"
    assert (record.state, record.asked, record.path) == ("delivered", "/upload/a b", "/upload/a b")
    seconds = record.seconds
    assert (seconds.total, seconds.decision, seconds.body, seconds.publication) == (3, 1, 1.5, 0.5)
    assert record.handlers == (GATE,)
    [attempt] = record.attempts
    assert (attempt.outcome, attempt.worker, attempt.handlers) == (
        "delivered",
        "http://w:1",
        (GATE,),
    )
    assert attempt.cause is None
    assert store.find("") == store.find("other") == []


def test_the_state_is_that_of_the_last_attempt_in_either_order(store: RecordStore) -> None:
    failed = {"code": 503, "reason": "503: not yet", "delay": 2.0}
    write(store, tried(outcome="retry", **failed))
    write(store, stored(event_id="u1"))
    assert store.find("u1")[0].state == "retrying"

    write(store, tried(attempt=2, outcome="dead", code=422, reason="422: never"))

    [record] = store.find("u1")
    assert record.state == "dead"
    first, last = record.attempts
    assert (first.next_after, last.next_after) == (2.0, None)
    assert last.cause is not None and last.cause.reason == "422: never"


def test_an_upload_that_was_not_opened_or_not_sealed_has_no_later_steps(store: RecordStore) -> None:
    write(store, refused(seconds_to_open=0.0, seconds_to_seal=0.0))
    fields = as_dict(stored(seconds_to_seal=0.0, stored_path="", request_id="r2", upload_id="u2"))
    del fields["status"]
    write(store, RequestCut(**fields))

    seconds = store.find("r1")[0].seconds
    assert (seconds.decision, seconds.body, seconds.publication) == (3, None, None)
    [cut] = store.find("r2")
    assert (cut.state, cut.status, cut.seconds.body) == ("cut", None, 2)


def test_an_event_that_a_handler_published_is_found_with_its_upload(store: RecordStore) -> None:
    write(store, stored(event_id="u1"), tried(), tried(event_id="e2", event="Other"))

    [record] = store.find("e2")

    assert record.upload_id == "u1"
    assert [attempt.event for attempt in record.attempts] == ["APIGW.OnFileUploaded", "Other"]
    assert [attempt.event_id for attempt in store.attempts(event_id="e2")] == ["e2"]


def test_lists_by_every_filter_and_page(store: RecordStore) -> None:
    for number in range(5):
        write(store, stored(stored_path=f"/a/{number}", request_id=f"r{number}"), at=NOW + number)
    write(store, refused(path="/b%25_", account="lee"))

    assert paths(store) == ["/b%_", "/a/4", "/a/3", "/a/2", "/a/1", "/a/0"]
    assert paths(store, account="lee") == paths(store, code="terminate") == ["/b%_"]
    assert paths(store, state="refused") == paths(store, path="/b%") == ["/b%_"]
    assert paths(store, path="/a/", account="kim", since=NOW - 3 + 3) == ["/a/4", "/a/3"]
    page = store.page(RecordFilter(path="/a/"), 3)
    assert [entry.path for entry in page.uploads] == ["/a/4", "/a/3", "/a/2"]
    assert page.next is not None
    rest = store.page(RecordFilter(path="/a/", before=int(page.next)), 3)
    assert ([entry.path for entry in rest.uploads], rest.next) == (["/a/1", "/a/0"], None)


def test_rows_and_size_do_not_grow_beyond_the_bounds(store: RecordStore, tmp_path: Path) -> None:
    bounds = changed(BOUNDS, max_rows=300)

    def fill(start: int) -> tuple[int, list[int]]:
        for number in range(start, start + 2000, 100):
            many = range(number, number + 100)
            write(
                store,
                *(stored(request_id=f"r{each}", event_id=f"e{each}") for each in many),
                *(tried(event_id=f"e{each}") for each in many for _ in range(3)),
                bounds=bounds,
            )
        return file.stat().st_size, counts(file)

    file = tmp_path / "records.db"
    first_size, first = fill(0)
    size, rows = fill(2000)

    assert first == rows == [300, 600]
    assert size <= 1.1 * first_size
    assert store.find("r3999") and not store.find("r3699")
    assert (tmp_path / "records.db-wal").stat().st_size < 8 << 20


def test_a_lower_bound_is_reached_and_old_rows_expire(store: RecordStore, tmp_path: Path) -> None:
    write(store, *(stored(request_id=f"r{number}") for number in range(50)))
    write(store, tried(), at=NOW + 50)
    write(store, stored(request_id="new"), at=NOW + 50)

    write(store, bounds=changed(BOUNDS, max_rows=10))
    assert counts(tmp_path / "records.db") == [10, 1]
    store.expire(NOW + 10)

    assert paths(store) == ["/upload/a b"] and store.find("new")
    assert counts(tmp_path / "records.db") == [1, 1]


def test_an_event_that_is_tried_for_days_keeps_its_last_attempts(store: RecordStore) -> None:
    write(store, stored(event_id="u1"))
    for number in range(1, MAX_ATTEMPTS + 21):
        write(store, tried(attempt=number, outcome="retry", delay=1.0))

    [record] = store.find("u1")

    assert [record.attempts[0].number, record.attempts[-1].number] == [21, MAX_ATTEMPTS + 20]


def counts(file: Path) -> list[int]:
    with sqlite3.connect(file) as database:
        found = [
            database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("record", "attempt")
        ]
    database.close()
    return found


@pytest.mark.usefixtures("store")
def test_no_statement_goes_through_a_table_without_an_index(tmp_path: Path) -> None:
    row = dict.fromkeys(
        ["id", "limit", "before", "beyond", "account", "code", "state", "path", "since", "most"]
        + ["below", "event_id", "upload_id", "request_id"],
        1,
    )
    database = sqlite3.connect(tmp_path / "records.db")
    plans = {
        name: [found[3] for found in database.execute(f"EXPLAIN QUERY PLAN {sql}", row)]
        for name, sql in SCHEMA.statements.items()
        if not name.startswith(("record", "attempt", "overwrite")) or name == "attempts"
    }
    database.close()

    assert {"find", "attempts", "list", "list_account_path", "expire_records"} <= set(plans)
    for name, plan in plans.items():
        # To forget is rare; to expire reads the first rows by id, up to its limit.
        if name.partition("_")[0] in {"forget", "expire"}:
            continue
        assert not any(goes_through_all(step) for step in plan), (name, plan)
    for filters in combinations(("account", "code", "state"), 2):
        assert any("INDEX record_" in step for step in plans["list_" + "_".join(filters)])
    assert any("INDEX record_path" in step for step in plans["list_path"])


def goes_through_all(step: str) -> bool:
    return step.startswith(("SCAN record", "SCAN attempt")) and "INDEX" not in step


def test_forgets_an_account_and_a_path_for_good(store: RecordStore, tmp_path: Path) -> None:
    write(store, stored(event_id="u1"), tried())
    write(store, stored(request_id="r2", upload_id="u2", account="lee", stored_path="/a/b/c"))
    write(store, stored(request_id="r3", upload_id="u3", account="lee", stored_path="/a/bc"))

    assert store.forget_account("kim") == 1
    assert store.find("r1") == [] and store.attempts(event_id="u1") == ()
    assert store.forget_path("/a/b") == 1
    assert [len(store.find(name)) for name in ("r2", "r3")] == [0, 1]
    assert store.forget_account("kim") == 0


def test_another_process_reads_and_writes_the_same_records(
    store: RecordStore, tmp_path: Path
) -> None:
    other = RecordStore(tmp_path / "records.db", Clock("UTC"), migrates=True)
    write(store, stored(event_id="u1"))
    write(other, tried(outcome="dead", code=422, reason="never"))

    assert store.find("u1") == other.find("u1")
    assert store.find("u1")[0].state == "dead"
    other.close()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "records.db"
    file.write_bytes(b"no database" * 1000)

    with pytest.raises(BadResource, match="records.db: not a usable database"):
        RecordStore(file, Clock("UTC"), migrates=True)


def test_an_account_sees_neither_plugins_nor_workers(store: RecordStore) -> None:
    write(store, refused(event_id="u1"), tried(outcome="dead", code=500, reason="secret reason"))
    write(store, refused(request_id="r2", refusal=Refusal(rule="forbidden", reason="no role")))

    seen, built_in = str(for_account(store.find("r1")[0])), for_account(store.find("r2")[0])

    assert not any(word in seen for word in ("gate", "/p/", "http://w", "secret", "terminate"))
    assert "dead" in seen
    assert built_in.cause is not None and built_in.cause.reason == "no role"
