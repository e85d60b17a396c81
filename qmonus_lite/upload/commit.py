"""The commit: the order in which a staged file becomes a stored one, and its event a promise.

    fsync(staged) -> outbox row PREPARED -> rename -> fsync(directory) -> row READY -> answer

A crash before the rename leaves the staged file, which says that nothing happened; a crash after
it leaves the row, and the event goes out. `recover` tells the two apart at the next start.
"""

import asyncio
import logging
import os
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path

from qmonus_lite.events.outbox import Outbox, Promise
from qmonus_lite.upload.ground import Ground
from qmonus_lite.upload.staging import StagedFile, sweep

logger = logging.getLogger(__name__)


@dataclass(kw_only=True)
class _Turn:
    """Who commits to one path."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0


@dataclass(frozen=True, kw_only=True)
class Committer:
    """Commits uploads of one APIGW."""

    ground: Ground
    outbox: Outbox
    disk: Executor
    #: Called when an event may go out.
    wake: Callable[[], None]
    #: Mode of stored files.
    mode: int
    _turns: dict[tuple[str, ...], _Turn] = field(default_factory=dict)

    async def commit(self, staged: StagedFile, parts: tuple[str, ...], promise: Promise) -> bool:
        """Store the file and promise its event; whether it replaced another.

        One path at a time, so that events of a path stand in the order of its contents.
        """
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self.disk, staged.finish, self.mode)
        turn = self._turns.setdefault(parts, _Turn())
        turn.waiting += 1
        try:
            async with turn.lock:
                return await self._in_turn(staged, parts, promise)
        finally:
            turn.waiting -= 1
            if not turn.waiting:
                del self._turns[parts]

    async def _in_turn(self, staged: StagedFile, parts: tuple[str, ...], promise: Promise) -> bool:
        loop = asyncio.get_running_loop()
        await asyncio.wrap_future(self.outbox.prepare(promise))
        try:
            replaced = await loop.run_in_executor(self.disk, self._place, staged, parts)
        except BaseException:
            if staged.path.exists():
                await asyncio.wrap_future(self.outbox.withdraw(promise.id))
            raise
        # Not waited for: after a crash the missing staged file says the same.
        self.outbox.ready(promise.id).add_done_callback(lambda _done: self.wake())
        return replaced

    def _place(self, staged: StagedFile, parts: tuple[str, ...]) -> bool:
        parent = self.ground.open_parent(parts, durable=True)
        try:
            replaced = self.ground.look(parts)
            staged.place(parent, parts[-1])
        finally:
            os.close(parent)
        return replaced


def recover(outbox: Outbox, staging: Path) -> None:
    """Decide what a crash left undecided, then remove staged files; before the first upload."""
    for event_id, staged in outbox.prepared().result():
        if Path(staged).exists():
            outbox.withdraw(event_id).result()
        else:
            outbox.ready(event_id).result()
    if swept := sweep(staging):
        logger.info("removed %d staged files", swept, extra={"action": "staging_swept"})
