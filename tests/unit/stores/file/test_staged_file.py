"""Staging: whole files, or none, also on a disk that runs full."""

import contextlib
import os
import resource
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from qmonus_lite.errors import (
    Conflict,
    Forbidden,
    InsufficientStorage,
    PreconditionFailed,
    TooLarge,
)
from qmonus_lite.stores.file.filesystem import Filesystem, StrPath
from qmonus_lite.stores.file.mounts import Mount
from qmonus_lite.stores.file.root_dir import DirCache, RootDir
from qmonus_lite.stores.file.staged_file import DirectorySync, StagedFile
from qmonus_lite.stores.file.staging_dirs import MOUNT_STAGING, StagingDirs


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / ".data" / "staging").mkdir(parents=True)
    return tmp_path


def staged(root: Path, disk: Filesystem | None = None) -> StagedFile:
    return StagedFile(path=root / ".data" / "staging" / "u1", disk=disk or Filesystem())


def root_dir(root: Path) -> RootDir:
    return RootDir(root=root, protected=(root / ".data",), disk=Filesystem())


def put(file: StagedFile, root_dir: RootDir, *parts: str, create_only: bool = False) -> bool:
    """Let a finished file appear and stay; whether it replaced another."""
    with contextlib.closing(DirCache(root_dir)) as parents:
        placed = file.place(parents.of(parts), parts[-1], create_only=create_only)
        placed.sync_name(DirectorySync(file.disk))
    return placed.replaced


def directory(staging: StagingDirs, near: Path, disk: Filesystem | None = None) -> Path:
    """Where a file for a place near to that one is staged."""
    return staging.directory(near, (disk or Filesystem()).mount(near))


def left(root: Path) -> list[str]:
    return os.listdir(root / ".data" / "staging")


