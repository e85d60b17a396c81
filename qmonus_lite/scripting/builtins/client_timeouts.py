"""How long HTTP clients of scripts wait: as long as the script, where it sets no limit of its own.

The libraries that scripts use give up after five minutes in total (aiohttp) or after 60 seconds
without an answer (botocore). A large file on a slow link takes longer, and every script has an end
of its own anyway. A server machine that is gone is found out by TCP keep-alive.
"""

import socket
from typing import Any

import aiohttp

#: Seconds that a botocore client waits for an answer: a store may pass on what it got first.
STORE_ANSWER = 3600
#: Seconds that an aiohttp session bears silence; the same as its own limit for all was.
SILENCE, CONNECT = 300, 30
#: Seconds of silence before a probe, between two, and how many may go unanswered.
_IDLE, _BETWEEN, _PROBES = 30, 10, 3


def keepalive_socket(info: Any) -> socket.socket:
    """A socket for aiohttp that notices when the other machine is gone."""
    family, kind, protocol, _name, _address = info
    one = socket.socket(family=family, type=kind, proto=protocol)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _IDLE)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _BETWEEN)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _PROBES)
    return one


def lengthen_aiohttp() -> None:
    """Bound the silence of a session that a script makes without a timeout, not its whole time."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT, sock_read=SILENCE)
    aiohttp.client.DEFAULT_TIMEOUT = timeout  # type: ignore[misc]


def lengthen_botocore(session: Any, config: Any) -> None:
    """The same for a session of aiobotocore; what a client is given by the script comes first."""
    session.set_default_client_config(
        config(
            read_timeout=STORE_ANSWER,
            tcp_keepalive=True,
            connector_args={"socket_factory": keepalive_socket},
        )
    )
