"""Fixtures of the room."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from qmonus_lite.scripting.lanes import Lanes
from tests.unit.lambdas.stage import Stage


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    lanes = Lanes("test", most=4)
    yield Stage(tmp_path, lanes)
    assert await lanes.close(within=5)
