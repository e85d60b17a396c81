"""Load from outside: wrk for many small uploads, curl for large ones."""

import http.client
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.bench.figures import Unavailable
from tests.bench.server import Server

_LUA = Path(__file__).with_name("put.lua")
#: Share of requests that may fail before a figure says nothing.
_FAILED = 0.001
#: Seconds after which an upload is given up.
_PATIENCE = 900
#: Every server is measured with the same cipher.
_TLS = ("--tlsv1.3", "--tls13-ciphers", "TLS_AES_256_GCM_SHA384")
_TUS = ("Tus-Resumable: 1.0.0", "Upload-Offset: 0", "Content-Type: application/offset+octet-stream")


@dataclass(frozen=True, kw_only=True)
class Many:
    """Figures of many small uploads; times in milliseconds."""

    requests: int
    rate: float
    p50: float
    p99: float
    max: float
    failed: int


def many(server: Server, prefix: str, *, connections: int, seconds: int, size: int) -> Many:
    """PUT `size` bytes to fresh names for some seconds; raises if more than a few fail."""
    if shutil.which("wrk") is None:
        raise Unavailable("wrk is not installed")
    host, slash, path = (server.url + prefix).partition("://")[2].partition("/")
    environ = os.environ | {"SIZE": str(size), "PREFIX": slash + path}
    if server.token is not None:
        environ["TOKEN"] = server.token
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "20s"]
    done = subprocess.run(
        [*command, "-s", str(_LUA), f"http://{host}"],
        env=environ,
        capture_output=True,
        text=True,
        check=True,
        timeout=seconds + 60,
    )
    line = next(line for line in done.stdout.splitlines() if line.startswith("{"))
    found = Many(**json.loads(line))
    if not found.requests or found.failed > _FAILED * found.requests:
        raise Unavailable(f"{server.name}: {found.failed} of {found.requests} requests failed")
    return found


def curl(url: str, file: Path, *headers: str, method: str = "PUT") -> list[str]:
    """The command that uploads a file; it prints the headers of the answer, then its own time."""
    words = [word for header in headers for word in ("-H", header)]
    quiet = ["curl", "-sS", "-f", "--noproxy", "*", "-o", "/dev/null", "-D", "-"]
    shown = ["-w", "time: %{time_total}\\n"]
    return [*quiet, *shown, "-X", method, "-T", str(file), *words, url]


def put_file(server: Server, name: str, file: Path, *headers: str) -> str:
    """Upload a file; gives the headers of the answer."""
    url, method = server.url + name, "PUT"
    if server.is_tus:
        url, method, headers = _tus(server.url, file.stat().st_size), "PATCH", (*headers, *_TUS)
    command = curl(url, file, *server.headers, *headers, method=method)
    if server.certificate is not None:
        command += ["--cacert", str(server.certificate), *_TLS]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_PATIENCE)
    if done.returncode:
        raise Unavailable(f"{server.name} refused an upload: {done.stderr.strip()}")
    return done.stdout


def _tus(url: str, size: int) -> str:
    """Announce an upload; gives the address that takes its bytes."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(str(parts.hostname), int(parts.port or 0), timeout=20)
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": str(size), "Content-Length": "0"}
    connection.request("POST", parts.path.rstrip("/"), headers=headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.headers["Location"]
