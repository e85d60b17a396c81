"""`lambda_event`: run the handlers of an event; `publish`: store it for its handlers."""

from typing import TYPE_CHECKING, Any

from qmonus_lite.errors import Problem
from qmonus_lite.imported_on_use import ImportedOnUse
from qmonus_lite.scripting import context
from qmonus_lite.scripting.builtins.raising import Error

if TYPE_CHECKING:
    from qmonus_lite.scripting.builtins import mu
else:
    mu = ImportedOnUse("qmonus_lite.scripting.builtins.mu")


async def lambda_event(name: str, event: dict[str, Any] | None = None) -> "mu.MU":
    """Run the handlers of `name`; gives an MU of `code`, `output` and `event` as they left it.

    `code` is 200 when no handler terminated, and the code of the exception if a handler raised.
    Raises Error when no worker with a handler is reachable.
    """
    try:
        outcome = await context.current().publish(name, dict(event or {}))
    except Problem as problem:
        raise Error(int(problem.status), problem.detail) from None
    return mu.MU(code=outcome.code, output=outcome.output, event=dict(outcome.event))


async def publish(name: str, event: dict[str, Any] | None = None) -> str:
    """Store an event for its handlers, delivered at least once, and give its id.

    It is stored with the end of a delivery, or at once from a route; none if that is refused or
    fails. Raises Error for an event that cannot be stored.
    """
    try:
        return await context.current().publish_durably(name, {} if event is None else event)
    except Problem as problem:
        raise Error(int(problem.status), problem.detail) from None
    except ValueError as error:
        raise Error(500, f"publish: {error}") from None
