"""Composition of the commit service, in an APIGW process or in a separate writer process."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from qmonus_lite.clock import Clock
from qmonus_lite.compose.gateway import DISK_THREADS, event_secret, make_gateway
from qmonus_lite.compose.registry import (
    DEFAULT_EVENT_LOG,
    DEFAULT_STORE,
    EventLogContext,
    StoreContext,
    TransportContext,
    event_log_kind,
    store_kind,
    transport_kind,
)
from qmonus_lite.compose.start_checks import WRITER_CHECKS, check_start
from qmonus_lite.datadir import DataDir
from qmonus_lite.events.delivery import Delivery
from qmonus_lite.events.dispatcher import Dispatcher
from qmonus_lite.events.transport import WorkerConnections
from qmonus_lite.observations import NO_OBSERVERS, Observers
from qmonus_lite.settings.table import Settings
from qmonus_lite.transports.http.signature import Signer
from qmonus_lite.uploads.commit import Committer, recover
from qmonus_lite.uploads.store import UploadStore
from qmonus_lite.values import Value
from qmonus_lite.writer.server import WriterServer
from qmonus_lite.writer.service import LocalCommitService


class WriterParts(Value, frozen=True, kw_only=True):
    """Dependencies of the local commit service."""

    settings: Settings
    clock: Clock
    data_dir: DataDir
    #: Id of the gateway of the data directory.
    gateway: str
    store: UploadStore
    workers: WorkerConnections
    threads: ThreadPoolExecutor
    observers: Observers = NO_OBSERVERS


def local_commit_service(parts: WriterParts) -> LocalCommitService:
    """Commit service in this process; first resolves in-doubt uploads after a crash.

    Raises BadResource.
    """
    settings = parts.settings
    context = EventLogContext(data_dir=parts.data_dir.path, gateway=parts.gateway)
    log = event_log_kind(DEFAULT_EVENT_LOG).make(settings, context)
    recover(log, parts.store)
    dispatcher = Dispatcher(
        Delivery(
            log=log,
            registry=parts.workers.registry,
            transport=parts.workers.for_deliveries(),
            clock=parts.clock,
            gateway=make_gateway(settings),
            source=settings.server.base_url,
            timeout=settings.events.lambda_event_timeout,
            max_age=settings.events.event_max_age,
            history=settings.events.event_history,
            observers=parts.observers,
        )
    )
    return LocalCommitService(
        store=parts.store,
        log=log,
        dispatcher=dispatcher,
        committer=Committer(parts.store, log, dispatcher, threads=parts.threads),
        registry=parts.workers.registry,
        clock=parts.clock,
    )


def compose_writer(settings: Settings, environ: Mapping[str, str]) -> WriterServer:
    """A writer process, ready to serve; raises StartupError."""
    kind = store_kind(DEFAULT_STORE)
    check_start(settings, WRITER_CHECKS)
    data_dir = DataDir(settings.storage.state_dir)
    signer = Signer(event_secret(data_dir, settings.events))
    data_dir.lock()
    gateway = data_dir.open()
    data_dir.note_address(settings.server.advertised_host, settings.server.advertised_port)
    threads = ThreadPoolExecutor(DISK_THREADS, thread_name_prefix="disk")
    # Each APIGW checks the free space for its own readiness.
    context = StoreContext(
        data_dir=data_dir.path, gateway=gateway, threads=threads, checks_free_space=False
    )
    parts = WriterParts(
        settings=settings,
        clock=Clock(settings.logs.timezone),
        data_dir=data_dir,
        gateway=gateway,
        store=kind.make(settings, context),
        workers=transport_kind(settings.workers.endpoints).make(
            settings,
            TransportContext(data_dir=data_dir.path, signer=signer, environ=environ),
        ),
        threads=threads,
    )
    return WriterServer(
        settings=settings.server,
        max_uploads=settings.uploads.max_uploads,
        data_dir=data_dir.path,
        commits=local_commit_service(parts),
        registry=parts.workers.registry,
        threads=parts.threads,
    )
