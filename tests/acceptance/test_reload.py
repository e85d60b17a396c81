"""SIGHUP: plugins and certificate are read again, and the service goes on."""

import os
import shutil
import signal
import ssl
from pathlib import Path

from tests.acceptance.harness import Installation
from tests.acceptance.process import until
from tests.certificate import make_certificate


def served(installation: Installation) -> str:
    return ssl.get_server_certificate(("127.0.0.1", installation.port))


def test_sighup_reads_plugins_and_certificate_again_and_a_bad_certificate_changes_nothing(
    tmp_path: Path, tls_files: tuple[Path, Path]
) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    shutil.copy(tls_files[0], cert)
    shutil.copy(tls_files[1], key)
    installation = Installation(tmp_path / "installation", scheme="https")
    try:
        up = installation.up(f"--certfile={cert}", f"--keyfile={key}")
        assert served(installation) == tls_files[0].read_text()
        pids = dict(up.children)

        new_cert, new_key = make_certificate(tmp_path)
        new = new_cert.read_text()
        new_cert.replace(cert)
        new_key.replace(key)
        os.kill(up.pid, signal.SIGHUP)
        until(lambda: served(installation) == new, report=lambda: installation.log)
        # Both processes, though no plugin changed.
        until(lambda: installation.log.count("plugins_loaded") == 2)

        cert.write_text("nonsense")
        os.kill(up.pid, signal.SIGHUP)
        until(lambda: "certificate_kept" in installation.log, report=lambda: installation.log)
        assert served(installation) == new
        assert installation.ready and up.children == pids
        assert up.stop() == 0
    finally:
        installation.end()
