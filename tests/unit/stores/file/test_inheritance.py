"""A stored file has group, ACL and mode as if it had been created in the folder of its path."""

import os
import struct
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qmonus_lite.errors import Forbidden
from qmonus_lite.stores.file import root_dir, staging_dirs
from qmonus_lite.stores.file.filesystem import Filesystem
from qmonus_lite.stores.file.inheritance import access_acl
from qmonus_lite.stores.file.mounts import Mounts, mount_of
from qmonus_lite.stores.file.pending import FilePendingUpload
from qmonus_lite.stores.file.root_dir import RootDir
from qmonus_lite.stores.file.staging_dirs import MOUNT_STAGING, StagingDirs
from qmonus_lite.stores.file.store import FileStore
from qmonus_lite.uploads.store import UNCONDITIONAL, Handover, Publication, StoredFile
from tests.integration.disk.storage import file_store

DEFAULT, ACCESS = "system.posix_acl_default", "system.posix_acl_access"
NO_ID = 0xFFFFFFFF
#: A group that root is not in; other users can only use their own.
GROUP = 4321 if os.geteuid() == 0 else os.getegid()
#: A user without rights, and not in that group.
USER = 4322

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user takes root")


def acl(*entries: tuple[int, int, int]) -> bytes:
    packed = b"".join(struct.pack("<HHI", *entry) for entry in entries)
    return struct.pack("<I", 2) + packed


def basic(owner: int, group: int, other: int) -> bytes:
    return acl((1, owner, NO_ID), (4, group, NO_ID), (0x20, other, NO_ID))


#: A user and a group beside the owner, nothing for others.
NAMED = acl(
    (1, 7, NO_ID), (2, 6, 1234), (4, 5, NO_ID), (8, 7, 4321), (0x10, 7, NO_ID), (0x20, 0, NO_ID)
)


def set_default(folder: Path, value: bytes) -> None:
    try:
        os.setxattr(folder, DEFAULT, value)
    except OSError as error:
        pytest.skip(f"no ACLs here: {error}")


def plain(_folder: Path) -> None:
    pass


def setgid(folder: Path) -> None:
    os.chown(folder, -1, GROUP)
    folder.chmod(0o2775)


def named(folder: Path) -> None:
    set_default(folder, NAMED)


def closed(folder: Path) -> None:
    set_default(folder, basic(7, 5, 0))


def both(folder: Path) -> None:
    setgid(folder)
    named(folder)


FOLDERS = (plain, setgid, named, closed, both)


def attributes(file: Path) -> tuple[int, int, int, bytes]:
    """Owner, group, mode and ACL of a file."""
    status = file.stat()
    entries = os.getxattr(file, ACCESS) if ACCESS in os.listxattr(file) else b""
    return status.st_uid, status.st_gid, status.st_mode, entries


def expected(folder: Path) -> tuple[int, int, int, bytes]:
    """Those of a file that is created in the folder itself."""
    (folder / "reference").write_bytes(b"")
    return attributes(folder / "reference")


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as threads:
        yield threads


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@dataclass(kw_only=True)
class Calls(Filesystem):
    """Counts what is given to files."""

    given: list[int] = field(default_factory=list)

    def give(self, descriptor: int, inherited: object) -> None:
        self.given.append(descriptor)
        super().give(descriptor, inherited)  # type: ignore[arg-type]


def make_store(root: Path, threads: ThreadPoolExecutor, disk: Filesystem) -> FileStore:
    data_dir = root / ".data"
    data_dir.mkdir(mode=0o700, exist_ok=True)
    place = RootDir(root=root, protected=(data_dir,), disk=disk)
    return file_store(place, StagingDirs(disk, data_dir, root, "0"), threads)


@pytest.fixture
def disk() -> Calls:
    return Calls()


@pytest.fixture
def store(tmp_path: Path, threads: ThreadPoolExecutor, disk: Calls) -> FileStore:
    (tmp_path / "upload").mkdir()
    return make_store(tmp_path, threads, disk)


async def pending(store: FileStore, *where: str, upload_id: str = "u1") -> FilePendingUpload:
    upload = await store.create(where, upload_id=upload_id, length=None)
    await upload.append(b"content")
    return upload


