"""Signed POSTs to a worker over kept connections; only a truly signed answer counts."""

from dataclasses import dataclass

import aiohttp

from qmonus_lite.events.outcome import BadOutcome, Report
from qmonus_lite.events.signature import ID, BadSignature, Signer

#: Paths of a worker.
ASK, DELIVER, HANDLES = "/events/ask", "/events/deliver", "/events/handles"
#: Largest answer that is read, in bytes.
MOST_ANSWER = 4 << 20


class WorkerAway(Exception):
    """No connection could be made: nothing was sent."""


class WorkerBroke(Exception):
    """The exchange ended without a whole answer, in time or at all."""


class WorkerBusy(WorkerBroke):
    """The worker said not now: it is stopping, or has too much to do."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(f"the worker asked to come back in {seconds:g} s")


class WorkerGarbled(Exception):
    """Something answered that is no worker of ours, or answered nonsense."""


@dataclass(frozen=True, kw_only=True)
class Parcel:
    """A message for one worker."""

    id: str
    #: One of ASK, DELIVER, HANDLES.
    path: str
    body: bytes
    content_type: str
    #: Seconds for the whole exchange.
    timeout: float


class Sender:
    """Sends parcels from one event loop; make it and close it there."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer
        self._session: aiohttp.ClientSession | None = None

    async def send(self, endpoint: str, parcel: Parcel) -> Report:
        """The worker's report; raises WorkerAway, WorkerBroke or WorkerGarbled."""
        headers = self._signer.sign(parcel.id, parcel.body)
        headers["Content-Type"] = parcel.content_type
        try:
            async with self._open().post(
                endpoint + parcel.path,
                data=parcel.body,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=parcel.timeout, sock_connect=1.0),
            ) as answer:
                body = await _read(answer)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise WorkerAway(str(error)) from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise WorkerBroke(str(error) or type(error).__name__) from None
        return self._checked(parcel, answer, body)

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=30)
            self._session = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session

    def _checked(self, parcel: Parcel, answer: aiohttp.ClientResponse, body: bytes) -> Report:
        if answer.status in {429, 503}:
            # Unsigned words may delay an event, never decide over one.
            raise WorkerBusy(_seconds(answer.headers.get("Retry-After", "")))
        if answer.status != 200:
            raise WorkerGarbled(f"status {answer.status}")
        try:
            if self._signer.verify(answer.headers, body) != parcel.id:
                raise WorkerGarbled(f"the answer is to another {ID}")
            return Report.from_bytes(body)
        except (BadSignature, BadOutcome) as error:
            raise WorkerGarbled(str(error)) from None


def _seconds(value: str) -> float:
    return float(value) if value.isascii() and value.isdigit() else 1.0


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > MOST_ANSWER:
            answer.close()
            raise WorkerGarbled(f"the answer has more than {MOST_ANSWER} bytes")
    return bytes(body)
