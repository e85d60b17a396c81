"""Rules that look at one script: what each finds, where, and what it leaves alone."""

import textwrap

import pytest

from tests.unit.catalog.plugin_folder import Folder

GATE, KEPT = "APIGW.OnFileUploading", "APIGW.OnFileUploaded"
#: Lines of the file before the script, and columns that it is indented by.
BEFORE, INDENT = 3, 2


def found(folder: Folder, script: str, event: str = GATE) -> list[str]:
    """What is found in a handler: each as rule:line:column, counted in the script."""
    text = textwrap.indent(textwrap.dedent(script).strip("\n"), " " * INDENT)
    folder.put("a.yml", f"name: a\nevent: {event}\nscript: |-\n{text}\n")
    return [
        f"{warning.rule}:{warning.line - BEFORE}:{warning.column - INDENT}"
        for warning in folder.load().warnings
    ]


def in_gate(line: str) -> str:
    """A gate with these lines, the first of which is its line 5."""
    head = "async def check(event):\n    return True\n"
    head += "def plain(event):\n    return callout(path='/')\n"
    body = textwrap.indent(textwrap.dedent(line).strip("\n"), "    ")
    return f"{head}async def gate(event, handle):\n{body}\n"


@pytest.mark.parametrize(
    ("line", "column"),
    [
        ("callout(path='/')", 5),
        ("check(event)", 5),
        ("plain(event)", 5),
        ("lambda_event(event['x'])", 5),
        ("asyncio.sleep(1)", 5),
        ("if check(event): pass", 8),
        ("if not check(event): pass", 12),
        ("if plain(event): pass", 8),
        ("if event and check(event): pass", 18),
        ("while check(event): pass", 11),
        ("assert check(event)", 12),
        ("x = 1 if check(event) else 2", 14),
        ("if check(event) == 1: pass", 8),
        ("if any([check(event), check(event)]): pass", 13),
        ("if all(check(e) for e in [event]): pass", 12),
        ("if (ok := check(event)): pass", 15),
        ("ok = check(event)", 10),
        ("ok = check(event)\nif ok: pass", 10),
        ("answer = callout(path='/')\nif answer.code != 200: pass", 14),
        ("answer = callout(path='/') if event else None", 14),
        ("rules = get_service_config('c')['x']", 13),
        ("event['path'] = check(event)", 21),
        ("logger.info('%r', check(event))", 23),
        ("logger.info(f'{check(event)}')", 20),
        ("json.dumps(check(event))", 16),
        ("handle.terminate(403, check(event))", 27),
        ("for x in check(event): pass", 14),
        ("[x for x in check(event)]", 17),
        ("if Cache.exists('k'): pass", 8),
        ("cache = Cache('k')\ncache.put('k', 1)", 5),
        ("kept = asyncio.Queue()\nx = kept.get()", 9),
        ("import asyncio as aio\naio.sleep(1)", 5),
        ("from asyncio import sleep\nsleep(1)", 5),
        (
            "async with aiohttp.ClientSession() as s:\n    answer = s.get('/')\n    answer.status",
            18,
        ),
        (
            "async with aiohttp.ClientSession() as s, s.get('/') as answer:\n"
            "    event['x'] = answer.json()",
            22,
        ),
        ("async with aiofiles.open('f') as f:\n    if f.read(): pass", 12),
    ],
)
def test_finds_a_coroutine_that_is_not_awaited(folder: Folder, line: str, column: int) -> None:
    folder.put("c.yml", "name: c\nvalues: {x: 1}\n")
    hits = found(folder, in_gate(line))

    assert hits
    assert {hit.split(":")[0] for hit in hits} == {"gate-unawaited"}
    assert int(hits[0].split(":")[2]) == column


