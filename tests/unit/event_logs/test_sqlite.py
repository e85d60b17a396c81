"""The event log in SQLite: what is there after a restart, and after an upgrade."""

import json
import logging
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from qmonus_lite.errors import BadResource
from qmonus_lite.event_logs.sqlite.event_log import SCHEMA, SqliteEventLog
from qmonus_lite.events.event_redaction import redacted_detail
from qmonus_lite.events.gateway import Gateway
from qmonus_lite.events.stored_event import InDoubt, ShownEvent
from tests.unit.event_logs.events import NOW, claim, open_log, pending, put, states
from tests.upgrade.old_format import OLD_SCHEMAS, OldRow, compact, old_data, old_row, write_outbox

NEWEST = len(SCHEMA.migrations)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the outbox is, in the data directory of a launch directory."""
    data_dir = tmp_path / ".qmonus-lite"
    data_dir.mkdir()
    return data_dir / "outbox.sqlite3"


def gateway(base: Path) -> Gateway:
    return Gateway(address="127.0.0.1", port=9099, stores={"file": f"{base}/"})


def shown(log: SqliteEventLog, event_id: str) -> ShownEvent:
    detail = log.show(event_id).result(10)
    assert detail is not None
    return detail


def test_everything_is_there_after_a_restart(path: Path) -> None:
    before = open_log(path)
    before.prepare([pending("p", "/upload/p")])
    for name in "rsd":
        put(before, name, f"/upload/{name}")
    claim(before)
    before.retry("r", 1, NOW, "x").result(10)
    before.dead("d", 1, "x").result(10)
    before.close()
    after = open_log(path)

    assert states(after) == {"p": "prepared", "r": "ready", "s": "sending", "d": "dead"}
    assert after.in_doubt() == [InDoubt(id="p", store="file", token="data:staging/p//upload/p")]
    after.release()
    assert [(due.id, due.attempt) for due in claim(after)] == [("r", 2), ("s", 2)]
    put(after, "new", "/upload/new")
    assert [due.seq for due in claim(after)] == [5]
    after.close()


def test_credentials_are_masked_for_display(path: Path, tmp_path: Path) -> None:
    headers = {"X-Auth-Token": "s3cret", "Authorization": "Bearer s3cret", "Accept": "*/*"}
    row = old_row(tmp_path, "e1", "/upload/a", data=compact(old_data("/a", "/b", headers=headers)))
    write_outbox(path, "outbox_0_1", [row])
    log = open_log(path)
    text = json.dumps(redacted_detail(shown(log, "e1"), gateway(tmp_path)))
    log.close()

    assert "s3cret" not in text
    assert "*/*" in text


def steps_per_event(path: Path, places: list[str]) -> float:
    """Instructions of SQLite's virtual machine to claim and delete events at these paths."""
    log, steps = open_log(path, "NORMAL"), 0
    events = [pending(str(number), place) for number, place in enumerate(places)]
    log.prepare(events)
    [log.commit(event.id) for event in events][-1].result(60)

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    log._database._database.set_progress_handler(count, 1)
    done = 0
    while due := claim(log):
        log.done([event.id for event in due])
        done += len(due)
    log.close()
    assert done == len(places)
    return steps / done


