"""Command `lambda`, which runs a Lambda worker."""

import os

import uvloop

from qmonus_lite.cli.arguments import Arguments
from qmonus_lite.cli.command import Command
from qmonus_lite.cli.process_start import begin
from qmonus_lite.compose.worker import compose_worker
from qmonus_lite.settings.table import Settings


def worker(arguments: Arguments) -> int:
    """Run a Lambda worker in this process."""
    server = compose_worker(begin(arguments, _name), os.environ)
    return 0 if uvloop.run(server.serve()) else 1


def _name(settings: Settings) -> str:
    return f"lambda-{settings.workers.lambda_port}"


COMMANDS = {
    "lambda": Command(run=worker, summary="start a Lambda worker alone", flags=None, serves=True),
}
