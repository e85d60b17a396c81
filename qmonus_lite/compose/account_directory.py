"""The accounts and roles of the active catalog, with those of the product."""

from qmonus_lite.auth.account import EVERYTHING, Directory, with_local_admin
from qmonus_lite.catalog.live import Live
from qmonus_lite.catalog.plugins import Catalog


class AccountDirectory:
    """Makes the directory once for each catalog."""

    def __init__(self, live: Live, *, has_admin: bool) -> None:
        """`has_admin`: whether there is a local admin."""
        self._live = live
        self._has_admin = has_admin
        self._cached: tuple[Catalog, Directory] | None = None

    def current(self) -> Directory:
        """The directory of the active catalog."""
        catalog = self._live.catalog
        if self._cached is None or self._cached[0] is not catalog:
            roles = {EVERYTHING.name: EVERYTHING, **catalog.roles}
            directory = Directory(accounts=catalog.accounts, roles=roles)
            directory = with_local_admin(directory) if self._has_admin else directory
            self._cached = catalog, directory
        return self._cached[1]
