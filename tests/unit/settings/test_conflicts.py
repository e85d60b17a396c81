"""Settings that do not go together, and how all of them are reported at once."""

from collections.abc import Mapping

import pytest

from qmonus_lite.errors import BadSetting
from qmonus_lite.settings import sources
from qmonus_lite.settings.table import Settings


def resolve(
    flags: Mapping[str, str],
    environ: Mapping[str, str] | None = None,
    file: Mapping[str, object] | None = None,
) -> Settings:
    return sources.resolve(
        flags=flags, environ=environ or {}, file_values=file or {}, file_name="site.yml"
    )


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
def test_takes_an_address_that_nobody_overhears(flags: dict[str, str]) -> None:
    assert resolve(flags).server.address == flags["address"]


def test_reports_every_conflict_and_every_value_that_cannot_be_read() -> None:
    with pytest.raises(BadSetting) as refused:
        resolve({"prot": "1", "max_uploads": "0", "address": "0.0.0.0", "certfile": "a.pem"})

    assert str(refused.value).splitlines() == [
        "4 faults in the settings:",
        "--prot: no such setting; did you mean --port?",
        "--max_uploads=0: expected a whole number from 1",
        "--certfile and --keyfile go together: give both or none",
        "--address=0.0.0.0 listens on every interface, and events need one address to carry: give"
        " it as --advertise_address=HOST",
    ]


def test_reports_no_conflict_with_a_value_that_cannot_be_read() -> None:
    with pytest.raises(BadSetting) as refused:
        resolve({"certfile": "a.pem", "keyfile": ""})

    assert str(refused.value) == "--keyfile=: expected a value, got nothing"


def test_says_where_the_settings_in_conflict_were_given() -> None:
    with pytest.raises(BadSetting) as refused:
        resolve(
            {}, {"QMONUS_LITE_CERTFILE": "a.pem"}, {"lambda_port": 65535, "lambda-processes": 2}
        )

    assert str(refused.value).splitlines()[1:] == [
        "QMONUS_LITE_CERTFILE: --certfile and --keyfile go together: give both or none",
        "site.yml: lambda_port, site.yml: lambda-processes: --lambda_port plus --lambda_processes"
        " runs past port 65535: make one smaller",
    ]
