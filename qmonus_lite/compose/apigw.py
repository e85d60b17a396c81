"""Composition of an APIGW from its settings."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from qmonus_lite import __version__
from qmonus_lite.apigw import local_admin
from qmonus_lite.apigw.access_log import log_request
from qmonus_lite.apigw.admin.events import EventsResource
from qmonus_lite.apigw.admin.health import HealthResource
from qmonus_lite.apigw.admin.logon import LogonResource
from qmonus_lite.apigw.admin.plugins import PluginsResource
from qmonus_lite.apigw.app import Services
from qmonus_lite.apigw.openapi import describe
from qmonus_lite.apigw.server import ApigwServer, Resources
from qmonus_lite.auth import tokens
from qmonus_lite.auth.account import EVERYTHING, Directory, with_local_admin
from qmonus_lite.auth.gatekeeper import Gatekeeper
from qmonus_lite.auth.tokens import Minter
from qmonus_lite.background import Background
from qmonus_lite.catalog.plugins import Catalog
from qmonus_lite.compose.example_token import token_command
from qmonus_lite.compose.gateway import DISK_THREADS, FILE_STORE, make_gateway
from qmonus_lite.compose.registry import (
    DEFAULT_STORE,
    StoreContext,
    TransportContext,
    store_kind,
    transport_kind,
)
from qmonus_lite.compose.script_events import ScriptEvents
from qmonus_lite.compose.shared import MAX_SCRIPT_THREADS, Common, common
from qmonus_lite.compose.start_checks import APIGW_CHECKS, SHARED_PORT_CHECKS, check_start
from qmonus_lite.compose.start_warnings import log_start_warnings
from qmonus_lite.compose.writer import WriterParts, local_commit_service
from qmonus_lite.events.envelope import UPLOADED
from qmonus_lite.events.query import EventQuery
from qmonus_lite.observations import Observers, RequestAnswered
from qmonus_lite.routing.backend import Backends
from qmonus_lite.routing.pipeline import Routing
from qmonus_lite.scripting.context import ScriptContext
from qmonus_lite.scripting.runner import Runner
from qmonus_lite.scripting.script_threads import ScriptThreads
from qmonus_lite.settings.table import Settings
from qmonus_lite.stores.file.reserved_space import ReservedSpace, SharedReservedSpace
from qmonus_lite.uploads.active import ActiveUploads
from qmonus_lite.uploads.completion import Completion
from qmonus_lite.uploads.publish import DirectPublisher
from qmonus_lite.uploads.quota import Quota
from qmonus_lite.uploads.service import UploadService
from qmonus_lite.writer.remote import RemoteCommitService
from qmonus_lite.writer.service import CommitService


def compose_apigw(
    settings: Settings,
    environ: Mapping[str, str],
    say: Callable[[str], None],
    *,
    number: int | None = None,
) -> ApigwServer:
    """An APIGW, ready to serve; raises StartupError.

    `number`, from 0, is given if several APIGWs share an installation and a writer process.
    """
    check_start(settings, APIGW_CHECKS if number is None else SHARED_PORT_CHECKS)
    observers = Observers([(RequestAnswered, log_request)])
    if number is None:
        shared = common(settings, environ, observers)
        shared.data_dir.lock()
        shared.data_dir.note_address(
            settings.server.advertised_host, settings.server.advertised_port
        )
    else:
        shared = common(_share(settings), environ, observers)
    if not number:
        log_start_warnings(settings, shared.live.catalog)
    return _Apigw(shared, say, number).server()


class _Apigw:
    """Builds the parts of one APIGW and connects them."""

    def __init__(self, shared: Common, say: Callable[[str], None], number: int | None) -> None:
        self._shared = shared
        self._number = number
        #: Whether this process prints and writes what is needed once per installation.
        self._first = not number
        self._print_line = say if self._first else _print_nothing
        settings = shared.settings
        self._threads = ThreadPoolExecutor(DISK_THREADS, thread_name_prefix="disk")
        self._workers = transport_kind(settings.workers.endpoints).make(
            settings,
            TransportContext(
                data_dir=shared.data_dir.path, signer=shared.signer, environ=shared.environ
            ),
        )
        self._registry = self._workers.registry
        self._transport = self._workers.for_questions()
        self._owner_prefix = "" if number is None else f"{number}-{secrets.token_hex(4)}-"
        self._store = store_kind(DEFAULT_STORE).make(
            settings,
            StoreContext(
                data_dir=shared.data_dir.path,
                gateway=shared.gateway,
                threads=self._threads,
                owner=self._owner_prefix,
                reserved=self._reserved(),
            ),
        )
        self._commits = self._commit_service()
        self._script_threads = ScriptThreads("script", max_threads=MAX_SCRIPT_THREADS)
        self._backends = Backends(
            connect_timeout=settings.plugins.callout_connect_timeout,
            answer_timeout=settings.plugins.callout_request_timeout,
            max_connections=settings.plugins.curl_max_clients,
        )
        #: Cached account directory of the active catalog.
        self._cached_directory: tuple[Catalog, Directory] | None = None
        #: Cached names of the headers that handlers of the active catalog need in pending events.
        self._kept_header_names: tuple[Catalog, frozenset[str]] | None = None
        self._has_admin = local_admin.wanted(shared.data_dir, bool(shared.live.catalog.accounts))
        self._gatekeeper = self._make_gatekeeper()
        self._script_events = ScriptEvents(
            commits=self._commits, clock=shared.clock, gateway=shared.gateway
        )
        self._query = self._make_query()

    def _make_gatekeeper(self) -> Gatekeeper:
        shared = self._shared
        tokens.import_library()
        return Gatekeeper(
            directory=self._directory,
            minter=Minter(key=shared.data_dir.key("token.key"), clock=shared.clock),
            passes=shared.passes,
            host_port=shared.settings.server.advertised,
            clock=shared.clock,
            token_ttl=shared.settings.auth.token_ttl,
        )

    def _make_query(self) -> EventQuery:
        settings = self._shared.settings
        return EventQuery(
            registry=self._registry,
            transport=self._transport,
            clock=self._shared.clock,
            source=settings.server.base_url,
            timeout=settings.events.lambda_sync_timeout,
            store_events=self._script_events.store,
        )

    def server(self) -> ApigwServer:
        """The composed server."""
        admin = local_admin.LocalAdmin(data_dir=self._shared.data_dir, gatekeeper=self._gatekeeper)
        settings = self._shared.settings
        return ApigwServer(
            settings=settings.server,
            uploads=settings.uploads,
            root=self._shared.settings.storage.root,
            plugin_dirs=settings.plugin_dirs,
            services=self._services,
            resources=Resources(
                commits=self._commits,
                script_threads=self._script_threads,
                outgoing=self._shared.outgoing,
                backends=self._backends,
                transport=self._transport,
                threads=self._threads,
            ),
            registry=self._registry,
            local_admin=admin if self._has_admin and self._first else None,
            token=admin.path if self._has_admin else None,
            token_command=self._token_command,
            say=self._print_line,
            store=self._store,
        )

    def _services(self, background: Background) -> Services:
        live = self._shared.live
        return Services(
            uploads=self._uploads(),
            max_uploads=self._shared.settings.uploads.max_uploads,
            routing=Routing(
                gatekeeper=self._gatekeeper,
                runner=Runner(
                    script_threads=self._script_threads,
                    limit_hint=" (--route_script_timeout, or the route's own timeout)",
                    observers=self._shared.observers,
                ),
                backends=self._backends,
                script_context=self._script_context,
                script_timeout=self._shared.settings.plugins.route_script_timeout,
            ),
            live=live,
            gatekeeper=self._gatekeeper,
            health=HealthResource(
                unready=lambda: (
                    background.unhealthy_reason or live.unhealthy_reason or self._unready()
                ),
                warnings=lambda: self._registry.warnings,
            ),
            logon=LogonResource(gatekeeper=self._gatekeeper, clock=self._shared.clock),
            plugins=PluginsResource(live=live, describe_api=self._openapi),
            events=EventsResource(
                commits=self._commits, gateway=make_gateway(self._shared.settings)
            ),
            observers=self._shared.observers,
        )

    def _uploads(self) -> UploadService:
        settings, gatekeeper = self._shared.settings, self._gatekeeper
        completion = Completion(
            registry=self._registry,
            committer=self._commits,
            publisher=DirectPublisher(self._store, threads=self._threads),
            own=lambda: gatekeeper.own,
            clock=self._shared.clock,
            gateway=self._shared.gateway,
            store=FILE_STORE,
            kept_headers=self._kept_headers,
        )
        return UploadService(
            template=settings.uploads.template,
            query=self._query,
            gatekeeper=gatekeeper,
            store=self._store,
            active=ActiveUploads(
                completion=completion,
                quota=Quota(max_bytes=settings.uploads.max_upload_bytes or None),
                observers=self._shared.observers,
            ),
        )

    def _kept_headers(self) -> frozenset[str]:
        catalog = self._shared.live.catalog
        if self._kept_header_names is None or self._kept_header_names[0] is not catalog:
            self._kept_header_names = catalog, catalog.kept_headers(UPLOADED)
        return self._kept_header_names[1]

    def _commit_service(self) -> CommitService:
        shared = self._shared
        if self._number is not None:
            return RemoteCommitService(shared.data_dir.path, self._owner_prefix)
        return local_commit_service(
            WriterParts(
                settings=shared.settings,
                clock=shared.clock,
                data_dir=shared.data_dir,
                gateway=shared.gateway,
                store=self._store,
                workers=self._workers,
                threads=self._threads,
                observers=shared.observers,
            )
        )

    def _reserved(self) -> ReservedSpace:
        if self._number is None:
            return ReservedSpace()
        settings = self._shared.settings
        path = self._shared.data_dir.path / "promised"
        return SharedReservedSpace(path, row=self._number, rows=settings.server.apigw_processes)

    def _script_context(self, catalog: Catalog) -> ScriptContext:
        secrets = self._shared.secrets
        return ScriptContext(
            config=lambda name: secrets.values(catalog, name),
            publish=self._query.on_this_loop(),
            publish_durably=self._script_events.publisher(catalog),
        )

    def _directory(self) -> Directory:
        catalog = self._shared.live.catalog
        if self._cached_directory is None or self._cached_directory[0] is not catalog:
            roles = {EVERYTHING.name: EVERYTHING, **catalog.roles}
            directory = Directory(accounts=catalog.accounts, roles=roles)
            directory = with_local_admin(directory) if self._has_admin else directory
            self._cached_directory = catalog, directory
        return self._cached_directory[1]

    def _token_command(self) -> Sequence[str]:
        shared = self._shared
        return token_command(self._directory(), shared.settings, shared.clock.moment())

    def _unready(self) -> str | None:
        return (
            self._commits.unhealthy_reason
            or self._store.unhealthy_reason
            or self._registry.unhealthy_reason
        )

    def _openapi(self) -> dict[str, object]:
        template = self._shared.settings.uploads.template
        return describe(self._shared.live.catalog.routes, template, __version__)


def _share(settings: Settings) -> Settings:
    """The settings of one of several APIGWs, with its share of the limits that apply to all."""

    def share(total: int) -> int:
        return -(-total // settings.server.apigw_processes)

    server, uploads, plugins = settings.server, settings.uploads, settings.plugins
    return replace(
        settings,
        server=replace(server, max_connections=share(server.max_connections)),
        uploads=replace(uploads, max_uploads=share(uploads.max_uploads)),
        plugins=replace(plugins, curl_max_clients=share(plugins.curl_max_clients)),
    )


def _print_nothing(_line: str) -> None:
    """Print nothing: the first APIGW of the installation prints it."""
