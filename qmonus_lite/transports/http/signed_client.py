"""Client for signed POST requests to workers; verifies the signature of every response."""

import asyncio

from qmonus_lite.events.outcome import BadOutcome, Report
from qmonus_lite.transports.http.client import ExchangeFailed, HttpClient, InvalidReply
from qmonus_lite.transports.http.codec import HttpRequest, HttpResponse
from qmonus_lite.transports.http.signature import ID, BadSignature, Signer
from qmonus_lite.values import Value

#: Maximum bytes of a refusal that are logged.
MAX_REASON_BYTES = 300
#: URL paths of a worker.
ASK, DELIVER, HANDLES = "/events/ask", "/events/deliver", "/events/handles"


class ExchangeTimedOut(ExchangeFailed):
    """The exchange timed out without a response."""


class WorkerBusy(ExchangeFailed):
    """The worker responded 429 or 503: it is stopping or overloaded."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(f"the worker asked to come back in {seconds:g} s")


class SignedMessage(Value, frozen=True, kw_only=True):
    """A message to send to a worker."""

    id: str
    #: One of ASK, DELIVER, HANDLES.
    path: str
    body: bytes
    content_type: str
    #: Timeout of the whole exchange in seconds.
    timeout: float


class SignedClient:
    """Sends signed messages on one event loop; create and close it there."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer
        self._http = HttpClient()

    async def send(self, endpoint: str, message: SignedMessage) -> Report:
        """The worker's report; raises ConnectFailed, ExchangeFailed or InvalidReply."""
        headers = self._signer.sign(message.id, message.body)
        headers["Content-Type"] = message.content_type
        request = HttpRequest(path=message.path, headers=headers, body=message.body)
        try:
            async with asyncio.timeout(message.timeout):
                reply = await self._http.post(endpoint, request)
        except TimeoutError:
            raise ExchangeTimedOut(f"no answer within {message.timeout:g} s") from None
        return self._checked(message, reply)

    def under_way(self, endpoint: str) -> int:
        """Number of exchanges with a worker that wait for a response; thread-safe."""
        return self._http.under_way(endpoint)

    def abandon(self, endpoint: str) -> int:
        """Abort exchanges and connections with a lost worker; returns the number of exchanges."""
        return self._http.abandon(endpoint)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    def _checked(self, message: SignedMessage, reply: HttpResponse) -> Report:
        if reply.status in {429, 503}:
            # Not verified: an unsigned response may delay an event, but not decide its outcome.
            raise WorkerBusy(_seconds(reply.headers.get("retry-after", "")))
        if reply.status != 200:
            raise InvalidReply(f"status {reply.status}{_reason(reply.body)}")
        try:
            if self._signer.verify(reply.headers, reply.body) != message.id:
                raise InvalidReply(f"the answer is to another {ID}")
            return Report.from_bytes(reply.body)
        except (BadSignature, BadOutcome) as error:
            raise InvalidReply(str(error)) from None


def _seconds(value: str) -> float:
    return float(value) if value.isascii() and value.isdigit() else 1.0


def _reason(body: bytes) -> str:
    """The first line of a refusal, for the log; it is not signed, and decides nothing."""
    line = body[:MAX_REASON_BYTES].decode("ascii", "replace").partition("\n")[0]
    return f": {line}" if line and line.isprintable() else ""
