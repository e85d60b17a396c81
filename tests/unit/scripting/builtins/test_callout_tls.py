"""Whom a callout to our own APIGW trusts: the system's authorities, and our own certificate."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from qmonus_lite.scripting.builtins import callout_tls
from qmonus_lite.scripting.builtins.callout import Callout, Gateways, Timeouts
from qmonus_lite.scripting.builtins.outgoing import Outgoing
from tests.certificate import Authority, Issued


@asynccontextmanager
async def serving(issued: Issued) -> AsyncIterator[str]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(issued.certificate, issued.key)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    async def bear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async with await asyncio.start_server(bear, "127.0.0.1", 0, ssl=context) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


@asynccontextmanager
async def calling(certfile: Path | None, *places: str) -> AsyncIterator[Callout]:
    """A callout that knows these as our own APIGWs."""
    outgoing = Outgoing(max_connections=4)
    gateways = Gateways(
        default=lambda: places[0],
        scheme=lambda place: "https" if place in places else None,
        credential=lambda *_: {},
        sign_depth=str,
        sign_ids=lambda *_: {},
        certfile=str(certfile) if certfile else None,
    )
    yield Callout(outgoing, gateways, Timeouts(connect=5, request=5))
    await outgoing.close()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    callout_tls.for_own.cache_clear()


@pytest.mark.parametrize("strict", [False, True], ids=["3.11", "3.13"])
async def test_a_leaf_with_its_intermediate_is_trusted_without_the_root(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, strict: bool
) -> None:
    if strict:
        _as_python_313(monkeypatch)
    issued = authority.issue("127.0.0.1")
    async with serving(issued) as place, calling(issued.certificate, place) as callout:
        answer = await callout("/")

    assert answer.code == 200, answer.error


async def test_the_authorities_of_the_system_are_trusted_too(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Another APIGW of ours, with a certificate of its own that the system can check.
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.root))
    mine, others = authority.self_signed("127.0.0.1"), authority.issue("127.0.0.1")
    async with serving(others) as place, calling(mine.certificate, place) as callout:
        answer = await callout("/")

    assert answer.code == 200, answer.error


@pytest.mark.parametrize("signed_by_itself", [True, False])
async def test_our_own_certificate_is_known_by_its_key_whatever_it_names(
    authority: Authority, signed_by_itself: bool, caplog: pytest.LogCaptureFixture
) -> None:
    make = authority.self_signed if signed_by_itself else authority.issue
    issued = make("gw.example.test")
    with caplog.at_level(logging.INFO):
        async with serving(issued) as place, calling(issued.certificate, place) as callout:
            codes = [(await callout("/")).code for _ in range(3)]

    assert codes == [200, 200, 200]
    assert caplog.text.count("does not name 127.0.0.1; callouts know APIGW by its key") == 1


async def test_another_certificate_of_the_same_authority_needs_the_right_name(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    mine, others = authority.issue("127.0.0.1"), authority.issue("evil.example.test")
    async with serving(others) as place, calling(mine.certificate, place) as callout:
        answer = await callout("/")

    assert answer.code == 599
    assert "IP address mismatch, certificate is not valid for '127.0.0.1'" in answer.reason
    assert answer.reason in caplog.text


async def test_a_server_that_has_another_certificate_now_is_checked_by_its_name(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.root))
    mine, others = authority.self_signed("gw.example.test"), authority.issue("127.0.0.1")
    async with serving(others) as place, calling(mine.certificate, place) as callout:
        # The client remembers it by the key of the certificate that was there before.
        callout._outgoing._of_other_name.add(f"https://{place}")
        answer = await callout("/")

    assert answer.code == 200, answer.error


async def test_elsewhere_our_certificate_counts_for_nothing(authority: Authority) -> None:
    issued = authority.self_signed("127.0.0.1")
    async with serving(issued) as place, calling(issued.certificate, "127.0.0.1:1") as callout:
        answer = await callout(url=f"https://{place}/")

    assert answer.code == 599
    assert f"the certificate of {place} is not accepted: self-signed certificate" in answer.reason


async def test_connections_over_tls_are_used_again(authority: Authority) -> None:
    issued = authority.self_signed("127.0.0.1")
    async with serving(issued) as place, calling(issued.certificate, place) as callout:
        for extra in ({}, {"ca_certs": str(issued.certificate)}):
            before = _handshakes(callout)
            for _ in range(3):
                assert (await callout("/", **extra)).code == 200  # type: ignore[arg-type]
            assert _handshakes(callout) - before == 1


def _handshakes(callout: Callout) -> int:
    session = callout._outgoing._session
    if session is None or session.connector is None:
        return 0
    return sum(map(len, session.connector._conns.values()))


def _as_python_313(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let default contexts be as strict as those of Python 3.13."""
    plain = ssl.create_default_context

    def strict(*args: object, **kwargs: object) -> ssl.SSLContext:
        context = plain(*args, **kwargs)  # type: ignore[arg-type]
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", strict)
