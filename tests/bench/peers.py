"""Other servers that take a PUT, each set up as plainly as its own documentation has it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

from tests.acceptance.process import free_port
from tests.bench.server import Server, running

_NGINX = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  client_max_body_size 0;
  proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port};
    location / {{ root {folder}/files; dav_methods PUT DELETE; create_full_put_path on; }}
  }}
}}
"""


def answers(url: str) -> bool:
    """Whether somebody answers there, whatever it says."""
    try:
        with urlopen(url, timeout=5):
            return True
    except HTTPError:
        return True
    except OSError:
        return False


def children(pid: int) -> tuple[int, ...]:
    """The process and what it started."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return (pid, *map(int, found))


@contextmanager
def _served(
    name: str, folder: Path, argv: Callable[[int], Sequence[str | Path]], path: str = ""
) -> Iterator[Server]:
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    with running(argv(port), folder, lambda: answers(url), dict(os.environ)) as process:
        yield Server(name=name, url=url + path, pids=children(process.pid))


@contextmanager
def nginx(folder: Path) -> Iterator[Server]:
    """nginx with its dav module."""
    binary = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    if binary is None:
        raise RuntimeError("nginx is not installed")
    (folder / "files" / "up").mkdir(parents=True)
    # Its worker is another user when root starts it.
    for place in (folder, folder / "files", folder / "files" / "up"):
        place.chmod(0o777)

    def argv(port: int) -> list[str]:
        conf = folder / "nginx.conf"
        conf.write_text(_NGINX.format(folder=folder, port=port))
        user = ["-g", "user root;"] if os.geteuid() == 0 else []
        return [str(binary), "-p", str(folder), "-c", str(conf), *user]

    with _served("nginx dav", folder, argv, "up/") as server:
        yield server


@contextmanager
def wsgidav(folder: Path) -> Iterator[Server]:
    """WsgiDAV on cheroot, as its command line starts it."""
    (folder / "files").mkdir(parents=True)
    command = Path(sys.executable).with_name("wsgidav")
    with _served(
        "wsgidav",
        folder,
        lambda port: [
            *(command, "--host=127.0.0.1", f"--port={port}", f"--root={folder / 'files'}"),
            *("--auth=anonymous", "-q"),
        ],
    ) as server:
        yield server


@contextmanager
def copyparty(folder: Path) -> Iterator[Server]:
    """copyparty with one writable volume."""
    (folder / "files").mkdir(parents=True)
    volume = f"{folder / 'files'}::rw"
    with _served(
        "copyparty",
        folder,
        lambda port: [
            *(sys.executable, "-m", "copyparty", "-i", "127.0.0.1", "-p", str(port)),
            *("-q", "-v", volume, "--hist", str(folder / "hist")),
        ],
    ) as server:
        yield server


@contextmanager
def rclone(folder: Path) -> Iterator[Server]:
    """`rclone serve webdav`."""
    (folder / "files").mkdir(parents=True)
    command = Path(sys.executable).with_name("rclone")
    with _served(
        "rclone serve webdav",
        folder,
        lambda port: [command, "serve", "webdav", "--addr", f"127.0.0.1:{port}", folder / "files"],
    ) as server:
        yield server


def versions() -> dict[str, str]:
    """What is measured against, by the programs' own word."""
    found = {}
    binary = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    commands = {
        "nginx": [str(binary), "-v"],
        "curl": ["curl", "--version"],
        "rclone": [str(Path(sys.executable).with_name("rclone")), "version"],
    }
    for name, command in commands.items():
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        found[name] = (done.stdout + done.stderr).splitlines()[0].strip()
    return found
