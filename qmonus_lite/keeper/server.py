"""The keeper: one process that keeps for several APIGWs of one installation."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qmonus_lite import lifeline, serving
from qmonus_lite.background import Background
from qmonus_lite.errors import InternalFault, Problem
from qmonus_lite.events.roster import Roster
from qmonus_lite.events.sender import Sender
from qmonus_lite.keeper.keeping import Near
from qmonus_lite.keeper.link import Frames, listening
from qmonus_lite.keeper.order import Order
from qmonus_lite.settings import Settings
from qmonus_lite.upload.staging_places import Staging

logger = logging.getLogger(__name__)

#: Seconds between two words of how the keeper is.
WORD = 0.5
#: Seconds on top of --drain_timeout that APIGWs have to end before the keeper does.
ENDING = 4.0


@dataclass(frozen=True, kw_only=True)
class KeeperServer:
    """One keeper process."""

    settings: Settings
    data_dir: Path
    keeping: Near
    roster: Roster
    sender: Sender
    staging: Staging
    threads: ThreadPoolExecutor
    #: The APIGWs that are connected.
    _ends: "set[_End]" = field(default_factory=set)

    async def serve(self) -> bool:
        """Keep until the stop; whether every APIGW ended before."""
        stop, background = serving.Stop(), Background()
        socket = listening(self.data_dir)
        serving.descriptors_for(self.settings.apigw_processes, self.settings.max_uploads)
        await self.keeping.begin()
        background.start("roster of workers", self.roster.follow)
        background.start("word of the keeper", lambda: self._tell(background))
        background.start("pulse", serving.beat)
        loop = asyncio.get_running_loop()
        server = await loop.create_unix_server(lambda: _End(self, background).frames, sock=socket)
        logger.info("keeper listens", extra={"action": "listening"})
        serving.put_requests_first()
        lifeline.announce_listening()
        await stop.wait()
        # They have uploads under way.
        clean = await serving.until_idle(lambda: self._ends, self.settings.drain_timeout + ENDING)
        server.close()
        await background.close()
        self.keeping.rest()
        await self.sender.close()
        self.threads.shutdown()
        self.keeping.close()
        logger.info("stopped", extra={"action": "stopped", "clean": clean})
        return clean

    async def _tell(self, background: Background) -> None:
        """Tell every APIGW how we are, until cancelled."""
        while True:
            trouble = self.keeping.trouble or background.trouble
            for end in self._ends:
                end.frames.send((0, None, trouble))
            await asyncio.sleep(WORD)

    def greet(self, end: "_End") -> None:
        """An APIGW came."""
        self._ends.add(end)

    def part(self, end: "_End") -> None:
        """An APIGW went, and what it asked for is done."""
        self._ends.discard(end)


class _End:
    """Our end of the link to one APIGW."""

    def __init__(self, server: KeeperServer, background: Background) -> None:
        self._server = server
        self._background = background
        self.frames = Frames(self._take, self._lost)
        self._mark = ""
        self._tasks: set[asyncio.Task[None]] = set()
        keeping = server.keeping
        self._verbs: dict[str, Callable[..., Awaitable[Any]]] = {
            "hello": self._hello,
            "commit": self._commit,
            "listing": keeping.listing,
            "one": keeping.one,
            "counts": keeping.counts,
            "replay": keeping.replay,
        }

    def _take(self, message: tuple[int, str, tuple[Any, ...]]) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(*message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, number: int, verb: str, arguments: tuple[Any, ...]) -> None:
        try:
            value = await self._verbs[verb](*arguments)
        except Problem as problem:
            self.frames.send((number, problem, None))
        except Exception:
            logger.exception("%s failed", verb, extra={"action": "keeper_failed"})
            self.frames.send((number, InternalFault("the keeper failed; see its log"), None))
        else:
            self.frames.send((number, None, value))

    async def _hello(self, mark: str) -> None:
        self._mark = mark
        self._server.greet(self)

    async def _commit(self, *order: Any) -> bool:
        upload = Order._make(order).upload(self._server.keeping.disk)
        try:
            return await self._server.keeping.commit(upload)
        except BaseException:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._server.threads, upload.staged.discard)
            raise

    def _lost(self) -> None:
        self._background.run(self._tidy())

    async def _tidy(self) -> None:
        """Whatever became of it, its commits go on to their end, and its other files go."""
        while self._tasks:
            await asyncio.wait(self._tasks)
        try:
            if self._mark:
                await self._sweep()
        finally:
            # Else the stop of the keeper waits for it.
            self._server.part(self)

    async def _sweep(self) -> None:
        keep = self._server.keeping.committer.owed
        loop = asyncio.get_running_loop()
        sweep = self._server.staging.sweep
        if count := await loop.run_in_executor(self._server.threads, sweep, self._mark, keep):
            extra = {"action": "staging_swept"}
            logger.info("removed %d staged files of an APIGW that is gone", count, extra=extra)
