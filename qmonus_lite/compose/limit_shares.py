"""The share of one of several APIGWs in the limits that apply to all of them together."""

from dataclasses import replace

from qmonus_lite.settings.table import Settings


def share_of_limits(settings: Settings) -> Settings:
    """The settings of one of several APIGWs, with its share of the limits that apply to all."""

    def share(total: int) -> int:
        return -(-total // settings.server.apigw_processes)

    server, uploads, plugins = settings.server, settings.uploads, settings.plugins
    return replace(
        settings,
        server=replace(server, max_connections=share(server.max_connections)),
        uploads=replace(uploads, max_uploads=share(uploads.max_uploads)),
        plugins=replace(plugins, curl_max_clients=share(plugins.curl_max_clients)),
    )
