"""The options of sockets on which we may have to wait for long."""

import asyncio
import socket

from qmonus_lite.transports.http import keepalive
from qmonus_lite.transports.http.codec import HttpRequest, HttpResponse
from qmonus_lite.transports.http.keepalive import keep_alive
from qmonus_lite.transports.http.listener import Listener


def options(sock: socket.socket) -> tuple[int, ...]:
    names = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT)
    on = sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    return (on, *(sock.getsockopt(socket.IPPROTO_TCP, name) for name in names))


EXPECTED = (
    1,
    keepalive.IDLE_SECONDS,
    keepalive.INTERVAL_SECONDS,
    keepalive.PROBES,
    keepalive.USER_TIMEOUT_MS,
)


def test_a_vanished_machine_is_noticed_within_half_a_minute() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        keep_alive(server)
        with socket.create_connection(server.getsockname()) as _:
            accepted, _address = server.accept()
            assert options(accepted) == EXPECTED
            accepted.close()

    assert keepalive.IDLE_SECONDS + keepalive.INTERVAL_SECONDS * keepalive.PROBES < 30
    assert keepalive.USER_TIMEOUT_MS < 30_000


def test_a_socket_that_is_not_tcp_is_left_alone() -> None:
    end, peer = socket.socketpair()
    with end, peer:
        keep_alive(end)

        assert end.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0


async def test_what_a_worker_accepts_has_them() -> None:
    async def answering(_message: HttpRequest) -> HttpResponse:
        return HttpResponse()

    server = socket.create_server(("127.0.0.1", 0))
    listener = Listener(answering)
    await listener.listen([server])
    assert options(server) == EXPECTED
    await listener.close()
    await asyncio.sleep(0)
