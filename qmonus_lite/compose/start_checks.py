"""Checks of a start: every fault of directories, certificate, port and plugins is shown at once."""

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qmonus_lite import serving
from qmonus_lite.compose.plugin_folders import missing_plugin_folders
from qmonus_lite.compose.registry import DEFAULT_STORE, store_kind
from qmonus_lite.datadir import DataDir
from qmonus_lite.errors import BadPlugins, BadResource, StartupError
from qmonus_lite.imported_on_use import ImportedOnUse
from qmonus_lite.settings.table import Settings
from qmonus_lite.uploads.target import FOLDER

if TYPE_CHECKING:
    from qmonus_lite.compose import plugin_loader
else:
    # The writer process loads no plugins unless another fault is reported with theirs.
    plugin_loader = ImportedOnUse("qmonus_lite.compose.plugin_loader")

#: Yields what is wrong, where, and what to do; or raises BadResource.
Check = Callable[[Settings], Iterator[str]]


def check_start(settings: Settings, checks: Sequence[Check]) -> None:
    """Raise BadResource with every fault; plugins are loaded only if there is one already.

    A start without other faults loads the plugins anyway, and raises BadPlugins itself.
    """
    faults = [fault for check in checks for fault in _faults_of(check, settings)]
    if faults:
        faults += _faults_of(_plugins, settings)
    if len(faults) > 1:
        raise BadResource("\n".join([f"{len(faults)} faults at the start:", *faults]))
    if faults:
        raise BadResource(faults[0])


def _faults_of(check: Check, settings: Settings) -> list[str]:
    faults = []
    try:
        for fault in check(settings):
            faults.append(fault)
    except BadResource as error:
        faults.append(str(error))
    return faults


def _store(settings: Settings) -> Iterator[str]:
    store_kind(DEFAULT_STORE).check(settings)
    yield from _upload_folders(settings)


def _upload_folders(settings: Settings) -> Iterator[str]:
    """A link or a file where uploads, whatever their API path is, need a folder."""
    place = settings.storage.root / FOLDER.strip("/")
    try:
        mode = os.lstat(place).st_mode
    except OSError:
        return
    if stat.S_ISLNK(mode):
        yield (
            f"{place}: is a symbolic link, and no upload may lead through one, so that each would"
            " be refused; mount the directory here (mount --bind), or choose another --base_dir"
        )
    elif not stat.S_ISDIR(mode):
        yield f"{place}: is no directory, and every upload needs one there; move it away"


def _data_dir(settings: Settings) -> Iterator[str]:
    # Makes it, but no launch directory: that one is missing by mistake.
    if _is_reachable(settings, settings.storage.state_dir):
        DataDir(settings.storage.state_dir)
    yield from ()


def _plugin_folders(settings: Settings) -> Iterator[str]:
    if all(_is_reachable(settings, folder) for folder in settings.plugin_dirs):
        yield from missing_plugin_folders(settings)


def _is_reachable(settings: Settings, path: Path) -> bool:
    """False for a path in a launch directory that does not exist, which is reported itself."""
    root = settings.storage.root
    return root.is_dir() or not path.is_relative_to(root)


def _certificate(settings: Settings) -> Iterator[str]:
    serving.tls_context(settings.server.certfile, settings.server.keyfile)
    yield from ()


def _alone(settings: Settings) -> Iterator[str]:
    """Another APIGW on the data directory."""
    if not _is_reachable(settings, settings.storage.state_dir):
        return
    try:
        data_dir = DataDir(settings.storage.state_dir)
    except BadResource:
        # Reported by `_data_dir`.
        return
    os.close(data_dir.lock())
    yield from ()


def _alone_with_port(settings: Settings) -> Iterator[str]:
    """Another APIGW on the data directory, which probably has the port too; else the port."""
    # Raises BadResource.
    yield from _alone(settings)
    yield from _port(settings)


def _port(settings: Settings) -> Iterator[str]:
    for listener in serving.bind(settings.server.address, settings.server.port, flag="port"):
        listener.close()
    yield from ()


def _worker_port(settings: Settings) -> Iterator[str]:
    workers = settings.workers
    for listener in serving.bind(workers.lambda_address, workers.lambda_port, flag="lambda_port"):
        listener.close()
    yield from ()


def _plugins(settings: Settings) -> Iterator[str]:
    try:
        plugin_loader.make_reading_loader(settings).load()
    except BadPlugins as error:
        yield from map(str, error.faults)
    except StartupError:
        # Reported by another check.
        return


#: Checks of an APIGW beside a writer process, which has the lock; `up` has bound the port.
SHARED_PORT_CHECKS: Sequence[Check] = (_store, _data_dir, _plugin_folders, _certificate)
WRITER_CHECKS: Sequence[Check] = (*SHARED_PORT_CHECKS, _alone)
APIGW_CHECKS: Sequence[Check] = (*SHARED_PORT_CHECKS, _alone_with_port)
WORKER_CHECKS: Sequence[Check] = (_data_dir, _plugin_folders, _worker_port)
