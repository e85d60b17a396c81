"""One HTTP client for all scripts of a process, on a loop of its own, with kept connections."""

import asyncio
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO

import aiohttp
from tornado.httpclient import HTTPClientError, HTTPRequest, HTTPResponse
from tornado.httputil import HTTPHeaders

from qmonus_lite.scripting.lanes import Lane

#: Code of an answer that never came, as in Tornado.
NO_ANSWER = 599
#: Largest body of an answer, in bytes: callout holds it in memory.
MOST_ANSWER = 64 << 20


@dataclass(frozen=True, kw_only=True)
class Message:
    """One outgoing request, ready to send."""

    url: str
    method: str
    headers: Mapping[str, str]
    body: bytes | None
    connect_timeout: float
    request_timeout: float
    #: TLS settings, or None for the usual checks.
    tls: ssl.SSLContext | bool = field(default=True)


class Outgoing:
    """Sends messages; connections are re-used, redirects are not followed."""

    def __init__(self, *, most: int) -> None:
        self._most = most
        self._lane: Lane | None = None
        # Scripts call from the threads of their lanes.
        self._opening = threading.Lock()
        self._session: aiohttp.ClientSession | None = None

    async def send(self, message: Message) -> HTTPResponse:
        """The answer; code 599 with `error` set when none came."""
        with self._opening:
            lane = self._lane = self._lane or Lane("callout")
        return await asyncio.wrap_future(lane.submit(lambda: self._exchange(message)))

    async def close(self) -> None:
        """Close the connections and stop the loop."""
        if self._lane is not None:
            await asyncio.wrap_future(self._lane.submit(self._close_session))
            self._lane.stop()
            self._lane = None

    async def _close_session(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _exchange(self, message: Message) -> HTTPResponse:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._most, keepalive_timeout=60),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=True,
            )
        timeout = aiohttp.ClientTimeout(
            total=message.request_timeout, sock_connect=message.connect_timeout
        )
        started = asyncio.get_running_loop().time()
        try:
            async with self._session.request(
                message.method,
                message.url,
                headers=dict(message.headers),
                data=message.body,
                skip_auto_headers=() if message.body else ("Content-Type",),
                allow_redirects=False,
                timeout=timeout,
                ssl=message.tls,
            ) as answer:
                body = await _read(answer)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return _nothing(message, error)
        headers = HTTPHeaders()
        for name, value in answer.headers.items():
            headers.add(name, value)
        elapsed = asyncio.get_running_loop().time() - started
        return _response(message, answer.status, headers, body, elapsed)


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    parts = bytearray()
    async for chunk in answer.content.iter_chunked(1 << 16):
        parts += chunk
        if len(parts) > MOST_ANSWER:
            raise ValueError(f"the answer has more than {MOST_ANSWER >> 20} MiB")
    return bytes(parts)


def _response(
    message: Message, code: int, headers: HTTPHeaders, body: bytes, elapsed: float
) -> HTTPResponse:
    request = HTTPRequest(message.url, method=message.method, allow_nonstandard_methods=True)
    # The reason of the answer is set by Tornado from the code; 4xx and 5xx get an `error`.
    return HTTPResponse(request, code, headers=headers, buffer=BytesIO(body), request_time=elapsed)


def _nothing(message: Message, error: Exception) -> HTTPResponse:
    text = str(error) or type(error).__name__
    request = HTTPRequest(message.url, method=message.method, allow_nonstandard_methods=True)
    response = HTTPResponse(request, NO_ANSWER, buffer=BytesIO(b""), reason=text)
    response.error = HTTPClientError(NO_ANSWER, text, response)
    return response
