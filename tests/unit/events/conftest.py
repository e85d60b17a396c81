"""Fixtures of the room."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from qmonus_lite.database import database
from qmonus_lite.events.signed_client import SignedClient
from tests.unit.events.stage import SIGNER, Stranger, WorkerStage


@pytest.fixture
async def worker(tmp_path: Path) -> AsyncIterator[WorkerStage]:
    """A worker that is not yet started."""
    worker = WorkerStage(tmp_path)
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


@pytest.fixture(scope="module")
def hasty() -> Iterator[None]:
    """Lazy changes are not delayed: these tests wait for each of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "BATCH_DELAY_SECONDS", 0.0)
        yield
