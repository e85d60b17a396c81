"""The envelope: there and back, and never anything but itself."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from qmonus_lite.events.envelope import BadEnvelope, Envelope, Ids, OtherProtocol, Purpose

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
WORD = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e9, 1e9) | TEXT,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(TEXT, below, max_size=3),
    max_leaves=6,
)
ZONES = st.sampled_from(
    [UTC, timezone(timedelta(hours=9)), timezone(timedelta(hours=-3, minutes=-30))]
)
ENVELOPES = st.builds(
    Envelope,
    purpose=st.sampled_from(Purpose),
    id=WORD,
    type=WORD,
    source=WORD,
    subject=st.none() | WORD,
    time=st.datetimes(
        min_value=datetime(1990, 1, 1), max_value=datetime(2100, 1, 1), timezones=ZONES
    ),
    attempt=st.integers(1, 10_000),
    data=st.dictionaries(TEXT, JSON, max_size=4),
    seq=st.none() | st.integers(1, 2**31 - 1),
    request_id=st.just("") | WORD,
    upload_id=st.just("") | WORD,
)


@given(ENVELOPES)
def test_arrives_as_it_was_sent(envelope: Envelope) -> None:
    assert Envelope.from_bytes(envelope.to_bytes()) == envelope


def sample(**changed: Any) -> dict[str, Any]:
    """An envelope as JSON, with some attributes changed; None takes one away."""
    whole = {
        "specversion": "1.0",
        "id": "e1",
        "type": "APIGW.OnFileUploaded",
        "source": "http://127.0.0.1:9099",
        "time": "2026-11-22T10:00:00+09:00",
        "datacontenttype": "application/json",
        "attempt": 2,
        "purpose": "delivery",
        "seq": 7,
        "requestid": "r1",
        "uploadid": "u1",
        "data": {"path": "/upload/a"},
    }
    return {name: value for name, value in (whole | changed).items() if value is not None}


def test_is_a_cloudevents_message_that_others_read() -> None:
    raw = Envelope.from_bytes(json.dumps(sample()).encode()).to_bytes()
    event = JSONFormat().read(CloudEvent, raw)

    assert event.get_specversion() == "1.0"
    assert event.get_data() == {"path": "/upload/a"}
    assert (event.get_extension("attempt"), event.get_extension("seq")) == (2, 7)
    assert event.get_extension("purpose") == "delivery"
    assert (event.get_extension("requestid"), event.get_extension("uploadid")) == ("r1", "u1")


def test_has_the_ids_that_handlers_and_records_call_it_by() -> None:
    ids = Envelope.from_bytes(json.dumps(sample()).encode()).ids

    assert ids == Ids(event_id="e1", attempt=2, request_id="r1", upload_id="u1")
    assert ids.known == {"event_id": "e1", "request_id": "r1", "upload_id": "u1"}


def test_one_of_an_older_version_lacks_the_id_of_its_request() -> None:
    ids = Envelope.from_bytes(json.dumps(sample(requestid=None, uploadid=None)).encode()).ids

    assert (ids.request_id, ids.upload_id, ids.known) == ("", "", {"event_id": "e1"})


@pytest.mark.parametrize(
    "changed",
    [
        {"specversion": "2.0"},
        {"id": ""},
        {"type": None},
        {"source": None},
        {"time": "soon"},
        {"time": 5},
        {"requestid": ""},
        {"requestid": 5},
        {"uploadid": ["u"]},
        {"attempt": None},
        {"attempt": "2"},
        {"attempt": True},
        {"attempt": 0},
        {"purpose": "both"},
        {"purpose": ""},
        {"purpose": ["delivery"]},
        {"seq": "7"},
        {"data": None},
        {"data": "text"},
        {"data": []},
    ],
)
def test_refuses_an_envelope_with_a_fault(changed: dict[str, Any]) -> None:
    with pytest.raises(BadEnvelope):
        Envelope.from_bytes(json.dumps(sample(**changed)).encode())


def test_names_both_versions_when_the_purpose_is_missing() -> None:
    with pytest.raises(OtherProtocol, match=r"version 1 of the protocol .* this worker version 2"):
        Envelope.from_bytes(json.dumps(sample(purpose=None)).encode())


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[]", b"null", b"5", b'"x"', b"\xff", b"{}", b'{"data": {}}', b"[" * 100_000],
)
def test_refuses_what_is_no_envelope(raw: bytes) -> None:
    with pytest.raises(BadEnvelope):
        Envelope.from_bytes(raw)


@given(st.dictionaries(st.sampled_from(list(sample())), JSON))
def test_reads_any_json_or_refuses_it(changed: dict[str, Any]) -> None:
    try:
        envelope = Envelope.from_bytes(json.dumps(sample() | changed).encode())
    except BadEnvelope:
        return
    assert {type(envelope.id), type(envelope.type), type(envelope.source)} == {str}
    assert type(envelope.data) is dict


def test_says_when_data_cannot_travel() -> None:
    envelope = Envelope.from_bytes(json.dumps(sample()).encode())
    envelope.data["x"] = object()

    with pytest.raises(TypeError):
        envelope.to_bytes()
