"""Warnings of a start: settings that work, and do not do what was probably meant."""

import ipaddress
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from qmonus_lite.catalog.plugins import Catalog
from qmonus_lite.events.envelope import UPLOADING
from qmonus_lite.imported_on_use import ImportedOnUse
from qmonus_lite.settings.table import Settings
from qmonus_lite.values import Value

if TYPE_CHECKING:
    from cryptography import x509
else:
    x509 = ImportedOnUse("cryptography.x509")

logger = logging.getLogger(__name__)


class StartWarning(Value, frozen=True, kw_only=True):
    """A warning with its stable action."""

    action: str
    #: What, where, and what to do.
    text: str


def log_start_warnings(settings: Settings, catalog: Catalog) -> None:
    """Log every warning of a start."""
    for warning in (*certificate_warnings(settings), *template_warnings(settings, catalog)):
        logger.warning("%s", warning.text, extra={"action": warning.action})


def certificate_warnings(settings: Settings) -> Iterator[StartWarning]:
    """A certificate that clients do not accept for the advertised address, or not now."""
    file, host = settings.server.certfile, settings.server.advertised_host.strip("[]")
    if file is None:
        return
    try:
        leaf = x509.load_pem_x509_certificates(file.read_bytes())[0]
        names = _names(leaf)
    except (OSError, ValueError):
        # OpenSSL takes files that this parser does not; it has loaded this one.
        return
    if not any(_matches(name, host) for name in names):
        yield StartWarning(
            action="certificate_of_other_name",
            text=f"--certfile={file}: is for {', '.join(names) or 'no name'}, and not for {host},"
            " the address that events carry: clients that connect to it by that address refuse"
            " the certificate; set --advertise_address, or have the address certified",
        )
    now, start, end = datetime.now(UTC), leaf.not_valid_before_utc, leaf.not_valid_after_utc
    if not start <= now <= end:
        yield StartWarning(
            action="certificate_out_of_time",
            text=f"--certfile={file}: is valid from {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}"
            " UTC, so that clients refuse it now; renew it, or set the clock",
        )


def _names(leaf: "x509.Certificate") -> list[str]:
    """DNS names and addresses of a certificate."""
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    dns = names.get_values_for_type(x509.DNSName)
    return [*dns, *map(str, names.get_values_for_type(x509.IPAddress))]


def _matches(name: str, host: str) -> bool:
    """Whether a name of a certificate is one of this host, as RFC 9525 matches them."""
    try:
        return ipaddress.ip_address(name) == ipaddress.ip_address(host)
    except ValueError:
        pass
    name, host = name.lower(), host.lower().removesuffix(".")
    if name.startswith("*."):
        return "." in host and host.partition(".")[2] == name[2:]
    return name == host


def template_warnings(settings: Settings, catalog: Catalog) -> Iterator[StartWarning]:
    """Variables of the upload path that the stored path does not depend on.

    A handler of APIGW.OnFileUploading may choose the stored path, so there is none with one.
    """
    template = settings.uploads.template
    naming = [name for name in ("filename", "filepath") if name in template.names][:1]
    others = [f"{{{name}}}" for name in template.names if name not in naming]
    if not naming or not others or UPLOADING in catalog.lambdas:
        return
    yield StartWarning(
        action="template_shares_paths",
        text=f"--file_upload_api_path={template.text}: a file is stored at /upload/{{{naming[0]}}},"
        f" whatever {', '.join(others)} is: uploads that differ in nothing else replace one"
        ' another; set event["path"] in a handler of APIGW.OnFileUploading',
    )
