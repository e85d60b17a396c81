"""A program that sits on a worker's port: it says what it handles, and then answers as it is told.

It knows the secret of the installation, so that an answer may be wrong in one thing alone.
"""

import base64
import json
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from standardwebhooks import Webhook

from tests.acceptance.harness import UPLOADING

#: Makes `close` reset the connection.
_NO_LINGER = struct.pack("ii", 1, 0)


@dataclass(frozen=True, kw_only=True)
class Question:
    """One question, on the connection that it came over."""

    connection: socket.socket
    path: str
    #: By lower-case name.
    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def event(self) -> dict[str, Any]:
        """What handlers would see."""
        return dict(json.loads(self.body)["data"])

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def reset(self) -> None:
        """End the connection as a process does that is killed with something unread."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self.connection.close()


Answering = Callable[[Question], None]


def head(length: int, headers: Mapping[str, str], status: str = "200 OK") -> bytes:
    """The head of an answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {length}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def signed(key: bytes, message_id: str, body: bytes, at: datetime | None = None) -> dict[str, str]:
    """Headers that sign an answer."""
    at = at or datetime.now(UTC)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(key).sign(message_id, at, body.decode()),
    }


def report(outcome: object) -> bytes:
    """The body of an answer."""
    value = {"handles": [UPLOADING], "generation": "1", "outcome": outcome, "protocol": 2}
    return json.dumps(value).encode()


def allowing(question: Question, **other: object) -> bytes:
    """The body that lets an upload in, but for what is given."""
    outcome = {"code": 200, "output": None, "event": question.event, "handlers": ["gate"]}
    return report(outcome | other)


class FakeWorker:
    """Listens on a port and answers questions by `answering`, one thread a connection."""

    def __init__(self, port: int, event_key: str) -> None:
        self.key = base64.b64decode(event_key)
        #: How a question about an upload is answered.
        self.answering: Answering = self.allow
        #: Questions about uploads that came.
        self.asked = 0
        self._ended = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", port))
        self._connections: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def allow(self, question: Question) -> None:
        """Answer as an honest worker does that lets everything in."""
        self.say(question, allowing(question))

    def say(self, question: Question, body: bytes) -> None:
        """Send a body, truly signed."""
        question.send(head(len(body), signed(self.key, question.id, body)) + body)

    def stop_listening(self) -> None:
        """Take no more connections; those that are there stay."""
        with suppress(OSError):
            # Closing alone does not wake the thread that waits in `accept`.
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def end(self) -> None:
        """Hang up everywhere."""
        self._ended.set()
        self.stop_listening()
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for connection in self._connections:
            connection.close()

    def wait_for_end(self, seconds: float) -> None:
        """Do nothing for so long, or until the end."""
        self._ended.wait(seconds)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError):
            while question := _read(connection):
                if question.path == "/events/handles":
                    self._say_what_is_handled(question)
                elif question.path == "/events/deliver":
                    self.allow(question)
                else:
                    self.asked += 1
                    self.answering(question)

    def _say_what_is_handled(self, question: Question) -> None:
        known = json.loads(question.body)
        if known["known"] == "1":
            self.wait_for_end(known["wait"])
        self.say(question, report(None))


def _read(connection: socket.socket) -> Question | None:
    """The next question, or None at the end."""
    data = b""
    while b"\r\n\r\n" not in data:
        if not (more := connection.recv(1 << 16)):
            return None
        data += more
    first, *lines = data.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    fields = (line.partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in fields}
    body = data.partition(b"\r\n\r\n")[2]
    while len(body) < int(headers["content-length"]):
        if not (more := connection.recv(1 << 16)):
            return None
        body += more
    return Question(connection=connection, path=first.split()[1], headers=headers, body=body)
