"""The installations that the table is driven against, and what each row may leave in them."""

import base64
import hashlib
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.acceptance.edge.raw import Exchange, exchange, put
from tests.acceptance.edge.table import credentials, documents, messages, requests
from tests.acceptance.edge.table.row import Request, Ring
from tests.acceptance.harness import UPLOADED, UPLOADING, Installation
from tests.acceptance.process import until

#: Seconds that a body may be silent here.
STALL = 1.5
#: Seconds within which a plugin file that was dropped is loaded or refused, all of them together.
MAX_LOAD_SECONDS = 15.0

#: Writes down that it ran.
WORKER = """\
name: edge-message
event: {event}
script: |-
  async def handler(event, handle):
      with open({file!r}, "a") as record:
          record.write(event["path"] + "\\n")
"""
ROLES = """\
- name: team
  authorities: [{regex: /upload/team/, methods: [PUT]}, {regex: /-/plugins, methods: [PUT]}]
- name: reader
  authorities: [{regex: /, methods: [GET]}]
"""
ACCOUNT = "- {{username: {0}, roles: [{1}], api_key_hash: 'sha256:{2}', {3}}}\n"
#: Account, role, and until when.
ACCOUNTS = (
    ("alice", "team", ""),
    ("reader", "reader", ""),
    ("leaver", "team", ""),
    ("ended", "team", "created_at: '2020-01-01', expire_days: 1"),
)


class Edge:
    """An installation that writes down every event; a handler allows all uploads."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self._goods = 0
        self._ran = installation.folder / "ran"
        for event in (UPLOADING, UPLOADED):
            installation.record(event)
        installation.plugin("things.yml", documents.ROUTE + documents.FILES)
        text = WORKER.format(event=messages.EVENT, file=str(self._ran))
        installation.plugin("edge-message.yml", text)
        _furnish(installation.base / "upload", installation.folder)
        limits = (f"--max_upload_bytes={requests.MOST_UPLOAD}", f"--body_stall_timeout={STALL}")
        installation.up(*limits)

    def send(self, row: Request) -> Exchange:
        return exchange(
            self.installation.port,
            row.sent,
            answers=len(row.expected),
            to_end=row.closes,
            ends=row.ends,
        )

    @contextmanager
    def untouched(self, *, questions: int = 0) -> Iterator[None]:
        """What happens within leaves nothing, and the next good request is served.

        `questions` says how many more may have been asked.
        """
        stored, asked = self.installation.stored(), self.asked()
        yield
        until(lambda: self.installation.stored() == stored, report=self.installation.stored)
        good = self.send_good()
        news = self.asked()[len(asked) :]
        assert news[-1] == good
        assert len(news) <= 1 + questions
        assert (self.installation.base / "upload/file").read_bytes() == b"kept"

    def send_good(self) -> str:
        """The next good request; gives its path."""
        self._goods += 1
        path = f"/upload/good-{self._goods}"
        answer = exchange(self.installation.port, put(path), answers=1, to_end=False, ends=False)
        assert answer.statuses == (201,), answer.raw
        return path

    def asked(self) -> list[str]:
        """Paths of all questions so far."""
        return self._paths(UPLOADING)

    def told(self) -> list[str]:
        """Paths of all stored files that were told of so far."""
        return self._paths(UPLOADED)

    def _paths(self, event: str) -> list[str]:
        record = self.installation.folder / f"{event}.jsonl"
        lines = record.read_text().splitlines() if record.exists() else []
        return [json.loads(line)["path"] for line in lines]

    @property
    def secret(self) -> bytes:
        """What APIGW and workers share."""
        return base64.b64decode((self.installation.data / "event.key").read_text())

    def tell_worker(self, sent: bytes) -> tuple[int, ...]:
        """Statuses of what a worker answers."""
        port = self.installation.lambda_port
        return exchange(port, sent, answers=1, to_end=False, ends=False).statuses

    def ran(self) -> int:
        """How often the worker's own event was handled."""
        return len(self._ran.read_text().splitlines()) if self._ran.exists() else 0

    def plugins(self) -> Any:
        """What `/-/plugins` says."""
        return self.installation.curl("/-/plugins", token=self.installation.token).json

    def faulty(self) -> set[str]:
        """Names of the plugin files that are refused now."""
        return {name_of(fault) for fault in self.plugins()["faults"]}


def name_of(fault: Any) -> str:
    """The name of the file that a fault is in."""
    return str(fault["file"]).rpartition("/")[2]


def _furnish(upload: Path, outside: Path) -> None:
    """What stands in the way of some rows."""
    (upload / "folder").mkdir(parents=True)
    (upload / "file").write_bytes(b"kept")
    (upload / "link").symlink_to(outside)
    (upload / "dangling").symlink_to("nowhere")
    os.mkfifo(upload / "pipe")
    with socket.socket(socket.AF_UNIX) as bound:
        here = os.open(upload, os.O_RDONLY)
        # The name of a socket is short, wherever the tests run.
        bound.bind(f"/proc/self/fd/{here}/socket")
        os.close(here)


class Guarded:
    """An installation without a gate: the default authorization decides about uploads."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        installation.plugin("roles.yml", ROLES)
        keys = {name: credentials.new_key() for name, _, _ in ACCOUNTS}
        for name, role, end in ACCOUNTS:
            digest = hashlib.sha256(keys[name].encode()).hexdigest()
            installation.plugin(f"{name}.yml", ACCOUNT.format(name, role, digest, end))
        installation.up("--trusted_proxies=127.0.0.1")
        self.ring = Ring(
            secret=base64.b64decode((installation.data / "token.key").read_text()),
            key=keys["alice"],
            token=installation.log_on(keys["alice"]),
            reader=installation.log_on(keys["reader"]),
            revoked=installation.log_on(keys["leaver"]),
            ended=keys["ended"],
        )
        (installation.plugins / "leaver.yml").unlink()
        until(lambda: self.put(self.ring.revoked).statuses == (401,))
        self.put(self.ring.token)

    def send(self, sent: bytes, answers: int = 1) -> Exchange:
        port = self.installation.port
        return exchange(port, sent, answers=answers, to_end=False, ends=False)

    def put(self, token: str) -> Exchange:
        """An upload of alice's."""
        return self.send(put("/upload/team/good", f"X-Auth-Token: {token}"))
