"""`up`, `apigw`, `keeper`, `lambda`: the processes that serve."""

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
from qmonus_lite.settings import Settings
from qmonus_lite.supervisor import Child, supervise
from qmonus_lite.supervisor_channel import LISTEN_FDS, NUMBER

logger = logging.getLogger(__name__)


def _begin(arguments: Arguments) -> Settings:
    no_words(arguments)
    settings = arguments.settings(os.environ)
    log.configure(
        style=settings.log_format, level=settings.log_level, clock=Clock(settings.timezone)
    )
    _tell_of_services()
    make_default_folder(settings)
    return settings


def _tell_of_services() -> None:
    """Name the variables that are taken for no settings, once for `up` and all its children."""
    names = environment.services_in(os.environ)
    if names and supervisor_channel.SUPERVISED not in os.environ:
        extra = {"action": "environment_passed_over", "names": sorted(names)}
        logger.info(
            "the environment has variables of Kubernetes services, no settings", extra=extra
        )


def make_default_folder(settings: Settings) -> None:
    """Make the plugin folder that nobody named; a named one has to be there."""
    usable = settings.root.is_dir() and os.access(settings.root, os.W_OK)
    if settings.plugins_base_dirs == ("plugins",) and usable:
        # Others must not be able to write where plugins are loaded from, whatever the umask.
        settings.plugin_dirs[0].mkdir(mode=0o755, exist_ok=True)


def up(arguments: Arguments) -> int:
    """One APIGW and its workers, as children that are started again when they die."""
    settings = _begin(arguments)
    first = settings.lambda_port
    workers = [
        _child(
            f"lambda-{port}", "lambda", arguments, f"--lambda_port={port}", "--lambda_processes=1"
        )
        for port in range(first, first + settings.lambda_processes)
    ]
    if settings.apigw_processes > 1:
        return _up_with_keeper(settings, arguments, workers)
    apigw = _child("apigw", "apigw", arguments)
    return asyncio.run(supervise(apigw, workers, drain_timeout=settings.drain_timeout))


def _up_with_keeper(settings: Settings, arguments: Arguments, workers: Sequence[Child]) -> int:
    """Several APIGWs that accept from one socket, which is ours, and keep by one keeper."""
    sockets = serving.bind(settings.address, settings.port, flag="port")
    fds = tuple(one.fileno() for one in sockets)
    apigws = [
        replace(
            _child(f"apigw-{number}", "apigw", arguments),
            environ={NUMBER: str(number), LISTEN_FDS: ",".join(map(str, fds))},
            pass_fds=fds,
        )
        for number in range(settings.apigw_processes)
    ]

    def deafen() -> None:
        for one in sockets:
            one.close()

    return asyncio.run(
        supervise(
            _child("keeper", "keeper", arguments),
            [*apigws, *workers],
            drain_timeout=settings.drain_timeout,
            on_stop=deafen,
        )
    )


def _child(name: str, command: str, arguments: Arguments, *more: str) -> Child:
    """A child with our flags; `more` takes the place of flags of the same names."""
    replaced = {flag.partition("=")[0].removeprefix("--") for flag in more}
    same = [f"--{key}={value}" for key, value in arguments.flags.items() if key not in replaced]
    return Child(name=name, argv=(sys.executable, "-m", "qmonus_lite", command, *same, *more))


def apigw(arguments: Arguments) -> int:
    """One APIGW."""
    settings = _begin(arguments)
    server = compose_apigw(settings, os.environ, _say, number=supervisor_channel.number())
    return 0 if uvloop.run(server.serve()) else 1


def keeper(arguments: Arguments) -> int:
    """The keeper of several APIGWs."""
    server = compose_writer(_begin(arguments), os.environ)
    return 0 if uvloop.run(server.serve()) else 1


def worker(arguments: Arguments) -> int:
    """One Lambda worker."""
    server = compose_worker(_begin(arguments), os.environ)
    return 0 if uvloop.run(server.serve()) else 1


def _say(line: str) -> None:
    try:
        print(line, flush=True)
    except OSError:
        # Nobody reads any more; uploads go on, and what is left unsaid must not fail the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


COMMANDS = {
    "up": Command(run=up, summary="start an APIGW and its Lambda workers", flags=None),
    "apigw": Command(run=apigw, summary="start an APIGW alone", flags=None),
    "lambda": Command(run=worker, summary="start a Lambda worker alone", flags=None),
    "keeper": Command(
        run=keeper, summary="start what several APIGWs share (up does this)", flags=None
    ),
}
