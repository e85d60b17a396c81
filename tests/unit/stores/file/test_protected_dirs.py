"""Protected folders are recognized by identity, under whatever path they are reached."""

import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from qmonus_lite.errors import BadResource, ForbiddenPath
from qmonus_lite.stores.file import protected_dirs
from qmonus_lite.stores.file.filesystem import Filesystem
from qmonus_lite.stores.file.protected_dirs import ProtectedDirs
from qmonus_lite.stores.file.root_dir import RootDir
from qmonus_lite.stores.file.staging_dirs import StagingDirs
from tests.integration.disk.storage import file_store

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="mounting takes root")


@contextmanager
def mounted(place: Path, *words: str | Path) -> Iterator[None]:
    place.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["mount", *words, place], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"this machine does not mount that: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", place], check=True)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("plugins/accounts", "plugins/.git", "upload"):
        (tmp_path / "root" / name).mkdir(parents=True)
    return tmp_path / "root"


def root_dir(root: Path, *protected: Path) -> RootDir:
    return RootDir(root=root, protected=protected or (root / "plugins",), disk=Filesystem())


@root_only
@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ("plugins", ("upload", "alias", "evil.yml")),
        ("plugins", ("upload", "alias", "new", "evil.yml")),
        ("plugins/accounts", ("upload", "alias", "evil.yml")),
        ("", ("upload", "alias", "plugins", "evil.yml")),
        ("", ("upload", "alias", "plugins", "accounts", "evil.yml")),
    ],
)
def test_a_bind_mount_of_a_protected_folder_takes_no_upload(
    root: Path, source: str, parts: tuple[str, ...]
) -> None:
    with mounted(root / "upload" / "alias", "--bind", root / source):
        with pytest.raises(ForbiddenPath):
            root_dir(root).look(parts)
        assert not root_dir(root).look(("upload", "f")).there


@root_only
def test_neither_does_one_of_the_launch_directory_under_another_name(
    root: Path, tmp_path: Path
) -> None:
    # The launch directory by one name, the plugin folder by the other.
    with mounted(tmp_path / "alias", "--bind", root):
        seen = root_dir(tmp_path / "alias", root / "plugins")
        seen.check()
        with pytest.raises(ForbiddenPath):
            seen.look(("plugins", "evil.yml"))


@root_only
async def test_one_that_was_mounted_during_an_upload_does_not_take_it(
    root: Path, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    seen = root_dir(root)
    with ThreadPoolExecutor(1) as threads:
        store = file_store(seen, StagingDirs(seen.disk, tmp_path / "data", root, "0"), threads)
        upload = await store.create(("upload", "alias", "f"), upload_id="u1", length=None)
        with mounted(root / "upload" / "alias", "--bind", root / "plugins"):
            seen._inherited.clear()
            [error] = store.seal([upload], recorded=True).errors
            assert isinstance(error, ForbiddenPath)
            await upload.abort()


@root_only
def test_the_launch_directory_may_not_be_a_protected_folder_under_another_name(
    root: Path, tmp_path: Path
) -> None:
    with mounted(tmp_path / "alias", "--bind", root / "plugins"):
        for place in (tmp_path / "alias", tmp_path / "alias" / "accounts"):
            with pytest.raises(
                BadResource, match=r"lies in .*/plugins, where nothing may be stored"
            ):
                root_dir(place, root / "plugins").check()


@root_only
def test_another_case_of_the_name_is_the_same_folder(root: Path) -> None:
    with mounted(root / "upload", "-t", "tmpfs", "-o", "casefold", "tmpfs"):
        folder = root / "upload" / "caseless"
        folder.mkdir()
        done = subprocess.run(["chattr", "+F", folder], capture_output=True, check=False)
        (folder / "plugins").mkdir()
        if done.returncode or not (folder / "PLUGINS").exists():
            pytest.skip("this machine has no file system that ignores case")
        with pytest.raises(ForbiddenPath):
            root_dir(root, folder / "plugins").look(("upload", "caseless", "PLUGINS", "evil.yml"))


def test_a_link_among_the_settings_is_followed(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root / "upload")
    with pytest.raises(ForbiddenPath):
        root_dir(root, tmp_path / "link").look(("upload", "evil.yml"))


def test_new_subfolders_are_known_within_seconds(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protected_dirs, "REFRESH_SECONDS", 0.0)
    protected = ProtectedDirs(folders=(root / "plugins", root / "missing"))
    protected.check_directory((root / "upload").stat())
    for name in ("plugins/new", "missing"):
        (root / name).mkdir()
        with pytest.raises(ForbiddenPath):
            protected.check_directory((root / name).stat())
    # No plugin is loaded from there.
    protected.check_directory((root / "plugins/.git").stat())
