"""Log records, as they come out of a process."""

import json
import logging
import os
import subprocess
import sys
import warnings

import pytest

from qmonus_lite import log
from qmonus_lite.clock import Clock
from qmonus_lite.nonblocking_output import NonBlockingOutput
from qmonus_lite.redaction import register_secret

logger = logging.getLogger("qmonus_lite.sample")


def configured(style: str, level: str = "info") -> None:
    log.configure(style=style, level=level, clock=Clock("Asia/Tokyo"))


@pytest.mark.usefixtures("restored")
def test_writes_one_json_object_a_record(capsys: pytest.CaptureFixture[str]) -> None:
    configured("json")
    logger.info("took %s", "名前", extra={"action": "taken", "bytes": 3, "doing": "write"})

    record = json.loads(capsys.readouterr().err)
    assert record.pop("timestamp").endswith("+09:00")
    assert record == {
        "severity_text": "INFO",
        "severity_number": 9,
        "body": "took 名前",
        "otel.scope.name": "qmonus_lite.sample",
        "service.name": "qmonus-lite",
        "event_name": "taken",
        "http.request.body.size": 3,
        "qmonus_lite.doing": "write",
    }


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("style", ["json", "console"])
def test_names_that_are_no_text_are_shown_and_hide_nothing(
    style: str, capsys: pytest.CaptureFixture[str]
) -> None:
    register_secret("a secret of this test")
    configured(style)
    logger.info("said: a secret of this test", extra={1: "one", None: 2.5})  # type: ignore[dict-item]

    output = capsys.readouterr().err
    assert "a secret of this test" not in output and "Traceback" not in output
    assert "one" in output and "2.5" in output


@pytest.mark.usefixtures("restored")
def test_each_record_has_its_own_time(capsys: pytest.CaptureFixture[str]) -> None:
    configured("json")
    moments = (1_700_000_000.0, 1_700_000_000.25, 1_700_000_001.9996, 1_700_000_000.001)
    for moment in moments:
        record = logging.makeLogRecord({"created": moment, "levelno": logging.INFO})
        logging.getLogger().handle(record)

    lines = capsys.readouterr().err.splitlines()
    assert [json.loads(line)["timestamp"] for line in lines] == [
        "2023-11-15T07:13:20.000+09:00",
        "2023-11-15T07:13:20.250+09:00",
        "2023-11-15T07:13:21.999+09:00",
        "2023-11-15T07:13:20.001+09:00",
    ]


@pytest.mark.usefixtures("restored")
def test_a_record_for_machines_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    configured("json")
    try:
        raise ValueError("two\nlines")
    except ValueError:
        logger.exception("failed", extra={"action": "failed"})

    [line] = capsys.readouterr().err.splitlines()
    record = json.loads(line)
    assert (record["exception.type"], record["exception.message"]) == ("ValueError", "two\nlines")
    assert "ValueError: two\nlines" in record["exception.stacktrace"]


@pytest.mark.usefixtures("restored")
def test_writes_for_people_without_colours_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    configured("console")
    logger.warning("took it", extra={"action": "taken"})

    line = capsys.readouterr().err
    assert "took it" in line and "action=taken" in line and "warning" in line
    assert "\x1b" not in line


@pytest.mark.usefixtures("restored")
def test_shows_a_traceback_to_people(capsys: pytest.CaptureFixture[str]) -> None:
    configured("console")
    try:
        raise ValueError("no")
    except ValueError:
        logger.exception("failed")

    assert "ValueError: no" in capsys.readouterr().err


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("style", ["console", "json"])
def test_records_inside_a_block_carry_its_context(
    capsys: pytest.CaptureFixture[str], style: str
) -> None:
    configured(style)
    with log.bound(request_id="r1"), log.bound(event_id="e1"):
        logger.info("inside")
    logger.info("outside")

    inside, outside = capsys.readouterr().err.splitlines()
    assert "r1" in inside and "e1" in inside
    assert "r1" not in outside


@pytest.mark.usefixtures("restored")
def test_leaves_out_what_is_below_the_level(capsys: pytest.CaptureFixture[str]) -> None:
    configured("json", "warning")
    logger.info("no")
    logger.warning("yes")

    assert [json.loads(line)["body"] for line in capsys.readouterr().err.splitlines()] == ["yes"]


@pytest.mark.usefixtures("restored")
def test_tornado_says_nothing_of_requests(capsys: pytest.CaptureFixture[str]) -> None:
    configured("json")
    logging.getLogger("tornado.access").warning("GET /?token=secret")

    assert capsys.readouterr().err == ""


