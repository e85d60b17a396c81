"""Which plugin folders are missing."""

from collections.abc import Iterator

from qmonus_lite.settings.table import Settings


def missing_plugin_folders(settings: Settings) -> Iterator[str]:
    """The faults of plugin folders that do not exist."""
    for name, folder in zip(settings.plugins.plugins_base_dirs, settings.plugin_dirs, strict=True):
        if not folder.is_dir():
            yield f"--plugins_base_dirs: {name}: no folder at {folder}; make it first"
