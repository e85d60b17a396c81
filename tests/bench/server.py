"""Servers under load: started on a free port of 127.0.0.1, ended by process id."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from tests.acceptance.process import TOP, free_port

#: Seconds that a server has to begin to answer.
START = 30.0
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, kw_only=True)
class Server:
    """One server that runs."""

    name: str
    #: Where uploads go; ends with a slash.
    url: str
    pids: tuple[int, ...]
    token: str | None = None

    @property
    def cpu(self) -> float:
        """Processor seconds that its processes have used."""
        used = 0
        for pid in self.pids:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
            used += int(fields[11]) + int(fields[12])
        return used / _TICKS


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


@contextmanager
def running(
    argv: Sequence[str | Path], folder: Path, is_up: Callable[[], bool], environ: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that answers; what it says goes to a file in the folder."""
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            argv, cwd=folder, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        deadline = time.monotonic() + START
        while not is_up():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((folder / "log").read_text(errors="replace")[-2000:])
            time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def qmonus_lite(
    folder: Path, *flags: str, plugins: Mapping[str, str] | None = None, name: str = "qmonus_lite"
) -> Iterator[Server]:
    """Our own `up`, with these plugins."""
    (folder / "plugins").mkdir(parents=True, exist_ok=True)
    for file, text in (plugins or {}).items():
        (folder / "plugins" / file).write_text(text)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    argv = [sys.executable, "-m", "qmonus_lite", "up", f"--base_dir={folder}", f"--port={port}"]
    argv += [f"--lambda_port={free_port()}", "--log_level=warning", *flags]
    environ = os.environ | {"PYTHONPATH": str(TOP)}
    with running(argv, folder, lambda: _answers(f"{url}/-/ready"), environ) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        token = (folder / ".qmonus-lite" / "admin.token").read_text().strip()
        pids = (process.pid, *map(int, children))
        yield Server(name=name, url=f"{url}/upload/", pids=pids, token=token)


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
