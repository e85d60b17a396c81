"""Tokens: signed statements of who somebody is (JWT, HS256), good for one purpose and some time.

A token names an account; what the account may do is looked up at every request, so taking away an
account or a role works at once. PyJWT does the signing (docs/decisions/libraries.md).
"""

import base64
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

import jwt

from qmonus_lite.clock import Clock

ALGORITHM = "HS256"
#: Seconds that the clock of another machine of ours may be ahead.
CLOCK_SKEW_SECONDS = 30
#: Good tokens that are remembered: a client sends the same one with every upload.
MAX_VERIFIED = 1000


class BadToken(Exception):
    """A token that is not ours, not for this purpose, or no longer valid."""


@dataclass(frozen=True, kw_only=True)
class Minter:
    """Makes and reads tokens with one key."""

    key: bytes
    clock: Clock
    #: Claims of tokens that were found good, by token and audience; their time is judged each time.
    _good: dict[tuple[str, str], Mapping[str, str]] = field(default_factory=dict, repr=False)

    def mint(self, subject: str, *, audience: str, ttl: float, **claims: str) -> str:
        """A token for `subject`, valid for `ttl` seconds."""
        now = self.clock.now()
        body = {"sub": subject, "aud": audience, "iat": int(now), "exp": now + ttl, **claims}
        return jwt.encode(body, self.key, algorithm=ALGORITHM)

    def read(self, token: str, *, audience: str) -> Mapping[str, str]:
        """The claims of a token; raises BadToken."""
        known = self._good.get((token, audience))
        if known is not None and float(known["exp"]) > self.clock.now():
            return known
        claims = self._verified(token, audience)
        if len(self._good) >= MAX_VERIFIED:
            self._good.clear()
        self._good[token, audience] = claims
        return claims

    def signed(self, token: str) -> bool:
        """Whether this key signed the token, for whatever purpose and however long ago."""
        # Not by PyJWT, which takes twenty times as long: strangers choose how many are looked at.
        said, _, signature = token.rpartition(".")
        mac = base64.urlsafe_b64encode(hmac.digest(self.key, said.encode(), "sha256"))
        return hmac.compare_digest(mac.rstrip(b"="), signature.encode())

    def _verified(self, token: str, audience: str) -> Mapping[str, str]:
        try:
            claims: Mapping[str, str] = jwt.decode(
                token,
                self.key,
                algorithms=[ALGORITHM],
                audience=audience,
                # Judged below: PyJWT allows no clock to be ahead without stretching `exp` too.
                options={"require": ["exp", "iat", "sub", "aud"], "verify_iat": False},
            )
            if float(claims["iat"]) > self.clock.now() + CLOCK_SKEW_SECONDS:
                raise BadToken("the token is from the future")
        except (jwt.InvalidTokenError, ValueError) as error:
            raise BadToken(str(error)) from None
        return claims
