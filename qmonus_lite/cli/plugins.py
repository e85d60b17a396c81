"""`check`: loads the plugin folders and prints every fault in them."""

import os
import sys

from qmonus_lite.auth.sealing import sealer_of
from qmonus_lite.cli.arguments import Arguments
from qmonus_lite.cli.command import Command, no_words
from qmonus_lite.compose.shared import make_loader
from qmonus_lite.datadir import DataDir
from qmonus_lite.errors import BadPlugins


def check(arguments: Arguments) -> int:
    """Print every fault; 1 when there is one."""
    no_words(arguments)
    settings = arguments.settings(os.environ)
    sealer = sealer_of(DataDir(settings.state_dir))
    try:
        catalog = make_loader(settings, sealer, callout=None).load()
    except BadPlugins as error:
        print(error)
        print(f"{len(error.faults)} fault(s); nothing of these folders would be taken over")
        return 1
    for one in catalog.listed:
        print(f"{one.file}: {one.kind} {one.name}")
    print(f"{len(catalog.listed)} plugin(s), no faults", file=sys.stderr)
    return 0


COMMANDS = {
    "check": Command(run=check, summary="load the plugin folders and print every fault"),
}
