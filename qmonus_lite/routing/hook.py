"""Runs a request or response script of a route and converts its outcome to a response."""

import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TypeVar

from qmonus_lite.errors import RefusedByScript, script_problem
from qmonus_lite.routing import script_results
from qmonus_lite.routing.message import RouteResponse
from qmonus_lite.scripting.compiler import Script
from qmonus_lite.scripting.context import ScriptContext
from qmonus_lite.scripting.runner import Runner, ScriptRaised
from qmonus_lite.values import Value, changed

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Hook(Value, frozen=True, kw_only=True):
    """Runs scripts of routes with a timeout."""

    runner: Runner
    #: Timeout of one run in seconds.
    timeout: float | None

    def with_timeout(self, seconds: float | None) -> "Hook":
        """A copy with this timeout; None keeps the default."""
        return self if seconds is None else changed(self, timeout=seconds)

    async def run(
        self,
        script: Script,
        given: Mapping[str, object],
        script_context: ScriptContext,
        default: Callable[[], T],
    ) -> RouteResponse | T:
        """The script's response, or the result of `default()` if it gave none; raises Problem."""
        finish = script_results.Finish()

        async def start() -> RouteResponse | T:
            value = await script.function(**given, finish=finish)
            # Run on the script thread: the result may be large, and its errors are the script's.
            return finish.answer or script_results.returned(value) or default()

        try:
            outcome: RouteResponse | T = await self.runner.run(
                script, start, script_context, timeout=self.timeout
            )
        except ScriptRaised as error:
            return finish.answer or _raised(script, error)
        return outcome


def _raised(script: Script, error: ScriptRaised) -> RouteResponse:
    """The response that a script raised; raises Problem for an error without a body."""
    if not error.is_deliberate:
        raise script_problem(error.code, error.refusal(script.origin))
    try:
        code = script_results.status(error.code)
        if error.body is None and code >= HTTPStatus.BAD_REQUEST:
            raise RefusedByScript(code, error.reason, error.refusal(script.origin))
        return script_results.answer(
            code, error.reason or None if error.body is None else error.body
        )
    except script_results.InvalidResult as invalid:
        logger.error(
            "%s raised an Error that is no answer: %s",
            script.origin.label,
            invalid,
            extra={"action": "script_failed", "file": script.origin.file},
        )
        raise script_problem(500, error.refusal(script.origin)) from error
