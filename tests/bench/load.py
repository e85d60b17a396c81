"""Load from outside: wrk for many small uploads, curl for a large one."""

import json
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

_LUA = Path(__file__).with_name("put.lua")


@dataclass(frozen=True, kw_only=True)
class Many:
    """Figures of many small uploads; times in milliseconds."""

    rate: float
    p50: float
    p99: float
    max: float
    failed: int


def many(
    url: str, *, connections: int, seconds: float, size: int, token: str | None = None
) -> Many:
    """PUT `size` bytes to fresh names below `url` for some seconds."""
    host, slash, path = url.partition("://")[2].partition("/")
    environ = os.environ | {"SIZE": str(size), "PREFIX": slash + path}
    if token is not None:
        environ["TOKEN"] = token
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "20s"]
    done = subprocess.run(
        [*command, "-s", str(_LUA), f"http://{host}"],
        env=environ,
        capture_output=True,
        text=True,
        check=True,
        timeout=seconds + 60,
    )
    line = next(line for line in done.stdout.splitlines() if line.startswith("{"))
    return Many(**json.loads(line))


def one(url: str, file: Path, *headers: str) -> float:
    """Upload a file by curl; gives seconds of wall time."""
    words = [word for header in headers for word in ("-H", header)]
    started = time.monotonic()
    done = subprocess.run(
        ["curl", "-sS", "-f", "--noproxy", "*", "-o", "/dev/null", "-T", file, *words, url],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    elapsed = time.monotonic() - started
    if done.returncode:
        raise RuntimeError(f"{url}: {done.stderr.strip()}")
    return elapsed
