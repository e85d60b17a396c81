"""Compose: settings become a running APIGW or Lambda worker; the only room that knows everyone."""

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from qmonus_lite import __version__, serving
from qmonus_lite.apigw import bootstrap
from qmonus_lite.apigw.app import Stories
from qmonus_lite.apigw.events import Outgoings
from qmonus_lite.apigw.operators import Operations
from qmonus_lite.apigw.server import ApigwServer, Machinery
from qmonus_lite.auth.account import EVERYTHING, Directory, with_local_admin
from qmonus_lite.auth.callout_pass import Passes
from qmonus_lite.auth.gatekeeper import Gatekeeper
from qmonus_lite.auth.sealing import Sealer, sealer_of
from qmonus_lite.auth.tokens import Minter
from qmonus_lite.catalog.builders import Workshop
from qmonus_lite.catalog.live import Live
from qmonus_lite.catalog.loader import Loader
from qmonus_lite.catalog.opening import Opener
from qmonus_lite.catalog.plugins import Catalog
from qmonus_lite.clock import Clock
from qmonus_lite.datadir import DataDir
from qmonus_lite.errors import BadPlace, BadSetting
from qmonus_lite.events.ask import Question
from qmonus_lite.events.dispatcher import Delivery, Dispatcher
from qmonus_lite.events.inbox import Inbox
from qmonus_lite.events.outbox import Outbox
from qmonus_lite.events.roster import Roster
from qmonus_lite.events.sender import Sender
from qmonus_lite.events.signature import Signer
from qmonus_lite.pathtemplate import PathTemplate
from qmonus_lite.routing.backend import Backends
from qmonus_lite.routing.openapi import describe
from qmonus_lite.routing.openapi_doors import UploadDescription
from qmonus_lite.routing.story import Routing
from qmonus_lite.scripting.builtins.callout import Callout, Gateways, Timeouts
from qmonus_lite.scripting.builtins.names import granted
from qmonus_lite.scripting.builtins.outgoing import Outgoing
from qmonus_lite.scripting.context import Surroundings
from qmonus_lite.scripting.lanes import GRACE, Lanes
from qmonus_lite.scripting.options import Options
from qmonus_lite.scripting.runner import Runner
from qmonus_lite.settings import Settings, upload_template
from qmonus_lite.upload.admission import Admission
from qmonus_lite.upload.commit import Committer, recover
from qmonus_lite.upload.disk import Disk
from qmonus_lite.upload.ground import Ground
from qmonus_lite.upload.intake import Intake
from qmonus_lite.upload.session import Uploads
from qmonus_lite.upload.staging import Staging
from qmonus_lite.worker.app import Worker
from qmonus_lite.worker.server import WorkerServer

#: Scripts that may hold a thread each; more than so many share.
MOST_LANES = 32
#: Seconds that a script of a route may take, unless the route says otherwise.
ROUTE_TIMEOUT = 60.0
#: Threads for the disk, most of which wait for it.
DISK_THREADS = 32
#: The environment's place for the secret that APIGW and workers share.
SECRET_VARIABLE = "QMONUS_LITE_EVENT_SECRET"
#: Characters that such a secret needs.
LEAST_SECRET = 32


@dataclass(frozen=True, kw_only=True)
class Common:
    """What both processes have."""

    settings: Settings
    clock: Clock
    data_dir: DataDir
    signer: Signer
    passes: Passes
    outgoing: Outgoing
    opener: Opener
    live: Live


def common(settings: Settings, environ: Mapping[str, str]) -> Common:
    """The part that both processes share; raises Refused."""
    clock = Clock(settings.timezone)
    data_dir = DataDir(settings.state_dir)
    secret = _event_secret(data_dir, environ)
    # The pass is signed with a key of its own, so that neither signature can stand for the other.
    pass_key = hmac.digest(secret, b"qmonus-lite callout pass", hashlib.sha256)
    passes = Passes(minter=Minter(key=pass_key, clock=clock))
    passes.know(settings.base_url)
    outgoing = Outgoing(most=settings.curl_max_clients)
    opener = Opener(sealer=sealer_of(data_dir), environ=environ)
    return Common(
        settings=settings,
        clock=clock,
        data_dir=data_dir,
        signer=Signer(secret),
        passes=passes,
        outgoing=outgoing,
        opener=opener,
        live=Live(make_loader(settings, opener.sealer, _callout(settings, outgoing, passes))),
    )


