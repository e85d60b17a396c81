"""Run a compiled script on a script thread and convert its exceptions to HTTP answers.

A script may raise `Error` or `HTTPError` on purpose; any other exception is a failure of the
script. Its traceback is logged from the plugin's own lines on; the caller gets only "failed".
"""

import asyncio
import logging
import time
import traceback
from collections.abc import Callable, Coroutine
from typing import Any

from qmonus_lite.errors import Refusal
from qmonus_lite.log import bound
from qmonus_lite.observations import Observers, ScriptRan
from qmonus_lite.redaction import redact
from qmonus_lite.scripting import context, unawaited
from qmonus_lite.scripting.builtins.raising import Error, HTTPError
from qmonus_lite.scripting.compiler import Script
from qmonus_lite.scripting.context import ScriptContext
from qmonus_lite.scripting.origin import Origin, line_raised
from qmonus_lite.scripting.script_threads import NoScriptThread, ScriptThreads
from qmonus_lite.scripting.unawaited import Watch
from qmonus_lite.surrogates import escape_surrogates
from qmonus_lite.values import Value, field

logger = logging.getLogger(__name__)


#: Maximum length, in characters, of the recorded reason of a refusal.
MAX_REASON = 500


class ScriptRaised(Exception):
    """The script ended with an exception; `code` and `body` are the corresponding HTTP answer."""

    #: Class of the exception, its text for the log, and its line in the plugin file or 0.
    kind = "Error"
    text = ""
    line = 0
    #: `ScriptRan.outcome`.
    outcome = "failed"

    def __init__(self, code: int, reason: str, body: object = None) -> None:
        self.code = code
        self.reason = reason
        self.body = body
        super().__init__(reason)

    @property
    def is_deliberate(self) -> bool:
        """Whether the script chose this end (`Error`, `HTTPError`); otherwise it failed."""
        return self.outcome == "terminated"

    def by(self, error: BaseException, script: Script, outcome: str = "failed") -> "ScriptRaised":
        """Add details of the exception that the script raised; returns self."""
        self.outcome = outcome
        self.kind = type(error).__name__
        # Not str(): a class defined by the script may have a broken `__str__`.
        self.text = "".join(traceback.format_exception_only(error)).partition(": ")[2].strip()
        self.line = line_raised(error, script.origin.file)
        return self

    def refusal(self, origin: Origin) -> Refusal:
        """Plugin, file, line and reason of the failed request, secrets redacted."""
        return Refusal(
            plugin=origin.plugin,
            file=origin.file,
            line=self.line or origin.line,
            rule=self.kind,
            reason=escape_surrogates(redact(self.text or self.reason)[:MAX_REASON]),
        )


class ScriptOverran(ScriptRaised):
    """The script exceeded its time limit."""

    kind = "timeout"
    outcome = "timed_out"

    def __init__(self, script: Script, seconds: float) -> None:
        super().__init__(504, f"{script.origin.label} was not done within {seconds:g} s")


class ScriptNotRun(ScriptRaised):
    """There was no thread to run the script on."""

    outcome = "not_run"


class Runner(Value, frozen=True, kw_only=True):
    """Runs scripts on one pool of script threads."""

    script_threads: ScriptThreads
    #: Maximum seconds of any run, overriding the plugin's timeout; None for no limit.
    limit: float | None = None
    #: Name of the setting that limits the time of a script, for the log.
    limit_hint: str = ""
    #: Notified of every run as `ScriptRan`.
    observers: Observers = field(default_factory=Observers)

    def __post_init__(self) -> None:
        unawaited.install()

    async def run(
        self,
        script: Script,
        start: Callable[[], Coroutine[Any, Any, Any]],
        script_context: ScriptContext,
        *,
        timeout: float | None = None,
        watch: Watch | None = None,
    ) -> Any:
        """Return the result of `start()`, a call of the script; raises ScriptRaised.

        `watch` collects the coroutines that the run leaves un-awaited.
        """
        timeout = min((limit for limit in (timeout, self.limit) if limit is not None), default=None)
        watch = watch or Watch(script.origin)
        if not self.observers.wants(ScriptRan):
            return await self._run(script, start, script_context, timeout, watch)
        began, outcome = time.monotonic(), "cancelled"
        try:
            value = await self._run(script, start, script_context, timeout, watch)
            outcome = "returned"
            return value
        except ScriptRaised as error:
            outcome = error.outcome
            raise
        finally:
            origin, seconds = script.origin, time.monotonic() - began
            self.observers.notify(
                ScriptRan(plugin=origin.plugin, script=origin.key, outcome=outcome, seconds=seconds)
            )

    async def _run(
        self,
        script: Script,
        start: Callable[[], Coroutine[Any, Any, Any]],
        script_context: ScriptContext,
        timeout: float | None,
        watch: Watch,
    ) -> Any:
        async def guarded() -> Any:
            context.enter(script_context)
            watch.begin()
            with bound(plugin=script.origin.plugin):
                try:
                    value = await call(script, start)
                    await watch.settle()
                    return value
                finally:
                    watch.close()

        try:
            return await self.script_threads.run(guarded, timeout=timeout)
        except NoScriptThread:
            extra = {"action": "scripts_stuck", "file": script.origin.file}
            label = script.origin.label
            logger.error("%s not begun: too many scripts are stuck", label, extra=extra)
            raise ScriptNotRun(503, "too many scripts are stuck") from None
        except TimeoutError:
            logger.error(
                "%s was not done within %g s%s",
                script.origin.label,
                timeout or 0,
                self.limit_hint,
                extra={"action": "script_overran", "file": script.origin.file},
            )
            raise ScriptOverran(script, timeout or 0) from None
        except asyncio.CancelledError:
            if _being_cancelled():
                raise
            # The script cancelled the task it ran in; our own task was not cancelled.
            raise ScriptRaised(500, f"{script.origin.label} cancelled itself") from None


async def call(script: Script, start: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Await one call of a script in the current task; raises ScriptRaised for any exception."""
    try:
        return await start()
    except ScriptRaised:
        raise
    except asyncio.CancelledError:
        if _being_cancelled():
            raise
        raise ScriptRaised(500, f"{script.origin.label} cancelled itself") from None
    except Error as error:
        raised = ScriptRaised(error.code, error.reason, error.body)
        raise raised.by(error, script, outcome="terminated") from error
    except HTTPError as error:
        # As in Tornado: `reason` is for the client, `log_message` for the log.
        text = "".join(traceback.format_exception_only(error)).strip()
        file = script.origin.file
        extra = {"action": "script_refused", "file": file, "line": line_raised(error, file)}
        logger.info("%s: %s", script.origin.label, text, extra=extra)
        raised = ScriptRaised(error.status_code, error.reason or "")
        raise raised.by(error, script, outcome="terminated") from error
    except BaseException as error:
        # BaseException: sys.exit() in a script must end the request, not the script thread.
        _log(script, error)
        raise ScriptRaised(500, f"{script.origin.label} failed").by(error, script) from error


def _being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _log(script: Script, error: BaseException) -> None:
    """Log one record with the traceback, starting at the plugin's own lines."""
    tb, file = error.__traceback__, script.origin.file
    while tb and tb.tb_next and tb.tb_frame.f_code.co_filename != file:
        tb = tb.tb_next
    logger.error(
        "%s failed: %s",
        script.origin.label,
        type(error).__name__,
        exc_info=(type(error), error, tb),
        extra={"action": "script_failed", "file": file, "line": line_raised(error, file)},
    )
