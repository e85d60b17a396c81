"""Messages: what is encoded is decoded unchanged, and nothing else is accepted."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qmonus_lite import errors
from qmonus_lite.errors import DiskError, InternalFault, Problem, Refusal
from qmonus_lite.events.stored_event import PendingEvent
from qmonus_lite.stores.file.filesystem import Filesystem
from qmonus_lite.uploads.commit import UploadWithEvent
from qmonus_lite.uploads.store import IF_ABSENT, StoredFile
from qmonus_lite.writer.messages import (
    MAX_MESSAGE_BYTES,
    PROBLEMS,
    BadMessage,
    Call,
    CallRequest,
    Commit,
    CountEvents,
    Failure,
    Health,
    Hello,
    ListEvents,
    OldestEvent,
    Published,
    ReplayEvent,
    Result,
    ShowEvent,
    decode_reply,
    decode_request,
    encode,
)
from tests.integration.disk.storage import storage

EVENT = PendingEvent(
    id="e1",
    type="E",
    path="/upload/ü",
    time=datetime(2026, 11, 22, 10, tzinfo=UTC),
    data='{"a":1}',
    store="file",
    store_path="upload/ü",
    gateway="g1",
    token="data:staging/s1//upload/ü",
    request_id="r1",
)
COMMIT = Commit(sealed=False, content=b"\x00body", absent=True, renames=False, event=EVENT)
CALLS: list[Call] = [
    Hello(owner_prefix="0-abc-"),
    COMMIT,
    ListEvents(state="dead", limit=10),
    ShowEvent(event_id="e1"),
    CountEvents(),
    OldestEvent(),
    ReplayEvent(event_id="e1"),
]
#: How to make the problems that take other arguments than a detail.
OTHER_PROBLEMS: dict[str, Callable[[], Problem]] = {
    "MethodNotAllowed": lambda: errors.MethodNotAllowed("PUT", ["GET"]),
    "RefusedByScript": lambda: errors.RefusedByScript(
        418, "why", Refusal(plugin="gate", file="gate.yml", line=3, rule="r", reason="no")
    ),
    "TooManyRequests": lambda: errors.TooManyRequests("too many", retry_after=7),
}


def problem(name: str) -> Problem:
    made = OTHER_PROBLEMS[name]() if name in OTHER_PROBLEMS else PROBLEMS[name]("why")
    made.disk = DiskError(action="writing", code="EIO", message="an error", failing=True)
    made.refusal = Refusal(plugin="gate", file="gate.yml", line=3, rule="r", reason="no")
    return made


@pytest.mark.parametrize("call", CALLS, ids=lambda call: type(call).__name__)
def test_a_call_is_decoded_as_it_was(call: Call) -> None:
    request = CallRequest(number=7, call=call)

    assert decode_request(memoryview(encode(request))) == request


async def test_an_upload_is_rebuilt_in_the_writer_process(tmp_path: Path) -> None:
    with storage(tmp_path, Filesystem(sync_files=False, sync_names=False)) as store:
        pending = store.pending("u1", b"body", "upload", "a")
        event = store.event("e1", pending)
        upload = UploadWithEvent(pending=pending, condition=IF_ABSENT, event=event)
        call = Commit.of(upload, await pending.hand_over())
        request = decode_request(memoryview(encode(CallRequest(number=1, call=call))))
        assert isinstance(request.call, Commit)
        rebuilt = request.call.upload(store.store)

        assert (rebuilt.event, rebuilt.condition) == (event, IF_ABSENT)
        assert (rebuilt.pending.token, rebuilt.pending.where, rebuilt.pending.location) == (
            pending.token,
            ("upload", "a"),
            str(tmp_path / "upload" / "a"),
        )
        assert rebuilt.pending.received == 4


async def test_the_content_of_a_sealed_upload_is_not_sent(tmp_path: Path) -> None:
    with storage(tmp_path, Filesystem()) as store:
        pending = store.pending("u1", b"body", "a")
        await pending.flush()
        upload = UploadWithEvent(pending=pending, event=store.event("e1", pending))
        call = Commit.of(upload, await pending.hand_over())

        assert (call.sealed, call.content) == (True, b"")


def test_a_published_file_is_rebuilt_with_all_that_it_has() -> None:
    stored = StoredFile(
        replaced=True, durable=True, location="s3://bucket/key", etag='"e"', version="v"
    )
    reply = decode_reply(memoryview(encode(Result.of(1, Published.of(stored)))))
    assert isinstance(reply, Result)

    assert reply.read(Published).stored() == stored


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_problem_is_rebuilt_with_all_that_it_holds(name: str) -> None:
    raised = problem(name)
    reply = decode_reply(memoryview(encode(Failure.of(3, raised))))
    assert isinstance(reply, Failure)
    rebuilt = reply.problem()

    assert type(rebuilt) is type(raised)
    assert vars(rebuilt) == vars(raised)
    assert (reply.number, rebuilt.status, str(rebuilt)) == (3, raised.status, str(raised))


@pytest.mark.parametrize(
    "name", ["SystemExit", "StartupError", "Terminated", "Mapping", "BadResource", ""]
)
def test_a_class_that_is_no_problem_is_not_rebuilt(name: str) -> None:
    failure = Failure(
        number=1, name=name, status=500, detail="x", headers={}, disk=None, refusal=None
    )

    assert type(failure.problem()) is InternalFault
    assert failure.problem().detail == f"the writer process failed with an unknown {name!r}"


def test_every_problem_of_the_hierarchy_may_travel() -> None:
    assert set(PROBLEMS) > {"Problem", "Conflict", "InsufficientStorage", "Unavailable"}
    assert all(getattr(errors, name) is found for name, found in PROBLEMS.items())


@pytest.mark.parametrize(
    ("value", "type_"),
    [(True, bool), (3, int), (None, type(None)), ([("ready", 1), (None, 1.5)], list[tuple])],  # type: ignore[type-arg]
)
def test_a_result_is_read_as_it_was(value: object, type_: type[object]) -> None:
    reply = decode_reply(memoryview(encode(Result.of(1, value))))
    assert isinstance(reply, Result)

    assert reply.read(type_) == value


def test_a_result_of_another_type_is_refused() -> None:
    reply = decode_reply(memoryview(encode(Result.of(1, "yes"))))
    assert isinstance(reply, Result)

    with pytest.raises(BadMessage, match="Expected `bool`, got `str`"):
        reply.read(bool)


EVENT_OF_NUMBER = {**msgspec.to_builtins(EVENT), "id": 1}
MALFORMED = {
    "nothing": b"",
    "no MessagePack": b"\xc1",
    "a pickle": b"\x80\x05N.",
    "cut off": encode(CallRequest(number=1, call=COMMIT))[:-1],
    "more behind it": encode(CallRequest(number=1, call=COMMIT)) + b"x",
    "text that is not UTF-8": encode(["CallRequest", 1, ["Hello", b"%"]]).replace(
        b"\xc4\x01%", b"\xa1\xff"
    ),
    "a reply": encode(Health(unhealthy_reason=None)),
    "an unknown call": encode(["CallRequest", 1, ["Erase", "/"]]),
    "a field missing": encode(["CallRequest", 1, ["ListEvents", "dead"]]),
    "a field too many": encode(["CallRequest", 1, ["ShowEvent", "e1", "e2"]]),
    "a field of another type": encode(["CallRequest", 1, ["ListEvents", "dead", "10"]]),
    "a number as text": encode(["CallRequest", "1", ["CountEvents"]]),
    "a field of the event of another type": encode(
        [
            "CallRequest",
            1,
            ["Commit", False, b"", False, EVENT_OF_NUMBER],
        ]
    ),
    "a field of the event missing": encode(
        ["CallRequest", 1, ["Commit", False, b"", False, {"id": "e1"}]]
    ),
    "nested deeply": b"\x91" * 100_000 + b"\x01",
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
def test_what_is_no_request_is_refused(data: bytes) -> None:
    with pytest.raises(BadMessage, match=f"^{len(data)} bytes that are not a valid message: "):
        decode_request(memoryview(data))


@given(data=st.binary(max_size=80))
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    for decode in (decode_request, decode_reply):
        try:
            message = decode(memoryview(data))
        except BadMessage:
            continue
        assert isinstance(message, CallRequest | Result | Failure | Health)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (bytes(MAX_MESSAGE_BYTES), f"at most {MAX_MESSAGE_BYTES} are allowed"),
        ("\udc80", "cannot be encoded"),
        (object(), "cannot be encoded"),
        (1 << 70, "cannot be encoded"),
    ],
    ids=["too large", "a lone surrogate", "an unknown type", "an integer of more than 64 bits"],
)
def test_what_cannot_be_sent_is_refused_before_it_is(value: object, reason: str) -> None:
    with pytest.raises(BadMessage, match=reason):
        encode(value)
