"""`options`: the settings that scripts see, and the table that lists them."""

from collections.abc import Callable, Mapping
from typing import Any

from qmonus_lite.settings.table import FLAGS, Settings
from qmonus_lite.values import Value


class Option(Value, frozen=True, kw_only=True):
    """One attribute of `options`."""

    #: Meaning, for the reference page.
    gloss: str
    read: Callable[[Settings], object]


def _setting(name: str) -> Option:
    return Option(gloss=f"`--{name}`: {FLAGS[name].help}", read=lambda settings: settings.get(name))


#: Everything that scripts see of the settings, by name.
OPTIONS: Mapping[str, Option] = {
    "base_dir": _setting("base_dir"),
    "address": _setting("address"),
    "port": _setting("port"),
    "advertise_address": _setting("advertise_address"),
    "default_apigw_host": Option(
        gloss="host of a `callout` that has no endpoint: the advertised address of this APIGW",
        read=lambda settings: settings.server.advertised_host,
    ),
    "default_apigw_port": Option(
        gloss="port of a `callout` that has no endpoint",
        read=lambda settings: settings.server.advertised_port,
    ),
    "timezone": _setting("timezone"),
    "upload_durability": _setting("upload_durability"),
    "callout_connect_timeout": _setting("callout_connect_timeout"),
    "callout_request_timeout": _setting("callout_request_timeout"),
}


class Options:
    """Read-only attributes of OPTIONS; holds their values only, not the settings."""

    __slots__ = ("_values",)

    def __init__(self, settings: Settings) -> None:
        values = {name: option.read(settings) for name, option in OPTIONS.items()}
        object.__setattr__(self, "_values", values)

    def __getattr__(self, name: str) -> Any:
        values: Mapping[str, object] = object.__getattribute__(self, "_values")
        if name in values:
            return values[name]
        raise AttributeError(
            f"options.{name}: scripts do not see such a setting; they see {', '.join(values)}"
        )

    def __setattr__(self, name: str, _value: object) -> None:
        raise AttributeError(f"options.{name} cannot be set by a script")

    def __dir__(self) -> list[str]:
        return list(OPTIONS)
