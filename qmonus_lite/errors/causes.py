"""Problems with a cause that a client or operator may want to tell from others of its status."""

from http import HTTPStatus

from qmonus_lite.errors.problem import Problem, Refusal
from qmonus_lite.errors.statuses import (
    BadRequest,
    Forbidden,
    GatewayTimeout,
    InternalFault,
    Unavailable,
)


class InvalidFraming(BadRequest):
    """`Content-Length`, `Transfer-Encoding` or a chunk is malformed, or both fields are given."""

    code = "invalid-framing"
    remedy = (
        "Send one plain `Content-Length`, or one `Transfer-Encoding: chunked`; chunks without"
        " extensions and trailer fields"
    )


class InvalidTarget(BadRequest):
    """The request target or `Host` is not that of a path of this server."""

    code = "invalid-target"
    remedy = "Send a path that begins with one slash, percent-encoded, and a `Host`"


class InvalidPath(BadRequest):
    """The path, or a variable in it, cannot be decoded or stored."""

    code = "invalid-path"
    remedy = "Use a name that follows the rules of the HTTP reference"


class InvalidQuery(BadRequest):
    """The query has an unknown value, too many arguments, or bytes that are not UTF-8."""

    code = "invalid-query"
    remedy = "Change the query as `detail` says"


class CredentialInQuery(BadRequest):
    """The query has a credential, and queries are written to logs."""

    code = "credential-in-query"
    remedy = "Send it as a header; replace the credential, which is in logs by now"


class AmbiguousCredentials(BadRequest):
    """One header field has two credentials."""

    code = "ambiguous-credentials"
    remedy = "Send one credential"


class InvalidDigest(BadRequest):
    """`Repr-Digest`, `Content-Digest` or `Content-MD5` is malformed."""

    code = "invalid-digest"
    remedy = "Send `sha-256=:BASE64:`, or MD5 in base64"


class PartialUpload(BadRequest):
    """An upload has `Content-Range`."""

    code = "content-range-not-supported"
    remedy = "Send the whole file"


class SchemaMismatch(BadRequest):
    """The request does not fit the JSON Schema of its route."""

    code = "schema-mismatch"
    remedy = "Change what `detail` names by JSON pointer"


class ForbiddenPath(Forbidden):
    """No upload may be stored at this path: a symbolic link, or a folder of the server itself."""

    code = "forbidden-path"
    remedy = "Use another path"


class Stopping(Unavailable):
    """This APIGW is stopping."""

    code = "stopping"
    remedy = "Try again after the seconds in `Retry-After`; another process may answer"


class ConnectionLimitReached(Unavailable):
    """As many connections as `--max_connections` are open."""

    code = "connection-limit-reached"


class UploadLimitReached(Unavailable):
    """As many uploads as `--max_uploads` are under way."""

    code = "upload-limit-reached"


class MemoryLimitReached(Unavailable):
    """The bodies of requests fill the memory that is set aside for them."""

    code = "memory-limit-reached"


class NotReady(Unavailable):
    """`/-/ready` says why this APIGW is not ready."""

    code = "not-ready"
    remedy = "Ask the operator, or try again later"


class NoWorker(Unavailable):
    """No Lambda worker that has the handlers of the event answers."""

    code = "no-worker"
    remedy = "Try again; the operator finds the workers with `qmonus-lite nodes`"


class EventLogUnavailable(Unavailable):
    """The event of this upload cannot be written."""

    code = "event-log-unavailable"


class PublicationInDoubt(Unavailable):
    """It is not known whether the file was stored; that is decided later."""

    code = "publication-in-doubt"
    remedy = "Look whether the file is there before it is sent again"

    def __init__(
        self,
        detail: str = "it is not known whether the file was stored; look before it is sent again",
    ) -> None:
        super().__init__(detail)


class RecordsUnavailable(Unavailable):
    """The records of uploads are not kept, or cannot be read."""

    code = "records-unavailable"
    remedy = "Ask the operator"


class ScriptFailed(InternalFault):
    """A script of a plugin failed; the log has plugin, line and reason under the request id."""

    code = "script-failed"


class ScriptTimedOut(GatewayTimeout):
    """A script of a plugin did not end in time."""

    code = "script-timed-out"


class ScriptNotStarted(Unavailable):
    """So many scripts of plugins do not end that no other one is started."""

    code = "script-not-started"


def script_problem(code: int, refusal: Refusal) -> Problem:
    """The problem of a script that failed with this code; the client is not told which."""
    problem: Problem
    if code == HTTPStatus.GATEWAY_TIMEOUT:
        problem = ScriptTimedOut("a plugin did not end in time")
    elif code == HTTPStatus.SERVICE_UNAVAILABLE:
        problem = ScriptNotStarted("too many plugins do not end")
    else:
        problem = ScriptFailed("a plugin failed; the log has the reason under the request id")
    problem.refusal = refusal
    return problem


class RefusedByScript(Problem):
    """A script of a route refused the request, with a status that it chose."""

    code = "refused-by-script"
    remedy = "See `detail`, which is the script's"

    def __init__(self, status: int, reason: str, refusal: Refusal) -> None:
        super().__init__(reason or "a script of this route refused the request")
        self.status = status
        self.refusal = refusal
