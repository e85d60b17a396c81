"""Command `apigw`, which runs an APIGW."""

import os

import uvloop

from qmonus_lite import supervisor_channel
from qmonus_lite.cli.arguments import Arguments
from qmonus_lite.cli.command import Command
from qmonus_lite.cli.process_start import begin
from qmonus_lite.compose.apigw import compose_apigw


def apigw(arguments: Arguments) -> int:
    """Run an APIGW in this process."""
    number = supervisor_channel.number()
    settings = begin(arguments, lambda _settings: "apigw" if number is None else f"apigw-{number}")
    # Standard output never blocks and never fails: `begin` has replaced it.
    server = compose_apigw(settings, os.environ, print, number=number)
    return 0 if uvloop.run(server.serve()) else 1


COMMANDS = {
    "apigw": Command(run=apigw, summary="start an APIGW alone", flags=None, serves=True),
}
