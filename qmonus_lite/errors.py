"""The exception hierarchy of the package, with the HTTP status of each client error.

    QmonusLiteError
      Refused                    a process or command does not start; exit status 2
        BadSetting               a flag, an environment variable or a key of --config
        BadPlugins               plugin files, with every fault
        BadPlace                 a directory, file, key or port that cannot be used
      Problem                    a request fails; carries its HTTP status
        BadRequest 400, Unauthorized 401, Forbidden 403, NotFound 404, MethodNotAllowed 405,
        RequestTimeout 408, Conflict 409, LengthRequired 411, PreconditionFailed 412,
        TooLarge 413, TargetTooLong 414, UnsupportedMedia 415, ExpectationFailed 417,
        Unprocessable 422, TooManyRequests 429, HeadTooLarge 431, InternalFault 500,
        NotImplementedHere 501, BadGateway 502, Unavailable 503, GatewayTimeout 504,
        VersionUnknown 505, InsufficientStorage 507
      Terminated                 a plugin ended the request with its own response

`Refusal` and `DiskError` hold further details of a failed request, for the log only.
`Problem.detail` is sent to the client: it never contains a secret or the text of an unexpected
exception.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus


class QmonusLiteError(Exception):
    """Base class of every exception that this package raises deliberately."""


class Refused(QmonusLiteError):
    """The process cannot start; the message contains the cause, the place and the remedy."""


class BadSetting(Refused):
    """A flag, environment variable or configuration key is unknown or unusable."""


class BadPlace(Refused):
    """A directory, file, key or port cannot be used."""


@dataclass(frozen=True, order=True)
class Fault:
    """An error in a plugin file."""

    #: Path of the plugin file, usable from the current directory.
    file: str
    #: Line and column, both from 1.
    line: int
    column: int
    #: What is wrong, and what was expected.
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


class BadPlugins(Refused):
    """Plugin files have errors; `faults` lists all of them, ordered by file."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(map(str, self.faults)))


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """The origin and reason of a refusal, for the access log; not sent to the client."""

    #: Name of the plugin that refused, or None for a built-in rule.
    plugin: str | None = None
    #: Plugin file and line of the refusal; empty and 0 for a built-in rule.
    file: str = ""
    line: int = 0
    #: Stable identifier of the rule, or the class name of the exception of a script.
    rule: str = ""
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class DiskError:
    """The failed system call of a request, for the log; not sent to the client."""

    #: The operation that failed.
    action: str
    #: Name of the errno, such as EIO, and the text of strerror.
    code: str
    said: str
    #: Whether the disk is at fault, not the request.
    failing: bool


class Problem(QmonusLiteError):
    """A request ends here: RFC 9457 `status`, `title` and `detail`, and headers for the answer."""

    status: int = HTTPStatus.INTERNAL_SERVER_ERROR
    #: The failed system call, if any.
    disk: DiskError | None = None
    #: Set when a plugin refused; otherwise the class and `detail` identify the reason.
    refusal: Refusal | None = None

    def __init__(self, detail: str, *, headers: Mapping[str, str] | None = None) -> None:
        self.detail = detail
        self.headers = dict(headers or {})
        super().__init__(detail)


class BadRequest(Problem):
    """The request itself is at fault."""

    status = HTTPStatus.BAD_REQUEST


class Unauthorized(Problem):
    """No credential, or one that is not valid."""

    status = HTTPStatus.UNAUTHORIZED

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": 'Bearer realm="qmonus-lite"'})


class Forbidden(Problem):
    """A known account without the right, or a place that nobody may write to."""

    status = HTTPStatus.FORBIDDEN


class NotFound(Problem):
    """Nothing is served at this path."""

    status = HTTPStatus.NOT_FOUND


class MethodNotAllowed(Problem):
    """The path exists, the method does not."""

    status = HTTPStatus.METHOD_NOT_ALLOWED

    def __init__(self, method: str, allowed: Sequence[str]) -> None:
        allow = ", ".join(sorted(allowed))
        super().__init__(
            f"{method} is not offered here; offered: {allow}", headers={"Allow": allow}
        )


class RequestTimeout(Problem):
    """A body that stopped coming, or that trickles."""

    status = HTTPStatus.REQUEST_TIMEOUT


class Conflict(Problem):
    """What is on disk does not allow it (a directory in the file's place, for example)."""

    status = HTTPStatus.CONFLICT


class LengthRequired(Problem):
    """A body without Content-Length and not chunked."""

    status = HTTPStatus.LENGTH_REQUIRED


class PreconditionFailed(Problem):
    """A condition of the client (`If-None-Match: *`) does not hold."""

    status = HTTPStatus.PRECONDITION_FAILED


class TooLarge(Problem):
    """A body above the limit."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class TargetTooLong(Problem):
    """A request line above the limit."""

    status = HTTPStatus.REQUEST_URI_TOO_LONG


class UnsupportedMedia(Problem):
    """A body of another kind than the route takes."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE


class ExpectationFailed(Problem):
    """An `Expect` that is not `100-continue`."""

    status = HTTPStatus.EXPECTATION_FAILED


class Unprocessable(Problem):
    """A body that is not what its digest says."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY


class TooManyRequests(Problem):
    """Too many failures of one client; `Retry-After` says when to try again, in seconds."""

    status = HTTPStatus.TOO_MANY_REQUESTS

    def __init__(self, detail: str, *, retry_after: int) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after)})


class HeadTooLarge(Problem):
    """More header fields, or larger ones, than a request may have."""

    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE


class InternalFault(Problem):
    """Our fault; the log has the reason under the request id."""


class NotImplementedHere(Problem):
    """A transfer coding other than chunked."""

    status = HTTPStatus.NOT_IMPLEMENTED


class BadGateway(Problem):
    """A backend or the Lambda worker answered something unusable."""

    status = HTTPStatus.BAD_GATEWAY


class Unavailable(Problem):
    """Not now; `Retry-After` says when to try again, in seconds."""

    status = HTTPStatus.SERVICE_UNAVAILABLE

    def __init__(self, detail: str, *, retry_after: int = 1) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after)})


class GatewayTimeout(Problem):
    """A backend or script took longer than it may."""

    status = HTTPStatus.GATEWAY_TIMEOUT


class VersionUnknown(Problem):
    """A version of HTTP other than 1.0 and 1.1."""

    status = HTTPStatus.HTTP_VERSION_NOT_SUPPORTED


class InsufficientStorage(Problem):
    """The disk has no room for it."""

    status = HTTPStatus.INSUFFICIENT_STORAGE


class Terminated(QmonusLiteError):
    """A plugin ended the request; status and output are sent unchanged."""

    def __init__(
        self,
        code: int,
        output: object,
        *,
        headers: Mapping[str, str] | None = None,
        refusal: Refusal | None = None,
    ) -> None:
        self.code = code
        self.output = output
        self.headers = dict(headers or {})
        self.refusal = refusal
        super().__init__(f"terminated with {code}")


def refusal_of(error: "Problem | Terminated") -> Refusal:
    """The refusal of a plugin, or a built-in rule named after the exception class."""
    if error.refusal is not None:
        return error.refusal
    if isinstance(error, Terminated):
        return Refusal(rule="terminate")
    rule = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", type(error).__name__).lower()
    return Refusal(rule=rule, reason=error.detail)


def refusal_by_status(status: int, detail: str) -> Refusal:
    """A refusal derived from an HTTP status, where no exception is available."""
    known = {one.value: one.name for one in HTTPStatus}
    name = "internal-fault" if status == 500 else known.get(status, "refused")
    return Refusal(rule=name.lower().replace("_", "-"), reason=detail)
