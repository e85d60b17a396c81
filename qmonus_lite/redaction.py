"""What must not be said: values that this process opened, and anything with the form of a key.

A value is found as it is, and as JSON, Python, an address or base64 would write it. Values of fewer
than four characters are left alone: masking them would blacken whatever has such letters in it.
"""

import base64
import json
import re
from urllib.parse import quote, quote_plus

MASK = "********"
#: Characters of the shortest value, and of the shortest line of a longer one, that are masked.
MIN_LENGTH, MIN_LINE_LENGTH = 4, 12

#: API keys of ours, and signed tokens (JWT), whoever made them.
_KEYS = re.compile(
    r"qml_[A-Za-z0-9_-]{43}|eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}"
)
#: `user:password` in base64 that is long enough to hold an API key of ours.
_BASIC = re.compile(r"(?<=[Bb]asic )[A-Za-z0-9+/_-]{62,}=*")


class _Secrets:
    """The values that were registered, in all their forms."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        #: The longest first, for one may begin like another.
        self.forms: list[str] = []

    def add(self, value: str) -> None:
        """Mask this value from now on."""
        if value in self._known or len(value) < MIN_LENGTH:
            return
        # Both are replaced, not changed: scripts register from several threads.
        self._known = {*self._known, value}
        forms = {form for one in self._known for form in _forms(one)}
        self.forms = sorted(forms, key=len, reverse=True)


_secrets = _Secrets()


def register_secret(value: str) -> None:
    """Mask this value in everything that is logged from now on."""
    _secrets.add(value)


def redact(text: str) -> str:
    """The text with every secret that is known masked."""
    # Not one pattern of all: with a hundred values it would take milliseconds a record.
    for form in _secrets.forms:
        if form in text:
            text = text.replace(form, MASK)
    if "asic " in text:
        text = _BASIC.sub(MASK, text)
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
