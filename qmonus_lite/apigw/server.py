"""APIGW server process: start-up, ready announcement, drain and shutdown."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from qmonus_lite import __version__, serving, supervisor_channel
from qmonus_lite.apigw import local_admin
from qmonus_lite.apigw.app import Services, make_pipeline
from qmonus_lite.apigw.local_admin import LocalAdmin
from qmonus_lite.background import Background
from qmonus_lite.catalog.live import Live
from qmonus_lite.errors import BadResource
from qmonus_lite.events.transport import Transport
from qmonus_lite.events.workers import WorkerRegistry
from qmonus_lite.http.accept import GuardedServer, make_server
from qmonus_lite.http.body_timeout import BodyRate
from qmonus_lite.http.limits import TrustedProxies
from qmonus_lite.http.state import ServerState
from qmonus_lite.routing.backend import Backends
from qmonus_lite.scripting.builtins import callout_tls
from qmonus_lite.scripting.builtins.outgoing import Outgoing
from qmonus_lite.scripting.script_threads import ScriptThreads
from qmonus_lite.settings.server import ServerSettings
from qmonus_lite.settings.uploads import UploadSettings
from qmonus_lite.uploads.service import UploadService
from qmonus_lite.uploads.store import UploadStore
from qmonus_lite.values import Value
from qmonus_lite.writer.service import CommitService

logger = logging.getLogger(__name__)

#: Seconds that each of several APIGW processes waits for a worker and the token at start-up.
FIRST_WORKER_SECONDS = 5.0
#: Seconds for aborted uploads to remove their files; the next start removes the rest.
CLEANUP_SECONDS = 2.0


class Resources(Value, frozen=True, kw_only=True):
    """Services and pools used by the handlers; closed by `ApigwServer._close`."""

    commits: CommitService
    script_threads: ScriptThreads
    outgoing: Outgoing
    backends: Backends
    transport: Transport
    threads: ThreadPoolExecutor


class ApigwServer(Value, frozen=True, kw_only=True):
    """One APIGW process."""

    settings: ServerSettings
    uploads: UploadSettings
    #: Directory that files are stored below, and the plugin folders, for the announcement.
    root: Path
    plugin_dirs: tuple[Path, ...]
    services: Callable[[Background], Services]
    resources: Resources
    registry: WorkerRegistry
    #: Writes the token of the local admin; set in only one of several APIGW processes.
    local_admin: LocalAdmin | None
    #: Path of that token, or None when there is no local admin.
    token: Path | None
    #: Command that prints a token of an account that may upload; empty if there is none.
    token_command: Callable[[], Sequence[str]]
    #: Prints a line for the user on standard output.
    say: Callable[[str], None]
    #: Its health: whether uploads can be stored at all.
    store: UploadStore

    async def serve(self) -> bool:
        """Serve until stopped; returns True if all active requests completed."""
        settings = self.settings
        tls = serving.tls_context(settings.certfile, settings.keyfile)
        stop, background = serving.Stop(), Background()
        handed = supervisor_channel.listening_sockets()
        sockets = handed or serving.bind(settings.address, settings.port, flag="port")
        await self.resources.commits.begin()
        services = self.services(background)
        state = ServerState(
            body_rate=BodyRate(stall=settings.body_stall_timeout, rate=settings.min_body_rate),
            proxies=TrustedProxies.of(settings.trusted_proxies),
            ids_of_caller=services.gatekeeper.ids_of_caller,
        )
        most = serving.descriptors_for(settings.max_connections, self.uploads.max_uploads)
        server = make_server(
            make_pipeline(services, state),
            tls=tls,
            max_connections=most,
            timeout_seconds=settings.body_stall_timeout,
        )
        server.alone = not handed
        serving.on_hangup(lambda: self._reload(server, services.live))
        self._begin(background, services)
        if handed:
            # The other processes accept meanwhile; accept only when a worker is available.
            await serving.until_idle(
                lambda: not (self._is_ready or stop.requested), FIRST_WORKER_SECONDS
            )
        server.add_sockets(sockets)
        self._announce(len(services.live.catalog.listed))
        if self.registry.unhealthy_reason is None:
            self._announce_ready()
        else:
            self.registry.on_first_ready(self._announce_ready)
        serving.tune_interpreter()
        supervisor_channel.announce_listening()
        await stop.wait()
        clean = await self._drain(server, state, services.uploads)
        await background.close()
        clean &= await self._close()
        logger.info("stopped", extra={"action": "stopped", "clean": clean})
        return clean

    @property
    def _is_ready(self) -> bool:
        """True if a worker is available and the announced token file, if any, exists."""
        return self.registry.unhealthy_reason is None and (
            self.token is None or self.token.exists()
        )

    def _begin(self, background: Background, services: Services) -> None:
        if self.local_admin:
            self.local_admin.write()
            # Not essential: other accounts do not need it.
            background.start("token of the local admin", self.local_admin.renew, essential=False)
        background.start("plugin watching", services.live.watch)
        background.start("heartbeat", serving.heartbeat)
        background.start("worker registry", self.registry.follow)

    def _reload(self, server: GuardedServer, live: Live) -> None:
        """Read plugins and certificate again; one that cannot be used changes nothing."""
        live.request_reload()
        certfile, keyfile = self.settings.certfile, self.settings.keyfile
        try:
            context = serving.tls_context(certfile, keyfile)
        except BadResource as error:
            extra = {"action": "certificate_kept"}
            logger.error("%s; the certificate in use stays", error, extra=extra)
            return
        if context is not None:
            # For new connections; those that are open keep theirs.
            server.ssl_options = context
            callout_tls.forget_own()
            logger.info("certificate read again", extra={"action": "certificate_loaded"})

    def _announce(self, plugins: int) -> None:
        self.say(
            f"qmonus-lite {__version__} APIGW listens on {self.settings.base_url}"
            f" (uploads: PUT {self.uploads.file_upload_api_path}, files below {self.root},"
            f" {plugins} plugins from {', '.join(map(str, self.plugin_dirs))})"
        )

    def _announce_ready(self) -> None:
        """A worker is available: print an example upload, or the reason why uploads fail."""
        if unhealthy_reason := self.store.unhealthy_reason:
            self.say(f"not ready: {unhealthy_reason}")
            return
        data_dir = self.local_admin.data_dir if self.local_admin else None
        line = local_admin.curl_line(
            self.settings.base_url, self.uploads.template, data_dir, self.token_command()
        )
        self.say(f"ready; try:\n  {line}")

    async def _drain(
        self, server: GuardedServer, state: ServerState, uploads: UploadService
    ) -> bool:
        """Stop accepting, wait for active requests, close the rest and wait for the clean-up."""
        server.stop()
        state.draining = True
        clean = await serving.until_idle(lambda: state.active, self.settings.drain_timeout)
        await server.close_all_connections()
        await serving.until_idle(lambda: uploads.under_way, CLEANUP_SECONDS)
        return clean

    async def _close(self) -> bool:
        resources = self.resources
        resources.commits.stop_deliveries()
        clean = await resources.script_threads.close(within=1.0)
        await resources.outgoing.close()
        await resources.backends.close()
        await resources.transport.close()
        resources.threads.shutdown()
        resources.commits.close()
        return clean
