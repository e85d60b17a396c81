"""The chain: all handlers of one event, then their `success` and `failure` follow-up events."""

import logging
from typing import Any

from qmonus_lite.catalog.plugins import Catalog, LambdaPlugin
from qmonus_lite.catalog.secret_values import SecretResolver
from qmonus_lite.errors import Refusal
from qmonus_lite.events.envelope import GATES, Ids
from qmonus_lite.events.outcome import MAX_OUTCOME_BYTES, Outcome
from qmonus_lite.events.published import Publications, PublishedEvent
from qmonus_lite.lambdas.event import Event
from qmonus_lite.lambdas.handle import Handle, Termination
from qmonus_lite.lambdas.unanswered import warn_of_unanswered
from qmonus_lite.lambdas.verdict import (
    NOT_JSON,
    NOT_JSON_REASON,
    HandlerRun,
    as_json,
    handler_location,
)
from qmonus_lite.scripting.context import ScriptContext
from qmonus_lite.scripting.runner import Runner, ScriptRaised
from qmonus_lite.scripting.unawaited import Watch
from qmonus_lite.values import Value, changed, field

logger = logging.getLogger(__name__)

#: Maximum number of events in a chain of follow-ups; stops a chain that leads back to itself.
MAX_DEPTH = 16
#: `action` of the log record of an outcome that cannot be sent, by rule.
_NOT_SENT = {"not-json": "event_not_json", "too-large": "outcome_too_large"}


