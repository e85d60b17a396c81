"""Lambda worker process: start-up, serving, drain and shutdown."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from qmonus_lite import serving, supervisor_channel
from qmonus_lite.background import Background
from qmonus_lite.errors import BadResource
from qmonus_lite.events.inbox import Inbox
from qmonus_lite.scripting.builtins import callout_tls
from qmonus_lite.scripting.builtins.outgoing import Outgoing
from qmonus_lite.scripting.script_threads import MAX_HUNG, ScriptThreads
from qmonus_lite.settings.values import url_host
from qmonus_lite.settings.workers import WorkerSettings
from qmonus_lite.transports.http.listener import MAX_CONNECTIONS, Listener
from qmonus_lite.values import Value
from qmonus_lite.worker.app import Worker, WorkerEndpoints
from qmonus_lite.worker.limits import bound_memory

logger = logging.getLogger(__name__)

#: Drain timeout in seconds when a worker exits because too many scripts are hung.
FINAL_DRAIN_SECONDS = 5.0


class WorkerServer(Value, frozen=True, kw_only=True):
    """One worker process."""

    settings: WorkerSettings
    #: Seconds that a stop waits for running scripts.
    drain_timeout: float
    #: Certificate of our own APIGW, which callouts trust, and its key where this process has it.
    certfile: Path | None
    keyfile: Path | None
    worker: Worker
    inbox: Inbox
    script_threads: tuple[ScriptThreads, ...]
    outgoing: Outgoing
    #: Measures this process until cancelled; None if no metrics are counted.
    sampling: Callable[[], Coroutine[Any, Any, None]] | None = None

    async def serve(self) -> bool:
        """Serve until stopped; True if all requests completed and threads were not exhausted."""
        bound_memory()
        address, port = self.settings.lambda_address, self.settings.lambda_port
        stop, background = serving.Stop(), Background()
        sockets = serving.bind(address, port, flag="lambda_port")
        most = serving.descriptors_for(MAX_CONNECTIONS, 0)
        serving.on_hangup(self._reload)
        listener = Listener(WorkerEndpoints(self.worker).answer, max_connections=most)
        await listener.listen(sockets)
        background.start("plugin watching", self.worker.handlers.live.watch)
        background.start("clean-up of the inbox", self.inbox.forget)
        background.start("heartbeat", serving.heartbeat)
        if self.sampling is not None:
            # Not essential: uploads and events need no metrics.
            background.start("metrics", self.sampling, essential=False)
        logger.info(
            "Lambda worker listens on http://%s:%d",
            url_host(address),
            port,
            extra={"action": "listening", "plugins": len(self.worker.handlers.live.catalog.listed)},
        )
        serving.tune_interpreter()
        supervisor_channel.announce_listening()
        exhausted = await self._stopped_or_exhausted(stop)
        listener.stop()
        self.worker.release()
        within = FINAL_DRAIN_SECONDS if exhausted else self.drain_timeout
        # Long polls are answered first, so that every APIGW gets the stop report.
        clean = await serving.until_idle(lambda: self.worker.busy, within)
        await background.close()
        for script_threads in self.script_threads:
            clean &= await script_threads.close(within=1.0)
        await listener.close()
        await self.outgoing.close()
        self.inbox.close()
        logger.info("stopped", extra={"action": "stopped", "clean": clean})
        return clean and not exhausted

    def _reload(self) -> None:
        """Read plugins again, and the certificate of our own APIGW unless it cannot be used."""
        self.worker.handlers.live.request_reload()
        if self.keyfile is not None:
            try:
                serving.tls_context(self.certfile, self.keyfile)
            except BadResource:
                # The APIGW keeps the certificate that it has, and logs why.
                return
        callout_tls.forget_own()

    async def _stopped_or_exhausted(self, stop: serving.Stop) -> bool:
        """Wait for the stop; returns True if the process is exhausted by hung scripts."""
        waiting = asyncio.ensure_future(stop.wait())
        while not waiting.done():
            if any(script_threads.hung >= MAX_HUNG for script_threads in self.script_threads):
                extra = {"action": "worker_exhausted"}
                logger.error("%d scripts are stuck; this worker ends", MAX_HUNG, extra=extra)
                waiting.cancel()
                return True
            await asyncio.wait([waiting], timeout=1)
        return False
