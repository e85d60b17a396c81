"""Contract of an upload store: what every implementation has to pass; subclassed for each store."""

from abc import ABC, abstractmethod
from pathlib import Path

import pytest

from qmonus_lite.errors import Conflict, NotFound, PreconditionFailed, Problem, Unprocessable
from qmonus_lite.headers import Headers
from qmonus_lite.uploads.digest import NO_DIGESTS, Digests
from qmonus_lite.uploads.store import (
    IF_ABSENT,
    UNCONDITIONAL,
    Condition,
    PendingUpload,
    Publication,
    PublicationState,
    PublishResult,
    StoredFile,
    StoredPath,
    UploadStore,
)

A, B = ("upload", "a"), ("upload", "folder", "b")
#: The digest of no bytes.
EMPTY = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"


class UploadStoreContract(ABC):
    """Tests of the protocol; `store` is the store under test."""

    @abstractmethod
    def content(self, store: UploadStore, where: StoredPath) -> bytes | None:
        """The content of a published file, or None if there is none."""

    async def create(
        self,
        store: UploadStore,
        where: StoredPath = A,
        *,
        upload_id: str = "u1",
        condition: Condition = UNCONDITIONAL,
        digests: Digests = NO_DIGESTS,
    ) -> PendingUpload:
        return await store.create(
            where, upload_id=upload_id, length=None, condition=condition, digests=digests
        )

    def publish(self, store: UploadStore, *uploads: PendingUpload) -> list[PublishResult]:
        """Seal and publish, as a commit does."""
        assert store.seal(uploads, recorded=True).errors == [None] * len(uploads)
        return store.publish([Publication(upload=upload) for upload in uploads])

    async def put(
        self, store: UploadStore, content: bytes, where: StoredPath = A, upload_id: str = "u1"
    ) -> PublishResult:
        upload = await self.create(store, where, upload_id=upload_id)
        await upload.append(content)
        return self.publish(store, upload)[0]

    async def test_a_file_is_visible_whole_once_it_is_published(self, store: UploadStore) -> None:
        upload = await self.create(store)
        await upload.append(b"one ")
        await upload.append(b"two")
        assert store.seal([upload], recorded=False).errors == [None]
        assert self.content(store, A) is None
        [stored] = store.publish([Publication(upload=upload)])

        assert isinstance(stored, StoredFile)
        assert (stored.replaced, stored.failure) == (False, None)
        assert stored.location == upload.location == store.location(A)
        assert self.content(store, A) == b"one two"

    async def test_a_file_that_is_replaced_is_reported(self, store: UploadStore) -> None:
        await self.put(store, b"old")
        stored = await self.put(store, b"new", upload_id="u2")

        assert isinstance(stored, StoredFile) and stored.replaced
        assert self.content(store, A) == b"new"

    async def test_several_uploads_are_published_together(self, store: UploadStore) -> None:
        uploads = [await self.create(store, (f"f{n}",), upload_id=f"u{n}") for n in range(5)]
        for n, upload in enumerate(uploads):
            await upload.append(b"%d" % n)
        results = self.publish(store, *uploads)

        assert all(isinstance(result, StoredFile) for result in results)
        assert [self.content(store, (f"f{n}",)) for n in range(5)] == [b"%d" % n for n in range(5)]

    async def test_a_failure_of_one_upload_does_not_affect_the_others(
        self, store: UploadStore
    ) -> None:
        await self.put(store, b"in the way", ("way",))
        good = await self.create(store, A, upload_id="u2")
        bad = await self.create(store, ("other",), upload_id="u3")
        await self._move_below_a_file(store, bad)
        results = self.publish(store, bad, good)

        assert isinstance(results[0], Conflict) and isinstance(results[1], StoredFile)

    async def _move_below_a_file(self, store: UploadStore, upload: PendingUpload) -> None:
        """A file appears where the path of an upload needs a directory."""
        await store.change_path(upload, ("later", "f"), UNCONDITIONAL)
        await self.put(store, b"file", ("later",), upload_id="u9")

    async def test_an_empty_upload_is_an_empty_file(self, store: UploadStore) -> None:
        assert isinstance(await self.put(store, b""), StoredFile)

        assert self.content(store, A) == b""

    async def test_publishing_at_once_is_the_same(self, store: UploadStore) -> None:
        upload = await self.create(store)
        await upload.append(b"content")
        stored = store.publish_now(upload, UNCONDITIONAL)

        assert not stored.replaced and stored.location == upload.location
        assert self.content(store, A) == b"content"

    async def test_a_path_that_needs_a_file_as_its_directory_is_refused(
        self, store: UploadStore
    ) -> None:
        await self.put(store, b"file", ("upload",))

        with pytest.raises(Conflict):
            await self.create(store, A)

    @pytest.mark.parametrize(
        ("exists", "condition", "refused"),
        [
            (False, IF_ABSENT, False),
            (True, IF_ABSENT, True),
            (True, Condition(match="*"), False),
            (False, Condition(match="*"), True),
            (True, Condition(match='"tag"'), True),
        ],
    )
    async def test_conditions_are_checked_before_the_first_byte(
        self, store: UploadStore, exists: bool, condition: Condition, refused: bool
    ) -> None:
        if exists:
            await self.put(store, b"old")
        try:
            await self.create(store, condition=condition, upload_id="u2")
        except PreconditionFailed:
            assert refused
        else:
            assert not refused

    async def test_a_file_that_has_to_be_absent_is_looked_for_again_at_the_end(
        self, store: UploadStore
    ) -> None:
        late = await self.create(store, condition=IF_ABSENT)
        await late.append(b"late")
        await self.put(store, b"first", upload_id="u2")
        store.seal([late], recorded=True)
        [result] = store.publish([Publication(upload=late, condition=IF_ABSENT)])

        assert isinstance(result, PreconditionFailed)
        assert self.content(store, A) == b"first"
        assert store.outcome(late.token) is PublicationState.NOT_PUBLISHED

    async def test_a_wrong_digest_is_refused_when_the_upload_is_sealed(
        self, store: UploadStore
    ) -> None:
        digests = Digests.read(Headers({"Repr-Digest": EMPTY}))
        upload = await self.create(store, digests=digests)
        await upload.append(b"content")

        assert isinstance(store.seal([upload], recorded=True).errors[0], Unprocessable)

    async def test_the_outcome_of_a_token_is_that_of_its_upload(self, store: UploadStore) -> None:
        upload = await self.create(store)
        token = upload.token
        await upload.append(b"content")
        store.seal([upload], recorded=True)
        assert store.outcome(token) is PublicationState.NOT_PUBLISHED
        store.publish([Publication(upload=upload)])

        assert upload.token == token
        assert store.outcome(token) is PublicationState.PUBLISHED
        await self.put(store, b"newer", upload_id="u2")
        assert store.outcome(token) is PublicationState.PUBLISHED

    async def test_counts_received_and_durable_bytes(self, store: UploadStore) -> None:
        upload = await self.create(store)
        await upload.append(b"12345")
        assert upload.received == 5 and upload.durable <= 5
        await upload.flush()

        assert (upload.received, upload.durable) == (5, 5)

    @pytest.mark.parametrize("flushed", [0, 4, 8])
    async def test_bytes_can_be_forgotten(self, store: UploadStore, flushed: int) -> None:
        digests = Digests.read(Headers({"Want-Repr-Digest": "sha-256=1"}))
        upload = await self.create(store, digests=digests)
        await upload.append(b"12345678"[:flushed])
        await upload.flush()
        await upload.append(b"12345678"[flushed:])
        await upload.rollback(6)
        assert upload.received == 6 and upload.durable <= 6
        await upload.rollback(3)
        await upload.append(b"abc")
        with pytest.raises(ValueError, match="offset 7 of 6"):
            await upload.rollback(7)
        self.publish(store, upload)

        assert self.content(store, A) == b"123abc"
        expected = Digests.read(Headers({"Want-Repr-Digest": "sha-256=1"}))
        expected.update(b"123abc")
        assert digests.field == expected.field

    async def test_an_upload_is_continued_from_its_durable_bytes(self, store: UploadStore) -> None:
        first = await self.create(store)
        await first.append(b"12345")
        await first.flush()
        await first.append(b"lost")
        digests = Digests.read(Headers({"Want-Repr-Digest": "sha-256=1"}))
        again = await store.reopen(first.token, length=None, digests=digests)
        assert (again.received, again.durable) == (5, 5)
        await again.append(b"678")
        self.publish(store, again)

        assert self.content(store, A) == b"12345678"
        expected = Digests.read(Headers({"Want-Repr-Digest": "sha-256=1"}))
        expected.update(b"12345678")
        assert digests.field == expected.field

    async def test_an_upload_that_is_gone_cannot_be_continued(self, store: UploadStore) -> None:
        upload = await self.create(store)
        await upload.append(b"x")
        await upload.abort()

        with pytest.raises(NotFound):
            await store.reopen(upload.token, length=None, digests=NO_DIGESTS)

    async def test_an_aborted_upload_leaves_nothing(self, store: UploadStore) -> None:
        upload = await self.create(store)
        await upload.append(b"x")
        await upload.flush()
        await upload.abort()
        await upload.abort()

        assert store.sweep() == 0
        assert self.content(store, A) is None

    async def test_an_upload_to_keep_survives_abort_and_sweep(self, store: UploadStore) -> None:
        upload = await self.create(store)
        await upload.append(b"x")
        await upload.flush()
        upload.keep = True
        await upload.abort()
        assert store.sweep() == 0
        assert store.outcome(upload.token) is PublicationState.NOT_PUBLISHED
        upload.keep = False
        store.discard(upload)

        assert store.sweep() == 0

    async def test_the_sweep_removes_what_one_process_left(self, store: UploadStore) -> None:
        for upload_id in ("0-a", "0-b", "1-a"):
            upload = await self.create(store, (upload_id,), upload_id=upload_id)
            await upload.append(b"x")
            await upload.flush()

        assert store.sweep("0-") == 2
        assert store.sweep() == 1

    @pytest.mark.parametrize("flushed", [False, True])
    async def test_an_upload_can_be_handed_over_to_another_process(
        self, store: UploadStore, flushed: bool
    ) -> None:
        upload = await self.create(store)
        await upload.append(b"content")
        if flushed:
            await upload.flush()
        handover = await upload.hand_over()
        await upload.abort()
        adopted = store.adopt(handover)

        assert (adopted.token, adopted.where, adopted.location) == (
            upload.token,
            upload.where,
            upload.location,
        )
        assert isinstance(self.publish(store, adopted)[0], StoredFile)
        assert self.content(store, A) == b"content"

    async def test_a_path_can_be_changed_where_the_store_says_so(self, store: UploadStore) -> None:
        assert store.capabilities.change_of_path
        upload = await self.create(store)
        await upload.append(b"content")
        await store.change_path(upload, B, IF_ABSENT)
        self.publish(store, upload)

        assert (self.content(store, A), self.content(store, B)) == (None, b"content")
        assert store.outcome(upload.token) is PublicationState.PUBLISHED
        with pytest.raises(Problem):
            await store.change_path(await self.create(store), B, IF_ABSENT)

    async def test_a_staged_file_can_be_read_where_the_store_says_so(
        self, store: UploadStore
    ) -> None:
        upload = await self.create(store)
        await upload.append(b"content")
        store.seal([upload], recorded=False)
        if store.capabilities.staged_file:
            assert upload.staged_file is not None
            assert Path(upload.staged_file).read_bytes() == b"content"
        else:
            assert upload.staged_file is None

    def test_a_store_that_works_is_healthy(self, store: UploadStore) -> None:
        store.probe()

        assert store.unhealthy_reason is None