@pytest.mark.parametrize(
    "line",
    [
        "await callout(path='/')",
        "if await check(event): pass",
        "if await plain(event): pass",
        "await asyncio.gather(check(event), *[check(e) for e in [event]])",
        "a, b = await multi([check(event), check(event)])",
        "task = asyncio.create_task(check(event))\nif task.done(): pass",
        "one = check(event)\nawait one",
        "one = check(event)\nawait asyncio.wait_for(one, 1)",
        "waiting = [check(event)]\nawait asyncio.gather(*waiting)",
        "one = check(event)\none.close()",
        "check = None\ncheck",
        "handle.terminate(403)",
        "if event: return handle.terminate(403)",
        "async with aiohttp.ClientSession() as s, s.get('/') as answer:\n    await answer.json()",
        "async with aiohttp.ClientSession() as s:\n    one = s.get('/')\n    async with one: pass",
        "asyncio.get_running_loop().call_soon(lambda: check(event))",
        "@functools.wraps(check)\nasync def other(): pass\nother()",
        "async def many():\n    yield 1\nasync for x in many(): pass",
        "def callout(**given): pass\ncallout(path='/')",
        "import time as asyncio\nasyncio.sleep(1)",
        "class Rules:\n    async def check(self): pass\nawait Rules().check()",
    ],
)
def test_is_content_with_what_is_awaited_somewhere(folder: Folder, line: str) -> None:
    script = "import functools\n" + in_gate(line)

    assert [hit for hit in found(folder, script) if "unawaited" in hit] == []


def test_says_what_to_write_and_means_it_outside_of_gates_too(folder: Folder) -> None:
    script = "async def run(event, handle):\n    return callout(path='/')\n"

    assert found(folder, script, KEPT) == ["unawaited:2:12"]
    [warning] = folder.load().warnings
    assert str(warning) == (
        f"{folder.path}/a.yml:5:14: warning[unawaited]: callout(...) is not awaited: a coroutine is"
        " returned, and it never runs; write 'await callout(...)'"
    )


def test_finds_methods_that_are_not_awaited(folder: Folder) -> None:
    script = """
    class Rules:
        async def ok(self, event):
            return self.fine(event)
        async def fine(self, event):
            return True
    rules = Rules()
    async def gate(event, handle):
        if rules.ok(event):
            pass
    """

    assert found(folder, script) == ["gate-unawaited:3:16", "gate-unawaited:8:8"]


def test_finds_a_coroutine_in_the_script_of_a_route(folder: Folder) -> None:
    folder.put(
        "r.yml",
        "- authorities: [a]\n  proxy: {path: /r}\n  request_forbidden_process: |-\n"
        "    async def f():\n        return 1\n    あ = 'い'; f()\n    return f()\n",
    )

    assert [(warning.rule, warning.line, warning.column) for warning in folder.load().warnings] == [
        ("unawaited", 6, 14),
        ("unawaited", 7, 12),
    ]


@pytest.mark.parametrize(
    ("line", "finds"),
    [
        ("return 401, 'Unauthorized'", True),
        ("return False", True),
        ("return True", True),
        ("return {'code': 401}", True),
        ("return await check(event)", True),
        ("return await callout(path='/')", True),
        ("return event", True),
        ("if event: return 'no'", True),
        ("return handle.terminate(403) if event else False", True),
        ("return", False),
        ("return None", False),
        ("return handle.terminate(403)", False),
        ("return await handle.terminate(code=403, output='no')", False),
        ("return handle.terminate(403) if event else None", False),
        ("handle.terminate(403)\nreturn False", False),
        ("async def no():\n    return await handle.terminate(403)\nreturn await no()", False),
        ("async def no():\n    pass\nreturn await no()", False),
        ("def f(): return 1\nf()", False),
        ("x = lambda: 1", False),
    ],
)
def test_finds_what_a_gate_returns(folder: Folder, line: str, finds: bool) -> None:
    hits = found(folder, in_gate(line))

    assert [hit.split(":")[0] for hit in hits] == ["gate-return-value"] * finds
    assert found(folder, in_gate(line), KEPT) == []


@pytest.mark.parametrize(
    ("code", "rules"),
    [
        ("99", ["terminate-code"]),
        ("600", ["terminate-code"]),
        ("-1", ["terminate-code"]),
        ("'401'", ["terminate-code"]),
        ("401.0", ["terminate-code"]),
        ("True", ["terminate-code"]),
        ("None", ["terminate-code"]),
        ("code=1000", ["terminate-code"]),
        ("302", ["gate-3xx"]),
        ("http.HTTPStatus.FOUND", ["gate-3xx"]),
        ("403", []),
        ("", []),
        ("http.HTTPStatus.FORBIDDEN", []),
        ("event['code']", []),
    ],
)
def test_finds_codes_that_are_none_or_mean_another_thing_now(
    folder: Folder, code: str, rules: list[str]
) -> None:
    line = f"import http\nreturn await handle.terminate({code})"

    assert [hit.split(":")[0] for hit in found(folder, in_gate(line))] == rules


