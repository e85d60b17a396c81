"""Requests that Tornado reads: the general way of a request into the pipeline.

One handler class serves all paths and methods. It makes a `Request` and a `StreamBody`, runs the
pipeline as a task, and sends the response; it decides nothing.
"""

import asyncio
import contextlib
import logging
from http import HTTPStatus
from typing import Any

from tornado.httputil import ParseBodyConfig, ParseUrlEncodedConfig, set_parse_body_config
from tornado.iostream import IOStream, StreamClosedError
from tornado.web import Application, RequestHandler, stream_request_body

from qmonus_lite.errors import InternalFault, Problem
from qmonus_lite.http.body import Body, UnreadableBody
from qmonus_lite.http.framing import MAX_LINE_BYTES, RequestHead, origin_form
from qmonus_lite.http.idle_timeout import IdleTimeout
from qmonus_lite.http.lingering_close import half_close, lingering_close
from qmonus_lite.http.pipeline import Pipeline
from qmonus_lite.http.request import KNOWN_METHODS, Request, log_client_left, received
from qmonus_lite.http.response import Response, common_fields, error_response, reason
from qmonus_lite.http.stream_body import StreamBody
from qmonus_lite.http.tornado_internals import RequestConnection, forget_body_future

logger = logging.getLogger(__name__)


class _AnyMethod(tuple[str, ...]):
    """A tuple that contains every method: Tornado refuses none before the pipeline is asked."""

    __slots__ = ()

    def __contains__(self, _method: object) -> bool:
        return True


