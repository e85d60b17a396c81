"""Commit service interface for request handlers, and its in-process implementation.

A single APIGW commits in its own process. If several APIGWs serve one installation, one writer
process commits for all of them (`writer.server`), so that commits and events have one order, and
each APIGW uses the remote implementation (`writer.remote`).
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from qmonus_lite.clock import Clock
from qmonus_lite.errors import EventLogUnavailable
from qmonus_lite.events.dispatcher import Dispatcher
from qmonus_lite.events.log import EventLog, EventLogFailed
from qmonus_lite.events.stored_event import EventEntry, PendingEvent, ShownEvent
from qmonus_lite.events.workers import WorkerRegistry
from qmonus_lite.ids import new_id
from qmonus_lite.uploads.commit import Committer, UploadWithEvent
from qmonus_lite.uploads.store import StoredFile, UploadStore
from qmonus_lite.values import Value


class CommitService(Protocol):
    """Stores uploads with their events, and gives access to the event log."""

    async def begin(self) -> None:
        """Start the service; raises BadResource if that fails."""

    async def commit(self, upload: UploadWithEvent) -> StoredFile:
        """Store a file and commit its event; raises Problem."""

    async def list_events(self, state: str, limit: int) -> list[EventEntry]:
        """Events of the log, oldest first; an empty `state` means all."""

    async def show(self, event_id: str) -> ShownEvent | None:
        """The event of this id, or None."""

    async def counts(self) -> dict[str, int]:
        """Number of events by state."""

    async def oldest(self) -> float | None:
        """When the age of the first event that is to be delivered began, or None.

        In seconds since the epoch.
        """

    async def replay(self, event_id: str) -> str:
        """Deliver a dead letter, or a copy of a delivered event; its id, or empty if there is none.

        The copy has an id of its own.
        """

    async def publish(self, events: Sequence[PendingEvent]) -> int:
        """Store events of scripts durably; raises Problem. Gives how many were stored."""

    async def retry_now(self, event_id: str) -> int:
        """Make a waiting event due now; 0 if none with this id waits."""

    async def drop(self, event_id: str) -> int:
        """Delete a dead letter; 0 if there is none with this id."""

    @property
    def unhealthy_reason(self) -> str | None:
        """Reason why no request should be sent to this APIGW now, or None."""

    def stop_deliveries(self) -> None:
        """Start no more deliveries and cancel those in progress."""

    def close(self) -> None:
        """Close; commits are no longer possible."""


class LocalCommitService(Value, frozen=True, kw_only=True):
    """Commit service in this process."""

    store: UploadStore
    log: EventLog
    dispatcher: Dispatcher
    committer: Committer
    #: For the dispatcher; its `follow` task is started elsewhere.
    registry: WorkerRegistry
    clock: Clock

    async def begin(self) -> None:
        """Connect the dispatcher to the registry and start it."""
        self.registry.on_ready(self.dispatcher.wake)
        self.dispatcher.start()

    async def commit(self, upload: UploadWithEvent) -> StoredFile:
        """Store a file and commit its event; raises Problem."""
        return await self.committer.commit(upload)

    async def list_events(self, state: str, limit: int) -> list[EventEntry]:
        """Events of the log, oldest first; an empty `state` means all."""
        return await asyncio.wrap_future(self.log.list_events(state, limit))

    async def show(self, event_id: str) -> ShownEvent | None:
        """The event of this id, or None."""
        return await asyncio.wrap_future(self.log.show(event_id))

    async def counts(self) -> dict[str, int]:
        """Number of events by state."""
        return await asyncio.wrap_future(self.log.counts())

    async def oldest(self) -> float | None:
        """When the age of the first event that is to be delivered began, or None."""
        return await asyncio.wrap_future(self.log.oldest())

    async def replay(self, event_id: str) -> str:
        """Deliver a dead letter, or a copy of a delivered event; its id, or empty."""
        now, copy_id = self.clock.now(), new_id()
        if await asyncio.wrap_future(self.log.replay(event_id, now)):
            copy_id = event_id
        elif not await asyncio.wrap_future(self.log.replay_delivered(event_id, copy_id, now)):
            return ""
        self.dispatcher.wake()
        return copy_id

    async def publish(self, events: Sequence[PendingEvent]) -> int:
        """Store events of scripts durably; raises EventLogUnavailable."""
        try:
            await asyncio.wrap_future(self.log.publish(events))
        except EventLogFailed as error:
            raise EventLogUnavailable("the outbox takes no events now") from error
        self.dispatcher.expect(events)
        return len(events)

    async def retry_now(self, event_id: str) -> int:
        """Make a waiting event due now; 0 if none with this id waits."""
        count = await asyncio.wrap_future(self.log.retry_now(event_id, self.clock.now()))
        self.dispatcher.wake()
        return count

    async def drop(self, event_id: str) -> int:
        """Delete a dead letter; 0 if there is none with this id."""
        return await asyncio.wrap_future(self.log.drop(event_id))

    @property
    def unhealthy_reason(self) -> str | None:
        """Reason why no request should be sent to this APIGW now, or None."""
        if not self.dispatcher.alive:
            return "events are no longer delivered; restart this APIGW"
        return self.log.unhealthy_reason or self.store.unhealthy_reason

    def stop_deliveries(self) -> None:
        """Start no more deliveries and cancel those in progress."""
        self.dispatcher.stop()

    def close(self) -> None:
        """Commit the submitted changes of the log and close it."""
        self.log.close()
