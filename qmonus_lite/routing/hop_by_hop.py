"""Header fields that end at us: those of one connection, those we set anew, and our secrets."""

from collections.abc import Iterable

from qmonus_lite.auth import callout_pass, own
from qmonus_lite.headers import Headers, canonical
from qmonus_lite.routing.authority import STATIC_ROUTING

#: RFC 9110 section 7.6.1, and the older ones that proxies still meet.
_HOP_BY_HOP = frozenset(
    {
        "Connection",
        "Keep-Alive",
        "Proxy-Authenticate",
        "Proxy-Authorization",
        "Proxy-Connection",
        "Te",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
    }
)

#: What APIGW says of itself in every answer.
_OF_THE_GATEWAY = frozenset({"Date", "Server", "X-Request-Id"})

#: What we answered or decided already, or say anew. Nobody vouches for a client's `Forwarded`.
_OURS = frozenset(
    {"Host", "Content-Length", "Expect", "Forwarded", STATIC_ROUTING, callout_pass.HEADER}
)


def onward(headers: Headers, own_credentials: frozenset[str]) -> Headers:
    """What a backend may see; the client's credentials of ours stay here, wherever they stand.

    What a script put there is meant for the backend, and goes on.
    """
    ending = _HOP_BY_HOP | _OURS | _named(headers.items())
    going = Headers({name: value for name, value in headers.items() if name not in ending})
    return own.without(going, own_credentials) if own_credentials else going


def back(fields: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """What a client may see of a backend's answer; repeated fields stay repeated."""
    fields = tuple(fields)
    ending = _HOP_BY_HOP | _OF_THE_GATEWAY | _named(fields)
    if any(canonical(name) == "Transfer-Encoding" for name, _ in fields):
        ending |= {"Content-Length"}
    return tuple(field for field in fields if canonical(field[0]) not in ending)


def _named(fields: Iterable[tuple[str, str]]) -> frozenset[str]:
    """The names that a Connection field says are for this connection only."""
    listed = ",".join(value for name, value in fields if canonical(name) == "Connection")
    return frozenset(canonical(token.strip()) for token in listed.split(","))
