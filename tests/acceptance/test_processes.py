"""The processes of `up`: they stop cleanly, come back, invite the first upload, and speak TLS."""

import os
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from tests.acceptance.harness import UPLOADED, Installation
from tests.acceptance.process import listens, processes_with, runs, until
from tests.certificate import make_certificate


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_ends_all_processes_cleanly_when_told_to_stop(
    installation: Installation, how: signal.Signals
) -> None:
    up = installation.up()
    children = up.children
    assert sorted(children) == ["apigw", "lambda"]

    # To the whole group, as a terminal does it.
    os.killpg(up.pid, how)

    assert up.wait() == 0
    assert not any(map(runs, children.values()))
    assert not listens(installation.port) and not listens(installation.lambda_port)


def test_a_stop_lets_a_running_upload_come_to_its_end(installation: Installation) -> None:
    up = installation.up()
    file = installation.file("slow", bytes(3 << 20))
    answers = []
    client = threading.Thread(
        target=lambda: answers.append(
            installation.upload(file, "/upload/slow", "--limit-rate", "2M", token=token)
        )
    )
    token = installation.token
    client.start()
    until(lambda: installation.stored(), report=lambda: installation.log)

    status = up.stop()
    client.join()

    assert (status, answers[0].status) == (0, 201)
    assert (installation.base / "upload" / "slow").stat().st_size == 3 << 20


@pytest.mark.parametrize("name", ["apigw", "lambda"])
def test_a_child_that_is_killed_comes_back(installation: Installation, name: str) -> None:
    up = installation.up()
    killed = up.children[name]

    os.kill(killed, signal.SIGKILL)

    until(lambda: up.children.get(name, killed) != killed, report=lambda: installation.log)
    until(lambda: installation.ready, report=lambda: installation.log)
    file = installation.file("f", b"content")
    assert installation.upload(file, "/upload/f", token=installation.token).status == 201


def test_more_workers_stand_in_for_one_another(installation: Installation) -> None:
    installation.record(UPLOADED)
    up = installation.up("--lambda_processes=2")
    until(lambda: installation.log.count("action=worker_up") == 2)

    os.kill(up.children["lambda"], signal.SIGKILL)
    answer = installation.upload(
        installation.file("f", b"content"), "/upload/f", token=installation.token
    )

    assert answer.status == 201
    assert installation.recorded(UPLOADED, "/upload/f")["bytes"] == 7


def test_the_printed_line_uploads_a_file(installation: Installation) -> None:
    up = installation.up()
    until(lambda: "curl -T big.bin" in up.stdout)
    (line,) = (line.strip() for line in up.stdout.splitlines() if "curl -T" in line)
    (installation.folder / "big.bin").write_bytes(b"big")

    done = subprocess.run(
        line,
        shell=True,
        cwd=installation.folder,
        env=installation.environ,
        capture_output=True,
        text=True,
        check=True,
    )

    assert '"path": "/upload/big.bin"' in done.stdout
    assert (installation.base / "upload" / "big.bin").read_bytes() == b"big"


def test_neither_log_nor_output_has_the_token_in_clear(installation: Installation) -> None:
    up = installation.up("--log_level=debug")
    token = installation.token

    installation.upload(installation.file("f", b""), "/upload/f", token=token)
    up.stop()

    assert token not in up.stdout + up.stderr
    assert (installation.data / "admin.token").stat().st_mode & 0o777 == 0o600
    assert installation.data.stat().st_mode & 0o777 == 0o700


OPEN_ROUTE = """\
- authorities: [localhost]
  proxy:
    path: /hello
  request_forbidden_process: |-
    return "hello"
"""
ASKS_ITS_OWN_GATEWAY = """\
name: asks
event: APIGW.OnFileUploaded
script: |-
  async def asks(event, handle):
      answer = await callout(endpoint=f"{event['address']}:{event['port']}", path="/hello")
      logger.info("own gateway answered %d", answer.code)
"""


def test_serves_with_a_certificate(tmp_path: Path) -> None:
    installation = Installation(tmp_path / "tls", scheme="https")
    certificate, key = make_certificate(tmp_path)
    installation.record(UPLOADED)
    try:
        installation.plugin("open.yml", OPEN_ROUTE)
        installation.plugin("asks.yml", ASKS_ITS_OWN_GATEWAY)
        installation.up(f"--certfile={certificate}", f"--keyfile={key}")
        file = installation.file("f", b"content")

        answer = installation.upload(
            file, "/upload/f", "--cacert", certificate, token=installation.token
        )

        assert answer.status == 201
        assert installation.recorded(UPLOADED, "/upload/f")["bytes"] == 7
        until(lambda: "own gateway answered 200" in installation.log)
    finally:
        installation.end()


def test_a_second_apigw_on_the_same_data_is_refused(installation: Installation) -> None:
    installation.up()

    second = installation.run("apigw", f"--base_dir={installation.base}", "--port=9")

    assert second.returncode == 2
    assert "another APIGW runs on it" in second.stderr
    assert len(processes_with(installation.own_flags[0])) == 3
