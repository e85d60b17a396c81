"""Tokens: JWT (HS256) that name an account, for one audience and a limited time.

The permissions of the account are looked up at every request, so removing an account or a role has
immediate effect. Signed with PyJWT (docs/decisions/libraries.md).
"""

import base64
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING

from qmonus_lite.clock import Clock
from qmonus_lite.imported_on_use import ImportedOnUse

if TYPE_CHECKING:
    import jwt
else:
    # With cryptography: a worker needs it for the passes of its callouts only.
    jwt = ImportedOnUse("jwt")

ALGORITHM = "HS256"
#: Allowed clock skew in seconds: `iat` of another machine may be so far in the future.
CLOCK_SKEW_SECONDS = 30
#: Size of the cache of verified tokens: a client sends the same token with every upload.
MAX_VERIFIED = 1000


class BadToken(Exception):
    """A token with another signature or audience, or no longer valid."""


class TokenNotInTime(BadToken):
    """A token of this key and audience that is expired, or was issued in the future.

    Its text is for the client: it has both times, since one of two clocks may be wrong.
    """


@dataclass(frozen=True, kw_only=True)
class Minter:
    """Signs and verifies tokens with one key."""

    key: bytes
    clock: Clock
    #: Claims of verified tokens, by token and audience; their times are checked at each use.
    _verified_claims: dict[tuple[str, str], Mapping[str, str]] = field(
        default_factory=dict, repr=False
    )

    def mint(self, subject: str, *, audience: str, ttl: float, **claims: str) -> str:
        """A token for `subject`, valid for `ttl` seconds."""
        now = self.clock.now()
        body = {"sub": subject, "aud": audience, "iat": int(now), "exp": now + ttl, **claims}
        return jwt.encode(body, self.key, algorithm=ALGORITHM)

    def read(self, token: str, *, audience: str) -> Mapping[str, str]:
        """The claims of a token; raises BadToken, and TokenNotInTime."""
        cached = self._verified_claims.get((token, audience))
        if cached is not None:
            self._check_times(cached)
            return cached
        claims = self._verified(token, audience)
        if len(self._verified_claims) >= MAX_VERIFIED:
            self._verified_claims.clear()
        self._verified_claims[token, audience] = claims
        return claims

    def signed(self, token: str) -> bool:
        """Whether this key signed the token; ignores audience and expiry."""
        # Without PyJWT, which takes twenty times as long: unauthenticated clients control how many
        # tokens are checked.
        signing_input, _, signature = token.rpartition(".")
        mac = base64.urlsafe_b64encode(hmac.digest(self.key, signing_input.encode(), "sha256"))
        return hmac.compare_digest(mac.rstrip(b"="), signature.encode())

    def _verified(self, token: str, audience: str) -> Mapping[str, str]:
        try:
            claims: Mapping[str, str] = jwt.decode(
                token,
                self.key,
                algorithms=[ALGORITHM],
                audience=audience,
                # Checked below, by the clock of this minter: PyJWT's leeway for `iat` would extend
                # `exp` too.
                options={
                    "require": ["exp", "iat", "sub", "aud"],
                    "verify_iat": False,
                    "verify_exp": False,
                },
            )
            self._check_times(claims)
        except (jwt.InvalidTokenError, TypeError, ValueError, OverflowError) as error:
            raise BadToken(str(error)) from None
        return claims

    def _check_times(self, claims: Mapping[str, str]) -> None:
        now, (begins, expires) = self.clock.now(), valid_times(claims)
        if begins <= now < expires:
            return
        here = f"the clock of this gateway says {_utc(now)}"
        if not begins <= now:
            issued = float(claims["iat"])
            raise TokenNotInTime(
                f"it was issued at {_utc(issued)}, but {here}: one of the two clocks is wrong,"
                " or was when it was issued"
            )
        raise TokenNotInTime(f"it expired at {_utc(expires)}; {here}")


def import_library() -> None:
    """Import PyJWT now, so that no request waits for it."""
    import_module(jwt.__name__)


def valid_times(claims: Mapping[str, str]) -> tuple[float, float]:
    """From when and until when a token is valid, in seconds since the epoch."""
    return float(claims["iat"]) - CLOCK_SKEW_SECONDS, float(claims["exp"])


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
