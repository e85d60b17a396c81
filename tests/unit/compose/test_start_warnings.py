"""Warnings of a start: what works, and was probably not meant."""

from pathlib import Path

import pytest

from qmonus_lite.compose.start_warnings import certificate_warnings, template_warnings
from qmonus_lite.events.envelope import UPLOADING
from qmonus_lite.settings.table import Settings
from tests.certificate import Authority
from tests.unit.catalog.plugin_folder import Folder

GATE = f"name: gate\nevent: {UPLOADING}\nscript: |-\n  async def gate(event, handle):\n    pass\n"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def certified(folder: Path, name: str, **values: object) -> list[str]:
    issued = Authority(folder).issue(name)
    given = Settings.of(certfile=issued.certificate, keyfile=issued.key, **values)
    return [warning.text for warning in certificate_warnings(given)]


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "[::1]:8080"),
        ("gate.example", "Gate.Example:8080"),
        ("*.example", "gate.example"),
    ],
)
def test_a_certificate_of_the_advertised_address_is_right(
    tmp_path: Path, name: str, address: str
) -> None:
    assert certified(tmp_path, name, advertise_address=address) == []


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("gate.example", "127.0.0.1"),
        ("127.0.0.1", "127.0.0.2"),
        ("*.example", "a.gate.example"),
        ("gate.example", "example"),
    ],
)
def test_a_certificate_of_another_name_is_warned_of(
    tmp_path: Path, name: str, address: str
) -> None:
    [text] = certified(tmp_path, name, advertise_address=address)

    assert f"is for {name}, and not for {address}" in text


def test_no_certificate_is_no_warning() -> None:
    assert list(certificate_warnings(Settings())) == []


def shared(template: str, folder: Folder) -> list[str]:
    given = Settings.of(file_upload_api_path=template)
    return [warning.text for warning in template_warnings(given, folder.load())]


def test_a_template_whose_tenants_share_a_path_is_warned_of(folder: Folder) -> None:
    [text] = shared("/v1/tenants/{tenant_id}/images/{filename}/file", folder)

    assert "stored at /upload/{filename}, whatever {tenant_id} is" in text


@pytest.mark.parametrize("template", ["/upload/{filepath}", "/upload/{filename}", "/new/{tenant}"])
def test_a_template_whose_variables_are_all_in_the_path_is_right(
    folder: Folder, template: str
) -> None:
    assert shared(template, folder) == []


def test_a_gate_may_choose_the_path(folder: Folder) -> None:
    folder.put("gate.yml", GATE)

    assert shared("/v1/tenants/{tenant_id}/images/{filename}/file", folder) == []
