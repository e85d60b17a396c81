"""TLS settings of callouts: trusted certificates and client certificates.

A callout to our own APIGW trusts the CAs of the system and the certificates of --certfile, of which
the leaf is enough (a chain file seldom contains the root). The certificate of --certfile need not
contain the internal address of the APIGW: a peer that proves to have the private key of that leaf
is our own, so its name is not checked. `for_own` returns both settings, to be tried in that order.
"""

import ssl
from functools import lru_cache
from pathlib import Path

from qmonus_lite.values import Value

#: Delimiters of a certificate in a PEM file.
_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


class OwnCertificateTrust(Value, frozen=True, kw_only=True):
    """TLS settings for connections to our own APIGWs."""

    #: Verifies chain, validity and hostname.
    named: ssl.SSLContext
    #: Pins the leaf certificate without a hostname check; for a certificate with another name.
    pinned: ssl.SSLContext


@lru_cache(maxsize=1)
def for_own(certfile: str) -> OwnCertificateTrust:
    """Settings for an APIGW whose chain is in this file; raises OSError or ValueError."""
    leaf = _leaf(Path(certfile).read_text(encoding="ascii", errors="replace"))
    named = ssl.create_default_context()
    named.load_verify_locations(cafile=certfile)
    pinned = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    pinned.check_hostname = False
    pinned.load_verify_locations(cadata=leaf)
    for context in (named, pinned):
        # A certificate of the file is trusted without the rest of its chain.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        # Python 3.13 is stricter than 3.11 and 3.12, and requires more of a self-signed certificate
        # than `openssl req -x509` writes: the same file has to work with all of them.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return OwnCertificateTrust(named=named, pinned=pinned)


def forget_own() -> None:
    """Read the file again at the next callout to our own APIGW."""
    for_own.cache_clear()


def settings(
    validate: bool, ca_certs: str | None, cert: str | None, key: str | None
) -> ssl.SSLContext | bool:
    """TLS settings that a script requested; True for the default checks."""
    if validate and not ca_certs and not cert:
        return True
    files = [name for name in (ca_certs, cert, key) if name]
    changed = tuple(Path(name).stat().st_mtime_ns for name in files)
    return _made(validate, ca_certs, cert, key, changed)


# Cached: a connection is reused only with the identical settings, and loading the CAs of the
# system takes some 10 ms.
@lru_cache(maxsize=32)
def _made(
    validate: bool,
    ca_certs: str | None,
    cert: str | None,
    key: str | None,
    _changed: tuple[int, ...],
) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_certs)
    if cert:
        context.load_cert_chain(cert, key)
    if not validate:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _leaf(text: str) -> str:
    """The first certificate of a PEM file, which is that of the server itself."""
    begin, end = text.find(_BEGIN), text.find(_END)
    if begin < 0 or end < begin:
        raise ValueError("no certificate in the file")
    return text[begin : end + len(_END)] + "\n"
