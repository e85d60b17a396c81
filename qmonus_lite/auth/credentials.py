"""The credential of a request, read from its headers: a token, or an API key of this product."""

import base64
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from qmonus_lite.auth import apikey
from qmonus_lite.errors import AmbiguousCredentials
from qmonus_lite.headers import Headers
from qmonus_lite.values import Value

#: Name of the header in its canonical form: headers may be a plain dict of canonical names.
_API_KEY = "X-Api-Key"
#: Matches a field value with more than one credential.
_SECOND = re.compile(r"^bearer\b.*,|,\s*(?:bearer|basic|digest)\b|^[^\s,]+,", re.IGNORECASE)
#: Values of Sec-Fetch-Site for requests that a page of another origin did not make.
_SAME_ORIGIN = frozenset({"same-origin", "none"})


class ApiKey(Value, frozen=True, kw_only=True):
    """An API key as a request gives it."""

    key: str
    #: Account name beside it in `Basic`; None for `X-API-Key`, which has no name.
    username: str | None = None


def read_credential(headers: Mapping[str, str]) -> str | ApiKey | None:
    """The token or API key of a request, or None; raises AmbiguousCredentials if a field has two.

    The headers of this product come before `Authorization`, which may be for a backend. A value of
    `X-API-Key`, or a password in `Basic`, without the form of our keys is not a credential of ours.
    """
    if token := headers.get("X-Auth-Token"):
        return _single_credential(token)
    if (given := headers.get(_API_KEY)) and (key := _own_key(given)):
        return ApiKey(key=key)
    authorization = headers.get("Authorization")
    if not authorization:
        return None
    scheme, _, value = _single_credential(authorization).partition(" ")
    if scheme.lower() == "basic":
        return _basic(value)
    return value.strip() if scheme.lower() == "bearer" and value.strip() else None


def read_logon(headers: Mapping[str, str]) -> ApiKey | None:
    """The API key of a logon, in any form as `X-API-Key`, or in `Basic`; None without either."""
    if key := headers.get(_API_KEY):
        return ApiKey(key=key)
    found = read_credential({"Authorization": headers.get("Authorization", "")})
    return found if isinstance(found, ApiKey) else None


def check_single(headers: Mapping[str, str]) -> None:
    """Raise AmbiguousCredentials for a request with two credentials in one field."""
    for name in ("X-Auth-Token", "Authorization"):
        _single_credential(headers.get(name, ""))
    _own_key(headers.get(_API_KEY, ""))


def without_cross_site_basic(headers: Headers) -> Mapping[str, str]:
    """The headers without a `Basic` that a page of another origin may have made a browser send.

    A browser adds a password that it remembers to requests of any page. It adds no other header by
    itself, and says in `Sec-Fetch-Site` or `Origin` where the request is from.
    """
    if headers.get("Authorization", "")[:5].lower() != "basic" or not _is_cross_site(headers):
        return headers
    return {name: value for name, value in headers.items() if name != "Authorization"}


def is_from_browser(headers: Mapping[str, str]) -> bool:
    """Whether a page in a browser made the request, where `Basic` would open a password dialog."""
    return "Origin" in headers or "Sec-Fetch-Mode" in headers


def _is_cross_site(headers: Mapping[str, str]) -> bool:
    if (site := headers.get("Sec-Fetch-Site")) is not None:
        return site not in _SAME_ORIGIN
    origin = headers.get("Origin")
    return origin is not None and _authority(origin) != headers.get("Host", "").lower()


def _authority(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None


def _own_key(value: str) -> str | None:
    """The API key that this field value is, or None; raises AmbiguousCredentials for two."""
    if apikey.is_key(value):
        return value
    if "," in value and apikey.found_in(value):
        raise AmbiguousCredentials("the request has two API keys in X-API-Key")
    return None


def _basic(encoded: str) -> ApiKey | None:
    """Account name and API key of a `Basic` credential; None if the password is no key of ours."""
    try:
        pair = base64.b64decode(encoded.strip(), validate=True).decode(errors="replace")
    except ValueError:
        return None
    username, _, password = pair.partition(":")
    return ApiKey(key=password, username=username) if apikey.is_key(password) else None


def _single_credential(value: str) -> str:
    # Fields of one name are joined by commas, which a token cannot contain (RFC 6750, section 3.1).
    if "," in value and _SECOND.search(value):
        raise AmbiguousCredentials("the request has two credentials in one place")
    return value
