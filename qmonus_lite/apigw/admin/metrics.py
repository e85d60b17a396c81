"""`/-/metrics`: the metrics of all processes that share the data directory, for Prometheus."""

import asyncio
import os
import platform
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from pathlib import Path

from qmonus_lite import __version__
from qmonus_lite.clock import Clock
from qmonus_lite.errors import NotFound, QmonusLiteError
from qmonus_lite.events.known_handlers import KnownHandlers
from qmonus_lite.events.log import STATES
from qmonus_lite.events.report_file import State
from qmonus_lite.events.workers import WorkerRegistry
from qmonus_lite.http.body import Body
from qmonus_lite.http.request import Request
from qmonus_lite.http.response import Response
from qmonus_lite.metrics import definitions
from qmonus_lite.metrics.directory import MetricsDirectory
from qmonus_lite.metrics.exposition import expose
from qmonus_lite.values import Value
from qmonus_lite.writer.service import CommitService

#: Seconds that a scrape waits for the outbox before it answers without the metrics of events.
MAX_OUTBOX_SECONDS = 2.0

_BUILD: Mapping[tuple[str, ...], float] = {(__version__, platform.python_version()): 1.0}
_WORKER_STATES = ("up", "away", "stopped", "unknown")


class MetricsResource(Value, frozen=True, kw_only=True):
    """Answers scrapes."""

    #: None if no metrics are counted (`--metrics=off`).
    directory: MetricsDirectory | None
    commits: CommitService
    registry: WorkerRegistry
    clock: Clock
    #: Why this APIGW is not ready, or None.
    unready: Callable[[], str | None]
    #: Directories whose free space is shown, by name.
    watched: Mapping[str, Path]
    min_free_bytes: int
    #: For the work of a scrape, which takes longer than the event loop may.
    thread: Executor

    async def get(self, request: Request, _body: Body, _values: Mapping[str, str]) -> Response:
        """Respond in the format that `Accept` asks for; raises NotFound if metrics are off."""
        directory = self.directory
        if directory is None:
            raise NotFound("no metrics are counted (--metrics=off)")
        here = {**self._here(), **await self._of_events()}
        accept = request.headers.get("Accept", "")

        def answer() -> tuple[bytes, str]:
            return expose(directory, {**here, **self._of_disks()}, accept)

        body, media_type = await asyncio.get_running_loop().run_in_executor(self.thread, answer)
        headers = (("Content-Type", media_type), ("Cache-Control", "no-store"))
        return Response(status=200, headers=headers, body=body)

    def _here(self) -> dict[str, Mapping[tuple[str, ...], float]]:
        return {
            definitions.READY.name: {(): float(not self.unready())},
            definitions.WORKERS.name: worker_states(self.registry.known),
            definitions.MIN_FREE_BYTES.name: {(): self.min_free_bytes},
            definitions.BUILD.name: _BUILD,
        }

    async def _of_events(self) -> dict[str, Mapping[tuple[str, ...], float]]:
        """Nothing while the outbox cannot be asked: no number is better than a wrong one."""
        try:
            async with asyncio.timeout(MAX_OUTBOX_SECONDS):
                counts, oldest = await self.commits.counts(), await self.commits.oldest()
        except (QmonusLiteError, TimeoutError):
            return {}
        age = 0.0 if oldest is None else max(0.0, self.clock.now() - oldest)
        states = (state for state in STATES if state != "sending")
        return {
            definitions.EVENTS.name: {(state,): counts.get(state, 0) for state in states},
            definitions.EVENTS_OLDEST.name: {(): age},
        }

    def _of_disks(self) -> dict[str, Mapping[tuple[str, ...], float]]:
        free: dict[tuple[str, ...], float] = {}
        for name, path in self.watched.items():
            try:
                status = os.statvfs(path)
            except OSError:
                continue
            free[(name,)] = float(status.f_bavail * status.f_frsize)
        return {definitions.FREE_BYTES.name: free}


def worker_states(known: KnownHandlers) -> Mapping[tuple[str, ...], float]:
    """Number of workers in each state; one that an operator dropped is left out."""
    states = Counter({"up": len(known.live), "unknown": len(known.never_reported)})
    for report in known.reports:
        if report.endpoint not in known.live and not report.dropped:
            states["stopped" if report.state is State.STOPPED else "away"] += 1
    return {(state,): float(states[state]) for state in _WORKER_STATES}
