"""Settings of authentication."""

from dataclasses import dataclass

from qmonus_lite.settings import values
from qmonus_lite.settings.field import flag


@dataclass(frozen=True, kw_only=True)
class AuthSettings:
    """Lifetime of tokens."""

    token_ttl: float = flag(
        3600.0,
        "seconds that a token from logon is valid",
        example="--token_ttl=8h",
        reader=values.seconds,
    )
