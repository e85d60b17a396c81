"""Registry of stores, event logs and transports: which one a URL means, and how it is made."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from qmonus_lite.errors import BadResource, BadSetting
from qmonus_lite.event_logs.sqlite.event_log import FILE, SqliteEventLog, migration_values
from qmonus_lite.events.log import EventLog
from qmonus_lite.events.report_file import ReportFile
from qmonus_lite.events.transport import WorkerConnections
from qmonus_lite.observations import NO_OBSERVERS, Observers
from qmonus_lite.settings.table import Settings
from qmonus_lite.stores.file.filesystem import Filesystem
from qmonus_lite.stores.file.free_space import FreeSpace
from qmonus_lite.stores.file.pending import PendingContext
from qmonus_lite.stores.file.reservation import SpaceReservations
from qmonus_lite.stores.file.reserved_space import ReservedSpace
from qmonus_lite.stores.file.root_dir import RootDir
from qmonus_lite.stores.file.source_copy import SourceCopier
from qmonus_lite.stores.file.staging_dirs import StagingDirs
from qmonus_lite.stores.file.store import FileStore
from qmonus_lite.supervisor_channel import SUPERVISED
from qmonus_lite.transports.http.connections import HttpWorkerConnections
from qmonus_lite.transports.http.signature import Signer
from qmonus_lite.uploads.store import UploadStore
from qmonus_lite.uploads.target import FOLDER
from qmonus_lite.values import Value, field

T = TypeVar("T")

#: The store of every installation: files below the launch directory.
DEFAULT_STORE = "file:"
#: The event log of every installation: the outbox in the data directory.
DEFAULT_EVENT_LOG = "sqlite:"


class StoreContext(Value, frozen=True, kw_only=True):
    """What a store of a process needs beside the settings."""

    data_dir: Path
    #: Id of the gateway of the data directory.
    gateway: str
    threads: Executor
    #: Prefix of the upload ids of this process, by which another one sweeps what it left.
    owner: str = ""
    #: Bytes that running uploads may still receive, by device.
    reserved: ReservedSpace = field(default_factory=ReservedSpace)
    #: Whether this process checks the free space for its readiness.
    checks_free_space: bool = True
    observers: Observers = NO_OBSERVERS


class StoreKind(Value, frozen=True, kw_only=True):
    """How a store is made."""

    #: Raises BadResource if the settings name places that cannot be used; makes nothing.
    check: Callable[[Settings], None]
    make: Callable[[Settings, StoreContext], UploadStore]


def store_kind(url: str) -> StoreKind:
    """The kind of store for the scheme of a URL; raises BadSetting."""
    return _of_scheme(url, STORES, "store")


class EventLogContext(Value, frozen=True, kw_only=True):
    """What an event log of a process needs beside the settings."""

    data_dir: Path
    #: Id of the gateway of the data directory.
    gateway: str


class EventLogKind(Value, frozen=True, kw_only=True):
    """How an event log is made."""

    #: For the process that commits; makes the log or migrates it. Raises BadResource.
    make: Callable[[Settings, EventLogContext], EventLog]
    #: For a command beside that process; raises BadResource if there is none of this format.
    open: Callable[[Settings], EventLog]


def event_log_kind(url: str) -> EventLogKind:
    """The kind of event log for the scheme of a URL; raises BadSetting."""
    return _of_scheme(url, EVENT_LOGS, "event log")


class TransportContext(Value, frozen=True, kw_only=True):
    """What the connections of a process to the workers need beside the settings."""

    data_dir: Path
    signer: Signer
    environ: Mapping[str, str]


class TransportKind(Value, frozen=True, kw_only=True):
    """How the connections to the workers are made."""

    #: With the worker reports stored by earlier processes; raises BadResource.
    make: Callable[[Settings, TransportContext], WorkerConnections]


def transport_kind(urls: Sequence[str]) -> TransportKind:
    """The kind of transport for the schemes of the URLs of all workers; raises BadSetting."""
    first, *others = (_of_scheme(url, TRANSPORTS, "transport") for url in urls)
    if any(other is not first for other in others):
        raise BadSetting(f"{','.join(urls)}: several kinds of transports; use one for all workers")
    return first


def _of_scheme(url: str, kinds: Mapping[str, T], name: str) -> T:
    scheme = urlsplit(url).scheme
    if scheme not in kinds:
        raise BadSetting(f"{url}: no {name} of this kind; there are: {', '.join(kinds)}")
    return kinds[scheme]


def make_root_dir(settings: Settings, observers: Observers = NO_OBSERVERS) -> RootDir:
    """The launch directory as storage root; raises BadResource if it is unusable for uploads."""
    durability = settings.storage.upload_durability
    root_dir = RootDir(
        root=settings.storage.root,
        protected=(settings.storage.state_dir, *settings.plugin_dirs),
        disk=Filesystem(
            sync_files=durability != "none",
            sync_names=durability == "full",
            observers=observers,
        ),
    )
    root_dir.check()
    return root_dir


def make_file_store(settings: Settings, context: StoreContext) -> FileStore:
    """The store of files below the launch directory; raises BadResource."""
    root_dir = make_root_dir(settings, context.observers)
    disk, min_free_bytes = root_dir.disk, settings.storage.min_free_bytes
    free_space = FreeSpace(
        root=root_dir.root,
        # Whatever the template of the upload API is.
        folders=(FOLDER.strip("/"),),
        keep_free=min_free_bytes,
    )
    return FileStore(
        root_dir,
        SpaceReservations(disk, min_free_bytes=min_free_bytes, reserved=context.reserved),
        PendingContext(
            threads=context.threads,
            copier=SourceCopier(context.threads),
            root_dir=root_dir,
            staging=StagingDirs(disk, context.data_dir, root_dir.root, context.gateway),
        ),
        owner=context.owner,
        free_space=free_space if context.checks_free_space else None,
    )


def _check_root_dir(settings: Settings) -> None:
    make_root_dir(settings)


def _make_sqlite_event_log(settings: Settings, context: EventLogContext) -> EventLog:
    durable = settings.storage.upload_durability == "full"
    return SqliteEventLog(
        context.data_dir / FILE,
        "FULL" if durable else "NORMAL",
        migration_values=migration_values(root=settings.storage.root, gateway=context.gateway),
    )


def _open_sqlite_event_log(settings: Settings) -> EventLog:
    folder = settings.storage.state_dir
    if not (folder / FILE).exists():
        raise BadResource(f"--data_dir={folder}: no outbox here; has an APIGW run on it?")
    # It is migrated by the gateway alone: one of an older version may still run.
    return SqliteEventLog(folder / FILE)


def _make_http_connections(settings: Settings, context: TransportContext) -> WorkerConnections:
    # Reports of workers that `up` started are marked: the workers of the next `up` replace them.
    own = SUPERVISED in context.environ and not settings.workers.lambda_endpoints
    return HttpWorkerConnections(
        settings.workers.endpoints,
        context.signer,
        settings.server.base_url,
        ReportFile(context.data_dir, own=own),
    )


STORES: Mapping[str, StoreKind] = {"file": StoreKind(check=_check_root_dir, make=make_file_store)}
EVENT_LOGS: Mapping[str, EventLogKind] = {
    "sqlite": EventLogKind(make=_make_sqlite_event_log, open=_open_sqlite_event_log)
}
_HTTP = TransportKind(make=_make_http_connections)
TRANSPORTS: Mapping[str, TransportKind] = {"http": _HTTP, "https": _HTTP}
