"""`Cache`: values and locks by key, in the memory of this process, shared by all its scripts."""

import asyncio
import threading
import time
from types import TracebackType
from typing import Any

from qmonus_lite.scripting.builtins.raising import Error

#: Seconds between two attempts to acquire a lock that another script holds.
_RETRY_SECONDS = 0.01
#: Number of values above which `put` removes expired ones.
_SWEEP_ABOVE = 1000


class _TtlMap:
    """Map with expiring entries, thread-safe for all script threads."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[Any, float]] = {}
        self._lock = threading.Lock()

    def put(self, key: str, value: Any, ttl: float, *, only_if_absent: bool = False) -> bool:
        now = time.monotonic()
        with self._lock:
            if only_if_absent and self._entries.get(key, (None, 0.0))[1] > now:
                return False
            self._entries[key] = (value, now + ttl)
            if len(self._entries) > _SWEEP_ABOVE:
                self._entries = {k: v for k, v in self._entries.items() if v[1] > now}
            return True

    def get(self, key: str) -> tuple[bool, Any]:
        with self._lock:
            value, expires = self._entries.get(key, (None, 0.0))
        unexpired = expires > time.monotonic()
        return unexpired, value if unexpired else None

    def drop(self, key: str, value: Any = None) -> None:
        with self._lock:
            if value is None or self._entries.get(key, (None, 0.0))[0] is value:
                self._entries.pop(key, None)


_values = _TtlMap()
_locks = _TtlMap()


class Cache:
    """`async with Cache("images", timeout=3, ttl=10):` one script at a time, per key.

    `timeout` is the maximum wait for the lock in seconds (then Error(408)); `ttl` is the number of
    seconds after which a lock whose holder hangs expires.
    """

    def __init__(self, key: str, timeout: float = 3, ttl: float = 10) -> None:
        self._key = key
        self._timeout = timeout
        self._ttl = ttl

    async def __aenter__(self) -> "Cache":
        deadline = time.monotonic() + self._timeout
        while not _locks.put(self._key, self, self._ttl, only_if_absent=True):
            if time.monotonic() > deadline:
                raise Error(408, f"Cache: {self._key!r} was not free within {self._timeout:g} s")
            await asyncio.sleep(_RETRY_SECONDS)
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
        """Store a value for `ttl` seconds."""
        _values.put(key, value, ttl)

    @classmethod
    async def get(cls, key: str) -> Any:
        """The value, or None."""
        return _values.get(key)[1]

    @classmethod
    async def exists(cls, key: str) -> bool:
        """Whether the key has a value."""
        return _values.get(key)[0]

    @classmethod
    async def delete(cls, key: str) -> None:
        """Delete the value."""
        _values.drop(key)
