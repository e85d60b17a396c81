"""The table of settings, its groups, and what a group makes of its values."""

import re
import typing
from pathlib import Path

import pytest

from qmonus_lite.settings.storage import StorageSettings
from qmonus_lite.settings.table import FLAGS, GROUPS, SECRETS, TABLE, Settings
from qmonus_lite.settings.workers import WorkerSettings

#: Names of flags that only look like names of secrets.
NO_SECRETS = {"keyfile", "token_ttl"}


def test_has_the_defaults_of_the_contract() -> None:
    found = Settings()

    assert (found.server.address, found.server.port) == ("127.0.0.1", 9099)
    assert found.workers.endpoints == ("http://127.0.0.1:9100",)
    assert found.uploads.file_upload_api_path == "/upload/{filepath}"
    assert found.storage.min_free_bytes == 1 << 30
    assert found.events.event_max_age == 72 * 3600
    assert found.logs.timezone == "Asia/Tokyo"


def test_reads_every_example_of_a_flag() -> None:
    for name, setting in FLAGS.items():
        given, _, value = setting.example.removeprefix("--").partition("=")

        assert given == name
        assert setting.reader(value.strip("'"))


def test_every_default_is_what_its_reader_would_give() -> None:
    for setting in FLAGS.values():
        if isinstance(setting.default, str):
            assert setting.reader(setting.default) == setting.default


def test_every_setting_stands_in_one_group_and_in_the_table() -> None:
    names = [name for kind in GROUPS.values() for name in typing.get_type_hints(kind)]

    assert sorted(names) == sorted(TABLE)
    assert all(Settings().get(name) == TABLE[name].default for name in names)


def test_a_setting_is_a_flag_or_a_secret_never_both() -> None:
    assert FLAGS.keys() | SECRETS.keys() == TABLE.keys()
    assert FLAGS.keys() & SECRETS.keys() == set()
    assert list(SECRETS) == ["event_secret"]


def test_no_flag_is_named_like_a_secret() -> None:
    secret = re.compile("secret|password|passphrase|credential|token|key")

    assert {name for name in FLAGS if secret.search(name)} == NO_SECRETS


def test_refuses_a_value_without_a_setting() -> None:
    with pytest.raises(KeyError, match="prot"):
        Settings.of(prot=1)


def test_directories_stand_in_the_launch_directory(tmp_path: Path) -> None:
    found = Settings.of(base_dir=tmp_path, plugins_base_dirs=("a", "/b"))

    assert found.storage.state_dir == tmp_path / ".qmonus-lite"
    assert found.plugin_dirs == (tmp_path / "a", Path("/b"))
    base = f"--base_dir={tmp_path}"
    assert found.directory_flags == (base, f"--plugins_base_dirs={tmp_path}/a,/b")
    elsewhere = Settings.of(base_dir=tmp_path, data_dir=Path("/d"))
    assert elsewhere.directory_flags == (base, "--data_dir=/d")


def test_resolves_a_linked_launch_directory(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")

    assert StorageSettings(base_dir=tmp_path / "link").root == tmp_path / "real"


def test_counts_the_workers_on_from_the_first_port() -> None:
    found = WorkerSettings(lambda_port=65534, lambda_processes=2)

    assert found.endpoints == ("http://127.0.0.1:65534", "http://127.0.0.1:65535")


def test_sends_events_where_it_was_told_to() -> None:
    found = WorkerSettings(lambda_endpoints=("https://w:1",), lambda_processes=3)

    assert found.endpoints == ("https://w:1",)


def test_brackets_the_address_of_workers() -> None:
    assert WorkerSettings(lambda_address="::1").endpoints == ("http://[::1]:9100",)


@pytest.mark.parametrize(
    ("values", "url"),
    [
        ({}, "http://127.0.0.1:9099"),
        ({"certfile": Path("c"), "keyfile": Path("k")}, "https://127.0.0.1:9099"),
        (
            {"address": "0.0.0.0", "advertise_address": "Gate.Example", "behind_proxy": True},
            "http://gate.example:9099",
        ),
        ({"address": "::1"}, "http://[::1]:9099"),
        ({"address": "[::1]"}, "http://[::1]:9099"),
        ({"advertise_address": "gate.example:8080"}, "http://gate.example:8080"),
        ({"advertise_address": "[::1]:8080"}, "http://[::1]:8080"),
    ],
)
def test_is_reached_under_its_advertised_address(values: dict[str, object], url: str) -> None:
    assert Settings.of(**values).server.base_url == url
