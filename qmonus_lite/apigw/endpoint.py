"""What the table of endpoints says of each: path, methods, credentials, parameters, answers."""

import enum
import re
from collections.abc import Mapping
from functools import cached_property

from qmonus_lite.errors import Forbidden, Problem, TooManyRequests, Unauthorized
from qmonus_lite.values import Value, field

#: Maximum bytes of a body that is not used; clients may send a small body such as `{}`.
MAX_UNUSED_BODY_BYTES = 8 << 10

_VARIABLE = re.compile(r"\{(\w+)\}")


class Access(enum.Enum):
    """Which credential an endpoint needs."""

    OPEN = "open"
    API_KEY = "an API key, as `X-API-Key` or `Basic`"
    ROLE = "a role that allows method and path"
    OWN = "any account, for what is its own; a role that allows method and path sees all"
    UPLOAD = "decided by the handlers of `APIGW.OnFileUploading`, else as for a role"
    ROUTE = "`auth_mode` of the route"

    @property
    def problems(self) -> tuple[type[Problem], ...]:
        """How a request without the right credential is refused."""
        if self in {Access.OPEN, Access.ROUTE}:
            return ()
        if self is Access.API_KEY:
            return (Unauthorized, TooManyRequests)
        return (Unauthorized, Forbidden, TooManyRequests)


class Parameter(Value, frozen=True, kw_only=True):
    """A variable of the path, or an argument of the query."""

    name: str
    description: str
    #: Place in the request, as in OpenAPI: `path` or `query`.
    location: str = "path"
    #: JSON Schema.
    schema: Mapping[str, object] = field(default_factory=lambda: {"type": "string"})
    #: Regular expression that a variable of the path matches.
    pattern: str = "[^/]+"


class Answer(Value, frozen=True, kw_only=True):
    """A response with a status below 400."""

    description: str
    #: Type of the value that is sent, as JSON unless `media_types` has others.
    body: object
    status: int = 200
    #: Description by name, of headers besides those of every response.
    headers: Mapping[str, str] = field(default_factory=dict)
    #: Types of the content, of which the client may choose.
    media_types: tuple[str, ...] = ("application/json",)


class Operation(Value, frozen=True, kw_only=True):
    """One method of an endpoint. HEAD comes with GET."""

    method: str
    summary: str
    answers: tuple[Answer, ...]
    #: Refusals besides those of `Access`, and those of every request.
    problems: tuple[type[Problem], ...] = ()
    #: True if a request without a body is refused, instead of taken as empty.
    body_required: bool = False


class Endpoint(Value, frozen=True, kw_only=True, dict=True):
    """A path with its methods."""

    #: Path with variables in braces; one with an asterisk only names what is left over.
    path: str
    access: Access
    operations: tuple[Operation, ...]
    parameters: tuple[Parameter, ...] = ()
    #: Maximum bytes of a body; None if the handler has a limit of its own.
    max_body_bytes: int | None = MAX_UNUSED_BODY_BYTES

    @cached_property
    def methods(self) -> tuple[str, ...]:
        """Methods that are served, as in `Allow`."""
        methods = tuple(operation.method for operation in self.operations)
        return (*methods, "HEAD") if "GET" in methods and "HEAD" not in methods else methods

    @cached_property
    def body_required_for(self) -> frozenset[str]:
        """Methods that require a body."""
        return frozenset(entry.method for entry in self.operations if entry.body_required)

    @cached_property
    def regex(self) -> str:
        """Regular expression of the path, with a group for each variable."""
        patterns = {entry.name: entry.pattern for entry in self.parameters}
        parts = _VARIABLE.split(self.path)
        parts[::2] = map(re.escape, parts[::2])
        parts[1::2] = [f"(?P<{name}>{patterns[name]})" for name in parts[1::2]]
        return "".join(parts)
