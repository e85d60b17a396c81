"""The environment: which of its variables are settings, and which only look like some.

Kubernetes gives every pod variables for each Service of its namespace, and Docker's links have the
same form. For a Service named `qmonus-lite`, or one whose name begins so, they begin like ours:
https://kubernetes.io/docs/tutorials/services/connect-applications-service/#environment-variables
"""

import ipaddress
import re
from collections.abc import Callable, Mapping

PREFIX = "QMONUS_LITE_"
#: Names that begin like a setting and are none.
OTHERS = frozenset({"EVENT_SECRET", "SUPERVISED", "NOTIFY_FD", "NUMBER", "LISTEN_FDS"})

_URL = re.compile(r"(?:tcp|udp|sctp)://(?P<host>.+):(?P<port>[0-9]+)")


def _is_address(value: str) -> bool:
    try:
        ipaddress.ip_address(value.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def _is_port(value: str) -> bool:
    return bool(re.fullmatch("[0-9]{1,5}", value)) and 1 <= int(value) <= 65535


def _is_url(value: str) -> bool:
    found = _URL.fullmatch(value)
    return found is not None and _is_address(found["host"]) and _is_port(found["port"])


def _is_protocol(value: str) -> bool:
    return value in {"tcp", "udp", "sctp"}


#: Forms of the variables of a Service: how the rest of the name ends, and what the value is.
_FORMS: tuple[tuple[re.Pattern[str], Callable[[str], bool]], ...] = tuple(
    (re.compile(f"(?:[A-Z0-9_]+_)?{name}"), fits)
    for name, fits in (
        ("SERVICE_HOST", _is_address),
        ("SERVICE_PORT(?:_[A-Z0-9_]+)?", _is_port),
        ("PORT", _is_url),
        ("PORT_[0-9]+_(?:TCP|UDP|SCTP)", _is_url),
        ("PORT_[0-9]+_(?:TCP|UDP|SCTP)_PROTO", _is_protocol),
        ("PORT_[0-9]+_(?:TCP|UDP|SCTP)_PORT", _is_port),
        ("PORT_[0-9]+_(?:TCP|UDP|SCTP)_ADDR", _is_address),
    )
)


def settings_in(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that have to be settings, by their names in the environment."""
    return {
        name: value
        for name, value in environ.items()
        if name.startswith(PREFIX)
        and name.removeprefix(PREFIX) not in OTHERS
        and not _is_of_a_service(name, value)
    }


def services_in(environ: Mapping[str, str]) -> list[str]:
    """Names of the variables that are no settings, because Kubernetes set them for a Service."""
    return [
        name
        for name, value in environ.items()
        if name.startswith(PREFIX) and _is_of_a_service(name, value)
    ]


def advice(name: str, value: str) -> str:
    """What to do about a variable that is no setting, if it resembles one of a Service."""
    rest = name.removeprefix(PREFIX)
    resembles = "SERVICE_" in rest or re.search("PORT_[0-9]", rest) or "://" in value
    if not name.startswith(PREFIX) or not resembles:
        return ""
    return "; if Kubernetes set it for a Service, give the pod `enableServiceLinks: false`"


def _is_of_a_service(name: str, value: str) -> bool:
    rest = name.removeprefix(PREFIX)
    return any(form.fullmatch(rest) and fits(value) for form, fits in _FORMS)
