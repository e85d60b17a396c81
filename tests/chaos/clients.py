"""Clients: threads that send planned uploads to an APIGW and note what they are told."""

import http.client
import itertools
import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.planned_uploads import Behavior, PlannedUpload, UploadPlanner
from tests.chaos.record import End, Record, Upload

#: Seconds without an answer after which a client gives up.
PATIENCE = 20.0
#: Seconds after which a client comes back that nobody could serve.
LATER = 0.1
#: What the gate lets in.
WORD = {"X-Word": "open sesame"}
#: Makes `close` reset the connection.
_NO_LINGER = struct.pack("ii", 1, 0)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the clients of a trial share."""

    port: int
    #: Token of the local admin.
    token: str
    seed: int
    record: Record
    stop: threading.Event
    #: See `UploadPlanner`.
    meetings: Iterator[int] = field(default_factory=itertools.count)


class Client(threading.Thread):
    """One client; sends one file after the other over a kept connection."""

    def __init__(self, plan: Plan, number: int) -> None:
        super().__init__(name=f"client-{number}")
        self._plan = plan
        self._planner = UploadPlanner(plan.seed, number, plan.meetings)
        self._connection = http.client.HTTPConnection("127.0.0.1", plan.port, timeout=PATIENCE)

    def run(self) -> None:
        while not self._plan.stop.is_set():
            if self._connect():
                self._go(self._planner.next())
            else:
                self._plan.stop.wait(LATER / 2)
        self._connection.close()

    def _connect(self) -> bool:
        try:
            if self._connection.sock is None:
                self._connection.connect()
        except OSError:
            # Killed a moment ago; nothing was sent.
            return False
        return True

    def _go(self, planned: PlannedUpload) -> None:
        upload = Upload(
            tag=planned.content.tag,
            path=planned.path,
            size=len(planned.content.data),
            invited=planned.behavior is not Behavior.UNAUTHORIZED,
            began=time.monotonic(),
        )
        self._plan.record.begin(upload)
        try:
            self._send(planned)
        except OSError as error:
            self._break(upload, End.CUT, error)
            return
        if planned.breaks_off:
            self._leave(upload, planned.behavior)
            return
        try:
            self._take_answer(upload)
        except (OSError, http.client.HTTPException) as error:
            self._break(upload, End.UNKNOWN, error)
        except (ValueError, KeyError) as error:
            self._plan.record.faults.append(f"{upload.tag}: no usable receipt: {error!r}")

    def _send(self, planned: PlannedUpload) -> None:
        self._send_head(planned)
        data = memoryview(planned.content.data)[: planned.sent]
        step = len(data) // planned.pieces + 1
        for start in range(0, len(data), step):
            piece = data[start : start + step]
            if planned.chunked:
                self._connection.send(b"%x\r\n%b\r\n" % (len(piece), bytes(piece)))
            else:
                self._connection.send(piece)
        if planned.chunked and not planned.breaks_off:
            self._connection.send(b"0\r\n\r\n")

    def _send_head(self, planned: PlannedUpload) -> None:
        headers = {}
        if planned.behavior is not Behavior.UNAUTHORIZED:
            headers = {"X-Auth-Token": self._plan.token, **WORD}
        if planned.behavior is Behavior.ONLY_NEW:
            headers["If-None-Match"] = "*"
        if planned.chunked:
            headers["Transfer-Encoding"] = "chunked"
        else:
            headers["Content-Length"] = str(len(planned.content.data))
        self._connection.putrequest("PUT", f"{planned.path}?tag={planned.content.tag}")
        for name, value in headers.items():
            self._connection.putheader(name, value)
        self._connection.endheaders()

    def _leave(self, upload: Upload, behavior: Behavior) -> None:
        if behavior is Behavior.RESETS:
            self._connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self._connection.close()
        upload.end, upload.ended = End.ABORTED, time.monotonic()

    def _break(self, upload: Upload, end: End, error: Exception) -> None:
        """The connection broke, because its other end was killed: any other reason is a fault."""
        self._connection.close()
        upload.end = end
        if isinstance(error, TimeoutError):
            self._plan.record.faults.append(f"{upload.tag}: nothing came for {PATIENCE:g} s")
        else:
            upload.ended = time.monotonic()

    def _take_answer(self, upload: Upload) -> None:
        answer = self._connection.getresponse()
        body = answer.read()
        upload.ended, upload.status = time.monotonic(), answer.status
        if answer.status not in (200, 201):
            upload.end = End.REFUSED
            if answer.status == 503:
                self._plan.stop.wait(LATER)
            return
        upload.end = End.ACKNOWLEDGED
        receipt = json.loads(body)
        upload.event_id = receipt["event_id"]
        if _said(receipt) != (upload.path, upload.size, True, upload.status == 200):
            self._plan.record.faults.append(f"{upload.tag}: a wrong receipt: {receipt}")


def _said(receipt: dict[str, Any]) -> tuple[Any, ...]:
    return receipt["path"], receipt["bytes"], receipt["durable"], receipt["replaced"]
