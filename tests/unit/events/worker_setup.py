"""A worker in this process on a free port, and foreign servers in its place."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from qmonus_lite.auth.callout_pass import Passes
from qmonus_lite.auth.tokens import Minter
from qmonus_lite.catalog.live import Live
from qmonus_lite.catalog.secret_values import SecretResolver
from qmonus_lite.clock import Clock
from qmonus_lite.events.inbox import Inbox
from qmonus_lite.lambdas.handlers import EventHandlers
from qmonus_lite.scripting.runner import Runner
from qmonus_lite.scripting.script_threads import ScriptThreads
from qmonus_lite.transports.http.listener import Listener
from qmonus_lite.transports.http.signature import Signer
from qmonus_lite.worker.app import Worker, WorkerEndpoints
from tests.unit.catalog.plugin_folder import SEALER, Folder, handler

CLOCK = Clock("UTC")
SIGNER = Signer(b"e" * 32)
STRANGER = Signer(b"x" * 32)
SOURCE = "http://127.0.0.1:9099"


class WorkerSetup:
    """A worker that runs in this process."""

    def __init__(self, path: Path) -> None:
        self.folder = Folder(path / "plugins")
        self.folder.path.mkdir()
        self._state = path
        self._script_threads = [
            ScriptThreads("ask", max_threads=4),
            ScriptThreads("deliver", max_threads=4),
        ]
        self._listener: Listener | None = None
        self._inbox: Inbox | None = None
        self.port = 0
        self.passes = Passes(minter=Minter(key=b"p" * 32, clock=CLOCK))

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def handler(self, name: str, event: str, line: str = "pass", more: str = "") -> None:
        self.folder.put(f"{name}.yml", handler(name, event, line) + more)

    async def start(self) -> None:
        """Serve, on the port of the last time if there was one."""
        self.live = Live(self.folder.loader)
        self._inbox = Inbox(self._state / "inbox.sqlite3", CLOCK)
        self.handlers = EventHandlers(
            live=self.live,
            secrets=SecretResolver(sealer=SEALER, environ={}),
            questions=Runner(script_threads=self._script_threads[0]),
            deliveries=Runner(script_threads=self._script_threads[1]),
            completed=self._inbox,
        )
        self.worker = Worker(handlers=self.handlers, signer=SIGNER, passes=self.passes)
        server = socket.create_server(("127.0.0.1", self.port))
        self.port = server.getsockname()[1]
        self._listener = Listener(WorkerEndpoints(self.worker).answer)
        await self._listener.listen([server])

    def drain(self) -> None:
        """The first half of a stop: what is under way goes on."""
        assert self._listener is not None
        self._listener.stop()
        self.worker.release()

    async def stop(self) -> None:
        if self._listener is not None and self._inbox is not None:
            self.drain()
            while self.worker.waiting:
                await asyncio.sleep(0)
            await self._listener.close()
            self._inbox.close()
            self._listener = None

    async def close(self) -> None:
        await self.stop()
        for script_threads in self._script_threads:
            await script_threads.close(within=5)


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Stranger:
    """Whatever listens where a worker should be."""

    endpoint: str = ""
    #: Whole requests that it heard.
    has_reported: list[bytes] = field(default_factory=list)
    _server: asyncio.Server | None = None

    async def start(self, talk: Talk) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await talk(reader, writer)
            except (OSError, asyncio.IncompleteReadError):
                pass
            finally:
                writer.close()

        self._server = await asyncio.start_server(serve, "127.0.0.1", 0)
        self.endpoint = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def read(self, reader: asyncio.StreamReader) -> tuple[dict[str, str], bytes]:
        """Fields (lower case) and body of the next request."""
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.decode().split("\r\n")[1:-2]
        fields = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in lines)
        }
        body = await reader.readexactly(int(fields["content-length"]))
        self.has_reported.append(head + body)
        return fields, body

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()


def answer(body: bytes, fields: dict[str, str], status: str = "200 OK") -> bytes:
    """An HTTP answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body
