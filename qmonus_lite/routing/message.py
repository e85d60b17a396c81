"""Message types: request and response objects of route scripts, and the response to the client."""

from dataclasses import dataclass
from typing import Any, Protocol

from qmonus_lite.headers import Headers
from qmonus_lite.values import Value


# Slots: setting a misspelt attribute in a script raises instead of being ignored.
@dataclass(kw_only=True, slots=True)
class ScriptRequest:
    """Request object of a request script; may be changed before it is sent to the backend."""

    #: Upper case.
    method: str
    #: Still percent-encoded; a path that a script sets is the path at the backend.
    path: str
    headers: Headers
    #: Query parameters: all values by name.
    params: dict[str, list[str]]
    body: bytes
    #: `{"name", "roles"}` of the account whose valid credential the request has, else None.
    account: dict[str, Any] | None = None


@dataclass(kw_only=True, slots=True)
class ScriptResponse:
    """Response object of a response script; may be changed before it is sent to the client."""

    code: int
    headers: Headers
    body: bytes


class Incoming(Value, frozen=True, kw_only=True):
    """A complete request as received, and its origin."""

    request: ScriptRequest
    #: The path that the route was matched by, still percent-encoded.
    raw_path: str
    #: The query as received, without its question mark.
    raw_query: str
    #: IP address of the client.
    peer: str
    #: `http` or `https`.
    scheme: str
    #: The client's Host header.
    host: str
    #: Passed to scripts as `session`, for debugging only.
    session: object


class Stream(Protocol):
    """Response body as an asynchronous iterator of chunks."""

    def __aiter__(self) -> "Stream": ...

    async def __anext__(self) -> bytes:
        """The next chunk; raises BadGateway when the connection fails or times out."""
        ...

    async def aclose(self) -> None:
        """Discard the unread rest; may be called after the last chunk, and more than once."""
        ...


class RouteResponse(Value, frozen=True, kw_only=True):
    """Response to the client."""

    code: int
    #: In order; a name may occur several times. Values are Latin-1, as on the wire.
    headers: tuple[tuple[str, str], ...]
    body: bytes | Stream

    async def close(self) -> None:
        """Release the backend connection; to be called when the response was sent or failed."""
        if not isinstance(self.body, bytes):
            await self.body.aclose()


def without_body(answer: RouteResponse, *, keep_length: bool) -> RouteResponse:
    """The response with an empty body; `keep_length` for HEAD, whose Content-Length is that of
    GET."""
    headers = tuple(
        (name, value)
        for name, value in answer.headers
        if keep_length or name.lower() != "content-length"
    )
    return RouteResponse(code=answer.code, headers=headers, body=b"")
