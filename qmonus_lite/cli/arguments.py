"""Argument parser: `--name=value` (or `--name value`), underscores or dashes, and positionals."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qmonus_lite.errors import BadSetting
from qmonus_lite.imported_on_use import ImportedOnUse
from qmonus_lite.settings.sources import flag_fault, resolve
from qmonus_lite.settings.table import SWITCHES, Settings
from qmonus_lite.values import Value

if TYPE_CHECKING:
    from qmonus_lite.catalog import document
else:
    # The YAML parser, for --config.
    document = ImportedOnUse("qmonus_lite.catalog.document")


class Arguments(Value, frozen=True, kw_only=True):
    """Parsed arguments of a command."""

    #: Values of flags by name, dashes replaced by underscores.
    flags: Mapping[str, str]
    positionals: tuple[str, ...]
    #: The arguments as typed.
    typed: tuple[str, ...]

    @property
    def wants_help(self) -> bool:
        """Whether --help was given."""
        return "help" in self.flags

    def settings(self, environ: Mapping[str, str], own: Collection[str] = ()) -> Settings:
        """Settings resolved from flags, environment and --config; `own` flags are no settings.

        Raises StartupError.
        """
        given = {name: value for name, value in self.flags.items() if name not in own}
        file = given.pop("config", None) or environ.get("QMONUS_LITE_CONFIG")
        values = document.read_values(Path(file)) if file else {}
        environ = {name: value for name, value in environ.items() if name != "QMONUS_LITE_CONFIG"}
        return resolve(flags=given, environ=environ, file_values=values, file_name=file or "")


def parse(typed: Sequence[str]) -> Arguments:
    """Parse arguments; raises BadSetting for a flag without a value or given twice."""
    flags: dict[str, str] = {}
    positionals: list[str] = []
    rest = list(typed)
    while rest:
        argument = rest.pop(0)
        if not argument.startswith("--"):
            positionals.append(argument)
            continue
        name, equals, value = argument[2:].partition("=")
        known = name.replace("-", "_")
        if known != "help" and not equals:
            value = _next_value(known, rest)
        if known in flags:
            raise BadSetting(f"--{known}: given twice")
        flags[known] = value
    return Arguments(flags=flags, positionals=tuple(positionals), typed=tuple(typed))


def _next_value(name: str, rest: list[str]) -> str:
    if name in COMMAND_SWITCHES:
        return "true"
    if name not in COMMAND_FLAGS and (fault := flag_fault(name)):
        raise BadSetting(fault)
    if name in SWITCHES:
        return "true"
    if not rest or rest[0].startswith("--"):
        raise BadSetting(f"--{name}: needs a value, as in --{name}=VALUE")
    return rest.pop(0)


#: Flags of individual commands that are not settings.
COMMAND_FLAGS = frozenset({"config", "roles", "state"})
#: Command flags without a value.
COMMAND_SWITCHES = frozenset({"json", "strict"})
