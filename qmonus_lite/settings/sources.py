"""Resolution of settings from their sources.

Precedence: flag, environment (`QMONUS_LITE_<NAME>`), `--config=FILE.yml`, default. A name or value
that cannot be used prevents the start, and every one is reported. Secrets come from the environment
only.
"""

import difflib
from collections.abc import Mapping, Sequence

from qmonus_lite import environment
from qmonus_lite.errors import BadSetting
from qmonus_lite.settings.conflicts import conflicts
from qmonus_lite.settings.secret import CredentialInValue
from qmonus_lite.settings.table import FLAGS, SECRETS, TABLE, Settings

#: Settings of Qmonus SDK for what qmonus_lite does not have, or does without a setting.
QMONUS_ONLY = frozenset(
    """
    developer_mode force_delegation_mode hierarchical_routing_mode
    plugins_auto_install websocket_aging_timeout ws_max_message_size ws_port
    """.split()
)


def resolve(
    *,
    flags: Mapping[str, str],
    environ: Mapping[str, str],
    file_values: Mapping[str, object],
    file_name: str = "",
) -> Settings:
    """Settings from all sources; raises BadSetting with every fault, one a line."""
    found = _Resolution()
    for name, value in file_values.items():
        found.take_from_file(name, value, file_name)
    for name, value in environment.settings_in(environ).items():
        known = name.removeprefix(environment.PREFIX).lower()
        found.take(known, value, name)
    for name, value in flags.items():
        found.take_flag(name, value)
    settings = Settings.of(**found.values)
    found.check_together(settings)
    if found.faults:
        raise refusal(found.faults)
    return settings


def refusal(faults: Sequence[str]) -> BadSetting:
    """The error for one or several faults of settings."""
    if len(faults) == 1:
        return BadSetting(faults[0])
    return BadSetting("\n".join([f"{len(faults)} faults in the settings:", *faults]))


def unknown(name: str, where: str) -> str:
    """The fault of an unknown name, with the nearest existing name."""
    near = difflib.get_close_matches(name, TABLE, n=1)
    if name in QMONUS_ONLY:
        hint = "it is one of Qmonus SDK that qmonus_lite does not have; leave it out"
    elif not near:
        hint = "see --help for the names"
    elif near[0] in SECRETS:
        hint = f"did you mean {SECRETS[near[0]].variable} in the environment?"
    else:
        hint = f"did you mean --{near[0]}?"
    return f"{where}: no such setting; {hint}"


def flag_fault(name: str) -> str | None:
    """The fault of a name that cannot be a flag, or None if it can."""
    if name in FLAGS:
        return None
    if name not in SECRETS:
        return unknown(name, f"--{name}")
    return (
        f"--{name}: a secret cannot be a flag, since other users of the machine see command lines:"
        f" {_how_to_give(name)}"
    )


def _how_to_give(name: str) -> str:
    row = SECRETS[name]
    return f"give it as {row.variable} in the environment, or in {row.other_source}"


class _Resolution:
    """Values, faults and origins of settings, in ascending precedence of their sources."""

    def __init__(self) -> None:
        self.values: dict[str, object] = {}
        self.faults: list[str] = []
        #: Where the value of a setting was found, unless it was a flag.
        self._origins: dict[str, str] = {}
        #: Names of settings with an unusable value.
        self._unusable: set[str] = set()

    def take_from_file(self, name: str, value: object, file_name: str) -> None:
        """Take a key of the settings file."""
        where = f"{file_name}: {name}"
        known = name.replace("-", "_")
        text = _as_text(value)
        if known in SECRETS:
            self.faults.append(
                f"{where}: a secret cannot stand in a settings file: {_how_to_give(known)}"
            )
        elif text is None:
            self._refuse(known, f"{where}: expected text, a number, or a list of them")
        else:
            self.take(known, text, where)

    def take_flag(self, name: str, value: str) -> None:
        """Take a flag of the command line."""
        if fault := flag_fault(name):
            self.faults.append(fault)
        else:
            self.take(name, value, f"--{name}")

    def take(self, name: str, value: str, where: str) -> None:
        """Take a text; `where` is its origin for the fault."""
        if name not in TABLE:
            self.faults.append(unknown(name, where) + environment.advice(where, value))
            return
        try:
            self.values[name] = TABLE[name].reader(value)
        except CredentialInValue as error:
            self._refuse(name, f"{where}: {error}")
        except ValueError as error:
            self._refuse(name, f"{where}={value}: {error}{environment.advice(where, value)}")
        else:
            self._origins[name] = where

    def _refuse(self, name: str, fault: str) -> None:
        self._unusable.add(name)
        self.faults.append(fault)

    def check_together(self, settings: Settings) -> None:
        """Add the conflicts between settings whose values are usable."""
        for conflict in conflicts(settings):
            if self._unusable.isdisjoint(conflict.names):
                self.faults.append(self._origin(conflict.names) + conflict.message)

    def _origin(self, names: Sequence[str]) -> str:
        """The variables or keys of a file that these settings came from; empty for flags."""
        origins = [self._origins.get(name, "--") for name in names]
        elsewhere = [origin for origin in origins if not origin.startswith("--")]
        return f"{', '.join(elsewhere)}: " if elsewhere else ""


def _as_text(value: object) -> str | None:
    """The value of a settings file as the text of a flag; None if it has no such form."""
    parts = value if isinstance(value, list) else [value]
    if not all(isinstance(part, (str, int, float)) for part in parts):
        return None
    return ",".join(map(str, parts))
