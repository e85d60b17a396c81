"""The contract of event logs, for every implementation: states, order by path, operators."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qmonus_lite.clock import ClockStep
from qmonus_lite.database import database
from qmonus_lite.event_logs import memory
from qmonus_lite.event_logs.memory import MemoryEventLog
from qmonus_lite.event_logs.sqlite import event_log as sqlite_event_log
from qmonus_lite.events.log import STATES, EventLog, EventLogFailed
from qmonus_lite.events.stored_event import (
    EVERY_TYPE,
    ClaimedEvent,
    EventEntry,
    InDoubt,
    ShownEvent,
    Types,
    direct,
)
from qmonus_lite.values import changed
from tests.unit.event_logs.events import (
    DATA,
    LEASE,
    MOMENT,
    NOW,
    claim,
    claimed,
    open_log,
    pending,
    put,
    states,
)

IMPLEMENTATIONS = ("sqlite", "memory")


def following(
    log: EventLog, event: ClaimedEvent, *, limit: int = 9, types: Types = EVERY_TYPE
) -> list[tuple[str, int]]:
    """Ids and attempts of the events that are claimed behind one."""
    behind = log.claim_following(event, NOW, lease=NOW + LEASE, limit=limit, types=types)
    return [(each.id, each.attempt) for each in behind.result(10)]


def make(implementation: str, folder: Path) -> EventLog:
    if implementation == "memory":
        return MemoryEventLog()
    return open_log(folder / "log.sqlite3", "NORMAL")


@pytest.fixture(scope="module", autouse=True)
def hasty() -> Iterator[None]:
    """Lazy changes are not delayed: these tests wait for each of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "BATCH_DELAY_SECONDS", 0.0)
        yield


@pytest.fixture(params=IMPLEMENTATIONS)
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EventLog]:
    log = make(request.param, tmp_path)
    yield log
    log.close()


STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "claim", "done", "retry", "dead"]), st.integers(0, 2)),
    max_size=25,
)


