"""What a process of each kind does not import: it would start later and take more memory."""

import subprocess
import sys
from pathlib import Path

import pytest

#: Libraries of callouts and scripts, that only a script or a route to a backend needs.
_OF_SCRIPTS = {"aiohttp", "yarl", "box", "yaml", "jsonschema", "aiofiles", "botocore"}
#: Everything that belongs to plugins and HTTP.
_OF_SERVERS = {
    *_OF_SCRIPTS,
    *("cryptography", "jwt", "jsonschema_rs", "ruamel", "tornado.web", "watchfiles"),
    *("qmonus_lite.apigw", "qmonus_lite.catalog", "qmonus_lite.http", "qmonus_lite.routing"),
    *("qmonus_lite.scripting", "qmonus_lite.worker"),
}
_LOOK_UP = "from qmonus_lite.cli import main\nmain.COMMANDS[{!r}]\n"
_COMPOSE = """
import os
from pathlib import Path
from qmonus_lite.cli import main
from qmonus_lite.settings.table import Settings
main.COMMANDS[{command!r}]
from qmonus_lite.compose.{module} import compose_{module} as compose
server = compose(Settings.of(base_dir=Path.cwd(), port=0, lambda_port=0), {{}}{more})
"""
_MODULES = "import sys\nprint(*sys.modules)\n"


@pytest.mark.parametrize(
    ("program", "not_imported"),
    [
        (_LOOK_UP.format("up"), {*_OF_SERVERS, "tornado", "sqlite3", "uvloop"}),
        (_LOOK_UP.format("nodes"), {*_OF_SERVERS, "tornado", "sqlite3", "uvloop"}),
        (_LOOK_UP.format("events"), {*_OF_SERVERS, "tornado", "uvloop"}),
        (_LOOK_UP.format("check"), {*_OF_SCRIPTS, "cryptography", "sqlite3", "uvloop"}),
        (_LOOK_UP.format("token"), {*_OF_SCRIPTS, "sqlite3", "uvloop", "watchfiles"}),
        (_COMPOSE.format(command="writer", module="writer", more=""), _OF_SERVERS),
        (
            _COMPOSE.format(command="apigw", module="apigw", more=", print"),
            {*_OF_SCRIPTS, "jsonschema_rs"},
        ),
        (
            _COMPOSE.format(command="lambda", module="worker", more=""),
            {*_OF_SCRIPTS, "cryptography", "jwt", "jsonschema_rs", "qmonus_lite.http"},
        ),
    ],
    ids=["up", "nodes", "events", "check", "token", "writer", "apigw", "lambda"],
)
def test_a_process_does_not_import(program: str, not_imported: set[str], tmp_path: Path) -> None:
    (tmp_path / "plugins").mkdir()
    command = [sys.executable, "-c", program + _MODULES]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    assert ran.returncode == 0, ran.stderr
    assert not_imported & set(ran.stdout.split()) == set()
