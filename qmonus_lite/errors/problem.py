"""How a request fails: the base class of problems (RFC 9457), and termination by a plugin."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import ClassVar

from qmonus_lite.errors.startup import QmonusLiteError
from qmonus_lite.values import Value

#: The page of the documentation that explains every `code`, as a reference from its root.
PROBLEMS_PAGE = "/docs/reference/problems.md"


class Refusal(Value, frozen=True, kw_only=True):
    """The origin and reason of a refusal, for the access log; not sent to the client."""

    #: Name of the plugin that refused, or None for a built-in rule.
    plugin: str | None = None
    #: Plugin file and line of the script or schema that refused; empty and 0 for a built-in rule.
    file: str = ""
    line: int = 0
    #: Of the plugin file: `scripting.origin.content_hash`.
    content_hash: str = ""
    #: `code` of the problem, or how a script refused, or the class name of its exception.
    rule: str = ""
    reason: str = ""


class DiskError(Value, frozen=True, kw_only=True):
    """The failed system call of a request, for the log; not sent to the client."""

    #: The operation that failed.
    action: str
    #: Name of the errno, such as EIO, and the text of strerror.
    code: str
    message: str
    #: Whether the disk is at fault, not the request.
    failing: bool


class Problem(QmonusLiteError):
    """A status that has no code of its own.

    Every subclass has a stable `code`, and a docstring whose first line says when it occurs.
    """

    status: int = HTTPStatus.INTERNAL_SERVER_ERROR
    #: Identifies the cause to programs; unique, in kebab-case, never changed once released.
    code: str = "refused"
    #: What the client, or its operator, can do about it.
    remedy: ClassVar[str] = "See `detail`, and the log under `request_id`"
    #: The failed system call, if any.
    disk: DiskError | None = None
    #: Set when a plugin, or a schema of one, refused; else `code` and `detail` give the reason.
    refusal: Refusal | None = None

    def __init__(self, detail: str, *, headers: Mapping[str, str] | None = None) -> None:
        self.detail = detail
        self.headers = dict(headers or {})
        super().__init__(detail)

    @property
    def type(self) -> str:
        """The `type` of RFC 9457: a URI reference to the documentation of `code`."""
        return f"{PROBLEMS_PAGE}#{self.code}"


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


def refusal_of(error: Problem | Terminated) -> Refusal:
    """The refusal of a plugin, or a built-in rule, named by the code of the problem."""
    if error.refusal is not None:
        return error.refusal
    if isinstance(error, Terminated):
        return Refusal(rule="terminate")
    return Refusal(rule=error.code, reason=error.detail)
