"""The store in memory: the contract of all stores, and its switches."""

import pytest

from qmonus_lite.errors import InsufficientStorage, PublicationInDoubt
from qmonus_lite.stores.memory import Interruption, MemoryStore
from qmonus_lite.uploads.store import (
    UNCONDITIONAL,
    Publication,
    PublicationState,
    StoredPath,
    UploadStore,
)
from tests.unit.stores.contract import A, UploadStoreContract


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


class TestContract(UploadStoreContract):
    """The contract."""

    def content(self, store: UploadStore, where: StoredPath) -> bytes | None:
        assert isinstance(store, MemoryStore)
        file = store.files.get(where)
        return None if file is None else file.content


@pytest.mark.parametrize(
    ("interruption", "outcome", "visible"),
    [
        (Interruption.BEFORE, PublicationState.NOT_PUBLISHED, False),
        (Interruption.AFTER, PublicationState.PUBLISHED, True),
    ],
)
async def test_a_publication_can_be_left_in_doubt(
    store: MemoryStore, interruption: Interruption, outcome: PublicationState, visible: bool
) -> None:
    store.interruption = interruption
    upload = await store.create(A, upload_id="u1", length=None)
    store.seal([upload], recorded=True)
    [result] = store.publish([Publication(upload=upload)])

    assert isinstance(result, PublicationInDoubt)
    assert (A in store.files) == visible
    store.reachable = False
    assert store.outcome(upload.token) is PublicationState.UNKNOWN
    store.reachable = True
    assert store.outcome(upload.token) is outcome


async def test_a_store_that_is_full_takes_no_more(store: MemoryStore) -> None:
    store = MemoryStore(capacity=10)
    upload = await store.create(A, upload_id="u1", length=10)
    await upload.append(bytes(10))

    with pytest.raises(InsufficientStorage):
        await upload.append(b"x")
    with pytest.raises(InsufficientStorage):
        await store.create(("b",), upload_id="u2", length=1)


async def test_a_file_has_an_entity_tag_of_its_content(store: MemoryStore) -> None:
    tags = []
    for content in (b"one", b"two", b"one"):
        upload = await store.create(A, upload_id="u", length=None)
        await upload.append(content)
        tags.append(store.publish_now(upload, UNCONDITIONAL).etag)

    assert tags[0] == tags[2] != tags[1]
