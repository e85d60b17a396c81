"""How one handler ended, as a value: what it terminated, returned, raised and left un-awaited.

In a gate anything that is not clearly a yes is a no (docs/decisions/gates.md). Elsewhere the first
termination ends the chain.
"""

import logging
from dataclasses import dataclass, replace
from types import CodeType
from typing import Any

from qmonus_lite import strictjson
from qmonus_lite.catalog.plugins import LambdaPlugin
from qmonus_lite.errors import Refusal
from qmonus_lite.lambdas.handle import Handle, Termination
from qmonus_lite.scripting.runner import ScriptRaised
from qmonus_lite.scripting.unawaited import Watch

logger = logging.getLogger(__name__)

#: What JSON cannot hold raises one of these.
NOT_JSON = (TypeError, ValueError, RuntimeError)
#: What the client of an upload hears of it.
NOT_JSON_REASON = "a handler left something that JSON cannot hold"


@dataclass(kw_only=True)
class Ran:
    """One handler that has ended."""

    plugin: LambdaPlugin
    handle: Handle
    watch: Watch
    returned: object = None
    raised: ScriptRaised | None = None

    @property
    def failure(self) -> Termination | None:
        """The end that an exception makes."""
        error = self.raised
        if error is None:
            return None
        output = error.reason if error.body is None else error.body
        refusal = error.refusal(self.plugin.script.origin)
        # The name of a plugin may have a dot, and its handler knows its own first line.
        where = place_of(self.plugin)
        refusal = replace(refusal, plugin=where.plugin, line=error.line or where.line)
        return Termination(code=_failing(error.code), output=output, refusal=refusal)

    @property
    def ended_well(self) -> bool:
        """Whether it neither raised nor terminated with an error."""
        end = self.handle.termination
        return self.raised is None and (end is None or end.code < 400)

    def verdict(self) -> Termination | None:
        """The refusal of a gate's handler; None when it said yes, or nothing."""
        if self.handle.refusal is not None:
            return self.handle.refusal
        if self.failure is not None:
            return self.failure
        if self.watch.left:
            left = self.watch.left[0]
            refusal = self._at(left.line, "not-awaited", f"'{left.name}' was never awaited")
            # Told by the watch.
            return self._failed(refusal)
        said = self.handle.termination
        if said is not None:
            return None if travels(said.output) else self._fault("not-json", NOT_JSON_REASON)
        if self.returned is not None:
            kind = type(self.returned).__name__
            reason = f"returned a value of type {kind}, which is no verdict; call handle.terminate"
            return self._fault("returned-value", reason)
        return None

    def _fault(self, rule: str, reason: str) -> Termination:
        """A refusal for something that the script left, which is told in the log."""
        line = self.watch.returned_at if rule == "returned-value" else 0
        refusal = self._at(line, rule, reason)
        extra = {
            "action": "gate_refused",
            "plugin": refusal.plugin,
            "file": refusal.file,
            "line": refusal.line,
            "rule": rule,
        }
        logger.error("%s: %s", self.plugin.script.origin.label, reason, extra=extra)
        return self._failed(refusal)

    def _failed(self, refusal: Refusal) -> Termination:
        output = f"{self.plugin.script.origin.label} failed"
        return Termination(code=500, output=output, refusal=refusal)

    def _at(self, line: int, rule: str, reason: str) -> Refusal:
        where = place_of(self.plugin)
        return replace(where, line=line or where.line, rule=rule, reason=reason)


def place_of(plugin: LambdaPlugin) -> Refusal:
    """Plugin, file and first line of a handler."""
    origin = plugin.script.origin
    code: Any = getattr(plugin.script.function, "__code__", None)
    # A decorator may have put a function of another file in its place.
    here = isinstance(code, CodeType) and code.co_filename == origin.file
    line = code.co_firstlineno if here else origin.line
    return Refusal(plugin=plugin.name, file=origin.file, line=line)


def _failing(code: Any) -> int:
    """The status of what was raised; 500 for one that is none, as in Error(True)."""
    usable = isinstance(code, int) and not isinstance(code, bool) and 400 <= code <= 599
    return int(code) if usable else 500


def travels(value: object) -> bool:
    """Whether JSON can hold it."""
    try:
        as_json(value)
    except NOT_JSON:
        return False
    return True


def as_json(value: object) -> Any:
    """The value as it arrives; raises one of NOT_JSON if it cannot travel."""
    return value if value is None else strictjson.read(strictjson.write(value).encode())
