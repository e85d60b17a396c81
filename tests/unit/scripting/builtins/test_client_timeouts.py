"""How long the clients wait that scripts make without timeouts of their own."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator

import aiobotocore
import aiohttp
import pytest
from aiobotocore.config import AioConfig

from qmonus_lite.scripting.builtins.names import granted
from tests.unit.scripting.builtins.conftest import Outside

KEYS = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "r"}


@pytest.fixture(autouse=True)
def names() -> None:
    granted(callout=None, options=None)


async def test_a_session_of_aiohttp_has_a_read_timeout_and_no_total_one() -> None:
    async with aiohttp.ClientSession() as session:
        assert session.timeout.total is None
        assert session.timeout.sock_read == 300
        assert session.timeout.sock_connect == 30


def test_it_has_them_too_when_a_script_imports_aiohttp_itself() -> None:
    program = """
import sys
from qmonus_lite.scripting.builtins.names import granted
granted(callout=None, options=None)
assert "aiohttp" not in sys.modules
from aiohttp import client
print(client.DEFAULT_TIMEOUT.total, client.DEFAULT_TIMEOUT.sock_read)
print(client.__spec__.loader.get_source(client.__name__)[:3])
"""
    command = [sys.executable, "-c", program]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)

    assert ran.stdout.split() == ["None", "300", '"""']


async def test_a_body_that_takes_longer_than_the_read_timeout_is_sent_completely(
    outside: Outside,
) -> None:
    async def slowly() -> AsyncIterator[bytes]:
        for _ in range(4):
            await asyncio.sleep(0.1)
            yield b"x"

    timeout = aiohttp.ClientTimeout(total=None, sock_read=0.3)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.put(outside.url, data=slowly()) as answer,
    ):
        assert answer.status == 200
    assert outside.last.body == b"xxxx"


async def test_a_store_may_take_its_time_to_answer_the_client_of_the_founding_page() -> None:
    session = aiobotocore.get_session()
    async with session.create_client("s3", **KEYS) as client:
        assert client.meta.config.read_timeout == 3600


async def test_what_a_script_sets_for_its_store_comes_first() -> None:
    session = aiobotocore.get_session()
    async with session.create_client("s3", config=AioConfig(read_timeout=7), **KEYS) as client:
        assert client.meta.config.read_timeout == 7
        assert client.meta.config.tcp_keepalive