def publish(store: FileStore, upload: FilePendingUpload) -> None:
    assert store.seal([upload], recorded=True).errors == [None]
    [result] = store.publish([Publication(upload=upload)])
    if not isinstance(result, StoredFile):
        raise result
    assert result.failure is None


def publish_now(store: FileStore, upload: FilePendingUpload) -> None:
    store.publish_now(upload, UNCONDITIONAL)


@pytest.mark.parametrize("way", [publish, publish_now])
@pytest.mark.parametrize("folder", FOLDERS)
async def test_a_file_has_the_group_and_acl_that_its_folder_gives(
    store: FileStore,
    tmp_path: Path,
    folder: Callable[[Path], None],
    way: Callable[[FileStore, FilePendingUpload], None],
) -> None:
    folder(tmp_path / "upload")
    way(store, await pending(store, "upload", "a"))
    way(store, await pending(store, "upload", "new", "folder", "b", upload_id="u2"))

    assert attributes(tmp_path / "upload/a") == expected(tmp_path / "upload")
    assert attributes(tmp_path / "upload/new/folder/b") == expected(tmp_path / "upload/new/folder")


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("above", FOLDERS)
async def test_what_the_data_directory_inherited_goes_to_no_file(
    tmp_path: Path,
    threads: ThreadPoolExecutor,
    folder: Callable[[Path], None],
    above: Callable[[Path], None],
) -> None:
    (tmp_path / "upload").mkdir()
    above(tmp_path)
    store = make_store(tmp_path, threads, Filesystem())
    above(tmp_path / ".data/staging")
    folder(tmp_path / "upload")
    publish(store, await pending(store, "upload", "a"))

    assert attributes(tmp_path / "upload/a") == expected(tmp_path / "upload")


async def test_nothing_is_given_where_the_folder_is_plain(
    store: FileStore, disk: Calls, tmp_path: Path
) -> None:
    publish(store, await pending(store, "upload", "a"))
    assert disk.given == []
    setgid(tmp_path / "upload")
    store.root_dir._inherited.clear()
    publish(store, await pending(store, "upload", "b"))
    assert len(disk.given) == 1


