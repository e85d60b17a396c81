"""Command `apigw`, which runs an APIGW."""

import os
import sys

import uvloop

from qmonus_lite import supervisor_channel
from qmonus_lite.cli.arguments import Arguments
from qmonus_lite.cli.command import Command
from qmonus_lite.cli.process_start import begin
from qmonus_lite.compose.apigw import compose_apigw


def apigw(arguments: Arguments) -> int:
    """Run an APIGW in this process."""
    settings = begin(arguments)
    server = compose_apigw(settings, os.environ, _print_line, number=supervisor_channel.number())
    return 0 if uvloop.run(server.serve()) else 1


def _print_line(line: str) -> None:
    try:
        print(line, flush=True)
    except OSError:
        # The reader of stdout is gone: keep serving, and avoid an error of the final flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


COMMANDS = {
    "apigw": Command(run=apigw, summary="start an APIGW alone", flags=None, serves=True),
}
