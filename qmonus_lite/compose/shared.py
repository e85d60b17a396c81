"""Parts that several kinds of processes use: secrets, plugin loader, gateway."""

import base64
import hashlib
import hmac
import os
from collections.abc import Iterator, Mapping

from qmonus_lite.auth.caller_ids import CallerIds
from qmonus_lite.auth.callout_pass import Passes
from qmonus_lite.auth.gate_depth import GateDepths
from qmonus_lite.auth.sealing import Opener, opener_of, sealer_of
from qmonus_lite.auth.tokens import Minter
from qmonus_lite.catalog.builders import BuildContext
from qmonus_lite.catalog.live import Live
from qmonus_lite.catalog.loader import Loader
from qmonus_lite.catalog.secret_values import SecretResolver
from qmonus_lite.clock import Clock
from qmonus_lite.data_format import DataFormat, read_format
from qmonus_lite.datadir import DataDir
from qmonus_lite.errors import BadResource
from qmonus_lite.events.gateway import Gateway
from qmonus_lite.observations import NO_OBSERVERS, Observers
from qmonus_lite.pathtemplate import PathTemplate
from qmonus_lite.scripting.builtins.callout import Callout, Gateways, Timeouts
from qmonus_lite.scripting.builtins.names import granted
from qmonus_lite.scripting.builtins.outgoing import Outgoing
from qmonus_lite.scripting.options import Options
from qmonus_lite.settings.events import EventSettings
from qmonus_lite.settings.table import Settings
from qmonus_lite.transports.http.signature import Signer
from qmonus_lite.values import Value

#: Name of the store of files below the launch directory, in events.
FILE_STORE = "file"
#: Maximum number of script threads; with more concurrent scripts, several share a thread.
MAX_SCRIPT_THREADS = 32
#: Size of the thread pool for disk I/O, whose threads mostly wait for the disk.
DISK_THREADS = 32


class Common(Value, frozen=True, kw_only=True):
    """Parts that APIGW and workers both have."""

    settings: Settings
    clock: Clock
    data_dir: DataDir
    #: Id of the gateway of the data directory.
    gateway: str
    signer: Signer
    passes: Passes
    outgoing: Outgoing
    secrets: SecretResolver
    live: Live
    environ: Mapping[str, str]
    #: Listeners of this process.
    observers: Observers


def common(
    settings: Settings, environ: Mapping[str, str], observers: Observers = NO_OBSERVERS
) -> Common:
    """Build the parts that APIGW and workers both have; raises StartupError."""
    clock = Clock(settings.logs.timezone)
    data_dir = DataDir(settings.storage.state_dir)
    gateway = data_dir.open()
    secret = event_secret(data_dir, settings.events)
    # Passes are signed with a derived key, so that an event signature is not a valid pass, and
    # vice versa.
    pass_key = hmac.digest(secret, b"qmonus-lite callout pass", hashlib.sha256)
    passes = Passes(minter=Minter(key=pass_key, clock=clock))
    passes.know(settings.server.base_url)
    outgoing = Outgoing(max_connections=settings.plugins.curl_max_clients)
    secrets = SecretResolver(sealer=sealer_of(data_dir), environ=environ)
    return Common(
        settings=settings,
        clock=clock,
        data_dir=data_dir,
        gateway=gateway,
        signer=Signer(secret),
        passes=passes,
        outgoing=outgoing,
        secrets=secrets,
        live=Live(make_loader(settings, secrets.sealer, _callout(settings, outgoing, passes))),
        environ=environ,
        observers=observers,
    )


def missing_plugin_folders(settings: Settings) -> Iterator[str]:
    """The faults of plugin folders that do not exist."""
    for name, folder in zip(settings.plugins.plugins_base_dirs, settings.plugin_dirs, strict=True):
        if not folder.is_dir():
            yield f"--plugins_base_dirs: {name}: no folder at {folder}; make it first"


def make_loader(settings: Settings, sealer: Opener, callout: object) -> Loader:
    """The loader of the plugin folders; raises BadResource for a missing folder."""
    for fault in missing_plugin_folders(settings):
        raise BadResource(fault)
    template = settings.uploads.template
    context = BuildContext(
        names=granted(callout=callout, options=Options(settings)),
        sealer=sealer,
        reserved=lambda public: _reserved(public, template),
        question_limit=settings.events.lambda_sync_timeout,
    )
    return Loader(settings.plugin_dirs, context)


def make_reading_loader(settings: Settings) -> Loader:
    """The loader of a command, which makes nothing on disk; raises BadResource."""
    directory = settings.storage.state_dir
    # Raises for the format of a newer version.
    read_format(directory)
    return make_loader(settings, opener_of(directory), callout=None)


def make_gateway(settings: Settings, at: DataFormat | None = None) -> Gateway:
    """The fields of events that depend on where this gateway is.

    By its settings; for a command, which may have others, by those of its last start (`at`).
    """
    return Gateway(
        address=at.address if at else settings.server.advertised_host,
        port=at.port if at else settings.server.advertised_port,
        stores={FILE_STORE: os.path.join(settings.storage.root, "")},
    )


def event_secret(data_dir: DataDir, settings: EventSettings) -> bytes:
    """The key for signing events, from the settings or from its file; raises BadResource."""
    if settings.event_secret is None:
        return data_dir.key("event.key")
    return base64.b64encode(settings.event_secret.value.encode())


def _callout(settings: Settings, outgoing: Outgoing, passes: Passes) -> Callout:
    gateways = Gateways(
        default=lambda: settings.server.advertised,
        scheme=passes.scheme,
        credential=passes.issue,
        sign_depth=GateDepths(passes=passes).sign,
        sign_ids=CallerIds(passes=passes).headers,
        certfile=str(settings.server.certfile) if settings.server.certfile else None,
    )
    timeouts = Timeouts(
        connect=settings.plugins.callout_connect_timeout,
        request=settings.plugins.callout_request_timeout,
    )
    return Callout(outgoing, gateways, timeouts)


def _reserved(public: PathTemplate, upload: PathTemplate) -> str | None:
    """Reason why a route cannot have this path, or None."""
    if public.text == "/-" or public.text.startswith(("/-/", "/{")):
        return "could take paths under /-/, which are APIGW's own"
    if upload.match(public.text):
        return f"is taken by --file_upload_api_path={upload.text}"
    return None