@pytest.mark.parametrize(
    ("line", "finds"),
    [
        ("if event:\n    await handle.terminate(403)\nevent['x'] = 1", True),
        ("handle.terminate(403)\nevent['x'] = 1", True),
        ("for x in event:\n    handle.terminate(403)", True),
        ("try:\n    handle.terminate(403)\nexcept ValueError: pass\nevent['x'] = 1", True),
        ("if event:\n    handle.terminate(event['code'])\nevent['x'] = 1", True),
        ("if event:\n    await handle.terminate(403)\n    return\nevent['x'] = 1", False),
        ("if event:\n    handle.terminate(403)\nelse:\n    event['x'] = 1", False),
        ("for x in event:\n    handle.terminate(403)\n    break", False),
        ("if event:\n    raise Error(handle.terminate(403))\nevent['x'] = 1", False),
        ("handle.terminate(200)\nevent['x'] = 1", False),
        ("handle.terminate(403)", False),
    ],
)
def test_finds_a_refusal_that_goes_on(folder: Folder, line: str, finds: bool) -> None:
    assert [hit.split(":")[0] for hit in found(folder, in_gate(line))] == ["gate-goes-on"] * finds


@pytest.mark.parametrize(
    ("line", "finds"),
    [
        ("time.sleep(60)", True),
        ("await asyncio.sleep(5)", True),
        ("import requests\nrequests.get('http://a')", True),
        ("urllib.request.urlopen('http://a')", True),
        ("time.sleep(1)", False),
        ("urllib.request.urlopen('http://a', timeout=2)", False),
    ],
)
def test_finds_gates_that_wait_too_long(folder: Folder, line: str, finds: bool) -> None:
    assert [hit.split(":")[0] for hit in found(folder, in_gate(line))] == ["gate-slow"] * finds
    assert found(folder, in_gate(line), KEPT) == []


@pytest.mark.parametrize(
    ("line", "finds"),
    [
        ("await handle.terminat(403)", True),
        ("handle.terminate", True),
        ("return handle.terminate", True),
        ("end = handle.terminate\nend(403)", False),
        ("logger.info('%s', handle.request_id)", False),
    ],
)
def test_finds_what_handle_has_not(folder: Folder, line: str, finds: bool) -> None:
    hits = found(folder, in_gate(line), KEPT)

    assert [hit.split(":")[0] for hit in hits] == ["handle-attribute"] * finds


@pytest.mark.parametrize(
    ("line", "finds"),
    [
        ("logger.info(options.base_dr)", True),
        ("most = options.max_uploads", True),
        ("logger.info(options.base_dir / options.timezone)", False),
        ("options = event['options']\nlogger.info(options.max_uploads)", False),
        ("logger.info(event.options.max_uploads)", False),
    ],
)
def test_finds_settings_that_scripts_do_not_see(folder: Folder, line: str, finds: bool) -> None:
    hits = found(folder, in_gate(line), KEPT)

    assert [hit.split(":")[0] for hit in hits] == ["option-unknown"] * finds


@pytest.mark.parametrize(
    ("line", "finds"),
    [
        ("with aiohttp.ClientSession() as s: pass", 1),
        ("with aiofiles.open('f') as f: pass", 1),
        ("async with aiohttp.ClientSession() as s:\n    with s.get('/') as a: pass", 1),
        ("async with open('f') as f: pass", 1),
        ("with Cache('k') as c: pass", 1),
        ("with open('f') as f: pass", 0),
        ("async with aiofiles.open('f') as f: pass", 0),
    ],
)
def test_finds_with_in_the_place_of_async_with(folder: Folder, line: str, finds: int) -> None:
    hits = found(folder, in_gate(line))

    assert [hit.split(":")[0] for hit in hits] == ["needs-async-with"] * finds