@stream_request_body
class StreamHandler(RequestHandler):
    """Every request that Tornado reads."""

    SUPPORTED_METHODS = _AnyMethod()

    def initialize(self, pipeline: Pipeline, idle: IdleTimeout) -> None:
        """Set the pipeline, and the idle timeout of connections, which ends with the head."""
        # Used by templates only; it refers to the handler, which so would never be freed.
        self.ui = None  # type: ignore[assignment]
        idle.came(self.request.server_connection)  # type: ignore[arg-type]
        self._pipeline = pipeline
        connection = self.request.connection
        assert isinstance(connection, RequestConnection)
        self._stream: IOStream = connection.stream
        self._inbound = received(
            RequestHead(
                method=self.request.method or "",
                target=origin_form(self.request.uri or "", self.request.host),
                version=self.request.version,
                fields=connection.fields,
            ),
            peer=self.request.remote_ip or "",
            protocol=self.request.protocol,
            proxies=pipeline.state.proxies,
        )
        rate = pipeline.state.body_rate
        self._stream_body = StreamBody(self._inbound.head, connection, rate)
        #: Done when Tornado has seen the end of the request: then the connection can be kept.
        self._read: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task: asyncio.Task[None] | None = None
        #: True if the response was sent although the body is not read; the connection ends.
        self._early = False
        self._ended = False

    def set_default_headers(self) -> None:
        """No header fields of Tornado; the response brings its own."""
        for name in ("Server", "Content-Type", "Date"):
            self.clear_header(name)

    async def prepare(self) -> None:
        """Run the pipeline until it reads the body, has read it, or has a response."""
        if self._stream.closed():
            # Tornado processes a pipelined request although the connection was closed.
            self.finish()
            return
        # Tornado calls the attribute of that name: another one may be any attribute of a handler.
        known = self.request.method in KNOWN_METHODS
        body: Body = self._stream_body if known else UnreadableBody()
        serving = self._pipeline.serve(self._inbound, body, self._send)
        self._task = asyncio.get_running_loop().create_task(serving)
        if not known:
            await self._task
        elif not self._stream_body.consumed:
            self._task.add_done_callback(lambda _task: self._stream_body.release())
            await self._stream_body.released
        if self._early:
            await self._end_early()

    async def respond(self, *_path: str) -> None:
        """The request was read: let the pipeline respond, and wait for it."""
        assert self._task is not None
        self._finish_reading()
        await self._task

    get = head = post = put = patch = delete = options = respond

    def on_connection_close(self) -> None:
        """The client closed the connection before it was answered."""
        super().on_connection_close()
        if not self._ended:
            log_client_left(self._inbound)
        self._finish_reading()
        forget_body_future(self)

    def on_finish(self) -> None:
        """The response was given to the connection."""
        self._ended = True

    def _finish_reading(self) -> None:
        if not self._read.done():
            self._read.set_result(None)

    # Responses

    async def _send(self, request: Request, response: Response) -> None:
        self._early = not self._stream_body.consumed or request.method not in KNOWN_METHODS
        if not self._early:
            await self._read
        self._put_head(request, response)
        if self._early:
            await self._send_early(response)
        elif isinstance(response.body, bytes):
            sent = self.finish(response.body or None)
            if response.closes:
                with contextlib.suppress(StreamClosedError):
                    await sent
                self._stream.close()
        else:
            await self._send_stream(response)

    def _put_head(self, request: Request, response: Response) -> None:
        status, body = response.status, response.body
        self.set_status(status, reason(status))
        for name, value in common_fields(request.record.request_id):
            self.set_header(name, value)
        for name, value in response.headers:
            self.add_header(name, value)
        if response.closes or self._early:
            self.set_header("Connection", "close")
        if self._early and isinstance(body, bytes) and status != HTTPStatus.NOT_MODIFIED:
            self.set_header("Content-Length", str(len(body)))

    async def _send_early(self, response: Response) -> None:
        """Send the response before the body is read.

        The rest of the body is discarded by `_end_early`, unless it stopped coming: then the
        connection is closed.
        """
        if isinstance(response.body, bytes) and response.body:
            self.write(response.body)
        with contextlib.suppress(StreamClosedError):
            await self.flush()
        if self._stream_body.timed_out:
            half_close(self._stream)
            self.finish()

    async def _end_early(self) -> None:
        """After the response was sent early: discard what the client still sends, and close."""
        assert self._task is not None
        await self._task
        if self._early and not self._ended:
            await lingering_close(self._stream)
            self.finish()

    async def _send_stream(self, response: Response) -> None:
        assert not isinstance(response.body, bytes)
        try:
            async for chunk in response.body:
                self.write(chunk)
                await self.flush()
        except StreamClosedError:
            logger.debug("client left", extra={"action": "client_left"})
        except Problem as error:
            # The head is already sent; close early so that the client sees a truncated body.
            logger.error("%s", error.detail, extra={"action": "backend_broke_off"})
            self._stream.close()
        finally:
            await response.release()
        self.finish()

    # What Tornado asks for

    def compute_etag(self) -> None:
        """Disable ETags: conditional requests are not supported."""

    def write_error(self, status_code: int, **_details: Any) -> None:
        """A response that could not be sent, for example for a header value: respond 500."""
        problem = InternalFault(HTTPStatus(status_code).description)
        response = error_response(problem, self._inbound.record.request_id)
        self._put_head(self._inbound, response)
        assert isinstance(response.body, bytes)
        self.finish(response.body)

    def log_exception(self, kind: Any, error: Any, traceback: Any) -> None:
        """Log an unexpected exception once, with its traceback."""
        if not isinstance(error, StreamClosedError):
            request_id = self._inbound.record.request_id
            extra = {"action": "request_failed", "request_id": request_id}
            logger.error("request failed", exc_info=(kind, error, traceback), extra=extra)


def make_application(pipeline: Pipeline, idle: IdleTimeout) -> Application:
    """The Tornado application of a server: one handler for everything.

    Tornado parses each query, and would refuse one of more than 1000 arguments before the pipeline
    could. A request line that the rules allow has no room for as many as are allowed here.
    """
    set_parse_body_config(
        ParseBodyConfig(urlencoded=ParseUrlEncodedConfig(max_arguments=MAX_LINE_BYTES))
    )
    given = {"pipeline": pipeline, "idle": idle}
    return Application([(r".*", StreamHandler, given)], log_function=_log_nothing)


def _log_nothing(_handler: RequestHandler) -> None:
    """The pipeline reports requests; Tornado would log query strings."""
