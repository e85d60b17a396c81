"""The upload door: Tornado's side of one PUT; the story itself stands in `uploads.service`.

An upload that is small and came in one piece does not pass here (`apigw.buffered`).
"""

import functools
import logging
import re
from collections.abc import Mapping
from urllib.parse import parse_qs

from tornado.iostream import SSLIOStream, StreamClosedError

from qmonus_lite import strictjson
from qmonus_lite.apigw.answers import Response
from qmonus_lite.apigw.handler import BaseHandler
from qmonus_lite.apigw.socket_handoff import can_detach, detached
from qmonus_lite.auth import apikey
from qmonus_lite.errors import BadRequest, MethodNotAllowed, Problem, Unavailable
from qmonus_lite.serving import CHUNK_BYTES
from qmonus_lite.uploads.receipt import Receipt
from qmonus_lite.uploads.record import UploadRecord
from qmonus_lite.uploads.request import UploadRequest
from qmonus_lite.uploads.service import ActiveUpload, UploadService

logger = logging.getLogger(__name__)

#: Bytes of a body that is worth a thread.
MIN_SOCKET_COPY_BYTES = 256 << 10
#: Query arguments that are read.
MAX_QUERY_ARGUMENTS = 1000
#: Paths that no plugin and no upload has.
ADMIN_PATH = re.compile(r"/-(?:/.*)?$")


class UploadHandler(BaseHandler):
    """`PUT` on the upload path."""

    allowed_methods = ("PUT",)
    max_body_bytes = None
    # Else a client that forgot to say how long its file is would replace it by nothing.
    body_required_for = ("PUT",)

    def initialize(self, uploads: UploadService, values: Mapping[str, str]) -> None:
        """Take what uploads share, and what the template found in the path."""
        self.uploads = uploads
        self.values = values
        self.session: ActiveUpload | None = None
        #: What the access record says of this upload.
        self.record = UploadRecord(request_id=self.request_id)

    async def check(self) -> None:
        """Open the session: everything that can refuse this upload does so here."""
        if self.request.method != "PUT":
            raise MethodNotAllowed(self.request.method or "", self.allowed_methods)
        if "Content-Range" in self.request.headers:
            # Else a part would take the place of the whole file (RFC 9110, section 14.4).
            raise BadRequest("a part of a file cannot be stored; send the whole, no Content-Range")
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
        """A long body of known length: the most of it goes from the socket to the disk."""
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
                # A client that fills a chunk has more: it comes faster than the loop can read.
                if (
                    left
                    and len(chunk) == CHUNK_BYTES
                    and not self.refused
                    and can_detach(self.stream)
                ):
                    left -= await self.consume(functools.partial(self._copy_from_socket, left))
        except StreamClosedError:
            # Tornado finds out by itself, and tells us as of any other request.
            return
        # To Tornado this was the body.
        self.request.headers["Content-Length"] = "0"

    async def _send_continue(self) -> None:
        """Tell a client that waits that its body may come."""
        if self.request.headers.pop("Expect", None):
            await self.stream.write(b"HTTP/1.1 100 (Continue)\r\n\r\n")

    async def _copy_from_socket(self, left: int) -> int:
        """Let bytes go to the disk past the loop, `left` at the most; how many."""
        assert self.session is not None
        try:
            with detached(self.stream) as descriptor:
                return await self.session.copy_from_socket(descriptor, left)
        except BaseException:
            await self.session.abort()
            raise

    def on_done(self) -> None:
        """Another upload may come."""
        super().on_done()
        self.application.settings["uploading"].discard(self)

    async def take(self, chunk: bytes) -> int:
        """Bytes go to the disk as they come."""
        assert self.session is not None
        try:
            await self.session.write(chunk)
        except BaseException:
            await self.session.abort()
            raise
        return len(chunk)

    async def put(self) -> None:
        """The body is whole: commit and hand out the receipt."""
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
        """The client left; an upload that is not whole leaves no trace."""
        super().on_connection_close()
        self.application.settings["background"](self._left())

    def _take_upload_slot(self) -> None:
        uploading = self.application.settings["uploading"]
        if len(uploading) >= self.limits.max_uploads:
            raise Unavailable("as many uploads as this APIGW takes at once are under way")
        uploading.add(self)

    async def _left(self) -> None:
        if self.session is not None:
            await self.session.abort()


def match_upload_path(path: str, uploads: UploadService) -> Mapping[str, str] | None:
    """What the template finds in a request path; None for one that is no upload."""
    return None if ADMIN_PATH.match(path) else uploads.template.match(path)


def stored_response(receipt: Receipt, digest: str | None) -> Response:
    """The answer to an upload that was stored, with its `Repr-Digest` if the client wanted one."""
    headers = {"Content-Type": "application/json", "Location": receipt.location}
    if digest:
        headers["Repr-Digest"] = digest
    body = (strictjson.write_for_people(receipt.to_json()) + "\n").encode()
    return Response(status=receipt.status, headers=headers, body=body)


def query(text: str) -> dict[str, list[str]]:
    """Query arguments, name -> list of values; raises BadRequest."""
    if not text:
        return {}
    try:
        found = parse_qs(
            text, keep_blank_values=True, max_num_fields=MAX_QUERY_ARGUMENTS, errors="strict"
        )
    except ValueError:
        raise BadRequest("the query has too many arguments or is not UTF-8") from None
    if apikey.shown_in(found):
        # It is in logs and histories already, and would go into events and to backends.
        raise BadRequest(apikey.SHOWN)
    return found
