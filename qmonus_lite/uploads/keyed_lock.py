"""Keyed lock: one holder at a time for each key."""

import asyncio

Key = tuple[str, ...]


class _KeyLock:
    """Lock of one key for `async with`; removed from the table when unused."""

    def __init__(self, locks: "dict[Key, _KeyLock]", key: Key) -> None:
        self._locks = locks
        self._key = key
        self._lock = asyncio.Lock()
        #: Number of tasks that hold it or wait for it.
        self._users = 0

    async def __aenter__(self) -> None:
        self._locks[self._key] = self
        self._users += 1
        try:
            await self._lock.acquire()
        except BaseException:
            self._leave()
            raise

    async def __aexit__(self, *_error: object) -> None:
        self._lock.release()
        self._leave()

    def _leave(self) -> None:
        self._users -= 1
        if not self._users:
            del self._locks[self._key]


class KeyedLock:
    """Per-path lock: one upload at a time is stored at a path."""

    def __init__(self) -> None:
        self._locks: dict[Key, _KeyLock] = {}

    def __contains__(self, key: Key) -> bool:
        """Whether the lock of this key is held or waited for."""
        return key in self._locks

    def at(self, key: Key) -> _KeyLock:
        """The lock of a key, to be acquired by `async with`."""
        return self._locks.get(key) or _KeyLock(self._locks, key)
