"""Writer process: runs the commit service for several APIGWs of one installation."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qmonus_lite import serving, supervisor_channel
from qmonus_lite.background import Background
from qmonus_lite.errors import InternalFault, Problem
from qmonus_lite.events.signed_client import SignedClient
from qmonus_lite.events.worker_registry import WorkerRegistry
from qmonus_lite.settings.server import ServerSettings
from qmonus_lite.uploads.staging_dirs import StagingDirs
from qmonus_lite.writer.ipc import Frames, listening
from qmonus_lite.writer.request import CommitRequest
from qmonus_lite.writer.service import LocalCommitService

logger = logging.getLogger(__name__)

#: Seconds between two health messages to the APIGWs.
HEALTH_INTERVAL_SECONDS = 0.5
#: Seconds beyond --drain_timeout that APIGWs have to end before the writer process does.
SHUTDOWN_GRACE_SECONDS = 4.0


@dataclass(frozen=True, kw_only=True)
class WriterServer:
    """Server of the writer process."""

    settings: ServerSettings
    max_uploads: int
    data_dir: Path
    commits: LocalCommitService
    registry: WorkerRegistry
    sender: SignedClient
    staging: StagingDirs
    threads: ThreadPoolExecutor
    #: Sessions of the connected APIGWs.
    _ends: "set[_ClientSession]" = field(default_factory=set)

    async def serve(self) -> bool:
        """Serve until the stop signal; whether all APIGWs had disconnected by then."""
        stop, background = serving.Stop(), Background()
        socket = listening(self.data_dir)
        serving.descriptors_for(self.settings.apigw_processes, self.max_uploads)
        await self.commits.begin()
        background.start("roster of workers", self.registry.follow)
        background.start("word of the keeper", lambda: self._tell(background))
        background.start("pulse", serving.heartbeat)
        loop = asyncio.get_running_loop()
        server = await loop.create_unix_server(
            lambda: _ClientSession(self, background).frames, sock=socket
        )
        logger.info("keeper listens", extra={"action": "listening"})
        serving.tune_interpreter()
        supervisor_channel.announce_listening()
        await stop.wait()
        # The APIGWs have uploads in progress.
        clean = await serving.until_idle(
            lambda: self._ends, self.settings.drain_timeout + SHUTDOWN_GRACE_SECONDS
        )
        server.close()
        await background.close()
        self.commits.stop_deliveries()
        await self.sender.close()
        self.threads.shutdown()
        self.commits.close()
        logger.info("stopped", extra={"action": "stopped", "clean": clean})
        return clean

    async def _tell(self, background: Background) -> None:
        """Send the health state to every APIGW periodically, until cancelled."""
        while True:
            unhealthy_reason = self.commits.unhealthy_reason or background.unhealthy_reason
            for end in self._ends:
                end.frames.send((0, None, unhealthy_reason))
            await asyncio.sleep(HEALTH_INTERVAL_SECONDS)

    def greet(self, end: "_ClientSession") -> None:
        """Register the session of an APIGW."""
        self._ends.add(end)

    def part(self, end: "_ClientSession") -> None:
        """Remove a session whose APIGW has disconnected and whose calls are done."""
        self._ends.discard(end)


class _ClientSession:
    """Server side of the IPC connection to one APIGW."""

    def __init__(self, server: WriterServer, background: Background) -> None:
        self._server = server
        self._background = background
        self.frames = Frames(self._take, self._lost)
        self._owner_prefix = ""
        self._tasks: set[asyncio.Task[None]] = set()
        commits = server.commits
        self._verbs: dict[str, Callable[..., Awaitable[Any]]] = {
            "hello": self._hello,
            "commit": self._commit,
            "listing": commits.listing,
            "one": commits.one,
            "counts": commits.counts,
            "replay": commits.replay,
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

    async def _hello(self, owner_prefix: str) -> None:
        self._owner_prefix = owner_prefix
        self._server.greet(self)

    async def _commit(self, *order: Any) -> bool:
        upload = CommitRequest._make(order).upload(self._server.commits.disk)
        try:
            return await self._server.commits.commit(upload)
        except BaseException:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._server.threads, upload.staged.discard)
            raise

    def _lost(self) -> None:
        self._background.run(self._tidy())

    async def _tidy(self) -> None:
        """After a disconnect: wait for its commits, then delete its other staging files."""
        while self._tasks:
            await asyncio.wait(self._tasks)
        try:
            if self._owner_prefix:
                await self._sweep()
        finally:
            # Otherwise the shutdown of the writer process would wait for this session.
            self._server.part(self)

    async def _sweep(self) -> None:
        keep = self._server.commits.committer.pending_withdrawal
        loop = asyncio.get_running_loop()
        sweep = self._server.staging.sweep
        if count := await loop.run_in_executor(
            self._server.threads, sweep, self._owner_prefix, keep
        ):
            extra = {"action": "staging_swept"}
            logger.info("removed %d staged files of an APIGW that is gone", count, extra=extra)
