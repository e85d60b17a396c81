"""A real HTTP server outside, and a callout that knows one gateway as its own."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from qmonus_lite.auth.callout_pass import Passes
from qmonus_lite.auth.tokens import Minter
from qmonus_lite.clock import Clock
from qmonus_lite.scripting.builtins.callout import Callout, Gateways, Timeouts
from qmonus_lite.scripting.builtins.outgoing import Outgoing


@dataclass(frozen=True, kw_only=True)
class ReceivedRequest:
    """One request as the server got it."""

    method: str
    #: Path and query as on the wire.
    target: str
    headers: dict[str, str]
    body: bytes
    #: Port of the client: the same for the same connection.
    connection: int


@dataclass(kw_only=True)
class Outside:
    """A server, what it received, and what it answers: codes in turn, then the last for ever."""

    url: str = ""
    received: list[ReceivedRequest] = field(default_factory=list)
    codes: list[int] = field(default_factory=lambda: [200])
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"hello"
    #: Seconds before it answers.
    delay: float = 0

    @property
    def place(self) -> str:
        return urlsplit(self.url).netloc

    @property
    def last(self) -> ReceivedRequest:
        return self.received[-1]

    async def answer(self, request: web.Request) -> web.Response:
        assert request.transport is not None
        self.received.append(
            ReceivedRequest(
                method=request.method,
                target=request.raw_path,
                headers=dict(request.headers),
                body=await request.read(),
                connection=request.transport.get_extra_info("peername")[1],
            )
        )
        await asyncio.sleep(self.delay)
        code = self.codes.pop(0) if len(self.codes) > 1 else self.codes[0]
        return web.Response(status=code, headers=self.headers, body=self.body)


async def started(outside: Outside) -> web.AppRunner:
    app = web.Application(client_max_size=1 << 26)
    app.router.add_route("*", "/{rest:.*}", outside.answer)
    runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    outside.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    return runner


@pytest.fixture
async def outside() -> AsyncIterator[Outside]:
    outside = Outside()
    runner = await started(outside)
    yield outside
    await runner.cleanup()


@pytest.fixture
async def gateway() -> AsyncIterator[Outside]:
    """A server that counts as one of our own APIGWs."""
    gateway = Outside()
    runner = await started(gateway)
    yield gateway
    await runner.cleanup()


@pytest.fixture
def passes(gateway: Outside) -> Passes:
    passes = Passes(minter=Minter(key=b"p" * 32, clock=Clock("UTC")))
    passes.know(gateway.url)
    return passes


#: Makes a callout with these timeouts.
Making = Callable[[float, float], Callout]


@pytest.fixture
async def making(gateway: Outside, passes: Passes) -> AsyncIterator[Making]:
    outgoing = Outgoing(max_connections=4)
    gateways = Gateways(
        default=lambda: gateway.place,
        scheme=passes.scheme,
        credential=passes.issue,
        sign_depth=str,
        sign_ids=lambda request_id, parent: {"X-Signed-Ids": f"{request_id};{parent}"},
    )
    yield lambda connect, request: Callout(
        outgoing, gateways, Timeouts(connect=connect, request=request)
    )
    await outgoing.close()


@pytest.fixture
def callout(making: Making) -> Callout:
    return making(2, 5)


@pytest.fixture
def unreachable() -> Iterator[str]:
    """A host:port without a listener."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"
