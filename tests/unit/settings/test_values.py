"""Readers of single setting values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qmonus_lite.settings import values as read
from qmonus_lite.settings.secret import CredentialInValue

UNITS = {"": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
SPANS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


@given(number=st.integers(0, 10**18 - 1), unit=st.sampled_from(list(UNITS)), space=st.booleans())
def test_reads_a_size_in_every_unit(number: int, unit: str, space: bool) -> None:
    assert read.size(f"{number}{' ' if space else ''}{unit}") == number * UNITS[unit]


@given(number=st.integers(1, 10**9 - 1), unit=st.sampled_from(list(SPANS)))
def test_reads_a_span_in_every_unit(number: int, unit: str) -> None:
    assert read.seconds(f"{number}{unit}") == number * SPANS[unit]


@given(st.text())
def test_reads_a_size_or_says_what_is_expected(value: str) -> None:
    try:
        found = read.size(value)
    except ValueError as error:
        assert "expected bytes" in str(error)
    else:
        assert found >= 0


@pytest.mark.parametrize("value", ["", "-1", "1e6", "1.5GiB", "10GB", "GiB", "1 0", "١", "1" * 19])
def test_refuses_what_is_no_size(value: str) -> None:
    with pytest.raises(ValueError, match="10GiB"):
        read.size(value)


@pytest.mark.parametrize("value", ["", "0", "0.0s", "-1", "1e3", "5 weeks", "nan", "inf", "1" * 10])
def test_refuses_what_is_no_span(value: str) -> None:
    with pytest.raises(ValueError, match="above zero"):
        read.seconds(value)


def test_reads_parts_of_a_second() -> None:
    assert read.seconds("0.5") == 0.5
    assert read.seconds("1.5 m") == 90


@pytest.mark.parametrize("value", ["", "0", "-1", "65536", "http", "80.0", "٨٠", "9" * 5000])
def test_refuses_what_is_no_port(value: str) -> None:
    with pytest.raises(ValueError):
        read.port(value)


def test_reads_ports_and_counts() -> None:
    assert (read.port("1"), read.port("65535"), read.count("1")) == (1, 65535, 1)


@pytest.mark.parametrize("value", ["", "0", "-1", "two", "1.0"])
def test_refuses_what_is_no_count(value: str) -> None:
    with pytest.raises(ValueError, match="from 1"):
        read.count(value)


def test_reads_a_comma_list() -> None:
    assert read.names(" plugins , /etc/more,") == ("plugins", "/etc/more")


@pytest.mark.parametrize("value", ["", " ", ",", " , "])
def test_refuses_an_empty_comma_list(value: str) -> None:
    with pytest.raises(ValueError, match="at least one"):
        read.names(value)


def test_trims_text_and_refuses_none() -> None:
    assert read.text(" host ") == "host"
    with pytest.raises(ValueError, match="got nothing"):
        read.text("  ")


def test_expands_the_home_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")

    assert str(read.path("~/files")) == "/home/somebody/files"


@pytest.mark.parametrize("value", ["Asia/Tokyo", "UTC", "Etc/GMT-9"])
def test_knows_time_zones(value: str) -> None:
    assert read.timezone(value) == value


@pytest.mark.parametrize("value", ["", "Tokyo", "../../etc/passwd", "/etc/localtime", "\0", "Asia"])
def test_refuses_what_is_no_time_zone(value: str) -> None:
    with pytest.raises(ValueError, match="Asia/Tokyo"):
        read.timezone(value)


def test_offers_the_choices_of_a_word() -> None:
    colour = read.one_of("red", "green")

    assert colour("green") == "green"
    with pytest.raises(ValueError, match="expected one of red, green"):
        colour("Green")


@pytest.mark.parametrize(
    ("value", "endpoints"),
    [
        ("http://127.0.0.1:9100", ("http://127.0.0.1:9100",)),
        ("http://a:1/, https://b:2", ("http://a:1", "https://b:2")),
        ("http://[::1]:9100", ("http://[::1]:9100",)),
    ],
)
def test_reads_endpoints(value: str, endpoints: tuple[str, ...]) -> None:
    assert read.endpoints(value) == endpoints


@pytest.mark.parametrize(
    "value",
    [
        "",
        "127.0.0.1:9100",
        "http://host",
        "http://host:0",
        "http://host:65536",
        "http://host:x",
        "ftp://host:21",
        "http://:9100",
        "http://host:1/path",
        "http://host:1?q",
        "http://host:1?",
        "http://host:1#part",
        "http://a:1,nonsense",
        "http://[::1:9100",
    ],
)
def test_refuses_what_is_no_endpoint(value: str) -> None:
    with pytest.raises(ValueError):
        read.endpoints(value)


@pytest.mark.parametrize("value", ["http://user@host:1", "http://a:1,http://user:word@[::1"])
def test_refuses_credentials_in_an_endpoint_without_repeating_them(value: str) -> None:
    with pytest.raises(CredentialInValue, match="without a user or a password") as refused:
        read.endpoints(value)

    assert "word" not in str(refused.value).removesuffix("password")


def test_refuses_a_key_in_place_of_its_path() -> None:
    with pytest.raises(CredentialInValue, match="the path of a file"):
        read.path("-----BEGIN PRIVATE KEY-----\nMII")


@pytest.mark.parametrize(
    "value",
    [
        "/upload/{filepath}",
        "/v1/tenants/{tenant_id}/images/{filename}/file",
        "/{filename}",
        "/files/{tenant}/{filepath}",
        "/inbox",
        "/a{filename}.bin",
    ],
)
def test_takes_a_template_for_uploads(value: str) -> None:
    assert read.upload_template(value) == value


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("upload/{filepath}", "start with a slash"),
        ("", "start with a slash"),
        ("/upload/", "ends with a slash"),
        ("/", "ends with a slash"),
        ("/upload//{filename}", "empty segment"),
        ("/{filepath}/file", "last segment"),
        ("/upload/x{filepath}", "last segment"),
        ("/upload/{filepath}.bin", "last segment"),
        ("/{filepath}", "/-/"),
        ("/{tenant}/{filename}", "/-/"),
        ("/-/{filename}", "/-/"),
        ("/-", "/-/"),
        ("/upload/{file name}", "outside a variable"),
        ("/upload/{}", "outside a variable"),
        ("/upload/{filename", "outside a variable"),
        ("/upload/{filename}?x=1", "outside a variable"),
        ("/upload/{name}/{name}", "twice"),
        ("/ファイル/{filename}", "outside a variable"),
    ],
)
def test_refuses_a_template_that_uploads_cannot_have(value: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read.upload_template(value)


def test_refuses_a_path_that_no_file_system_has() -> None:
    with pytest.raises(ValueError, match="NUL"):
        read.path("a\0b")


def test_a_home_of_no_user_is_no_path() -> None:
    with pytest.raises(ValueError, match="no user of this name"):
        read.path("~0/files")


@pytest.mark.parametrize(
    "value", ["127.0.0.1", "::1", "[::1]", "fe80::1%lo", "localhost", "Gate.Example", "a_b.c."]
)
def test_a_host_is_a_name_or_an_address(value: str) -> None:
    assert read.host(value) == value


@pytest.mark.parametrize(
    "value",
    ["http://a", "my host", "127.0.0.1/", "10.0.0", "999.1.1.1", "[1.2.3.4]", "unix:/a", "-a"],
)
def test_refuses_what_is_no_host(value: str) -> None:
    with pytest.raises(ValueError, match="expected a host name or an IP address"):
        read.host(value)


def test_says_where_the_port_of_a_host_belongs() -> None:
    with pytest.raises(ValueError, match="as in 127.0.0.1; the port is a flag of its own"):
        read.host("127.0.0.1:8080")


@pytest.mark.parametrize(
    ("value", "host", "port"),
    [
        ("10.0.0.7", "10.0.0.7", None),
        ("10.0.0.7:8080", "10.0.0.7", 8080),
        ("gate.example:1", "gate.example", 1),
        ("::1", "::1", None),
        ("[::1]", "[::1]", None),
        ("[::1]:80", "[::1]", 80),
    ],
)
def test_an_advertised_address_may_have_a_port(value: str, host: str, port: int | None) -> None:
    assert read.split_port(read.advertised(value)) == (host, port)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("http://a", "expected a port"),
        ("a:0", "expected a port"),
        ("my host", "expected HOST or HOST:PORT"),
        ("127.0.0.1/", "expected HOST or HOST:PORT"),
        ("a:b@c", "without a user"),
        ("0.0.0.0:80", "no machine can connect"),
        ("::", "no machine can connect"),
    ],
)
def test_refuses_what_cannot_be_advertised(value: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read.advertised(value)
