"""The environment: settings, and variables of Kubernetes services that are none."""

import pytest

from qmonus_lite import environment

#: What Kubernetes sets for Services named qmonus-lite (two ports), qmonus-lite-lambda and
#: qmonus-lite-v6; made from its docs, v1.34.
SERVICES = {
    "QMONUS_LITE_SERVICE_HOST": "10.96.0.12",
    "QMONUS_LITE_SERVICE_PORT": "9099",
    "QMONUS_LITE_SERVICE_PORT_HTTP": "9099",
    "QMONUS_LITE_SERVICE_PORT_QUIC_ALT": "9443",
    "QMONUS_LITE_PORT": "tcp://10.96.0.12:9099",
    "QMONUS_LITE_PORT_9099_TCP": "tcp://10.96.0.12:9099",
    "QMONUS_LITE_PORT_9099_TCP_PROTO": "tcp",
    "QMONUS_LITE_PORT_9099_TCP_PORT": "9099",
    "QMONUS_LITE_PORT_9099_TCP_ADDR": "10.96.0.12",
    "QMONUS_LITE_PORT_9443_UDP": "udp://10.96.0.12:9443",
    "QMONUS_LITE_PORT_9443_UDP_PROTO": "udp",
    "QMONUS_LITE_PORT_9443_UDP_PORT": "9443",
    "QMONUS_LITE_PORT_9443_UDP_ADDR": "10.96.0.12",
    "QMONUS_LITE_LAMBDA_SERVICE_HOST": "10.96.0.13",
    "QMONUS_LITE_LAMBDA_SERVICE_PORT": "9100",
    "QMONUS_LITE_LAMBDA_PORT": "tcp://10.96.0.13:9100",
    "QMONUS_LITE_LAMBDA_PORT_9100_TCP": "tcp://10.96.0.13:9100",
    "QMONUS_LITE_LAMBDA_PORT_9100_TCP_PROTO": "tcp",
    "QMONUS_LITE_LAMBDA_PORT_9100_TCP_PORT": "9100",
    "QMONUS_LITE_LAMBDA_PORT_9100_TCP_ADDR": "10.96.0.13",
    "QMONUS_LITE_V6_SERVICE_HOST": "fd00:10:96::c",
    "QMONUS_LITE_V6_PORT": "tcp://[fd00:10:96::c]:80",
    "QMONUS_LITE_V6_PORT_36412_SCTP": "sctp://[fd00:10:96::c]:36412",
    "QMONUS_LITE_V6_PORT_36412_SCTP_ADDR": "fd00:10:96::c",
}


def test_variables_of_services_are_no_settings() -> None:
    assert environment.settings_in(SERVICES) == {}
    assert environment.services_in(SERVICES) == list(SERVICES)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "9099"),
        ("PORT", "tcp://gateway.example:9099"),
        ("PORT", "http://10.96.0.12:9099"),
        ("PORT", "tcp://10.96.0.12"),
        ("PORT", "tcp://10.96.0.12:99999"),
        ("LAMBDA_PORT", "9100"),
        ("ADDRESS", "10.96.0.12"),
        ("PROT", "tcp://10.96.0.12:9099"),
        ("PORTS", "tcp://10.96.0.12:9099"),
        ("SERVICE_HOST", "example"),
        ("SERVICE_HOSTS", "10.96.0.12"),
        ("SERVICE_PORT", "0"),
        ("PORT_9099", "tcp://10.96.0.12:9099"),
        ("PORT_9099_TCP", "9099"),
        ("PORT_9099_TCP_HOST", "10.96.0.12"),
        ("PORT_HTTP_TCP", "tcp://10.96.0.12:9099"),
        ("PORT_9099_TCP_PROTO", "http"),
        ("VERSION", "1.2.3"),
    ],
)
def test_everything_else_has_to_be_a_setting(name: str, value: str) -> None:
    environ = {f"QMONUS_LITE_{name}": value, "HOME": "/", "KUBERNETES_PORT": "tcp://10.96.0.1:443"}

    assert environment.settings_in(environ) == {f"QMONUS_LITE_{name}": value}
    assert environment.services_in(environ) == []


@pytest.mark.parametrize("name", sorted(environment.OTHERS))
def test_our_own_other_variables_are_no_settings(name: str) -> None:
    assert environment.settings_in({f"QMONUS_LITE_{name}": "x"}) == {}


@pytest.mark.parametrize(
    ("name", "value", "advised"),
    [
        ("QMONUS_LITE_SERVICE_HOST", "example", True),
        ("QMONUS_LITE_PORT", "tcp://gateway.example:9099", True),
        ("QMONUS_LITE_PORT_9099_TCP_NAME", "x", True),
        ("QMONUS_LITE_PORT", "x", False),
        ("QMONUS_LITE_VERSION", "1.2.3", False),
        ("--port", "tcp://10.96.0.12:9099", False),
    ],
)
def test_advises_what_to_do_about_what_resembles_a_service(
    name: str, value: str, advised: bool
) -> None:
    assert ("enableServiceLinks: false" in environment.advice(name, value)) == advised
