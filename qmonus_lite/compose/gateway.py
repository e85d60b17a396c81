"""Parts that need no plugins: the gateway in events, the key of event signatures."""

import base64
import os

from qmonus_lite.data_format import DataFormat
from qmonus_lite.datadir import DataDir
from qmonus_lite.events.gateway import Gateway
from qmonus_lite.settings.events import EventSettings
from qmonus_lite.settings.table import Settings

#: Name of the store of files below the launch directory, in events.
FILE_STORE = "file"
#: Size of the thread pool for disk I/O, whose threads mostly wait for the disk.
DISK_THREADS = 32


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
