"""Output whose reader stands still: records are kept, then lost and counted; order, exit."""

import fcntl
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from qmonus_lite import nonblocking_output
from qmonus_lite.nonblocking_output import NonBlockingOutput

LINE = b"x" * 99 + b"\n"


class Pipe:
    """A pipe of 4 KiB, or a pair of sockets, with an output at its end."""

    def __init__(self, kind: str) -> None:
        if kind == "pipe":
            self.reader, self.writer = os.pipe()
            fcntl.fcntl(self.writer, fcntl.F_SETPIPE_SZ, 4096)
        else:
            here, there = socket.socketpair()
            self.reader, self.writer = here.detach(), there.detach()
        self.output = NonBlockingOutput(self.writer)

    def read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            data += os.read(self.reader, size - len(data))
        return data


@pytest.fixture(params=["pipe", "socket", "pipe of another user"])
def pipe(request: pytest.FixtureRequest) -> Iterator[Pipe]:
    if request.param == "pipe of another user":

        def refused(*_arguments: object) -> int:
            raise PermissionError

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "open", refused)
            pipe = Pipe("pipe")
    else:
        pipe = Pipe(request.param)
    yield pipe
    os.close(pipe.reader)
    assert pipe.output.flush()
    pipe.output.close()
    os.close(pipe.writer)


def numbered(count: int) -> list[bytes]:
    return [b"%099d\n" % number for number in range(count)]


def test_loses_nothing_and_keeps_the_order_while_the_reader_reads(pipe: Pipe) -> None:
    lines = numbered(3_000)
    got: list[bytes] = []
    size = sum(map(len, lines))
    reader = threading.Thread(target=lambda: got.append(pipe.read(size)))
    reader.start()
    for line in lines:
        pipe.output.write(line)
    reader.join()

    assert b"".join(lines) == got[0]


def test_a_reader_that_stands_still_and_reads_again_misses_only_what_is_counted(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nonblocking_output, "MAX_BACKLOG_BYTES", 10_000)
    pipe.output.report = lambda lost: b"lost %d\n" % lost
    lines = numbered(10_000)
    for line in lines:
        pipe.output.write(line)
    got = b""
    while b"lost" not in got or not got.endswith(b"\n"):
        got += os.read(pipe.reader, 65536)
    *kept, report = got.splitlines(keepends=True)

    assert kept == sorted(set(kept)) and set(kept) <= set(lines)
    assert 100 <= len(kept) < len(lines)
    assert int(report.split()[1]) == len(lines) - len(kept)
    pipe.output.flush()
    pipe.output.write(LINE)
    assert pipe.read(len(LINE)) == LINE


def test_a_record_longer_than_the_pipe_arrives_whole(pipe: Pipe) -> None:
    long = os.urandom(1 << 20)
    pipe.output.write(long)
    pipe.output.write(LINE)

    assert pipe.read(len(long) + len(LINE)) == long + LINE


def test_a_flush_ends_though_nobody_reads(pipe: Pipe) -> None:
    for _ in range(10_000):
        pipe.output.write(LINE)

    assert not pipe.output.flush(0.05)


def test_a_reader_that_is_gone_stops_nothing() -> None:
    reader, writer = os.pipe()
    output = NonBlockingOutput(writer)
    os.close(reader)
    for _ in range(10):
        output.write(LINE)

    assert output.flush()
    output.close()
    os.close(writer)


def test_records_that_a_full_disk_did_not_take_are_counted_when_it_takes_some_again() -> None:
    with ExitStack() as files:
        full = files.enter_context(open("/dev/full", "wb"))
        output = NonBlockingOutput(full.fileno())
        for _ in range(3):
            output.write(LINE)
        reader, writer = os.pipe()
        os.dup2(writer, full.fileno())
        output.write(LINE)
        assert output.flush()
        os.close(writer)

        assert b"3 lines were lost" in os.read(reader, 65536)
        os.close(reader)


def test_prints_and_log_records_of_a_process_keep_their_order_and_its_exit_is_bounded() -> None:
    script = """
import logging, sys
from qmonus_lite import log, nonblocking_output
from qmonus_lite.clock import Clock
output = nonblocking_output.install()
log.configure(style="json", level="info", clock=Clock("UTC"), output=output)
for number in range(2000):
    print("printed", number, file=sys.stderr)
    logging.getLogger("x").info("logged %d", number)
logging.getLogger("x").info("%d", "no number")
print("done")
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        # It has written all of its records though none was read.
        assert process.stdout.readline() == b"done\n"
        lines = process.stderr.read().decode().splitlines()

    assert [line for line in lines if "printed" in line] == [f"printed {n}" for n in range(2000)]
    assert ['"logged' in line for line in lines[:4000:2]] == [False] * 2000
    assert ['"logged' in line for line in lines[1:4000:2]] == [True] * 2000
    assert any("TypeError" in line for line in lines[4000:])
