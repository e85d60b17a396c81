"""Command `writer`, which runs the writer process of several APIGWs."""

import os

import uvloop

from qmonus_lite.cli.arguments import Arguments
from qmonus_lite.cli.command import Command
from qmonus_lite.cli.process_start import begin
from qmonus_lite.compose.writer import compose_writer


def writer(arguments: Arguments) -> int:
    """Run the writer process of several APIGWs."""
    server = compose_writer(begin(arguments, lambda _settings: "writer"), os.environ)
    return 0 if uvloop.run(server.serve()) else 1


COMMANDS = {
    "writer": Command(
        run=writer,
        summary="start what several APIGWs share (up does this)",
        flags=None,
        serves=True,
    ),
}
