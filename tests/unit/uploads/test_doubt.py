"""Publications in doubt: no acknowledgement, and the event goes out if and only if the file did."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from qmonus_lite.errors import PublicationInDoubt
from qmonus_lite.event_logs.memory import MemoryEventLog
from qmonus_lite.events.stored_event import PendingEvent
from qmonus_lite.stores.memory import Interruption, MemoryStore
from qmonus_lite.uploads.commit import Committer, UploadWithEvent, recover
from tests.integration.disk.storage import NoDispatcher

WHERE = ("upload", "a")


@dataclass
class CommitterSetup:
    """A committer with a store and an event log in memory."""

    store: MemoryStore
    log: MemoryEventLog
    committer: Committer

    async def commit(self, event_id: str, where: tuple[str, ...] = WHERE) -> None:
        pending = await self.store.create(where, upload_id=event_id, length=None)
        await pending.append(event_id.encode())
        event = PendingEvent(
            id=event_id,
            type="APIGW.OnFileUploaded",
            path="/" + "/".join(where),
            time=datetime.now(UTC),
            data="{}",
            store="file",
            store_path="/".join(where),
            gateway="g1",
            token=pending.token,
        )
        await self.committer.commit(UploadWithEvent(pending=pending, event=event))

    def states(self) -> dict[str, str]:
        return {entry.id: entry.state for entry in self.log.list_events("", 100).result()}


@pytest.fixture
def setup() -> Iterator[CommitterSetup]:
    with ThreadPoolExecutor(2) as threads:
        store, log = MemoryStore(), MemoryEventLog()
        yield CommitterSetup(store, log, Committer(store, log, NoDispatcher(), threads=threads))


DONE = [
    pytest.param(Interruption.BEFORE, {}, id="not published"),
    pytest.param(Interruption.AFTER, {"e1": "ready"}, id="published"),
]


async def interrupted(setup: CommitterSetup, interruption: Interruption) -> None:
    setup.store.interruption = interruption
    with pytest.raises(PublicationInDoubt):
        await setup.commit("e1")
    setup.store.interruption = None
    assert setup.states() == {"e1": "prepared"}


@pytest.mark.parametrize(("interruption", "left"), DONE)
async def test_the_next_commit_decides_what_the_store_can_tell_by_then(
    setup: CommitterSetup, interruption: Interruption, left: dict[str, str]
) -> None:
    await interrupted(setup, interruption)
    setup.store.reachable = False
    await setup.commit("e2", ("other",))
    assert setup.states() == {"e1": "prepared", "e2": "ready"}

    setup.store.reachable = True
    await setup.commit("e3", ("third",))

    assert setup.states() == {**left, "e2": "ready", "e3": "ready"}
    assert setup.store.pending == {}
    assert (WHERE in setup.store.files) == bool(left)


@pytest.mark.parametrize(("interruption", "left"), DONE)
async def test_the_next_start_decides_it_as_well(
    setup: CommitterSetup, interruption: Interruption, left: dict[str, str]
) -> None:
    await interrupted(setup, interruption)
    setup.store.reachable = False
    recover(setup.log, setup.store)
    assert setup.states() == {"e1": "prepared"}

    setup.store.reachable = True
    recover(setup.log, setup.store)

    assert setup.states() == left