async def test_folders_are_asked_once_a_second(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(root_dir, "CACHE_SECONDS", 1000)
    monkeypatch.setattr(staging_dirs, "CACHE_SECONDS", 1000)
    publish(store, await pending(store, "upload", "a"))
    with monkeypatch.context() as without:
        for name in ("getxattr", "setxattr", "fstat", "fchown", "fchmod"):
            without.delattr(os, name)
        for way in (publish, publish_now):
            way(store, await pending(store, "upload", way.__name__, upload_id=way.__name__))


async def test_the_folder_counts_as_it_is_when_the_upload_is_complete(
    store: FileStore, tmp_path: Path
) -> None:
    upload = await pending(store, "upload", "a")
    await upload.flush()
    both(tmp_path / "upload")
    # The cached status of a second ago.
    store.root_dir._inherited.clear()
    publish(store, upload)

    assert attributes(tmp_path / "upload/a") == expected(tmp_path / "upload")


async def test_a_replaced_file_leaves_neither_owner_nor_mode_nor_acl(
    store: FileStore, tmp_path: Path
) -> None:
    old = tmp_path / "upload/a"
    old.touch()
    old.chmod(0o600)
    if os.geteuid() == 0:
        os.chown(old, USER, GROUP)
    try:
        os.setxattr(old, ACCESS, NAMED)
    except OSError as error:
        pytest.skip(f"no ACLs here: {error}")
    publish(store, await pending(store, "upload", "a"))

    assert attributes(old) == expected(tmp_path / "upload")


@contextmanager
def other_user() -> Iterator[None]:
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(USER)
    os.seteuid(USER)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


@pytest.fixture
def own_root() -> Iterator[Path]:
    """A launch directory of that user, reached without rights of root."""
    with tempfile.TemporaryDirectory(prefix="qmonus-lite-") as folder:
        root = Path(folder)
        for name in ("upload", ".data"):
            (root / name).mkdir()
        for path in (root, root / "upload", root / ".data"):
            os.chown(path, USER, USER)
        yield root


def give_to_group(folder: Path) -> None:
    """`install -d -o USER -g GROUP -m 2750`: the user is not in the group."""
    os.chown(folder, USER, GROUP)
    folder.chmod(0o2750)


@root_only
async def test_a_group_that_cannot_be_given_comes_from_staging_in_the_folder(
    own_root: Path, threads: ThreadPoolExecutor
) -> None:
    give_to_group(own_root / "upload")
    with other_user():
        store = make_store(own_root, threads, Filesystem())
        upload = await pending(store, "upload", "new", "a")
        assert upload.token == f"root:upload/{MOUNT_STAGING}/0/u1//upload/new/a"
        publish(store, upload)
        assert attributes(own_root / "upload/new/a") == expected(own_root / "upload/new")
        assert attributes(own_root / "upload/new/a")[:2] == (USER, GROUP)
        assert os.listdir(own_root / "upload" / MOUNT_STAGING / "0") == []
        # Another group, or none, is staged as ever.
        assert (await pending(store, "b")).token == "data:staging/u1//b"


@root_only
def test_every_way_to_identify_a_mount_tells_such_a_group(own_root: Path) -> None:
    give_to_group(own_root / "upload")
    with_proc = Mounts(None).of
    descriptors = [os.open(folder, os.O_RDONLY) for folder in (own_root / "upload", own_root)]
    # Loads the codec of /proc, which another user may not be able to read.
    assert [with_proc(descriptor).group for descriptor in descriptors] == [None, None]
    with other_user():
        assert [with_proc(descriptor).group for descriptor in descriptors] == [GROUP, None]
        assert [mount_of(descriptor).group for descriptor in descriptors] == [GROUP, None]
    for descriptor in descriptors:
        os.close(descriptor)


@root_only
@pytest.mark.parametrize("by_another_process", [False, True])
async def test_it_is_copied_there_if_the_folder_became_so_meanwhile(
    own_root: Path, threads: ThreadPoolExecutor, by_another_process: bool
) -> None:
    give_to_group(own_root / "upload")
    with other_user():
        store = make_store(own_root, threads, Filesystem())
        upload = await pending(store, "a")
        await upload.flush()
        await store.change_path(upload, ("upload", "a"))
        if by_another_process:
            handover: Handover = await upload.hand_over()
            assert handover.sealed
            upload = make_store(own_root, threads, Filesystem()).adopt(handover)
        publish(store, upload)
        await upload.abort()

        assert (own_root / "upload/a").read_bytes() == b"content"
        assert attributes(own_root / "upload/a") == expected(own_root / "upload")
        assert os.listdir(own_root / ".data/staging") == []


@root_only
async def test_no_file_is_stored_with_a_group_that_its_folder_does_not_give(
    own_root: Path, threads: ThreadPoolExecutor
) -> None:
    with other_user():
        (own_root / "upload" / MOUNT_STAGING).mkdir(mode=0o700)
        store = make_store(own_root, threads, Filesystem())
        upload = await pending(store, "a")
        await upload.flush()
    give_to_group(own_root / "upload")
    with other_user():
        await store.change_path(upload, ("upload", "a"))
        with pytest.raises(Forbidden):
            publish(store, upload)
        assert not (own_root / "upload/a").exists()


PERMISSIONS = st.integers(0, 7)


@given(PERMISSIONS, PERMISSIONS, PERMISSIONS, st.lists(st.tuples(PERMISSIONS, PERMISSIONS)))
def test_the_acl_of_a_file_is_the_one_that_the_kernel_makes(
    tmp_path_factory: pytest.TempPathFactory,
    owner: int,
    group: int,
    other: int,
    named: list[tuple[int, int]],
) -> None:
    folder = tmp_path_factory.mktemp("acl")
    users = [(2, user, 1000 + number) for number, (user, _) in enumerate(named)]
    groups = [(8, permissions, 1000 + number) for number, (_, permissions) in enumerate(named)]
    mask = [(0x10, group ^ 3, NO_ID)] if named else []
    default = acl(
        (1, owner, NO_ID), *users, (4, group, NO_ID), *groups, *mask, (0x20, other, NO_ID)
    )
    set_default(folder, default)
    reference, own = folder / "reference", folder.parent / f"{folder.name}.own"
    reference.touch()
    own.touch()
    os.setxattr(own, ACCESS, access_acl(default))

    assert attributes(own) == attributes(reference)
