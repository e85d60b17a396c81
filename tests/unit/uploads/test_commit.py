"""The commit: one path at a time, and what the next start makes of one that was cut off."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from qmonus_lite.errors import InternalFault, PreconditionFailed
from qmonus_lite.stores.file.filesystem import Filesystem
from qmonus_lite.uploads.commit import UploadWithEvent, recover
from qmonus_lite.uploads.store import IF_ABSENT, UNCONDITIONAL, StoredFile
from qmonus_lite.values import changed
from tests.integration.disk.storage import Storage, restart, storage


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Storage]:
    with storage(tmp_path, Filesystem()) as store:
        yield store


def upload(
    store: Storage, event_id: str, content: bytes, *parts: str, create_only: bool = False
) -> UploadWithEvent:
    pending = store.pending(event_id, content, *parts)
    return UploadWithEvent(
        pending=pending,
        condition=IF_ABSENT if create_only else UNCONDITIONAL,
        event=store.event(event_id, pending),
    )


async def test_stores_the_file_and_lets_its_event_go(store: Storage) -> None:
    first = await store.committer.commit(upload(store, "e1", b"one", "a", "b"))
    second = await store.committer.commit(upload(store, "e2", b"two", "a", "b"))

    place = str(store.root / "a" / "b")
    assert first == StoredFile(replaced=False, durable=True, location=place)
    assert second == StoredFile(replaced=True, durable=True, location=place)
    assert (store.root / "a" / "b").read_bytes() == b"two"
    assert store.states() == {"e1": "ready", "e2": "ready"}
    assert store.staged() == []


async def test_events_of_a_path_stand_in_the_order_of_its_contents(store: Storage) -> None:
    uploads = [upload(store, f"e{n}", b"%d" % n, "a") for n in range(20)]
    await asyncio.gather(*(store.committer.commit(item) for item in uploads))

    last = store.log.list_events("ready", 100).result()[-1].id
    assert (store.root / "a").read_text() == last.removeprefix("e")


async def test_paths_do_not_wait_for_each_other(store: Storage) -> None:
    uploads = [upload(store, f"e{n}", b"x", f"f{n}") for n in range(20)]
    await asyncio.gather(*(store.committer.commit(item) for item in uploads))

    assert len(store.states()) == 20


async def test_acknowledges_nothing_that_broke_off_on_its_way(
    store: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("nobody expected this")

    monkeypatch.setattr(store.committer, "_prepare_events", broken)
    with pytest.raises(InternalFault):
        await store.committer.commit(upload(store, "e1", b"one", "a"))

    assert not (store.root / "a").exists()


async def test_of_many_that_must_be_first_one_is(store: Storage) -> None:
    uploads = [upload(store, f"e{n}", b"%d" % n, "a", create_only=True) for n in range(10)]
    ended = await asyncio.gather(
        *(store.committer.commit(item) for item in uploads), return_exceptions=True
    )

    [first] = [n for n, end in enumerate(ended) if isinstance(end, StoredFile)]
    assert sum(isinstance(end, PreconditionFailed) for end in ended) == 9
    assert list(store.states()) == [f"e{first}"]
    assert (store.root / "a").read_text() == str(first)


def prepared(root: Path, event_id: str, *, staged: str | None, final: str | None) -> None:
    """A commit that was cut off behind its row, with these files there."""
    with storage(root, Filesystem()) as store:
        prepared = upload(store, event_id, b"", "f-" + event_id)
        store.log.prepare([prepared.event])
        place = store.root / f"f-{event_id}"
        staged_file = store.data_dir / "staging" / event_id
        if staged is not None:
            staged_file.write_text(staged)
        if final == "the staged one":
            os.link(staged_file, place)
        elif final is not None:
            place.write_text(final)


@pytest.mark.parametrize(
    ("staged", "final", "state"),
    [
        ("new", None, None),
        ("new", "old", None),
        ("new", "the staged one", "ready"),
        (None, "new", "ready"),
        # Somebody took the stored file away: its event goes out all the same.
        (None, None, "ready"),
    ],
)
def test_a_start_decides_what_a_crash_left_behind(
    tmp_path: Path, staged: str | None, final: str | None, state: str | None
) -> None:
    prepared(tmp_path, "e1", staged=staged, final=final)

    assert restart(tmp_path) == ({} if state is None else {"e1": state})
    content = {None: None, "the staged one": "new"}.get(final, final)
    place = tmp_path / "f-e1"
    assert (place.read_text() if place.exists() else None) == content


def test_a_start_sweeps_files_without_a_row_and_decides_each_row(tmp_path: Path) -> None:
    prepared(tmp_path, "e1", staged="new", final=None)
    prepared(tmp_path, "e2", staged=None, final="new")
    (tmp_path / ".qmonus-lite" / "staging" / "u9").write_text("no row")

    assert restart(tmp_path) == {"e2": "ready"}
    assert restart(tmp_path) == {"e2": "ready"}


def test_a_start_takes_back_what_the_former_process_was_sending(tmp_path: Path) -> None:
    prepared(tmp_path, "e1", staged=None, final="new")
    restart(tmp_path)
    with storage(tmp_path, Filesystem()) as store:
        claimed = store.log.claim(1.0, lease=1e12, limit=9).result()
        # It may have been delivered straight from its commit, before the crash.
        assert [due.attempt for due in claimed] == [2]
    with storage(tmp_path, Filesystem()) as store:
        recover(store.log, store.store)
        again = store.log.claim(1.0, lease=1e12, limit=9).result()

    assert [(due.id, due.attempt) for due in again] == [("e1", 3)]


def test_an_event_whose_staging_directory_is_not_there_waits_for_the_next_start(
    store: Storage, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its mount may be missing: then a staged file that is gone proves nothing."""
    mount = tmp_path / "volume"
    (mount / ".qmonus-lite-staging").mkdir(parents=True)
    staged = mount / ".qmonus-lite-staging" / "e1"
    staged.touch()
    event = upload(store, "e1", b"", "volume", "file").event
    token = f"{store.staging.token(staged)}//volume/file"
    store.log.prepare([changed(event, token=token)])
    mount.rename(tmp_path / "away")

    recover(store.log, store.store)
    assert store.states() == {"e1": "prepared"}
    assert "event_undecided" in [vars(record).get("action") for record in caplog.records]

    (tmp_path / "away").rename(mount)
    recover(store.log, store.store)
    assert store.states() == {}
