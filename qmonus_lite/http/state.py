"""State of one HTTP server that its requests share."""

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
    #: Requests that are not answered yet; a stop waits for them.
    active: set[Request] = field(default_factory=set)
    #: True once the server stops: new requests are refused.
    draining: bool = False
