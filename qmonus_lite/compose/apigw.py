"""An APIGW from its settings."""

import secrets
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from qmonus_lite import __version__
from qmonus_lite.apigw import bootstrap
from qmonus_lite.apigw.app import Stories
from qmonus_lite.apigw.events import Outgoings
from qmonus_lite.apigw.operators import Operations
from qmonus_lite.apigw.server import ApigwServer, Machinery
from qmonus_lite.auth.account import EVERYTHING, Directory, with_local_admin
from qmonus_lite.auth.gatekeeper import Gatekeeper
from qmonus_lite.auth.tokens import Minter
from qmonus_lite.background import Background
from qmonus_lite.catalog.plugins import Catalog
from qmonus_lite.compose.keeper import Parts, keep_here
from qmonus_lite.compose.shared import (
    DISK_THREADS,
    MOST_LANES,
    Common,
    common,
    make_ground,
    make_roster,
)
from qmonus_lite.events.ask import Question
from qmonus_lite.events.envelope import UPLOADED
from qmonus_lite.events.sender import Sender
from qmonus_lite.keeper.far import Far
from qmonus_lite.keeper.keeping import Keeping
from qmonus_lite.routing.backend import Backends
from qmonus_lite.routing.openapi import describe
from qmonus_lite.routing.openapi_doors import UploadDescription
from qmonus_lite.routing.story import Routing
from qmonus_lite.scripting.context import Surroundings
from qmonus_lite.scripting.lanes import Lanes
from qmonus_lite.scripting.runner import Runner
from qmonus_lite.settings import Settings, upload_template
from qmonus_lite.upload.admission import Admission
from qmonus_lite.upload.disk import UNFIT
from qmonus_lite.upload.ground import Ground
from qmonus_lite.upload.intake import Intake
from qmonus_lite.upload.promised import Promised, Shared
from qmonus_lite.upload.room import Room, folders_of
from qmonus_lite.upload.session import Uploads
from qmonus_lite.upload.staging_places import Staging
from qmonus_lite.upload.storing import Storer


def compose_apigw(
    settings: Settings,
    environ: Mapping[str, str],
    say: Callable[[str], None],
    *,
    number: int | None = None,
) -> ApigwServer:
    """An APIGW, ready to serve; raises Refused.

    `number` is given to those that share an installation and a keeper, from 0.
    """
    ground = make_ground(settings)
    if number is None:
        shared = common(settings, environ)
        shared.data_dir.lock()
    else:
        shared = common(_share(settings), environ)
    return _Apigw(shared, ground, say, number).server()


