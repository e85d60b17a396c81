"""The settings of a process: all groups, and the one table of their fields.

Parsing, environment variables, `--help` and the reference page of flags are made from TABLE. A new
setting is one field of one group; a new group is one field of `Settings`.
"""

import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from qmonus_lite.settings.auth import AuthSettings
from qmonus_lite.settings.events import EventSettings
from qmonus_lite.settings.field import Setting, settings_of
from qmonus_lite.settings.logs import LogSettings
from qmonus_lite.settings.metrics import MetricsSettings
from qmonus_lite.settings.plugins import PluginSettings
from qmonus_lite.settings.records import RecordSettings
from qmonus_lite.settings.server import ServerSettings
from qmonus_lite.settings.storage import StorageSettings
from qmonus_lite.settings.uploads import UploadSettings
from qmonus_lite.settings.workers import WorkerSettings


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings of a process; `compose` hands each part the groups that it uses."""

    storage: StorageSettings = field(default_factory=StorageSettings)
    plugins: PluginSettings = field(default_factory=PluginSettings)
    server: ServerSettings = field(default_factory=ServerSettings)
    workers: WorkerSettings = field(default_factory=WorkerSettings)
    uploads: UploadSettings = field(default_factory=UploadSettings)
    events: EventSettings = field(default_factory=EventSettings)
    auth: AuthSettings = field(default_factory=AuthSettings)
    logs: LogSettings = field(default_factory=LogSettings)
    records: RecordSettings = field(default_factory=RecordSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)

    @classmethod
    def of(cls, **values: object) -> "Settings":
        """Settings with these values by the names of the table; raises KeyError for another name.

        The values have the types of the fields, they are not parsed and not checked.
        """
        groups: dict[str, dict[str, object]] = {name: {} for name in GROUPS}
        for name, value in values.items():
            groups[TABLE[name].group][name] = value
        return cls(**{name: GROUPS[name](**given) for name, given in groups.items()})

    def get(self, name: str) -> object:
        """The value of a setting by its name in the table; raises KeyError."""
        return getattr(getattr(self, TABLE[name].group), name)

    @property
    def plugin_dirs(self) -> tuple[Path, ...]:
        """The plugin folders; relative paths are resolved from the launch directory."""
        root = self.storage.root
        return tuple((root / name).resolve() for name in self.plugins.plugins_base_dirs)

    @property
    def directory_flags(self) -> tuple[str, ...]:
        """The flags by which a command uses these directories, wherever it is run."""
        flags = [f"--base_dir={self.storage.root}"]
        if self.storage.data_dir is not None:
            flags.append(f"--data_dir={self.storage.state_dir}")
        if self.plugins.plugins_base_dirs != TABLE["plugins_base_dirs"].default:
            flags.append(f"--plugins_base_dirs={','.join(map(str, self.plugin_dirs))}")
        return tuple(flags)


#: The groups by name, in the order of the reference page.
GROUPS: Mapping[str, type] = typing.get_type_hints(Settings)
#: Every setting by name.
TABLE: Mapping[str, Setting] = {
    setting.name: setting for name, kind in GROUPS.items() for setting in settings_of(name, kind)
}
#: The settings that may be flags.
FLAGS: Mapping[str, Setting] = {name: row for name, row in TABLE.items() if not row.is_secret}
#: The settings that are read from the environment only.
SECRETS: Mapping[str, Setting] = {name: row for name, row in TABLE.items() if row.is_secret}
#: Boolean flags, which may be given without a value.
SWITCHES = frozenset(name for name, row in FLAGS.items() if isinstance(row.default, bool))
