"""Request handler of upload PUTs in Tornado; the upload logic is in `uploads.service`.

Small uploads that arrive in one piece use the fast path in `apigw.buffered` instead.
"""

import functools
import logging
import re
from collections.abc import Mapping
from urllib.parse import parse_qs

from tornado.iostream import SSLIOStream, StreamClosedError

from qmonus_lite import strictjson
from qmonus_lite.apigw.answers import Response
from qmonus_lite.apigw.endpoint import Endpoint
from qmonus_lite.apigw.handler import BaseHandler
from qmonus_lite.apigw.socket_handoff import can_detach, detached
from qmonus_lite.auth import apikey
from qmonus_lite.errors import (
    CredentialInQuery,
    InvalidQuery,
    PartialUpload,
    Problem,
    UploadLimitReached,
)
from qmonus_lite.serving import CHUNK_BYTES
from qmonus_lite.uploads.active import ActiveUpload
from qmonus_lite.uploads.receipt import Receipt
from qmonus_lite.uploads.record import UploadRecord
from qmonus_lite.uploads.request import UploadRequest
from qmonus_lite.uploads.service import UploadService

logger = logging.getLogger(__name__)

#: Minimum bytes of a body that is copied from the socket in a thread.
MIN_SOCKET_COPY_BYTES = 256 << 10
#: Maximum number of query arguments.
MAX_QUERY_ARGUMENTS = 1000
#: Paths reserved for built-in endpoints; never a plugin route or an upload.
ADMIN_PATH = re.compile(r"/-(?:/.*)?$")


class UploadHandler(BaseHandler):
    """`PUT` on the upload path."""

    def initialize(
        self, endpoint: Endpoint, uploads: UploadService, values: Mapping[str, str]
    ) -> None:
        """Set the upload service and the values that the path template matched."""
        self.endpoint = endpoint
        self.uploads = uploads
        self.values = values
        self.session: ActiveUpload | None = None
        #: Fields of this upload for the access record.
        self.record = UploadRecord(request_id=self.request_id)

    async def check(self) -> None:
        """Open the upload; all checks before the body are made here. Raises Problem, Terminated."""
        self.check_method()
        if "Content-Range" in self.request.headers:
            # Else a partial body would replace the complete file (RFC 9110, section 14.4).
            raise PartialUpload(
                "a part of a file cannot be stored; send the whole, no Content-Range"
            )
        self._take_upload_slot()
        head = UploadRequest(
            raw_path=self.request.path,
            values=self.values,
            params=query(self.request.query),
            headers=self.fields,
            length=self.request_head.length,
            record=self.record,
        )
        self.session = await self.uploads.open(head)

    async def receive(self) -> None:
        """Copy a long body of known length from the socket to the disk, bypassing Tornado."""
        length = self.request_head.length
        if length is None or length < MIN_SOCKET_COPY_BYTES or isinstance(self.stream, SSLIOStream):
            return
        try:
            await self._send_continue()
            left = length
            while left:
                chunk = await self.stream.read_bytes(min(CHUNK_BYTES, left), partial=True)
                left -= len(chunk)
                await self.data_received(chunk)
                # A full chunk means that more is pending: data arrives faster than the loop reads.
                if (
                    left
                    and len(chunk) == CHUNK_BYTES
                    and not self.refused
                    and can_detach(self.stream)
                ):
                    left -= await self.consume(functools.partial(self._copy_from_socket, left))
        except StreamClosedError:
            # Tornado detects this too and calls on_connection_close.
            return
        # The body is consumed; Tornado must not read any more.
        self.request.headers["Content-Length"] = "0"

    async def _send_continue(self) -> None:
        """Send `100 Continue` if the client waits for it."""
        if self.request.headers.pop("Expect", None):
            await self.stream.write(b"HTTP/1.1 100 (Continue)\r\n\r\n")

    async def _copy_from_socket(self, left: int) -> int:
        """Copy at most `left` bytes from the socket to the disk in a thread; returns the count."""
        assert self.session is not None
        try:
            with detached(self.stream) as descriptor:
                return await self.session.copy_from_socket(descriptor, left)
        except BaseException:
            await self.session.abort()
            raise

    def on_done(self) -> None:
        """Also free the upload slot."""
        super().on_done()
        self.application.settings["uploading"].discard(self)

    async def take(self, chunk: bytes) -> int:
        """Write a chunk to the disk; returns its size."""
        assert self.session is not None
        try:
            await self.session.write(chunk)
        except BaseException:
            await self.session.abort()
            raise
        return len(chunk)

    async def put(self) -> None:
        """The body is complete: commit the upload and respond with the receipt."""
        assert self.session is not None
        self.committed = True
        self.body_came()
        try:
            receipt = await self.session.commit()
        except Problem as error:
            await self.session.abort()
            self.answer(error)
            return
        except BaseException:
            await self.session.abort()
            raise
        self.finish(self.apply_response(stored_response(receipt, self.session.digest)))

    def on_connection_close(self) -> None:
        """The client disconnected: abort the upload if it is incomplete."""
        super().on_connection_close()
        self.application.settings["background"](self._left())

    def _take_upload_slot(self) -> None:
        uploading = self.application.settings["uploading"]
        if len(uploading) >= self.limits.max_uploads:
            raise UploadLimitReached("as many uploads as this APIGW takes at once are under way")
        uploading.add(self)

    async def _left(self) -> None:
        if self.session is not None:
            await self.session.abort()


def match_upload_path(path: str, uploads: UploadService) -> Mapping[str, str] | None:
    """Template values of an upload path; None if the path is not an upload path."""
    return None if ADMIN_PATH.match(path) else uploads.template.match(path)


def stored_response(receipt: Receipt, digest: str | None) -> Response:
    """Response to a stored upload, with `Repr-Digest` if the client requested one."""
    headers = {"Content-Type": "application/json", "Location": receipt.location}
    if digest:
        headers["Repr-Digest"] = digest
    body = strictjson.write_plain_for_people(receipt.to_json()) + b"\n"
    return Response(status=receipt.status, headers=headers, body=body)


def query(text: str) -> dict[str, list[str]]:
    """Query arguments, name -> list of values; raises InvalidQuery, CredentialInQuery."""
    if not text:
        return {}
    try:
        found = parse_qs(
            text, keep_blank_values=True, max_num_fields=MAX_QUERY_ARGUMENTS, errors="strict"
        )
    except ValueError:
        raise InvalidQuery("the query has too many arguments or is not UTF-8") from None
    if apikey.shown_in(found):
        # It is already in logs and histories, and would leak into events and to backends.
        raise CredentialInQuery(apikey.SHOWN)
    return found
