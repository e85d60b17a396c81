"""Recognition of credentials of this installation in requests: signed tokens, passes, API keys.

They must not be forwarded to backends, stored in pending events or used in URLs. Credentials of
other issuers are left unchanged.
"""

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from qmonus_lite.auth import apikey, caller_ids, callout_pass
from qmonus_lite.auth.tokens import Minter
from qmonus_lite.headers import Headers
from qmonus_lite.redaction import MASK
from qmonus_lite.values import Value

#: A JWT with a signature of HS256 length, of any issuer. Anchored at a word boundary: otherwise
#: `eyJeyJeyJ…` would be scanned again from each of its characters.
_SIGNED = re.compile(r"(?<![\w-])eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{43}(?![\w-])")
_BASIC = re.compile(r"basic +([A-Za-z0-9+/_-]+=*)", re.IGNORECASE)


class OwnCredentials(Value, frozen=True, kw_only=True):
    """Recognizes credentials issued by this installation."""

    #: Minters of tokens and of passes.
    minters: tuple[Minter, ...]

    def found_in(self, text: str) -> frozenset[str]:
        """The credentials of this installation in a header value or another text."""
        keys = keys_in(text)
        return keys.union(filter(self._is_signed, _SIGNED.findall(text))) if "eyJ" in text else keys

    def of(self, headers: Mapping[str, str]) -> frozenset[str]:
        """The credentials of this installation in the headers of a request."""
        return frozenset[str]().union(*map(self.found_in, headers.values()))

    def shown_in(self, query: Mapping[str, Sequence[str]]) -> bool:
        """Whether the query of a URL contains a credential of this installation."""
        return any(map(self.found_in, _texts(query)))

    def _is_signed(self, token: str) -> bool:
        return any(minter.signed(token) for minter in self.minters)


def without(headers: Headers, secrets: frozenset[str]) -> Headers:
    """The headers without those that contain a secret; in Cookie only the secret is masked."""
    result = Headers()
    for name, value in headers.items():
        if name == "Cookie":
            result[name] = masked(value, secrets)
        elif not any(secret in value for secret in secrets):
            result[name] = value
    return result


def masked(value: Any, secrets: frozenset[str]) -> Any:
    """A JSON value with every secret in it masked, at any depth; keys are not changed."""
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, MASK)
        return value
    if isinstance(value, Mapping):
        return {name: masked(part, secrets) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [masked(part, secrets) for part in value]
    return value


def hide_from_scripts(headers: Headers) -> None:
    """Remove passes and API keys from the headers that a route script gets.

    The client's token stays, so that a script can act for its client. A pass is valid for this
    callout only, and an API key is valid far longer than a request.
    """
    headers.pop(callout_pass.HEADER, None)
    headers.pop(caller_ids.HEADER, None)
    keys = frozenset(key for value in headers.values() for key in keys_in(value))
    if keys:
        visible = without(headers, keys)
        headers.clear()
        headers.update(visible)


def keys_in(text: str) -> frozenset[str]:
    """The API keys in a text, in plain or inside a `Basic` credential."""
    return frozenset(apikey.found_in(text)).union(filter(_has_key, _BASIC.findall(text)))


def _has_key(pair: str) -> bool:
    """Whether a base64-encoded `user:password` contains an API key."""
    try:
        padded = pair.rstrip("=") + "=" * (-len(pair.rstrip("=")) % 4)
        text = base64.urlsafe_b64decode(padded.replace("+", "-").replace("/", "_"))
    except ValueError:
        return False
    return bool(apikey.found_in(text.decode("latin-1")))


def _texts(query: Mapping[str, Sequence[str]]) -> Iterable[str]:
    for name, values in query.items():
        yield name
        yield from values
