"""What figures were measured on and against: the machine, and the versions of all programs."""

import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from tests.acceptance.process import TOP
from tests.bench import peers
from tests.bench.figures import Unavailable
from tests.bench.run_settings import RunSettings, file_system, sync_time

_PACKAGES = ("tornado", "wsgidav", "cheroot", "copyparty")
_COMMANDS = {
    "nginx": ("-v",),
    "curl": ("--version",),
    "wrk": ("-v",),
    "node": ("--version",),
}


def machine() -> dict[str, str]:
    """The machine, without its name."""
    cpus = re.findall(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    total = re.search(r"^MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text(), re.M)
    return {
        "processor": cpus[0] if cpus else platform.machine(),
        "cores": str(os.cpu_count()),
        "memory": f"{int(total[1]) / (1 << 20):.1f} GiB" if total else "unknown",
        "kernel": platform.release(),
    }


def disk(settings: RunSettings) -> str:
    """The disk in words: the file system, and how long it takes to make 16 KiB durable."""
    return f"{file_system(settings.on_disk)}, syncs 16 KiB in {sync_time(settings.on_disk):.2f} ms"


def versions() -> dict[str, str]:
    """What is measured, and measured against, by the programs' own word."""
    found = {"Python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    for name, words in _COMMANDS.items():
        found[name] = _asked(name, words)
    found["rclone"] = _asked(str(Path(sys.executable).with_name("rclone")), ("version",))
    for name in ("server", "file-store"):
        package = peers.NODE / "node_modules" / "@tus" / name / "package.json"
        text = package.read_text() if package.exists() else ""
        version = re.search(r'"version": "([^"]+)"', text)
        found[f"@tus/{name}"] = version[1] if version else "not installed"
    return found


def commit() -> str:
    """The commit of the checkout, with a mark when files differ from it."""
    words = ["git", "describe", "--always", "--dirty", "--exclude", "*"]
    done = subprocess.run(words, cwd=TOP, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def _asked(name: str, words: Sequence[str]) -> str:
    try:
        return _first_number([peers.program(name), *words])
    except Unavailable:
        return "not installed"


def _first_number(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    output = re.search(r"\d+(\.\d+)+", done.stdout + done.stderr)
    return output[0] if output else "unknown"
