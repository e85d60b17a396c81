"""The handle: what a handler can do to the chain it is part of."""

from dataclasses import dataclass
from typing import Any

from qmonus_lite.scripting.builtins.raising import Error


@dataclass(frozen=True, kw_only=True)
class Termination:
    """The end of a chain, as a handler wants it."""

    code: int
    output: Any


class Handle:
    """Given to a handler beside the event."""

    def __init__(self) -> None:
        self.termination: Termination | None = None

    async def terminate(self, code: int = 200, output: Any = None) -> None:
        """End the chain: no further handler runs, and `code` and `output` go to the publisher.

        The first call counts. Raises Error(500) for a code that is no status from 200 to 599.
        """
        # type() rather than isinstance(): True is an int to Python, and no status.
        if type(code) is not int or not 200 <= code <= 599:
            raise Error(500, f"terminate: {code!r} is no status from 200 to 599")
        if self.termination is None:
            self.termination = Termination(code=code, output=output)
