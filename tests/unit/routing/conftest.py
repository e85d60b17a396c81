"""Fixtures of the package: a setup, and backends on free ports."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

import pytest
from aiohttp import web

from qmonus_lite.headers import Headers
from tests.unit.routing.routing_setup import Echo, ReceivedRequest, RoutingSetup


@pytest.fixture
async def setup() -> AsyncIterator[RoutingSetup]:
    setup = RoutingSetup()
    yield setup
    await setup.close()


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    """A backend that answers as configured and records what it received."""
    echo = Echo()

    async def answer(request: web.Request) -> web.StreamResponse:
        echo.received.append(
            ReceivedRequest(
                method=request.method,
                raw_path=request.raw_path,
                headers=Headers.combined(request.headers.items()),
                body=await request.read(),
            )
        )
        response = web.Response(status=echo.status, body=echo.body)
        for name, value in echo.headers:
            response.headers.add(name, value)
        return response

    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{rest:.*}", answer)
    runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    echo.authority = f"127.0.0.1:{port}"
    yield echo
    await runner.cleanup()


#: What a backend does with a connection.
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Raw(Protocol):
    """Starts a backend that does anything at all with its connections; gives its host:port."""

    async def __call__(self, talk: Talk, host: str = "127.0.0.1") -> str: ...


@pytest.fixture
async def raw() -> AsyncIterator[Raw]:
    servers: list[asyncio.Server] = []

    async def start(talk: Talk, host: str = "127.0.0.1") -> str:
        if ":" in host and not _has_ipv6():
            pytest.skip("this machine has no IPv6")

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await talk(reader, writer)
            finally:
                writer.close()

        server = await asyncio.start_server(serve, host, 0)
        servers.append(server)
        port = server.sockets[0].getsockname()[1]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    yield start
    for server in servers:
        server.close()


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.fixture
def unreachable() -> str:
    """A host:port without a listener."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{taken.getsockname()[1]}"
