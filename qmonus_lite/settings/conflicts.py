"""Checks of settings against each other, and against this machine."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from qmonus_lite.settings import values
from qmonus_lite.settings.table import Settings


@dataclass(frozen=True, kw_only=True)
class SettingsConflict:
    """Settings that cannot be used together."""

    #: Names of the settings involved, the one to look at first.
    names: tuple[str, ...]
    #: What is wrong, and what to do.
    message: str


def conflicts(settings: Settings) -> Iterator[SettingsConflict]:
    """Every conflict, in the order of CHECKS."""
    for check in CHECKS:
        yield from check(settings)


def _timezone_known(settings: Settings) -> Iterator[SettingsConflict]:
    # The default may be missing on this machine.
    name = settings.logs.timezone
    try:
        values.timezone(name)
    except ValueError as error:
        yield SettingsConflict(names=("timezone",), message=f"--timezone={name}: {error}")


def _certificate_with_key(settings: Settings) -> Iterator[SettingsConflict]:
    if (settings.server.certfile is None) != (settings.server.keyfile is None):
        yield SettingsConflict(
            names=("certfile", "keyfile"),
            message="--certfile and --keyfile go together: give both or none",
        )


def _worker_ports(settings: Settings) -> Iterator[SettingsConflict]:
    workers = settings.workers
    if workers.lambda_port + workers.lambda_processes - 1 > 65535:
        yield SettingsConflict(
            names=("lambda_port", "lambda_processes"),
            message="--lambda_port plus --lambda_processes runs past port 65535: make one smaller",
        )


def _address_advertised(settings: Settings) -> Iterator[SettingsConflict]:
    server = settings.server
    if server.address in {"0.0.0.0", "::"} and server.advertise_address is None:
        yield SettingsConflict(
            names=("address", "advertise_address"),
            message=f"--address={server.address} listens on every interface, and events need one"
            " address to carry: give it as --advertise_address=HOST",
        )


def _encrypted(settings: Settings) -> Iterator[SettingsConflict]:
    server = settings.server
    if not (server.certfile or server.behind_proxy or values.is_loopback(server.address)):
        yield SettingsConflict(
            names=("address", "certfile", "keyfile", "behind_proxy"),
            message=f"--address={server.address} is open to others, and tokens and files would"
            " cross the network in clear: give --certfile and --keyfile, or --behind_proxy if a"
            " proxy before this APIGW ends TLS",
        )


CHECKS: Sequence[Callable[[Settings], Iterator[SettingsConflict]]] = (
    _timezone_known,
    _certificate_with_key,
    _worker_ports,
    _address_advertised,
    _encrypted,
)
