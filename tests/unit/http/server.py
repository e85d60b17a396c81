"""A server on a real port around one handler."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tornado.testing import bind_unused_port

from qmonus_lite.http.accept import GuardedServer, make_server
from qmonus_lite.http.body_timeout import BodyRate
from qmonus_lite.http.limits import TrustedProxies
from qmonus_lite.http.pipeline import Handler, Pipeline
from qmonus_lite.http.state import ServerState
from qmonus_lite.observations import Listener, Observers, RequestAnswered


@dataclass(frozen=True, kw_only=True)
class Served:
    """A server in operation."""

    server: GuardedServer
    state: ServerState
    port: int


@asynccontextmanager
async def serve(
    handler: Handler,
    *,
    stall: float = 30,
    idle_seconds: float = 20,
    listener: Listener | None = None,
) -> AsyncIterator[Served]:
    """Serve until the block ends; `listener` is called for each answered request."""
    state = ServerState(body_rate=BodyRate(stall=stall, rate=0), proxies=TrustedProxies())
    observers = Observers([(RequestAnswered, listener)] if listener else [])
    server = make_server(
        Pipeline(handler, state, observers),
        tls=None,
        max_connections=20,
        timeout_seconds=30,
        idle_seconds=idle_seconds,
    )
    listening, port = bind_unused_port()
    server.add_sockets([listening])
    try:
        yield Served(server=server, state=state, port=port)
    finally:
        server.stop()
        await server.close_all_connections()