@pytest.mark.parametrize(
    "top",
    [
        "lock = asyncio.Lock()",
        "class Kept:\n    lock = asyncio.Semaphore(3)",
        "import asyncio as aio\nlock = aio.Event()",
        "from asyncio import Queue\nqueue: Queue = Queue()",
        "import sqlite3\ndb = sqlite3.connect(':memory:')",
        "locks = {'a': asyncio.Lock()}",
        "def f(event, lock=asyncio.Lock()): pass",
        "session = None\nasync def f():\n    global session\n    session = session or"
        " aiohttp.ClientSession()",
        "kept = {}\nasync def f():\n    kept['s'] = aiohttp.ClientSession()",
        "kept = {}\nasync def f():\n    kept.setdefault('s', aiohttp.ClientSession())",
        "import functools\n@functools.cache\ndef f():\n    return aiohttp.ClientSession()",
        "kept = {}\nasync def f(s):\n    kept['s'] = await s.create_client('s3').__aenter__()",
    ],
)
def test_finds_objects_of_one_loop_that_outlive_a_run(folder: Folder, top: str) -> None:
    # Some of them raise at once without a loop, so the code is one that is never run.
    script = top if "sqlite3" not in top else top.replace("db = ", "db = lambda: 1\nif 0: db = ")
    hits = found(folder, f"{script}\nasync def run(event, handle):\n    pass\n", KEPT)

    assert [hit.split(":")[0] for hit in hits] == ["loop-bound"]


@pytest.mark.parametrize(
    "text",
    [
        "import threading\nlock = threading.Lock()\nasync def run(event, handle): pass",
        "async def run(event, handle):\n    lock = asyncio.Lock()",
        "async def run(event, handle):\n    async with aiohttp.ClientSession() as s: pass",
        "import sqlite3\nasync def run(event, handle):\n    db = sqlite3.connect('f')",
        "import sqlite3\ndb = sqlite3.connect(':memory:', check_same_thread=False)\ndb.close()\n"
        "async def run(event, handle): pass",
        "make = lambda: asyncio.Lock()\nasync def run(event, handle): pass",
        "async def run(event, handle):\n    kept = {}\n    kept['l'] = asyncio.Lock()",
    ],
)
def test_leaves_objects_of_one_run_alone(folder: Folder, text: str) -> None:
    assert found(folder, text, KEPT) == []


@pytest.mark.parametrize(
    ("line", "finds"),
    [
        ("event['headers']['Authorization']", True),
        ("event['headers'].get('cookie')", True),
        ("event.get('headers')['X-API-Key']", True),
        ("h = event['headers']\nh.get('Proxy-Authorization')", True),
        ("event.get('X-Auth-Token')", True),
        ("event['headers']['Content-Type']", False),
        ("a = await callout(path='/')\na.headers['Authorization']", False),
        ("event['headers']['Authorization'] = 1", False),
    ],
)
def test_finds_credentials_read_where_they_are_masked(
    folder: Folder, line: str, finds: bool
) -> None:
    hits = found(folder, in_gate(line), KEPT)

    assert [hit.split(":")[0] for hit in hits] == ["masked-header"] * finds
    assert found(folder, in_gate(line)) == []


def test_a_header_of_keep_headers_is_not_reported(folder: Folder) -> None:
    text = "async def run(event, handle):\n    event['headers']['Authorization']\n"

    assert found(folder, text, f"{KEPT}\nkeep_headers: [authorization]") == []


@pytest.mark.parametrize(
    ("line", "finds"),
    [
        ("return request.headers['X-API-Key']", True),
        ("return request.headers.get('x-qmonus-lite-pass')", True),
        ("return request.headers['X-Auth-Token']", False),
        ("r = await callout(path='/')\nreturn r.body['X-API-Key']", False),
    ],
)
def test_finds_credentials_that_a_route_does_not_get(
    folder: Folder, line: str, finds: bool
) -> None:
    text = textwrap.indent(line, "    ")
    folder.put(
        "r.yml",
        "- authorities: [a]\n  timeout: 9\n"
        "  proxy: {path: /r, authorization: {auth_mode: none}}\n"
        f"  request_forbidden_process: |-\n{text}\n",
    )

    rules = [warning.rule for warning in folder.load().warnings]
    assert ("route-credential" in rules) is finds
