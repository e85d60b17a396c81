"""HTTP client shared by all scripts of a process, with its own event loop and keep-alive."""

import asyncio
import logging
import re
import ssl
import threading
from collections.abc import Iterable, Mapping
from io import BytesIO
from typing import TYPE_CHECKING

from tornado.httpclient import HTTPClientError, HTTPRequest, HTTPResponse
from tornado.httputil import HTTPHeaders, HTTPInputError

from qmonus_lite.imported_on_use import ImportedOnUse
from qmonus_lite.scripting.builtins import no_answer
from qmonus_lite.scripting.builtins.client_timeouts import keepalive_socket
from qmonus_lite.scripting.script_threads import ScriptThread
from qmonus_lite.values import Value, changed, field

if TYPE_CHECKING:
    import aiohttp
    import yarl
else:
    aiohttp, yarl = ImportedOnUse("aiohttp"), ImportedOnUse("yarl")

logger = logging.getLogger(__name__)

#: Code of a missing answer, as in Tornado.
NO_ANSWER = 599
#: Maximum body size of an answer in bytes: callout buffers it in memory.
MAX_ANSWER_BYTES = 64 << 20
#: Characters not allowed in a header field; RFC 9110 section 5.5 requires replacing them.
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class OutgoingRequest(Value, frozen=True, kw_only=True):
    """One outgoing request, ready to send."""

    url: str
    method: str
    headers: Mapping[str, str]
    body: bytes | None
    connect_timeout: float
    #: None for no total timeout.
    request_timeout: float | None
    #: TLS settings, or True for the default checks.
    tls: ssl.SSLContext | bool = field(default=True)
    #: TLS settings for a server whose valid certificate has another name; None for no fallback.
    tls_of_other_name: ssl.SSLContext | None = None


class Outgoing:
    """Sends requests; connections are reused, redirects are not followed."""

    def __init__(self, *, max_connections: int) -> None:
        self._max_connections = max_connections
        self._thread: ScriptThread | None = None
        # Scripts call from several script threads.
        self._opening = threading.Lock()
        self._session: aiohttp.ClientSession | None = None
        self._failure_log = no_answer.FailureLog()
        #: Servers (`scheme://host:port`) accepted by their pinned key, not by their name.
        self._of_other_name: set[str] = set()

    async def send(self, message: OutgoingRequest) -> HTTPResponse:
        """The answer; code 599 with `error` set if there was none."""
        with self._opening:
            thread = self._thread = self._thread or ScriptThread("callout")
        return await asyncio.wrap_future(thread.submit(lambda: self._exchange(message)))

    async def close(self) -> None:
        """Close the connections and stop the event loop."""
        if self._thread is not None:
            await asyncio.wrap_future(self._thread.submit(self._close_session))
            self._thread.stop()
            self._thread = None

    async def _close_session(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _exchange(self, message: OutgoingRequest) -> HTTPResponse:
        url = yarl.URL(message.url)
        try:
            return await self._trusting(message, url)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            why = no_answer.reason(error, url, message.connect_timeout, message.request_timeout)
            self._failure_log.failed(message.method, url, why)
            return _no_answer_response(message, why)

    async def _trusting(self, message: OutgoingRequest, url: "yarl.URL") -> HTTPResponse:
        """The answer of a server whose certificate matches one of the TLS settings."""
        pinned = message.tls_of_other_name
        if pinned is None:
            return await self._request(message)
        by_key, origin = changed(message, tls=pinned), str(url.origin())
        if origin in self._of_other_name:
            try:
                return await self._request(by_key)
            except aiohttp.ClientConnectorCertificateError:
                # Nothing was sent. The server has another certificate now.
                self._of_other_name.discard(origin)
        try:
            return await self._request(message)
        except aiohttp.ClientConnectorCertificateError as error:
            if not no_answer.is_other_name(error):
                raise
            return await self._by_key(by_key, url, error)

    async def _by_key(
        self,
        by_key: OutgoingRequest,
        url: "yarl.URL",
        error: "aiohttp.ClientConnectorCertificateError",
    ) -> HTTPResponse:
        try:
            response = await self._request(by_key)
        except aiohttp.ClientConnectorCertificateError:
            # Not one of our own APIGWs: report the name mismatch.
            raise error from None
        self._of_other_name.add(str(url.origin()))
        logger.info(
            "the certificate of --certfile does not name %s; callouts know APIGW by its key",
            url.host,
            extra={"action": "callout_by_key"},
        )
        return response

    async def _request(self, message: OutgoingRequest) -> HTTPResponse:
        started = asyncio.get_running_loop().time()
        async with self._open().request(
            message.method,
            message.url,
            headers=dict(message.headers),
            data=message.body,
            skip_auto_headers=() if message.body else ("Content-Type",),
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(
                total=message.request_timeout,
                # Includes waiting for a free connection, as in Tornado's clients.
                connect=message.connect_timeout,
                sock_connect=message.connect_timeout,
            ),
            ssl=message.tls,
        ) as answer:
            body = await _read(answer)
        elapsed = asyncio.get_running_loop().time() - started
        return _response(message, answer.status, _fields(answer.raw_headers), body, elapsed)

    def _open(self) -> "aiohttp.ClientSession":
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=self._max_connections,
                    keepalive_timeout=60,
                    socket_factory=keepalive_socket,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=True,
            )
        return self._session


def _fields(raw: Iterable[tuple[bytes, bytes]]) -> HTTPHeaders:
    """Header fields as Tornado represents them: Latin-1, one character per byte."""
    headers = HTTPHeaders()
    for name, value in raw:
        text = _CONTROL.sub(" ", value.decode("latin-1")).strip(" \t")
        try:
            headers.add(name.decode("latin-1"), text)
        except HTTPInputError:
            logger.debug("a field of an answer has no usable name", extra={"action": "odd_field"})
    return headers


async def _read(answer: "aiohttp.ClientResponse") -> bytes:
    parts = bytearray()
    async for chunk in answer.content.iter_chunked(1 << 16):
        parts += chunk
        if len(parts) > MAX_ANSWER_BYTES:
            raise ValueError(f"the answer has more than {MAX_ANSWER_BYTES >> 20} MiB")
    return bytes(parts)


def _response(
    message: OutgoingRequest, code: int, headers: HTTPHeaders, body: bytes, elapsed: float
) -> HTTPResponse:
    request = HTTPRequest(message.url, method=message.method, allow_nonstandard_methods=True)
    # Tornado sets the reason of the answer from the code; 4xx and 5xx get an `error`.
    return HTTPResponse(request, code, headers=headers, buffer=BytesIO(body), request_time=elapsed)


def _no_answer_response(message: OutgoingRequest, why: str) -> HTTPResponse:
    request = HTTPRequest(message.url, method=message.method, allow_nonstandard_methods=True)
    response = HTTPResponse(request, NO_ANSWER, buffer=BytesIO(b""), reason=why)
    response.error = HTTPClientError(NO_ANSWER, why, response)
    return response
