"""TCP keep-alive options: detect within seconds a peer that disappeared without a FIN.

Without them a connection that only waits for a response stays open forever: the kernel sends
nothing, so nothing fails. TCP_USER_TIMEOUT covers the other case, data that is never acknowledged.
"""

import socket
from typing import Protocol

#: Seconds without traffic before the first probe, seconds between two probes, and unanswered
#: probes after which the connection is reset.
IDLE_SECONDS, INTERVAL_SECONDS, PROBES = 10, 3, 3
#: Maximum milliseconds that sent data may stay unacknowledged.
USER_TIMEOUT_MS = 20_000


class _Socket(Protocol):
    """Common interface of the sockets of asyncio, uvloop and the standard library."""

    @property
    def family(self) -> int:
        """Address family."""

    def setsockopt(self, level: int, option: int, value: int, /) -> None:
        """Set an option."""


def keep_alive(sock: _Socket) -> None:
    """Set the options on a connected socket, or on a listening one whose connections inherit them.

    Sockets other than TCP are not changed.
    """
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, IDLE_SECONDS)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, INTERVAL_SECONDS)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, PROBES)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
