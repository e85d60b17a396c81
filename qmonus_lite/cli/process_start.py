"""What every server process does first: settings, log, the default plugin folder."""

import logging
import os
import signal
from collections.abc import Callable

from qmonus_lite import environment, log, nonblocking_output, supervisor_channel
from qmonus_lite.cli.arguments import Arguments
from qmonus_lite.cli.command import no_positionals
from qmonus_lite.cli.init_process import fork_if_process_1
from qmonus_lite.clock import Clock
from qmonus_lite.settings.table import Settings

logger = logging.getLogger(__name__)


def begin(arguments: Arguments, name: Callable[[Settings], str]) -> Settings:
    """Settings; output that does not block, the log, the default plugin folder.

    `name` gives the name of this process in its log.
    """
    no_positionals(arguments)
    # A reload during the start has nothing to do; by default the signal would end the process.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    settings = arguments.settings(os.environ)
    fork_if_process_1()
    logs = settings.logs
    log.configure(
        style=logs.log_format,
        level=logs.log_level,
        clock=Clock(logs.timezone),
        output=nonblocking_output.install(),
        process=name(settings),
    )
    _log_ignored_services()
    make_default_folder(settings)
    return settings


def _log_ignored_services() -> None:
    """Log the ignored environment variables, once for `up` and all its children."""
    names = environment.services_in(os.environ)
    if names and supervisor_channel.SUPERVISED not in os.environ:
        extra = {"action": "environment_ignored", "names": sorted(names)}
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
