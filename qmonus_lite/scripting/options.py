"""`options`: the settings of the process as scripts see them."""

from typing import Any

from qmonus_lite.settings import Settings


class Options:
    """Read-only view of the settings, plus `default_apigw_host` and `default_apigw_port`."""

    def __init__(self, settings: Settings) -> None:
        object.__setattr__(self, "_settings", settings)

    @property
    def default_apigw_host(self) -> str:
        """Host of callouts without an endpoint."""
        settings: Settings = object.__getattribute__(self, "_settings")
        return settings.advertised_host

    @property
    def default_apigw_port(self) -> int:
        """Port of callouts without an endpoint."""
        settings: Settings = object.__getattribute__(self, "_settings")
        return settings.port

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "_settings"), name)

    def __setattr__(self, name: str, _value: object) -> None:
        raise AttributeError(f"options.{name} cannot be set by a script")