def make_loader(settings: Settings, sealer: Sealer, callout: object) -> Loader:
    """The loader of the plugin folders; raises BadPlace for a folder that is not there."""
    for name, folder in zip(settings.plugins_base_dirs, settings.plugin_dirs, strict=True):
        if not folder.is_dir():
            raise BadPlace(f"--plugins_base_dirs: {name}: no folder at {folder}; make it first")
    template = upload_template(settings)
    shop = Workshop(
        names=granted(callout=callout, options=Options(settings)),
        sealer=sealer,
        reserved=lambda public: _reserved(public, template),
    )
    return Loader(settings.plugin_dirs, shop)


def compose_worker(settings: Settings, environ: Mapping[str, str]) -> WorkerServer:
    """A Lambda worker, ready to serve; raises Refused."""
    shared = common(settings, environ)
    asked = Lanes("ask", most=MOST_LANES)
    delivered = Lanes("deliver", most=MOST_LANES)
    worker = Worker(
        live=shared.live,
        signer=shared.signer,
        passes=shared.passes,
        opener=shared.opener,
        asked=Runner(lanes=asked, limit=_answerable(settings.lambda_sync_timeout)),
        delivered=Runner(lanes=delivered, limit=_answerable(settings.lambda_event_timeout)),
        inbox=Inbox(shared.data_dir.path / "inbox.sqlite3", shared.clock),
    )
    return WorkerServer(
        settings=settings, worker=worker, lanes=(asked, delivered), outgoing=shared.outgoing
    )


def compose_apigw(
    settings: Settings, environ: Mapping[str, str], say: Callable[[str], None]
) -> ApigwServer:
    """An APIGW, ready to serve; raises Refused."""
    durability = settings.upload_durability
    ground = Ground(
        root=settings.root,
        protected=(settings.state_dir, *settings.plugin_dirs),
        disk=Disk(sync_files=durability != "none", sync_names=durability == "full"),
    )
    ground.check()
    shared = common(settings, environ)
    shared.data_dir.lock()
    return _Apigw(shared, ground, say).server()


