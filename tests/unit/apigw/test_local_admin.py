"""The local admin of a first start, and the line that people try."""

import asyncio
import dataclasses
import shlex
from pathlib import Path

import pytest

from qmonus_lite.apigw.local_admin import TOKEN_FILE, LocalAdmin, curl_line, wanted
from qmonus_lite.background import Background
from qmonus_lite.datadir import DataDir
from qmonus_lite.settings.table import Settings
from tests.unit.auth.test_gatekeeper import Gate


def admin(tmp_path: Path, gate: Gate) -> LocalAdmin:
    return LocalAdmin(data_dir=DataDir(tmp_path), gatekeeper=gate.gatekeeper)


def test_writes_a_token_that_only_the_owner_reads(tmp_path: Path) -> None:
    admin(tmp_path, Gate()).write()

    assert (tmp_path / TOKEN_FILE).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / TOKEN_FILE).read_text().count(".") == 2


async def test_writes_a_new_one_before_the_old_one_ends(tmp_path: Path) -> None:
    gatekeeper = dataclasses.replace(Gate().gatekeeper, token_ttl=0.1)
    local_admin = LocalAdmin(data_dir=DataDir(tmp_path), gatekeeper=gatekeeper)
    renewing = asyncio.create_task(local_admin.renew())
    await asyncio.sleep(0.2)
    renewing.cancel()
    await asyncio.gather(renewing, return_exceptions=True)

    assert (tmp_path / TOKEN_FILE).exists()


async def test_a_token_that_could_not_be_written_is_written_when_it_can_be_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    local_admin, place, background = admin(tmp_path, Gate()), tmp_path / TOKEN_FILE, Background()
    place.mkdir()
    background.start("token", local_admin.renew, essential=False)
    async with asyncio.timeout(5):
        while not caplog.records:
            await asyncio.sleep(0.01)
        place.rmdir()
        while not place.is_file():
            await asyncio.sleep(0.01)
    await background.close()

    assert {vars(record)["action"] for record in caplog.records} == {"task_restarted"}
    assert f"{place}: the token cannot be written: Is a directory" in caplog.text


def test_is_wanted_from_a_first_start_without_accounts_on(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path)

    assert wanted(data_dir, has_accounts=False)
    assert not wanted(data_dir, has_accounts=True)
    (tmp_path / TOKEN_FILE).touch()
    assert wanted(data_dir, has_accounts=True)


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ("/upload/{filepath}", "/upload/big.bin"),
        (
            "/v1/tenants/{tenant_id}/images/{filename}/file",
            "/v1/tenants/TENANT_ID/images/big.bin/file",
        ),
        ("/in(box)/{filename}", "/in(box)/big.bin"),
    ],
)
def test_the_line_to_try_can_be_pasted_into_a_shell(
    tmp_path: Path, template: str, path: str
) -> None:
    settings = Settings.of(file_upload_api_path=template)
    url, parsed = settings.server.base_url, settings.uploads.template
    line = curl_line(url, parsed, DataDir(tmp_path / "with space"))

    assert shlex.split(line) == [
        "curl",
        "-T",
        "big.bin",
        "-H",
        f"X-Auth-Token: $(cat '{tmp_path}/with space/admin.token')",
        f"http://127.0.0.1:9099{path}",
    ]
    assert "X-Auth-Token" not in curl_line(url, parsed, None)
