"""Redaction of secrets in text: registered values, and anything with the syntax of a key or token.

A value is found verbatim and in its JSON, Python repr, URL-encoded, base64 and hex forms. Values of
fewer than four characters are not masked: they occur in too much unrelated text.
"""

import base64
import json
import re
from urllib.parse import quote, quote_plus

MASK = "********"
#: Minimum length in characters of a masked value, and of a masked line of a multi-line value.
MIN_LENGTH, MIN_LINE_LENGTH = 4, 12

#: API keys of this product, and signed tokens (JWT) of any issuer.
_KEYS = re.compile(
    r"qml_[A-Za-z0-9_-]{43}|eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}"
)
#: Base64 of `user:password`, long enough to contain an API key of this product.
_BASIC = re.compile(r"\b(basic +)[A-Za-z0-9+/_-]{62,}=*", re.IGNORECASE)


class _Secrets:
    """Registered secrets in all their encoded forms."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        #: Longest first, because a secret may be a prefix of another.
        self.forms: list[str] = []

    def add(self, value: str) -> None:
        """Register a value, unless it is too short."""
        if value in self._known or len(value) < MIN_LENGTH:
            return
        # Copy on write: scripts register secrets from several threads.
        self._known = {*self._known, value}
        forms = {form for secret in self._known for form in _forms(secret)}
        self.forms = sorted(forms, key=len, reverse=True)


_secrets = _Secrets()


def register_secret(value: str) -> None:
    """Mask this value in all later log records and other redacted text."""
    _secrets.add(value)


def redact(text: str) -> str:
    """Replace registered secrets, keys and tokens in a text by MASK."""
    # A single regex alternation of 100 values would take milliseconds per record.
    for form in _secrets.forms:
        if form in text:
            text = text.replace(form, MASK)
    if "asic " in text or "ASIC " in text:
        text = _BASIC.sub(rf"\1{MASK}", text)
    return _KEYS.sub(MASK, text) if "qml_" in text or "eyJ" in text else text


def _forms(value: str) -> set[str]:
    raw = value.encode(errors="surrogatepass")
    encoded = base64.b64encode(raw).decode()
    lines = {line.strip() for line in value.splitlines() if len(line.strip()) >= MIN_LINE_LENGTH}
    return lines | {
        value,
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        repr(value)[1:-1],
        quote(raw, safe=""),
        quote(raw),
        quote_plus(raw),
        encoded,
        encoded.rstrip("="),
        base64.urlsafe_b64encode(raw).decode(),
        raw.hex(),
    }