class Chain(Value, frozen=True, kw_only=True):
    """Runs the handlers of one plugin set."""

    catalog: Catalog
    runner: Runner
    secrets: SecretResolver
    #: Ids that handlers find in their handle.
    ids: Ids = Ids()
    depth: int = 0
    #: Number of gates whose decisions depend on these runs.
    gate_depth: int = 0
    #: Whether a gate event precedes this event in the chain.
    below_gate: bool = False
    #: What the scripts of the whole chain published.
    publications: Publications = field(default_factory=Publications)

    async def run(self, name: str, data: dict[str, Any]) -> Outcome:
        """Run the handlers of event `name` on `data`; never raises for errors of the handlers."""
        if self.depth > MAX_DEPTH:
            reason = f"more than {MAX_DEPTH} events follow one another; the last is {name}"
            logger.error("%s", reason, extra={"action": "chain_too_deep", "event_name": name})
            refusal = Refusal(rule="chain-too-deep", reason=reason)
            return Outcome(code=500, output=reason, event=data, refusal=refusal, failed=True)
        plugins = self.catalog.lambdas.get(name, ())
        if not plugins:
            return Outcome(code=200, output=None, event=data)
        handle = self._gate if self.below_gate or name in GATES else self._handle
        last_event = data
        ran: list[LambdaPlugin] = []
        end: Termination | None = None
        for plugin in plugins:
            ran.append(plugin)
            # A new Event per handler: the previous may have replaced the headers by a plain dict.
            last_event = event = Event(last_event)
            end = await handle(plugin, event)
            if end is not None:
                break
        return self._outcome(end, last_event, ran)

    async def _gate(self, plugin: LambdaPlugin, event: Event) -> Termination | None:
        """Run one handler of a gate and its follow-up event; returns the refusal, or None.

        An allow does not end the chain: the remaining handlers run too.
        """
        ran = await self._run(plugin, event, gate=True)
        end = ran.verdict()
        if ran.raised is not None and plugin.failure:
            after = await self._follow(plugin.failure, event, gate=True)
            # A terminated refusal is final; a follow-up may reword an exception, not undo it.
            return ran.handle.refusal or after or end
        if end is None and plugin.success:
            return await self._follow(plugin.success, event, gate=True)
        return end

    async def _handle(self, plugin: LambdaPlugin, event: Event) -> Termination | None:
        """Run one handler and its follow-up event; returns the termination that ends the chain."""
        ran = await self._run(plugin, event)
        if (end := ran.failure) is not None:
            return (await self._follow(plugin.failure, event) or end) if plugin.failure else end
        end = ran.handle.termination
        if plugin.success and (end is None or end.code < 400):
            return await self._follow(plugin.success, event) or end
        return end

    async def _run(self, plugin: LambdaPlugin, event: Event, *, gate: bool = False) -> HandlerRun:
        """Run one handler to its end."""
        script, function = plugin.script, plugin.script.function
        script_context = self._script_context()
        ran = HandlerRun(
            plugin=plugin,
            handle=(handle := Handle(handler_location(plugin), self.ids)),
            watch=Watch(script.origin, strict=gate),
        )
        try:
            ran.returned = await self.runner.run(
                script,
                lambda: function(event, handle),
                script_context,
                timeout=plugin.timeout,
                watch=ran.watch,
            )
        except ScriptRaised as error:
            ran.raised = error
        handle.close()
        if script_context.unanswered and ran.ended_well:
            warn_of_unanswered(script, script_context)
        return ran

    async def _follow(self, name: str, event: Event, *, gate: bool = False) -> Termination | None:
        """Run the follow-up event; returns the termination by its handlers, or None."""
        below = changed(self, depth=self.depth + 1, below_gate=gate)
        outcome = await below.run(name, event)
        event.update(outcome.event)
        ended = outcome.denied if gate else outcome.refused or outcome.output is not None
        if not ended:
            return None
        return Termination(
            code=outcome.code,
            output=outcome.output,
            headers=outcome.headers,
            refusal=outcome.refusal,
            failed=outcome.failed,
        )

    async def _below(self, name: str, data: dict[str, Any]) -> Outcome:
        """Run an event that a script publishes."""
        below = changed(self, ids=changed(self.ids, attempt=1), depth=self.depth + 1)
        return await changed(below, below_gate=False).run(name, data)

    def _script_context(self) -> ScriptContext:
        return ScriptContext(
            config=lambda name: self.secrets.values(self.catalog, name),
            publish=self._below,
            gate_depth=self.gate_depth,
            publish_durably=self._publish,
        )

    async def _publish(self, name: object, event: object) -> str:
        """Note an event that is stored with the end of this one; raises BadPublication."""
        kept = self.catalog.kept_headers(name) if isinstance(name, str) else frozenset()
        published = PublishedEvent.of(name, event, kept)
        self.publications.add(published)
        return published.id

    def _outcome(
        self, end: Termination | None, event: dict[str, Any], ran: list[LambdaPlugin]
    ) -> Outcome:
        """The outcome as JSON-serializable values; a plugin that left other values has failed."""
        end = end or Termination(code=200, output=None)
        try:
            final_event, event_bytes = as_json(event)
            output, output_bytes = as_json(end.output)
        except NOT_JSON as error:
            return _not_sent(ran, "not-json", NOT_JSON_REASON, f": {error}")
        if event_bytes + output_bytes > MAX_OUTCOME_BYTES:
            reason = (
                f"an event of {event_bytes} bytes and an output of {output_bytes};"
                f" together at most {MAX_OUTCOME_BYTES} are sent to APIGW"
            )
            return _not_sent(ran, "too-large", f"a handler left {reason}")
        return Outcome(
            code=end.code,
            output=output,
            event=final_event,
            handlers=_names(ran),
            headers=end.headers,
            refusal=end.refusal if end.code >= 300 else None,
            failed=end.failed,
            published=tuple(self.publications.events),
        )


def _names(ran: list[LambdaPlugin]) -> tuple[str, ...]:
    return tuple(plugin.name for plugin in ran)


def _not_sent(ran: list[LambdaPlugin], rule: str, reason: str, detail: str = "") -> Outcome:
    """The outcome of handlers that left what cannot be sent to APIGW; logged."""
    refusal = changed(handler_location(ran[-1]), rule=rule, reason=reason)
    extra = {
        "action": _NOT_SENT[rule],
        "plugin": refusal.plugin,
        "file": refusal.file,
        "line": refusal.line,
    }
    logger.error("%s: %s%s", ", ".join(_names(ran)), reason, detail, extra=extra)
    return Outcome(
        code=500, output=reason, event={}, handlers=_names(ran), refusal=refusal, failed=True
    )
