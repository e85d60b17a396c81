"""Composition of a Lambda worker from its settings."""

from collections.abc import Mapping
from functools import partial

from qmonus_lite.compose.metrics import OwnMetrics
from qmonus_lite.compose.shared import MAX_SCRIPT_THREADS, common
from qmonus_lite.compose.start_checks import WORKER_CHECKS, check_start
from qmonus_lite.events.inbox import Inbox
from qmonus_lite.lambdas.handlers import EventHandlers
from qmonus_lite.observations import Observers
from qmonus_lite.scripting.runner import Runner
from qmonus_lite.scripting.script_threads import CANCEL_GRACE_SECONDS, ScriptThreads
from qmonus_lite.settings.table import Settings
from qmonus_lite.worker.app import Worker
from qmonus_lite.worker.server import WorkerServer


def compose_worker(settings: Settings, environ: Mapping[str, str]) -> WorkerServer:
    """A Lambda worker, ready to serve; raises StartupError."""
    check_start(settings, WORKER_CHECKS)
    metrics = OwnMetrics(settings, f"lambda-{settings.workers.lambda_port}")
    shared = common(settings, environ, metrics.observers())
    for_questions = ScriptThreads("ask", max_threads=MAX_SCRIPT_THREADS)
    for_deliveries = ScriptThreads("deliver", max_threads=MAX_SCRIPT_THREADS)
    metrics.measure_plugins(shared.live)
    metrics.measure_scripts(for_questions, for_deliveries)
    runner = partial(_runner, shared.observers)
    inbox = Inbox(shared.data_dir.path / "inbox.sqlite3", shared.clock)
    handlers = EventHandlers(
        live=shared.live,
        secrets=shared.secrets,
        questions=runner(for_questions, settings.events.lambda_sync_timeout, "lambda_sync_timeout"),
        deliveries=runner(
            for_deliveries, settings.events.lambda_event_timeout, "lambda_event_timeout"
        ),
        completed=inbox,
    )
    return WorkerServer(
        settings=settings.workers,
        drain_timeout=settings.server.drain_timeout,
        certfile=settings.server.certfile,
        keyfile=settings.server.keyfile,
        worker=Worker(handlers=handlers, signer=shared.signer, passes=shared.passes),
        inbox=inbox,
        script_threads=(for_questions, for_deliveries),
        outgoing=shared.outgoing,
        sampling=metrics.sampling,
    )


def _runner(
    observers: Observers, script_threads: ScriptThreads, exchange: float, flag: str
) -> Runner:
    hint = f" (--{flag}={exchange:g}, or the plugin's own timeout)"
    return Runner(
        script_threads=script_threads,
        limit=_answerable(exchange),
        limit_hint=hint,
        observers=observers,
    )


def _answerable(exchange: float) -> float:
    """Timeout of a handler in seconds, such that its result arrives before `exchange` expires."""
    return max(0.9 * exchange - CANCEL_GRACE_SECONDS, exchange / 2)
