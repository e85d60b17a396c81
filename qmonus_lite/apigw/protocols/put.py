"""Upload by PUT: one request carries the whole file."""

from collections.abc import Mapping

from qmonus_lite import strictjson
from qmonus_lite.apigw.query import read_query
from qmonus_lite.errors import PartialUpload, Rule, Stage, UploadLimitReached
from qmonus_lite.http.body import Body
from qmonus_lite.http.limits import ConcurrencyLimit
from qmonus_lite.http.request import Request
from qmonus_lite.http.response import Response
from qmonus_lite.uploads.active import ActiveUpload
from qmonus_lite.uploads.receipt import Receipt
from qmonus_lite.uploads.request import UploadRequest
from qmonus_lite.uploads.service import UploadService


def check_whole_file(request: Request) -> None:
    """Check that the body is a whole file; raises PartialUpload."""
    if request.head.values("content-range"):
        # Else a partial body would replace the complete file (RFC 9110, section 14.4).
        raise PartialUpload("a part of a file cannot be stored; send the whole, no Content-Range")


#: The rules for a PUT, before those for an upload by any protocol (`uploads.rules`).
RULES: tuple[Rule[Request], ...] = (
    Rule(
        name="whole-file",
        stage=Stage.HEAD,
        check=check_whole_file,
        problems=(PartialUpload,),
        refuses="`Content-Range`",
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

    async def handle(self, request: Request, body: Body, values: Mapping[str, str]) -> Response:
        """Store the body; raises Problem, Terminated or ClientLeft, and nothing is stored then."""
        for check in _CHECKS:
            check(request)
        with self._slots:
            upload = await self._uploads.open(
                UploadRequest(
                    raw_path=request.path,
                    values=values,
                    params=read_query(request.query),
                    headers=request.headers,
                    length=request.head.length,
                    record=request.record,
                )
            )
            return await _store(upload, body)


async def _store(upload: ActiveUpload, body: Body) -> Response:
    try:
        await body.copy_to(upload)
        receipt = await upload.commit()
    except BaseException:
        await upload.abort()
        raise
    return stored_response(receipt, upload.digest)


def stored_response(receipt: Receipt, digest: str | None) -> Response:
    """Response to a stored upload, with `Repr-Digest` if the client requested one."""
    headers = [("Content-Type", "application/json"), ("Location", receipt.location)]
    if digest:
        headers.append(("Repr-Digest", digest))
    body = strictjson.write_plain_for_people(receipt.to_json()) + b"\n"
    return Response(status=receipt.status, headers=headers, body=body)
