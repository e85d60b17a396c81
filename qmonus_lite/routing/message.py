"""What travels: the request and the response that scripts may change, and the answer in the end."""

from dataclasses import dataclass
from typing import Any, Protocol

from qmonus_lite.headers import Headers


# Slots: a misspelt attribute in a script raises instead of being ignored.
@dataclass(kw_only=True, slots=True)
class Request:
    """What a request script sees, and may change before it goes on."""

    #: Upper case.
    method: str
    #: Still percent-encoded; a script that sets another sets the path at the backend.
    path: str
    headers: Headers
    #: The query: every name with all its values.
    params: dict[str, list[str]]
    body: bytes
    #: `{"name", "roles"}` of the account whose valid credential came along, else None.
    account: dict[str, Any] | None = None


@dataclass(kw_only=True, slots=True)
class Response:
    """What a response script sees, and may change before it goes to the client."""

    code: int
    headers: Headers
    body: bytes


@dataclass(frozen=True, kw_only=True)
class Incoming:
    """A whole request as it came, and where it came from."""

    request: Request
    #: The path that the route was found by, still percent-encoded.
    raw_path: str
    #: The query as it came, without its question mark.
    raw_query: str
    #: IP address of the client.
    peer: str
    #: `http` or `https`.
    scheme: str
    #: The client's Host header.
    host: str
    #: Handed to scripts as `session`, for debugging only.
    session: object


class Stream(Protocol):
    """A body that comes in pieces."""

    def __aiter__(self) -> "Stream": ...

    async def __anext__(self) -> bytes:
        """The next piece; raises BadGateway when the rest will not come."""
        ...

    async def aclose(self) -> None:
        """Give up what is still to come; also right after the last piece, and twice."""
        ...


@dataclass(frozen=True, kw_only=True)
class RouteResponse:
    """What the client gets."""

    code: int
    #: In order; a name may come several times. Values are Latin-1, as on the wire.
    headers: tuple[tuple[str, str], ...]
    body: bytes | Stream

    async def close(self) -> None:
        """Let go of the backend; due when the answer is sent, or when it cannot be."""
        if not isinstance(self.body, bytes):
            await self.body.aclose()


def without_body(answer: RouteResponse, *, keep_length: bool) -> RouteResponse:
    """The answer's head alone; `keep_length` for HEAD, whose length is that of the GET."""
    kept = tuple(
        (name, value)
        for name, value in answer.headers
        if keep_length or name.lower() != "content-length"
    )
    return RouteResponse(code=answer.code, headers=kept, body=b"")
