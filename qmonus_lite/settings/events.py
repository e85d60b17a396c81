"""Settings of events: their time limits, and the secret that signs them."""

from dataclasses import dataclass

from qmonus_lite.settings import values
from qmonus_lite.settings.field import flag, secret
from qmonus_lite.settings.secret import Secret


@dataclass(frozen=True, kw_only=True)
class EventSettings:
    """Time limits of events, and the secret that signs them."""

    lambda_sync_timeout: float = flag(
        5.0,
        "seconds for APIGW.OnFileUploading, the whole exchange",
        example="--lambda_sync_timeout=2",
        reader=values.seconds,
    )
    lambda_event_timeout: float = flag(
        3600.0,
        "seconds for one delivery of an asynchronous event",
        example="--lambda_event_timeout=2h",
        reader=values.seconds,
    )
    event_max_age: float = flag(
        259200.0,
        "seconds after which an event that was not delivered is a dead letter",
        example="--event_max_age=72h",
        reader=values.seconds,
    )
    event_history: float = flag(
        86400.0,
        "seconds for which delivered events are kept to be replayed, at most 10,000; 0 keeps none",
        example="--event_history=7d",
        reader=values.seconds_from_zero,
    )
    event_secret: Secret | None = secret(
        "the secret that APIGW and workers share, at least 32 characters",
        other_source="the file event.key of the data directory",
    )
