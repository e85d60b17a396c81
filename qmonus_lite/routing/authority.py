"""Syntax check of `host[:port]` of a backend, as clients send it in `X-Xaas-Static-Routing`."""

import ipaddress
import re

#: Header that replaces the backends of a route; needs a role with static routing.
STATIC_ROUTING = "X-Xaas-Static-Routing"

_AUTHORITY = re.compile(
    r"(?:(?P<name>[A-Za-z0-9_][A-Za-z0-9_.-]{0,252})|\[(?P<ipv6>[0-9A-Fa-f:.]+)\])"
    r"(?::(?P<port>[0-9]{1,5}))?"
)


def is_authority(text: str) -> bool:
    """Whether `text` is a host name, IPv4 address or IPv6 address in brackets, and maybe a port."""
    found = _AUTHORITY.fullmatch(text)
    if found is None:
        return False
    if found["port"] and not 1 <= int(found["port"]) <= 65535:
        return False
    return found["ipv6"] is None or _is_ipv6(found["ipv6"])


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True
