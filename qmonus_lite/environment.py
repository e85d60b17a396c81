"""Environment variables: those that are settings, and those that only resemble settings.

Kubernetes sets variables for each Service of the namespace in every pod, and Docker links use the
same form. For a Service whose name begins with `qmonus-lite` they have the prefix of our settings:
https://kubernetes.io/docs/tutorials/services/connect-applications-service/#environment-variables
"""

import ipaddress
import re
from collections.abc import Callable, Mapping

PREFIX = "QMONUS_LITE_"
#: Names with the prefix of a setting that are not settings.
OTHERS = frozenset({"SUPERVISED", "NOTIFY_FD", "NUMBER", "LISTEN_FDS"})

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


#: Variables of a Service: pattern of the name after the prefix, and a check of the value.
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
    """The variables that must be settings, keyed by the name of the variable."""
    return {
        name: value
        for name, value in environ.items()
        if name.startswith(PREFIX)
        and name.removeprefix(PREFIX) not in OTHERS
        and not _is_of_a_service(name, value)
    }


def services_in(environ: Mapping[str, str]) -> list[str]:
    """Names of the variables that are ignored because Kubernetes set them for a Service."""
    return [
        name
        for name, value in environ.items()
        if name.startswith(PREFIX) and _is_of_a_service(name, value)
    ]


def advice(name: str, value: str) -> str:
    """Hint for an unknown variable that resembles one of a Service; else an empty string."""
    rest = name.removeprefix(PREFIX)
    resembles = "SERVICE_" in rest or re.search("PORT_[0-9]", rest) or "://" in value
    if not name.startswith(PREFIX) or not resembles:
        return ""
    return "; if Kubernetes set it for a Service, give the pod `enableServiceLinks: false`"


def _is_of_a_service(name: str, value: str) -> bool:
    rest = name.removeprefix(PREFIX)
    return any(form.fullmatch(rest) and fits(value) for form, fits in _FORMS)
