"""What both processes do around their application."""

import asyncio
import os
import resource
import signal
import socket
import ssl
from pathlib import Path

import pytest

from qmonus_lite import serving
from qmonus_lite.errors import BadResource


def refusal(address: str, port: int) -> str:
    """What it says; Tornado leaves the socket that it could not bind to the garbage collector."""
    try:
        serving.bind(address, port, flag="lambda_port")
    except BadResource as error:
        return str(error)
    raise AssertionError("it was bound")


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_names_port_and_flag_when_the_port_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        assert f"--lambda_port={port}: port {port} of 127.0.0.1 is in use" in refusal(
            "127.0.0.1", port
        )


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.parametrize("address", ["192.0.2.1", "no-such-host.invalid"])
def test_says_why_it_cannot_listen(address: str) -> None:
    assert f"cannot listen on {address}:9099" in refusal(address, 9099)


def test_takes_no_tls_without_a_certificate() -> None:
    assert serving.tls_context(None, None) is None


def test_refuses_a_certificate_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "host.pem").write_text("nonsense")
    for certfile in (tmp_path / "host.pem", tmp_path / "missing.pem"):
        with pytest.raises(BadResource, match="--certfile=.*not usable"):
            serving.tls_context(certfile, certfile)


def test_speaks_tls_of_today(tls_files: tuple[Path, Path]) -> None:
    context = serving.tls_context(*tls_files)

    assert context is not None
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
async def test_stops_on_a_signal(sign: signal.Signals) -> None:
    stop = serving.Stop()
    waiting = asyncio.create_task(stop.wait())
    await asyncio.sleep(0)
    os.kill(os.getpid(), sign)

    await asyncio.wait_for(waiting, 2)


async def test_waits_until_nothing_is_busy() -> None:
    busy = {1}
    asyncio.get_running_loop().call_later(0.05, busy.clear)

    assert await serving.until_idle(lambda: busy, 2)


async def test_waits_no_longer_than_it_may() -> None:
    assert not await serving.until_idle(lambda: True, 0.05)


@pytest.mark.parametrize(
    ("soft", "connections", "allowed"), [(600, 2000, 150), (4096, 2000, 2000), (2500, 2000, 1688)]
)
def test_takes_no_more_connections_than_it_has_descriptors_for(
    soft: int, connections: int, allowed: int
) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    # The hard limit stays for the other tests, so the room is asked of the sum alone.
    assert serving.connections_within(connections, 100, limit=soft) == allowed
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before
