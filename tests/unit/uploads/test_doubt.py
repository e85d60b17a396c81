"""Publications in doubt: no acknowledgement, and the event goes out if and only if the file did."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from qmonus_lite.errors import PublicationInDoubt
from qmonus_lite.events.outbox import Outbox, PendingEvent
from qmonus_lite.stores.memory import Interruption, MemoryStore
from qmonus_lite.uploads.commit import Committer, UploadWithEvent, recover
from tests.integration.disk.storage import NoPost

WHERE = ("upload", "a")


@dataclass
class Stage:
    """A committer with a store in memory."""

    store: MemoryStore
    outbox: Outbox
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
            token=pending.token,
            final=pending.location,
        )
        await self.committer.commit(UploadWithEvent(pending=pending, event=event))

    def states(self) -> dict[str, str]:
        return {row[1]: row[5] for row in self.outbox.listing("", 100).result()}


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with ThreadPoolExecutor(2) as threads:
        store, outbox = MemoryStore(), Outbox(tmp_path / "outbox.sqlite3")
        yield Stage(store, outbox, Committer(store, outbox, NoPost(), threads=threads))
        outbox.close()


DONE = [
    pytest.param(Interruption.BEFORE, {}, id="not published"),
    pytest.param(Interruption.AFTER, {"e1": "ready"}, id="published"),
]


async def interrupted(stage: Stage, interruption: Interruption) -> None:
    stage.store.interruption = interruption
    with pytest.raises(PublicationInDoubt):
        await stage.commit("e1")
    stage.store.interruption = None
    assert stage.states() == {"e1": "prepared"}


@pytest.mark.parametrize(("interruption", "left"), DONE)
async def test_the_next_commit_decides_what_the_store_can_tell_by_then(
    stage: Stage, interruption: Interruption, left: dict[str, str]
) -> None:
    await interrupted(stage, interruption)
    stage.store.reachable = False
    await stage.commit("e2", ("other",))
    assert stage.states() == {"e1": "prepared", "e2": "ready"}

    stage.store.reachable = True
    await stage.commit("e3", ("third",))

    assert stage.states() == {**left, "e2": "ready", "e3": "ready"}
    assert stage.store.pending == {}
    assert (WHERE in stage.store.files) == bool(left)


@pytest.mark.parametrize(("interruption", "left"), DONE)
async def test_the_next_start_decides_it_as_well(
    stage: Stage, interruption: Interruption, left: dict[str, str]
) -> None:
    await interrupted(stage, interruption)
    stage.store.reachable = False
    recover(stage.outbox, stage.store)
    assert stage.states() == {"e1": "prepared"}

    stage.store.reachable = True
    recover(stage.outbox, stage.store)

    assert stage.states() == left
