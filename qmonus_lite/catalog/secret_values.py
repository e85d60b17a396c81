"""Resolve a Config plugin: `!env` and `!sealed` become text at use, or a mask for display."""

from collections.abc import Mapping
from typing import Any

from qmonus_lite.auth.sealing import CannotOpen, Opener
from qmonus_lite.catalog.builders import sealed_location
from qmonus_lite.catalog.document import Env, Pointer, Sealed
from qmonus_lite.catalog.plugins import Catalog, ConfigPlugin
from qmonus_lite.redaction import MASK, register_secret
from qmonus_lite.scripting.builtins.raising import Error
from qmonus_lite.values import Value


class SecretResolver(Value, frozen=True, kw_only=True):
    """Resolves Config plugins in one process."""

    sealer: Opener
    environ: Mapping[str, str]

    def values(self, catalog: Catalog, name: str) -> dict[str, Any]:
        """The values of a Config plugin; raises KeyError, or Error(500) if unresolvable."""
        plugin = catalog.configs[name]
        opened: dict[str, Any] = self._open(plugin, plugin.values, ())
        return opened

    def _open(self, plugin: ConfigPlugin, value: object, pointer: Pointer) -> Any:
        if isinstance(value, Mapping):
            return {key: self._open(plugin, part, (*pointer, key)) for key, part in value.items()}
        if isinstance(value, list):
            return [self._open(plugin, part, (*pointer, index)) for index, part in enumerate(value)]
        if isinstance(value, Env):
            if value.name not in self.environ:
                raise Error(500, f"Config {plugin.name!r} needs the variable {value.name}")
            return _register(self.environ[value.name])
        if isinstance(value, Sealed):
            try:
                return _register(
                    self.sealer.open(
                        value.text, location=sealed_location(plugin.file_name, pointer)
                    )
                )
            except CannotOpen:
                raise Error(500, f"Config {plugin.name!r} cannot be unsealed") from None
        return value


def _register(secret: str) -> str:
    # From now on a script has the secret and may log it by mistake.
    register_secret(secret)
    return secret


def masked(value: object) -> Any:
    """The values with every secret masked, for display."""
    if isinstance(value, Mapping):
        return {key: masked(part) for key, part in value.items()}
    if isinstance(value, list):
        return [masked(part) for part in value]
    if isinstance(value, Env):
        return f"!env {value.name}"
    return MASK if isinstance(value, Sealed) else value
