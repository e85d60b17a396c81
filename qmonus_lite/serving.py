"""Server helpers of all processes: sockets, TLS, interpreter tuning, signals, file limits."""

import asyncio
import errno
import gc
import logging
import resource
import signal
import socket
import ssl
import sys
from collections.abc import Callable
from pathlib import Path

from tornado.netutil import bind_sockets

from qmonus_lite import supervisor_channel
from qmonus_lite.errors import BadResource

logger = logging.getLogger(__name__)

#: Bytes per read from a connection: the memory that a stalled upload uses.
CHUNK_BYTES = 64 << 10
#: Thread switch interval: seconds that a CPU-bound script thread may hold the GIL. Each event loop
#: iteration may wait that long: with Python's 5 ms, such a script delayed requests by 0.2 s.
SWITCH_INTERVAL_SECONDS = 0.0005
#: Allocations until a young garbage collection; a request makes some hundreds, and with Python's
#: 700 a collection ran after each request.
GC_YOUNG_THRESHOLD = 20_000

#: File descriptors reserved for libraries, the outbox, sockets to workers and backends.
OWN_DESCRIPTORS = 512


def bind(address: str, port: int, *, flag: str) -> list[socket.socket]:
    """Open listening sockets; raises BadResource with the flag to change."""
    try:
        return bind_sockets(port, address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            reason = f"port {port} of {address} is in use; stop that program or choose another"
        else:
            reason = f"cannot listen on {address}:{port}: {error.strerror or error}"
        raise BadResource(f"--{flag}={port}: {reason}") from None


def tls_context(certfile: Path | None, keyfile: Path | None) -> ssl.SSLContext | None:
    """TLS context of a server, TLS 1.2 or newer, None without certificate; raises BadResource."""
    if certfile is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certfile, keyfile)
    except (OSError, ssl.SSLError) as error:
        raise BadResource(
            f"--certfile={certfile} --keyfile={keyfile}: not usable: {error}"
        ) from None
    return context


def tune_interpreter() -> None:
    """Set GIL switch interval and garbage collector for low latency; call it after startup.

    Objects that exist after startup are permanent and are frozen: a full collection of them blocked
    the event loop for 50 ms and more.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_YOUNG_THRESHOLD, 20, 20)


class Stop:
    """Stop request: set by SIGTERM, SIGINT, or the end of the supervisor process."""

    def __init__(self) -> None:
        self._requested = asyncio.Event()
        loop = asyncio.get_running_loop()
        for sign in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(sign, self._requested.set)
        supervisor_channel.watch(lambda: self._request_from_thread(loop))

    @property
    def requested(self) -> bool:
        """Whether a stop was requested."""
        return self._requested.is_set()

    def _request_from_thread(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.call_soon_threadsafe(self._requested.set)

    async def wait(self) -> None:
        """Wait until a stop is requested."""
        await self._requested.wait()


async def heartbeat() -> None:
    """Send a heartbeat to the supervisor every second from this event loop, until cancelled."""
    while True:
        supervisor_channel.heartbeat()
        await asyncio.sleep(1)


async def until_idle(busy: Callable[[], object], seconds: float) -> bool:
    """Poll until `busy()` is falsy; returns False on timeout after `seconds`."""
    deadline = asyncio.get_running_loop().time() + seconds
    while busy():
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(0.02)
    return True


def connections_within(connections: int, uploads: int, *, limit: int) -> int:
    """Number of connections that fit into an RLIMIT_NOFILE of `limit`, at most `connections`."""
    return min(connections, max(limit // 4, limit - 3 * uploads - OWN_DESCRIPTORS))


def descriptors_for(connections: int, uploads: int) -> int:
    """Raise the RLIMIT_NOFILE soft limit; returns the number of connections that fit."""
    needed = connections + 3 * uploads + OWN_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    allowed = connections_within(connections, uploads, limit=soft)
    if allowed < connections:
        extra = {"action": "few_descriptors", "files": soft, "connections": allowed}
        logger.warning("too few open files are allowed for so many connections", extra=extra)
    return allowed