class TestEventLogContract:
    def test_a_committed_event_is_due_as_it_was_prepared(self, log: EventLog) -> None:
        put(log, "e1")
        [due] = claim(log)

        assert due == ClaimedEvent(
            seq=1,
            id="e1",
            type="APIGW.OnFileUploaded",
            path="/upload/a",
            time=MOMENT,
            data=DATA,
            store="file",
            store_path="upload/a",
            gateway="g1",
            attempt=1,
            since=MOMENT.timestamp(),
            request_id="request of e1",
            upload_id="upload of e1",
        )

    def test_a_direct_event_is_what_a_claim_would_give(self, log: EventLog) -> None:
        put(log, "e1")
        [due] = claim(log)

        assert direct(1, pending("e1")) == changed(due, direct=True)

    def test_a_prepared_event_is_not_due(self, log: EventLog) -> None:
        log.prepare([pending("e1")])

        assert claimed(log) == []
        assert states(log) == {"e1": "prepared"}

    def test_prepared_events_are_in_doubt_with_their_newest_token(self, log: EventLog) -> None:
        log.prepare([pending("e1"), pending("e2", "/upload/b")])
        put(log, "e3", "/upload/c")
        assert log.restage("e2", "root:volume/e2").result(10) == 1
        assert log.restage("e3", "root:volume/e3").result(10) == 0

        first = InDoubt(id="e1", store="file", token="data:staging/e1//upload/a")
        second = InDoubt(id="e2", store="file", token="root:volume/e2")
        assert log.in_doubt() == [first, second]

    def test_an_event_of_recovery_counts_a_delivery_that_may_have_begun(
        self, log: EventLog
    ) -> None:
        log.prepare([pending("e1")])
        assert log.commit("e1", attempt=1).result(10) == 1
        assert log.commit("e1").result(10) == 0

        assert [due.attempt for due in claim(log)] == [2]

    def test_a_leased_event_is_not_due_again_before_its_lease_ends(self, log: EventLog) -> None:
        put(log, "e1")

        assert claimed(log) == ["e1"]
        assert states(log) == {"e1": "sending"}
        for state, listed in (("sending", ["e1"]), ("ready", ["e1"]), ("dead", [])):
            assert [entry.id for entry in log.list_events(state, 9).result(10)] == listed
        assert claimed(log, NOW + LEASE - 1) == []
        assert claimed(log, NOW + LEASE) == ["e1"]

    @pytest.mark.parametrize("seconds", [-500.0, 500.0])
    def test_due_times_leases_and_ages_follow_a_step_of_the_clock(
        self, log: EventLog, seconds: float
    ) -> None:
        for number in range(4):
            put(log, f"e{number}", f"/upload/{number}")
            log.dead(f"e{number}", 1, "").result(10)
            log.replay(f"e{number}", NOW - 100).result(10)
        log.retry("e1", 1, NOW + 3, "not now").result(10)
        log.dead("e2", 1, "never").result(10)
        assert claimed(log) == ["e0", "e3"]
        log.retry("e3", 1, NOW - 5, "not now").result(10)
        step = ClockStep(seconds=seconds, now=NOW + seconds, earliest=NOW + seconds - 1)
        log.follow_clock(step, 300).result(10)
        moved = NOW + seconds

        assert log.next_due(moved).result(10) == moved + 3
        found = claim(log, moved)
        assert [(due.id, due.since) for due in found] == [("e3", moved - 100)]
        assert [due.id for due in claim(log, moved + 3)] == ["e1"]
        assert claimed(log, moved + LEASE - 1) == []
        assert claimed(log, moved + LEASE) == ["e0", "e3"]
        assert states(log)["e2"] == "dead"

    def test_an_age_that_began_after_the_step_is_right_already(self, log: EventLog) -> None:
        put(log, "e1")
        log.dead("e1", 1, "").result(10)
        log.replay("e1", NOW - 0.5).result(10)
        log.follow_clock(ClockStep(seconds=-500, now=NOW, earliest=NOW - 1), 300).result(10)

        assert [due.since for due in claim(log)] == [NOW - 0.5]

    def test_times_far_ahead_of_the_clock_are_limited(self, log: EventLog) -> None:
        """The clock was set back while no process ran."""
        put(log, "e1")
        log.retry("e1", 1, NOW + 3600, "not now").result(10)
        log.follow_clock(ClockStep(seconds=0, now=NOW, earliest=NOW), 300).result(10)

        assert claimed(log, NOW + 299) == []
        [due] = claim(log, NOW + 300)
        # It was stored at MOMENT, which is years ahead of NOW.
        assert due.since == NOW

    def test_released_leases_are_due_at_once_and_count_on(self, log: EventLog) -> None:
        put(log, "e1")
        claim(log)
        log.release()

        assert [(due.id, due.attempt) for due in claim(log)] == [("e1", 2)]

    def test_a_direct_event_is_leased_and_a_lease_extended(self, log: EventLog) -> None:
        log.prepare([pending("e1")])
        put(log, "e2", "/upload/b")
        claim(log)
        assert log.extend("e1", NOW + 10).result(10) == 1
        assert log.extend("e2", NOW + 20).result(10) == 1
        assert log.extend("missing", NOW + 20).result(10) == 0

        shown = log.list_events("", 100).result(10)
        assert [(entry.state, entry.attempt, entry.next_at) for entry in shown] == [
            ("sending", 1, NOW + 10),
            ("sending", 1, NOW + 20),
        ]
        assert claimed(log, NOW + 10) == ["e1"]

    @pytest.mark.parametrize("state", ["ready", "dead"])
    def test_what_is_not_being_delivered_gets_no_lease(self, log: EventLog, state: str) -> None:
        put(log, "e1")
        if state == "dead":
            log.dead("e1", 1, "404").result(10)

        assert log.extend("e1", NOW + 10).result(10) == 0
        assert states(log) == {"e1": state}

    def test_a_delivered_event_is_gone(self, log: EventLog) -> None:
        put(log, "e1")
        put(log, "e2", "/upload/b")
        claim(log)

        assert log.done(["e1", "e2", "missing"]).result(10) == 2
        assert states(log) == {}

    def test_a_delivered_event_can_be_kept(self, log: EventLog) -> None:
        log.prepare([pending("direct", "/upload/b")])
        put(log, "e1")
        claim(log)
        assert log.done(["direct", "e1", "missing"], NOW + 5).result(10) == 2

        assert states(log) == {}
        assert log.waiting(9) == ([], 0) and log.in_doubt() == []
        assert log.counts().result(10) == {"delivered": 2}
        entries = log.list_events("delivered", 9).result(10)
        kept = [(entry.id, entry.state, entry.attempt, entry.delivered_at) for entry in entries]
        assert sorted(kept) == [
            ("direct", "delivered", 1, NOW + 5),
            ("e1", "delivered", 1, NOW + 5),
        ]
        shown = log.show("e1").result(10)
        assert shown is not None
        assert (shown.entry.state, shown.data, shown.store_path) == ("delivered", DATA, "upload/a")

    def test_a_copy_of_a_delivered_event_is_delivered_under_another_id(self, log: EventLog) -> None:
        put(log, "e1")
        claim(log)
        log.done(["e1"], NOW).result(10)
        assert log.replay("e1", 5000.0).result(10) == 0
        assert log.replay_delivered("missing", "copy", 5000.0).result(10) == 0
        assert log.replay_delivered("e1", "copy", 5000.0).result(10) == 1

        [due] = claim(log)
        assert (due.id, due.seq, due.attempt, due.since) == ("copy", 2, 1, 5000.0)
        assert (due.path, due.data, due.time) == ("/upload/a", DATA, MOMENT)
        assert (due.upload_id, due.request_id) == ("upload of e1", "request of e1")
        log.done(["copy"], NOW + 1).result(10)
        listed = log.list_events("delivered", 9).result(10)
        assert [entry.id for entry in listed] == ["e1", "copy"]

    def test_published_events_are_due_after_what_published_them(self, log: EventLog) -> None:
        put(log, "e1")
        claim(log)
        published = [pending("p1"), pending("p2", "/upload/b")]
        log.publish(published, delivered="e1", kept_at=NOW).result(10)

        assert log.counts().result(10) == {"ready": 2, "delivered": 1}
        assert claimed(log) == ["p1", "p2"]

    def test_an_event_that_was_published_before_stays_as_it_is(self, log: EventLog) -> None:
        log.publish([pending("p1")]).result(10)
        log.retry("p1", 3, NOW + 5, "503").result(10)
        log.publish([pending("p1"), pending("p2")]).result(10)

        entries = log.list_events("", 9).result(10)
        assert [(entry.id, entry.state, entry.attempt) for entry in entries] == [
            ("p1", "ready", 3),
            ("p2", "ready", 0),
        ]
        assert log.in_doubt() == []

    def test_a_dead_letter_is_not_kept_as_delivered(self, log: EventLog) -> None:
        put(log, "e1")
        log.dead("e1", 1, "404").result(10)

        assert log.done(["e1"], NOW).result(10) == 0
        assert log.counts().result(10) == {"dead": 1}

    def test_delivered_events_are_bounded_by_age_and_number(
        self, log: EventLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for module in (sqlite_event_log, memory):
            monkeypatch.setattr(module, "MAX_DELIVERED", 3)
        for n in range(5):
            put(log, f"e{n}", f"/upload/{n}")
            log.done([f"e{n}"], NOW + n).result(10)

        def kept() -> list[str]:
            return [entry.id for entry in log.list_events("delivered", 9).result(10)]

        assert kept() == ["e2", "e3", "e4"]
        assert log.expire(NOW + 4).result(10) == 2
        assert kept() == ["e4"]

    def test_dead_letters_are_bounded_by_age_and_number(self, log: EventLog) -> None:
        for n in range(5):
            put(log, f"e{n}", f"/upload/{n}")
            if n:
                log.dead(f"e{n}", 1, "404").result(10)
        age = MOMENT.timestamp()

        assert log.expire_dead(age, 9).result(10) == 0
        assert log.expire_dead(age, 3).result(10) == 1
        assert states(log) == {"e0": "ready", "e2": "dead", "e3": "dead", "e4": "dead"}
        assert log.expire_dead(age + 1, 9).result(10) == 3
        assert states(log) == {"e0": "ready"}

    def test_delivered_events_hold_up_no_later_event(self, log: EventLog) -> None:
        put(log, "e1")
        claim(log)
        log.done(["e1"], NOW).result(10)
        put(log, "e2")

        assert claimed(log) == ["e2"]

    def test_a_direct_event_that_is_delivered_is_gone(self, log: EventLog) -> None:
        log.prepare([pending("e1")])

        assert log.done(["e1"]).result(10) == 1
        assert states(log) == {}

    def test_only_prepared_events_are_withdrawn(self, log: EventLog) -> None:
        log.prepare([pending("e1")])
        put(log, "e2")

        assert (log.withdraw("e1").result(10), log.withdraw("e2").result(10)) == (1, 0)
        assert states(log) == {"e2": "ready"}

    def test_a_retry_is_due_at_its_time(self, log: EventLog) -> None:
        put(log, "e1")
        claim(log)
        log.retry("e1", 1, NOW + 5, "503").result(10)

        assert claimed(log, NOW + 4.9) == []
        assert log.next_due(NOW).result(10) == NOW + 5
        assert log.next_due(NOW + 5).result(10) is None
        [due] = claim(log, NOW + 5)
        assert due.attempt == 2
        shown = log.show("e1").result(10)
        assert shown is not None
        assert shown.entry.reason == "503"

    def test_a_delivery_that_reached_no_worker_does_not_count(self, log: EventLog) -> None:
        put(log, "e1")
        [due] = claim(log)
        log.retry("e1", due.attempt - 1, NOW, "away").result(10)

        assert [due.attempt for due in claim(log)] == [1]

    def test_a_waiting_event_can_be_tried_now(self, log: EventLog) -> None:
        put(log, "e1")
        claim(log)
        assert log.retry_now("e1", NOW).result(10) == 0
        log.retry("e1", 1, NOW + 500, "503").result(10)

        assert claimed(log, NOW + 1) == []
        assert log.retry_now("e1", NOW + 1).result(10) == 1
        assert log.retry_now("missing", NOW + 1).result(10) == 0
        assert [(due.id, due.attempt) for due in claim(log, NOW + 1)] == [("e1", 2)]

    def test_a_dead_letter_is_kept_and_can_be_replayed(self, log: EventLog) -> None:
        put(log, "e1")
        claim(log)
        log.dead("e1", 1, "404").result(10)
        assert states(log) == {"e1": "dead"}
        assert claimed(log, NOW + 10 * LEASE) == []

        assert log.replay("e1", 5000.0).result(10) == 1
        [due] = claim(log)
        assert (due.attempt, due.since) == (2, 5000.0)

    def test_what_is_settled_once_stays_dead(self, log: EventLog) -> None:
        put(log, "e1")
        log.dead("e1", 1, "404").result(10)
        late = [log.retry("e1", 1, NOW, "503"), log.dead("e1", 2, "x"), log.done(["e1"])]

        assert [future.result(10) for future in late] == [0, 0, 0]
        assert states(log) == {"e1": "dead"}

    @pytest.mark.parametrize("state", ["prepared", "ready", "gone"])
    def test_only_dead_letters_are_replayed_or_dropped(self, log: EventLog, state: str) -> None:
        if state != "gone":
            log.prepare([pending("e1")])
        if state == "ready":
            log.commit("e1").result(10)

        assert log.replay("e1", NOW).result(10) == 0
        assert log.drop("e1").result(10) == 0
        assert states(log) == ({} if state == "gone" else {"e1": state})

    def test_a_dropped_dead_letter_is_gone(self, log: EventLog) -> None:
        put(log, "e1")
        log.dead("e1", 1, "404").result(10)

        assert log.drop("e1").result(10) == 1
        assert states(log) == {}

    def test_one_event_of_a_path_at_a_time_in_order(self, log: EventLog) -> None:
        for n in (1, 2, 3):
            put(log, f"e{n}")

        for n in (1, 2, 3):
            assert claimed(log) == [f"e{n}"]
            assert claimed(log) == []
            log.done([f"e{n}"]).result(10)
        assert claimed(log) == []

    def test_no_path_waits_for_another(self, log: EventLog) -> None:
        for path in "abc":
            put(log, f"{path}1", f"/upload/{path}")
            put(log, f"{path}2", f"/upload/{path}")
        assert claimed(log) == ["a1", "b1", "c1"]
        log.retry("a1", 1, NOW + 100, "503").result(10)
        log.done(["b1"]).result(10)

        assert claimed(log) == ["b2"]

    def test_a_later_event_waits_for_a_prepared_one_before_it(self, log: EventLog) -> None:
        log.prepare([pending("e1")])
        put(log, "e2")
        assert claimed(log) == []
        log.withdraw("e1").result(10)

        assert claimed(log) == ["e2"]

    def test_a_dead_letter_blocks_no_later_event(self, log: EventLog) -> None:
        put(log, "e1")
        put(log, "e2")
        claim(log)
        log.dead("e1", 1, "404").result(10)

        assert claimed(log) == ["e2"]

    def test_claims_the_events_behind_a_claimed_one_of_its_path(self, log: EventLog) -> None:
        for n in range(4):
            put(log, f"e{n}")
        put(log, "other", "/upload/other")
        [first, _other] = claim(log)

        assert following(log, first, limit=2) == [("e1", 1), ("e2", 1)]
        assert following(log, first) == []
        assert claimed(log) == []
        log.done(["e0"]).result(10)
        assert claimed(log) == []
        log.done(["e1"]).result(10)
        assert log.unclaim(["e2", "e3", "gone"]).result(10) == 1
        assert [(due.id, due.attempt) for due in claim(log)] == [("e2", 1)]

    def test_claims_none_behind_one_that_is_not_due(self, log: EventLog) -> None:
        for name, kind in (("a", "E"), ("b", "E"), ("c", "E"), ("d", "E"), ("e", "F"), ("f", "E")):
            put(log, name, "/upload/p", kind)
        log.dead("b", 1, "404").result(10)
        [first] = claim(log)
        types = Types(names=frozenset({"E"}), only=True)

        assert following(log, first, types=types) == [("c", 1), ("d", 1)]

    def test_claims_none_behind_a_prepared_one(self, log: EventLog) -> None:
        put(log, "e1")
        log.prepare([pending("e2")])
        put(log, "e3")
        [first] = claim(log)

        assert following(log, first) == []

    def test_claims_at_most_the_limit_and_the_longest_waiting_first(self, log: EventLog) -> None:
        for n in range(5):
            put(log, f"e{n}", f"/upload/{n}")

        assert [due.id for due in claim(log, limit=2)] == ["e0", "e1"]
        assert [due.id for due in claim(log, limit=9)] == ["e2", "e3", "e4"]

    def test_claims_only_the_types_of_the_filter(self, log: EventLog) -> None:
        for name in "ABC":
            put(log, name, f"/upload/{name}", name)

        def of(types: Types) -> list[str]:
            due = log.claim(NOW, lease=NOW, limit=9, types=types).result(10)
            return [event.type for event in due]

        assert of(Types(names=frozenset("AC"), only=True)) == ["A", "C"]
        assert of(Types(names=frozenset("AC"))) == ["B"]
        assert of(Types(only=True)) == []
        assert of(Types()) == ["A", "B", "C"]

    def test_tells_what_waits_by_path(self, log: EventLog) -> None:
        for n in range(3):
            put(log, f"e{n}", f"/upload/{n}")
        log.prepare([pending("p", "/upload/p")])

        assert log.waiting(2) == ([("/upload/0", "e0"), ("/upload/1", "e1")], 1)
        assert log.waiting(9)[1] == 0

    def test_an_id_is_stored_once(self, log: EventLog) -> None:
        put(log, "e1")

        failed, seq = log.prepare([pending("e1", "/upload/other"), pending("e2")])
        assert isinstance(failed, EventLogFailed)
        assert seq == 2
        assert [due.path for due in claim(log)] == ["/upload/a"]

    def test_lists_and_counts_by_state(self, log: EventLog) -> None:
        for n in range(3):
            put(log, f"e{n}", f"/upload/{n}")
        log.prepare([pending("p", "/upload/p")])
        claim(log)
        log.dead("e1", 1, "404: gone").result(10)

        [entry] = log.list_events("dead", 100).result(10)
        assert entry == EventEntry(
            seq=2,
            id="e1",
            type="APIGW.OnFileUploaded",
            path="/upload/1",
            time=MOMENT.isoformat(),
            state="dead",
            attempt=1,
            next_at=NOW + LEASE,
            reason="404: gone",
        )
        assert len(log.list_events("", 2).result(10)) == 2
        # A leased event is one that waits.
        assert [len(log.list_events(state, 9).result(10)) for state in STATES] == [1, 2, 2, 1, 0]
        assert log.counts().result(10) == {"dead": 1, "ready": 2, "prepared": 1}

    def test_shows_one_event_with_its_data(self, log: EventLog) -> None:
        put(log, "e1")
        [entry] = log.list_events("", 1).result(10)

        assert log.show("e1").result(10) == ShownEvent(
            entry=entry, data=DATA, store="file", store_path="upload/a", gateway="g1"
        )
        assert log.show("missing").result(10) is None

    def test_is_healthy(self, log: EventLog) -> None:
        assert log.unhealthy_reason is None

    def test_threads_may_use_it_at_once(self, log: EventLog) -> None:
        def use(thread: int) -> None:
            for n in range(20):
                put(log, f"{thread}-{n}", f"/{thread}")

        threads = [threading.Thread(target=use, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert log.counts().result(10) == {"ready": 80}
        assert sorted(claimed(log)) == [f"{n}-0" for n in range(4)]

    @pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(steps=STEPS)
    def test_a_path_never_has_two_events_under_way_and_none_out_of_order(
        self,
        tmp_path_factory: pytest.TempPathFactory,
        implementation: str,
        steps: list[tuple[str, int]],
    ) -> None:
        log = make(implementation, tmp_path_factory.mktemp("any"))
        number, sending, last = 0, {}, dict.fromkeys(range(3), 0)
        for step, path in steps:
            if step == "put":
                number += 1
                put(log, str(number), f"/{path}")
            elif step == "claim":
                for due in claim(log):
                    where = int(due.path[1:])
                    assert where not in sending
                    assert int(due.id) >= last[where]
                    sending[where] = due
                    last[where] = int(due.id)
            elif path in sending:
                due = sending.pop(path)
                if step == "retry":
                    log.retry(due.id, due.attempt, NOW, "x").result(10)
                else:
                    settled = log.done([due.id]) if step == "done" else log.dead(due.id, 1, "x")
                    settled.result(10)
        log.close()
