"""Parsers of setting values: from text to a validated value; ValueError states the reason."""

import contextlib
import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from qmonus_lite.clock import zone
from qmonus_lite.pathtemplate import PathTemplate
from qmonus_lite.settings.secret import CredentialInValue

_HOST = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?")
_SIZES = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_SPANS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def text(value: str) -> str:
    """Non-empty text, stripped."""
    if not value.strip():
        raise ValueError("expected a value, got nothing")
    return value.strip()


def host(value: str) -> str:
    """A host name or an IP address."""
    if "@" in value:
        raise CredentialInValue("expected a host, without a user or a password")
    name = text(value)
    if not _is_host(name):
        raise ValueError(f"expected a host name or an IP address{_without_port(name)}")
    return name


def advertised(value: str) -> str:
    """A host that others connect to, optionally with a port; IPv6 in brackets if there is one."""
    if "@" in value:
        raise CredentialInValue("expected a host, without a user or a password")
    name, _ = split_port(text(value))
    if not _is_host(name):
        raise ValueError("expected HOST or HOST:PORT, as in 10.0.0.7, gate.example:8080, [::1]:80")
    if name.strip("[]") in {"0.0.0.0", "::"}:
        raise ValueError("no machine can connect to this address; expected one of this machine")
    return value.strip()


def split_port(address: str) -> tuple[str, int | None]:
    """The host, and the port of `host:port` or `[IPv6]:port`, else None; raises ValueError."""
    name, colon, number = address.rpartition(":")
    if not colon or address.endswith("]") or (":" in name and not name.endswith("]")):
        return address, None
    return name, port(number)


def _is_host(name: str) -> bool:
    bare = name.removeprefix("[").removesuffix("]") if name.startswith("[") else name
    try:
        return ipaddress.ip_address(bare).version == 6 or bare == name
    except ValueError:
        # A name that ends with a number would be read as an IP address.
        return bool(_HOST.fullmatch(name)) and not re.search(r"(\A|\.)[0-9]+\.?\Z", name)


def _without_port(name: str) -> str:
    with contextlib.suppress(ValueError):
        host, number = split_port(name)
        if number is not None and _is_host(host):
            return f", as in {host}; the port is a flag of its own"
    return ""


def path(value: str) -> Path:
    """A path, `~` expanded; need not exist."""
    if "-----BEGIN" in value:
        raise CredentialInValue("expected the path of a file, got the contents of one")
    if "\0" in value:
        raise ValueError("expected a path, and none has a NUL")
    try:
        return Path(text(value)).expanduser()
    except RuntimeError:
        raise ValueError("expected a path, and there is no user of this name behind ~") from None


def names(value: str) -> tuple[str, ...]:
    """A comma-separated list with at least one entry."""
    found = tuple(part.strip() for part in value.split(",") if part.strip())
    if not found:
        raise ValueError("expected a comma list with at least one entry")
    return found


def port(value: str) -> int:
    """A TCP port, 1 to 65535."""
    if not value.isascii() or not value.isdigit() or not 1 <= int(value) <= 65535:
        raise ValueError("expected a port, 1 to 65535")
    return int(value)


def count(value: str) -> int:
    """An integer from 1."""
    if not value.isascii() or not value.isdigit() or int(value) < 1:
        raise ValueError("expected a whole number from 1")
    return int(value)


def size(value: str) -> int:
    """Bytes: an integer, optionally with KiB, MiB, GiB or TiB."""
    found = re.fullmatch(r"([0-9]{1,18}) ?([KMGT]iB)?", value)
    if not found:
        raise ValueError("expected bytes, as in 1048576, 512MiB or 10GiB")
    return int(found[1]) * _SIZES[found[2] or ""]


def seconds(value: str) -> float:
    """Seconds above zero: a number, optionally with s, m, h or d."""
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,6})?) ?([smhd])?", value)
    if not found or float(found[1]) == 0:
        raise ValueError("expected seconds above zero, as in 5, 0.5, 90s, 10m or 72h")
    return float(found[1]) * _SPANS[found[2] or ""]


def seconds_from_zero(value: str) -> float:
    """Seconds as `seconds` reads them, or 0."""
    return 0.0 if re.fullmatch(r"0(?:\.0{1,6})? ?[smhd]?", value) else seconds(value)


def timezone(value: str) -> str:
    """A name of the IANA time zone database."""
    zone(value)
    return value


def switch(value: str) -> bool:
    """A boolean."""
    if value.lower() not in {"true", "yes", "on", "1", "false", "no", "off", "0"}:
        raise ValueError("expected true or false")
    return value.lower() in {"true", "yes", "on", "1"}


def networks(value: str) -> tuple[str, ...]:
    """A comma-separated list of IP addresses or networks."""
    for name in names(value):
        try:
            ipaddress.ip_network(name)
        except ValueError as error:
            raise ValueError(
                f"expected addresses or networks, as in 10.1.0.0/16: {error}"
            ) from None
    return names(value)


def one_of(*choices: str) -> Callable[[str], str]:
    """Return a parser that accepts only these choices."""

    def choice(value: str) -> str:
        if value not in choices:
            raise ValueError(f"expected one of {', '.join(choices)}")
        return value

    return choice


def endpoints(value: str) -> tuple[str, ...]:
    """A comma-separated list of http(s)://host:port."""
    if "@" in value:
        raise CredentialInValue("expected http(s)://host:port, without a user or a password")
    found = names(value)
    for endpoint in found:
        parts = urlsplit(endpoint)
        complete = parts.scheme in {"http", "https"} and parts.hostname and parts.port
        bare = endpoint.removesuffix("/") == f"{parts.scheme}://{parts.netloc}"
        if not complete or not bare:
            raise ValueError(f"expected http(s)://host:port, got {endpoint!r}")
    return tuple(endpoint.rstrip("/") for endpoint in found)


def upload_template(value: str) -> str:
    """A path template that can match a path and does not overlap `/-/`."""
    PathTemplate.parse(value, rest="filepath")
    segments = value[1:].split("/")
    if not segments[-1]:
        raise ValueError("ends with a slash, and no file name ends so; drop the last slash")
    is_reserved = segments[0] == "-" or (segments[0].startswith("{") and value != "/{filename}")
    if is_reserved:
        raise ValueError("would take paths under /-/, which are APIGW's own; begin it with a word")
    return value


def is_loopback(address: str) -> bool:
    """Whether the address is a loopback address, unreachable from other machines."""
    try:
        return ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        # Other names may resolve to any address.
        return address.lower() == "localhost"


def url_host(address: str) -> str:
    """The host for a URL: lower case, as URL parsers return it; IPv6 in brackets."""
    host = address.lower().strip("[]")
    return f"[{host}]" if ":" in host else host
