"""fastcgi: with php-fpm, and with a scripted application where php-fpm is too
well-behaved."""
import hashlib
import json
import re
import struct
import threading
import time

import pytest
from backends import Backend, PhpFpm
from gate import (HOST, gate, is_sanitized, memory, open_fds,  # noqa: F401
                  request, shared_gate)
from harness import free_port, wait_until

SHOW = """
header('Content-Type: application/json');
header('X-Mine: here');
$in = file_get_contents('php://input');
echo json_encode(['server' => $_SERVER, 'get' => $_GET, 'post' => $_POST,
    'size' => strlen($in), 'sha' => hash('sha256', $in)]);
"""


@pytest.fixture(scope="module")
def php(shared_gate):  # noqa: F811
    """php-fpm behind a wsgate; its scripts."""
    with PhpFpm(shared_gate.folder) as made:
        for name in ("show.php", "index.php", "sub/index.php"):
            made.script(name, SHOW)
        made.script("error.php", "http_response_code(503); echo 'sorry';")
        made.script("status.php", "header('Status: 418 Teapot');")
        made.script("noise.php", "error_log('a word for the operator');"
                    "echo 'quiet';")
        made.script("redirect.php", "header('Location: /elsewhere');")
        made.script("cookies.php", "setcookie('a', '1'); "
                    "setcookie('b', '2');")
        made.script("sleep.php", "sleep(5);")
        made.script("stream.php", "while (ob_get_level()) ob_end_flush();"
                    "echo 'first'; flush(); "
                    "while (!file_exists($_GET['until'])) { usleep(10000);"
                    "clearstatcache(); } echo 'last';")
        made.script("big.php", "$x = str_repeat('z', 65536);"
                    "for ($i = 0; $i < 512; $i++) echo $x;")
        (made.root / "upload.jpg").write_text("<?php echo 'EXECUTED';")
        (made.root / "notes.txt").write_text("<?php echo 'EXECUTED';")
        where = {"servers": [made.server], "root": str(made.root)}
        shared_gate.start({
            "/": {"fastcgi": where},
            "/fixed": {"fastcgi": {**where, "script": "/show.php"}},
            "/quick/": {"fastcgi": {**where, "read_timeout": "300ms",
                                    "script": "/sleep.php"}}},
            site={"limits": {"max_body": "64M"}},
            log={"access": "-", "format": "json", "level": "debug"})
        made.gate = shared_gate
        yield made


def shown(php, target, *fields, **how):
    got = php.gate.get(target, *fields, **how)
    assert got.status == 200, got
    return got.json()


@pytest.mark.short
@pytest.mark.row("proxy: FastCGI")
def test_a_get(php):
    with php.gate.tls() as client:
        got = client.get("/show.php?a=1&b=%20x", "X-Some: thing",
                         "Cookie: c=d", "Cookie: e=f")
        assert got.status == 200 and got.get("X-Mine") == "here"
        assert got.get("Content-Type") == "application/json"
        seen = got.json()["server"]
        again = client.get("/show.php")
        assert again.status == 200
    assert got.json()["get"] == {"a": "1", "b": " x"}
    wanted = {
        "REQUEST_METHOD": "GET", "QUERY_STRING": "a=1&b=%20x",
        "REQUEST_URI": "/show.php?a=1&b=%20x", "SCRIPT_NAME": "/show.php",
        "SCRIPT_FILENAME": f"{php.root}/show.php",
        "DOCUMENT_ROOT": str(php.root), "HTTP_HOST": HOST,
        "SERVER_NAME": HOST, "SERVER_PORT": str(php.gate.port),
        "SERVER_PROTOCOL": "HTTP/1.1", "HTTPS": "on",
        "REQUEST_SCHEME": "https", "REMOTE_ADDR": "127.0.0.1",
        "HTTP_X_SOME": "thing", "HTTP_COOKIE": "c=d; e=f",
        "CONTENT_LENGTH": "0", "GATEWAY_INTERFACE": "CGI/1.1",
        "HTTP_X_FORWARDED_PROTO": "https"}
    assert {name: seen.get(name) for name in wanted} == wanted
    assert "PATH_INFO" not in seen


@pytest.mark.row("proxy: FastCGI")
def test_plain_http_is_not_said_to_be_https(php):
    seen = shown(php, "/show.php")["server"]
    assert "HTTPS" not in seen and seen["REQUEST_SCHEME"] == "http"
    assert seen["SERVER_PORT"] == str(php.gate.plain)


