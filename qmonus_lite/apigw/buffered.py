"""Whole uploads: a small PUT that came in one piece, recognized and answered without Tornado.

To read such a request, find its handler and write the answer takes Tornado more time than the
upload itself (docs/decisions/whole-uploads.md). So the plainest form of a PUT is known here. What
has another form, or has to be turned away before anybody is asked, is left to Tornado untouched.
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
from qmonus_lite.uploads.record import UploadRecord
from qmonus_lite.uploads.request import UploadRequest
from qmonus_lite.uploads.service import ActiveUpload, UploadService

logger = logging.getLogger(__name__)

#: Bytes of a head, and of a body, that are taken whole.
MAX_HEAD_BYTES, MAX_BUFFERED_BODY_BYTES = 8 << 10, 64 << 10

#: Narrower than HTTP: nothing but ASCII, and no field without a value.
_PLAIN = re.compile(
    rb"PUT (/[\x21\x22\x24-\x7e]*) HTTP/1\.1\r\n"
    rb"((?:[\w-]+:[\t ]*[\x21-\x7e][\t\x20-\x7e]*\r\n)+)\r\n"
)
#: What a host looks like that needs no second look.
_HOST = re.compile(r"[A-Za-z0-9.-]+(?::[0-9]+)?|\[[0-9A-Fa-f:.]+\](?::[0-9]+)?")
#: Fields by which a request is more than that.
_NOT_PLAIN = frozenset({"content-range", "expect", "transfer-encoding", "upgrade"})


@dataclass(frozen=True, kw_only=True)
class ParsedPut:
    """A PUT in its plainest form, of which the head is there."""

    head: RequestHead
    #: Bytes of the head, and of head and body.
    size: int
    total: int


def parse_plain_put(data: bytes | bytearray | memoryview) -> ParsedPut | None:
    """The plain PUT that a connection begins with; None for all else, also half a head."""
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
    """Whether its body simply stands behind it, and the connection simply stays."""
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
    """One that may be taken."""

    head: RequestHead
    #: Path and query, as they stand in the request line.
    path: str
    query: str
    #: What the template found in the path.
    values: Mapping[str, str]


class BufferedUploads:
    """Takes the whole uploads of one APIGW."""

    def __init__(self, settings: MutableMapping[str, Any]) -> None:
        #: Those of the application: what is under way, and whether it stops.
        self._settings = settings
        self._uploads: UploadService = settings["uploads"]
        self._limits: Limits = settings["limits"]

    def find(self, put: ParsedPut) -> BufferedPut | None:
        """The upload that this is, if it is one and there is a place for it now."""
        path, _, question = put.head.target.partition("?")
        values = match_upload_path(path, self._uploads)
        if values is None or self._settings["draining"]:
            return None
        if len(self._settings["uploading"]) >= self._limits.max_uploads:
            return None
        return BufferedPut(head=put.head, path=path, query=question, values=values)

    def begin(self, put: BufferedPut) -> None:
        """Take the place for it; `take`, which has to follow, gives that back."""
        self._settings["active"].add(put)
        self._settings["uploading"].add(put)

    async def take(
        self, put: BufferedPut, body: bytes, remote: str
    ) -> tuple[Response, AccessRecord]:
        """Store it; the answer, and the record of it for the log."""
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
            # As at the doors: whoever is refused with a body begins anew.
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
