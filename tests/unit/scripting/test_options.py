"""`options`: the settings that scripts see."""

import gc

import pytest

from qmonus_lite.scripting.options import OPTIONS, Options
from qmonus_lite.settings.secret import Secret
from qmonus_lite.settings.table import SECRETS, TABLE, Settings

SETTINGS = Settings.of(
    address="0.0.0.0",
    advertise_address="10.0.0.7",
    port=8080,
    timezone="UTC",
    event_secret=Secret("s" * 32),
)


def test_shows_every_listed_setting() -> None:
    options = Options(SETTINGS)

    assert dir(options) == sorted(OPTIONS)
    for name in OPTIONS.keys() & TABLE.keys():
        assert getattr(options, name) == SETTINGS.get(name)


def test_says_where_the_own_gateway_is() -> None:
    options = Options(SETTINGS)

    assert (options.default_apigw_host, options.default_apigw_port) == ("10.0.0.7", 8080)
    assert Options(Settings()).default_apigw_host == "127.0.0.1"


@pytest.mark.parametrize(
    "name", ["missing", "settings", "_settings", "root", *sorted(TABLE.keys() - OPTIONS.keys())]
)
def test_shows_nothing_that_is_not_listed(name: str) -> None:
    with pytest.raises(AttributeError, match=f"options.{name}: scripts do not see such a setting"):
        getattr(Options(SETTINGS), name)


def test_lists_no_secret() -> None:
    assert OPTIONS.keys() & SECRETS.keys() == set()


def test_holds_no_settings_that_a_script_could_reach() -> None:
    reached: list[object] = [Options(SETTINGS)]
    for _ in range(3):
        reached += [found for found in gc.get_referents(*reached) if not isinstance(found, type)]

    assert not any(isinstance(found, Settings | Secret) for found in reached)


@pytest.mark.parametrize("name", ["port", "default_apigw_port", "made_up", "_values"])
def test_a_script_sets_nothing(name: str) -> None:
    options = Options(SETTINGS)
    with pytest.raises(AttributeError, match="cannot be set by a script"):
        setattr(options, name, 1)

    assert options.port == 8080