class _Apigw:
    """The parts of one APIGW, put together."""

    def __init__(
        self, shared: Common, ground: Ground, say: Callable[[str], None], number: int | None
    ) -> None:
        self._shared = shared
        self._ground = ground
        self._number = number
        #: Whether nobody else speaks for this installation.
        self._first = not number
        self._say = say if self._first else _say_nothing
        settings = shared.settings
        self._threads = ThreadPoolExecutor(DISK_THREADS, thread_name_prefix="disk")
        self._staging = Staging(ground.disk, shared.data_dir.path, ground.root)
        self._sender = Sender(shared.signer)
        self._roster = make_roster(settings, shared.data_dir, self._sender, shared.environ)
        self._mark = "" if number is None else f"{number}-{secrets.token_hex(4)}-"
        self._keeping = self._kept()
        self._room = Room(
            root=ground.root,
            folders=folders_of(upload_template(settings).text),
            keep_free=settings.min_free_bytes,
        )
        self._lanes = Lanes("script", most=MOST_LANES)
        self._backends = Backends(
            connect_timeout=settings.callout_connect_timeout,
            answer_timeout=settings.callout_request_timeout,
            most=settings.curl_max_clients,
        )
        #: The directory of the catalog in force.
        self._known: tuple[Catalog, Directory] | None = None
        #: What its handlers want kept of the headers of promised events.
        self._keeps: tuple[Catalog, frozenset[str]] | None = None
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

    def server(self) -> ApigwServer:
        """The whole."""
        admin = bootstrap.LocalAdmin(data_dir=self._shared.data_dir, gatekeeper=self._gatekeeper)
        return ApigwServer(
            settings=self._shared.settings,
            stories=self._stories,
            machinery=Machinery(
                keeping=self._keeping,
                lanes=self._lanes,
                outgoing=self._shared.outgoing,
                backends=self._backends,
                sender=self._sender,
                threads=self._threads,
            ),
            roster=self._roster,
            local_admin=admin if self._has_admin and self._first else None,
            token=admin.place if self._has_admin else None,
            say=self._say,
            room=self._room,
        )

    def _stories(self, background: Background) -> Stories:
        live = self._shared.live
        return Stories(
            uploads=self._uploads(),
            routing=Routing(
                gatekeeper=self._gatekeeper,
                runner=Runner(
                    lanes=self._lanes,
                    limit_hint=" (--route_script_timeout, or the route's own timeout)",
                ),
                backends=self._backends,
                surroundings=self._surroundings,
                script_timeout=self._shared.settings.route_script_timeout,
            ),
            live=live,
            operations=Operations(
                live=live,
                gatekeeper=self._gatekeeper,
                clock=self._shared.clock,
                unready=lambda: background.trouble or live.trouble or self._unready(),
                warnings=lambda: self._roster.warnings,
                openapi=self._openapi,
            ),
            outgoings=Outgoings(keeping=self._keeping, gatekeeper=self._gatekeeper),
            background=background.run,
        )

    def _uploads(self) -> Uploads:
        settings = self._shared.settings
        return Uploads(
            template=upload_template(settings),
            question=self._question,
            gatekeeper=self._gatekeeper,
            ground=self._ground,
            admission=Admission(
                self._ground.disk,
                most=settings.max_upload_bytes,
                keep_free=settings.min_free_bytes,
                promised=self._promised(),
            ),
            committer=self._keeping,
            storer=Storer(self._ground, self._staging, threads=self._threads),
            staging=self._staging,
            disk=self._ground.disk,
            intake=Intake(self._threads),
            threads=self._threads,
            clock=self._shared.clock,
            address=settings.advertised_host,
            port=settings.port,
            kept_headers=self._kept_headers,
            mark=self._mark,
        )

    def _kept_headers(self) -> frozenset[str]:
        catalog = self._shared.live.catalog
        if self._keeps is None or self._keeps[0] is not catalog:
            self._keeps = catalog, catalog.kept_headers(UPLOADED)
        return self._keeps[1]

    def _kept(self) -> Keeping:
        shared = self._shared
        if self._number is not None:
            return Far(shared.data_dir.path, self._mark, self._threads)
        return keep_here(
            Parts(
                settings=shared.settings,
                clock=shared.clock,
                data_dir=shared.data_dir,
                signer=shared.signer,
                ground=self._ground,
                staging=self._staging,
                roster=self._roster,
                threads=self._threads,
            )
        )

    def _promised(self) -> Promised:
        if self._number is None:
            return Promised()
        settings = self._shared.settings
        place = self._shared.data_dir.path / "promised"
        return Shared(place, row=self._number, rows=settings.apigw_processes)

    def _surroundings(self, catalog: Catalog) -> Surroundings:
        opener = self._shared.opener
        return Surroundings(
            config=lambda name: opener.values(catalog, name), publish=self._question.on_this_loop()
        )

    def _directory(self) -> Directory:
        catalog = self._shared.live.catalog
        if self._known is None or self._known[0] is not catalog:
            roles = {EVERYTHING.name: EVERYTHING, **catalog.roles}
            directory = Directory(accounts=catalog.accounts, roles=roles)
            self._known = catalog, with_local_admin(directory) if self._has_admin else directory
        return self._known[1]

    def _unready(self) -> str | None:
        if trouble := self._keeping.trouble:
            return trouble
        if self._ground.disk.unfit:
            return UNFIT
        return self._room.trouble or self._roster.trouble

    def _openapi(self) -> dict[str, object]:
        template = upload_template(self._shared.settings)
        upload = UploadDescription(template=template)
        return describe(self._shared.live.catalog.routes, upload, __version__)


def _share(settings: Settings) -> Settings:
    """The settings of one of several APIGWs: its part of what all may take."""

    def part(most: int) -> int:
        return -(-most // settings.apigw_processes)

    return replace(
        settings,
        max_connections=part(settings.max_connections),
        max_uploads=part(settings.max_uploads),
        curl_max_clients=part(settings.curl_max_clients),
    )


def _say_nothing(_line: str) -> None:
    """Another APIGW of the installation says it."""
