"""A machine of its own, as far as the network can tell: a namespace that can vanish."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

TOP = Path(__file__).parents[2]

#: Why there can be none here, or None.
UNABLE = (
    "network namespaces take root"
    if os.geteuid() != 0
    else None
    if shutil.which("ip")
    else "the command ip (Debian: iproute2) is not here"
)


class Machine:
    """A network namespace, joined by a cable to the one of this process."""

    #: Numbers of machines of this process; each has addresses of its own, or those of another.
    made = 0

    def __init__(self, subnet: int) -> None:
        """Make it; raises CalledProcessError where the kernel does not let us."""
        Machine.made += 1
        self.name = f"qml{os.getpid()}-{Machine.made}"
        self._cable = f"q{os.getpid() % 100_000}x{Machine.made}"
        #: Addresses of this side and of the machine.
        self.here, self.address = f"10.213.{subnet}.1", f"10.213.{subnet}.2"
        self._processes: list[subprocess.Popen[bytes]] = []
        _ip("netns", "add", self.name)
        try:
            inside = ("peer", "name", "eth0", "netns", self.name)
            _ip("link", "add", self._cable, "type", "veth", *inside)
            _ip("addr", "add", f"{self.here}/30", "dev", self._cable)
            _ip("link", "set", self._cable, "up")
            _ip("-n", self.name, "addr", "add", f"{self.address}/30", "dev", "eth0")
            _ip("-n", self.name, "link", "set", "eth0", "up")
            _ip("-n", self.name, "link", "set", "lo", "up")
        except subprocess.CalledProcessError:
            self.end()
            raise

    def run(self, *words: str, environ: Mapping[str, str], output: Path) -> None:
        """Start a command of ours there."""
        with output.open("wb") as out:
            process = subprocess.Popen(
                ["ip", "netns", "exec", self.name, sys.executable, "-m", "qmonus_lite", *words],
                env={**environ, "PYTHONPATH": str(TOP)},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        self._processes.append(process)

    def vanish(self) -> None:
        """Lose it as by a power cut: no word of its connections gets out."""
        _ip("-n", self.name, "link", "set", "eth0", "down")
        self._end_processes()

    def unplug(self) -> None:
        """Take the cable away, so that another machine can have the addresses."""
        _ip("link", "del", self._cable)

    def end(self) -> None:
        """Remove it."""
        self._end_processes()
        for words in (("link", "del", self._cable), ("netns", "del", self.name)):
            subprocess.run(["ip", *words], check=False, stderr=subprocess.DEVNULL)

    def _end_processes(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
        self._processes.clear()


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)
