"""Fixtures of the package `events`."""

from collections.abc import Iterator

import pytest

from qmonus_lite.events import database


@pytest.fixture(scope="module")
def hasty() -> Iterator[None]:
    """Lazy changes of a ledger wait for no company: these tests wait for each of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "BATCH_DELAY_SECONDS", 0.0)
        yield
