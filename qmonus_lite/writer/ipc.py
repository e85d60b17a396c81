"""IPC between an APIGW and the writer process: framing over a Unix domain socket.

A frame is the length of a message (4 bytes, big endian) and the message. The socket is in the data
directory, which only the user of both processes can enter.
"""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

from qmonus_lite.errors import BadResource
from qmonus_lite.writer.messages import MAX_MESSAGE_BYTES, BadMessage

logger = logging.getLogger(__name__)

#: File name of the socket in the data directory.
SOCKET = "writer.sock"
#: Bytes of the length prefix of a frame.
_LENGTH = 4


class Frames(asyncio.Protocol):
    """One end of the connection: length-prefixed messages."""

    def __init__(self, receive: Callable[[memoryview], None], lost: Callable[[], None]) -> None:
        """`receive` gets each message; if it raises BadMessage, the connection is closed.

        `lost` is called once the connection is closed, by either side.
        """
        self._receive = receive
        self._lost = lost
        self._buffer = bytearray()
        #: Frames to send at the end of this iteration of the event loop.
        self._outgoing: list[bytes] = []
        self._transport: asyncio.Transport | None = None

    def send(self, message: bytes) -> None:
        """Send a message; dropped if the connection is lost, which `lost` reports."""
        if self._transport is not None:
            if not self._outgoing:
                asyncio.get_running_loop().call_soon(self._flush)
            self._outgoing += (len(message).to_bytes(_LENGTH, "big"), message)

    def _flush(self) -> None:
        outgoing, self._outgoing = self._outgoing, []
        if outgoing and self._transport is not None:
            self._transport.write(b"".join(outgoing))

    def close(self) -> None:
        """Flush and close the connection."""
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport."""
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        """Report the disconnect to `lost`."""
        self._transport = None
        self._lost()

    def data_received(self, data: bytes) -> None:
        """Pass the complete messages to `receive`."""
        self._buffer += data
        try:
            self._read_frames()
        except BadMessage as error:
            extra = {"action": "writer_message_malformed"}
            logger.error("malformed message, connection closed: %s", error, extra=extra)
            self.close()

    def _read_frames(self) -> None:
        view, start = memoryview(self._buffer), 0
        while (begin := start + _LENGTH) <= len(view):
            size = int.from_bytes(view[start:begin], "big")
            if size > MAX_MESSAGE_BYTES:
                raise BadMessage(f"{size} bytes; at most {MAX_MESSAGE_BYTES} are allowed")
            if begin + size > len(view):
                break
            start = begin + size
            self._receive(view[begin:start])
        if start:
            # A new buffer, since messages may refer to the old one.
            self._buffer = bytearray(view[start:])


@contextlib.contextmanager
def reachable(data_dir: Path) -> Iterator[str]:
    """A short path of the socket, independent of the length of the directory's path.

    The address of a Unix domain socket has at most 108 bytes (`sun_path`).
    """
    directory = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{SOCKET}"
    finally:
        os.close(directory)


def listening(data_dir: Path) -> socket.socket:
    """The listening socket of the writer process; replaces a stale socket file.

    The caller holds the lock of the data directory. Raises BadResource.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        (data_dir / SOCKET).unlink(missing_ok=True)
        with reachable(data_dir) as address:
            listener.bind(address)
    except OSError as error:
        listener.close()
        raise BadResource(
            f"--data_dir={data_dir}: no socket can be made here: {error.strerror};"
            " choose a directory on a local file system, or --apigw_processes=1"
        ) from None
    listener.listen()
    return listener


def connected(data_dir: Path) -> socket.socket:
    """A connection to the writer process; raises OSError if it does not listen."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with reachable(data_dir) as address:
            connection.connect(address)
    except OSError:
        connection.close()
        raise
    connection.setblocking(False)
    return connection
