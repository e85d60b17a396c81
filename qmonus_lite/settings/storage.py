"""Settings of the file storage: directories, durability, free space."""

from dataclasses import dataclass
from pathlib import Path

from qmonus_lite.settings import values
from qmonus_lite.settings.field import flag


@dataclass(frozen=True, kw_only=True)
class StorageSettings:
    """Where files and state are stored, and how durably."""

    base_dir: Path = flag(
        Path("."),
        "launch directory; stored paths are relative to it",
        example="--base_dir=/srv/files",
        reader=values.path,
    )
    data_dir: Path | None = flag(
        None,
        "state: outbox, staged files, keys; mode 0700 (default: <base_dir>/.qmonus-lite)",
        example="--data_dir=/var/lib/qmonus-lite",
        reader=values.path,
    )
    upload_durability: str = flag(
        "full",
        "what is on stable storage before 2xx: full (file, names, event), file (its bytes), none",
        example="--upload_durability=file",
        reader=values.one_of("full", "file", "none"),
    )
    min_free_bytes: int = flag(
        1 << 30,
        "space kept free on the disk, 507 below; what is reserved for running uploads counts",
        example="--min_free_bytes=512MiB",
        reader=values.size,
    )

    @property
    def root(self) -> Path:
        """The launch directory, absolute, symlinks resolved."""
        return self.base_dir.resolve()

    @property
    def state_dir(self) -> Path:
        """The data directory, absolute."""
        return (self.data_dir or self.base_dir / ".qmonus-lite").resolve()
