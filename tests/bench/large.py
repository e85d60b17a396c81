"""One large upload: wall time and processor time beside other servers, in turn in one run."""

import hashlib
import os
import resource
import subprocess
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.bench import load, peers
from tests.bench.figures import Figure, Row, Target, Unavailable, compared, middle
from tests.bench.peers import Starting
from tests.bench.run_settings import RunSettings, gib
from tests.bench.server import Server, qmonus_lite

#: Asks us for a SHA-256 of what was stored.
DIGEST = "Want-Repr-Digest: sha-256=10"
#: Makes curl send chunks, of 64 KiB.
CHUNKED = "Transfer-Encoding: chunked"


@dataclass(frozen=True, kw_only=True)
class Side:
    """One server, and what an upload to it means."""

    start: Starting
    #: Headers that it is asked with.
    headers: tuple[str, ...] = ()
    #: Commands on the stored file that belong to the work; its time includes them.
    then: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one upload took, in seconds; the processor time of curl is not in it."""

    wall: float
    cpu: float
    #: Wall time of each command after it.
    then: tuple[float, ...]


def own_server(*flags: str, tls: bool = False) -> Starting:
    """Our own server with flags."""

    def start(folder: Path) -> AbstractContextManager[Server]:
        return qmonus_lite(folder, "--min_free_bytes=0", *flags, tls=tls)

    return start


def on_tmpfs(settings: RunSettings) -> Row:
    """One upload on a tmpfs, nothing made durable, beside nginx."""
    return _beside_nginx(settings, "tmpfs", "", limits=(1.10, 1.25))


def by_tls(settings: RunSettings) -> Row:
    """One upload by TLS 1.3 on a tmpfs, nothing made durable, beside nginx."""
    return _beside_nginx(settings, "tls", " by TLS 1.3", limits=(1.15, 1.25), tls=True)


def in_chunks(settings: RunSettings) -> Row:
    """One upload without a length on a tmpfs, nothing made durable, beside nginx."""
    return _beside_nginx(settings, "chunked", " in chunks", CHUNKED, limits=(1.15, 1.15))


def in_chunks_by_tls(settings: RunSettings) -> Row:
    """One upload without a length by TLS 1.3 on a tmpfs, nothing made durable, beside nginx."""
    return _beside_nginx(
        settings, "chunked-tls", " in chunks by TLS 1.3", CHUNKED, limits=(1.15, 1.25), tls=True
    )


def _beside_nginx(
    settings: RunSettings,
    key: str,
    how: str,
    *headers: str,
    limits: tuple[float, float],
    tls: bool = False,
) -> Row:
    us = Side(start=own_server("--upload_durability=none", tls=tls), headers=headers)
    them = Side(start=peers.nginx_tls if tls else peers.nginx, headers=headers)
    costs = measure(settings, settings.tmpfs("large"), {"ours": us, "nginx": them})
    wall, cpu = limits
    return Row(
        key=key,
        title=f"one {gib(settings.size)} upload{how}, tmpfs, `none` durability, no digest",
        rounds=settings.rounds,
        figures=(
            *_wall(costs, "nginx", Target(limit=wall)),
            *_cpu(costs, "nginx", Target(limit=cpu)),
            *_absolute(costs),
        ),
    )


def on_disk(settings: RunSettings) -> Row:
    """One upload made durable, beside nginx and `sync`."""
    us = Side(start=own_server("--upload_durability=full"))
    costs = measure(
        settings,
        settings.disk("large"),
        {"ours": us, "nginx + sync": Side(start=peers.nginx, then=("sync",))},
    )
    return Row(
        key="disk",
        title=f"one {gib(settings.size)} upload, disk, `full` durability",
        rounds=settings.rounds,
        figures=(
            *_wall(costs, "nginx + sync", Target(limit=1.15)),
            *_cpu(costs, "nginx + sync", None),
            *_absolute(costs),
        ),
    )


def with_digest(settings: RunSettings) -> Row:
    """One upload made durable and summed up, beside nginx, `sync` and `sha256sum`."""
    us = Side(start=own_server("--upload_durability=full"), headers=(DIGEST,))
    them = Side(start=peers.nginx, then=("sync", "sha256sum"))
    peer = "nginx + sync + sha256sum"
    costs = measure(settings, settings.disk("large"), {"ours": us, peer: them})
    unsynced = [cost.wall - cost.then[0] for cost in costs[peer]]
    return Row(
        key="digest",
        title=f"one {gib(settings.size)} upload, disk, `full` durability, SHA-256 asked for",
        rounds=settings.rounds,
        figures=(
            *_wall(costs, peer, Target(limit=1.0)),
            *_cpu(costs, peer, None),
            *_absolute(costs),
            middle("wall, nginx + sha256sum alone", unsynced, "s"),
        ),
        notes=("The last figure leaves the sync out, which ours includes.",),
    )


def beside_others(settings: RunSettings) -> Row:
    """One upload on a tmpfs, beside the upload servers that could be taken in our stead."""
    them = {
        "wsgidav": peers.wsgidav,
        "copyparty, no checksum": peers.copyparty,
        "copyparty, SHA-512": peers.copyparty_sha512,
        "rclone serve webdav": peers.rclone,
        "tus (Node)": peers.tus,
    }
    sides = {"ours": Side(start=own_server("--upload_durability=none"))}
    sides |= {name: Side(start=start) for name, start in them.items()}
    notes: list[str] = []
    costs = measure(settings, settings.tmpfs("large"), sides, notes)
    figures = [
        figure
        for name in them
        if name in costs
        for figure in _wall(costs, name, Target(limit=1.0))[:1] + _cpu(costs, name, None)[:1]
    ]
    return Row(
        key="peers",
        title=f"one {gib(settings.size)} upload, tmpfs, `none` durability, beside upload servers",
        rounds=settings.rounds,
        figures=(*figures, *_absolute(costs)),
        notes=tuple(notes),
    )


def measure(
    settings: RunSettings, folder: Path, sides: dict[str, Side], notes: list[str] | None = None
) -> dict[str, list[Cost]]:
    """Upload the file to all of them in turn, A B A B, after one uncounted round that is checked.

    A peer that is not here raises, or is named in `notes` and left out where these are given.
    """
    file = settings.source(settings.size)
    costs: dict[str, list[Cost]] = {}
    with ExitStack() as stack:
        servers = {}
        for number, (name, side) in enumerate(sides.items()):
            try:
                server = _started(stack, side, folder / str(number))
                _check(server, file, side)
            except Unavailable as error:
                if notes is None or name == "ours":
                    raise
                notes.append(f"{name} is not measured: {error}")
                continue
            servers[name] = server
            costs[name] = []
        for _ in range(settings.rounds):
            for name, server in servers.items():
                costs[name].append(_cost(server, file, sides[name]))
    return costs


def _started(stack: ExitStack, side: Side, folder: Path) -> Server:
    folder.mkdir(parents=True)
    return stack.enter_context(side.start(folder))


def _check(server: Server, file: Path, side: Side) -> None:
    """One upload that is not counted: what is stored has to be what was sent."""
    answer = load.put_file(server, "big.bin", file, *side.headers)
    stored = _stored(server, file.stat().st_size)
    if _sha256(stored) != _sha256(file):
        raise Unavailable(f"{server.name} stored other bytes than it was sent")
    if DIGEST in side.headers and "repr-digest: sha-256=:" not in answer.lower():
        raise Unavailable(f"{server.name} was asked for a digest and gave none")
    stored.unlink()


def _cost(server: Server, file: Path, side: Side) -> Cost:
    # What the one before left to be written back is not this one's work.
    os.sync()
    before, used, started = server.cpu, _used_by_commands(), time.monotonic()
    load.put_file(server, "big.bin", file, *side.headers)
    by_curl = _used_by_commands() - used
    stored = _stored(server, file.stat().st_size)
    then = tuple(_run(command, stored) for command in side.then)
    wall = time.monotonic() - started
    cpu = server.cpu - before + _used_by_commands() - used - by_curl
    stored.unlink()
    return Cost(wall=wall, cpu=cpu, then=then)


def _run(command: str, stored: Path) -> float:
    started = time.monotonic()
    subprocess.run([command, stored], check=True, capture_output=True)
    return time.monotonic() - started


def _used_by_commands() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _stored(server: Server, size: int) -> Path:
    for path in server.files.rglob("*"):
        if path.is_file() and path.stat().st_size == size:
            return path
    raise Unavailable(f"{server.name} stored no file of {size} bytes")


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _wall(costs: dict[str, list[Cost]], peer: str, target: Target | None) -> list[Figure]:
    return _both("wall", lambda cost: cost.wall, costs, peer, target)


def _cpu(costs: dict[str, list[Cost]], peer: str, target: Target | None) -> list[Figure]:
    return _both("processor", lambda cost: max(cost.cpu, 0.01), costs, peer, target)


def _both(
    name: str,
    of: Callable[[Cost], float],
    costs: dict[str, list[Cost]],
    peer: str,
    target: Target | None,
) -> list[Figure]:
    return compared(name, peer, [*map(of, costs["ours"])], [*map(of, costs[peer])], target)


def _absolute(costs: dict[str, list[Cost]]) -> list[Figure]:
    return [
        middle(f"{what}, {name}", values, "s")
        for name, found in costs.items()
        for what, values in (
            ("wall", [cost.wall for cost in found]),
            ("processor", [cost.cpu for cost in found]),
        )
    ]
