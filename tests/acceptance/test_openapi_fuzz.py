"""Schemathesis on the description of everything served: no 5xx, and answers as described."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.edge.table.documents import ROUTE
from tests.acceptance.harness import Installation
from tests.acceptance.process import TOP
from tests.acceptance.servers import Rclone

#: The command of the package schemathesis, beside the Python that runs the tests.
ST = shutil.which("st", path=str(Path(sys.executable).parent)) or "st"
#: What it tries; another seed tries other things.
SEED = 20261122
#: Operations, the seconds for them, and what is checked. What routes answer is up to their plugins.
RUNS = {
    "routes": ("--exclude-path-regex=^/(-|upload)/", 14, "not_a_server_error"),
    "endpoints": (
        "--include-path-regex=^/(-|upload)/",
        8,
        "not_a_server_error,response_schema_conformance,content_type_conformance",
    ),
}

#: A small API: resources, a query, headers and bodies with schemas; half of it has a backend.
API = """\
- authorities: ["{place}"]
  proxy: {{path: "/v1/files/{{name}}"}}
  target: {{path: "/{{name}}"}}
- authorities: ["{place}"]
  proxy: {{path: "/v1/folders/{{folder}}/files/{{name}}", authorization: {{auth_mode: none}}}}
  target: {{path: "/{{folder}}-{{name}}"}}
  request_forbidden_process: |-
    request.headers["X-Folder"] = urllib.parse.quote(resources["folder"])
  response_forbidden_process: |-
    logger.info("%s %s", response.code, parameters)
  spec:
    - method: GET
      schema:
        request:
          params: {{type: object, properties: {{size: {{type: integer, minimum: 1}}}}}}
    - method: PUT
- authorities: [localhost]
  proxy: {{path: "/v1/orders/{{number}}"}}
  request_forbidden_process: |-
    order = json.loads(request.body) if request.body else {{}}
    return 200, {{"number": resources["number"], "what": order.get("what"), "by": parameters}}
  spec:
    - method: GET
      schema:
        request:
          resources:
            type: object
            properties: {{number: {{type: string, pattern: "^[0-9]{{1,9}}$"}}}}
          headers:
            type: object
            required: [X-Reason]
            properties: {{X-Reason: {{type: string, minLength: 1, maxLength: 40}}}}
    - method: PATCH
      schema:
        request:
          body:
            type: object
            required: [what]
            additionalProperties: false
            properties:
              what: {{type: string, maxLength: 100}}
              amount: {{type: integer, minimum: 1, default: 1}}
              parts: {{type: array, items: {{type: object}}}}
          params:
            type: object
            properties: {{urgent: {{type: boolean}}, tags: {{type: array}}}}
"""


@pytest.mark.parametrize("run", RUNS)
def test_whatever_the_description_allows_or_not_is_no_5xx(
    installation: Installation, webdav: Rclone, run: str
) -> None:
    chosen, seconds, checks = RUNS[run]
    for sample in (TOP / "plugins").glob("*.yml"):
        installation.plugin(sample.name, sample.read_text())
    installation.plugin("things.yml", ROUTE)
    installation.plugin("api.yml", API.format(place=webdav.place))
    installation.up()
    token = f"X-Auth-Token: {installation.token}"
    described = installation.curl("/-/openapi.json", "-H", token)
    operations = sum(map(len, described.json["paths"].values()))

    done = subprocess.run(
        [ST, "run", f"{installation.url}/-/openapi.json", "-H", token]
        + [chosen, f"--checks={checks}", f"--max-time={seconds}", f"--seed={SEED}"]
        + ["--phases=examples,coverage,fuzzing", "--continue-on-failure", "--warnings=off"],
        cwd=installation.folder,
        env=installation.environ,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert operations >= 10
    assert "request_failed" not in installation.log
    assert json.loads(installation.curl("/-/ready").text) == {"ready": True}
