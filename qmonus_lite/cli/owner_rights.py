"""Rights of commands that root runs: those of the owner of the data directory.

A file that root made beside a service of another user could not be read by that service.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qmonus_lite import ownership
from qmonus_lite.errors import StartupError
from qmonus_lite.settings.table import Settings


@contextmanager
def of_data_dir(settings: Settings) -> Iterator[None]:
    """Run a command of root with the rights of the owner of the data directory.

    Before there is one, with those of the owner of the directory that it would be made in. Raises
    BadResource.
    """
    directory = settings.storage.state_dir
    owner = ownership.owner_of(directory)
    with ownership.rights_of(owner):
        try:
            yield
        except StartupError:
            if os.getuid() == 0 != os.geteuid():
                text = f"qmonus-lite: ran with the rights of {owner.name}, who owns {directory}"
                print(text, file=sys.stderr)
            raise


@contextmanager
def of_folder(folder: Path) -> Iterator[ownership.Owner]:
    """Write with the rights of the owner of a folder, if root runs the command.

    Yields the owner of the data directory, who has to be able to read what is written.
    """
    service = ownership.Owner(uid=os.geteuid(), gid=os.getegid())
    with ownership.rights_of(ownership.owner_of(folder)):
        yield service


def share(path: Path, service: ownership.Owner) -> None:
    """Let the service, but no other user, read a new file that it does not own."""
    if service.uid != os.geteuid():
        os.chown(path, -1, service.gid)
        path.chmod(0o640)
