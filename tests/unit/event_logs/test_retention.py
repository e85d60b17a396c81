"""Outbox and inbox do not grow: their files are reused, and no hot statement scans a table."""

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from qmonus_lite.clock import Clock
from qmonus_lite.database.schema import DatabaseSchema
from qmonus_lite.event_logs.sqlite import event_log
from qmonus_lite.event_logs.sqlite.event_log import SqliteEventLog
from qmonus_lite.events import inbox
from qmonus_lite.events.inbox import Inbox
from qmonus_lite.events.log import EventLog
from qmonus_lite.events.outcome import Outcome
from tests.unit.event_logs.events import MOMENT, NOW, open_log, pending

#: Events of one round, and how much larger a file may be after later rounds: a page may be free.
EVENTS, MARGIN = 400, 1.1

#: Statements that run for each event or each second, or that an operator waits for.
HOT = (
    *("prepare", "publish", "commit", "withdraw", "restage", "extend", "claim", "claim_following"),
    *("unclaim", "next_due", "keep", "trim", "expire", "done", "retry", "dead", "expire_dead"),
    *("replay", "replay_delivered", "retry_now", "drop", "show", "waiting", "in_doubt"),
)


def _deliver(log: SqliteEventLog, ids: list[str]) -> None:
    log.done(ids, NOW).result(10)


def _expire(log: SqliteEventLog) -> None:
    log.expire(NOW + 1).result(10)


def _kill(log: SqliteEventLog, ids: list[str]) -> None:
    for each in [log.dead(event_id, 1, "404") for event_id in ids]:
        each.result(10)


def _expire_dead(log: SqliteEventLog) -> None:
    log.expire_dead(MOMENT.timestamp() + 1, EVENTS).result(10)


def _fill(log: EventLog, round_: int) -> list[str]:
    ids = [f"e{round_}-{n}" for n in range(EVENTS)]
    log.prepare([pending(event_id, f"/upload/{event_id}") for event_id in ids])
    for each in [log.commit(event_id) for event_id in ids]:
        each.result(10)
    return ids


@pytest.mark.parametrize(
    ("end", "expire"),
    [(_deliver, _expire), (_kill, _expire_dead)],
    ids=["delivered", "dead"],
)
def test_the_outbox_reuses_the_pages_of_events_that_expired(
    tmp_path: Path,
    end: Callable[[SqliteEventLog, list[str]], None],
    expire: Callable[[SqliteEventLog], None],
) -> None:
    path, sizes = tmp_path / ".qmonus-lite" / "outbox.sqlite3", []
    path.parent.mkdir()
    for round_ in range(4):
        log = open_log(path, "NORMAL")
        end(log, _fill(log, round_))
        assert sum(log.counts().result(10).values()) == EVENTS
        expire(log)
        assert log.counts().result(10) == {}
        # The last connection moves the write-ahead log into the file.
        log.close()
        sizes.append(path.stat().st_size)

    assert max(sizes[1:]) <= MARGIN * sizes[0]


async def test_the_inbox_forgets_by_age_and_number_and_reuses_its_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "MAX_ROWS", 100)
    path, sizes = tmp_path / "inbox.sqlite3", []
    outcome = Outcome(code=200, output="done", event={}, handlers=("a",))
    for round_ in range(4):
        box = Inbox(path, Clock("UTC"))
        for n in range(EVENTS):
            box.remember(f"e{round_}-{n}", outcome)
        for most, kept in ((100, 100), (0, 0)):
            row = {"before": 0.0, "most": most}
            box._database.change("forget", row).result(10)
            with closing(sqlite3.connect(path)) as database:
                rows = database.execute("SELECT count(*) FROM handled").fetchone()
            assert rows == (kept,)
        box.close()
        sizes.append(path.stat().st_size)

    assert max(sizes[1:]) <= MARGIN * sizes[0]


def plan(path: Path, schema: DatabaseSchema, name: str) -> list[str]:
    """The steps of the query plan of a statement."""
    statement = schema.statements[name]
    values = dict.fromkeys(re.findall(r":(\w+)", statement), "[]")
    with closing(sqlite3.connect(path)) as database:
        rows = database.execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
    return [row[3] for row in rows]


@pytest.mark.parametrize("name", HOT)
def test_no_statement_of_the_outbox_scans_a_table(tmp_path: Path, name: str) -> None:
    path = tmp_path / ".qmonus-lite" / "outbox.sqlite3"
    path.parent.mkdir()
    open_log(path, "NORMAL").close()

    steps = plan(path, event_log.SCHEMA, name)
    scans = [step for step in steps if re.match(r"SCAN (event|e|older|delivered)\b", step)]
    # The largest number is the end of the primary key.
    assert [step for step in scans if name != "trim"] == []


@pytest.mark.parametrize("name", ["find", "remember", "forget"])
def test_no_statement_of_the_inbox_scans_the_table(tmp_path: Path, name: str) -> None:
    path = tmp_path / "inbox.sqlite3"
    Inbox(path, Clock("UTC")).close()

    for step in plan(path, inbox.SCHEMA, name):
        assert not re.match(r"SCAN handled(?! USING (COVERING )?INDEX)", step), step
