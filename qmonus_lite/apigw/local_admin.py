"""Local `admin` account for a start without accounts: token file and example curl command."""

import asyncio
import logging
import shlex
from dataclasses import dataclass
from pathlib import Path

from qmonus_lite.auth.account import LOCAL_ADMIN
from qmonus_lite.auth.gatekeeper import Gatekeeper
from qmonus_lite.datadir import DataDir
from qmonus_lite.errors import BadResource
from qmonus_lite.pathtemplate import PathTemplate

logger = logging.getLogger(__name__)

TOKEN_FILE = "admin.token"


@dataclass(frozen=True, kw_only=True)
class LocalAdmin:
    """Maintains a valid token of the local admin in the data directory."""

    data_dir: DataDir
    gatekeeper: Gatekeeper

    @property
    def path(self) -> Path:
        """Path of the token file."""
        return self.data_dir.path / TOKEN_FILE

    def write(self) -> None:
        """Write a new token to the file, mode 0600. Raises BadResource."""
        token = self.gatekeeper.token_for(LOCAL_ADMIN.username)
        try:
            self.data_dir.write_private(TOKEN_FILE, token.token + "\n")
        except OSError as error:
            reason = error.strerror or error
            raise BadResource(f"{self.path}: the token cannot be written: {reason}") from None

    async def renew(self) -> None:
        """Write a new token now and every half of its lifetime, until cancelled.

        A failed write ends this task; it writes at once when it is restarted. Raises BadResource.
        """
        while True:
            self.write()
            await asyncio.sleep(self.gatekeeper.token_ttl / 2)


def wanted(data_dir: DataDir, has_accounts: bool) -> bool:
    """True if the local admin is enabled: no accounts, or its token file exists already."""
    return not has_accounts or (data_dir.path / TOKEN_FILE).exists()


def curl_line(base_url: str, template: PathTemplate, data_dir: DataDir | None) -> str:
    """A curl command that uploads a file; it reads the token from its file, never prints it."""
    names = {name: name.upper() for name in template.names}
    path = template.fill(names | {"filepath": "big.bin", "filename": "big.bin"})
    url = shlex.quote(base_url + path)
    if data_dir is None:
        return f"curl -T big.bin {url}"
    file = shlex.quote(str(data_dir.path / TOKEN_FILE))
    return f'curl -T big.bin -H "X-Auth-Token: $(cat {file})" {url}'
