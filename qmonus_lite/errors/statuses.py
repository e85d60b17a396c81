"""One problem for each HTTP status that this package answers; `causes` has more specific ones."""

from collections.abc import Sequence
from http import HTTPStatus

from qmonus_lite.errors.problem import Problem


class BadRequest(Problem):
    """The request itself is at fault."""

    status = HTTPStatus.BAD_REQUEST
    code = "bad-request"
    remedy = "Change the request as `detail` says"


class Unauthorized(Problem):
    """No credential, or one that is not valid."""

    status = HTTPStatus.UNAUTHORIZED
    code = "unauthorized"
    remedy = (
        "Send an API key as `X-API-Key`, or with its account as `Basic`; or a token from"
        " `POST /-/logon` as `X-Auth-Token`"
    )

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": 'Bearer realm="qmonus-lite"'})

    def offer_basic(self) -> None:
        """Offer `Basic` beside `Bearer` in the answer."""
        self.headers["WWW-Authenticate"] += ', Basic realm="qmonus-lite", charset="UTF-8"'


class Forbidden(Problem):
    """A known account without the right, or a path that no upload may be stored at."""

    status = HTTPStatus.FORBIDDEN
    code = "forbidden"
    remedy = "Ask for a role that allows method and path, or use another path"


class NotFound(Problem):
    """Nothing is served at this path."""

    status = HTTPStatus.NOT_FOUND
    code = "not-found"
    remedy = "Check the path against `GET /-/openapi.json`"


class MethodNotAllowed(Problem):
    """The path exists, the method does not."""

    status = HTTPStatus.METHOD_NOT_ALLOWED
    code = "method-not-allowed"
    remedy = "Use one of the methods in `Allow`"

    def __init__(self, method: str, allowed: Sequence[str]) -> None:
        allow = ", ".join(sorted(allowed))
        super().__init__(
            f"{method} is not offered here; offered: {allow}", headers={"Allow": allow}
        )


class RequestTimeout(Problem):
    """A body that stopped coming, or that trickles."""

    status = HTTPStatus.REQUEST_TIMEOUT
    code = "request-timeout"
    remedy = "Send again; see `--body_stall_timeout` and `--min_body_rate`"


class Conflict(Problem):
    """What is on disk does not allow it (a directory in the file's place, for example)."""

    status = HTTPStatus.CONFLICT
    code = "conflict"
    remedy = "Use another path, or remove what is in the way"


class LengthRequired(Problem):
    """A body without Content-Length and not chunked."""

    status = HTTPStatus.LENGTH_REQUIRED
    code = "length-required"
    remedy = "Send `Content-Length`, or `Transfer-Encoding: chunked`"


class PreconditionFailed(Problem):
    """A condition of the client (`If-None-Match: *`) or of a handler (`fail`) does not hold."""

    status = HTTPStatus.PRECONDITION_FAILED
    code = "precondition-failed"
    remedy = "Use another path, or drop the condition"


class TooLarge(Problem):
    """A body above the limit."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    code = "too-large"
    remedy = "Send less; for uploads see `--max_upload_bytes`, and `limits` of the handlers"


class TargetTooLong(Problem):
    """A request line above the limit."""

    status = HTTPStatus.REQUEST_URI_TOO_LONG
    code = "target-too-long"
    remedy = "Use a shorter path or query"


class UnsupportedMedia(Problem):
    """A body of another kind than the route takes."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    code = "unsupported-media-type"
    remedy = "Send the `Content-Type` that `detail` names"


class ExpectationFailed(Problem):
    """An `Expect` that is not `100-continue`."""

    status = HTTPStatus.EXPECTATION_FAILED
    code = "expectation-failed"
    remedy = "Send `Expect: 100-continue`, or no `Expect`"


class Unprocessable(Problem):
    """A body that is not what its digest says."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "digest-mismatch"
    remedy = "Send again; the body, or its digest, was changed on the way or by its sender"


class TooManyRequests(Problem):
    """Too many failures of one client; `Retry-After` says when to try again, in seconds."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    code = "too-many-requests"
    remedy = "Wait for the seconds in `Retry-After`, and check the API key"

    def __init__(self, detail: str, *, retry_after: int) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after)})


class HeadTooLarge(Problem):
    """More header fields, or larger ones, than a request may have."""

    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    code = "head-too-large"
    remedy = "Send fewer or shorter header fields"


class InternalFault(Problem):
    """The server failed; its log has the reason under the request id."""

    code = "internal-fault"
    remedy = "Give the operator the `request_id`"


class NotImplementedHere(Problem):
    """A transfer coding other than chunked."""

    status = HTTPStatus.NOT_IMPLEMENTED
    code = "not-implemented"
    remedy = "Send the body chunked, or with `Content-Length`"


class BadGateway(Problem):
    """A backend or the Lambda worker answered something unusable."""

    status = HTTPStatus.BAD_GATEWAY
    code = "bad-gateway"
    remedy = "Give the operator the `request_id`"


class Unavailable(Problem):
    """Not now; `Retry-After` says when to try again, in seconds."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "unavailable"
    remedy = "Try again after the seconds in `Retry-After`"

    def __init__(self, detail: str, *, retry_after: int = 1) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after)})


class GatewayTimeout(Problem):
    """A backend or script took longer than it may."""

    status = HTTPStatus.GATEWAY_TIMEOUT
    code = "gateway-timeout"
    remedy = "Try again; if it lasts, give the operator the `request_id`"


class VersionUnknown(Problem):
    """A version of HTTP other than 1.0 and 1.1."""

    status = HTTPStatus.HTTP_VERSION_NOT_SUPPORTED
    code = "http-version-not-supported"
    remedy = "Use HTTP/1.1"


class LoopDetected(Problem):
    """A handler of `APIGW.OnFileUploading` uploads, and is asked about that upload again."""

    status = HTTPStatus.LOOP_DETECTED
    code = "loop-detected"
    remedy = "Upload from a handler of `APIGW.OnFileUploaded`, or allow the path before uploading"


class InsufficientStorage(Problem):
    """The disk has no room for it."""

    status = HTTPStatus.INSUFFICIENT_STORAGE
    code = "insufficient-storage"
    remedy = "Send less, or ask the operator for room; see `--min_free_bytes`"
