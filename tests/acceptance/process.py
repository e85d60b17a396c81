"""Processes that tests start: what they say, how they end, and how long one waits for anything."""

import itertools
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

TOP = Path(__file__).parents[2]
#: The command, by the Python that runs the tests.
QMONUS_LITE = (sys.executable, "-m", "qmonus_lite")
#: The same as `up` starts it.
CHILD = (sys.executable, "-Pm", "qmonus_lite")
#: Seconds for what should happen soon; a busy machine takes longer, but never this long.
SOON = 20.0


def environment(home: Path) -> dict[str, str]:
    """What processes of a test start with: nothing that the person at the machine has set."""
    kept = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
    # No test reaches a server of the Internet, and aiohttp loads the certificates of all public
    # authorities twice while it is imported: a fifth of the start of a process.
    no_authorities = {"SSL_CERT_FILE": os.devnull, "SSL_CERT_DIR": os.devnull}
    own = {"HOME": str(home), "LANG": "C.UTF-8", "PYTHONPATH": str(TOP)}
    return kept | no_authorities | own


def _candidates() -> Iterator[int]:
    """Ports below those that the kernel assigns by itself, from a random one upwards.

    Each worker of pytest-xdist has a range of its own and no port comes twice before all have come,
    so that no two tests choose one port before one of them listens on it.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    ports = range(10_000 + worker % 8 * 2_700, 10_000 + (worker % 8 + 1) * 2_700)
    start = random.randrange(len(ports))
    return itertools.cycle((*ports[start:], *ports[:start]))


_PORTS = _candidates()


def free_port() -> int:
    """A port of 127.0.0.1 on which nothing listens."""
    for port in _PORTS:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("unreachable: the candidates never end")


def listens(port: int) -> bool:
    """Whether anything listens on this port."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def until(
    condition: Callable[[], object],
    *,
    within: float = SOON,
    report: Callable[[], object] = lambda: "",
) -> None:
    """Wait for it; a test that waits in vain fails, and shows what `report` gives."""
    end = time.monotonic() + within
    while not condition():
        assert time.monotonic() < end, f"not so after {within:g} s: {report()}"
        time.sleep(0.03)


def runs(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def processes_with(argument: str) -> list[int]:
    """Ids of all processes that were started with this argument."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if argument in place.read_text(errors="replace").split("\0"):
                found.append(int(place.parent.name))
    return found


def open_files(pid: int) -> list[str]:
    """What the descriptors of a process lead to; it may close some while they are looked at."""
    found = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            found.append(os.readlink(descriptor))
    return found


def connections(pid: int, port: int) -> int:
    """Connections of clients that a process holds at its port."""
    own = set(open_files(pid))
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    at_port = [row for row in rows if row[1].endswith(f":{port:04X}") and row[3] != "0A"]
    return sum(f"socket:[{row[9]}]" in own for row in at_port)


class Running:
    """A process that a test started, and what it says."""

    def __init__(
        self, argv: Sequence[str], *, cwd: Path, environ: Mapping[str, str], output: Path
    ) -> None:
        """Start it; what it says goes to files that begin like `output`."""
        self._out, self._err = output.with_suffix(".out"), output.with_suffix(".err")
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._process = subprocess.Popen(
                argv,
                cwd=cwd,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                # A group of its own, to send it what a terminal would; a Ctrl-C that ends the
                # tests is for them alone.
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def stdout(self) -> str:
        return self._out.read_text(errors="replace")

    @property
    def stderr(self) -> str:
        return self._err.read_text(errors="replace")

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    @property
    def children(self) -> dict[str, int]:
        """Process ids of the children by the command that each one runs: `apigw`, `lambda`."""
        return dict(self.all_children)

    @property
    def all_children(self) -> list[tuple[str, int]]:
        """Commands and process ids of the children, also of several that run one command."""
        found = []
        with suppress(OSError):
            for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split():
                words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
                # Between fork and exec it still is its parent's double.
                # A child of strace is started as the tests start it.
                if words[: len(CHILD)] in ([*CHILD], [*QMONUS_LITE]):
                    found.append((words[len(CHILD)], int(pid)))
        return found

    def send(self, number: signal.Signals) -> None:
        """Send a signal to this process alone."""
        self._process.send_signal(number)

    def wait(self) -> int:
        """The exit status."""
        return self._process.wait(SOON)

    def stop(self) -> int:
        """Ask it to stop; gives the exit status."""
        self.send(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self.wait()

    def end(self) -> None:
        """See it and its children gone, in whatever state they are."""
        children = [pid for _, pid in self.all_children]
        with suppress(subprocess.TimeoutExpired):
            self.send(signal.SIGCONT)
            self.stop()
        self.kill()
        with suppress(AssertionError):
            until(lambda: not any(map(runs, children)), within=5)
        for pid in filter(runs, children):
            os.kill(pid, signal.SIGKILL)
