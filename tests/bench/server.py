"""Servers under load: started on a free port of 127.0.0.1, ended by process id."""

import os
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

from tests.acceptance.process import TOP, free_port
from tests.bench.figures import Unavailable
from tests.certificate import make_certificate

#: Seconds that a server has to begin to answer, and to end.
START = 30.0
#: Seconds that a server may work on after a load, and the share of a processor that counts as rest.
_REST, _AT_REST = 60.0, 0.05
_ANY_CERTIFICATE = ssl._create_unverified_context()
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, kw_only=True)
class Server:
    """One server that runs."""

    name: str
    #: Where uploads go; ends with a slash.
    url: str
    #: The process that was started; it may have children.
    pid: int
    #: Where uploaded files are found.
    files: Path
    token: str | None = None
    #: Whether it speaks tus and no plain PUT.
    is_tus: bool = False
    #: The certificate that a client of TLS has to trust.
    certificate: Path | None = None

    @property
    def headers(self) -> tuple[str, ...]:
        """What a client has to send."""
        return (f"X-Auth-Token: {self.token}",) if self.token else ()

    @property
    def cpu(self) -> float:
        """Processor seconds that its processes, and those that they saw end, have used."""
        used = 0
        for pid in family(self.pid):
            with suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
                used += sum(map(int, fields[11:15]))
        return used / _TICKS

    def rest(self) -> float:
        """Wait until it has nothing left to do; gives the seconds that took."""
        started = time.monotonic()
        while time.monotonic() < started + _REST:
            before = self.cpu
            time.sleep(0.2)
            if self.cpu - before <= 0.2 * _AT_REST:
                break
        return max(0.0, time.monotonic() - started - 0.2)


GATE = """\
name: gate
event: APIGW.OnFileUploading
script: |-
  async def gate(event, handle):
      if not event["headers"].get("X-Auth-Token"):
          await handle.terminate(code=401, output="Unauthorized")
"""
AFTER = """\
name: after
event: APIGW.OnFileUploaded
script: |-
  async def after(event, handle):
      pass
"""


def family(pid: int) -> list[int]:
    """The process and all that descend from it."""
    found = [pid]
    for place in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in place.read_text().split():
                found += family(int(child))
    return found


def is_up(url: str) -> bool:
    """Whether anything answers there, with any status and any certificate."""
    try:
        with urlopen(url, timeout=5, context=_ANY_CERTIFICATE):
            return True
    except HTTPError:
        return True
    except OSError:
        return False


@contextmanager
def running(
    argv: Sequence[str | Path], folder: Path, ready: Callable[[], bool], environ: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that answers; what it says goes to a file in the folder."""
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            argv, cwd=folder, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        deadline = time.monotonic() + START
        while not ready():
            if process.poll() is not None or time.monotonic() > deadline:
                output = (folder / "log").read_text(errors="replace").replace(str(folder), "…")
                last = " / ".join(output.strip().splitlines()[-3:])
                raise Unavailable(f"{Path(argv[0]).name} did not start: {last}")
            time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(START)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def qmonus_lite(
    folder: Path,
    *flags: str,
    plugins: Mapping[str, str] | None = None,
    name: str = "qmonus_lite",
    tls: bool = False,
) -> Iterator[Server]:
    """Our own `up`, with these plugins, logging to a file as it does by default."""
    (folder / "plugins").mkdir(parents=True, exist_ok=True)
    for file, text in (plugins or {}).items():
        (folder / "plugins" / file).write_text(text)
    port = free_port()
    url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    certificate, key = make_certificate(folder) if tls else (None, None)
    if tls:
        flags = (*flags, f"--certfile={certificate}", f"--keyfile={key}")
    argv = [sys.executable, "-m", "qmonus_lite", "up", f"--base_dir={folder}", f"--port={port}"]
    argv += [f"--lambda_port={free_port()}", *flags]
    kept = {key: value for key, value in os.environ.items() if not key.startswith("QMONUS_LITE_")}
    environ = kept | {"PYTHONPATH": str(TOP)}
    with running(argv, folder, lambda: _is_ready(url), environ) as process:
        yield Server(
            name=name,
            url=f"{url}/upload/",
            pid=process.pid,
            files=folder / "upload",
            token=(folder / ".qmonus-lite" / "admin.token").read_text().strip(),
            certificate=certificate,
        )


def apigw_of(server: Server) -> int:
    """The process that takes the bytes, one of the children of `up`."""
    for pid in family(server.pid):
        if b"apigw" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
            return pid
    raise Unavailable("`up` has no child that runs `apigw`")


def _is_ready(url: str) -> bool:
    try:
        with urlopen(f"{url}/-/ready", timeout=5, context=_ANY_CERTIFICATE) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
