"""No inotify instance is left: changes of plugins are seen all the same."""

import subprocess

import pytest

from qmonus_lite.auth import apikey
from tests.acceptance.harness import Installation
from tests.acceptance.process import until

ROLE = "- name: writer\n  authorities: [{regex: /upload/, methods: [PUT]}]\n"
GATE = """\
name: gate
event: APIGW.OnFileUploading
script: |-
  async def gate(event, handle):
      await handle.terminate(code=451, output="closed")
"""
#: Seconds in which a change has to be in force, with some to spare for a machine that is busy.
SOON = 3.0


#: Runs a command in a user namespace that has none.
SCRIPT = 'echo 0 > /proc/sys/user/max_inotify_instances && exec "$@"'
WITHOUT = ("unshare", "-Ur", "sh", "-c", SCRIPT, "sh")


def is_possible() -> bool:
    """Whether this machine has user namespaces for us."""
    try:
        tried = subprocess.run([*WITHOUT, "true"], capture_output=True, check=False)
    except FileNotFoundError:
        return False
    return tried.returncode == 0


def test_a_removed_account_and_a_new_gate_are_in_force_within_moments(
    installation: Installation,
) -> None:
    if not is_possible():
        pytest.skip("needs user namespaces (unshare -Ur)")
    key = apikey.new_key()
    installation.plugin("roles.yml", ROLE)
    account = installation.plugin(
        "ann.yml", f"- {{username: ann, role: writer, api_key_hash: '{apikey.digest(key)}'}}\n"
    )
    installation.up(within=WITHOUT)
    token = installation.log_on(key)
    file = installation.file("f", b"content")

    def upload() -> int:
        return installation.upload(file, "/upload/f", token=token).status

    assert upload() == 201
    account.unlink()
    until(lambda: upload() == 401, within=SOON)
    # The worker sees it for itself.
    installation.plugin("gate.yml", GATE)
    until(lambda: upload() == 451, within=SOON)

    assert installation.log.count("plugins: watched by polling every 700 ms: ") == 2
    assert installation.ready
