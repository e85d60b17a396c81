"""Remote commit service: an APIGW sends its commits to the writer process over IPC.

If the writer process ends, the state that it reported is lost, so this APIGW exits too and the
supervisor restarts it.
"""

import asyncio
import itertools
import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qmonus_lite.errors import BadPlace, InternalFault
from qmonus_lite.uploads.commit import UploadWithEvent
from qmonus_lite.uploads.store import StoredFile
from qmonus_lite.writer.ipc import Frames, connected
from qmonus_lite.writer.request import CommitRequest
from qmonus_lite.writer.service import Rows

logger = logging.getLogger(__name__)

#: Connect timeout in seconds; the writer process may still be starting.
CONNECT_SECONDS = 30.0


def _end() -> None:
    """Exit immediately; events of completed uploads are in the outbox."""
    os._exit(1)


class RemoteCommitService:
    """Commit service that calls the writer process of the data directory."""

    def __init__(
        self,
        data_dir: Path,
        owner_prefix: str,
        *,
        patience: float = CONNECT_SECONDS,
        end: Callable[[], None] = _end,
    ) -> None:
        """`owner_prefix`: name prefix of the staging files of this process."""
        self._data_dir = data_dir
        self._owner_prefix = owner_prefix
        self._patience = patience
        self._end = end
        self._frames = Frames(self._take, self._lost)
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._closing = False
        #: Health state that the writer process sent last.
        self.unhealthy_reason: str | None = None

    async def begin(self) -> None:
        """Connect; raises BadPlace if the writer process does not accept in time."""
        loop = asyncio.get_running_loop()
        one = await self._connected(loop.time() + self._patience)
        await loop.create_unix_connection(lambda: self._frames, sock=one)
        await self._ask("hello", self._owner_prefix)

    async def commit(self, upload: UploadWithEvent) -> StoredFile:
        """Store a file and commit its event; raises Problem."""
        handover = await upload.pending.hand_over()
        stored: StoredFile = await self._ask("commit", *CommitRequest.of(upload, handover))
        return stored

    async def listing(self, state: str, most: int) -> Rows:
        """Rows of the outbox, oldest first; an empty `state` means all."""
        rows: Rows = await self._ask("listing", state, most)
        return rows

    async def one(self, event_id: str) -> Rows:
        """The row of this event, or no row."""
        rows: Rows = await self._ask("one", event_id)
        return rows

    async def counts(self) -> Rows:
        """Rows of state and number of events."""
        rows: Rows = await self._ask("counts")
        return rows

    async def replay(self, event_id: str) -> int:
        """Requeue a dead letter for delivery; 0 if there is none with this id."""
        count: int = await self._ask("replay", event_id)
        return count

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
                    raise BadPlace(
                        f"--data_dir={self._data_dir}: no keeper answers here:"
                        f" {error.strerror}; start it by `up`"
                    ) from None
            await asyncio.sleep(0.05)

    def _ask(self, verb: str, *arguments: Any) -> "asyncio.Future[Any]":
        number = next(self._numbers)
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        self._frames.send((number, verb, arguments))
        return answer

    def _take(self, message: tuple[int, Exception | None, Any]) -> None:
        number, error, value = message
        if not number:
            self.unhealthy_reason = value
            return
        answer = self._asked.pop(number)
        if answer.done():
            return
        if error is None:
            answer.set_result(value)
        else:
            answer.set_exception(error)

    def _lost(self) -> None:
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(InternalFault("the keeper is gone; see the log"))
        self._asked.clear()
        if not self._closing:
            logger.error("the keeper is gone; so goes this APIGW", extra={"action": "keeper_gone"})
            self._end()