def test_a_claim_costs_the_same_however_many_events_wait_at_one_path(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    few = steps_per_event(data_dir / "few", ["/a"] * 100)
    many = steps_per_event(data_dir / "many", ["/a"] * 800)
    apart = steps_per_event(data_dir / "apart", [f"/{number}" for number in range(800)])

    assert many < 1.2 * few
    # Each claim at one path is a statement of its own; apart, a hundred events share one.
    assert many < 4 * apart


def test_an_event_that_waits_for_a_requeued_one_is_claimed_after_it(path: Path) -> None:
    log = open_log(path)
    for name in ("e1", "e2", "e3"):
        put(log, name)
    claim(log)
    log.dead("e1", 1, "404").result(10)
    log.replay("e1", NOW).result(10)

    for name in ("e1", "e2", "e3"):
        assert [due.id for due in claim(log)] == [name]
        assert claim(log) == []
        log.done([name]).result(10)
    log.close()


def test_events_of_one_path_in_format_3_are_claimed_one_after_the_other(path: Path) -> None:
    log = open_log(path)
    for name in ("e1", "e2"):
        put(log, name)
    log.close()
    with closing(sqlite3.connect(path)) as database:
        database.executescript(
            "DROP TRIGGER event_left; DROP TRIGGER event_died; DROP TRIGGER event_requeued;"
            "DROP INDEX event_blocked; DROP INDEX event_due; DROP INDEX event_path;"
            "DROP TABLE delivered;"
            "ALTER TABLE event DROP COLUMN blocked; ALTER TABLE event DROP COLUMN upload_id;"
            "ALTER TABLE event DROP COLUMN account; ALTER TABLE event DROP COLUMN traceparent;"
            "CREATE INDEX event_path ON event (path, seq);"
            "CREATE INDEX event_due ON event (state, next_at, seq);"
            "PRAGMA user_version = 3;"
        )
    log = open_log(path)

    for name in ("e1", "e2"):
        assert [due.id for due in claim(log)] == [name]
        log.done([name]).result(10)
    log.close()


@pytest.mark.parametrize("schema", OLD_SCHEMAS)
class TestUpgrade:
    def test_events_of_every_state_survive_and_are_delivered(
        self, schema: str, path: Path, tmp_path: Path
    ) -> None:
        rows = [
            old_row(tmp_path, "prepared", "/upload/p", state="prepared"),
            old_row(tmp_path, "ready", "/upload/r", attempt=3, reason="503", next_at=NOW),
            old_row(tmp_path, "leased", "/upload/l", attempt=1, leased=1, next_at=NOW * 9),
            old_row(tmp_path, "dead", "/upload/d", state="dead", attempt=7, reason="404"),
        ]
        write_outbox(path, schema, rows)
        log = open_log(path)
        entries = {entry.id: entry for entry in log.list_events("", 9).result(10)}
        log.release()
        due = claim(log)
        put(log, "new", "/upload/new")

        assert [(entry.seq, entry.state, entry.reason) for entry in entries.values()] == [
            (1, "prepared", ""),
            (2, "ready", "503"),
            (3, "sending", ""),
            (4, "dead", "404"),
        ]
        assert [(event.id, event.attempt, event.request_id) for event in due] == [
            ("ready", 4, ""),
            ("leased", 2, ""),
        ]
        assert [event.seq for event in claim(log)] == [5]
        log.close()

    def test_an_event_is_the_same_bytes_for_its_handlers(
        self, schema: str, path: Path, tmp_path: Path
    ) -> None:
        odd = {
            # A handler may have put anything there, and the fields at any place.
            "filepath": f"{tmp_path}/upload/b",
            "nested": {"address": None, "port": [], "filepath": None},
            "number": 1.50,
            **old_data("/upload/b", f"{tmp_path}/upload/b"),
            "text": '"address": null,"port": null,"filepath": null',
        }
        rows = [
            old_row(tmp_path, "plain", "/upload/a"),
            old_row(tmp_path, "odd", "/upload/b", data=compact(odd)),
        ]
        write_outbox(path, schema, rows)
        log = open_log(path)

        for row in rows:
            detail = shown(log, row.id)
            assert str(tmp_path) not in detail.data
            assert gateway(tmp_path).complete(detail) == row.data
        log.close()

    def test_an_event_is_one_of_where_its_gateway_runs_now(
        self, schema: str, path: Path, tmp_path: Path
    ) -> None:
        write_outbox(path, schema, [old_row(tmp_path, "e1", "/upload/a")])
        log = open_log(path)
        [due] = claim(log)
        log.close()
        moved = Gateway(address="10.0.0.7", port=80, stores={"file": "/elsewhere/"})
        event = json.loads(moved.complete(due))

        assert (due.store, due.store_path, due.gateway) == ("file", "upload/a", "g1")
        assert (event["address"], event["port"], event["filepath"]) == (
            "10.0.0.7",
            80,
            "/elsewhere/upload/a",
        )

    @pytest.mark.parametrize(
        ("changed", "store_path"),
        [
            # The launch directory was moved before the upgrade.
            ({"final": "/former/upload/a", "data": compact(old_data("/a", "/former/a"))}, None),
            # Only begins like the launch directory.
            ({"final": "BASE-2/upload/a", "data": compact(old_data("/a", "BASE-2/a"))}, None),
            ({"data": "[no JSON"}, "upload/a"),
            ({"data": compact(old_data("/a", "/by another name/a"))}, "upload/a"),
            ({"data": compact({"path": "/a"})}, "upload/a"),
        ],
    )
    def test_what_cannot_be_made_relative_stays_as_it_is(
        self,
        schema: str,
        path: Path,
        tmp_path: Path,
        changed: dict[str, Any],
        store_path: str | None,
    ) -> None:
        changed = {key: text.replace("BASE", str(tmp_path)) for key, text in changed.items()}
        row = old_row(tmp_path, "e1", "/upload/a", **changed)
        write_outbox(path, schema, [row])
        log = open_log(path)
        [due] = claim(log)
        log.close()

        assert (due.data, due.gateway) == (row.data, "")
        assert due.store_path == (store_path or row.final)

    def test_staged_files_are_found_in_their_directories(
        self, schema: str, path: Path, tmp_path: Path
    ) -> None:
        rows = [
            old_row(tmp_path, "home", "/a", state="prepared"),
            old_row(
                tmp_path,
                "mount",
                "/b",
                state="prepared",
                staged=f"{tmp_path}/m/.qmonus-lite-staging/mount",
            ),
            old_row(
                tmp_path, "moved", "/d", state="prepared", staged="/former/x/staging/0-a-moved"
            ),
            old_row(
                tmp_path,
                "else",
                "/c",
                state="prepared",
                staged="/former/m/.qmonus-lite-staging/else",
            ),
        ]
        write_outbox(path, schema, rows)
        log = open_log(path)

        assert [event.token for event in log.in_doubt()] == [
            "data:staging/home//a",
            "root:m/.qmonus-lite-staging/mount//b",
            "data:staging/0-a-moved//d",
            "/former/m/.qmonus-lite-staging/else//c",
        ]
        log.close()

    def test_each_migration_is_made_and_logged_once(
        self, schema: str, path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        write_outbox(path, schema, [old_row(tmp_path, f"e{n}", f"/{n}") for n in range(500)])
        with ThreadPoolExecutor(4) as threads:
            logs = list(threads.map(open_log, [path] * 4))
        counts = [log.counts().result(10) for log in logs]
        for log in logs:
            log.close()

        assert counts == [{"ready": 500}] * 4
        formats = [vars(record).get("format") for record in caplog.records]
        assert formats == list(range(1 + OLD_SCHEMAS.index(schema) + 1, NEWEST + 1))
        assert {vars(record)["action"] for record in caplog.records} == {"database_migrated"}

    def test_no_command_migrates_what_an_older_gateway_may_use(
        self, schema: str, path: Path, tmp_path: Path
    ) -> None:
        write_outbox(path, schema, [old_row(tmp_path, "e1", "/upload/a")])
        before = content(path)
        with pytest.raises(BadResource, match="has the format of an older version"):
            SqliteEventLog(path)

        assert content(path) == before


def content(path: Path) -> list[Any]:
    with closing(sqlite3.connect(path)) as database:
        version = database.execute("PRAGMA user_version").fetchall()
        return version + database.execute("SELECT * FROM event").fetchall()


@pytest.mark.parametrize("migrates", [True, False])
def test_a_newer_format_is_refused_and_stays(path: Path, migrates: bool) -> None:
    log = open_log(path)
    put(log, "e1")
    log.close()
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA user_version = {NEWEST + 1}")
    before = content(path)
    with pytest.raises(BadResource, match=f"has format {NEWEST + 1}, made by a newer version"):
        open_log(path) if migrates else SqliteEventLog(path)

    assert content(path) == before


def test_an_unknown_store_is_an_error_and_no_guess(tmp_path: Path) -> None:
    row: OldRow = old_row(tmp_path, "e1", "/upload/a")
    event = SimpleNamespace(data='{"filepath":null}', store="s3", store_path=row.path[1:])
    with pytest.raises(LookupError, match="the store 's3' of this event is unknown"):
        gateway(tmp_path).complete(event)
