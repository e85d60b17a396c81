"""Keyed lock: one holder at a time for each key."""

import asyncio

from qmonus_lite.uploads.keyed_lock import KeyedLock


async def test_a_lock_has_one_holder_at_a_time_and_forgets_a_cancelled_task() -> None:
    locks, order = KeyedLock(), []

    async def take(name: str) -> None:
        async with locks.at(("a",)):
            order.append(name)
            await asyncio.sleep(0.01)

    first, second, third = (asyncio.create_task(take(name)) for name in ("1", "2", "3"))
    await asyncio.sleep(0)
    assert ("a",) in locks and ("b",) not in locks
    second.cancel()
    await asyncio.gather(first, second, third, return_exceptions=True)

    assert order == ["1", "3"]
    assert ("a",) not in locks
