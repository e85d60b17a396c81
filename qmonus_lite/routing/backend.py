"""HTTP client for backends: keep-alive, no content decoding, no redirects, no cookies."""

import asyncio
import io
import logging
import re
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from qmonus_lite.errors import BadGateway, GatewayTimeout
from qmonus_lite.imported_on_use import ImportedOnUse
from qmonus_lite.routing.message import Stream
from qmonus_lite.values import Value

if TYPE_CHECKING:
    import aiohttp
    import yarl
else:
    aiohttp, yarl = ImportedOnUse("aiohttp"), ImportedOnUse("yarl")

logger = logging.getLogger(__name__)

#: Maximum response body that is read into memory, for a response script.
MAX_BODY_BYTES = 64 << 20
#: Keep-alive timeout of idle connections in seconds: shorter than that of usual servers, so that
#: a backend rarely closes a connection that is about to be reused.
_IDLE_SECONDS = 4
#: Headers that aiohttp would add by default; a backend gets only those that the client sent.
_NOT_ADDED = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")

_NO_ANSWER = "no backend of this route answered"
_BROKEN = "the backend of this route gave no usable answer"
_TIMED_OUT = "the backend of this route did not answer in time"

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class Call(Value, frozen=True, kw_only=True):
    """A request to a backend, ready to send."""

    #: `http` or `https`.
    scheme: str
    #: `host[:port]`, tried in this order.
    authorities: tuple[str, ...]
    method: str
    #: Path and query, encoded.
    target: str
    headers: Mapping[str, str]
    body: bytes


class Received(Value, frozen=True, kw_only=True):
    """Head of a backend's response, and its body as a stream."""

    code: int
    #: Header fields as received, in order, decoded as Latin-1.
    fields: tuple[tuple[str, str], ...]
    body: "BackendBody"


class BackendBody:
    """Response body, read on demand; implements `Stream`."""

    def __init__(self, answer: "aiohttp.ClientResponse") -> None:
        self._answer = answer

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> bytes:
        """The next chunk; raises BadGateway when the connection fails or times out."""
        try:
            chunk = await self._answer.content.readany()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            _log("backend_broke_off", self._answer.url.authority, error)
            await self.aclose()
            raise BadGateway(_BROKEN) from None
        if not chunk:
            self._answer.release()
            raise StopAsyncIteration
        return chunk

    async def read(self) -> bytes:
        """The complete body; raises BadGateway above MAX_BODY_BYTES."""
        content = bytearray()
        try:
            async for chunk in self:
                content += chunk
                if len(content) > MAX_BODY_BYTES:
                    raise BadGateway("the backend's answer is too large for a response script")
        finally:
            await self.aclose()
        return bytes(content)

    async def aclose(self) -> None:
        """Discard the unread rest; a connection whose body was read to its end stays pooled."""
        self._answer.close()


class Backends:
    """Sends requests to backends over one connection pool."""

    def __init__(
        self, *, connect_timeout: float, answer_timeout: float, max_connections: int
    ) -> None:
        """`connect_timeout` in seconds; `answer_timeout` in seconds to the response head and
        between chunks of its body; `max_connections` of the pool."""
        self._connect_timeout = connect_timeout
        self._answer_timeout = answer_timeout
        self._max_connections = max_connections
        self._session: aiohttp.ClientSession | None = None

    async def send(self, call: Call) -> Received:
        """The response of the first backend that accepts a connection.

        Raises BadGateway or GatewayTimeout.
        """
        if self._session is None:
            # It takes 0.1 s, which would stop all uploads on the event loop.
            await asyncio.to_thread(import_module, "aiohttp")
        for authority in call.authorities:
            try:
                answer = await self._exchange(call, authority)
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
                # Nothing was sent, so it is safe to try the next backend.
                _log("backend_unreachable", authority, error)
            except TimeoutError as error:
                _log("backend_late", authority, error)
                raise GatewayTimeout(_TIMED_OUT) from None
            except (aiohttp.ClientError, OSError, ValueError) as error:
                _log("backend_broke_off", authority, error)
                raise BadGateway(_BROKEN) from None
            else:
                return _received(answer)
        raise BadGateway(_NO_ANSWER)

    async def close(self) -> None:
        """Close the connection pool."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _exchange(self, call: Call, authority: str) -> "aiohttp.ClientResponse":
        headers = {name: _wire(value) for name, value in call.headers.items()}
        # aiohttp's own timeouts do not cover a backend that does not read the request body.
        async with asyncio.timeout(self._answer_timeout):
            return await self._open().request(
                call.method,
                yarl.URL(f"{call.scheme}://{authority}{call.target}", encoded=True),
                headers=headers | {"Host": authority},
                # Sent in chunks, so that a large body does not block the event loop.
                data=io.BytesIO(call.body) if call.body else None,
                allow_redirects=False,
                skip_auto_headers=_NOT_ADDED,
            )

    def _open(self) -> "aiohttp.ClientSession":
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=self._max_connections, keepalive_timeout=_IDLE_SECONDS
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=self._connect_timeout, sock_read=self._answer_timeout
                ),
            )
        return self._session


def _received(answer: "aiohttp.ClientResponse") -> Received:
    fields = tuple(
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in answer.raw_headers
    )
    # 1xx: a protocol switch is never requested.
    if answer.status < 200 or any(_CONTROL.search(value) for _, value in fields):
        answer.close()
        raise BadGateway(_BROKEN)
    return Received(code=answer.status, fields=fields, body=BackendBody(answer))


def _wire(value: str) -> str:
    """A Latin-1 field value as text whose UTF-8 encoding, which aiohttp writes, is the bytes that
    were received."""
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value


def _log(action: str, authority: str, error: Exception) -> None:
    text = str(error) or type(error).__name__
    logger.warning("%s: %s", authority, text, extra={"action": action, "backend": authority})
