"""Timeouts of HTTP clients in scripts: unlimited in total unless the script sets a limit.

The libraries that scripts use give up after five minutes in total (aiohttp) or after 60 seconds
without an answer (botocore). A large file on a slow link takes longer, and every script has its
own timeout anyway. TCP keep-alive detects a server machine that is gone.
"""

import importlib.machinery
import socket
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

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
    """Set aiohttp's default timeout to a read timeout instead of a total one.

    At once if aiohttp is imported, else when anything imports it.
    """
    if _CLIENT in sys.modules:
        _lengthen(sys.modules[_CLIENT])
    elif not any(isinstance(finder, _ClientFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _ClientFinder())


#: Module of aiohttp that has the default timeout.
_CLIENT = "aiohttp.client"


def _lengthen(client: ModuleType) -> None:
    client.__dict__["DEFAULT_TIMEOUT"] = client.ClientTimeout(
        total=None, sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS
    )


class _ClientFinder:
    """Import hook: sets the default timeout as soon as aiohttp's client is imported."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The usual spec of aiohttp's client, whose loader sets the timeout; else None."""
        if name != _CLIENT:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_lengthen(module: ModuleType) -> None:
                execute(module)
                _lengthen(module)

            spec.loader.exec_module = execute_and_lengthen  # type: ignore[method-assign]
        return spec


def lengthen_botocore(session: Any, config: Any) -> None:
    """The same for a session of aiobotocore; values that the script sets take precedence."""
    session.set_default_client_config(
        config(
            read_timeout=STORE_READ_SECONDS,
            tcp_keepalive=True,
            connector_args={"socket_factory": keepalive_socket},
        )
    )
