"""The command that prints a token, for the line with the first upload to try."""

from collections.abc import Sequence
from datetime import datetime

from qmonus_lite.apigw.local_admin import example_path
from qmonus_lite.auth.account import Directory
from qmonus_lite.settings.table import Settings


def token_command(directory: Directory, settings: Settings, now: datetime) -> Sequence[str]:
    """For the first account by name that may upload; empty if there is none."""
    path = example_path(settings.uploads.template)
    for name, account in sorted(directory.accounts.items()):
        roles = [directory.roles[role] for role in account.roles if role in directory.roles]
        expired = account.expires_at is not None and account.expires_at <= now
        if not expired and any(role.allows("PUT", path) for role in roles):
            return ("qmonus-lite", "token", name, *settings.directory_flags)
    return ()
