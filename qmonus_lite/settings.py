"""Settings: the table of flags, and the resolution of their values.

Precedence: flag, environment (`QMONUS_LITE_<NAME>`), `--config=FILE.yml`, default. An unknown name
or an invalid value prevents the start.
"""

import dataclasses
import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qmonus_lite import environment
from qmonus_lite import setting_values as read
from qmonus_lite.errors import BadSetting
from qmonus_lite.pathtemplate import PathTemplate


def flag(default: object, help_: str, *, example: str, reader: Callable[[str], object]) -> Any:
    """A settings field; `help_` is printed by --help and on the reference page."""
    meta = {"help": help_, "example": example, "reader": reader}
    return field(default=default, metadata=meta)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of a process; every field is the flag of the same name."""

    base_dir: Path = flag(
        Path("."),
        "launch directory; stored paths are relative to it",
        example="--base_dir=/srv/files",
        reader=read.path,
    )
    data_dir: Path | None = flag(
        None,
        "state: outbox, staged files, keys; mode 0700 (default: <base_dir>/.qmonus-lite)",
        example="--data_dir=/var/lib/qmonus-lite",
        reader=read.path,
    )
    plugins_base_dirs: tuple[str, ...] = flag(
        ("plugins",),
        "comma list of plugin folders",
        example="--plugins_base_dirs=plugins,/etc/qmonus-lite/plugins",
        reader=read.names,
    )
    address: str = flag(
        "127.0.0.1",
        "address that APIGW listens on",
        example="--address=127.0.0.1",
        reader=read.text,
    )
    port: int = flag(9099, "port that APIGW listens on", example="--port=8080", reader=read.port)
    apigw_processes: int = flag(
        1,
        "APIGW processes that up starts on that port; more than one share a writer process",
        example="--apigw_processes=4",
        reader=read.count,
    )
    advertise_address: str | None = flag(
        None,
        "address that events carry; needed when listening on every interface (default: --address)",
        example="--advertise_address=10.0.0.7",
        reader=read.text,
    )
    lambda_address: str = flag(
        "127.0.0.1",
        "address that Lambda workers listen on",
        example="--lambda_address=127.0.0.1",
        reader=read.text,
    )
    lambda_port: int = flag(
        9100,
        "port of the first Lambda worker; the others take the next ports",
        example="--lambda_port=9200",
        reader=read.port,
    )
    lambda_endpoints: tuple[str, ...] = flag(
        (),
        "comma list of http(s)://host:port that APIGW sends events to (default: the workers of up)",
        example="--lambda_endpoints=http://127.0.0.1:9100,http://127.0.0.1:9101",
        reader=read.endpoints,
    )
    lambda_processes: int = flag(
        1, "Lambda workers that up starts", example="--lambda_processes=2", reader=read.count
    )
    file_upload_api_path: str = flag(
        "/upload/{filepath}",
        "path template of the upload API",
        example="--file_upload_api_path='/v1/tenants/{tenant_id}/images/{filename}/file'",
        reader=read.upload_template,
    )
    upload_durability: str = flag(
        "full",
        "what is on stable storage before 2xx: full (file, names, event), file (its bytes), none",
        example="--upload_durability=file",
        reader=read.one_of("full", "file", "none"),
    )
    max_upload_bytes: int = flag(
        0,
        "largest upload, 413 above; 0 means no limit but the disk",
        example="--max_upload_bytes=10GiB",
        reader=read.size,
    )
    min_free_bytes: int = flag(
        1 << 30,
        "room always left on the disk, 507 below; what running uploads promised counts",
        example="--min_free_bytes=512MiB",
        reader=read.size,
    )
    max_connections: int = flag(
        2000,
        "connections to APIGW at once, 503 above",
        example="--max_connections=500",
        reader=read.count,
    )
    max_uploads: int = flag(
        256, "uploads at once, 503 above", example="--max_uploads=64", reader=read.count
    )
    body_stall_timeout: float = flag(
        30.0,
        "seconds that a body may be silent, 408 after, and that a client may take nothing of its"
        " answer, cut off after",
        example="--body_stall_timeout=10",
        reader=read.seconds,
    )
    min_body_rate: int = flag(
        1024,
        "bytes per second that a body has to come with, on the average, once it took twice as long"
        " as --body_stall_timeout; 0 for any",
        example="--min_body_rate=64KiB",
        reader=read.size,
    )
    lambda_sync_timeout: float = flag(
        5.0,
        "seconds for APIGW.OnFileUploading, the whole exchange",
        example="--lambda_sync_timeout=2",
        reader=read.seconds,
    )
    lambda_event_timeout: float = flag(
        3600.0,
        "seconds for one delivery of an asynchronous event",
        example="--lambda_event_timeout=2h",
        reader=read.seconds,
    )
    route_script_timeout: float = flag(
        3600.0,
        "seconds for one script of a route, unless the route has a timeout of its own",
        example="--route_script_timeout=2h",
        reader=read.seconds,
    )
    event_max_age: float = flag(
        259200.0,
        "seconds after which an event that was not delivered is a dead letter",
        example="--event_max_age=72h",
        reader=read.seconds,
    )
    token_ttl: float = flag(
        3600.0,
        "seconds that a token from logon is valid",
        example="--token_ttl=8h",
        reader=read.seconds,
    )
    callout_connect_timeout: float = flag(
        60.0,
        "seconds for a connection of callout",
        example="--callout_connect_timeout=5",
        reader=read.seconds,
    )
    callout_request_timeout: float = flag(
        60.0,
        "seconds for a whole request of callout; one to our own APIGW lasts as long as its script",
        example="--callout_request_timeout=600",
        reader=read.seconds,
    )
    curl_max_clients: int = flag(
        256,
        "concurrent outgoing requests of callout and of routing, each",
        example="--curl_max_clients=64",
        reader=read.count,
    )
    timezone: str = flag(
        "Asia/Tokyo",
        "time zone of log lines and event times",
        example="--timezone=UTC",
        reader=read.timezone,
    )
    certfile: Path | None = flag(
        None,
        "TLS certificate chain of APIGW, PEM",
        example="--certfile=/etc/ssl/host.pem",
        reader=read.path,
    )
    keyfile: Path | None = flag(
        None,
        "private key of --certfile, PEM",
        example="--keyfile=/etc/ssl/host.key",
        reader=read.path,
    )
    behind_proxy: bool = flag(
        False,
        "a proxy before APIGW ends TLS, so that it may listen beyond loopback without",
        example="--behind_proxy=true",
        reader=read.switch,
    )
    trusted_proxies: tuple[str, ...] = flag(
        (),
        "comma list of addresses or networks whose X-Forwarded-For and -Proto are believed",
        example="--trusted_proxies=10.0.0.2,10.1.0.0/16",
        reader=read.networks,
    )
    log_format: str = flag(
        "console",
        "console for people, json for machines",
        example="--log_format=json",
        reader=read.one_of("console", "json"),
    )
    log_level: str = flag(
        "info",
        "debug, info, warning or error",
        example="--log_level=debug",
        reader=read.one_of("debug", "info", "warning", "error"),
    )
    drain_timeout: float = flag(
        30.0,
        "seconds that a stop waits for running uploads and scripts",
        example="--drain_timeout=120",
        reader=read.seconds,
    )

    @property
    def root(self) -> Path:
        """The launch directory, absolute, symlinks resolved."""
        return self.base_dir.resolve()

    @property
    def state_dir(self) -> Path:
        """The data directory, absolute."""
        return (self.data_dir or self.base_dir / ".qmonus-lite").resolve()

    @property
    def plugin_dirs(self) -> tuple[Path, ...]:
        """The plugin folders; relative paths are resolved from the launch directory."""
        return tuple((self.root / name).resolve() for name in self.plugins_base_dirs)

    @property
    def advertised_host(self) -> str:
        """The advertised host of this APIGW, in URL form."""
        return read.url_host(self.advertise_address or self.address)

    @property
    def advertised(self) -> str:
        """The advertised `host:port` of this APIGW."""
        return f"{self.advertised_host}:{self.port}"

    @property
    def base_url(self) -> str:
        """The advertised `http(s)://host:port` of this APIGW."""
        return f"{'https' if self.certfile else 'http'}://{self.advertised}"

    @property
    def worker_endpoints(self) -> tuple[str, ...]:
        """Base URLs of the workers that receive events."""
        started = range(self.lambda_port, self.lambda_port + self.lambda_processes)
        return self.lambda_endpoints or tuple(
            f"http://{read.url_host(self.lambda_address)}:{port}" for port in started
        )


NAMES = tuple(entry.name for entry in dataclasses.fields(Settings))
#: Boolean flags, which may be given without a value.
SWITCHES = frozenset(
    entry.name for entry in dataclasses.fields(Settings) if isinstance(entry.default, bool)
)


def resolve(
    *,
    flags: Mapping[str, str],
    environ: Mapping[str, str],
    file_values: Mapping[str, object],
    file_name: str = "",
) -> Settings:
    """Settings from all sources; raises BadSetting at the first invalid value."""
    found: dict[str, object] = {}
    for name, value in file_values.items():
        known = name.replace("-", "_")
        where = f"{file_name}: {name}"
        found[known] = _value(known, _as_text(value, where), where)
    for name, value in environment.settings_in(environ).items():
        known = name.removeprefix(environment.PREFIX).lower()
        found[known] = _value(known, value, name)
    for name, value in flags.items():
        found[name] = _value(name, value, f"--{name}")
    settings = Settings(**found)  # type: ignore[arg-type]
    _check_together(settings)
    return settings


def unknown(name: str, where: str) -> BadSetting:
    """The error for an unknown name, with the closest existing name."""
    near = difflib.get_close_matches(name, NAMES, n=1)
    hint = f"; did you mean --{near[0]}?" if near else "; see --help for the names"
    return BadSetting(f"{where}: no such setting{hint}")


def _value(name: str, value: str, where: str) -> object:
    if name not in NAMES:
        raise BadSetting(f"{unknown(name, where)}{environment.advice(where, value)}")
    reader = Settings.__dataclass_fields__[name].metadata["reader"]
    try:
        return reader(value)
    except ValueError as error:
        advice = environment.advice(where, value)
        raise BadSetting(f"{where}={value}: {error}{advice}") from None


def _as_text(value: object, where: str) -> str:
    parts = value if isinstance(value, list) else [value]
    if not all(isinstance(part, (str, int, float)) for part in parts):
        raise BadSetting(f"{where}: expected text, a number, or a list of them")
    return ",".join(map(str, parts))


def _check_together(settings: Settings) -> None:
    # The default time zone may also be missing on this machine.
    _value("timezone", settings.timezone, "--timezone")
    if (settings.certfile is None) != (settings.keyfile is None):
        raise BadSetting("--certfile and --keyfile go together: give both or none")
    if settings.lambda_port + settings.lambda_processes - 1 > 65535:
        raise BadSetting("--lambda_port plus --lambda_processes runs past port 65535")
    if settings.address in {"0.0.0.0", "::"} and settings.advertise_address is None:
        raise BadSetting(
            f"--address={settings.address} listens on every interface, and events need one address"
            " to carry: give it as --advertise_address=HOST"
        )
    if not (settings.certfile or settings.behind_proxy or read.is_loopback(settings.address)):
        raise BadSetting(
            f"--address={settings.address} is open to others, and tokens and files would cross the"
            " network in clear: give --certfile and --keyfile, or --behind_proxy if a proxy before"
            " this APIGW ends TLS"
        )


def upload_template(settings: Settings) -> PathTemplate:
    """The parsed --file_upload_api_path."""
    return PathTemplate.parse(settings.file_upload_api_path, rest="filepath")
