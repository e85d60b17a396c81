"""The registry of stores: a URL scheme for each, and what they have to tell before the start."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from qmonus_lite.compose.registry import DEFAULT_STORE, STORES, StoreContext, store_kind
from qmonus_lite.errors import BadPlace, BadSetting
from qmonus_lite.settings.storage import StorageSettings
from qmonus_lite.settings.table import Settings
from qmonus_lite.stores.file.store import FileStore


def settings(base_dir: Path) -> Settings:
    return Settings(storage=StorageSettings(base_dir=base_dir))


def test_the_default_is_a_store_of_files_below_the_launch_directory(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as threads:
        context = StoreContext(data_dir=tmp_path, threads=threads)
        store = store_kind(DEFAULT_STORE).make(settings(tmp_path), context)

    assert isinstance(store, FileStore)
    assert store.location(("upload", "a")) == str(tmp_path / "upload" / "a")


@pytest.mark.parametrize("url", ["", "file", "s3://bucket/prefix", "C:/x"])
def test_a_scheme_without_a_store_is_refused_with_those_that_there_are(url: str) -> None:
    with pytest.raises(BadSetting, match=f"there are: {', '.join(STORES)}"):
        store_kind(url)


def test_a_launch_directory_that_is_not_there_is_refused_before_anything_is_made(
    tmp_path: Path,
) -> None:
    with pytest.raises(BadPlace, match="no such directory"):
        store_kind(DEFAULT_STORE).check(settings(tmp_path / "missing"))

    assert list(tmp_path.iterdir()) == []
