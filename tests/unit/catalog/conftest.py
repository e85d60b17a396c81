"""Fixtures of the package."""

from pathlib import Path

import pytest

from tests.unit.catalog.plugin_folder import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    (tmp_path / "plugins").mkdir()
    return Folder(tmp_path / "plugins")