@pytest.fixture
def umask() -> Iterator[None]:
    """The usual umask, whatever the one of whoever runs the tests is."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_a_file_appears_at_its_path_whole(root: Path) -> None:
    file = staged(root)
    file.write(b"one ")
    file.write(bytearray(b"two"))
    assert not (root / "a").exists()
    file.finish()

    assert not put(file, root_dir(root), "a", "b")
    assert (root / "a" / "b").read_bytes() == b"one two"
    assert (root / "a" / "b").stat().st_mode & 0o777 == 0o644
    assert left(root) == []


def test_says_that_it_took_the_place_of_another(root: Path) -> None:
    (root / "a").write_text("old")
    file = staged(root)
    file.write(b"new")
    file.finish()

    assert put(file, root_dir(root), "a")
    assert (root / "a").read_text() == "new"


def test_takes_nobodys_place_when_told_so(root: Path) -> None:
    (root / "a").write_text("old")
    file = staged(root)
    file.finish()

    with pytest.raises(PreconditionFailed):
        put(file, root_dir(root), "a", create_only=True)
    assert (root / "a").read_text() == "old"
    file.discard()
    assert left(root) == []


def test_an_upload_of_nothing_is_an_empty_file(root: Path) -> None:
    file = staged(root)
    file.finish()
    put(file, root_dir(root), "a")

    assert (root / "a").read_bytes() == b""


def test_nothing_is_made_before_the_first_byte(root: Path) -> None:
    file = staged(root)
    file.discard()

    assert left(root) == []


def test_forgets_a_file_and_may_be_told_twice(root: Path) -> None:
    file = staged(root)
    file.write(b"x")
    file.discard()
    file.discard()

    assert left(root) == []


def test_forgets_no_file_that_is_in_place_or_owed(root: Path) -> None:
    file = staged(root)
    file.finish()
    file.keep = True
    file.discard()
    assert left(root) == ["u1"]

    put(file, root_dir(root), "a")
    file.discard()
    assert (root / "a").exists()


def test_a_file_that_was_handed_over_is_anothers_to_forget(root: Path) -> None:
    file = staged(root)
    file.write(b"x")
    file.finish()
    file.hand_over()
    file.discard()

    assert left(root) == ["u1"]


def test_a_finished_file_is_neither_made_nor_synced_again(root: Path) -> None:
    assert not staged(root).begun
    file = StagedFile(path=root / ".data" / "staging" / "u1", disk=Filesystem(), finished=True)
    file.finish()

    assert file.begun
    assert left(root) == []


def test_a_directory_in_the_way_leaves_the_staged_file(root: Path) -> None:
    (root / "a").mkdir()
    file = staged(root)
    file.finish()

    with pytest.raises(Conflict):
        put(file, root_dir(root), "a")
    assert not file.placed
    assert left(root) == ["u1"]


@dataclass(kw_only=True)
class HaltingDisk(Filesystem):
    """A disk that takes three bytes at a time."""

    def write(self, descriptor: int, data: memoryview) -> int:
        return super().write(descriptor, data[:3])


def test_short_writes_lose_nothing(root: Path) -> None:
    file = staged(root, HaltingDisk())
    file.write(bytes(range(256)))
    file.finish()

    assert Path(file.path).read_bytes() == bytes(range(256))


class FullDisk(Filesystem):
    """A disk whose new files are all full."""

    def create(self, path: StrPath, mode: int) -> int:
        return os.open("/dev/full", os.O_WRONLY | os.O_CLOEXEC)


def test_a_full_disk_is_507(root: Path) -> None:
    file = staged(root, FullDisk())

    with pytest.raises(InsufficientStorage, match="full"):
        file.write(b"x")
    file.discard()


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Files of this process may have at most so many bytes; the kernel says EFBIG."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_file_too_large_for_the_system_is_413_after_a_short_write(root: Path) -> None:
    file = staged(root)
    with file_size_limit(10_000):
        file.write(b"x" * 9_000)
        with pytest.raises(TooLarge):
            file.write(b"y" * 9_000)

    assert Path(file.path).stat().st_size == 10_000
    file.discard()
    assert left(root) == []


def test_sweeps_what_a_former_process_left(root: Path) -> None:
    for name in ("u1", "u2"):
        (root / ".data" / "staging" / name).write_text("x")
    staging = StagingDirs(Filesystem(), root / ".data", root, "0")

    assert staging.sweep() == 2
    assert left(root) == []
    assert staging.sweep() == 0


def test_sweeps_the_files_of_one_process_but_those_to_keep(root: Path) -> None:
    staging = StagingDirs(Filesystem(), root / ".data", root, "0")
    folder = root / ".data" / "staging"
    for name in ("0-a-1", "0-a-2", "1-b-1"):
        (folder / name).touch()

    assert staging.sweep("0-a-", {str(folder / "0-a-2")}) == 1
    assert sorted(left(root)) == ["0-a-2", "1-b-1"]


def test_stages_beside_the_data_on_one_file_system(root: Path) -> None:
    (root / "a").mkdir()
    staging = StagingDirs(Filesystem(), root / ".data", root, "0")

    assert directory(staging, root / "a") == root / ".data" / "staging"
    assert os.listdir(root / "a") == []


@dataclass(kw_only=True)
class Mounted(Filesystem):
    """A disk with another one mounted at `mnt`."""

    def mount(self, directory: StrPath | int) -> Mount:
        place = (
            os.readlink(f"/proc/self/fd/{directory}") if isinstance(directory, int) else directory
        )
        real = super().mount(directory)
        return real._replace(mount=real.mount + ("mnt" in Path(place).parts))


def test_stages_at_the_top_of_another_mount(root: Path) -> None:
    (root / "mnt" / "deep").mkdir(parents=True)
    staging = StagingDirs(Mounted(), root / ".data", root, "0")
    place = directory(staging, root / "mnt" / "deep", Mounted())

    assert place == root / "mnt" / MOUNT_STAGING / "0"
    assert place.stat().st_mode & 0o777 == 0o700
    assert directory(staging, root / "mnt", Mounted()) == place


def test_sweeps_other_mounts_after_a_restart(root: Path) -> None:
    (root / "mnt").mkdir()
    place = directory(StagingDirs(Mounted(), root / ".data", root, "0"), root / "mnt", Mounted())
    (place / "u1").write_text("x")

    assert StagingDirs(Mounted(), root / ".data", root, "0").sweep() == 1
    assert os.listdir(place) == []


def test_the_staged_files_of_another_gateway_of_the_launch_directory_are_left_alone(
    root: Path,
) -> None:
    for name in ("mnt", ".other", ".other/staging"):
        (root / name).mkdir()
    own = StagingDirs(Mounted(), root / ".data", root, "a")
    other = StagingDirs(Mounted(), root / ".other", root, "b")
    for staging in (own, other):
        (directory(staging, root / "mnt", Mounted()) / "u1").write_text("under way")
        (directory(staging, root, Mounted()) / "u2").write_text("under way")
    # A copied data directory names those of its original.
    shutil.copy(root / ".data" / "staging.mounts", root / ".other" / "copied")
    with (root / ".other" / "staging.mounts").open("a") as known:
        known.write((root / ".other" / "copied").read_text())

    assert StagingDirs(Mounted(), root / ".other", root, "b").sweep() == 2
    assert sorted(left(root)) == ["u2"]
    assert os.listdir(root / "mnt" / MOUNT_STAGING / "a") == ["u1"]
    assert os.listdir(root / "mnt" / MOUNT_STAGING / "b") == []


def test_sweeps_what_a_version_without_a_directory_for_each_gateway_left(root: Path) -> None:
    old = root / "mnt" / MOUNT_STAGING
    old.mkdir(parents=True)
    (old / "u1").write_text("x")
    (root / ".data" / "staging.mounts").write_text(f"{old}\n")

    assert StagingDirs(Mounted(), root / ".data", root, "0").sweep() == 1
    assert os.listdir(old) == []


def test_stages_beside_the_path_where_the_top_of_the_mount_is_not_ours(root: Path) -> None:
    (root / "mnt" / "deep" / "er").mkdir(parents=True)
    # What an attacker may leave: a link that leads our files elsewhere.
    for folder in ("mnt", "mnt/deep"):
        (root / folder / MOUNT_STAGING).symlink_to(root / "elsewhere")
    (root / "elsewhere").mkdir()
    staging = StagingDirs(Mounted(), root / ".data", root, "0")
    place = directory(staging, root / "mnt" / "deep" / "er", Mounted())

    assert place == root / "mnt" / "deep" / "er" / MOUNT_STAGING / "0"
    with pytest.raises(Forbidden):
        directory(StagingDirs(Mounted(), root / ".data", root, "0"), root / "mnt", Mounted())


@pytest.fixture
def foreign() -> Iterator[Path]:
    """A launch directory of root's, in which one folder is ours: this is another user meanwhile."""
    with tempfile.TemporaryDirectory(prefix="qmonus-lite-") as folder:
        root = Path(folder)
        root.chmod(0o755)
        for name in (".data/staging", "mnt/theirs", "mnt/ours"):
            (root / name).mkdir(parents=True)
        for name in (".data", ".data/staging", "mnt/ours"):
            os.chown(root / name, 65534, 65534)
        os.seteuid(65534)
        try:
            yield root
        finally:
            os.seteuid(0)


