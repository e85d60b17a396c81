"""TCP keep-alive: a machine that vanished without a FIN is noticed within seconds.

Without it a connection on which we only wait for an answer stays open for ever: the kernel sends
nothing, so nothing fails. TCP_USER_TIMEOUT bounds the other case, data that is never acknowledged.
"""

import socket
from typing import Protocol

#: Seconds without traffic before the first probe, between two probes, and probes without an answer
#: after which the connection is broken.
IDLE_SECONDS, INTERVAL_SECONDS, PROBES = 10, 3, 3
#: Milliseconds that sent data may stay unacknowledged.
USER_TIMEOUT_MS = 20_000


class _Socket(Protocol):
    """What asyncio, uvloop and the standard library call a socket."""

    @property
    def family(self) -> int:
        """Address family."""

    def setsockopt(self, level: int, option: int, value: int, /) -> None:
        """Set an option."""


def keep_alive(one: _Socket) -> None:
    """Set the options on a connected socket, or on a listening one whose connections inherit them.

    Sockets that are not TCP are left as they are.
    """
    if one.family not in (socket.AF_INET, socket.AF_INET6):
        return
    one.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, IDLE_SECONDS)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, INTERVAL_SECONDS)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, PROBES)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