def test_goes_on_when_the_reader_of_its_log_is_gone() -> None:
    script = """
import logging, os
from qmonus_lite import log
from qmonus_lite.clock import Clock
from qmonus_lite.redaction import register_secret
log.configure(style="json", level="info", clock=Clock("UTC"))
logging.getLogger("x").info("into the full disk")
print("went on", flush=True)
"""
    with open("/dev/full", "wb") as full:
        done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=full)

    assert done.stdout == b"went on\n"


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("style", ["console", "json"])
def test_masks_secrets_wherever_they_stand_in_a_record(
    capsys: pytest.CaptureFixture[str], style: str
) -> None:
    configured(style)
    register_secret("s3cret-of-the-record")
    secret = "s3cret-of-the-record"
    try:
        raise ValueError(f"no {secret}")
    except ValueError:
        logger.exception("a %s", {"k": secret}, extra={"x": [secret], "y": {secret: 1}, "z": b"1"})
    logger.info("raw %r", secret.encode())

    assert secret not in capsys.readouterr().err


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("style", ["console", "json"])
def test_no_text_passes_for_a_record_or_moves_the_cursor(
    capsys: pytest.CaptureFixture[str], style: str
) -> None:
    configured(style)
    forged = "a\r\n2026-01-01 [info] forged\x1b[2J\x9b1m\u202e\u200f\u061c\x00\ud800"
    logger.info("said %s", forged, extra={"path": forged, forged: 1})

    output = capsys.readouterr().err
    assert not any(line.startswith("2026-01-01 [info]") for line in output.splitlines())
    assert set(output) & set("\x00\r\x1b\x9b\u202e\u200f\u061c\ud800") == set()


@pytest.mark.usefixtures("restored")
def test_warnings_of_python_are_records(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        configured("json")
        space = {"warn": warnings.warn, "__name__": "gate:script"}
        code = "\nwarn('old', DeprecationWarning)\nexec(inner)"
        inner = compile("warn('below', RuntimeWarning)", "/lib/library.py", "exec")
        exec(compile(code, "/plugins/gate.yml", "exec"), {**space, "inner": inner})

    own, below = map(json.loads, capsys.readouterr().err.splitlines())
    assert own["body"] == "DeprecationWarning: old" and own["severity_text"] == "WARN"
    assert (own["code.file.path"], own["code.line.number"]) == ("/plugins/gate.yml", 2)
    assert (below["code.file.path"], below["code.line.number"]) == ("/plugins/gate.yml", 3)
    assert below["qmonus_lite.raised_at"] == "/lib/library.py:1"
    assert below["event_name"] == "python_warning"


@pytest.mark.usefixtures("restored")
def test_fields_of_scripts_cannot_take_the_names_of_ours(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configured("json")
    forged = {"timestamp": "0", "qmonus_lite.request_id": "r2", "body": "x", "order": 7}
    with log.bound(request_id="r1"):
        logging.getLogger("plugin").info("said", extra=forged)

    record = json.loads(capsys.readouterr().err)
    assert (record["body"], record["qmonus_lite.request_id"], record["order"]) == ("said", "r1", 7)
    assert record["plugin.body"] == "x" and record["plugin.qmonus_lite.request_id"] == "r2"


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize(
    ("level", "text", "number"),
    [(5, "DEBUG", 5), (25, "INFO", 9), (30, "WARN", 13), (50, "FATAL", 21), (70, "FATAL", 21)],
)
def test_severities_are_those_of_opentelemetry(
    capsys: pytest.CaptureFixture[str], level: int, text: str, number: int
) -> None:
    configured("json", "debug")
    logging.getLogger().setLevel(1)
    logger.log(level, "said")

    record = json.loads(capsys.readouterr().err)
    assert (record["severity_text"], record["severity_number"]) == (text, number)


class _Shy:
    """Its text cannot be had, as of an object of a script whose `__repr__` is broken."""

    def __repr__(self) -> str:
        raise LookupError("a secret of this test")


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize(
    ("text", "arguments", "extra", "shown"),
    [
        ("%d files", ("many",), {}, "'%d files' with ('many',)"),
        ("one %s", (_Shy(),), {}, "LookupError"),
        ("fields", (), {"shy": _Shy()}, "LookupError"),
    ],
)
def test_a_record_that_cannot_be_formatted_is_a_record_that_says_so(
    text: str, arguments: tuple[object, ...], extra: dict[str, object], shown: str
) -> None:
    register_secret("a secret of this test")
    reader, writer = os.pipe()
    output = NonBlockingOutput(writer)
    log.configure(style="json", level="info", clock=Clock("UTC"), output=output)
    logger.error(text, *arguments, extra=extra)
    output.close()
    os.close(writer)
    with open(reader, encoding="utf-8") as lines:
        [line] = lines

    record = json.loads(line)
    assert record["event_name"] == "log_malformed" and record["severity_text"] == "ERROR"
    assert shown in line and "a secret of this test" not in line
