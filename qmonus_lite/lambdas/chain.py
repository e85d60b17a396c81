"""The chain: all handlers of one event, then the events that follow from how they ended."""

import logging
from dataclasses import dataclass, replace
from typing import Any

from qmonus_lite import strictjson
from qmonus_lite.catalog.opening import Opener
from qmonus_lite.catalog.plugins import Catalog, LambdaPlugin
from qmonus_lite.events.outcome import Outcome
from qmonus_lite.lambdas.event import Event
from qmonus_lite.lambdas.handle import Handle, Termination
from qmonus_lite.lambdas.unanswered import warn_of_unanswered
from qmonus_lite.scripting.context import Surroundings
from qmonus_lite.scripting.runner import Runner, ScriptRaised

logger = logging.getLogger(__name__)

#: Events that may follow one another; a chain that leads back to itself ends here.
MOST_DEEP = 16


@dataclass(frozen=True, kw_only=True)
class Chain:
    """Runs the handlers of one plugin set."""

    catalog: Catalog
    runner: Runner
    opener: Opener
    depth: int = 0

    async def run(self, name: str, data: dict[str, Any]) -> Outcome:
        """What the handlers of event `name` make of `data`; never raises for what they do."""
        if self.depth > MOST_DEEP:
            reason = f"more than {MOST_DEEP} events follow one another; the last is {name}"
            logger.error("%s", reason, extra={"action": "chain_too_deep", "event_name": name})
            return Outcome(code=500, output=reason, event=data)
        plugins = self.catalog.lambdas.get(name, ())
        if not plugins:
            return Outcome(code=200, output=None, event=data)
        left = data
        ran: list[str] = []
        end: Termination | None = None
        for plugin in plugins:
            ran.append(plugin.name)
            # Anew for each: one before may have put a plain dict in the place of the headers.
            left = event = Event(left)
            end = await self._handle(plugin, event)
            if end is not None:
                break
        return self._outcome(end, left, ran)

    async def _handle(self, plugin: LambdaPlugin, event: Event) -> Termination | None:
        """Run one handler and what follows from it; how the chain ends, if it does."""
        handle = Handle()
        function = plugin.script.function
        surroundings = self._surroundings()
        try:
            await self.runner.run(
                plugin.script,
                lambda: function(event, handle),
                surroundings,
                timeout=plugin.timeout,
            )
        except ScriptRaised as error:
            return await self._failed(plugin, event, error)
        end = handle.termination
        if surroundings.unanswered and (end is None or end.code < 400):
            warn_of_unanswered(plugin.script, surroundings)
        if plugin.success and (end is None or end.code < 400):
            return await self._follow(plugin.success, event) or end
        return end

    async def _failed(self, plugin: LambdaPlugin, event: Event, error: ScriptRaised) -> Termination:
        """The end that a raising handler makes, or the one that its `failure` event puts there."""
        output = error.reason if error.body is None else error.body
        # type() rather than isinstance(): a script may raise Error(True), and that is no status.
        usable = type(error.code) is int and 400 <= error.code <= 599
        end = Termination(code=error.code if usable else 500, output=output)
        return (await self._follow(plugin.failure, event) or end) if plugin.failure else end

    async def _follow(self, name: str, event: Event) -> Termination | None:
        """Run the event that follows; how its handlers ended, if they did."""
        outcome = await self._below(name, event)
        event.update(outcome.event)
        ended = outcome.refused or outcome.output is not None
        return Termination(code=outcome.code, output=outcome.output) if ended else None

    async def _below(self, name: str, data: dict[str, Any]) -> Outcome:
        """Run an event that follows from one of ours."""
        below = replace(self, depth=self.depth + 1)
        return await below.run(name, data)

    def _surroundings(self) -> Surroundings:
        return Surroundings(
            config=lambda name: self.opener.values(self.catalog, name), publish=self._below
        )

    def _outcome(self, end: Termination | None, event: dict[str, Any], ran: list[str]) -> Outcome:
        """The outcome in values that JSON can hold; a plugin that left others has failed."""
        code, output = (end.code, end.output) if end else (200, None)
        try:
            event_left, output = _as_json(event), _as_json(output)
        except (TypeError, ValueError, RuntimeError) as error:
            names = ", ".join(ran)
            logger.error(
                "%s left something that JSON cannot hold: %s",
                names,
                error,
                extra={"action": "event_not_json"},
            )
            reason = "a handler left something that JSON cannot hold"
            return Outcome(code=500, output=reason, event={}, handlers=tuple(ran))
        return Outcome(code=code, output=output, event=event_left, handlers=tuple(ran))


def _as_json(value: object) -> Any:
    """The value as it arrives; raises TypeError, ValueError or RuntimeError if it cannot travel."""
    return value if value is None else strictjson.read(strictjson.write(value).encode())
