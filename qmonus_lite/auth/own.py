"""Credentials of ours in what a client sent: tokens and passes that we signed, keys of our form.

They must not go on to backends, into promised events or into addresses. What others issued is
none of our business and is left alone.
"""

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qmonus_lite.auth import apikey, callout_pass
from qmonus_lite.auth.tokens import Minter
from qmonus_lite.headers import Headers
from qmonus_lite.redaction import MASK

#: A token (JWT) with a signature as long as ours, whoever made it. It begins where a word does:
#: else `eyJeyJeyJ…` would be read once for each of its letters.
_SIGNED = re.compile(r"(?<![\w-])eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{43}(?![\w-])")
_BASIC = re.compile(r"basic +([A-Za-z0-9+/_-]+=*)", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class OwnCredentials:
    """Tells credentials of this installation from all others."""

    #: What signs tokens, and what signs passes.
    minters: tuple[Minter, ...]

    def found_in(self, text: str) -> frozenset[str]:
        """The credentials of ours in a header value or another text."""
        keys = keys_in(text)
        return keys.union(filter(self._is_signed, _SIGNED.findall(text))) if "eyJ" in text else keys

    def of(self, headers: Mapping[str, str]) -> frozenset[str]:
        """The credentials of ours that a request carries in any of its headers."""
        return frozenset[str]().union(*map(self.found_in, headers.values()))

    def shown_in(self, query: Mapping[str, Sequence[str]]) -> bool:
        """Whether the arguments of an address show one."""
        return any(map(self.found_in, _texts(query)))

    def _is_signed(self, token: str) -> bool:
        return any(minter.signed(token) for minter in self.minters)


def without(headers: Headers, secrets: frozenset[str]) -> Headers:
    """The headers without those that carry one of the secrets; of cookies the others stay."""
    kept = Headers()
    for name, value in headers.items():
        if name == "Cookie":
            kept[name] = masked(value, secrets)
        elif not any(secret in value for secret in secrets):
            kept[name] = value
    return kept


def masked(value: Any, secrets: frozenset[str]) -> Any:
    """A value of JSON with every secret in it masked, however deep; keys stay as they are."""
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
    """Take out of a request what no script of a route has a use for.

    It may act for its client by the client's token. The pass let this callout in and nothing else,
    and an API key lasts far longer than a request.
    """
    headers.pop(callout_pass.HEADER, None)
    keys = frozenset(key for value in headers.values() for key in keys_in(value))
    if keys:
        seen = without(headers, keys)
        headers.clear()
        headers.update(seen)


def keys_in(text: str) -> frozenset[str]:
    """The API keys of our form in a text, as they stand there or in a `Basic` credential."""
    return frozenset(apikey.found_in(text)).union(filter(_has_key, _BASIC.findall(text)))


def _has_key(pair: str) -> bool:
    """Whether `user:password` in base64 holds a key of ours."""
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
