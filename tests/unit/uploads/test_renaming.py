"""Uploads beside an existing file: free names, also when others take them at the same time."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from qmonus_lite.errors import Conflict, PreconditionFailed
from qmonus_lite.stores.file.filesystem import Filesystem
from qmonus_lite.stores.memory import MemoryPendingUpload, MemoryStore
from qmonus_lite.uploads.commit import UploadWithEvent
from qmonus_lite.uploads.keyed_lock import KeyedLock
from qmonus_lite.uploads.names import parts_of
from qmonus_lite.uploads.publish import ReceivedUpload
from qmonus_lite.uploads.renaming import MAX_LOST_NAMES, numbered, store_renamed
from qmonus_lite.uploads.store import IF_ABSENT, UNCONDITIONAL, Condition, StoredFile
from tests.integration.disk.storage import Storage, storage

WANTED = ("upload", "a.txt")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Storage]:
    with storage(tmp_path, Filesystem()) as store:
        yield store


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("a.txt", "a (2).txt"),
        ("a", "a (2)"),
        ("a.tar.gz", "a.tar (2).gz"),
        (".bashrc", ".bashrc (2)"),
        ("2026.11.05 notes", "2026.11.05 notes (2)"),
        (250 * "x" + ".txt", 247 * "x" + " (2).txt"),
        (84 * "あ" + "x", 83 * "あ" + " (2)"),
    ],
)
def test_the_number_stands_before_the_extension(name: str, other: str) -> None:
    where = numbered(("upload", name), 2)
    assert where == ("upload", other)
    assert parts_of("/" + "/".join(where)) == where


def test_a_long_path_keeps_its_bound() -> None:
    deep = (*(4 * (200 * "d",)), 200 * "x" + ".txt")
    where = numbered(deep, 1234)
    assert parts_of("/" + "/".join(where)) == where and where[-1].endswith("x (1234).txt")


class Setup:
    """Uploads to a store in memory."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.locks = KeyedLock()
        self.lookups = 0

    async def put(self, number: int, condition: Condition = UNCONDITIONAL) -> StoredFile:
        pending = await self.store.create(WANTED, upload_id=f"u{number}", length=None)
        upload = ReceivedUpload(pending=pending, condition=condition, renames=True)
        return await store_renamed(upload, self.store, self.locks, self.publish)

    async def publish(self, upload: ReceivedUpload) -> StoredFile:
        await asyncio.sleep(0)
        return self.store.publish_now(upload.pending, upload.condition)


async def test_uploads_at_the_same_time_get_a_name_each() -> None:
    setup = Setup()
    stored = await asyncio.gather(*(setup.put(number) for number in range(40)))

    names = {file.where[-1] if file.where else "a.txt" for file in stored}
    assert names == {"a.txt", *(f"a ({number}).txt" for number in range(2, 41))}
    assert len(setup.store.files) == 40 and not any(file.replaced for file in stored)


async def test_a_name_that_was_taken_since_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = Setup()
    await setup.put(1)
    publish = setup.publish

    async def lose_once(upload: ReceivedUpload) -> StoredFile:
        monkeypatch.setattr(setup, "publish", publish)
        assert isinstance(upload.pending, MemoryPendingUpload)
        setup.store.files[upload.pending.where] = setup.store.files[WANTED]
        return await publish(upload)

    pending = await setup.store.create(WANTED, upload_id="u2", length=None)
    upload = ReceivedUpload(pending=pending, renames=True)
    calls = [lose_once, publish]
    stored = await store_renamed(
        upload, setup.store, setup.locks, lambda given: calls.pop(0)(given)
    )
    assert stored.where == ("upload", "a (3).txt")


async def test_gives_up_when_others_take_every_name() -> None:
    setup, tries = Setup(), 0

    async def lose(_upload: ReceivedUpload) -> StoredFile:
        nonlocal tries
        tries += 1
        raise PreconditionFailed("taken")

    pending = await setup.store.create(WANTED, upload_id="u", length=None)
    with pytest.raises(Conflict, match="no name beside 'a.txt' is free"):
        await store_renamed(
            ReceivedUpload(pending=pending, renames=True), setup.store, setup.locks, lose
        )
    assert tries == MAX_LOST_NAMES


async def test_the_ten_thousandth_file_of_a_name_is_found_by_few_lookups(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    setup = Setup()
    await setup.put(1)
    content = setup.store.files[WANTED]
    for number in range(2, 10_001):
        setup.store.files[numbered(WANTED, number)] = content
    change_path, lookups = setup.store.change_path, []

    async def counted(*given: object) -> None:
        lookups.append(given)
        await change_path(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(setup.store, "change_path", counted)
    stored = await setup.put(2)
    assert stored.where == ("upload", "a (10001).txt") and len(lookups) < 32


async def test_if_none_match_of_the_client_is_not_renamed() -> None:
    setup = Setup()
    pending = await setup.store.create(WANTED, upload_id="u0", length=None)
    await setup.put(1)
    upload = ReceivedUpload(pending=pending, condition=IF_ABSENT, renames=True)
    with pytest.raises(PreconditionFailed):
        await store_renamed(upload, setup.store, setup.locks, setup.publish)


async def test_the_event_has_the_path_under_which_the_file_was_stored(disk: Storage) -> None:
    def upload(number: int) -> UploadWithEvent:
        pending = disk.pending(f"e{number}", b"%d" % number, "upload", "a.txt")
        event = disk.event(f"e{number}", pending)
        return UploadWithEvent(pending=pending, renames=True, event=event)

    await asyncio.gather(*(disk.committer.commit(upload(number)) for number in range(5)))

    assert disk.staged() == [] and set(disk.states().values()) == {"ready"}
    for entry in disk.log.list_events("ready", 9).result():
        shown = disk.log.show(entry.id).result()
        assert shown is not None
        assert json.loads(shown.data)["path"] == entry.path == "/" + shown.store_path
        assert (disk.root / shown.store_path).read_text() == entry.id.removeprefix("e")
    assert len(list((disk.root / "upload").iterdir())) == 5
