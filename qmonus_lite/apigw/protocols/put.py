"""Upload by PUT: one request carries the whole file."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from qmonus_lite import strictjson
from qmonus_lite.apigw.protocols.wrapped_body import wrapped_body_warning
from qmonus_lite.apigw.query import MAX_QUERY_ARGUMENTS, read_query
from qmonus_lite.errors import (
    CredentialInQuery,
    InvalidQuery,
    PartialUpload,
    Rule,
    Stage,
    UploadLimitReached,
)
from qmonus_lite.http.body import Body
from qmonus_lite.http.limits import ConcurrencyLimit
from qmonus_lite.http.request import Request
from qmonus_lite.http.response import Response
from qmonus_lite.rate_limited_log import RateLimitedLog
from qmonus_lite.uploads.active import ActiveUpload
from qmonus_lite.uploads.receipt import Receipt
from qmonus_lite.uploads.request import UploadRequest
from qmonus_lite.uploads.service import UploadService

logger = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class PutRequest:
    """A PUT on the upload path, as far as its rules have read it."""

    request: Request
    limit: ConcurrencyLimit
    #: Query arguments.
    params: Mapping[str, list[str]] = field(init=False)


def check_whole_file(put: PutRequest) -> None:
    """Check that the body is a whole file; raises PartialUpload."""
    if put.request.head.values("content-range"):
        # Else a partial body would replace the complete file (RFC 9110, section 14.4).
        raise PartialUpload("a part of a file cannot be stored; send the whole, no Content-Range")


def check_limit(put: PutRequest) -> None:
    """Check the number of uploads under way; raises UploadLimitReached."""
    put.limit.check()


def read_params(put: PutRequest) -> None:
    """Read the query; raises InvalidQuery or CredentialInQuery."""
    put.params = read_query(put.request.query)


#: The rules for a PUT, before those for an upload by any protocol (`uploads.rules`).
RULES: tuple[Rule[PutRequest], ...] = (
    Rule(
        name="whole-file",
        stage=Stage.HEAD,
        check=check_whole_file,
        problems=(PartialUpload,),
        refuses="`Content-Range`",
    ),
    Rule(
        name="upload-limit",
        stage=Stage.HEAD,
        check=check_limit,
        problems=(UploadLimitReached,),
        refuses="an upload while `--max_uploads` are under way",
    ),
    Rule(
        name="query",
        stage=Stage.HEAD,
        check=read_params,
        problems=(InvalidQuery, CredentialInQuery),
        refuses="a query that is not UTF-8, has more than"
        f" {MAX_QUERY_ARGUMENTS} arguments, or an API key",
    ),
)
_CHECKS = tuple(rule.check for rule in RULES)


class Put:
    """`PUT` on the upload path."""

    def __init__(self, uploads: UploadService, *, max_uploads: int) -> None:
        self._uploads = uploads
        self._slots = ConcurrencyLimit(
            max_uploads,
            UploadLimitReached,
            "as many uploads as this APIGW takes at once are under way",
        )
        self._rate_limited_log = RateLimitedLog(logger)

    async def handle(self, request: Request, body: Body, values: Mapping[str, str]) -> Response:
        """Store the body; raises Problem, Terminated or ClientLeft, and nothing is stored then."""
        put = PutRequest(request=request, limit=self._slots)
        for check in _CHECKS:
            check(put)
        with self._slots:
            upload = await self._uploads.open(
                UploadRequest(
                    raw_path=request.path,
                    values=values,
                    params=put.params,
                    headers=request.headers,
                    length=request.head.length,
                    client=request.client,
                    record=request.record,
                )
            )
            receipt = await _store(upload, body)
        if warning := wrapped_body_warning(request.head):
            ids = {"upload_id": receipt.upload_id, "path": receipt.path}
            self._rate_limited_log.warn(warning, kind=warning, action="body_wrapped", **ids)
        return stored_response(receipt, upload.digest)


async def _store(upload: ActiveUpload, body: Body) -> Receipt:
    try:
        await body.copy_to(upload)
        return await upload.commit()
    except BaseException:
        await upload.abort()
        raise


def stored_response(receipt: Receipt, digest: str | None) -> Response:
    """Response to a stored upload, with `Repr-Digest` if the client requested one."""
    headers = [("Content-Type", "application/json"), ("Location", receipt.location)]
    if digest:
        headers.append(("Repr-Digest", digest))
    body = strictjson.write_plain_for_people(receipt.to_json()) + b"\n"
    return Response(status=receipt.status, headers=headers, body=body)
