"""An APIGW and a Lambda worker in this process, each on a real port, as their commands run them."""

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from qmonus_lite import serving
from qmonus_lite.compose.apigw import compose_apigw
from qmonus_lite.compose.worker import compose_worker
from qmonus_lite.settings.table import Settings


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in servers]
    for server in servers:
        server.close()
    return ports


async def until(condition: Callable[[], object], seconds: float = 5) -> None:
    """Wait for it."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


class TwoProcesses:
    """A launch directory, an APIGW and a worker."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.plugins = folder / "plugins"
        self.plugins.mkdir()
        self._said: list[str] = []
        self._stops: list[serving.Stop] = []
        stops = self._stops

        class Stop(serving.Stop):
            """The real stop, which signals ask for, and the test too."""

            def __init__(self) -> None:
                super().__init__()
                stops.append(self)

        monkeypatch.setattr(serving, "Stop", Stop)
        ports = free_ports(2)
        self.flags: dict[str, Any] = {
            "base_dir": folder,
            "port": ports[0],
            "lambda_port": ports[1],
            "timezone": "UTC",
            "min_free_bytes": 1,
            "drain_timeout": 5.0,
        }
        self._apigw: tuple[asyncio.Task[bool], serving.Stop] | None = None
        self._worker: tuple[asyncio.Task[bool], serving.Stop] | None = None
        self.http = aiohttp.ClientSession()

    @property
    def settings(self) -> Settings:
        return Settings.of(**self.flags)

    @property
    def url(self) -> str:
        return self.settings.server.base_url

    @property
    def admin(self) -> dict[str, str]:
        """The header of the local admin."""
        return {"X-Auth-Token": (self.folder / ".qmonus-lite/admin.token").read_text().strip()}

    def put(self, name: str, text: str) -> Path:
        place = self.plugins / name
        place.write_text(text)
        return place

    def handler(self, name: str, event: str, *lines: str) -> None:
        """A Lambda plugin."""
        code = "".join(f"      {line}\n" for line in lines)
        text = f"name: {name}\nevent: {event}\nscript: |-\n  async def run(event, handle):\n{code}"
        self.put(f"{name}.yml", text)

    def noting(self, name: str, event: str) -> Path:
        """A Lambda plugin that writes its events to a file, one a line."""
        place = self.folder / f"{name}.events"
        self.handler(
            name, event, f"with open({str(place)!r}, 'a') as f: f.write(json.dumps(event) + '\\n')"
        )
        return place

    def route(self, path: str, *lines: str, auth_mode: str = "axis") -> None:
        """A route that a script answers."""
        code = "".join(f"    {line}\n" for line in lines)
        self.put(
            f"route{path.replace('/', '-')}.yml",
            f"- authorities: ['127.0.0.1:1']\n  proxy:\n    path: {path}\n"
            f"    authorization: {{auth_mode: {auth_mode}}}\n"
            f"  request_forbidden_process: |-\n{code}",
        )

    async def start_worker(self) -> None:
        task = asyncio.create_task(compose_worker(self.settings, {}).serve())
        self._worker = (task, await self._stop_of(task))

    async def start_apigw(self) -> None:
        task = asyncio.create_task(compose_apigw(self.settings, {}, self._said.append).serve())
        self._apigw = (task, await self._stop_of(task))

    async def start(self) -> None:
        """Both, until uploads work."""
        await self.start_worker()
        await self.start_apigw()
        await self.ready()

    async def ready(self) -> None:
        async with asyncio.timeout(5):
            while await self.status("GET", "/-/ready") != 200:
                await asyncio.sleep(0.02)

    async def stop_worker(self) -> bool:
        """Stop the worker; whether it ended clean."""
        assert self._worker is not None
        (task, stop), self._worker = self._worker, None
        stop._requested.set()
        return await task

    async def stop_apigw(self) -> bool:
        assert self._apigw is not None
        (task, stop), self._apigw = self._apigw, None
        stop._requested.set()
        clean = await task
        # Its lock goes with the process, which does not end here.
        for descriptor in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/self/fd/{descriptor}").endswith("/apigw.lock"):
                    os.close(int(descriptor))
        return clean

    async def close(self) -> None:
        await self.http.close()
        if self._apigw is not None:
            assert await self.stop_apigw()
        if self._worker is not None:
            assert await self.stop_worker()

    async def send(self, method: str, path: str, **given: Any) -> tuple[int, Any]:
        """Status and body of an answer; the body as JSON if it is."""
        async with self.http.request(method, self.url + path, **given) as answer:
            raw = await answer.read()
            kind = answer.headers.get("Content-Type", "")
            return answer.status, json.loads(raw) if "json" in kind else raw.decode()

    async def status(self, method: str, path: str, **given: Any) -> int:
        return (await self.send(method, path, **given))[0]

    async def _stop_of(self, task: "asyncio.Task[bool]") -> serving.Stop:
        count = len(self._stops)
        await until(lambda: len(self._stops) > count or task.done())
        if task.done():
            task.result()
        return self._stops[-1]


def events(place: Path) -> list[dict[str, Any]]:
    """What a noting plugin wrote."""
    if not place.exists():
        return []
    return [json.loads(line) for line in place.read_text().splitlines()]
