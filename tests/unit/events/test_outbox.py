"""The outbox: states, order by path, and everything there after a restart."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qmonus_lite.events.database import DatabaseFailed, statements
from qmonus_lite.events.outbox import (
    ClaimedEvent,
    Outbox,
    PendingEvent,
    claimed_events,
    detail,
    direct,
    entry,
)

pytestmark = pytest.mark.usefixtures("hasty")

MOMENT = datetime(2026, 11, 22, 10, tzinfo=UTC)
NOW, LEASE = 1000.0, 2000.0
DATA = '{"名":[1,null]}'


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    outbox = Outbox(tmp_path / "outbox.sqlite3")
    yield outbox
    outbox.close()


def promise(event_id: str, path: str = "/upload/a") -> PendingEvent:
    return PendingEvent(
        id=event_id,
        type="APIGW.OnFileUploaded",
        path=path,
        time=MOMENT,
        data=DATA,
        token=f"data:staging/{event_id}/{path}",
        final=f"/srv{path}",
        request_id=f"request of {event_id}",
    )


def put(outbox: Outbox, event_id: str, path: str = "/upload/a") -> None:
    """Promise an event and let it go."""
    outbox.prepare([promise(event_id, path)])
    outbox.ready(event_id).result(10)


def claim(outbox: Outbox, now: float = NOW, limit: int = 100) -> list[ClaimedEvent]:
    return claimed_events(outbox.claim(now, lease=now + LEASE, limit=limit).result(10))


def claimed(outbox: Outbox, now: float = NOW) -> list[str]:
    return [due.id for due in claim(outbox, now)]


def states(outbox: Outbox) -> dict[str, str]:
    rows = outbox.listing("", 100).result(10)
    return {one.id: one.state for one in map(entry, rows)}


def test_an_event_that_was_let_go_is_due_as_it_was_promised(outbox: Outbox) -> None:
    put(outbox, "e1")
    [due] = claim(outbox)

    assert due == ClaimedEvent(
        seq=1,
        id="e1",
        type="APIGW.OnFileUploaded",
        path="/upload/a",
        time=MOMENT,
        data=DATA,
        attempt=1,
        since=MOMENT.timestamp(),
        request_id="request of e1",
    )


def test_what_goes_straight_is_what_the_outbox_would_give(outbox: Outbox) -> None:
    put(outbox, "e1")
    [due] = claim(outbox)

    assert direct(1, promise("e1")) == replace(due, direct=True)


def test_an_outbox_of_the_version_before_opens_and_delivers(tmp_path: Path) -> None:
    place = tmp_path / "older.sqlite3"
    schema = statements("outbox.sql")["schema"]
    # As it was: without the column of the request id.
    older, _, _ = schema.partition(",\n    -- Id of the request that stored the file.")
    row = ("e0", "E", "/upload/a", MOMENT.isoformat(), DATA, "s", "f", 1.0, "ready")
    with closing(sqlite3.connect(place)) as database, database:
        database.execute(f"{older});")
        database.execute(
            "INSERT INTO event (id, type, path, time, data, staged, final, since, state)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            row,
        )
    # Also a second time, with the column there.
    for event_id in ("e1", "e2"):
        outbox = Outbox(place)
        put(outbox, event_id, f"/upload/{event_id}")
        outbox.close()
    outbox = Outbox(place)
    found = {due.id: due.request_id for due in claim(outbox)}
    outbox.close()

    assert found == {"e0": "", "e1": "request of e1", "e2": "request of e2"}


def test_a_promise_is_not_due(outbox: Outbox) -> None:
    outbox.prepare([promise("e1")])

    assert claimed(outbox) == []
    assert states(outbox) == {"e1": "prepared"}


def test_what_is_being_sent_is_not_due_again_before_its_lease_ends(outbox: Outbox) -> None:
    put(outbox, "e1")

    assert claimed(outbox) == ["e1"]
    assert states(outbox) == {"e1": "sending"}
    assert claimed(outbox, NOW + LEASE - 1) == []
    assert claimed(outbox, NOW + LEASE) == ["e1"]


def test_a_delivered_event_is_gone(outbox: Outbox) -> None:
    put(outbox, "e1")
    claim(outbox)
    assert outbox.done(["e1"]).result(10) == 1

    assert states(outbox) == {}


def test_a_withdrawn_promise_is_gone_and_only_a_promise_is(outbox: Outbox) -> None:
    outbox.prepare([promise("e1")])
    put(outbox, "e2")

    assert (outbox.withdraw("e1").result(10), outbox.withdraw("e2").result(10)) == (1, 0)
    assert states(outbox) == {"e2": "ready"}


def test_an_event_to_be_tried_again_waits_for_its_moment(outbox: Outbox) -> None:
    put(outbox, "e1")
    claim(outbox)
    outbox.retry("e1", 1, NOW + 5, "503").result(10)

    assert claimed(outbox, NOW + 4.9) == []
    assert outbox.next_due(NOW).result(10) == [(NOW + 5,)]
    [due] = claim(outbox, NOW + 5)
    assert due.attempt == 2
    assert entry(outbox.one("e1").result(10)[0]).reason == "503"


def test_a_delivery_that_reached_nobody_does_not_count(outbox: Outbox) -> None:
    put(outbox, "e1")
    [due] = claim(outbox)
    outbox.retry("e1", due.attempt - 1, NOW, "away").result(10)

    assert [due.attempt for due in claim(outbox)] == [1]


def test_a_dead_letter_is_kept_and_can_be_replayed(outbox: Outbox) -> None:
    put(outbox, "e1")
    claim(outbox)
    outbox.dead("e1", 1, "404").result(10)
    assert states(outbox) == {"e1": "dead"}
    assert claimed(outbox, NOW + 10 * LEASE) == []

    assert outbox.replay("e1", 5000.0).result(10) == 1
    [due] = claim(outbox)
    assert (due.attempt, due.since) == (2, 5000.0)


@pytest.mark.parametrize("state", ["prepared", "ready", "gone"])
def test_only_dead_letters_are_replayed(outbox: Outbox, state: str) -> None:
    if state != "gone":
        outbox.prepare([promise("e1")])
    if state == "ready":
        outbox.ready("e1").result(10)

    assert outbox.replay("e1", NOW).result(10) == 0


def test_one_event_of_a_path_at_a_time_in_order(outbox: Outbox) -> None:
    for n in (1, 2, 3):
        put(outbox, f"e{n}")

    for n in (1, 2, 3):
        assert claimed(outbox) == [f"e{n}"]
        assert claimed(outbox) == []
        outbox.done([f"e{n}"]).result(10)
    assert claimed(outbox) == []


def test_no_path_waits_for_another(outbox: Outbox) -> None:
    for path in "abc":
        put(outbox, f"{path}1", f"/upload/{path}")
        put(outbox, f"{path}2", f"/upload/{path}")
    assert claimed(outbox) == ["a1", "b1", "c1"]
    outbox.retry("a1", 1, NOW + 100, "503").result(10)
    outbox.done(["b1"]).result(10)

    assert claimed(outbox) == ["b2"]


def test_a_later_event_waits_for_a_promise_before_it(outbox: Outbox) -> None:
    outbox.prepare([promise("e1")])
    put(outbox, "e2")
    assert claimed(outbox) == []
    outbox.withdraw("e1").result(10)

    assert claimed(outbox) == ["e2"]


def test_a_dead_letter_blocks_nobody(outbox: Outbox) -> None:
    put(outbox, "e1")
    put(outbox, "e2")
    claim(outbox)
    outbox.dead("e1", 1, "404").result(10)

    assert claimed(outbox) == ["e2"]


def test_takes_no_more_than_asked_and_the_longest_waiting_first(outbox: Outbox) -> None:
    for n in range(5):
        put(outbox, f"e{n}", f"/upload/{n}")

    assert [due.id for due in claim(outbox, limit=2)] == ["e0", "e1"]
    assert [due.id for due in claim(outbox, limit=9)] == ["e2", "e3", "e4"]


def test_a_row_of_an_older_version_names_its_stored_path_too(outbox: Outbox) -> None:
    outbox.prepare([replace(promise("p"), token="/srv/.qmonus-lite/staging/p")])

    assert [event.token for event in outbox.prepared()] == ["/srv/.qmonus-lite/staging/p//upload/a"]


def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    before = Outbox(tmp_path / "outbox.sqlite3")
    before.prepare([promise("p", "/upload/p")])
    put(before, "r", "/upload/r")
    put(before, "s", "/upload/s")
    put(before, "d", "/upload/d")
    claim(before)
    before.retry("r", 1, NOW, "x").result(10)
    before.dead("d", 1, "x").result(10)
    before.close()
    after = Outbox(tmp_path / "outbox.sqlite3")

    assert states(after) == {"p": "prepared", "r": "ready", "s": "sending", "d": "dead"}
    assert [(event.id, event.token) for event in after.prepared()] == [
        ("p", "data:staging/p//upload/p")
    ]
    after.release()
    assert [(due.id, due.attempt) for due in claim(after)] == [("r", 2), ("s", 2)]
    put(after, "new", "/upload/new")
    assert [due.seq for due in claim(after)] == [5]
    after.close()


def test_one_id_is_promised_once(outbox: Outbox) -> None:
    put(outbox, "e1")

    failed, made = outbox.prepare([promise("e1", "/upload/other"), promise("e2")])
    assert isinstance(failed, DatabaseFailed)
    assert made == 2
    assert [due.path for due in claim(outbox)] == ["/upload/a"]


def test_lists_and_counts_by_state(outbox: Outbox) -> None:
    for n in range(3):
        put(outbox, f"e{n}", f"/upload/{n}")
    claim(outbox)
    outbox.dead("e1", 1, "404: gone").result(10)

    [row] = outbox.listing("dead", 100).result(10)
    assert (entry(row).id, entry(row).reason) == ("e1", "404: gone")
    assert len(outbox.listing("", 2).result(10)) == 2
    assert dict(outbox.counts().result(10)) == {"dead": 1, "ready": 2}


def test_shows_one_event_with_its_credentials_masked(outbox: Outbox) -> None:
    one = promise("e1")
    headers = {"X-Auth-Token": "s3cret", "Authorization": "Bearer s3cret", "Accept": "*/*"}
    hidden = replace(one, data=json.dumps({"headers": headers}))
    outbox.prepare([hidden])
    outbox.ready("e1").result(10)
    said = json.dumps(detail(outbox.one("e1").result(10)[0]))

    assert "s3cret" not in said
    assert "*/*" in said
    assert outbox.one("missing").result(10) == []


STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "claim", "done", "retry", "dead"]), st.integers(0, 2)),
    max_size=25,
)


@given(STEPS)
def test_a_path_never_has_two_events_under_way_and_none_out_of_order(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    outbox = Outbox(tmp_path_factory.mktemp("any") / "outbox.sqlite3", "NORMAL")
    count, sending, last = 0, {}, dict.fromkeys(range(3), 0)
    for step, path in steps:
        if step == "put":
            count += 1
            put(outbox, str(count), f"/{path}")
        elif step == "claim":
            for due in claim(outbox):
                where = int(due.path[1:])
                assert where not in sending
                assert int(due.id) >= last[where]
                sending[where] = due
                last[where] = int(due.id)
        elif path in sending:
            due = sending.pop(path)
            if step == "retry":
                outbox.retry(due.id, due.attempt, NOW, "x").result(10)
            else:
                (outbox.done([due.id]) if step == "done" else outbox.dead(due.id, 1, "x")).result(
                    10
                )
    outbox.close()
