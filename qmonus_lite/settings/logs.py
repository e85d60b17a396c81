"""Settings of the log: its format, level and time zone."""

from dataclasses import dataclass

from qmonus_lite.settings import values
from qmonus_lite.settings.field import flag


@dataclass(frozen=True, kw_only=True)
class LogSettings:
    """Format, level and time zone of the log."""

    timezone: str = flag(
        "Asia/Tokyo",
        "time zone of log lines and event times",
        example="--timezone=UTC",
        reader=values.timezone,
    )
    log_format: str = flag(
        "console",
        "console for people, json for machines",
        example="--log_format=json",
        reader=values.one_of("console", "json"),
    )
    log_level: str = flag(
        "info",
        "debug, info, warning or error",
        example="--log_level=debug",
        reader=values.one_of("debug", "info", "warning", "error"),
    )
