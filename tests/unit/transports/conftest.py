"""Fixtures of the contract tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.transports.implementations import SITES, Site


@pytest.fixture(params=sorted(SITES))
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    """One implementation, started, with a handler `a` of the event E that counts `n` up."""
    site = SITES[request.param](tmp_path)
    site.worker.handler("a", "E", "event['n'] += 1")
    await site.start()
    yield site
    await site.close()
