"""Settings of the metrics."""

from dataclasses import dataclass
from pathlib import Path

from qmonus_lite.settings import values
from qmonus_lite.settings.field import flag


@dataclass(frozen=True, kw_only=True)
class MetricsSettings:
    """Whether metrics are counted, and where."""

    metrics: str = flag(
        "on",
        "whether metrics are counted, for GET /-/metrics: on, off",
        example="--metrics=off",
        reader=values.one_of("on", "off"),
    )
    metrics_dir: Path | None = flag(
        None,
        "where the processes of one data directory keep their metrics (default: in /dev/shm)",
        example="--metrics_dir=/run/qmonus-lite/metrics",
        reader=values.path,
    )
