"""A real installation: a launch directory, plugins, ports, and the processes that serve them."""

import json
import re
import ssl
import subprocess
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.acceptance.curl import Answer, curl
from tests.acceptance.process import QMONUS_LITE, SOON, TOP, Running, environment, free_port, until

#: The founding page, where this checkout has it beside it.
SEED = TOP.parent / "shared" / "seed"

UPLOADING, UPLOADED = "APIGW.OnFileUploading", "APIGW.OnFileUploaded"

RECORDER = """\
name: a-recorder-of-{event}
event: {event}
script: |-
  async def recorder(event, handle):
      with open({file!r}, "a") as record:
          record.write(json.dumps(event) + "\\n")
"""


class Installation:
    """One installation; nothing runs before `up` or `start`."""

    def __init__(self, folder: Path, *, scheme: str = "http") -> None:
        #: For what a test keeps beside the launch directory.
        self.folder = folder
        #: The launch directory.
        self.base = folder / "base"
        self.plugins = self.base / "plugins"
        self.plugins.mkdir(parents=True)
        self.data = self.base / ".qmonus-lite"
        self.port, self.lambda_port = free_port(), free_port()
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        self.environ = environment(folder)
        self._processes: list[Running] = []

    def plugin(self, name: str, text: str) -> Path:
        """Put a plugin file in place."""
        place = self.plugins / name
        place.write_text(text, encoding="utf-8")
        return place

    def file(self, name: str, content: bytes) -> Path:
        """A file to upload."""
        place = self.folder / "files" / name
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(content)
        return place

    # Processes

    @property
    def own_flags(self) -> tuple[str, ...]:
        """What tells this installation's processes from all others."""
        ports = (f"--port={self.port}", f"--lambda_port={self.lambda_port}")
        return (f"--base_dir={self.base}", *ports)

    def start(self, command: str, *flags: str, within: Sequence[str] = ()) -> Running:
        """Start a command that serves, it need not be ready yet; `within` is what runs it."""
        running = Running(
            [*within, *QMONUS_LITE, command, *self.own_flags, *flags],
            cwd=self.base,
            environ=self.environ,
            output=self.folder / f"{command}-{len(self._processes)}",
        )
        self._processes.append(running)
        return running

    def up(self, *flags: str, within: Sequence[str] = ()) -> Running:
        """Start `up` and wait until it is ready."""
        running = self.start("up", *flags, within=within)
        until(lambda: self.ready or running.ended, report=lambda: self.log)
        assert not running.ended, running.stderr
        return running

    def pids(self, command: str) -> list[int]:
        """Process ids of what runs this command for `up`."""
        found = [running.children.get(command) for running in self._processes]
        return [pid for pid in found if pid is not None]

    def run(self, *words: str, within: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        """Run a command to its end beside the launch directory; `within` is what runs it."""
        return subprocess.run(
            [*within, *QMONUS_LITE, *words],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=SOON,
            check=False,
        )

    def end(self) -> None:
        """See all its processes gone."""
        for running in self._processes:
            running.end()

    @property
    def live(self) -> bool:
        return self._answers_200("/-/live")

    @property
    def ready(self) -> bool:
        return self._answers_200("/-/ready")

    @property
    def log(self) -> str:
        """What all processes wrote to standard error, but for the questions of `until`."""
        lines = self.everything.splitlines(keepends=True)
        return "".join(line for line in lines if "GET /-/" not in line)

    @property
    def everything(self) -> str:
        """All of it."""
        return "".join(running.stderr for running in self._processes)

    # Requests

    @property
    def token(self) -> str:
        """The token of the local admin."""
        return (self.data / "admin.token").read_text().strip()

    def account(self, name: str, role: str) -> str:
        """A new account, made by the real command; gives its API key."""
        base = f"--base_dir={self.base}"
        added = self.run("account", "add", name, f"--roles={role}", base)
        key = re.search(r"qml_\S+", added.stdout)
        assert added.returncode == 0 and key, added.stderr
        return key[0]

    def log_on(self, key: str) -> str:
        """A token for an API key."""
        answer = self.curl("/-/logon", "-X", "POST", "-H", f"X-API-Key: {key}")
        assert answer.status == 200, answer.text
        return str(answer.json["token"])

    def curl(
        self, path: str, *arguments: str | Path, token: str | None = None, stdin: bytes = b""
    ) -> Answer:
        """A request by curl."""
        header = ("-H", f"X-Auth-Token: {token}") if token else ()
        return curl(*arguments, *header, self.url + path, environ=self.environ, stdin=stdin)

    def upload(
        self, file: Path, path: str, *arguments: str | Path, token: str | None = None
    ) -> Answer:
        """`curl -T`."""
        return self.curl(path, "-T", file, *arguments, token=token)

    # What came of it

    def stored(self) -> list[str]:
        """Everything on disk that uploads put there, staged files included."""
        staging = self.data / "staging"
        return sorted(
            str(path.relative_to(self.base))
            for path in self.base.rglob("*")
            if staging in path.parents or not {self.plugins, self.data} & {path, *path.parents}
        )

    def record(self, event: str) -> None:
        """Have every event of this name written down, by a plugin that stands first in the row."""
        self.plugin(f"record-{event}.yml", RECORDER.format(event=event, file=self._record(event)))

    def recorded(self, event: str, path: str) -> dict[str, Any]:
        """The first event of this name and path that was written down, as soon as it is."""
        return self.recordings(event, path, 1)[0]

    def recordings(self, event: str, path: str, count: int) -> list[dict[str, Any]]:
        """The events of this name and path in their order, as soon as there are so many."""
        found: list[dict[str, Any]] = []

        def came() -> bool:
            record = Path(self._record(event))
            lines = record.read_text().splitlines() if record.exists() else []
            found[:] = [event for event in map(json.loads, lines) if event["path"] == path]
            return len(found) >= count

        until(came, report=lambda: self.log)
        return found

    def _record(self, event: str) -> str:
        return str(self.folder / f"{event}.jsonl")

    def _answers_200(self, path: str) -> bool:
        # Its certificate, if it has one, is for the tests that are about it.
        context = ssl._create_unverified_context()
        try:
            with urllib.request.urlopen(self.url + path, timeout=5, context=context) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False
