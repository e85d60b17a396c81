"""Settings of plugins: their folders, and limits of their scripts and requests."""

from dataclasses import dataclass

from qmonus_lite.settings import values
from qmonus_lite.settings.field import flag


@dataclass(frozen=True, kw_only=True)
class PluginSettings:
    """Plugin folders, and limits of scripts and of their outgoing requests."""

    plugins_base_dirs: tuple[str, ...] = flag(
        ("plugins",),
        "comma list of plugin folders",
        example="--plugins_base_dirs=plugins,/etc/qmonus-lite/plugins",
        reader=values.names,
    )
    route_script_timeout: float = flag(
        3600.0,
        "seconds for one script of a route, unless the route has a timeout of its own",
        example="--route_script_timeout=2h",
        reader=values.seconds,
    )
    callout_connect_timeout: float = flag(
        60.0,
        "seconds for a connection of callout",
        example="--callout_connect_timeout=5",
        reader=values.seconds,
    )
    callout_request_timeout: float = flag(
        60.0,
        "seconds for a whole request of callout; one to our own APIGW lasts as long as its script",
        example="--callout_request_timeout=600",
        reader=values.seconds,
    )
    curl_max_clients: int = flag(
        256,
        "concurrent outgoing requests of callout and of routing, each",
        example="--curl_max_clients=64",
        reader=values.count,
    )
