"""`lambda_event`: publish an event and wait for what its handlers make of it."""

from typing import Any

from qmonus_lite.errors import Problem
from qmonus_lite.scripting import context
from qmonus_lite.scripting.builtins.mu import MU
from qmonus_lite.scripting.builtins.raising import Error


async def lambda_event(name: str, event: dict[str, Any] | None = None) -> MU:
    """Run the handlers of `name`; gives an MU of `code`, `output` and `event` as they left it.

    `code` is 200 when nobody terminated, and the code of what a handler raised. Raises Error when
    no handler can be asked now.
    """
    try:
        outcome = await context.current().publish(name, dict(event or {}))
    except Problem as problem:
        raise Error(int(problem.status), problem.detail) from None
    return MU(code=outcome.code, output=outcome.output, event=dict(outcome.event))
