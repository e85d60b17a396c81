"""Many clients that mean no good, and one that does."""

import asyncio
import json
import os
import re
import resource
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.acceptance.edge.raw import Exchange, exchange, put, request
from tests.acceptance.harness import UPLOADING, Installation
from tests.acceptance.process import connections, open_files, until
from tests.acceptance.servers import Sampler

MIB = 1 << 20
#: Closes with a reset instead of a proper end.
RESET = struct.pack("ii", 1, 0)
#: Seconds of a flood by slowhttptest.
FLOOD = 8
#: Seconds within which a good client has its answer all the while.
QUICK = 0.25


@pytest.fixture(scope="module")
def open_to_all(shared: Installation) -> Installation:
    """An installation where a handler allows every upload, for as many as come."""
    shared.record(UPLOADING)
    shared.up("--max_uploads=300", "--body_stall_timeout=5")
    return shared


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """The same for few."""
    installation = Installation(tmp_path_factory.mktemp("narrow") / "installation")
    installation.record(UPLOADING)
    installation.up("--max_uploads=2", "--max_connections=8")
    yield installation
    installation.end()


def apigw(installation: Installation, *flags: str) -> int:
    """Start it; gives the process id of the APIGW."""
    return installation.up(*flags).children["apigw"]


def pid_of(installation: Installation) -> int:
    """The process id of the APIGW that runs."""
    [pid] = installation.pids("apigw")
    return pid


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def files(pid: int, below: Path) -> list[str]:
    """Files below a directory that a process holds open."""
    own = open_files(pid)
    return sorted(name for name in own if name.startswith(str(below)))


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def send(installation: Installation, sent: bytes, *, to_end: bool = False) -> Exchange:
    return exchange(installation.port, sent, answers=1, to_end=to_end, ends=False)


async def _reset_in_the_body(port: int, number: int, gate: asyncio.Semaphore) -> None:
    async with gate:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = request("PUT", f"/upload/reset-{number}", "Content-Length: 9000000")
        # Some with nothing, some with bytes in memory, some with bytes on the disk.
        writer.write(head + bytes([0, 70_000, MIB + 70_000][number % 3]))
        await writer.drain()
        await asyncio.sleep(0.02)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        writer.transport.abort()


def test_a_thousand_resets_in_the_body_leave_nothing(open_to_all: Installation) -> None:
    pid = pid_of(open_to_all)
    send(open_to_all, put("/upload/warm"))
    stored, held = open_to_all.stored(), files(pid, open_to_all.base)

    async def all_of_them() -> None:
        gate = asyncio.Semaphore(50)
        port = open_to_all.port
        await asyncio.gather(*(_reset_in_the_body(port, number, gate) for number in range(1000)))

    asyncio.run(all_of_them())

    # A reset connection is gone from the kernel's table before APIGW has heard of it, so all has
    # to be quiet for a while.
    quiet_since = time.monotonic()

    def quiet() -> bool:
        nonlocal quiet_since
        at_rest = open_to_all.stored() == stored and files(pid, open_to_all.base) == held
        if not at_rest or connections(pid, open_to_all.port):
            quiet_since = time.monotonic()
        return time.monotonic() - quiet_since > 1

    until(quiet, report=open_to_all.stored)
    assert "request_failed" not in open_to_all.log
    # Questions whose clients are gone count as uploads until they are answered.
    until(lambda: send(open_to_all, put("/upload/after")).statuses == (201,))


def test_more_connections_than_allowed_are_told_to_come_back(narrow: Installation) -> None:
    ask, pid = request("GET", "/-/live"), pid_of(narrow)
    # One that is about to go would make room for another.
    until(lambda: connections(pid, narrow.port) == 0)
    with ExitStack() as held:
        for _ in range(8):
            held.enter_context(socket.create_connection(("127.0.0.1", narrow.port)))
        until(lambda: connections(pid, narrow.port) == 8)

        answer = send(narrow, ask, to_end=True)

        assert b"\r\nRetry-After: 1\r\n" in answer.raw
        problem = json.loads(answer.raw.partition(b"\r\n\r\n")[2])
        assert (problem["status"], problem["detail"]) == (503, "too many connections")
    until(lambda: send(narrow, ask).statuses == (200,))


def test_more_uploads_than_allowed_are_told_to_come_back(narrow: Installation) -> None:
    with ExitStack() as held:
        for number in range(2):
            running = socket.create_connection(("127.0.0.1", narrow.port))
            held.enter_context(running).sendall(put(f"/upload/{number}", body=b"12345")[:-1])
            narrow.recorded(UPLOADING, f"/upload/{number}")

        answer = send(narrow, put("/upload/more"))

        assert answer.statuses == (503,)
        assert b"\r\nRetry-After: 1\r\n" in answer.raw
        assert send(narrow, request("GET", "/-/live")).statuses == (200,)
    until(lambda: send(narrow, put("/upload/more")).statuses == (201,))


def test_a_process_without_descriptors_waits_for_one(installation: Installation) -> None:
    pid = apigw(installation, "--max_connections=500")
    most = max(int(descriptor.name) for descriptor in Path(f"/proc/{pid}/fd").iterdir()) + 20
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, most))
    ask = request("GET", "/-/live")
    with ExitStack() as held:
        for _ in range(100):
            held.enter_context(socket.create_connection(("127.0.0.1", installation.port)))
        until(lambda: "cannot accept: Too many open files" in installation.log)
        before, said = processor_seconds(pid), len(installation.log)

        time.sleep(2)

        assert processor_seconds(pid) - before < 0.5
        assert len(installation.log) - said < 4096
    assert send(installation, ask).statuses == (200,)


def _slowhttptest(installation: Installation, *flags: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["slowhttptest", "-l", str(FLOOD), "-i", "1", "-p", "30", *flags],
        env=installation.environ,
        cwd=installation.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@pytest.mark.serial
def test_slow_clients_keep_nobody_else_waiting(
    open_to_all: Installation, report_figures: Callable[[str], None]
) -> None:
    pid = pid_of(open_to_all)
    heads = ("-H", "-c", "1000", "-r", "500", "-u", f"{open_to_all.url}/-/live")
    slow = ("-B", "-c", "200", "-r", "100", "-t", "PUT", "-s", "8192", "-x", "20")
    floods = [
        _slowhttptest(open_to_all, *heads),
        _slowhttptest(open_to_all, *slow, "-u", f"{open_to_all.url}/upload/slow"),
    ]
    try:
        until(lambda: descriptors(pid) > 1200)
        with Sampler(open_to_all.port, [pid]) as sampler:
            for number in range(40):
                assert send(open_to_all, put(f"/upload/good-{number}")).statuses == (201,)
                time.sleep(0.05)
        assert all(flood.poll() is None for flood in floods)
        held = descriptors(pid)
    finally:
        for flood in floods:
            flood.send_signal(signal.SIGKILL)
            flood.wait()
    slowest = ", ".join(f"{1000 * answer.took:.0f} ms" for answer in sampler.seen.slowest[:3])
    report_figures(f"{held} descriptors, {sampler.seen.samples} answers, slowest: {slowest}")
    assert held > 1200
    assert sampler.seen.slowest[0].took < QUICK, sampler.seen
    until(lambda: not re.search("slow", " ".join(open_to_all.stored())))
