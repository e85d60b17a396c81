"""Transport and worker registry that run the handlers in this process, without HTTP."""

import asyncio
import contextlib
import logging

from qmonus_lite.catalog.plugins import Catalog
from qmonus_lite.events.envelope import Envelope, OutgoingEvent
from qmonus_lite.events.outcome import Outcome
from qmonus_lite.events.reported_workers import ReportedWorkers
from qmonus_lite.events.transport import Broken, Heartbeat, Unreachable
from qmonus_lite.lambdas.handlers import EventHandlers
from qmonus_lite.transports.heartbeat import Beating
from qmonus_lite.values import changed

logger = logging.getLogger(__name__)

#: Name of this process as a worker.
ENDPOINT = "local"


class LocalTransport:
    """Implements `events.transport.Transport`; the event passes through JSON as on the network."""

    def __init__(self, handlers: EventHandlers) -> None:
        self._handlers = handlers
        self._tasks: set[asyncio.Task[Outcome]] = set()
        self._closed = False

    async def ask(
        self, event: OutgoingEvent, timeout: float, heartbeat: Heartbeat | None = None
    ) -> Outcome | Unreachable | Broken:
        """See `events.transport.Transport`."""
        if self._closed:
            return Unreachable(reason="the transport is closed")
        envelope = Envelope.from_bytes(event.to_bytes())
        task = asyncio.get_running_loop().create_task(self._handlers.handle(envelope))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with Beating(heartbeat) if heartbeat else contextlib.nullcontext():
            # Unlike asyncio.timeout, asyncio.wait does not cancel the handlers.
            await asyncio.wait([task], timeout=timeout)
        if not task.done() or task.cancelled():
            return Broken(worker=ENDPOINT, reason=f"no answer within {timeout:g} s")
        if (error := task.exception()) is not None:
            logger.error("event failed", exc_info=error, extra={"action": "message_failed"})
            return Broken(worker=ENDPOINT, reason="the event failed", invalid=True)
        return changed(task.result(), worker=ENDPOINT)

    async def close(self) -> None:
        """Accept no more events and cancel what is in progress."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class LocalWorkerRegistry(ReportedWorkers):
    """Implements `events.workers.WorkerRegistry`; up while `follow` runs."""

    def __init__(self, handlers: EventHandlers) -> None:
        super().__init__([ENDPOINT])
        self._handlers = handlers
        self._changed = asyncio.Event()
        handlers.live.on_change(self._on_change)

    async def follow(self) -> None:
        """Report each change of the plugin set until cancelled."""
        [worker] = self.workers
        try:
            while True:
                self._changed.clear()
                await self.reported(worker, self._handlers.report())
                await self._changed.wait()
        finally:
            await self.unreachable(worker, "no longer followed")

    async def close(self) -> None:
        """Nothing to close."""

    def _on_change(self, _catalog: Catalog) -> None:
        self._changed.set()
