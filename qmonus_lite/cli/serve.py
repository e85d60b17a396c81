"""Commands `up`, `apigw`, `writer` and `lambda`, which start server processes."""

import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import replace

import uvloop

from qmonus_lite import environment, log, serving, supervisor_channel
from qmonus_lite.cli.arguments import Arguments
from qmonus_lite.cli.command import Command, no_words
from qmonus_lite.clock import Clock
from qmonus_lite.compose.apigw import compose_apigw
from qmonus_lite.compose.worker import compose_worker
from qmonus_lite.compose.writer import compose_writer
from qmonus_lite.settings.table import Settings
from qmonus_lite.supervisor import Child, supervise
from qmonus_lite.supervisor_channel import LISTEN_FDS, NUMBER

logger = logging.getLogger(__name__)


def _begin(arguments: Arguments) -> Settings:
    no_words(arguments)
    settings = arguments.settings(os.environ)
    logs = settings.logs
    log.configure(style=logs.log_format, level=logs.log_level, clock=Clock(logs.timezone))
    _tell_of_services()
    make_default_folder(settings)
    return settings


def _tell_of_services() -> None:
    """Log the ignored environment variables, once for `up` and all its children."""
    names = environment.services_in(os.environ)
    if names and supervisor_channel.SUPERVISED not in os.environ:
        extra = {"action": "environment_passed_over", "names": sorted(names)}
        logger.info(
            "the environment has variables of Kubernetes services, no settings", extra=extra
        )


def make_default_folder(settings: Settings) -> None:
    """Create the default plugin folder; folders named in settings must exist."""
    root = settings.storage.root
    usable = root.is_dir() and os.access(root, os.W_OK)
    if settings.plugins.plugins_base_dirs == ("plugins",) and usable:
        # Plugin folders must not be writable by other users, regardless of the umask.
        settings.plugin_dirs[0].mkdir(mode=0o755, exist_ok=True)


def up(arguments: Arguments) -> int:
    """Run APIGW and its workers as child processes that are restarted when they exit."""
    settings = _begin(arguments)
    first = settings.workers.lambda_port
    workers = [
        _child(
            f"lambda-{port}", "lambda", arguments, f"--lambda_port={port}", "--lambda_processes=1"
        )
        for port in range(first, first + settings.workers.lambda_processes)
    ]
    if settings.server.apigw_processes > 1:
        return _up_with_writer(settings, arguments, workers)
    apigw = _child("apigw", "apigw", arguments)
    return asyncio.run(supervise(apigw, workers, drain_timeout=settings.server.drain_timeout))


def _up_with_writer(settings: Settings, arguments: Arguments, workers: Sequence[Child]) -> int:
    """Run several APIGWs that share the listening sockets of this process and a writer process."""
    sockets = serving.bind(settings.server.address, settings.server.port, flag="port")
    fds = tuple(one.fileno() for one in sockets)
    apigws = [
        replace(
            _child(f"apigw-{number}", "apigw", arguments),
            environ={NUMBER: str(number), LISTEN_FDS: ",".join(map(str, fds))},
            pass_fds=fds,
        )
        for number in range(settings.server.apigw_processes)
    ]

    def deafen() -> None:
        for one in sockets:
            one.close()

    return asyncio.run(
        supervise(
            _child("writer", "writer", arguments),
            [*apigws, *workers],
            drain_timeout=settings.server.drain_timeout,
            on_stop=deafen,
        )
    )


def _child(name: str, command: str, arguments: Arguments, *more: str) -> Child:
    """A child process with the flags of this one; `more` overrides flags of the same name."""
    replaced = {flag.partition("=")[0].removeprefix("--") for flag in more}
    same = [f"--{key}={value}" for key, value in arguments.flags.items() if key not in replaced]
    return Child(name=name, argv=(sys.executable, "-m", "qmonus_lite", command, *same, *more))


def apigw(arguments: Arguments) -> int:
    """Run an APIGW in this process."""
    settings = _begin(arguments)
    server = compose_apigw(settings, os.environ, _say, number=supervisor_channel.number())
    return 0 if uvloop.run(server.serve()) else 1


def writer(arguments: Arguments) -> int:
    """Run the writer process of several APIGWs."""
    server = compose_writer(_begin(arguments), os.environ)
    return 0 if uvloop.run(server.serve()) else 1


def worker(arguments: Arguments) -> int:
    """Run a Lambda worker in this process."""
    server = compose_worker(_begin(arguments), os.environ)
    return 0 if uvloop.run(server.serve()) else 1


def _say(line: str) -> None:
    try:
        print(line, flush=True)
    except OSError:
        # The reader of stdout is gone: keep serving, and avoid an error of the final flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


COMMANDS = {
    "up": Command(run=up, summary="start an APIGW and its Lambda workers", flags=None),
    "apigw": Command(run=apigw, summary="start an APIGW alone", flags=None),
    "lambda": Command(run=worker, summary="start a Lambda worker alone", flags=None),
    "writer": Command(
        run=writer, summary="start what several APIGWs share (up does this)", flags=None
    ),
}
