"""Fixtures of several packages: a worker, a foreign server in its place, a signed client."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from qmonus_lite.transports.http.signed_client import SignedClient
from tests.unit.events.worker_setup import SIGNER, Stranger, WorkerSetup


@pytest.fixture
async def worker(tmp_path: Path) -> AsyncIterator[WorkerSetup]:
    """A worker that is not yet started."""
    worker = WorkerSetup(tmp_path)
    yield worker
    await worker.close()


@pytest.fixture
async def stranger() -> AsyncIterator[Stranger]:
    stranger = Stranger()
    yield stranger
    await stranger.close()


@pytest.fixture
async def sender() -> AsyncIterator[SignedClient]:
    sender = SignedClient(SIGNER)
    yield sender
    await sender.close()