@pytest.mark.skipif(os.geteuid() != 0, reason="to be another user takes root")
def test_another_user_stages_in_a_folder_of_his_own_and_is_refused_in_others(
    foreign: Path,
) -> None:
    staging = StagingDirs(Mounted(), foreign / ".data", foreign, "0")
    seen = RootDir(root=foreign, protected=(foreign / ".data",), disk=Mounted())

    assert not seen.look(("mnt", "ours", "new", "file")).there
    ours = directory(staging, foreign / "mnt" / "ours", Mounted())
    assert ours == foreign / "mnt" / "ours" / MOUNT_STAGING / "0"
    for parts in (("mnt", "theirs", "file"), ("mnt", "file"), ("file",), ("new", "file")):
        # Before its body is sent.
        with pytest.raises(Forbidden, match="no permission"):
            seen.look(parts)
    # Any place on the mount will do; where none is known, none can be made.
    assert directory(staging, foreign / "mnt" / "theirs", Mounted()) == ours
    with pytest.raises(Forbidden):
        fresh = StagingDirs(Mounted(), foreign / ".data", foreign, "0")
        directory(fresh, foreign / "mnt" / "theirs", Mounted())
    # One that root left there, at its start as root, is not used.
    os.seteuid(0)
    (foreign / "mnt" / MOUNT_STAGING).mkdir(mode=0o700)
    os.seteuid(65534)
    again = StagingDirs(Mounted(), foreign / ".data", foreign, "0")
    assert directory(again, foreign / "mnt" / "ours", Mounted()) == ours


def test_a_staging_directory_that_went_away_is_made_again(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "mnt").mkdir()
    staging = StagingDirs(Mounted(), root / ".data", root, "0")
    monkeypatch.setattr("qmonus_lite.stores.file.staging_dirs.CACHE_SECONDS", 0.0)
    for _ in range(2):
        directory(staging, root / "mnt", Mounted()).rmdir()
        directory(staging, root, Mounted()).rmdir()

    assert directory(staging, root / "mnt", Mounted()).is_dir()
    assert directory(staging, root, Mounted()).is_dir()
    # One line a directory, however often it was made.
    assert len((root / ".data" / "staging.mounts").read_text().splitlines()) == 1


def test_a_sweep_passes_over_what_it_cannot_read(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (root / MOUNT_STAGING).touch()
    known = (root / MOUNT_STAGING, root / "gone" / MOUNT_STAGING / "0")
    (root / ".data" / "staging.mounts").write_text("".join(f"{path}\n" for path in known))
    (root / ".data" / "staging" / "u1").touch()

    assert StagingDirs(Filesystem(), root / ".data", root, "0").sweep() == 1
    assert [vars(record)["action"] for record in caplog.records] == ["sweep_failed"]


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no second file system here")
def test_a_data_directory_on_another_file_system_is_no_obstacle(root: Path) -> None:
    other = Path("/dev/shm") / f"qmonus-lite-{os.getpid()}"
    other.mkdir()
    try:
        staging = StagingDirs(Filesystem(), root / ".data", other, "0")
        file = StagedFile(path=directory(staging, other) / "u1", disk=Filesystem())
        file.write(b"x")
        file.finish()
        put(file, RootDir(root=other, protected=(), disk=Filesystem()), "a")

        assert (other / "a").read_bytes() == b"x"
        assert os.listdir(other / MOUNT_STAGING / "0") == []
    finally:
        for path in sorted(other.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        other.rmdir()
