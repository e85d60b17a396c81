"""Other servers that take uploads, each set up plainly, and not slower than it has to be."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

from tests.acceptance.process import TOP, free_port
from tests.bench.figures import Unavailable
from tests.bench.server import Server, is_up, running
from tests.certificate import make_certificate

Starting = Callable[[Path], AbstractContextManager[Server]]
#: Where scripts/bench installs what comes from npm.
NODE = TOP / ".venv" / "bench-node"
_TUS = Path(__file__).with_name("tus.mjs")

#: Bodies wait on the file system of the files, so that a rename stores them. Of the buffers from
#: 16 KiB (the default, a third slower) to 1 MiB, 128 KiB was the fastest where we tried.
_NGINX = """\
daemon off;
worker_processes auto;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  client_body_buffer_size 128k;
  client_max_body_size 0;
  proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port}{tls};
    location = /-/live {{ return 200; }}
    location / {{ root {folder}/files; dav_methods PUT DELETE; create_full_put_path on; }}
  }}
}}
"""


def program(name: str) -> str:
    """A command of the system; nginx may stand where only root looks."""
    found = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin")
    if found is None:
        raise Unavailable(f"{name} is not installed")
    return found


def of_python(name: str) -> Path:
    """A command that a package of the extra `bench` brings."""
    found = Path(sys.executable).with_name(name)
    if not found.exists():
        raise Unavailable(f"{name} is not installed: scripts/setup bench")
    return found


@contextmanager
def _served(
    name: str,
    folder: Path,
    argv: Callable[[int], Sequence[str | Path]],
    path: str = "",
    certificate: Path | None = None,
) -> Iterator[Server]:
    (folder / "files").mkdir(parents=True, exist_ok=True)
    port = free_port()
    url = f"{'https' if certificate else 'http'}://127.0.0.1:{port}/"
    # What a peer remembers for its next start belongs into the folder too.
    environ = os.environ | {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with running(argv(port), folder, lambda: is_up(url), environ) as process:
        yield Server(
            name=name,
            url=url + path,
            pid=process.pid,
            files=folder / "files",
            certificate=certificate,
        )


def nginx(folder: Path) -> AbstractContextManager[Server]:
    """nginx with its dav module."""
    return _nginx(folder, "", None)


def nginx_tls(folder: Path) -> AbstractContextManager[Server]:
    """nginx with its dav module, by TLS."""
    certificate, key = make_certificate(folder)
    tls = f" ssl; ssl_certificate {certificate}; ssl_certificate_key {key}; ssl_protocols TLSv1.3"
    return _nginx(folder, tls, certificate)


@contextmanager
def _nginx(folder: Path, tls: str, certificate: Path | None) -> Iterator[Server]:
    binary = program("nginx")
    (folder / "files" / "up").mkdir(parents=True)

    def argv(port: int) -> list[str]:
        conf = folder / "nginx.conf"
        conf.write_text(_NGINX.format(folder=folder, port=port, tls=tls))
        # Its workers are another user when root starts it, who may not enter the folder.
        user = ["-g", "user root;"] if os.geteuid() == 0 else []
        return [binary, "-p", str(folder), "-c", str(conf), *user]

    with _served("nginx", folder, argv, "up/", certificate) as server:
        yield server


@contextmanager
def wsgidav(folder: Path) -> Iterator[Server]:
    """WsgiDAV on cheroot, as its command line starts it."""
    command = of_python("wsgidav")

    def argv(port: int) -> list[str | Path]:
        where = ("--host=127.0.0.1", f"--port={port}", f"--root={folder / 'files'}")
        return [command, *where, "--auth=anonymous", "--no-config", "-q"]

    with _served("wsgidav", folder, argv) as server:
        yield server


def copyparty(folder: Path) -> AbstractContextManager[Server]:
    """copyparty with one writable volume, without its checksum of what comes by PUT."""
    return _copyparty(folder, "--put-ck", "no")


def copyparty_sha512(folder: Path) -> AbstractContextManager[Server]:
    """copyparty with one writable volume, with the checksum that it makes by default."""
    return _copyparty(folder)


@contextmanager
def _copyparty(folder: Path, *flags: str) -> Iterator[Server]:
    command = of_python("copyparty")

    def argv(port: int) -> list[str | Path]:
        where = ("-i", "127.0.0.1", "-p", str(port), "-v", f"{folder / 'files'}::rw")
        # It refuses every upload to a tmpfs unless told `--wram`.
        return [command, "-q", *where, "--hist", folder / "hist", "--wram", *flags]

    with _served("copyparty", folder, argv) as server:
        yield server


@contextmanager
def rclone(folder: Path) -> Iterator[Server]:
    """`rclone serve webdav`."""
    command = of_python("rclone")

    def argv(port: int) -> list[str | Path]:
        return [command, "serve", "webdav", "--addr", f"127.0.0.1:{port}", folder / "files"]

    with _served("rclone serve webdav", folder, argv) as server:
        yield server


@contextmanager
def tus(folder: Path) -> Iterator[Server]:
    """The tus server of Node with its file store."""
    node = program("node")
    if not (NODE / "node_modules" / "@tus" / "server").is_dir():
        tried = (NODE / "npm.log").exists()
        why = "npm failed, see .venv/bench-node/npm.log" if tried else "there is no npm"
        raise Unavailable(f"@tus/server is not installed: {why}")
    # Node looks for packages beside the script.
    script = shutil.copy(_TUS, NODE / _TUS.name)
    with _served(
        "tus (Node)", folder, lambda port: [node, script, str(port), folder / "files"], "files/"
    ) as server:
        yield replace(server, is_tus=True)
