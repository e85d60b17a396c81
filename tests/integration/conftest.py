"""Fixtures of APIGW and worker in one process."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.two_processes import TwoProcesses


@pytest.fixture
async def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[TwoProcesses]:
    """An APIGW and a worker that are not yet started."""
    two = TwoProcesses(tmp_path, monkeypatch)
    yield two
    await two.close()
