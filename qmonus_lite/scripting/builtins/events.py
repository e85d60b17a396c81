"""`lambda_event`: publish an event and wait for what its handlers make of it."""

from typing import Any

from qmonus_lite.scripting import context
from qmonus_lite.scripting.builtins.mu import MU


async def lambda_event(name: str, event: dict[str, Any] | None = None) -> MU:
    """Run the handlers of `name`; gives an MU of `code`, `output` and `event` as they left it.

    `code` is 200 when nobody terminated. Raises Error when a handler raised.
    """
    outcome = await context.current().publish(name, dict(event or {}))
    return MU(code=outcome.code, output=outcome.output, event=dict(outcome.event))
