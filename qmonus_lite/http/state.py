"""State of one HTTP server that its requests share."""

from collections.abc import Callable
from dataclasses import dataclass, field

from qmonus_lite.http.body_timeout import BodyRate
from qmonus_lite.http.limits import TrustedProxies
from qmonus_lite.http.request import Request


@dataclass(slots=True, kw_only=True)
class ServerState:
    """Limits of the server, the requests in progress, and whether it is stopping."""

    #: Idle timeout and minimum rate of request bodies.
    body_rate: BodyRate
    proxies: TrustedProxies
    #: Request id and `traceparent` by a value that a callout of our own scripts has signed; None
    #: for any other value.
    ids_of_caller: Callable[[str], tuple[str, str] | None] = field(default=lambda _value: None)
    #: Requests that are not answered yet; a stop waits for them.
    active: set[Request] = field(default_factory=set)
    #: True once the server stops: new requests are refused.
    draining: bool = False
