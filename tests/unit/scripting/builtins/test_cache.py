"""`Cache`: values that expire, and one script at a time by key."""

import asyncio
from uuid import uuid4

import pytest

from qmonus_lite.scripting.builtins.cache import Cache
from qmonus_lite.scripting.builtins.raising import Error


@pytest.fixture
def key() -> str:
    """A key that no other test has: the cache is the process's own."""
    return uuid4().hex


async def test_keeps_a_value(key: str) -> None:
    value = {"a": [1]}
    await Cache.put(key, value)

    assert await Cache.get(key) is value
    assert await Cache.exists(key)


async def test_knows_nothing_of_other_keys(key: str) -> None:
    assert await Cache.get(key) is None
    assert not await Cache.exists(key)


async def test_keeps_none_as_a_value(key: str) -> None:
    await Cache.put(key, None)

    assert await Cache.exists(key)


async def test_forgets(key: str) -> None:
    await Cache.put(key, 1)
    await Cache.delete(key)
    await Cache.delete(key)

    assert not await Cache.exists(key)


async def test_forgets_after_a_while(key: str) -> None:
    await Cache.put(key, 1, ttl=0.05)
    await asyncio.sleep(0.06)

    assert await Cache.get(key) is None
    assert not await Cache.exists(key)


async def test_a_new_value_takes_the_place_and_time_of_the_old(key: str) -> None:
    await Cache.put(key, 1, ttl=0.01)
    await Cache.put(key, 2, ttl=60)
    await asyncio.sleep(0.02)

    assert await Cache.get(key) == 2


async def test_holds_many_without_losing_one(key: str) -> None:
    for n in range(1500):
        await Cache.put(f"{key}{n}", n, ttl=60 if n % 2 else 0)

    assert [await Cache.get(f"{key}{n}") for n in range(1, 1500, 2)] == list(range(1, 1500, 2))
    for n in range(1500):
        await Cache.delete(f"{key}{n}")


async def test_lets_one_script_at_a_time_in(key: str) -> None:
    inside, most = 0, 0

    async def work() -> None:
        nonlocal inside, most
        async with Cache(key):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.005)
            inside -= 1

    await asyncio.gather(*(work() for _ in range(10)))
    assert most == 1


async def test_lets_one_script_in_of_all_threads(key: str) -> None:
    seen: list[str] = []

    async def work() -> None:
        async with Cache(key):
            seen.append("in")
            await asyncio.sleep(0.01)
            seen.append("out")

    def on_a_loop_of_its_own() -> None:
        asyncio.run(work())

    await asyncio.gather(*(asyncio.to_thread(on_a_loop_of_its_own) for _ in range(4)))
    assert seen == ["in", "out"] * 4


async def test_different_keys_do_not_wait(key: str) -> None:
    async with Cache(key), Cache(key + "other", timeout=0):
        pass


async def test_waits_no_longer_than_it_may(key: str) -> None:
    async with Cache(key):
        with pytest.raises(Error, match=r"was not free within 0\.05 s") as caught:
            async with Cache(key, timeout=0.05):
                pass

    assert caught.value.code == 408


async def test_opens_again_after_an_exception(key: str) -> None:
    with pytest.raises(ValueError):
        async with Cache(key):
            raise ValueError
    async with Cache(key, timeout=0):
        pass


async def test_a_holder_that_hangs_loses_its_lock_and_takes_no_other(key: str) -> None:
    slow, quick = Cache(key, ttl=0.05), Cache(key, timeout=1)
    async with slow:
        await asyncio.sleep(0.06)
        await quick.__aenter__()
    with pytest.raises(Error):
        async with Cache(key, timeout=0.02):
            pass
    await quick.__aexit__(None, None, None)


async def test_locks_and_values_do_not_meet(key: str) -> None:
    await Cache.put(key, "value")
    async with Cache(key):
        assert await Cache.get(key) == "value"
    assert await Cache.get(key) == "value"
