"""Keeping, as a door sees it; and the kind that is done in the same process.

An APIGW that runs alone keeps by itself. Where several serve one installation, one process keeps
for all of them (`keeper.server`), so that commits and events have one order, and each APIGW has its
far end (`keeper.far`).
"""

import asyncio
from dataclasses import dataclass
from typing import Any, Protocol

from qmonus_lite.clock import Clock
from qmonus_lite.events.dispatcher import Dispatcher
from qmonus_lite.events.outbox import Outbox
from qmonus_lite.events.roster import Roster
from qmonus_lite.upload.commit import Announced, Committer
from qmonus_lite.upload.disk import UNFIT, Disk

#: Rows of the outbox, as `events.outbox` reads them.
Rows = list[tuple[Any, ...]]


class Keeping(Protocol):
    """Stores uploads and knows the outbox."""

    async def begin(self) -> None:
        """Begin; raises BadPlace when it cannot."""

    async def commit(self, upload: Announced) -> bool:
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
    def trouble(self) -> str | None:
        """Why nothing should be sent here now, or None."""

    def rest(self) -> None:
        """Begin no delivery any more, and cut those under way."""

    def close(self) -> None:
        """The end; nothing is stored any more."""


@dataclass(frozen=True, kw_only=True)
class Near:
    """Keeps in this process."""

    disk: Disk
    outbox: Outbox
    dispatcher: Dispatcher
    committer: Committer
    #: For the dispatcher; somebody else keeps it true.
    roster: Roster
    clock: Clock

    async def begin(self) -> None:
        """Begin to deliver."""
        self.roster.on_ready(self.dispatcher.wake)
        self.roster.on_lost(self.dispatcher.abandon)
        self.dispatcher.start()

    async def commit(self, upload: Announced) -> bool:
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
    def trouble(self) -> str | None:
        """Why nothing should be sent here now, or None."""
        if not self.dispatcher.alive:
            return "events are no longer delivered; restart this APIGW"
        return UNFIT if self.disk.unfit else self.outbox.trouble

    def rest(self) -> None:
        """Begin no delivery any more, and cut those under way."""
        self.dispatcher.stop()

    def close(self) -> None:
        """Finish what the outbox was asked."""
        self.outbox.close()
