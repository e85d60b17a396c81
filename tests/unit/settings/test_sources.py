"""Where the value of a setting comes from, and which faults are reported."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qmonus_lite.errors import BadSetting
from qmonus_lite.settings import sources
from qmonus_lite.settings.secret import Secret
from qmonus_lite.settings.table import FLAGS, SECRETS, Settings

SECRET = "not-a-secret-outside-of-this-test"


def resolve(
    flags: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
    file: Mapping[str, object] | None = None,
) -> Settings:
    return sources.resolve(
        flags=flags or {}, environ=environ or {}, file_values=file or {}, file_name="site.yml"
    )


def test_a_flag_beats_the_environment_and_that_the_file() -> None:
    flags, environ, file = {"port": "1"}, {"QMONUS_LITE_PORT": "2"}, {"port": 3}

    assert resolve(flags, environ, file).server.port == 1
    assert resolve({}, environ, file).server.port == 2
    assert resolve({}, {}, file).server.port == 3


@pytest.mark.parametrize("name", ["lambda-port", "lambda_port"])
def test_takes_dashes_and_underscores_in_the_file(name: str) -> None:
    assert resolve(file={name: 9200}).workers.lambda_port == 9200


def test_takes_lists_of_the_file() -> None:
    assert resolve(file={"plugins_base_dirs": ["a", "b"]}).plugins.plugins_base_dirs == ("a", "b")


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
        (
            {"websocket_aging_timeout": "1"},
            {},
            {},
            "--websocket_aging_timeout: no such setting; it is one of Qmonus SDK that",
        ),
        ({}, {"QMONUS_LITE_WS_PORT": "1"}, {}, "QMONUS_LITE_WS_PORT: no such setting; it is one"),
        ({}, {}, {"developer-mode": 1}, "site.yml: developer-mode: no such setting; it is one of"),
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


@given(name=st.sampled_from(list(FLAGS)), value=st.text(max_size=30))
def test_reads_any_value_or_names_the_flag(name: str, value: str) -> None:
    try:
        resolve({name: value})
    except BadSetting as error:
        assert f"--{name}" in str(error)


def test_passes_over_variables_of_the_environment_that_are_no_flags() -> None:
    environ = {
        "HOME": "/",
        "QMONUS_LITE_SERVICE_HOST": "10.96.0.12",
        "QMONUS_LITE_PORT": "tcp://10.96.0.12:9099",
        "QMONUS_LITE_LAMBDA_PORT": "tcp://10.96.0.13:9100",
    }

    assert resolve(environ=environ) == resolve()


def test_reads_a_secret_from_the_environment() -> None:
    found = resolve(environ={"QMONUS_LITE_EVENT_SECRET": SECRET}).events.event_secret

    assert found == Secret(SECRET)
    assert resolve().events.event_secret is None


@pytest.mark.parametrize("value", ["", "short", "x" * 31])
def test_refuses_a_secret_that_can_be_guessed_and_does_not_repeat_it(value: str) -> None:
    with pytest.raises(BadSetting) as caught:
        resolve(environ={"QMONUS_LITE_EVENT_SECRET": value})

    assert str(caught.value) == "QMONUS_LITE_EVENT_SECRET: shorter than 32 characters"


@pytest.mark.parametrize("name", list(SECRETS))
def test_no_secret_is_a_flag(name: str) -> None:
    with pytest.raises(BadSetting) as caught:
        resolve({name: SECRET})

    said = str(caught.value)
    assert said.startswith(f"--{name}: a secret cannot be a flag, since other users of the machine")
    assert f"give it as {SECRETS[name].variable} in the environment, or in the file " in said
    assert SECRET not in said


@pytest.mark.parametrize("name", list(SECRETS))
def test_no_secret_stands_in_the_settings_file(name: str) -> None:
    with pytest.raises(BadSetting) as caught:
        resolve(file={name.replace("_", "-"): SECRET})

    said = str(caught.value)
    assert ": a secret cannot stand in a settings file: " in said
    assert f"give it as {SECRETS[name].variable} in the environment" in said
    assert SECRET not in said


@pytest.mark.parametrize(
    ("flags", "environ", "hint"),
    [
        ({"event-secrt": SECRET}, {}, "QMONUS_LITE_EVENT_SECRET in the environment?"),
        ({}, {"QMONUS_LITE_EVENT_SECRETS": SECRET}, "QMONUS_LITE_EVENT_SECRET in the environment?"),
    ],
)
def test_a_misspelt_secret_is_not_repeated(
    flags: dict[str, str], environ: dict[str, str], hint: str
) -> None:
    with pytest.raises(BadSetting) as caught:
        resolve(flags, environ)

    assert str(caught.value).endswith(f"no such setting; did you mean {hint}")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lambda_endpoints", "http://user:swordfish@10.0.0.1:9100"),
        ("lambda_endpoints", "nonsense,http://user:swordfish@[::1"),
        ("advertise_address", "user:swordfish@10.0.0.1"),
        ("keyfile", "-----BEGIN PRIVATE KEY-----\nswordfish"),
        ("certfile", "-----BEGIN CERTIFICATE-----\nswordfish"),
    ],
)
def test_a_credential_in_the_value_of_a_flag_is_refused_and_not_repeated(
    name: str, value: str
) -> None:
    for given_as in ({"flags": {name: value}}, {"environ": {f"QMONUS_LITE_{name.upper()}": value}}):
        with pytest.raises(BadSetting) as caught:
            resolve(**given_as)

        assert ": expected " in str(caught.value)
        assert "swordfish" not in str(caught.value)
