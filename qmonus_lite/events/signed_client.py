"""Signed POSTs to a worker over kept connections; only a truly signed answer counts."""

import asyncio
from dataclasses import dataclass

from qmonus_lite.events.http_client import HttpClient, HttpReply, WorkerBroke, WorkerGarbled
from qmonus_lite.events.outcome import BadOutcome, Report
from qmonus_lite.events.signature import ID, BadSignature, Signer

#: Paths of a worker.
ASK, DELIVER, HANDLES = "/events/ask", "/events/deliver", "/events/handles"


class WorkerSilent(WorkerBroke):
    """The time was over, and no answer had come."""


class WorkerBusy(WorkerBroke):
    """The worker said not now: it is stopping, or has too much to do."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(f"the worker asked to come back in {seconds:g} s")


@dataclass(frozen=True, kw_only=True)
class SignedMessage:
    """A message for one worker."""

    id: str
    #: One of ASK, DELIVER, HANDLES.
    path: str
    body: bytes
    content_type: str
    #: Seconds for the whole exchange.
    timeout: float


class SignedClient:
    """Sends parcels from one event loop; make it and close it there."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer
        self._wire = HttpClient()

    async def send(self, endpoint: str, message: SignedMessage) -> Report:
        """The worker's report; raises WorkerAway, WorkerBroke or WorkerGarbled."""
        headers = self._signer.sign(message.id, message.body)
        headers["Content-Type"] = message.content_type
        try:
            async with asyncio.timeout(message.timeout):
                reply = await self._wire.post(endpoint, message.path, headers, message.body)
        except TimeoutError:
            raise WorkerSilent(f"no answer within {message.timeout:g} s") from None
        return self._checked(message, reply)

    def under_way(self, endpoint: str) -> int:
        """Exchanges with a worker that wait for its answer; callable from any thread."""
        return self._wire.under_way(endpoint)

    def abandon(self, endpoint: str) -> int:
        """End them, and drop the connections; for a worker that is lost. How many they were."""
        return self._wire.abandon(endpoint)

    async def close(self) -> None:
        """Close the connections."""
        await self._wire.close()

    def _checked(self, message: SignedMessage, reply: HttpReply) -> Report:
        if reply.status in {429, 503}:
            # Unsigned words may delay an event, never decide over one.
            raise WorkerBusy(_seconds(reply.headers.get("retry-after", "")))
        if reply.status != 200:
            raise WorkerGarbled(f"status {reply.status}")
        try:
            if self._signer.verify(reply.headers, reply.body) != message.id:
                raise WorkerGarbled(f"the answer is to another {ID}")
            return Report.from_bytes(reply.body)
        except (BadSignature, BadOutcome) as error:
            raise WorkerGarbled(str(error)) from None


def _seconds(value: str) -> float:
    return float(value) if value.isascii() and value.isdigit() else 1.0
