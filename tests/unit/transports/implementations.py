"""The implementations of transport and registry, each with one worker, for the contract tests."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from qmonus_lite import strictjson
from qmonus_lite.events.envelope import OutgoingEvent, Purpose
from qmonus_lite.transports.http.signed_client import SignedClient
from qmonus_lite.transports.http.transport import HttpTransport
from qmonus_lite.transports.http.worker_registry import HttpWorkerRegistry
from qmonus_lite.transports.local import LocalTransport, LocalWorkerRegistry
from tests.unit.events.worker_setup import SIGNER, SOURCE, WorkerSetup


async def until(condition: Callable[[], object], seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


class HttpSite:
    """A worker that listens on a port."""

    def __init__(self, path: Path) -> None:
        self.worker = WorkerSetup(path)
        self._following: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the worker; the registry does not follow it yet."""
        await self.worker.start()
        client = SignedClient(SIGNER)
        self.registry = HttpWorkerRegistry([self.worker.endpoint], client, SOURCE)
        self.transport = HttpTransport(client, self.registry)

    def follow(self) -> None:
        self._following = asyncio.get_running_loop().create_task(self.registry.follow())

    async def stop(self) -> None:
        """Stop the worker."""
        await until(lambda: self.worker.worker.waiting)
        await self.worker.stop()

    async def restart(self) -> None:
        """Start the worker again."""
        await self.worker.start()

    async def close(self) -> None:
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        await self.transport.close()
        await self.registry.close()
        await self.worker.close()


class LocalSite:
    """Handlers in this process."""

    def __init__(self, path: Path) -> None:
        self.worker = WorkerSetup(path)
        self._following: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Load the handlers; the registry does not follow them yet."""
        await self.worker.start()
        self.registry = LocalWorkerRegistry(self.worker.handlers)
        self.transport = LocalTransport(self.worker.handlers)

    def follow(self) -> None:
        self._following = asyncio.get_running_loop().create_task(self.registry.follow())

    async def stop(self) -> None:
        """Stop what stands for the worker."""
        await self._unfollow()
        await self.transport.close()

    async def restart(self) -> None:
        """Follow the handlers again."""
        self.follow()

    async def close(self) -> None:
        await self._unfollow()
        await self.transport.close()
        await self.registry.close()
        await self.worker.close()

    async def _unfollow(self) -> None:
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)


Site = HttpSite | LocalSite
SITES: dict[str, type[Site]] = {"http": HttpSite, "local": LocalSite}


def event(
    data: dict[str, Any],
    *,
    name: str = "E",
    purpose: Purpose = Purpose.QUESTION,
    event_id: str = "e1",
    attempt: int = 1,
) -> OutgoingEvent:
    return OutgoingEvent(
        id=event_id,
        type=name,
        source=SOURCE,
        subject="/upload/a",
        time=datetime.now(UTC),
        attempt=attempt,
        request_id="r1",
        upload_id="u1",
        purpose=purpose,
        data=strictjson.write(data),
    )
