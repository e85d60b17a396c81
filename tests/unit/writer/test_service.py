"""Keeping over the link: what an APIGW asks for happens in the keeper, and nothing is left over."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_asyncio

from qmonus_lite.background import Background
from qmonus_lite.clock import Clock
from qmonus_lite.errors import BadPlace, Conflict, InternalFault, PreconditionFailed, Unprocessable
from qmonus_lite.events.dispatcher import Dispatcher
from qmonus_lite.events.outbox import PendingEvent
from qmonus_lite.events.signed_client import SignedClient
from qmonus_lite.events.worker_registry import WorkerRegistry
from qmonus_lite.headers import Headers
from qmonus_lite.settings.server import ServerSettings
from qmonus_lite.uploads.commit import UploadWithEvent
from qmonus_lite.uploads.digest import Digests
from qmonus_lite.uploads.filesystem import Filesystem
from qmonus_lite.uploads.staging import StagedFile
from qmonus_lite.writer import server
from qmonus_lite.writer.ipc import listening
from qmonus_lite.writer.remote import RemoteCommitService
from qmonus_lite.writer.server import WriterServer
from qmonus_lite.writer.service import LocalCommitService
from tests.integration.disk.storage import Storage, storage
from tests.unit.events.stage import SIGNER


@dataclass
class NoDispatcher:
    """Delivers nothing."""

    alive: bool = True
    woken: int = 0

    def wake(self) -> None:
        self.woken += 1


@dataclass
class Stage:
    """A keeper and an APIGW that is connected to it, in one process."""

    store: Storage
    keeper: WriterServer
    far: RemoteCommitService
    background: Background
    ended: list[str] = field(default_factory=list)
    owner_prefix: str = "0-abc-"

    def upload(
        self, name: str, content: bytes, *, begun: bytes | None = None, **more: Any
    ) -> UploadWithEvent:
        path = self.store.data_dir / "staging" / f"{self.owner_prefix}{name}"
        digests = more.pop("digests", Digests({}, None))
        staged = StagedFile(path=path, disk=self.store.disk, digests=digests)
        if begun is not None:
            staged.write(begun)
        event = PendingEvent(
            id=name,
            type="APIGW.OnFileUploaded",
            path=f"/{name}",
            time=datetime.now(UTC),
            data="{}",
            staged=str(path),
            final=str(self.store.root / name),
        )
        parts = more.pop("parts", (name,))
        return UploadWithEvent(staged=staged, unwritten=content, parts=parts, event=event, **more)

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(5):
            while not condition():
                await asyncio.sleep(0.01)


@pytest_asyncio.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    with storage(tmp_path, Filesystem()) as store:
        sender = SignedClient(SIGNER)
        registry = WorkerRegistry([], sender, "http://127.0.0.1:1")
        near = LocalCommitService(
            disk=store.disk,
            outbox=store.outbox,
            dispatcher=cast(Dispatcher, NoDispatcher()),
            committer=store.committer,
            registry=registry,
            clock=Clock("UTC"),
        )
        keeper = WriterServer(
            settings=ServerSettings(),
            max_uploads=256,
            data_dir=store.data_dir,
            commits=near,
            registry=registry,
            sender=sender,
            staging=store.staging,
            threads=store.threads,
        )
        background = Background()
        loop = asyncio.get_running_loop()
        ends: list[str] = []
        far = RemoteCommitService(
            store.data_dir,
            Stage.owner_prefix,
            store.threads,
            end=lambda: ends.append("ended"),
            patience=1,
        )
        opened = await loop.create_unix_server(
            lambda: server._ClientSession(keeper, background).frames, sock=listening(store.data_dir)
        )
        await far.begin()
        yield Stage(store, keeper, far, background, ends)
        far.close()
        opened.close()
        await asyncio.sleep(0.05)
        await background.close()


async def test_stores_a_small_body_that_was_never_on_disk(stage: Stage) -> None:
    assert not await stage.far.commit(stage.upload("a", b"one"))
    assert await stage.far.commit(stage.upload("a2", b"two", parts=("a",)))

    assert (stage.store.root / "a").read_bytes() == b"two"
    assert stage.store.states() == {"a": "ready", "a2": "ready"}
    assert stage.store.staged() == []


async def test_stores_a_file_that_the_apigw_began(stage: Stage) -> None:
    await stage.far.commit(stage.upload("a", b"rest", begun=b"begun and "))

    assert (stage.store.root / "a").read_bytes() == b"begun and rest"
    assert stage.store.staged() == []


async def test_many_at_once_are_all_stored(stage: Stage) -> None:
    uploads = [stage.upload(f"f{n}", b"%d" % n) for n in range(100)]
    await asyncio.gather(*map(stage.far.commit, uploads))

    assert all((stage.store.root / f"f{n}").read_bytes() == b"%d" % n for n in range(100))


async def test_problems_come_back_as_they_are_and_leave_nothing(stage: Stage) -> None:
    (stage.store.root / "there").write_text("old")
    with pytest.raises(PreconditionFailed):
        await stage.far.commit(stage.upload("there", b"new", create_only=True))
    with pytest.raises(Conflict):
        await stage.far.commit(stage.upload("x", b"new", parts=("there", "x")))

    assert (stage.store.root / "there").read_text() == "old"
    assert stage.store.staged() == []
    assert stage.store.states() == {}


async def test_a_digest_is_checked_before_anything_is_handed_over(stage: Stage) -> None:
    wrong = Digests.read(Headers({"Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="}))
    upload = stage.upload("a", b"x", digests=wrong)
    with pytest.raises(Unprocessable):
        await stage.far.commit(upload)
    upload.staged.discard()

    assert stage.store.staged() == []


async def test_an_unknown_failure_is_500_and_logged(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("nobody expected this")

    monkeypatch.setattr(stage.store.outbox, "listing", broken)
    with pytest.raises(InternalFault):
        await stage.far.listing("", 10)

    assert "nobody expected this" in caplog.text


async def test_shows_and_replays_events(stage: Stage) -> None:
    await stage.far.commit(stage.upload("a", b"one"))
    [row] = await stage.far.listing("", 10)

    assert row[1] == "a"
    assert (await stage.far.one("a"))[0][1] == "a"
    assert await stage.far.one("b") == []
    assert await stage.far.counts() == [("ready", 1)]
    assert await stage.far.replay("a") == 0
    stage.store.outbox.dead("a", 1, "why").result()
    assert await stage.far.replay("a") == 1


async def test_tells_how_it_is(stage: Stage) -> None:
    telling = asyncio.create_task(stage.keeper._tell(stage.background))
    await asyncio.sleep(0.05)
    assert stage.far.unhealthy_reason is None
    cast(NoDispatcher, stage.keeper.commits.dispatcher).alive = False
    await stage.until(lambda: stage.far.unhealthy_reason)
    telling.cancel()

    assert stage.far.unhealthy_reason == "events are no longer delivered; restart this APIGW"


async def test_removes_what_an_apigw_that_died_had_staged(stage: Stage) -> None:
    stage.upload("half", b"", begun=b"half")
    other = stage.store.data_dir / "staging" / "1-def-other"
    other.write_text("of another")
    await stage.until(lambda: stage.keeper._ends)
    stage.far._frames.close()
    await stage.until(lambda: not stage.keeper._ends)

    assert stage.store.staged() == [other.name]
    assert stage.ended == ["ended"]


async def test_commits_go_on_when_their_apigw_died(stage: Stage) -> None:
    begun: Awaitable[bool] = asyncio.ensure_future(stage.far.commit(stage.upload("a", b"one")))
    await asyncio.sleep(0)
    stage.far._frames.close()
    with pytest.raises(InternalFault):
        await begun
    await stage.until(lambda: not stage.keeper._ends)

    assert (stage.store.root / "a").read_bytes() == b"one"


async def test_says_where_no_keeper_answers(tmp_path: Path) -> None:
    with storage(tmp_path, Filesystem()) as store:
        far = RemoteCommitService(store.data_dir, "", store.threads, patience=0)
        with pytest.raises(BadPlace, match="no keeper answers here"):
            await far.begin()
