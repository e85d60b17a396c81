"""Fixtures that several rooms need."""

from pathlib import Path

import pytest

from tests.certificate import make_certificate


@pytest.fixture(scope="session")
def tls_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key, both PEM."""
    return make_certificate(tmp_path_factory.mktemp("tls"))
