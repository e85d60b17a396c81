"""Memory of the process that takes the bytes: one large upload, and many that are stuck."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.bench import load
from tests.bench.figures import Figure, Row, Target, Unavailable
from tests.bench.large import DIGEST, own_server
from tests.bench.run_settings import RunSettings, gib
from tests.bench.server import Server, apigw_of

_MIB = 1 << 20
_STUCK, _SENT, _WHOLE = 200, 1 * _MIB, 10 * _MIB
#: Seconds that stuck uploads stay, for memory to settle; far below the server's own patience.
_STAY = 3.0


def resident(settings: RunSettings) -> Row:
    """How much APIGW grows by one large upload, and by 200 that stand still in mid-body."""
    warm = settings.source(64 * _MIB)
    large = settings.source(settings.size)
    cases = {
        f"{gib(settings.size)}, tmpfs, `none`": (
            *(settings.tmpfs("memory"), "--upload_durability=none"),
            [],
        ),
        f"{gib(settings.size)}, disk, `full`, SHA-256 asked for": (
            *(settings.disk("memory"), "--upload_durability=full"),
            [DIGEST],
        ),
    }
    figures = []
    for name, (folder, flag, headers) in cases.items():
        with _warm(folder, flag, warm) as (server, pid):
            grown = max(_grown_by(server, pid, large, headers) for _ in range(settings.rounds))
        figures.append(Figure(name=name, value=grown, unit="MiB", target=Target(limit=32)))
    with _warm(settings.disk("memory"), "--upload_durability=full", warm) as (server, pid):
        grown = _grown_by_stuck(server, pid)
        start = _now(pid, "VmRSS")
    name = f"{_STUCK} uploads, each stands still after 1 of 10 MiB"
    figures.append(Figure(name=name, value=grown, unit="MiB", target=Target(limit=64)))
    figures.append(Figure(name="APIGW after those, in all", value=start, unit="MiB"))
    return Row(
        key="memory",
        title="memory of APIGW: peak while it works, less what it had before",
        rounds=settings.rounds,
        figures=tuple(figures),
        notes=("Each server had one upload of 64 MiB before; the worst round counts.",),
    )


@contextmanager
def _warm(folder: Path, flag: str, file: Path) -> Iterator[tuple[Server, int]]:
    with own_server(flag)(folder) as server:
        load.put_file(server, "warm.bin", file)
        server.rest()
        yield server, apigw_of(server)


def _grown_by(server: Server, pid: int, file: Path, headers: list[str]) -> float:
    before = _start_watching(pid)
    load.put_file(server, "big.bin", file, *headers)
    grown = _now(pid, "VmHWM") - before
    (server.files / "big.bin").unlink()
    server.rest()
    return grown


def _grown_by_stuck(server: Server, pid: int) -> float:
    before = _start_watching(pid)
    with ExitStack() as stack:
        clients = [stack.enter_context(_stuck(server, number)) for number in range(_STUCK)]
        time.sleep(_STAY)
        grown = _now(pid, "VmHWM") - before
        answered = sum(_has_answer(client) for client in clients)
    if answered:
        raise Unavailable(f"{answered} of {_STUCK} uploads that stood still had an answer")
    return grown


def _stuck(server: Server, number: int) -> socket.socket:
    parts = urlsplit(server.url)
    head = "\r\n".join(
        [
            f"PUT {parts.path}stuck-{number} HTTP/1.1",
            f"Host: {parts.netloc}",
            f"Content-Length: {_WHOLE}",
            *server.headers,
        ]
    )
    client = socket.create_connection((str(parts.hostname), int(parts.port or 0)), timeout=20)
    client.sendall(head.encode() + b"\r\n\r\n" + bytes(_SENT))
    return client


def _has_answer(client: socket.socket) -> bool:
    client.setblocking(False)
    try:
        client.recv(1)
    except BlockingIOError:
        return False
    return True


def _start_watching(pid: int) -> float:
    """Forget the peak so far; gives what the process has now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return _now(pid, "VmRSS")


def _now(pid: int, name: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise Unavailable(f"the kernel tells no {name}")
