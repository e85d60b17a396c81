"""`why` and `records forget`, on the data directory of a gateway that does not run."""

import json
import os

import pytest

from qmonus_lite.cli.commands import COMMANDS
from qmonus_lite.cli.explanation import Style, explain, explain_attempts
from qmonus_lite.clock import Clock
from qmonus_lite.errors import Refusal
from qmonus_lite.records.recorder import _statements
from qmonus_lite.records.store import FILE, RecordStore
from tests.unit.cli.conftest import Shell
from tests.unit.records.observed import BOUNDS, GATE, refused, stored, tried

NOW = 1_800_000_000.0
PLAIN = Style(colours=False)

DEAD = """\
Stored at /upload/a b; its event was given up after 2 attempts: a dead letter
  what      PUT /upload/a b
  when      2027-01-15T07:59:57.000+00:00
  who       account kim, from 10.0.0.1
  took      3.00 s: decision 1.00 s, body 1.50 s, publication 500.0 ms
  bytes     7
  request   r1
  upload    u1
  event     u1
  handler   gate  500.0 ms  /p/gate.yml:4  (sha256 01ab…)
event APIGW.OnFileUploaded  u1
     1  2027-01-15T08:00:00.000+00:00  retry      503  250.0 ms  http://w:1  again after 2.00 s
        handler   gate  500.0 ms  /p/gate.yml:4  (sha256 01ab…)
        why       503: not yet
        rule      failed
     2  2027-01-15T08:00:00.000+00:00  dead       422  250.0 ms  http://w:1
        handler   gate  500.0 ms  /p/gate.yml:4  (sha256 01ab…)
        why       never
        rule      Error
        where     /p/done.yml:9  (sha256 23cd…)
"""


@pytest.fixture
def store(shell: Shell) -> RecordStore:
    """The records of a dead letter and of a refused upload."""
    shell.state.mkdir()
    store = RecordStore(shell.state / FILE, Clock("UTC"), migrates=True)
    never = Refusal(
        plugin="done", file="/p/done.yml", line=9, content_hash="23cd", rule="Error", reason="never"
    )
    observed = (
        stored(event_id="u1", handlers=(GATE,)),
        tried(outcome="retry", code=503, reason="503: not yet", delay=2.0),
        tried(attempt=2, outcome="dead", code=422, reason="422: never", refusal=never),
        refused(request_id="r2", upload_id="u2", path="/upload/%1b[2J%e2%80%ae", account=None),
    )
    store.write(_statements([(entry, NOW) for entry in observed]), BOUNDS)
    return store


@pytest.mark.usefixtures("store")
def test_explains_an_upload_by_each_of_its_ids(shell: Shell) -> None:
    texts = {shell.run("why", wanted, "--timezone=UTC").out for wanted in ("r1", "u1")}

    assert texts == {DEAD}


@pytest.mark.usefixtures("store")
def test_shows_nothing_that_a_terminal_obeys(shell: Shell) -> None:
    lines = shell.run("why", "r2").out.splitlines()

    assert lines[0] == "Refused with 403 by plugin gate: no"
    assert lines[1] == "  what      PUT /upload/\\x1b[2J\\u202e"
    assert lines[3] == "  who       no account, from 10.0.0.1"


@pytest.mark.parametrize(
    ("status", "rule", "sentence"),
    [
        (500, "KeyError", "Refused with 500, as plugin gate failed: KeyError: no"),
        (504, "timeout", "Refused with 504, as plugin gate failed: timeout: no"),
        (503, "terminate", "Refused with 503 by plugin gate: no"),
        (503, "Error", "Refused with 503 by plugin gate: no"),
    ],
)
def test_says_whether_a_plugin_failed_or_refused(
    store: RecordStore, status: int, rule: str, sentence: str
) -> None:
    by_plugin = Refusal(plugin="gate", file="/p/gate.yml", line=6, rule=rule, reason="no")
    failed = refused(request_id="r3", status=status, refusal=by_plugin)
    store.write(_statements([(failed, NOW)]), BOUNDS)

    assert explain(store.find("r3")[0], PLAIN).splitlines()[0] == sentence


@pytest.mark.usefixtures("store")
def test_gives_the_same_as_json(shell: Shell) -> None:
    given = json.loads(shell.run("why", "r2", "--json", "--timezone=UTC").out)

    [record] = given["records"]
    assert given["attempts"] == []
    assert record["cause"]["line"] == 6 and "account" not in record


def test_colours_the_sentence_and_labels_for_a_terminal(store: RecordStore) -> None:
    [record] = store.find("r2")

    text = explain(record, Style(colours=True))

    assert text.startswith("\x1b[31mRefused with 403 by plugin gate: no\x1b[0m\n")
    assert explain(record, PLAIN).count("\x1b") == 0


def test_an_event_without_a_record_of_its_upload_is_explained_by_its_attempts(
    store: RecordStore,
) -> None:
    store.write(_statements([(tried(event_id="e9", request_id="", upload_id=""), NOW)]), BOUNDS)

    text = explain_attempts(store.attempts(event_id="e9"), PLAIN)

    assert text.startswith("delivered, attempt 1\nevent APIGW.OnFileUploaded  e9\n     1  2027")


@pytest.mark.usefixtures("store")
def test_says_what_it_does_not_find_or_understand(shell: Shell) -> None:
    assert shell.refused("why", "other").startswith("why: no record has the id 'other', in full; ")
    assert "no record has the id 'a\\\\udcff'" in shell.refused("why", "a\udcff")
    assert shell.refused("why").startswith("why: expected one id, as in 'why ID'")
    assert shell.refused("records", "forget").startswith("records: expected 'forget --account=")
    both = ("records", "forget", "--account=a", "--path=/a")
    assert shell.refused(*both).startswith("records: expected 'forget")
    assert shell.refused("records", "forget", "--path=a").startswith("--path=a: a path begins")


def test_without_records_it_says_so_and_makes_none(shell: Shell) -> None:
    assert "no records here; has an APIGW run on it?" in shell.refused("why", "r1")
    assert not (shell.state / FILE).exists()


@pytest.mark.usefixtures("store")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for other users")
@pytest.mark.parametrize("command", [("why", "r1"), ("events", "list")])
def test_another_user_is_told_which_file_and_whom_to_run_as(
    command: tuple[str, str], shell: Shell
) -> None:
    shell.state.chmod(0o700)
    # Python itself may be installed where that user cannot read.
    assert COMMANDS[command[0]].flags
    os.seteuid(65534)
    try:
        said = shell.refused(*command)
    finally:
        os.seteuid(0)

    assert said.startswith(str(shell.state)), said
    assert "Permission denied; run as the user who runs the gateway" in said


@pytest.mark.usefixtures("store")
def test_forgets_and_says_how_many(shell: Shell) -> None:
    account = shell.run("records", "forget", "--account=kim").out
    path = shell.run("records", "forget", "--path=/upload").out

    assert [text.partition(" ")[0] for text in (account, path)] == ["1", "1"]
    assert account.rstrip().endswith("log, outbox and stored files are as they were")
    assert "no record has the id" in shell.refused("why", "r1")


def test_a_broken_file_is_one_clear_error(shell: Shell) -> None:
    shell.state.mkdir()
    (shell.state / FILE).write_bytes(b"no database" * 1000)

    assert "records.db: not a usable database" in shell.refused("why", "r1")
