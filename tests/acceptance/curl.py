"""curl as people use it, and what came of one call."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesHeaderParser
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What curl got, and gave."""

    status: int
    #: Names in any case.
    headers: Message
    body: bytes
    #: Bytes of the request's body that curl sent.
    sent: int

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def curl(*arguments: str | Path, environ: Mapping[str, str], stdin: bytes = b"") -> Answer:
    """Run curl; whatever the answer, curl itself has to be content with it."""
    with TemporaryDirectory() as folder:
        head, body = Path(folder, "head"), Path(folder, "body")
        body.touch()
        done = subprocess.run(
            ["curl", "-sS", "--noproxy", "*", "--max-time", "120"]
            + ["-D", head, "-o", body, "-w", "%{http_code} %{size_upload}", *arguments],
            env=environ,
            input=stdin,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        status, sent = done.stdout.split()
        return Answer(
            status=int(status),
            headers=_last_head(head.read_bytes()),
            body=body.read_bytes(),
            sent=int(sent),
        )


def _last_head(raw: bytes) -> Message:
    """The header fields of the final answer; a `100 Continue` stands before it."""
    last = raw.rstrip(b"\r\n").rpartition(b"\r\n\r\n")[2]
    return BytesHeaderParser().parsebytes(last.partition(b"\r\n")[2])
