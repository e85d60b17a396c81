"""Heartbeat of an attempt in progress."""

import asyncio

from qmonus_lite.events import transport
from qmonus_lite.events.transport import Heartbeat


class Beating:
    """Context manager: calls `heartbeat` every `transport.HEARTBEAT_SECONDS` on the event loop."""

    __slots__ = ("_heartbeat", "_loop", "_timer")

    def __init__(self, heartbeat: Heartbeat) -> None:
        self._heartbeat = heartbeat
        self._loop = asyncio.get_running_loop()

    def __enter__(self) -> None:
        self._timer = self._loop.call_later(transport.HEARTBEAT_SECONDS, self._beat)

    def __exit__(self, *_error: object) -> None:
        self._timer.cancel()

    def _beat(self) -> None:
        self._timer = self._loop.call_later(transport.HEARTBEAT_SECONDS, self._beat)
        self._heartbeat()