class _Apigw:
    """The parts of one APIGW, put together."""

    def __init__(self, shared: Common, ground: Ground, say: Callable[[str], None]) -> None:
        self._shared = shared
        self._ground = ground
        self._say = say
        settings = shared.settings
        self._threads = ThreadPoolExecutor(DISK_THREADS, thread_name_prefix="disk")
        self._staging = Staging(ground.disk, shared.data_dir.path, ground.root)
        durable = settings.upload_durability == "full"
        self._outbox = Outbox(
            shared.data_dir.path / "outbox.sqlite3", "FULL" if durable else "NORMAL"
        )
        recover(self._outbox, self._staging)
        self._sender = Sender(shared.signer)
        self._roster = Roster(settings.worker_endpoints, self._sender, settings.base_url)
        self._lanes = Lanes("script", most=MOST_LANES)
        self._backends = Backends(
            connect_timeout=settings.callout_connect_timeout,
            answer_timeout=settings.callout_request_timeout,
            most=settings.curl_max_clients,
        )
        self._has_admin = bootstrap.wanted(shared.data_dir, bool(shared.live.catalog.accounts))
        self._gatekeeper = Gatekeeper(
            directory=self._directory,
            minter=Minter(key=shared.data_dir.key("token.key"), clock=shared.clock),
            passes=shared.passes,
            place=settings.advertised,
            clock=shared.clock,
            token_ttl=settings.token_ttl,
        )
        self._question = Question(
            roster=self._roster,
            sender=self._sender,
            clock=shared.clock,
            source=settings.base_url,
            timeout=settings.lambda_sync_timeout,
        )
        self._dispatcher = Dispatcher(
            Delivery(
                outbox=self._outbox,
                roster=self._roster,
                signer=shared.signer,
                clock=shared.clock,
                source=settings.base_url,
                timeout=settings.lambda_event_timeout,
                max_age=settings.event_max_age,
            )
        )

    def server(self) -> ApigwServer:
        """The whole."""
        admin = bootstrap.LocalAdmin(data_dir=self._shared.data_dir, gatekeeper=self._gatekeeper)
        return ApigwServer(
            settings=self._shared.settings,
            stories=self._stories,
            machinery=Machinery(
                dispatcher=self._dispatcher,
                lanes=self._lanes,
                outgoing=self._shared.outgoing,
                backends=self._backends,
                sender=self._sender,
                outbox=self._outbox,
                threads=self._threads,
            ),
            roster=self._roster,
            local_admin=admin if self._has_admin else None,
            say=self._say,
        )

    def _stories(self, background: serving.Background) -> Stories:
        return Stories(
            uploads=self._uploads(),
            routing=Routing(
                gatekeeper=self._gatekeeper,
                runner=Runner(lanes=self._lanes),
                backends=self._backends,
                surroundings=self._surroundings,
                script_timeout=ROUTE_TIMEOUT,
            ),
            live=self._shared.live,
            operations=Operations(
                live=self._shared.live,
                gatekeeper=self._gatekeeper,
                clock=self._shared.clock,
                unready=self._unready,
                openapi=self._openapi,
            ),
            outgoings=Outgoings(
                outbox=self._outbox,
                dispatcher=self._dispatcher,
                gatekeeper=self._gatekeeper,
                clock=self._shared.clock,
            ),
            background=background.start,
        )

    def _uploads(self) -> Uploads:
        settings = self._shared.settings
        committer = Committer(
            self._ground,
            self._outbox,
            self._dispatcher,
            threads=self._threads,
        )
        return Uploads(
            template=upload_template(settings),
            question=self._question,
            gatekeeper=self._gatekeeper,
            ground=self._ground,
            admission=Admission(
                self._ground.disk,
                most=settings.max_upload_bytes,
                keep_free=settings.min_free_bytes,
            ),
            committer=committer,
            staging=self._staging,
            disk=self._ground.disk,
            intake=Intake(self._threads),
            threads=self._threads,
            clock=self._shared.clock,
            address=settings.advertised_host,
            port=settings.port,
        )

    def _surroundings(self, catalog: Catalog) -> Surroundings:
        opener = self._shared.opener
        return Surroundings(
            config=lambda name: opener.values(catalog, name), publish=self._question.on_this_loop()
        )

    def _directory(self) -> Directory:
        catalog = self._shared.live.catalog
        roles = {EVERYTHING.name: EVERYTHING, **catalog.roles}
        directory = Directory(accounts=catalog.accounts, roles=roles)
        return with_local_admin(directory) if self._has_admin else directory

    def _unready(self) -> str | None:
        if not self._dispatcher.alive:
            return "events are no longer delivered; restart this APIGW"
        if self._ground.disk.unfit:
            return "the disk failed several times within a minute"
        return None if self._roster.ready else "no Lambda worker answers"

    def _openapi(self) -> dict[str, object]:
        template = upload_template(self._shared.settings)
        upload = UploadDescription(template=template)
        return describe(self._shared.live.catalog.routes, upload, __version__)


def _answerable(exchange: float) -> float:
    """Seconds for a handler, such that APIGW hears of its end before it breaks off the exchange."""
    return max(0.9 * exchange - GRACE, exchange / 2)


def _callout(settings: Settings, outgoing: Outgoing, passes: Passes) -> Callout:
    gateways = Gateways(
        default=lambda: settings.advertised,
        scheme=passes.scheme,
        credential=passes.issue,
        certfile=str(settings.certfile) if settings.certfile else None,
    )
    timeouts = Timeouts(
        connect=settings.callout_connect_timeout, request=settings.callout_request_timeout
    )
    return Callout(outgoing, gateways, timeouts)


def _event_secret(data_dir: DataDir, environ: Mapping[str, str]) -> bytes:
    given = environ.get(SECRET_VARIABLE)
    if given is None:
        return data_dir.key("event.key")
    if len(given) < LEAST_SECRET:
        raise BadSetting(f"{SECRET_VARIABLE}: shorter than {LEAST_SECRET} characters")
    return base64.b64encode(given.encode())


def _reserved(public: PathTemplate, upload: PathTemplate) -> str | None:
    """Why a route cannot have this path, or None."""
    if public.text == "/-" or public.text.startswith(("/-/", "/{")):
        return "could take paths under /-/, which are APIGW's own"
    if upload.match(public.text):
        return f"is taken by --file_upload_api_path={upload.text}"
    return None
