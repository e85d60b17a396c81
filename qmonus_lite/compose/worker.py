"""A Lambda worker from its settings."""

from collections.abc import Mapping

from qmonus_lite.compose.shared import MOST_LANES, common
from qmonus_lite.events.inbox import Inbox
from qmonus_lite.scripting.lanes import GRACE, Lanes
from qmonus_lite.scripting.runner import Runner
from qmonus_lite.settings import Settings
from qmonus_lite.worker.app import Worker
from qmonus_lite.worker.server import WorkerServer


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
        asked=_runner(asked, settings.lambda_sync_timeout, "lambda_sync_timeout"),
        delivered=_runner(delivered, settings.lambda_event_timeout, "lambda_event_timeout"),
        inbox=Inbox(shared.data_dir.path / "inbox.sqlite3", shared.clock),
    )
    return WorkerServer(
        settings=settings, worker=worker, lanes=(asked, delivered), outgoing=shared.outgoing
    )


def _runner(lanes: Lanes, exchange: float, flag: str) -> Runner:
    hint = f" (--{flag}={exchange:g}, or the plugin's own timeout)"
    return Runner(lanes=lanes, limit=_answerable(exchange), limit_hint=hint)


def _answerable(exchange: float) -> float:
    """Seconds for a handler, such that APIGW hears of its end before it breaks off the exchange."""
    return max(0.9 * exchange - GRACE, exchange / 2)
