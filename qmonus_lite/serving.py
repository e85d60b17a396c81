"""Serving: what both processes do around their Tornado application, from the port to the stop."""

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
from qmonus_lite.errors import BadPlace

logger = logging.getLogger(__name__)

#: Bytes read from a connection at once: what a stalled upload holds in memory.
CHUNK_BYTES = 64 << 10
#: Seconds for which the thread of a busy script may keep the interpreter to itself. The loop pays
#: them at every turn: with Python's 5 ms, a script that computes made requests wait for 0.2 s.
SWITCH_INTERVAL_SECONDS = 0.0005
#: New objects after which the garbage collector looks at them; a request makes some hundreds, and
#: with Python's 700 it looked after each.
GC_YOUNG_THRESHOLD = 20_000

#: Descriptors that are no connections: libraries, the outbox, sockets to workers, backends.
OWN_DESCRIPTORS = 512


def bind(address: str, port: int, *, flag: str) -> list[socket.socket]:
    """Listening sockets; raises BadPlace that names the flag to change."""
    try:
        return bind_sockets(port, address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            reason = f"port {port} of {address} is in use; stop that program or choose another"
        else:
            reason = f"cannot listen on {address}:{port}: {error.strerror or error}"
        raise BadPlace(f"--{flag}={port}: {reason}") from None


def tls_context(certfile: Path | None, keyfile: Path | None) -> ssl.SSLContext | None:
    """The TLS settings of a server, TLS 1.2 or newer; raises BadPlace."""
    if certfile is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certfile, keyfile)
    except (OSError, ssl.SSLError) as error:
        raise BadPlace(f"--certfile={certfile} --keyfile={keyfile}: not usable: {error}") from None
    return context


def tune_interpreter() -> None:
    """Keep the interpreter from holding up the loop of the sockets; call it when all is loaded.

    The garbage collector is spared what a start has loaded, which is here to stay: walking it took
    50 ms and more, now and then, in which no request was answered.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_YOUNG_THRESHOLD, 20, 20)


class Stop:
    """Asked for by SIGTERM, Ctrl-C, or a supervisor that went away."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        loop = asyncio.get_running_loop()
        for sign in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(sign, self._asked.set)
        supervisor_channel.watch(lambda: self._ask_from_outside(loop))

    @property
    def asked(self) -> bool:
        """Whether it was asked for."""
        return self._asked.is_set()

    def _ask_from_outside(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.call_soon_threadsafe(self._asked.set)

    async def wait(self) -> None:
        """Return when it is asked for."""
        await self._asked.wait()


async def heartbeat() -> None:
    """Tell the supervisor every second that this loop turns, until cancelled."""
    while True:
        supervisor_channel.heartbeat()
        await asyncio.sleep(1)


async def until_idle(busy: Callable[[], object], seconds: float) -> bool:
    """Wait until `busy()` is falsy; False when it still was after `seconds`."""
    deadline = asyncio.get_running_loop().time() + seconds
    while busy():
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(0.02)
    return True


def room_for(connections: int, uploads: int, *, limit: int) -> int:
    """How many of these connections a process can take that may open `limit` files."""
    return min(connections, max(limit // 4, limit - 3 * uploads - OWN_DESCRIPTORS))


def descriptors_for(connections: int, uploads: int) -> int:
    """Make room for so many connections and uploads; how many connections there is room for."""
    needed = connections + 3 * uploads + OWN_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    room = room_for(connections, uploads, limit=soft)
    if room < connections:
        extra = {"action": "few_descriptors", "files": soft, "connections": room}
        logger.warning("too few open files are allowed for so many connections", extra=extra)
    return room
