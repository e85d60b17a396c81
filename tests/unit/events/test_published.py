"""Published events: what can be published, and the bounds of one run."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from qmonus_lite.events.outcome import BadOutcome, Outcome
from qmonus_lite.events.published import (
    MAX_EVENTS,
    MAX_TOTAL_BYTES,
    BadPublication,
    Publications,
    PublishedEvent,
    Source,
)

MOMENT = datetime(2026, 11, 27, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "event", "said"),
    [
        (5, {}, "a name is a text of 1 to 200 bytes"),
        ("", {}, "a name is a text"),
        (201 * "x", {}, "a name is a text"),
        ("APIGW.OnFileUploaded", {}, "names that begin with APIGW. are the gateway's"),
        ("Made", [], "the event is no dict"),
        ("Made", {"path": 5}, "the path of the event is no text"),
        ("Made", {"x": {1}}, "the event is not JSON"),
        ("Made", {"x": float("nan")}, "the event is not JSON"),
        ("Made", {"x": "\ud800"}, "the event is not JSON"),
        ("Made", {"x": 262144 * "x"}, "the event has 262152 bytes; at most 262144"),
    ],
)
def test_refuses_what_cannot_be_stored(name: object, event: object, said: str) -> None:
    with pytest.raises(BadPublication) as raised:
        PublishedEvent.of(name, event)
    assert str(raised.value).startswith(said)


def test_credentials_are_masked_unless_a_handler_keeps_them() -> None:
    event = {"headers": {"X-Auth-Token": "a", "Cookie": "b", "X": "c"}}
    published = PublishedEvent.of("Made", event, frozenset({"cookie"}))
    assert json.loads(published.data) == {
        "headers": {"X-Auth-Token": "********", "Cookie": "b", "X": "c"}
    }
    assert event["headers"]["X-Auth-Token"] == "a"


def test_an_event_without_a_path_waits_for_no_other() -> None:
    source = Source(request_id="r1", upload_id="u1")
    paths = []
    for event in ({"path": "/upload/a"}, {}):
        published = PublishedEvent.of("Made", event)
        pending = published.pending(time=MOMENT, gateway="g1", source=source)
        assert (pending.request_id, pending.upload_id, pending.store) == ("r1", "u1", "")
        paths.append(pending.path == published.id or pending.path)
    assert paths == ["/upload/a", True]


def test_one_run_publishes_a_bounded_number_of_events_and_bytes() -> None:
    few, many = Publications(), Publications()
    large = PublishedEvent.of("Made", {"x": 200_000 * "x"})
    for _ in range(MAX_TOTAL_BYTES // 200_000):
        few.add(large)
    with pytest.raises(BadPublication, match="at most 1048576 bytes"):
        few.add(large)
    for _ in range(MAX_EVENTS):
        many.add(PublishedEvent.of("Made", {}))
    with pytest.raises(BadPublication, match="at most 100 events"):
        many.add(PublishedEvent.of("Made", {}))


def test_an_outcome_carries_what_was_published() -> None:
    published = (PublishedEvent.of("Made", {"path": "/a"}), PublishedEvent.of("Made", {}))
    outcome = Outcome(code=200, output=None, event={}, handlers=("h",), published=published)
    assert Outcome.from_json(json.loads(json.dumps(outcome.to_json()))) == outcome


@pytest.mark.parametrize(
    "given",
    [
        "x",
        {},
        [5],
        [{"id": "1", "type": "T", "path": ""}],
        [{"id": "1", "type": "T", "path": "", "data": "[]"}],
        [{"id": "1", "type": "T", "path": "", "data": "{"}],
        [{"id": "", "type": "T", "path": "", "data": "{}"}],
        [{"id": "1", "type": "APIGW.OnFileUploaded", "path": "", "data": "{}"}],
        101 * [{"id": "1", "type": "T", "path": "", "data": "{}"}],
    ],
)
def test_an_outcome_with_other_events_is_refused(given: Any) -> None:
    value = Outcome(code=200, output=None, event={}).to_json()
    with pytest.raises(BadOutcome):
        Outcome.from_json({**value, "published": given})
