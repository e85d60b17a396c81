"""Who may upload: the default authorization, a handler, and a worker that is not there."""

import signal

import pytest

from tests.acceptance.curl import Answer
from tests.acceptance.harness import Installation
from tests.acceptance.process import Running, until

TEAM = """\
- name: team
  authorities:
    - regex: /upload/team/
      methods: [PUT]
    - regex: /upload/ガード/
      methods: [PUT]
    - regex: /upload/open/[^K]
      methods: [PUT]
"""
GATE = """\
name: gate
event: APIGW.OnFileUploading
script: |-
  async def gate(event, handle):
      if event.get("X-Key") != "open sesame":
          await handle.terminate(code=403, output={"reason": "wrong word"})
"""
#: What lets an upload through the gate.
WORD = ("-H", "X-Key: open sesame")


class SeparateProcesses:
    """An APIGW and a worker, each started by its own command; no handler, one account `alice`."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        installation.plugin("roles.yml", TEAM)
        self.key = installation.account("alice", "team")
        self.file = installation.file("f", b"content")
        self.installation.start("apigw", "--lambda_sync_timeout=1")
        until(lambda: installation.live, report=lambda: installation.log)

    def start_worker(self) -> Running:
        """Start the worker and wait until it answers."""
        worker = self.installation.start("lambda")
        until(lambda: self.installation.ready, report=lambda: self.installation.log)
        return worker

    def log_on_status(self, key: str) -> int:
        return self.installation.curl("/-/logon", "-X", "POST", "-H", f"X-API-Key: {key}").status

    def upload(self, path: str, *arguments: str, token: str | None = None) -> Answer:
        return self.installation.upload(self.file, path, *arguments, token=token)


@pytest.fixture
def apart(installation: Installation) -> SeparateProcesses:
    """An APIGW whose worker a test may start and end."""
    return SeparateProcesses(installation)


@pytest.fixture(scope="module")
def guarded(shared: Installation) -> SeparateProcesses:
    """An APIGW with a worker, for the tests that only ask."""
    guarded = SeparateProcesses(shared)
    guarded.start_worker()
    return guarded


def judged_by_default(apart: SeparateProcesses) -> list[int]:
    """Status without a token, with a bad one, outside and inside of what alice may."""
    token = apart.installation.log_on(apart.key)
    return [
        apart.upload("/upload/team/judged").status,
        apart.upload("/upload/team/judged", token="bad").status,
        apart.upload("/upload/elsewhere/judged", token=token).status,
        apart.upload("/upload/team/judged", token=token).status,
    ]


def test_without_a_handler_an_account_needs_a_role_that_allows_it(
    guarded: SeparateProcesses,
) -> None:
    assert judged_by_default(guarded) == [401, 401, 403, 201]
    stored = guarded.installation.stored()
    assert "upload/team/judged" in stored
    assert "upload/elsewhere" not in stored


def test_roles_judge_a_name_as_it_is_stored(guarded: SeparateProcesses) -> None:
    token = guarded.installation.log_on(guarded.key)

    assert guarded.upload("/upload/open/KEYS", token=token).status == 403
    assert guarded.upload("/upload/open/%E2%84%AAEYS", token=token).status == 403
    # As Linux and as macOS write the same name.
    for name in ("%E3%82%AC%E3%83%BC%E3%83%89", "%E3%82%AB%E3%82%99%E3%83%BC%E3%83%88%E3%82%99"):
        assert guarded.upload(f"/upload/{name}/x", token=token).status in {200, 201}
    stored = guarded.installation.stored()
    assert "upload/ガード/x" in stored
    assert "upload/open" not in stored


def test_a_refusal_is_a_problem_that_names_itself(guarded: SeparateProcesses) -> None:
    answer = guarded.upload("/upload/team/f")

    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.json["request_id"] == answer.headers["X-Request-Id"]
    assert (answer.json["status"], answer.json["title"]) == (401, "Unauthorized")


def test_a_token_is_good_as_a_bearer_too(guarded: SeparateProcesses) -> None:
    token = guarded.installation.log_on(guarded.key)

    answer = guarded.upload("/upload/team/bearer", "-H", f"Authorization: Bearer {token}")

    assert answer.status == 201


def test_logon_refuses_another_key(guarded: SeparateProcesses) -> None:
    answer = guarded.installation.curl("/-/logon", "-X", "POST", "-H", "X-API-Key: qml_other")

    assert answer.status == 401


def test_an_account_that_comes_or_goes_does_so_at_once(guarded: SeparateProcesses) -> None:
    key = guarded.installation.account("bob", "team")
    # The command has written the plugin; APIGW has a second to see it.
    until(lambda: guarded.log_on_status(key) == 200, within=1)
    token = guarded.installation.log_on(key)
    assert guarded.upload("/upload/team/of-bob", token=token).status == 201

    (guarded.installation.plugins / "accounts" / "bob.yml").unlink()

    until(lambda: guarded.upload("/upload/team/of-bob", token=token).status == 401, within=1)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_without_a_handler_a_worker_that_is_away_changes_nothing(
    apart: SeparateProcesses, how: signal.Signals
) -> None:
    worker = apart.start_worker()

    worker.send(how)

    assert judged_by_default(apart) == [401, 401, 403, 201]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_with_a_handler_nothing_is_stored_while_the_worker_is_away(
    apart: SeparateProcesses, how: signal.Signals
) -> None:
    apart.installation.plugin("gate.yml", GATE)
    worker = apart.start_worker()
    assert apart.upload("/upload/before", *WORD).status == 201

    worker.send(how)
    answer = apart.upload("/upload/meanwhile", *WORD)

    assert answer.status == 503
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert apart.installation.stored() == ["upload", "upload/before"]


def test_uploads_work_again_when_the_worker_is_back(apart: SeparateProcesses) -> None:
    apart.installation.plugin("gate.yml", GATE)
    apart.start_worker().kill()
    until(lambda: not apart.installation.ready)

    apart.start_worker()

    assert apart.upload("/upload/f", *WORD).status == 201


def test_a_handler_is_asked_instead_of_the_default(apart: SeparateProcesses) -> None:
    apart.installation.plugin("gate.yml", GATE)
    apart.start_worker()
    token = apart.installation.log_on(apart.key)

    refused = apart.upload("/upload/team/f", token=token)
    let_in = apart.upload("/upload/elsewhere/f", *WORD)

    assert (refused.status, refused.json) == (403, {"reason": "wrong word"})
    assert let_in.status == 201


def test_nothing_is_stored_before_the_first_word_of_a_worker(apart: SeparateProcesses) -> None:
    token = apart.installation.log_on(apart.key)

    ready = apart.installation.curl("/-/ready")
    answer = apart.upload("/upload/team/f", token=token)

    assert (ready.status, answer.status) == (503, 503)
    assert "worker" in ready.json["detail"]
    assert answer.headers["Retry-After"]
    assert apart.installation.stored() == []
