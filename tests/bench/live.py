"""How the loop fares under large uploads: `/-/live` asked all the time, and fairness among them."""

import http.client
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.bench import load, peers
from tests.bench.figures import (
    Figure,
    Row,
    Target,
    Unavailable,
    middle,
    percentile,
    without_omission,
)
from tests.bench.large import DIGEST
from tests.bench.peers import Starting
from tests.bench.run_settings import RunSettings, gib
from tests.bench.server import Server, qmonus_lite

_UPLOADS = 8
#: Seconds between two questions.
_EVERY = 0.01
_PATIENCE = 600
#: Hashes as many bytes as the large upload has, on a lane of the worker.
_HASHING = """\
name: hashing
event: APIGW.OnFileUploaded
script: |-
  import hashlib

  async def hashing(event, handle):
      if event["path"].endswith("/hash-now"):
          block = bytes(1 << 20)
          digest = hashlib.sha256()
          for _ in range({mib}):
              digest.update(block)
"""


@dataclass(frozen=True, kw_only=True)
class Round:
    """What one round found, in seconds."""

    waits: list[float]
    uploads: list[float]
    #: The large upload beside them, if there was one.
    large: float | None

    @property
    def unfairness(self) -> float:
        """The slowest of the equal uploads in units of the fastest."""
        return max(self.uploads) / min(self.uploads)


def eight(settings: RunSettings) -> Row:
    """Eight uploads at once, nothing beside them, ours and nginx in turn."""
    starts: dict[str, Starting] = {"ours": _own_server(settings), "nginx": peers.nginx}
    notes: list[str] = []
    rounds = measure(settings, starts, notes)
    return Row(
        key="live",
        title=f"{_UPLOADS} x {gib(settings.size // _UPLOADS)} at once, tmpfs, `none` durability,"
        " `/-/live` asked every 10 ms",
        rounds=settings.rounds,
        figures=(
            *_figures("ours", rounds["ours"], Target(limit=20), Target(limit=1.5)),
            *(_figures("nginx", rounds["nginx"], None, None) if "nginx" in rounds else ()),
        ),
        notes=tuple(notes),
    )


def busy(settings: RunSettings) -> Row:
    """The same while a larger upload is summed up and a script hashes."""
    found = measure(settings, {"ours": _own_server(settings)}, [], is_busy=True)["ours"]
    large = [round_.large for round_ in found if round_.large is not None]
    return Row(
        key="live-busy",
        title=f"the same, and one upload of {gib(settings.size)} with SHA-256, and a script that"
        f" hashes {gib(settings.size)}",
        rounds=settings.rounds,
        figures=(
            *_figures("ours", found, None, None),
            middle("wall of the larger one", large, "s"),
        ),
    )


def _own_server(settings: RunSettings) -> Starting:
    @contextmanager
    def start(folder: Path) -> Iterator[Server]:
        flags = ("--upload_durability=none", "--min_free_bytes=0")
        plugins = {"hashing.yml": _HASHING.format(mib=settings.size >> 20)}
        with qmonus_lite(folder, *flags, plugins=plugins) as server:
            yield server

    return start


def measure(
    settings: RunSettings, starts: dict[str, Starting], notes: list[str], *, is_busy: bool = False
) -> dict[str, list[Round]]:
    """Rounds in turn, A B A B, after one that is not counted."""
    folder = settings.tmpfs("live", files=4)
    file, large = settings.source(settings.size // _UPLOADS), settings.source(settings.size)
    found: dict[str, list[Round]] = {}
    with ExitStack() as stack:
        servers = {}
        for name, start in starts.items():
            (folder / name).mkdir()
            try:
                servers[name] = stack.enter_context(start(folder / name))
            except Unavailable as error:
                notes.append(f"{name} is not measured: {error}")
        for number in range(settings.rounds + 1):
            for name, server in servers.items():
                round_ = _round(server, file, large if is_busy else None)
                if number:
                    found.setdefault(name, []).append(round_)
    return found


def _round(server: Server, file: Path, large: Path | None) -> Round:
    commands = [
        load.curl(f"{server.url}{number}.bin", file, *server.headers) for number in range(_UPLOADS)
    ]
    if large is not None:
        # The event of this one starts the script.
        load.put_file(server, "hash-now", _nothing(file))
        commands.append(load.curl(f"{server.url}large.bin", large, *server.headers, DIGEST))
    with _asking(server) as waits:
        times = _together(commands)
    server.rest()
    for path in server.files.rglob("*.bin"):
        path.unlink()
    return Round(
        waits=without_omission(waits, _EVERY),
        uploads=times[:_UPLOADS],
        large=times[_UPLOADS] if large is not None else None,
    )


def _nothing(file: Path) -> Path:
    empty = file.with_name("empty")
    empty.touch()
    return empty


def _together(commands: Sequence[Sequence[str]]) -> list[float]:
    """Run them at once; gives the seconds that each says it took."""
    started = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for command in commands
    ]
    times = []
    try:
        for process in started:
            output, complaint = process.communicate(timeout=_PATIENCE)
            if process.returncode:
                raise Unavailable(f"an upload failed: {complaint.strip()}")
            times.append(float(output.rpartition("time:")[2]))
    finally:
        for process in started:
            process.kill()
            process.wait()
    return times


@contextmanager
def _asking(server: Server) -> Iterator[list[float]]:
    """Ask `/-/live` all the time; gives the seconds of each answer, complete at the end."""
    waits: list[float] = []
    done = threading.Event()
    thread = threading.Thread(target=_ask, args=(server.url, waits, done))
    thread.start()
    try:
        yield waits
    finally:
        done.set()
        thread.join()
    if not waits:
        raise Unavailable(f"{server.name} did not answer /-/live")


def _ask(url: str, waits: list[float], done: threading.Event) -> None:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(str(parts.hostname), int(parts.port or 0), timeout=20)
    try:
        while not done.is_set():
            started = time.monotonic()
            connection.request("GET", "/-/live")
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                raise OSError(f"/-/live gave {answer.status}")
            waits.append(time.monotonic() - started)
            done.wait(max(0.0, started + _EVERY - time.monotonic()))
    except (OSError, http.client.HTTPException):
        # What was seen until now is not the whole; who waits for it finds nothing.
        waits.clear()
    finally:
        connection.close()


def _figures(
    name: str, rounds: Sequence[Round], late: Target | None, unfair: Target | None
) -> list[Figure]:
    def over_rounds(share: float) -> list[float]:
        return [percentile(round_.waits, share) * 1000 for round_ in rounds]

    longest = max(max(round_.waits) for round_ in rounds) * 1000
    apart = [round_.unfairness for round_ in rounds]
    uploads = [seconds for round_ in rounds for seconds in round_.uploads]
    return [
        middle(f"/-/live p99, {name}", over_rounds(0.99), "ms", late),
        middle(f"/-/live p50, {name}", over_rounds(0.5), "ms"),
        Figure(name=f"/-/live longest of all, {name}", value=longest, unit="ms"),
        middle(f"slowest upload / fastest, {name}", apart, "×", unfair),
        middle(f"wall of one upload, {name}", uploads, "s"),
    ]
