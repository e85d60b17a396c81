"""Settings of the Lambda workers: their addresses and number."""

from dataclasses import dataclass

from qmonus_lite.settings import values
from qmonus_lite.settings.field import flag


@dataclass(frozen=True, kw_only=True)
class WorkerSettings:
    """Where Lambda workers listen, and where APIGW finds them."""

    lambda_address: str = flag(
        "127.0.0.1",
        "address that Lambda workers listen on",
        example="--lambda_address=127.0.0.1",
        reader=values.host,
    )
    lambda_port: int = flag(
        9100,
        "port of the first Lambda worker; the others take the next ports",
        example="--lambda_port=9200",
        reader=values.port,
    )
    lambda_endpoints: tuple[str, ...] = flag(
        (),
        "comma list of http(s)://host:port that APIGW sends events to (default: the workers of up)",
        example="--lambda_endpoints=http://127.0.0.1:9100,http://127.0.0.1:9101",
        reader=values.endpoints,
    )
    lambda_processes: int = flag(
        1, "Lambda workers that up starts", example="--lambda_processes=2", reader=values.count
    )

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Base URLs of the workers that receive events."""
        started = range(self.lambda_port, self.lambda_port + self.lambda_processes)
        return self.lambda_endpoints or tuple(
            f"http://{values.url_host(self.lambda_address)}:{port}" for port in started
        )
