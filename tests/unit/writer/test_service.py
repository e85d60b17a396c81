"""The commit service over IPC: the writer process does what an APIGW asks, and leaves nothing."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest
import pytest_asyncio

from qmonus_lite.background import Background
from qmonus_lite.clock import Clock
from qmonus_lite.errors import (
    BadResource,
    Conflict,
    InternalFault,
    PreconditionFailed,
    Unprocessable,
)
from qmonus_lite.events.dispatcher import Dispatcher
from qmonus_lite.headers import Headers
from qmonus_lite.settings.server import ServerSettings
from qmonus_lite.stores.file.filesystem import Filesystem
from qmonus_lite.transports.http.signed_client import SignedClient
from qmonus_lite.transports.http.worker_registry import HttpWorkerRegistry
from qmonus_lite.uploads.commit import UploadWithEvent
from qmonus_lite.uploads.digest import NO_DIGESTS, Digests
from qmonus_lite.uploads.store import IF_ABSENT, UNCONDITIONAL, Condition, StoredFile
from qmonus_lite.writer import server
from qmonus_lite.writer.ipc import listening
from qmonus_lite.writer.messages import encode
from qmonus_lite.writer.remote import RemoteCommitService
from qmonus_lite.writer.server import WriterServer
from qmonus_lite.writer.service import LocalCommitService
from tests.integration.disk.storage import Storage, storage
from tests.unit.events.worker_setup import SIGNER


@dataclass
class NoDispatcher:
    """Delivers nothing."""

    alive: bool = True
    woken: int = 0

    def wake(self) -> None:
        self.woken += 1


@dataclass
class WriterSetup:
    """A writer process and an APIGW that is connected to it, in one process."""

    store: Storage
    server: WriterServer
    remote: RemoteCommitService
    background: Background
    exits: list[str] = field(default_factory=list)
    owner_prefix: str = "0-abc-"

    def upload(
        self,
        name: str,
        content: bytes,
        *,
        begun: bytes | None = None,
        parts: tuple[str, ...] = (),
        digests: Digests = NO_DIGESTS,
        condition: Condition = UNCONDITIONAL,
    ) -> UploadWithEvent:
        pending = self.store.pending(
            f"{self.owner_prefix}{name}", content, *(parts or (name,)), digests=digests
        )
        if begun is not None:
            pending.staged.write(begun)
        event = self.store.event(name, pending)
        return UploadWithEvent(pending=pending, condition=condition, event=event)

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(5):
            while not condition():
                await asyncio.sleep(0.01)


@pytest_asyncio.fixture
async def setup(tmp_path: Path) -> AsyncIterator[WriterSetup]:
    with storage(tmp_path, Filesystem()) as store:
        registry = HttpWorkerRegistry([], SignedClient(SIGNER), "http://127.0.0.1:1")
        local = LocalCommitService(
            store=store.store,
            log=store.log,
            dispatcher=cast(Dispatcher, NoDispatcher()),
            committer=store.committer,
            registry=registry,
            clock=Clock("UTC"),
        )
        writer_server = WriterServer(
            settings=ServerSettings(),
            max_uploads=256,
            data_dir=store.data_dir,
            commits=local,
            registry=registry,
            threads=store.threads,
        )
        background = Background()
        loop = asyncio.get_running_loop()
        exits: list[str] = []
        remote = RemoteCommitService(
            store.data_dir,
            WriterSetup.owner_prefix,
            exit_now=lambda: exits.append("exited"),
            connect_seconds=1,
        )
        opened = await loop.create_unix_server(
            lambda: server._ClientSession(writer_server, background).frames,
            sock=listening(store.data_dir),
        )
        await remote.begin()
        yield WriterSetup(store, writer_server, remote, background, exits)
        remote.close()
        opened.close()
        await asyncio.sleep(0.05)
        await background.close()


async def test_stores_a_small_body_that_was_never_on_disk(setup: WriterSetup) -> None:
    first = await setup.remote.commit(setup.upload("a", b"one"))
    second = await setup.remote.commit(setup.upload("a2", b"two", parts=("a",)))

    place = str(setup.store.root / "a")
    assert first == StoredFile(replaced=False, durable=True, location=place)
    assert second == StoredFile(replaced=True, durable=True, location=place)

    assert (setup.store.root / "a").read_bytes() == b"two"
    assert setup.store.states() == {"a": "ready", "a2": "ready"}
    assert setup.store.staged() == []


async def test_stores_a_file_that_the_apigw_began(setup: WriterSetup) -> None:
    await setup.remote.commit(setup.upload("a", b"rest", begun=b"begun and "))

    assert (setup.store.root / "a").read_bytes() == b"begun and rest"
    assert setup.store.staged() == []


async def test_many_at_once_are_all_stored(setup: WriterSetup) -> None:
    uploads = [setup.upload(f"f{n}", b"%d" % n) for n in range(100)]
    await asyncio.gather(*map(setup.remote.commit, uploads))

    assert all((setup.store.root / f"f{n}").read_bytes() == b"%d" % n for n in range(100))


async def test_problems_come_back_as_they_are_and_leave_nothing(setup: WriterSetup) -> None:
    (setup.store.root / "there").write_text("old")
    with pytest.raises(PreconditionFailed):
        await setup.remote.commit(setup.upload("there", b"new", condition=IF_ABSENT))
    with pytest.raises(Conflict):
        await setup.remote.commit(setup.upload("x", b"new", parts=("there", "x")))

    assert (setup.store.root / "there").read_text() == "old"
    assert setup.store.staged() == []
    assert setup.store.states() == {}


async def test_a_digest_is_checked_before_anything_is_handed_over(setup: WriterSetup) -> None:
    wrong = Digests.read(Headers({"Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="}))
    upload = setup.upload("a", b"x", digests=wrong)
    with pytest.raises(Unprocessable):
        await setup.remote.commit(upload)
    await upload.pending.abort()

    assert setup.store.staged() == []


async def test_an_unknown_failure_is_500_and_logged(
    setup: WriterSetup, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("nobody expected this")

    monkeypatch.setattr(setup.store.log, "list_events", broken)
    with pytest.raises(InternalFault):
        await setup.remote.list_events("", 10)

    assert "nobody expected this" in caplog.text


async def test_a_result_that_cannot_be_sent_is_500_and_logged(
    setup: WriterSetup, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a", "b"):
        await setup.remote.commit(setup.upload(name, b""))
    monkeypatch.setattr("qmonus_lite.writer.messages.MAX_MESSAGE_BYTES", 100)
    with pytest.raises(InternalFault, match="the writer process failed; see its log"):
        await setup.remote.list_events("", 10)

    assert "at most 100 are allowed" in caplog.text
    # The connection is as before.
    assert await setup.remote.counts() == {"ready": 2}
    assert await setup.remote.oldest() is not None
    assert setup.exits == []


async def test_an_upload_that_cannot_be_sent_is_500_and_logged(
    setup: WriterSetup, caplog: pytest.LogCaptureFixture
) -> None:
    upload = setup.upload("a", b"one", parts=("\udc80",))
    with pytest.raises(InternalFault, match="the writer process cannot be asked; see the log"):
        await setup.remote.commit(upload)

    assert "call Commit: cannot be encoded: " in caplog.text
    assert await setup.remote.counts() == {}
    assert await setup.remote.oldest() is None


async def test_a_malformed_call_ends_the_connection_and_loses_no_commit(
    setup: WriterSetup, caplog: pytest.LogCaptureFixture
) -> None:
    pending = asyncio.ensure_future(setup.remote.commit(setup.upload("a", b"one")))
    await asyncio.sleep(0)
    setup.remote._frames.send(encode(["CallRequest", 2, ["Erase", "/"]]))
    with pytest.raises(InternalFault, match="the writer process is gone; see the log"):
        await pending
    await setup.until(lambda: not setup.server._sessions)

    assert (setup.store.root / "a").read_bytes() == b"one"
    assert "Invalid value 'Erase'" in caplog.text
    assert setup.exits == ["exited"]


@pytest.mark.parametrize(
    "reply",
    [["Result", 99, True], ["Result", 2, "text"], ["Erase"]],
    ids=["to no call", "of another type", "unknown"],
)
async def test_a_malformed_reply_ends_the_apigw(setup: WriterSetup, reply: list[object]) -> None:
    loop = asyncio.get_running_loop()
    monitor = loop.create_task(setup.remote.counts())
    await asyncio.sleep(0)
    [session] = setup.server._sessions
    session.frames.send(encode(reply))
    with pytest.raises(InternalFault, match="the writer process is gone; see the log"):
        await monitor

    assert setup.exits == ["exited"]


async def test_shows_and_replays_events(setup: WriterSetup) -> None:
    await setup.remote.commit(setup.upload("a", b"one"))
    [entry] = await setup.remote.list_events("", 10)

    assert entry.id == "a"
    shown = await setup.remote.show("a")
    assert shown is not None
    assert (shown.entry, shown.store_path) == (entry, "a")
    assert await setup.remote.show("b") is None
    assert await setup.remote.counts() == {"ready": 1}
    assert await setup.remote.replay("a") == ""
    setup.store.log.dead("a", 1, "why").result()
    assert await setup.remote.replay("a") == "a"
    assert await setup.remote.drop("a") == 0
    assert await setup.remote.retry_now("a") == 1
    setup.store.log.dead("a", 1, "why").result()
    assert await setup.remote.retry_now("a") == 0
    assert await setup.remote.drop("a") == 1
    assert await setup.remote.counts() == {}


async def test_replays_a_copy_of_a_delivered_event(setup: WriterSetup) -> None:
    await setup.remote.commit(setup.upload("a", b"one"))
    setup.store.log.done(["a"], 1000.0).result(10)
    copy = await setup.remote.replay("a")

    assert len(copy) == 36
    assert await setup.remote.counts() == {"ready": 1, "delivered": 1}
    shown = await setup.remote.show(copy)
    assert shown is not None and shown.entry.path == "/a"
    [entry] = await setup.remote.list_events("delivered", 9)
    assert (entry.id, entry.delivered_at) == ("a", 1000.0)


async def test_a_renamed_upload_comes_back_with_its_path(setup: WriterSetup) -> None:
    uploads = [setup.upload(f"u{n}", b"%d" % n, parts=("a.txt",)) for n in range(4)]
    for upload in uploads:
        upload.renames = True
    stored = await asyncio.gather(*map(setup.remote.commit, uploads))

    names = [file.where or ("a.txt",) for file in stored]
    assert sorted(names) == [("a (2).txt",), ("a (3).txt",), ("a (4).txt",), ("a.txt",)]
    for upload, (name,) in zip(uploads, names, strict=True):
        shown = await setup.remote.show(upload.event.id)
        assert shown is not None and shown.entry.path == f"/{name}"
        assert (setup.store.root / name).read_text() == upload.event.id.removeprefix("u")


async def test_tells_how_it_is(setup: WriterSetup) -> None:
    telling = asyncio.create_task(setup.server._send_health(setup.background))
    await asyncio.sleep(0.05)
    assert setup.remote.unhealthy_reason is None
    cast(NoDispatcher, setup.server.commits.dispatcher).alive = False
    await setup.until(lambda: setup.remote.unhealthy_reason)
    telling.cancel()

    assert setup.remote.unhealthy_reason == "events are no longer delivered; restart this APIGW"


async def test_removes_what_an_apigw_that_died_had_staged(setup: WriterSetup) -> None:
    setup.upload("half", b"", begun=b"half")
    other = setup.store.data_dir / "staging" / "1-def-other"
    other.write_text("of another")
    await setup.until(lambda: setup.server._sessions)
    setup.remote._frames.close()
    await setup.until(lambda: not setup.server._sessions)

    assert setup.store.staged() == [other.name]
    assert setup.exits == ["exited"]


async def test_commits_go_on_when_their_apigw_died(setup: WriterSetup) -> None:
    begun: Awaitable[StoredFile] = asyncio.ensure_future(
        setup.remote.commit(setup.upload("a", b"one"))
    )
    await asyncio.sleep(0)
    setup.remote._frames.close()
    with pytest.raises(InternalFault):
        await begun
    await setup.until(lambda: not setup.server._sessions)

    assert (setup.store.root / "a").read_bytes() == b"one"


async def test_says_where_no_writer_process_answers(tmp_path: Path) -> None:
    with storage(tmp_path, Filesystem()) as store:
        remote = RemoteCommitService(store.data_dir, "", connect_seconds=0)
        with pytest.raises(BadResource, match="no writer process answers here"):
            await remote.begin()
