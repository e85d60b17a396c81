"""Remote commit service: an APIGW sends its commits to the writer process over IPC.

If the writer process ends, the state that it reported is lost, so this APIGW exits too and the
supervisor restarts it.
"""

import asyncio
import itertools
import logging
import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from qmonus_lite.errors import BadResource, InternalFault
from qmonus_lite.events.stored_event import EventEntry, PendingEvent, ShownEvent
from qmonus_lite.uploads.commit import UploadWithEvent
from qmonus_lite.uploads.store import StoredFile
from qmonus_lite.values import Value
from qmonus_lite.writer.ipc import Frames, connected
from qmonus_lite.writer.messages import (
    BadMessage,
    Call,
    CallRequest,
    Commit,
    CountEvents,
    DropEvent,
    Failure,
    Health,
    Hello,
    ListEvents,
    OldestEvent,
    Published,
    PublishEvents,
    ReplayEvent,
    Result,
    RetryEvent,
    ShowEvent,
    decode_reply,
    encode,
)

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: Connect timeout in seconds; the writer process may still be starting.
CONNECT_SECONDS = 30.0
_CALL_FAILED = {"action": "writer_call_failed"}


def _exit_now() -> None:
    """Exit immediately; events of completed uploads are in the outbox."""
    os._exit(1)


class _PendingCall(Value, Generic[T], frozen=True, kw_only=True):
    """A call without reply yet."""

    result: "asyncio.Future[T]"
    result_type: type[T]

    def resolve(self, reply: Result | Failure) -> None:
        """Set the result or the Problem; raises BadMessage if the result has another type."""
        if self.result.done():
            return
        if isinstance(reply, Failure):
            self.result.set_exception(reply.problem())
        else:
            self.result.set_result(reply.read(self.result_type))


class RemoteCommitService:
    """Commit service that calls the writer process of the data directory."""

    def __init__(
        self,
        data_dir: Path,
        owner_prefix: str,
        *,
        connect_seconds: float = CONNECT_SECONDS,
        exit_now: Callable[[], None] = _exit_now,
    ) -> None:
        """`owner_prefix`: name prefix of the staging files of this process."""
        self._data_dir = data_dir
        self._owner_prefix = owner_prefix
        self._connect_seconds = connect_seconds
        self._exit_now = exit_now
        self._frames = Frames(self._receive, self._lost)
        self._numbers = itertools.count(1)
        self._calls: dict[int, _PendingCall[Any]] = {}
        self._closing = False
        #: Health state that the writer process sent last.
        self.unhealthy_reason: str | None = None

    async def begin(self) -> None:
        """Connect; raises BadResource if the writer process does not accept in time."""
        loop = asyncio.get_running_loop()
        connection = await self._connected(loop.time() + self._connect_seconds)
        await loop.create_unix_connection(lambda: self._frames, sock=connection)
        await self._call(Hello(owner_prefix=self._owner_prefix), type(None))

    async def commit(self, upload: UploadWithEvent) -> StoredFile:
        """Store a file and commit its event; raises Problem."""
        handover = await upload.pending.hand_over()
        return (await self._call(Commit.of(upload, handover), Published)).stored()

    async def list_events(self, state: str, limit: int) -> list[EventEntry]:
        """Events of the log, oldest first; an empty `state` means all."""
        return await self._call(ListEvents(state=state, limit=limit), list[EventEntry])

    async def show(self, event_id: str) -> ShownEvent | None:
        """The event of this id, or None."""
        found = await self._call(ShowEvent(event_id=event_id), list[ShownEvent])
        return found[0] if found else None

    async def counts(self) -> dict[str, int]:
        """Number of events by state."""
        return await self._call(CountEvents(), dict[str, int])

    async def oldest(self) -> float | None:
        """When the age of the first event that is to be delivered began, or None."""
        found = await self._call(OldestEvent(), list[float])
        return found[0] if found else None

    async def replay(self, event_id: str) -> str:
        """Deliver a dead letter, or a copy of a delivered event; its id, or empty."""
        return await self._call(ReplayEvent(event_id=event_id), str)

    async def publish(self, events: Sequence[PendingEvent]) -> int:
        """Store events of scripts durably; raises Problem."""
        return await self._call(PublishEvents(events=list(events)), int)

    async def retry_now(self, event_id: str) -> int:
        """Make a waiting event due now; 0 if none with this id waits."""
        return await self._call(RetryEvent(event_id=event_id), int)

    async def drop(self, event_id: str) -> int:
        """Delete a dead letter; 0 if there is none with this id."""
        return await self._call(DropEvent(event_id=event_id), int)

    def stop_deliveries(self) -> None:
        """No-op: the writer process runs the deliveries."""

    def close(self) -> None:
        """Close the connection; its loss is then expected."""
        self._closing = True
        self._frames.close()

    async def _connected(self, deadline: float) -> socket.socket:
        while True:
            try:
                return connected(self._data_dir)
            except OSError as error:
                if asyncio.get_running_loop().time() > deadline:
                    raise BadResource(
                        f"--data_dir={self._data_dir}: no writer process answers here:"
                        f" {error.strerror}; start it by `up`"
                    ) from None
            await asyncio.sleep(0.05)

    async def _call(self, call: Call, result_type: type[T]) -> T:
        """The result of a call; raises the Problem of the writer process, or InternalFault."""
        number = next(self._numbers)
        try:
            message = encode(CallRequest(number=number, call=call))
        except BadMessage as error:
            logger.error("call %s: %s", type(call).__name__, error, extra=_CALL_FAILED)
            raise InternalFault("the writer process cannot be asked; see the log") from error
        result = asyncio.get_running_loop().create_future()
        self._calls[number] = _PendingCall(result=result, result_type=result_type)
        self._frames.send(message)
        return cast(T, await result)

    def _receive(self, message: memoryview) -> None:
        reply = decode_reply(message)
        if isinstance(reply, Health):
            self.unhealthy_reason = reply.unhealthy_reason
            return
        call = self._calls.get(reply.number)
        if call is None:
            raise BadMessage(f"a reply to call {reply.number}, which is not pending")
        call.resolve(reply)
        del self._calls[reply.number]

    def _lost(self) -> None:
        for call in self._calls.values():
            if not call.result.done():
                call.result.set_exception(InternalFault("the writer process is gone; see the log"))
        self._calls.clear()
        if not self._closing:
            extra = {"action": "writer_gone"}
            logger.error("the writer process is gone, so this APIGW exits", extra=extra)
            self._exit_now()
