"""Writer process: runs the commit service for several APIGWs of one installation."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, assert_never

from qmonus_lite import serving, supervisor_channel
from qmonus_lite.background import Background
from qmonus_lite.errors import InternalFault, Problem
from qmonus_lite.events.workers import WorkerRegistry
from qmonus_lite.records.recorder import Recorder
from qmonus_lite.settings.server import ServerSettings
from qmonus_lite.values import Value, field
from qmonus_lite.writer.ipc import Frames, listening
from qmonus_lite.writer.messages import (
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
    decode_request,
    encode,
)
from qmonus_lite.writer.service import LocalCommitService

logger = logging.getLogger(__name__)

#: Seconds between two health messages to the APIGWs.
HEALTH_INTERVAL_SECONDS = 0.5
#: Seconds beyond --drain_timeout that APIGWs have to end before the writer process does.
SHUTDOWN_GRACE_SECONDS = 4.0


class WriterServer(Value, frozen=True, kw_only=True):
    """Server of the writer process."""

    settings: ServerSettings
    max_uploads: int
    data_dir: Path
    commits: LocalCommitService
    registry: WorkerRegistry
    threads: ThreadPoolExecutor
    #: None if nothing is recorded.
    recorder: Recorder | None = None
    #: Measures this process until cancelled; None if no metrics are counted.
    sampling: Callable[[], Coroutine[Any, Any, None]] | None = None
    #: Sessions of the connected APIGWs.
    _sessions: "set[_ClientSession]" = field(default_factory=set)

    async def serve(self) -> bool:
        """Serve until the stop signal; whether all APIGWs had disconnected by then."""
        stop, background = serving.Stop(), Background()
        socket = listening(self.data_dir)
        serving.descriptors_for(self.settings.apigw_processes, self.max_uploads)
        if self.recorder is not None:
            self.recorder.start()
        await self.commits.begin()
        background.start("worker registry", self.registry.follow)
        background.start("health messages", lambda: self._send_health(background))
        background.start("heartbeat", serving.heartbeat)
        if self.sampling is not None:
            # Not essential: uploads and events need no metrics.
            background.start("metrics", self.sampling, essential=False)
        loop = asyncio.get_running_loop()
        server = await loop.create_unix_server(
            lambda: _ClientSession(self, background).frames, sock=socket
        )
        logger.info("writer process listens", extra={"action": "listening"})
        serving.tune_interpreter()
        supervisor_channel.announce_listening()
        await stop.wait()
        # The APIGWs have uploads in progress.
        clean = await serving.until_idle(
            lambda: self._sessions, self.settings.drain_timeout + SHUTDOWN_GRACE_SECONDS
        )
        server.close()
        await background.close()
        self.commits.stop_deliveries()
        await self.registry.close()
        self.threads.shutdown()
        self.commits.close()
        if self.recorder is not None:
            self.recorder.close()
        logger.info("stopped", extra={"action": "stopped", "clean": clean})
        return clean

    async def _send_health(self, background: Background) -> None:
        """Send the health state to every APIGW periodically, until cancelled."""
        while True:
            unhealthy_reason = self.commits.unhealthy_reason or background.unhealthy_reason
            message = encode(Health(unhealthy_reason=unhealthy_reason))
            for session in self._sessions:
                session.frames.send(message)
            await asyncio.sleep(HEALTH_INTERVAL_SECONDS)

    def add(self, session: "_ClientSession") -> None:
        """Register the session of an APIGW."""
        self._sessions.add(session)

    def discard(self, session: "_ClientSession") -> None:
        """Remove a session whose APIGW has disconnected and whose calls are done."""
        self._sessions.discard(session)


class _ClientSession:
    """Server side of the IPC connection to one APIGW."""

    def __init__(self, server: WriterServer, background: Background) -> None:
        self._server = server
        self._background = background
        self.frames = Frames(self._receive, self._lost)
        self._owner_prefix = ""
        self._tasks: set[asyncio.Task[None]] = set()

    def _receive(self, message: memoryview) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(decode_request(message)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, request: CallRequest) -> None:
        try:
            reply = encode(await self._reply(request))
        except Exception:
            extra = {"action": "writer_call_failed"}
            logger.exception("call %s failed", type(request.call).__name__, extra=extra)
            fault = InternalFault("the writer process failed; see its log")
            reply = encode(Failure.of(request.number, fault))
        self.frames.send(reply)

    async def _reply(self, request: CallRequest) -> Result | Failure:
        try:
            return Result.of(request.number, await self._result(request.call))
        except Problem as problem:
            return Failure.of(request.number, problem)

    async def _result(self, call: Call) -> object:
        commits = self._server.commits
        match call:
            case Commit():
                return await self._commit(call)
            case ListEvents() | ShowEvent() | CountEvents() | OldestEvent():
                return await self._read(call)
            case ReplayEvent():
                return await commits.replay(call.event_id)
            case RetryEvent():
                return await commits.retry_now(call.event_id)
            case PublishEvents():
                return await commits.publish(call.events)
            case DropEvent():
                return await commits.drop(call.event_id)
            case Hello():
                self._greet(call)
                return None
        assert_never(call)

    async def _read(self, call: ListEvents | ShowEvent | CountEvents | OldestEvent) -> object:
        commits = self._server.commits
        match call:
            case ListEvents():
                return await commits.list_events(call.state, call.limit)
            case ShowEvent():
                shown = await commits.show(call.event_id)
                return [] if shown is None else [shown]
            case CountEvents():
                return await commits.counts()
            case OldestEvent():
                oldest = await commits.oldest()
                return [] if oldest is None else [oldest]
        assert_never(call)

    def _greet(self, call: Hello) -> None:
        self._owner_prefix = call.owner_prefix
        self._server.add(self)

    async def _commit(self, call: Commit) -> Published:
        upload = call.upload(self._server.commits.store)
        try:
            return Published.of(await self._server.commits.commit(upload))
        except BaseException:
            await upload.pending.abort()
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
            self._server.discard(self)

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        sweep = self._server.commits.store.sweep
        if count := await loop.run_in_executor(self._server.threads, sweep, self._owner_prefix):
            extra = {"action": "staging_swept"}
            logger.info("removed %d staged files of an APIGW that is gone", count, extra=extra)
