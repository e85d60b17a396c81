"""A real Prometheus server that scrapes an installation, and its tool `promtool`."""

import json
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.harness import Installation
from tests.acceptance.process import SOON, TOP, Running, environment, free_port

#: What the pages give to operators.
DEPLOY = TOP / "docs" / "deploy"
CONFIG = """\
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ["{rules}"]
scrape_configs:
- job_name: qmonus-lite
  metrics_path: /-/metrics
  basic_auth: {{username: prometheus, password_file: {key}}}
  static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""

needed = pytest.mark.skipif(
    not (shutil.which("promtool") and shutil.which("prometheus")),
    reason="no promtool and prometheus here: apt-get install prometheus",
)


def promtool(*arguments: str, stdin: str = "") -> None:
    """Run promtool, which has to succeed and to have nothing to say against it."""
    done = subprocess.run(
        ["promtool", *arguments],
        input=stdin,
        cwd=DEPLOY,
        capture_output=True,
        text=True,
        timeout=SOON,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr


class Prometheus:
    """A server on a free port; scrapes an installation by an account with the role `metrics`."""

    def __init__(self, installation: Installation, key: str, folder: Path) -> None:
        folder.mkdir()
        (folder / "key").write_text(key)
        config = folder / "prometheus.yml"
        text = CONFIG.format(
            rules=DEPLOY / "alerts.yml", key=folder / "key", port=installation.port
        )
        config.write_text(text)
        self._url = f"http://127.0.0.1:{(port := free_port())}/api/v1/"
        self.process = Running(
            [
                "prometheus",
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            cwd=folder,
            environ=environment(folder),
            output=folder / "prometheus",
        )

    def api(self, path: str, **arguments: str) -> Any:
        """The data of an answer; None while the server does not answer yet."""
        query = urllib.parse.urlencode(arguments)
        try:
            with urllib.request.urlopen(f"{self._url}{path}?{query}", timeout=5) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            if error.code == 503:
                # It is starting.
                return None
            pytest.fail(f"{path} {arguments}: {error.read().decode()}")
        except OSError:
            return None

    def query(self, expression: str) -> list[Any]:
        """The time series of an expression, now."""
        found = self.api("query", query=expression)
        return found["result"] if found else []


def dashboard_queries() -> list[str]:
    """Every query of the dashboard, with Grafana's variables filled in."""
    dashboard = json.loads((DEPLOY / "grafana.json").read_text())
    return [
        target["expr"].replace("$__rate_interval", "20s").replace("$instance", ".*")
        for panel in dashboard["panels"]
        for target in panel.get("targets", ())
    ]
