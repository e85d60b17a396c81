"""Worker registry: which workers are up and which events have a handler.

The contract is tested by `tests/unit/transports/test_registry_contract.py`.
"""

import enum
from collections.abc import Callable
from typing import Protocol

from qmonus_lite.events.known_handlers import KnownHandlers


class Handled(enum.Enum):
    """Whether an event has a handler; UNKNOWN must never be taken for NOT_HANDLED."""

    HANDLED = "handled"
    NOT_HANDLED = "not handled"
    UNKNOWN = "unknown"


class WorkerRegistry(Protocol):
    """What is known of all workers; `known` and the methods that use it are thread-safe."""

    @property
    def known(self) -> KnownHandlers:
        """The current snapshot, replaced at each change: workers, plugin fingerprints, events."""

    @property
    def ready(self) -> bool:
        """Whether any worker is up."""

    @property
    def unhealthy_reason(self) -> str | None:
        """Reason why no upload can be accepted, or None."""

    @property
    def warnings(self) -> list[str]:
        """Problems of workers that do not block uploads."""

    def handled(self, event: str) -> Handled:
        """Whether any worker has a handler, according to the last report of each."""

    def has_no_handler_for(self, event: str) -> bool:
        """Whether at least one worker is up and it is certain that none has a handler."""

    def takes(self, event: str) -> bool:
        """Whether the event can be delivered now."""

    def on_ready(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever a worker comes up or its plugin set changes."""

    def on_first_ready(self, listener: Callable[[], None]) -> None:
        """Call `listener` once, when uploads can be accepted for the first time."""

    async def follow(self) -> None:
        """Keep the registry up to date until cancelled."""

    async def close(self) -> None:
        """Close the connections to the workers."""
