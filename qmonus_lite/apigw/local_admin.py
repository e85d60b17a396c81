"""Local `admin` account for a start without accounts: token file and example curl command."""

import logging
import shlex
from collections.abc import Sequence
from pathlib import Path

from qmonus_lite.auth.account import LOCAL_ADMIN
from qmonus_lite.auth.gatekeeper import Gatekeeper
from qmonus_lite.clock import SteadyClock
from qmonus_lite.datadir import DataDir
from qmonus_lite.errors import BadResource
from qmonus_lite.pathtemplate import PathTemplate
from qmonus_lite.values import Value

logger = logging.getLogger(__name__)

TOKEN_FILE = "admin.token"


class LocalAdmin(Value, frozen=True, kw_only=True):
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

        And when the wall clock was set, since the times in the token are of the wall clock.
        A failed write ends this task; it writes at once when it is restarted. Raises BadResource.
        """
        clock = SteadyClock(self.gatekeeper.clock)
        while True:
            self.write()
            await clock.sleep(self.gatekeeper.token_ttl / 2)


def wanted(data_dir: DataDir, has_accounts: bool) -> bool:
    """True if the local admin is enabled: no accounts, or its token file exists already."""
    return not has_accounts or (data_dir.path / TOKEN_FILE).exists()


def example_path(template: PathTemplate) -> str:
    """Path of the upload in the curl command."""
    names = {name: name.upper() for name in template.names}
    return template.fill(names | {"filepath": "big.bin", "filename": "big.bin"})


def curl_line(
    base_url: str,
    template: PathTemplate,
    data_dir: DataDir | None,
    token_command: Sequence[str] = (),
) -> str:
    """A curl command that uploads a file; it reads the token, which is never printed.

    From the file of the local admin in `data_dir`; without it, from the output of `token_command`;
    with neither, the upload has no token.
    """
    url = shlex.quote(base_url + example_path(template))
    if data_dir is not None:
        token_command = ("cat", str(data_dir.path / TOKEN_FILE))
    if not token_command:
        return f"curl -T big.bin {url}"
    return f'curl -T big.bin -H "X-Auth-Token: $({shlex.join(token_command)})" {url}'
