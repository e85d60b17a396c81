"""Worker registry over HTTP: follows the workers by long polls.

The response to a poll is sent when the worker's plugins change or after `POLL_SECONDS`, and a
broken connection shows at once that the worker is down.
"""

import asyncio
import json
import logging
import math
from collections.abc import Callable, Sequence

from qmonus_lite.background import ends_the_task
from qmonus_lite.events.envelope import PROTOCOL
from qmonus_lite.events.known_handlers import KnownWorker
from qmonus_lite.events.report_file import ReportFile
from qmonus_lite.events.reported_workers import ReportedWorkers
from qmonus_lite.ids import new_id
from qmonus_lite.transports.http.client import ConnectFailed, ExchangeFailed, InvalidReply
from qmonus_lite.transports.http.signed_client import (
    HANDLES,
    ExchangeTimedOut,
    SignedClient,
    SignedMessage,
)

logger = logging.getLogger(__name__)

#: Seconds that a worker holds the long poll, and additional grace period: a worker that does not
#: respond within their sum is considered lost, and exchanges in progress with it are aborted.
POLL_SECONDS, POLL_GRACE_SECONDS = 10.0, 5.0
#: Seconds between two attempts to reach a worker that is down.
RECONNECT_SECONDS = 0.25
#: Seconds to wait after an unexpected exception, which is logged each time.
FAULT_DELAY_SECONDS = 5.0


class HttpWorkerRegistry(ReportedWorkers):
    """Implements `events.workers.WorkerRegistry`."""

    def __init__(
        self,
        endpoints: Sequence[str],
        client: SignedClient,
        source: str,
        reports: ReportFile | None = None,
    ) -> None:
        """`source`: `http(s)://host:port` of this APIGW. Raises BadResource."""
        super().__init__(endpoints, reports)
        self._client = client
        self._source = source
        self._abort_listeners: list[Callable[[str], int]] = []
        #: When the last long poll of an endpoint was answered, by the clock of the event loop.
        self._answered_at: dict[str, float] = {}

    def on_lost(self, abort: Callable[[str], int]) -> None:
        """Call `abort` with the endpoint of a lost worker; it returns the number of exchanges.

        It has to abort the exchanges in progress there.
        """
        self._abort_listeners.append(abort)

    async def follow(self) -> None:
        """Poll all workers and the report file until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.watch_reports())
            for worker in self.workers:
                group.create_task(self._follow(worker))

    async def close(self) -> None:
        """Close the connections to the workers."""
        await self._client.close()

    async def _follow(self, worker: KnownWorker) -> None:
        while True:
            try:
                await self._poll(worker)
            except BaseException as error:
                if ends_the_task(error):
                    raise
                # A bug: it must not end the polling of the other workers.
                extra = {"action": "worker_poll_failed"}
                logger.exception("polling of worker %s failed", worker.endpoint, extra=extra)
                await self._on_failure(worker, error)
                await asyncio.sleep(FAULT_DELAY_SECONDS)

    async def _poll(self, worker: KnownWorker) -> None:
        try:
            report = await self._client.send(worker.endpoint, self._message(worker))
        except (ConnectFailed, ExchangeFailed, InvalidReply) as error:
            await self._on_failure(worker, error)
            await asyncio.sleep(RECONNECT_SECONDS)
            return
        self._answered_at[worker.endpoint] = _now()
        await self.reported(worker, report)
        if report.stopping:
            await asyncio.sleep(RECONNECT_SECONDS)

    def _message(self, worker: KnownWorker) -> SignedMessage:
        # Without a known generation, the worker responds at once instead of at the next change.
        known = worker.last.generation if worker.last and worker.healthy else ""
        body = {"source": self._source, "known": known, "wait": POLL_SECONDS, "protocol": PROTOCOL}
        return SignedMessage(
            id=new_id(),
            path=HANDLES,
            body=json.dumps(body).encode(),
            content_type="application/json",
            timeout=POLL_SECONDS + POLL_GRACE_SECONDS,
        )

    async def _on_failure(self, worker: KnownWorker, error: BaseException) -> None:
        aborted = 0
        silent_since = self._answered_at.get(worker.endpoint, -math.inf)
        if _is_silent(error) and _now() - silent_since >= POLL_SECONDS:
            # Its host is down or its event loop hangs: exchanges in progress would never end.
            aborted = self._client.abandon(worker.endpoint)
            aborted += sum(abort(worker.endpoint) for abort in self._abort_listeners)
        log = isinstance(error, InvalidReply)
        await self.unreachable(worker, error, aborted=aborted, log=log)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _is_silent(error: BaseException) -> bool:
    """Whether there was no reply at all, not even a refused or closed connection."""
    if isinstance(error, ConnectFailed):
        return error.silent
    return isinstance(error, ExchangeTimedOut)
