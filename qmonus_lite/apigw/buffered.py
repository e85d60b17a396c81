"""Buffered uploads: fast path for small PUTs that arrive in one piece, without Tornado.

Reading such a request, dispatching it and writing the response takes Tornado more time than the
upload itself (docs/decisions/whole-uploads.md). So the simplest form of a PUT is parsed here. Any
other form, and any request refused by the framing rules, while draining or for lack of an upload
slot, is left to Tornado unread.
"""

import logging
import re
import time
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from qmonus_lite.apigw import framing
from qmonus_lite.apigw.access import AccessRecord
from qmonus_lite.apigw.answers import Response, error_response
from qmonus_lite.apigw.framing import RequestHead
from qmonus_lite.apigw.limits import Limits
from qmonus_lite.apigw.upload import MAX_QUERY_ARGUMENTS, match_upload_path, query, stored_response
from qmonus_lite.errors import InternalFault, Problem, Terminated, refusal_of
from qmonus_lite.headers import Headers
from qmonus_lite.ids import new_id
from qmonus_lite.log import bound
from qmonus_lite.uploads.active import ActiveUpload
from qmonus_lite.uploads.record import UploadRecord
from qmonus_lite.uploads.request import UploadRequest
from qmonus_lite.uploads.service import UploadService

logger = logging.getLogger(__name__)

#: Maximum bytes of the head, and of the body, of a buffered upload.
MAX_HEAD_BYTES, MAX_BUFFERED_BODY_BYTES = 8 << 10, 64 << 10

#: Stricter than HTTP: only ASCII, and no empty field values.
_PLAIN = re.compile(
    rb"PUT (/[\x21\x22\x24-\x7e]*) HTTP/1\.1\r\n"
    rb"((?:[\w-]+:[\t ]*[\x21-\x7e][\t\x20-\x7e]*\r\n)+)\r\n"
)
#: Host values that need no further validation.
_HOST = re.compile(r"[A-Za-z0-9.-]+(?::[0-9]+)?|\[[0-9A-Fa-f:.]+\](?::[0-9]+)?")
#: Fields that exclude a request from the fast path.
_NOT_PLAIN = frozenset({"content-range", "expect", "transfer-encoding", "upgrade"})


@dataclass(frozen=True, kw_only=True)
class ParsedPut:
    """A parsed PUT in its simplest form; its body may be incomplete."""

    head: RequestHead
    #: Bytes of the head; bytes of head and body.
    size: int
    total: int


def parse_plain_put(data: bytes | bytearray | memoryview) -> ParsedPut | None:
    """Parse a plain PUT at the start of `data`; None for anything else or a partial head."""
    found = _PLAIN.match(data, 0, MAX_HEAD_BYTES)
    if found is None:
        return None
    lines = found[2].decode("ascii").split("\r\n")[:-1]
    fields = [line.partition(":") for line in lines]
    head = RequestHead(
        method="PUT",
        target=found[1].decode("ascii"),
        version="HTTP/1.1",
        fields=tuple([(name, value.strip(" \t")) for name, _, value in fields]),
    )
    try:
        framing.check_framing(head)
    except Problem:
        return None
    if not _is_plain(head):
        return None
    size = found.end()
    return ParsedPut(head=head, size=size, total=size + (head.length or 0))


def _is_plain(head: RequestHead) -> bool:
    """True for a simple Host, a small Content-Length and a keep-alive connection."""
    hosts, connection = head.values("host"), head.values("connection")
    if len(hosts) != 1 or not _HOST.fullmatch(hosts[0]):
        return False
    if connection and [value.lower() for value in connection] != ["keep-alive"]:
        return False
    length = head.length
    if (
        length is None
        or length > MAX_BUFFERED_BODY_BYTES
        or head.target.count("&") >= MAX_QUERY_ARGUMENTS
    ):
        return False
    return not head.has_any(_NOT_PLAIN)


@dataclass(frozen=True, kw_only=True, eq=False)
class BufferedPut:
    """A PUT that is accepted for the fast path."""

    head: RequestHead
    #: Path and query, undecoded, as in the request line.
    path: str
    query: str
    #: Values that the path template matched.
    values: Mapping[str, str]


class BufferedUploads:
    """Handles the buffered uploads of one APIGW process."""

    def __init__(self, settings: MutableMapping[str, Any]) -> None:
        #: Settings of the Tornado application: active requests, uploads, draining flag.
        self._settings = settings
        self._uploads: UploadService = settings["uploads"]
        self._limits: Limits = settings["limits"]

    def find(self, put: ParsedPut) -> BufferedPut | None:
        """Match the PUT to an upload; None if no upload, draining, or no free slot."""
        path, _, question = put.head.target.partition("?")
        values = match_upload_path(path, self._uploads)
        if values is None or self._settings["draining"]:
            return None
        if len(self._settings["uploading"]) >= self._limits.max_uploads:
            return None
        return BufferedPut(head=put.head, path=path, query=question, values=values)

    def begin(self, put: BufferedPut) -> None:
        """Acquire an upload slot; `take` must be called next and releases it."""
        self._settings["active"].add(put)
        self._settings["uploading"].add(put)

    async def take(
        self, put: BufferedPut, body: bytes, remote: str
    ) -> tuple[Response, AccessRecord]:
        """Store the upload; returns the response and its access record."""
        began = time.monotonic()
        request_id = new_id()
        record = UploadRecord(request_id=request_id)
        try:
            with bound(request_id=request_id):
                answer = await self._answer(put, body, record)
        except Exception:
            extra = {"action": "request_failed", "request_id": request_id}
            logger.exception("request failed", extra=extra)
            detail = HTTPStatus.INTERNAL_SERVER_ERROR.description
            answer = _refused(InternalFault(detail), record).closing()
        finally:
            self._settings["active"].discard(put)
            self._settings["uploading"].discard(put)
        access = AccessRecord(
            method=put.head.method,
            path=put.path,
            status=answer.status,
            seconds=time.monotonic() - began,
            peer=self._limits.client(remote, put.head.values("x-forwarded-for")),
            record=record,
        )
        return answer, access

    async def _answer(self, put: BufferedPut, body: bytes, record: UploadRecord) -> Response:
        try:
            session = await self._open(put, len(body), record)
        except (Problem, Terminated) as error:
            # As in the handlers: close the connection of a refused request with a body.
            answer = _refused(error, record)
            return answer.closing() if put.head.body_follows else answer
        try:
            return await _stored(session, body)
        except Problem as error:
            return _refused(error, record)

    async def _open(self, put: BufferedPut, length: int, record: UploadRecord) -> ActiveUpload:
        head = UploadRequest(
            raw_path=put.path,
            values=put.values,
            params=query(put.query),
            headers=Headers.combined(put.head.fields),
            length=length,
            record=record,
        )
        return await self._uploads.open(head)


def _refused(error: Problem | Terminated, record: UploadRecord) -> Response:
    record.refusal = refusal_of(error)
    return error_response(error, record.request_id)


async def _stored(session: ActiveUpload, body: bytes) -> Response:
    try:
        await session.write(body)
        receipt = await session.commit()
    except BaseException:
        await session.abort()
        raise
    return stored_response(receipt, session.digest)
