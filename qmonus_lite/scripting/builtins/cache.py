"""`Cache`: values and locks by key, in the memory of this process, shared by all scripts in it."""

import asyncio
import threading
import time
from types import TracebackType
from typing import Any

from qmonus_lite.scripting.builtins.raising import Error

#: Seconds between two tries for a lock that another script holds.
_RETRY = 0.01
#: Values above which expired ones are swept at the next put.
_SWEEP_ABOVE = 1000


class _TtlMap:
    """Expiring entries, safe to use from every lane."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[Any, float]] = {}
        self._lock = threading.Lock()

    def put(self, key: str, value: Any, ttl: float, *, unless_there: bool = False) -> bool:
        now = time.monotonic()
        with self._lock:
            if unless_there and self._entries.get(key, (None, 0.0))[1] > now:
                return False
            self._entries[key] = (value, now + ttl)
            if len(self._entries) > _SWEEP_ABOVE:
                self._entries = {k: v for k, v in self._entries.items() if v[1] > now}
            return True

    def get(self, key: str) -> tuple[bool, Any]:
        with self._lock:
            value, expires = self._entries.get(key, (None, 0.0))
        there = expires > time.monotonic()
        return there, value if there else None

    def drop(self, key: str, value: Any = None) -> None:
        with self._lock:
            if value is None or self._entries.get(key, (None, 0.0))[0] is value:
                self._entries.pop(key, None)


_values = _TtlMap()
_locks = _TtlMap()


class Cache:
    """`async with Cache("images", timeout=3, ttl=10):` one script at a time, per key.

    `timeout` is how many seconds to wait for the lock (then Error(408)), `ttl` after how many it is
    given up for a holder that hangs.
    """

    def __init__(self, key: str, timeout: float = 3, ttl: float = 10) -> None:
        self._key = key
        self._timeout = timeout
        self._ttl = ttl

    async def __aenter__(self) -> "Cache":
        deadline = time.monotonic() + self._timeout
        while not _locks.put(self._key, self, self._ttl, unless_there=True):
            if time.monotonic() > deadline:
                raise Error(408, f"Cache: {self._key!r} was not free within {self._timeout:g} s")
            await asyncio.sleep(_RETRY)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        _locks.drop(self._key, self)

    @classmethod
    async def put(cls, key: str, value: Any, ttl: float = 60) -> None:
        """Keep a value for `ttl` seconds."""
        _values.put(key, value, ttl)

    @classmethod
    async def get(cls, key: str) -> Any:
        """The value, or None."""
        return _values.get(key)[1]

    @classmethod
    async def exists(cls, key: str) -> bool:
        """Whether the value is there."""
        return _values.get(key)[0]

    @classmethod
    async def delete(cls, key: str) -> None:
        """Forget the value."""
        _values.drop(key)
