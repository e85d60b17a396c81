"""Keeping from its settings: for an APIGW that does it itself, and for the keeper."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from qmonus_lite.clock import Clock
from qmonus_lite.compose.shared import DISK_THREADS, event_secret, make_ground, make_roster
from qmonus_lite.datadir import DataDir
from qmonus_lite.events.delivery import Delivery
from qmonus_lite.events.dispatcher import Dispatcher
from qmonus_lite.events.outbox import Outbox
from qmonus_lite.events.roster import Roster
from qmonus_lite.events.sender import Sender
from qmonus_lite.events.signature import Signer
from qmonus_lite.keeper.keeping import Near
from qmonus_lite.keeper.server import KeeperServer
from qmonus_lite.settings import Settings
from qmonus_lite.upload.commit import Committer, recover
from qmonus_lite.upload.ground import Ground
from qmonus_lite.upload.staging_places import Staging


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What keeping is made of."""

    settings: Settings
    clock: Clock
    data_dir: DataDir
    signer: Signer
    ground: Ground
    staging: Staging
    roster: Roster
    threads: ThreadPoolExecutor


def keep_here(parts: Parts) -> Near:
    """Keeping in this process; decides first what a crash left. Raises BadPlace."""
    settings = parts.settings
    durable = settings.upload_durability == "full"
    outbox = Outbox(parts.data_dir.path / "outbox.sqlite3", "FULL" if durable else "NORMAL")
    recover(outbox, parts.staging)
    dispatcher = Dispatcher(
        Delivery(
            outbox=outbox,
            roster=parts.roster,
            signer=parts.signer,
            clock=parts.clock,
            source=settings.base_url,
            timeout=settings.lambda_event_timeout,
            max_age=settings.event_max_age,
        )
    )
    return Near(
        disk=parts.ground.disk,
        outbox=outbox,
        dispatcher=dispatcher,
        committer=Committer(parts.ground, parts.staging, outbox, dispatcher, threads=parts.threads),
        roster=parts.roster,
        clock=parts.clock,
    )


def compose_keeper(settings: Settings, environ: Mapping[str, str]) -> KeeperServer:
    """A keeper, ready to serve; raises Refused."""
    ground = make_ground(settings)
    data_dir = DataDir(settings.state_dir)
    signer = Signer(event_secret(data_dir, environ))
    data_dir.lock()
    sender = Sender(signer)
    parts = Parts(
        settings=settings,
        clock=Clock(settings.timezone),
        data_dir=data_dir,
        signer=signer,
        ground=ground,
        staging=Staging(ground.disk, data_dir.path, ground.root),
        roster=make_roster(settings, data_dir, sender, environ),
        threads=ThreadPoolExecutor(DISK_THREADS, thread_name_prefix="disk"),
    )
    return KeeperServer(
        settings=settings,
        data_dir=data_dir.path,
        keeping=keep_here(parts),
        roster=parts.roster,
        sender=sender,
        staging=parts.staging,
        threads=parts.threads,
    )
