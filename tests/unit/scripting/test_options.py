"""`options`: the settings as scripts see them."""

import pytest

from qmonus_lite.scripting.options import Options
from qmonus_lite.settings import Settings

SETTINGS = Settings(address="0.0.0.0", advertise_address="10.0.0.7", port=8080, timezone="UTC")


def test_shows_every_setting() -> None:
    assert Options(SETTINGS).timezone == "UTC"
    assert Options(SETTINGS).curl_max_clients == 256


def test_says_where_our_own_gateway_is() -> None:
    options = Options(SETTINGS)

    assert (options.default_apigw_host, options.default_apigw_port) == ("10.0.0.7", 8080)
    assert Options(Settings()).default_apigw_host == "127.0.0.1"


def test_has_nothing_else() -> None:
    with pytest.raises(AttributeError, match="missing"):
        Options(SETTINGS).missing  # noqa: B018


@pytest.mark.parametrize("name", ["port", "default_apigw_port", "made_up", "_settings"])
def test_a_script_sets_nothing(name: str) -> None:
    options = Options(SETTINGS)
    with pytest.raises(AttributeError, match="cannot be set by a script"):
        setattr(options, name, 1)

    assert options.port == 8080
