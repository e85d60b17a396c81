"""Result of one handler as a value: what it terminated, returned, raised and left un-awaited.

In a gate, anything but a clear allow is a refusal (docs/decisions/gates.md). Elsewhere the first
termination ends the chain.
"""

import logging
from dataclasses import dataclass
from types import CodeType
from typing import Any

from qmonus_lite import strictjson
from qmonus_lite.catalog.plugins import LambdaPlugin
from qmonus_lite.errors import Refusal
from qmonus_lite.lambdas.handle import Handle, Termination
from qmonus_lite.scripting.runner import ScriptRaised
from qmonus_lite.scripting.unawaited import Watch
from qmonus_lite.surrogates import escape_surrogates
from qmonus_lite.values import changed

logger = logging.getLogger(__name__)

#: Exceptions raised for values that are not JSON-serializable.
NOT_JSON = (TypeError, ValueError, RuntimeError)
#: Reason that the client of an upload gets for it.
NOT_JSON_REASON = "a handler left something that JSON cannot hold"


@dataclass(kw_only=True)
class HandlerRun:
    """One handler that has ended."""

    plugin: LambdaPlugin
    handle: Handle
    watch: Watch
    returned: object = None
    raised: ScriptRaised | None = None

    @property
    def failure(self) -> Termination | None:
        """Termination for the exception that the handler raised, or None."""
        error = self.raised
        if error is None:
            return None
        reason: object = error.reason
        text = escape_surrogates(reason) if isinstance(reason, str) else reason
        output = text if error.body is None else error.body
        refusal = error.refusal(self.plugin.script.origin)
        # The name of a plugin may contain a dot; the first line is that of the handler function.
        where = handler_location(self.plugin)
        refusal = changed(refusal, plugin=where.plugin, line=error.line or where.line)
        return Termination(
            code=_status_of(error.code),
            output=output,
            refusal=refusal,
            failed=not error.is_deliberate,
        )

    @property
    def ended_well(self) -> bool:
        """Whether it neither raised nor terminated with an error."""
        end = self.handle.termination
        return self.raised is None and (end is None or end.code < 400)

    def verdict(self) -> Termination | None:
        """The refusal of a gate's handler; None if it allowed or did not decide."""
        if self.handle.refusal is not None:
            return self.handle.refusal
        if self.failure is not None:
            return self.failure
        if self.watch.unawaited:
            unawaited = self.watch.unawaited[0]
            refusal = self._at(
                unawaited.line, "not-awaited", f"'{unawaited.name}' was never awaited"
            )
            # The watch has logged it.
            return self._failed(refusal)
        termination = self.handle.termination
        if termination is not None:
            return None if is_json(termination.output) else self._fault("not-json", NOT_JSON_REASON)
        if self.returned is not None:
            kind = type(self.returned).__name__
            reason = f"returned a value of type {kind}, which is no verdict; call handle.terminate"
            return self._fault("returned-value", reason)
        return None

    def _fault(self, rule: str, reason: str) -> Termination:
        """Refuse because of an invalid output or return value of the script, and log it."""
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
        return Termination(code=500, output=output, refusal=refusal, failed=True)

    def _at(self, line: int, rule: str, reason: str) -> Refusal:
        where = handler_location(self.plugin)
        return changed(where, line=line or where.line, rule=rule, reason=reason)


def handler_location(plugin: LambdaPlugin) -> Refusal:
    """Plugin, file and first line of a handler."""
    origin = plugin.script.origin
    code: Any = getattr(plugin.script.function, "__code__", None)
    # A decorator may have replaced it by a function of another file.
    here = isinstance(code, CodeType) and code.co_filename == origin.file
    line = code.co_firstlineno if here else origin.line
    return Refusal(plugin=plugin.name, file=origin.file, line=line)


def _status_of(code: Any) -> int:
    """The status of an exception; 500 for an invalid code, as in Error(True)."""
    usable = isinstance(code, int) and not isinstance(code, bool) and 400 <= code <= 599
    return int(code) if usable else 500


def is_json(value: object) -> bool:
    """Whether the value is JSON-serializable."""
    try:
        as_json(value)
    except NOT_JSON:
        return False
    return True


def as_json(value: object) -> tuple[Any, int]:
    """The value after a JSON round trip, and its bytes; raises one of NOT_JSON."""
    if value is None:
        return None, 0
    raw = strictjson.write(value).encode()
    return strictjson.read(raw), len(raw)
