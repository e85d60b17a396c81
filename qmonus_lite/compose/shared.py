"""Parts that APIGW and workers both have: secrets, plugins, callouts."""

import hashlib
import hmac
from collections.abc import Mapping

from qmonus_lite.auth.caller_ids import CallerIds
from qmonus_lite.auth.callout_pass import Passes
from qmonus_lite.auth.gate_depth import GateDepths
from qmonus_lite.auth.sealing import sealer_of
from qmonus_lite.auth.tokens import Minter
from qmonus_lite.catalog.live import Live
from qmonus_lite.catalog.secret_values import SecretResolver
from qmonus_lite.clock import Clock
from qmonus_lite.compose.gateway import event_secret
from qmonus_lite.compose.plugin_loader import make_loader
from qmonus_lite.datadir import DataDir
from qmonus_lite.observations import NO_OBSERVERS, Observers
from qmonus_lite.scripting.builtins.callout import Callout, Gateways, Timeouts
from qmonus_lite.scripting.builtins.outgoing import Outgoing
from qmonus_lite.settings.table import Settings
from qmonus_lite.transports.http.signature import Signer
from qmonus_lite.values import Value

#: Maximum number of script threads; with more concurrent scripts, several share a thread.
MAX_SCRIPT_THREADS = 32


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
