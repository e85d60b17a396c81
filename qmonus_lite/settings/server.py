"""Settings of the APIGW process as an HTTP server."""

from dataclasses import dataclass
from pathlib import Path

from qmonus_lite.settings import values
from qmonus_lite.settings.field import flag


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """Addresses, TLS, proxies and connection limits of APIGW."""

    address: str = flag(
        "127.0.0.1",
        "address that APIGW listens on",
        example="--address=127.0.0.1",
        reader=values.host,
    )
    port: int = flag(9099, "port that APIGW listens on", example="--port=8080", reader=values.port)
    apigw_processes: int = flag(
        1,
        "APIGW processes that up starts on that port; more than one share a writer process",
        example="--apigw_processes=4",
        reader=values.count,
    )
    advertise_address: str | None = flag(
        None,
        "address, or address:port, that events carry and callouts to APIGW go to; needed when"
        " listening on every interface (default: --address and --port)",
        example="--advertise_address=10.0.0.7:8080",
        reader=values.advertised,
    )
    certfile: Path | None = flag(
        None,
        "TLS certificate chain of APIGW, PEM",
        example="--certfile=/etc/ssl/host.pem",
        reader=values.path,
    )
    keyfile: Path | None = flag(
        None,
        "private key of --certfile, PEM",
        example="--keyfile=/etc/ssl/host.key",
        reader=values.path,
    )
    behind_proxy: bool = flag(
        False,
        "a proxy before APIGW ends TLS, so that it may listen beyond loopback without",
        example="--behind_proxy=true",
        reader=values.switch,
    )
    trusted_proxies: tuple[str, ...] = flag(
        (),
        "comma list of addresses or networks whose X-Forwarded-For and -Proto, X-Request-Id and"
        " traceparent are believed",
        example="--trusted_proxies=10.0.0.2,10.1.0.0/16",
        reader=values.networks,
    )
    max_connections: int = flag(
        2000,
        "connections to APIGW at once, 503 above",
        example="--max_connections=500",
        reader=values.count,
    )
    body_stall_timeout: float = flag(
        30.0,
        "seconds that a body may be silent, 408 after, and that a client may take nothing of its"
        " answer, cut off after",
        example="--body_stall_timeout=10",
        reader=values.seconds,
    )
    min_body_rate: int = flag(
        1024,
        "bytes per second that a body has to come with, on the average, once it took twice as long"
        " as --body_stall_timeout; 0 for any",
        example="--min_body_rate=64KiB",
        reader=values.size,
    )
    drain_timeout: float = flag(
        30.0,
        "seconds that a stop waits for running uploads and scripts",
        example="--drain_timeout=120",
        reader=values.seconds,
    )

    @property
    def advertised_host(self) -> str:
        """The advertised host of this APIGW, in URL form."""
        name, _ = values.split_port(self.advertise_address or self.address)
        return values.url_host(name)

    @property
    def advertised_port(self) -> int:
        """The advertised port of this APIGW: another than its own behind a port mapping."""
        _, port = values.split_port(self.advertise_address or self.address)
        return port or self.port

    @property
    def advertised(self) -> str:
        """The advertised `host:port` of this APIGW."""
        return f"{self.advertised_host}:{self.advertised_port}"

    @property
    def base_url(self) -> str:
        """The advertised `http(s)://host:port` of this APIGW."""
        return f"{'https' if self.certfile else 'http'}://{self.advertised}"
