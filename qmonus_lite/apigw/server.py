"""A running APIGW, from its port to its stop."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tornado.httpserver import HTTPServer
from tornado.web import Application

from qmonus_lite import __version__, lifeline, serving
from qmonus_lite.apigw import bootstrap
from qmonus_lite.apigw.accept import make_server
from qmonus_lite.apigw.app import Stories, make_app
from qmonus_lite.apigw.bootstrap import LocalAdmin
from qmonus_lite.apigw.limits import Limits
from qmonus_lite.background import Background
from qmonus_lite.events.roster import Roster
from qmonus_lite.events.sender import Sender
from qmonus_lite.keeper.keeping import Keeping
from qmonus_lite.routing.backend import Backends
from qmonus_lite.scripting.builtins.outgoing import Outgoing
from qmonus_lite.scripting.lanes import Lanes
from qmonus_lite.settings import Settings
from qmonus_lite.upload.room import Room
from qmonus_lite.upload.session import Uploads

logger = logging.getLogger(__name__)

#: Seconds that one of several APIGWs waits for a worker and the token before it accepts.
FIRST_WORD = 5.0
#: Seconds for uploads that were cut to take their files away; the next start does it otherwise.
CLEANING = 2.0


@dataclass(frozen=True, kw_only=True)
class Machinery:
    """What runs behind the doors and is closed at the end, in this order."""

    keeping: Keeping
    lanes: Lanes
    outgoing: Outgoing
    backends: Backends
    sender: Sender
    threads: ThreadPoolExecutor


@dataclass(frozen=True, kw_only=True)
class ApigwServer:
    """One APIGW process."""

    settings: Settings
    stories: Callable[[Background], Stories]
    machinery: Machinery
    roster: Roster
    #: Writes the token of the local admin; of several APIGWs one does.
    local_admin: LocalAdmin | None
    #: Where that token is, or None when there is no local admin.
    token: Path | None
    #: Says where to, for people; a line on standard output.
    say: Callable[[str], None]
    #: Whether any upload could be stored.
    room: Room

    async def serve(self) -> bool:
        """Serve until the stop; whether everything under way came to its end."""
        settings = self.settings
        tls = serving.tls_context(settings.certfile, settings.keyfile)
        stop, background = serving.Stop(), Background()
        handed = lifeline.listening_sockets()
        sockets = handed or serving.bind(settings.address, settings.port, flag="port")
        await self.machinery.keeping.begin()
        stories = self.stories(background)
        application = make_app(stories, Limits.of(settings))
        most = serving.descriptors_for(settings.max_connections, settings.max_uploads)
        server = make_server(
            application, tls=tls, most_connections=most, patience=settings.body_stall_timeout
        )
        server.alone = not handed
        self._begin(background, stories)
        if handed:
            # The others accept meanwhile; who comes to us is to find a worker to ask.
            await serving.until_idle(lambda: not (self._is_whole or stop.asked), FIRST_WORD)
        server.add_sockets(sockets)
        self._announce(len(stories.live.catalog.listed))
        if self.roster.trouble is None:
            self._invite()
        else:
            self.roster.on_first_ready(self._invite)
        serving.put_requests_first()
        lifeline.announce_listening()
        await stop.wait()
        clean = await self._drain(server, application, stories.uploads)
        await background.close()
        clean &= await self._close()
        logger.info("stopped", extra={"action": "stopped", "clean": clean})
        return clean

    @property
    def _is_whole(self) -> bool:
        """Whether uploads have whom to ask, and the token is there that people are told to use."""
        return self.roster.trouble is None and (self.token is None or self.token.exists())

    def _begin(self, background: Background, stories: Stories) -> None:
        if self.local_admin:
            self.local_admin.write()
            # Other accounts go on without.
            background.start("token of the local admin", self.local_admin.renew, essential=False)
        background.start("plugin watching", stories.live.watch)
        background.start("pulse", serving.beat)
        background.start("roster of workers", self.roster.follow)

    def _announce(self, plugins: int) -> None:
        settings = self.settings
        self.say(
            f"qmonus-lite {__version__} APIGW listens on {settings.base_url}"
            f" (uploads: PUT {settings.file_upload_api_path}, files below {settings.root},"
            f" {plugins} plugins from {', '.join(map(str, settings.plugin_dirs))})"
        )

    def _invite(self) -> None:
        """A worker answers, so uploads work: say how to send one, or what is in their way."""
        if trouble := self.room.trouble:
            self.say(f"not ready: {trouble}")
            return
        data_dir = self.local_admin.data_dir if self.local_admin else None
        line = bootstrap.curl_line(self.settings, data_dir)
        self.say(f"ready; try:\n  {line}")

    async def _drain(self, server: HTTPServer, application: Application, uploads: Uploads) -> bool:
        """Take no more, let what is under way end, cut the rest and let it clean up."""
        server.stop()
        application.settings["draining"] = True
        active = application.settings["active"]
        clean = await serving.until_idle(lambda: active, self.settings.drain_timeout)
        await server.close_all_connections()
        await serving.until_idle(lambda: uploads.under_way, CLEANING)
        return clean

    async def _close(self) -> bool:
        machinery = self.machinery
        machinery.keeping.rest()
        clean = await machinery.lanes.close(within=1.0)
        await machinery.outgoing.close()
        await machinery.backends.close()
        await machinery.sender.close()
        machinery.threads.shutdown()
        machinery.keeping.close()
        return clean
