"""Command `up`, which starts the server processes and restarts them."""

import asyncio
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from qmonus_lite.child_process import Child
from qmonus_lite.cli.arguments import Arguments
from qmonus_lite.cli.command import Command
from qmonus_lite.cli.process_start import begin
from qmonus_lite.imported_on_use import ImportedOnUse
from qmonus_lite.settings.table import Settings
from qmonus_lite.supervisor import supervise
from qmonus_lite.supervisor_channel import LISTEN_FDS, NUMBER
from qmonus_lite.values import changed

if TYPE_CHECKING:
    from qmonus_lite import serving
else:
    # With Tornado; one APIGW opens its sockets itself.
    serving = ImportedOnUse("qmonus_lite.serving")


def up(arguments: Arguments) -> int:
    """Run APIGW and its workers as child processes that are restarted when they exit."""
    settings = begin(arguments, lambda _settings: "up")
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
    fds = tuple(listener.fileno() for listener in sockets)
    apigws = [
        changed(
            _child(f"apigw-{number}", "apigw", arguments),
            environ={NUMBER: str(number), LISTEN_FDS: ",".join(map(str, fds))},
            pass_fds=fds,
        )
        for number in range(settings.server.apigw_processes)
    ]

    def stop_listening() -> None:
        for listener in sockets:
            listener.close()

    return asyncio.run(
        supervise(
            _child("writer", "writer", arguments),
            [*apigws, *workers],
            drain_timeout=settings.server.drain_timeout,
            on_stop=stop_listening,
        )
    )


def _child(name: str, command: str, arguments: Arguments, *more: str) -> Child:
    """A child process with the flags of this one; `more` overrides flags of the same name.

    `-P`, here joined with `-m`, keeps modules in the working directory out of it, as the console
    script does: a file `ssl.py` there, of another user even, would run with the gateway's rights.
    """
    replaced = {flag.partition("=")[0].removeprefix("--") for flag in more}
    same = [f"--{key}={value}" for key, value in arguments.flags.items() if key not in replaced]
    program = (sys.executable, "-Pm", "qmonus_lite")
    return Child(name=name, argv=(*program, command, *same, *more))


COMMANDS = {
    "up": Command(run=up, summary="start an APIGW and its Lambda workers", flags=None, serves=True),
}
