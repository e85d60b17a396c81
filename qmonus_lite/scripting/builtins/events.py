"""`lambda_event`: publish an event and wait for the result of its handlers."""

from typing import Any

from qmonus_lite.errors import Problem
from qmonus_lite.scripting import context
from qmonus_lite.scripting.builtins.mu import MU
from qmonus_lite.scripting.builtins.raising import Error


async def lambda_event(name: str, event: dict[str, Any] | None = None) -> MU:
    """Run the handlers of `name`; gives an MU of `code`, `output` and `event` as they left it.

    `code` is 200 when no handler terminated, and the code of the exception if a handler raised.
    Raises Error when no worker with a handler is reachable.
    """
    try:
        outcome = await context.current().publish(name, dict(event or {}))
    except Problem as problem:
        raise Error(int(problem.status), problem.detail) from None
    return MU(code=outcome.code, output=outcome.output, event=dict(outcome.event))
