"""Timeouts of HTTP clients in scripts: unlimited in total unless the script sets a limit.

The libraries that scripts use give up after five minutes in total (aiohttp) or after 60 seconds
without an answer (botocore). A large file on a slow link takes longer, and every script has its
own timeout anyway. TCP keep-alive detects a server machine that is gone.
"""

import socket
from typing import Any

import aiohttp

#: Read timeout of a botocore client in seconds: a store may forward the file before it answers.
STORE_READ_SECONDS = 3600
#: Read timeout of an aiohttp session in seconds (aiohttp's own total limit), and connect timeout.
READ_SECONDS, CONNECT_SECONDS = 300, 30
#: TCP keep-alive: seconds of idle before the first probe, between probes, and unanswered probes.
_IDLE_SECONDS, _INTERVAL_SECONDS, _PROBES = 30, 10, 3


def keepalive_socket(info: Any) -> socket.socket:
    """A socket for aiohttp with TCP keep-alive, which detects that the peer machine is gone."""
    family, kind, protocol, _name, _address = info
    sock = socket.socket(family=family, type=kind, proto=protocol)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _IDLE_SECONDS)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _INTERVAL_SECONDS)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _PROBES)
    return sock


def lengthen_aiohttp() -> None:
    """Set aiohttp's default timeout to a read timeout instead of a total one."""
    timeout = aiohttp.ClientTimeout(
        total=None, sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS
    )
    aiohttp.client.DEFAULT_TIMEOUT = timeout  # type: ignore[misc]


def lengthen_botocore(session: Any, config: Any) -> None:
    """The same for a session of aiobotocore; values that the script sets take precedence."""
    session.set_default_client_config(
        config(
            read_timeout=STORE_READ_SECONDS,
            tcp_keepalive=True,
            connector_args={"socket_factory": keepalive_socket},
        )
    )
