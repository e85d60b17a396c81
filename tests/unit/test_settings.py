"""Settings: where a value comes from, and which together make sense."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qmonus_lite import settings
from qmonus_lite.errors import BadSetting
from qmonus_lite.settings import NAMES, Settings


def resolve(
    flags: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
    file: Mapping[str, object] | None = None,
) -> Settings:
    return settings.resolve(
        flags=flags or {}, environ=environ or {}, file_values=file or {}, file_name="site.yml"
    )


def test_has_the_defaults_of_the_contract() -> None:
    found = resolve()

    assert (found.address, found.port) == ("127.0.0.1", 9099)
    assert found.worker_endpoints == ("http://127.0.0.1:9100",)
    assert found.file_upload_api_path == "/upload/{filepath}"
    assert found.min_free_bytes == 1 << 30
    assert found.event_max_age == 72 * 3600
    assert found.timezone == "Asia/Tokyo"


def test_a_flag_beats_the_environment_and_that_the_file() -> None:
    flags, environ, file = {"port": "1"}, {"QMONUS_LITE_PORT": "2"}, {"port": 3}

    assert resolve(flags, environ, file).port == 1
    assert resolve({}, environ, file).port == 2
    assert resolve({}, {}, file).port == 3


def test_reads_every_example_of_a_flag() -> None:
    for entry in dataclasses.fields(Settings):
        name, _, value = entry.metadata["example"].removeprefix("--").partition("=")

        assert name == entry.name
        assert entry.metadata["reader"](value.strip("'"))


def test_every_default_is_what_its_reader_would_give() -> None:
    for entry in dataclasses.fields(Settings):
        if isinstance(entry.default, str):
            assert entry.metadata["reader"](entry.default) == entry.default


@pytest.mark.parametrize("name", ["lambda-port", "lambda_port"])
def test_takes_dashes_and_underscores_in_the_file(name: str) -> None:
    assert resolve(file={name: 9200}).lambda_port == 9200


def test_takes_lists_of_the_file() -> None:
    assert resolve(file={"plugins_base_dirs": ["a", "b"]}).plugins_base_dirs == ("a", "b")


@pytest.mark.parametrize("value", [None, {"a": 1}, [None], [["a"]]])
def test_refuses_values_of_the_file_that_are_no_text(value: object) -> None:
    with pytest.raises(BadSetting, match=r"^site\.yml: address"):
        resolve(file={"address": value})


@pytest.mark.parametrize(
    ("flags", "environ", "file", "line"),
    [
        ({"prot": "1"}, {}, {}, "--prot: no such setting; did you mean --port?"),
        ({}, {"QMONUS_LITE_PROT": "1"}, {}, "QMONUS_LITE_PROT: no such setting; did you"),
        ({}, {}, {"lambda-prot": 1}, "site.yml: lambda-prot: no such setting; did you"),
        ({"zzz": "1"}, {}, {}, "--zzz: no such setting; see --help"),
        ({"port": "x"}, {}, {}, "--port=x: expected a port, 1 to 65535"),
        ({}, {"QMONUS_LITE_PORT": ""}, {}, "QMONUS_LITE_PORT=: expected a port"),
        (
            {},
            {"QMONUS_LITE_SERVICE_HOST": "x"},
            {},
            "QMONUS_LITE_SERVICE_HOST: no such setting; see --help for the names; if Kubernetes",
        ),
        (
            {},
            {"QMONUS_LITE_PORT": "tcp://x:1"},
            {},
            "QMONUS_LITE_PORT=tcp://x:1: expected a port, 1 to 65535; if Kubernetes set it for a"
            " Service, give the pod `enableServiceLinks: false`",
        ),
        ({}, {}, {"port": True}, "site.yml: port=True: expected a port"),
    ],
)
def test_says_in_one_line_which_setting_is_wrong(
    flags: dict[str, str], environ: dict[str, str], file: dict[str, object], line: str
) -> None:
    with pytest.raises(BadSetting) as caught:
        resolve(flags, environ, file)

    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


@given(name=st.sampled_from(NAMES), value=st.text(max_size=30))
def test_reads_any_value_or_names_the_flag(name: str, value: str) -> None:
    try:
        resolve({name: value})
    except BadSetting as error:
        assert f"--{name}" in str(error)


def test_passes_over_variables_of_the_environment_that_are_no_flags() -> None:
    environ = {
        "HOME": "/",
        "QMONUS_LITE_EVENT_SECRET": "x",
        "QMONUS_LITE_SERVICE_HOST": "10.96.0.12",
        "QMONUS_LITE_PORT": "tcp://10.96.0.12:9099",
        "QMONUS_LITE_LAMBDA_PORT": "tcp://10.96.0.13:9100",
    }

    assert resolve(environ=environ) == resolve()


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ({"certfile": "a.pem"}, "go together"),
        ({"keyfile": "a.key"}, "go together"),
        ({"lambda_port": "65535", "lambda_processes": "2"}, "past port 65535"),
        ({"address": "0.0.0.0"}, "--advertise_address=HOST"),
        ({"address": "::"}, "--advertise_address=HOST"),
        ({"address": "192.0.2.1"}, "--behind_proxy if a proxy"),
        ({"address": "gate.example"}, "--certfile and --keyfile"),
    ],
)
def test_refuses_settings_that_do_not_go_together(flags: dict[str, str], reason: str) -> None:
    with pytest.raises(BadSetting, match=reason):
        resolve(flags)


def test_directories_stand_in_the_launch_directory(tmp_path: Path) -> None:
    found = resolve({"base_dir": str(tmp_path), "plugins_base_dirs": "a,/b"})

    assert found.state_dir == tmp_path / ".qmonus-lite"
    assert found.plugin_dirs == (tmp_path / "a", Path("/b"))


def test_resolves_a_linked_launch_directory(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")

    assert resolve({"base_dir": str(tmp_path / "link")}).root == tmp_path / "real"


def test_counts_the_workers_on_from_the_first_port() -> None:
    found = resolve({"lambda_port": "65534", "lambda_processes": "2"})

    assert found.worker_endpoints == ("http://127.0.0.1:65534", "http://127.0.0.1:65535")


def test_sends_events_where_it_was_told_to() -> None:
    found = resolve({"lambda_endpoints": "https://w:1", "lambda_processes": "3"})

    assert found.worker_endpoints == ("https://w:1",)


@pytest.mark.parametrize(
    ("flags", "url"),
    [
        ({}, "http://127.0.0.1:9099"),
        ({"certfile": "c", "keyfile": "k"}, "https://127.0.0.1:9099"),
        (
            {"address": "0.0.0.0", "advertise_address": "Gate.Example", "behind_proxy": "yes"},
            "http://gate.example:9099",
        ),
        ({"address": "::1"}, "http://[::1]:9099"),
    ],
)
def test_is_reached_under_its_advertised_address(flags: dict[str, str], url: str) -> None:
    assert resolve(flags).base_url == url


@pytest.mark.parametrize(
    "flags",
    [
        {"address": "127.8.9.1"},
        {"address": "[::1]"},
        {"address": "LOCALHOST"},
        {"address": "192.0.2.1", "behind_proxy": "true"},
        {"address": "192.0.2.1", "certfile": "c", "keyfile": "k"},
    ],
)
def test_listens_where_nobody_overhears_it(flags: dict[str, str]) -> None:
    assert resolve(flags).address == flags["address"]


def test_brackets_the_address_of_workers() -> None:
    assert resolve({"lambda_address": "::1"}).worker_endpoints == ("http://[::1]:9100",)
