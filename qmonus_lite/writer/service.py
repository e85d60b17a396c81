"""Keeping, as a door sees it; and the kind that is done in the same process.

An APIGW that runs alone keeps by itself. Where several serve one installation, one process keeps
for all of them (`writer.server`), so that commits and events have one order, and each APIGW has its
far end (`writer.remote`).
"""

import asyncio
from dataclasses import dataclass
from typing import Any, Protocol

from qmonus_lite.clock import Clock
from qmonus_lite.events.dispatcher import Dispatcher
from qmonus_lite.events.outbox import Outbox
from qmonus_lite.events.worker_registry import WorkerRegistry
from qmonus_lite.uploads.commit import Committer, UploadWithEvent
from qmonus_lite.uploads.filesystem import UNFIT, Filesystem

#: Rows of the outbox, as `events.outbox` reads them.
Rows = list[tuple[Any, ...]]


class CommitService(Protocol):
    """Stores uploads and knows the outbox."""

    async def begin(self) -> None:
        """Begin; raises BadPlace when it cannot."""

    async def commit(self, upload: UploadWithEvent) -> bool:
        """Store a file and promise its event; whether it replaced another. Raises Problem."""

    async def listing(self, state: str, most: int) -> Rows:
        """Rows of the outbox, oldest first; an empty `state` means all."""

    async def one(self, event_id: str) -> Rows:
        """The row of this event, or none."""

    async def counts(self) -> Rows:
        """Rows of state and number."""

    async def replay(self, event_id: str) -> int:
        """Deliver a dead letter after all; 0 when none has this id."""

    @property
    def unhealthy_reason(self) -> str | None:
        """Why nothing should be sent here now, or None."""

    def stop_deliveries(self) -> None:
        """Begin no delivery any more, and cut those under way."""

    def close(self) -> None:
        """The end; nothing is stored any more."""


@dataclass(frozen=True, kw_only=True)
class LocalCommitService:
    """Keeps in this process."""

    disk: Filesystem
    outbox: Outbox
    dispatcher: Dispatcher
    committer: Committer
    #: For the dispatcher; somebody else keeps it true.
    registry: WorkerRegistry
    clock: Clock

    async def begin(self) -> None:
        """Begin to deliver."""
        self.registry.on_ready(self.dispatcher.wake)
        self.registry.on_lost(self.dispatcher.abandon)
        self.dispatcher.start()

    async def commit(self, upload: UploadWithEvent) -> bool:
        """Store a file and promise its event; whether it replaced another. Raises Problem."""
        return await self.committer.commit(upload)

    async def listing(self, state: str, most: int) -> Rows:
        """Rows of the outbox, oldest first; an empty `state` means all."""
        return await asyncio.wrap_future(self.outbox.listing(state, most))

    async def one(self, event_id: str) -> Rows:
        """The row of this event, or none."""
        return await asyncio.wrap_future(self.outbox.one(event_id))

    async def counts(self) -> Rows:
        """Rows of state and number."""
        return await asyncio.wrap_future(self.outbox.counts())

    async def replay(self, event_id: str) -> int:
        """Deliver a dead letter after all; 0 when none has this id."""
        count = await asyncio.wrap_future(self.outbox.replay(event_id, self.clock.now()))
        self.dispatcher.wake()
        return count

    @property
    def unhealthy_reason(self) -> str | None:
        """Why nothing should be sent here now, or None."""
        if not self.dispatcher.alive:
            return "events are no longer delivered; restart this APIGW"
        return UNFIT if self.disk.unfit else self.outbox.unhealthy_reason

    def stop_deliveries(self) -> None:
        """Begin no delivery any more, and cut those under way."""
        self.dispatcher.stop()

    def close(self) -> None:
        """Finish what the outbox was asked."""
        self.outbox.close()