@pytest.mark.short
@pytest.mark.row("proxy: FastCGI")
@pytest.mark.parametrize("size", [0, 1, 5000, 70000, 3000000])
def test_a_chunked_body_gets_its_length(php, size):
    """PHP believes CONTENT_LENGTH only: it is counted before the call."""
    body = bytes(at * 7 % 251 for at in range(251)) * (size // 251 + 1)
    body = body[:size]
    with php.gate.client() as client:
        client.send(request("/show.php", "Transfer-Encoding: chunked",
                            "Content-Type: application/octet-stream",
                            method="POST"))
        for at in range(0, size, 30000):
            part = body[at:at + 30000]
            client.send(b"%x\r\n%s\r\n" % (len(part), part))
        client.send(b"0\r\n\r\n")
        got = client.response().json()
        assert got["server"]["CONTENT_LENGTH"] == str(size)
        assert got["size"] == size
        assert got["sha"] == hashlib.sha256(body).hexdigest()
        assert got["server"]["CONTENT_TYPE"] == "application/octet-stream"
        assert "HTTP_TRANSFER_ENCODING" not in got["server"]
        assert client.get("/show.php").status == 200


@pytest.mark.row("proxy: FastCGI")
def test_a_body_with_a_length(php):
    got = shown(php, "/show.php", "Content-Type: "
                "application/x-www-form-urlencoded", method="POST",
                body=b"a=1&b=2")
    assert got["post"] == {"a": "1", "b": "2"}
    assert got["server"]["CONTENT_LENGTH"] == "7"
    body = b"x" * 20000000
    got = shown(php, "/show.php", method="PUT", body=body)
    assert got["size"] == len(body)


@pytest.mark.row("proxy: FastCGI")
def test_a_large_body_is_not_kept_in_memory(php):
    worker = php.gate.daemon.worker
    before = memory(worker)
    body = b"y" * (48 << 20)
    assert shown(php, "/show.php", method="POST",
                 body=body)["size"] == len(body)
    assert memory(worker) - before < 8 << 20 or is_sanitized()


@pytest.mark.short
@pytest.mark.row("proxy: FastCGI")
@pytest.mark.parametrize("target", [
    "/upload.jpg/x.php", "/upload.jpg/sub/x.php", "/notes.txt/.php",
    "/upload.jpg%2Fx.php", "/upload.jpg%00.php", "/upload.jpg/%2e.php",
    "/sub/../upload.jpg/x.php", "/upload.jpg//x.php",
    "//upload.jpg/x.php"])
def test_the_path_info_trap(php, target):
    """This PHP would execute anything that it is told to."""
    got = php.gate.get(target)
    assert got.status in (400, 403, 404), got
    assert "EXECUTED" not in got.text


@pytest.mark.row("proxy: FastCGI")
def test_path_info_behind_a_script(php):
    seen = shown(php, "/show.php/a/b%20c")["server"]
    assert seen["PATH_INFO"] == "/a/b c"
    assert seen["SCRIPT_NAME"] == "/show.php"
    assert seen["SCRIPT_FILENAME"] == f"{php.root}/show.php"


@pytest.mark.row("proxy: FastCGI")
@pytest.mark.parametrize("target,script", [
    ("/", "/index.php"), ("/sub/", "/sub/index.php"),
    ("/fixed", "/show.php"), ("/fixed/a/b", "/show.php")])
def test_index_and_fixed_scripts(php, target, script):
    seen = shown(php, target)["server"]
    assert seen["SCRIPT_NAME"] == script
    assert seen["REQUEST_URI"] == target


@pytest.mark.row("proxy: FastCGI")
def test_what_is_not_there_is_404(php):
    assert php.gate.get("/none.php").status == 404


@pytest.mark.short
@pytest.mark.row("proxy: FastCGI")
def test_fields_that_would_become_settings_are_dropped(php):
    seen = shown(php, "/show.php", "Proxy: http://evil.example/",
                 "X-Forwarded-For: 9.9.9.9", "X_Forwarded_For: 8.8.8.8",
                 "HTTPS: on", "X-Forwarded-Proto: https",
                 "Content_Length: 77", "Host_: x")["server"]
    assert "HTTP_PROXY" not in seen and "HTTPS" not in seen
    assert seen["HTTP_X_FORWARDED_FOR"] == "127.0.0.1"
    assert seen["HTTP_X_FORWARDED_PROTO"] == "http"
    assert seen["CONTENT_LENGTH"] == "0"
    assert "9.9.9.9" not in json.dumps(seen)
    assert "8.8.8.8" not in json.dumps(seen)


@pytest.mark.short
@pytest.mark.row("proxy: FastCGI stderr gives 502; stale connection after worker recycle")
def test_stderr_goes_to_the_log_and_not_to_the_client(php):
    got = php.gate.get("/noise.php")
    assert (got.status, got.text) == (200, "quiet")
    php.gate.daemon.wait_log("fastcgi stderr.*a word for the operator")


@pytest.mark.row("proxy: FastCGI")
def test_status_and_location(php):
    got = php.gate.get("/error.php")
    assert (got.status, got.text) == (503, "sorry")
    assert php.gate.get("/status.php").status == 418
    got = php.gate.get("/redirect.php")
    assert (got.status, got.get("Location")) == (302, "/elsewhere")
    assert len(php.gate.get("/cookies.php").all("Set-Cookie")) == 2


@pytest.mark.row("proxy: FastCGI")
def test_head_and_http10(php):
    with php.gate.client() as client:
        got = client.get("/show.php", method="HEAD")
        assert got.status == 200
        assert client.get("/show.php").json()["size"] == 0
    with php.gate.client() as client:
        client.send(request("/show.php", version="1.0"))
        head, body = client.rest().split(b"\r\n\r\n", 1)
        assert b"chunked" not in head
        assert json.loads(body)["server"]["SERVER_PROTOCOL"] == "HTTP/1.0"


@pytest.mark.row("proxy: streaming")
def test_output_streams(php):
    flag = php.gate.folder / "go"
    with php.gate.client() as client:
        client.send(request(f"/stream.php?until={flag}"))
        client.head()
        assert client.chunk() == b"first"
        flag.touch()
        assert client.chunk() == b"last"


@pytest.mark.row("proxy: FastCGI")
def test_a_large_response_in_bounded_memory(php):
    worker = php.gate.daemon.worker
    before = memory(worker)
    with php.gate.client(receive_buffer=65536) as client:
        got = client.get("/big.php")
    assert got.body == b"z" * (32 << 20)
    assert memory(worker) - before < 8 << 20 or is_sanitized()


@pytest.mark.row("proxy: 502 and 504")
def test_a_script_that_takes_too_long_is_504(php):
    assert php.gate.get("/quick/").status == 504


@pytest.mark.row("proxy: FastCGI")
def test_many_at_once_wait_for_their_child(php):
    """Two children, sixteen clients."""
    answers = []

    def ask():
        answers.append(php.gate.get("/show.php").status)
    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 16


# ---- scripted applications ---------------------------------------------------------------

def record(kind, content=b"", request_id=1, padding=0):
    return struct.pack(">BBHHBx", 1, kind, request_id, len(content),
                       padding) + content + b"\0" * padding


END = record(3, struct.pack(">IBxxx", 0, 0))


def out(text):
    return record(6, text)


def read_call(connection):
    """Reads a request's records; its parameters and body."""
    params, body = b"", b""
    while True:
        _, kind, _, size, padding = struct.unpack(
            ">BBHHBx", connection.exact(8))
        content = connection.exact(size)
        connection.exact(padding)
        if kind == 4:
            params += content
        elif kind == 5:
            if not size:
                return params, body
            body += content


def application(gate, answer, **how):  # noqa: F811
    def script(connection):
        read_call(connection)
        connection.send(answer)
        connection.rest()
    backend = Backend(script)
    gate._running.callback(backend.close)
    gate.start({"/": {"fastcgi": {"servers": [backend.server],
                                  "root": "/srv", "script": "/a.php",
                                  **how}}},
               log={"access": "off", "level": "debug"})
    return backend


@pytest.mark.row("proxy: FastCGI")
@pytest.mark.parametrize("answer,status,text", [
    (out(b"Status: 201 Made\r\n\r\nx") + out(b"") + END, 201, "x"),
    (out(b"Content-Type: a/b\n\nbare LF") + END, 200, "bare LF"),
    (b"".join(out(bytes([byte])) for byte in b"A: b\r\n\r\nabc") + END,
     200, "abc"),
    (record(6, b"A: b\r\n\r\nabc", padding=200) + END, 200, "abc"),
    (record(7, b"oops\n") + out(b"A: b\r\n\r\nabc") + record(7, b"x") + END,
     200, "abc"),
    (record(99, b"unknown") + out(b"A: b\r\n\r\nabc") + END, 502, None),
    (out(b"Content-Length: 3\r\n\r\nabc") + END, 200, "abc"),
    (out(b"A: b\r\n\r\n") + END, 200, ""),
    (END, 502, None),
    (out(b"no head at all") + END, 502, None),
    (out(b"A b\r\n\r\nabc") + END, 502, None),
    (out(b"Status: 99\r\n\r\nabc") + END, 502, None),
    (out(b"Status: abc\r\n\r\nabc") + END, 502, None),
    (out(b"Status: 101 Up\r\n\r\nabc") + END, 502, None),
    (out(b"A: b\r\n\r\nabc")[:5], 502, None),
    (record(3, struct.pack(">IBxxx", 0, 2)), (502, 503), None),  # overloaded
    (b"HTTP/1.1 200 OK\r\n\r\n", 502, None),
    (out(b"A: " + b"b" * 60000) * 30 + END, 502, None),
    (record(6, b"A: b\r\n\r\nabc", request_id=2) + END, 502, None),
], ids=["status", "bare-lf", "byte-records", "padding", "stderr", "unknown",
        "length", "empty", "nothing", "no-head", "bad-field", "bad-status",
        "no-status", "switching", "cut", "overloaded", "http", "huge-head",
        "other-id"])
def test_what_an_application_sends(gate, answer, status, text):  # noqa: F811
    application(gate, answer, read_timeout="1s")
    got = gate.get("/")
    wanted = status if isinstance(status, tuple) else (status,)
    # what never ends is a timeout
    assert got.status in wanted or got.status == 504 and 502 in wanted
    assert text is None or got.text == text


@pytest.mark.row("proxy: 502 and 504")
@pytest.mark.parametrize("answer", [
    out(b"Content-Length: 10\r\n\r\nabc") + END,
    out(b"A: b\r\n\r\nabc") + out(b"def")[:9],
    out(b"A: b\r\n\r\nabc") + b"garbage!" * 100], ids=[
        "short", "cut", "garbage"])
def test_an_application_that_stops_within_the_body_is_a_cut(gate, answer):  # noqa: F811
    def script(connection):
        read_call(connection)
        connection.send(answer)
    backend = Backend(script)
    gate._running.callback(backend.close)
    gate.start({"/": {"fastcgi": {"servers": [backend.server],
                                  "root": "/srv", "script": "/a.php"}}})
    with gate.client() as client:
        client.send(request("/"))
        got = client.rest()
    head, body = got.split(b"\r\n\r\n", 1)
    assert b" 200 " in head and not body.endswith(b"0\r\n\r\n")
    assert b"Content-Length: 10" not in head or len(body) < 10


@pytest.mark.row("proxy: 502 and 504")
def test_an_application_that_is_down_is_502(gate):  # noqa: F811
    gate.start({"/": {"fastcgi": {"servers": [f"127.0.0.1:{free_port()}"],
                                  "root": "/srv"}}})
    assert gate.get("/a.php").status == 502
    assert gate.get("/a.php", method="POST", body=b"abc").status == 502


@pytest.mark.short
@pytest.mark.row("proxy: nothing is left behind")
def test_a_client_that_leaves_ends_the_call(gate):  # noqa: F811
    """Also while the body is still being gathered."""
    backend = application(gate, b"")
    worker = gate.daemon.worker
    before = len(open_fds(worker))
    for sent in (request("/", method="POST", body=b""),
                 request("/", method="POST", body=b"x" * 50000),
                 request("/", "Content-Length: 400000", method="POST") +
                 b"x" * 200000):
        for _ in range(5):
            client = gate.client()
            client.send(sent)
            client.reset()      # may be with the worker before the request
    wait_until(lambda: backend.live == 0, "its connections gone")
    wait_until(lambda: len(open_fds(worker)) <= before, "descriptors back")


def said(gate):  # noqa: F811
    """What stands in the log of an application's stderr."""
    return [line for line in gate.daemon.lines if "fastcgi stderr" in line]


@pytest.mark.row("proxy: FastCGI")
@pytest.mark.parametrize("line,count,logged", [
    (b"123456789\n", 100000, 32), (b"x" * 999 + b"\n", 5000, 17)])
def test_stderr_does_not_fill_the_log(
        gate, line, count, logged):  # noqa: F811
    """So many lines and so many bytes of a request; how much more there was
    is told once."""
    errors = b"".join(
        record(7, line * (60000 // len(line)))
        for _ in range(count * len(line) // 60000))
    application(gate, errors + out(b"A: b\r\n\r\nabc") + END)
    for _ in range(2):
        mark = len(said(gate))
        assert gate.get("/").text == "abc"
        wait_until(lambda: len(said(gate)) == mark + logged + 1, "the last")
        assert "dropped=" in said(gate)[-1]
    dropped = int(re.search(r"dropped=(\d+)", said(gate)[-1])[1])
    sent = errors.count(b"\n") * len(line)
    assert sent - 16 * 1024 <= dropped <= sent - 32 * 10


@pytest.mark.row("proxy: 502 and 504")
def test_stderr_alone_is_no_answer(gate):  # noqa: F811
    """An application that talks to the operator for ever."""
    def script(connection):
        read_call(connection)
        while True:
            connection.send(record(7, b"still at it\n"))
            time.sleep(0.05)  # pause: many within the read_timeout
    backend = Backend(script)
    gate._running.callback(backend.close)
    gate.start({"/": {"fastcgi": {
        "servers": [backend.server], "root": "/srv", "script": "/a.php",
        "read_timeout": "1s"}}})
    assert gate.get("/").status == 504
