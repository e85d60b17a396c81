"""Fixtures of the package."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from qmonus_lite.scripting.script_threads import ScriptThreads
from tests.unit.lambdas.handlers_setup import HandlersSetup


@pytest.fixture
async def setup(tmp_path: Path) -> AsyncIterator[HandlersSetup]:
    script_threads = ScriptThreads("test", max_threads=4)
    yield HandlersSetup(tmp_path, script_threads)
    assert await script_threads.close(within=5)
