"""proxy: over TCP and unix sockets, to nginx and to scripted servers that die,
dawdle or lie."""
import hashlib
import os
import socket
import threading

import pytest
from backends import Backend, Nginx, one, reply, serve_echo
from gate import (HOST, gate, is_sanitized, memory, open_fds,  # noqa: F401
                  request)
from harness import free_port, wait_until

MIB = 1 << 20
LOG = {"access": "-", "format": "json", "level": "debug"}


def front(gate, script, **how):  # noqa: F811
    """wsgate before a scripted backend."""
    backend = Backend(script)
    gate._running.callback(backend.close)
    gate.start({"/": {"proxy": {"servers": [backend.server],
                                **how.pop("proxy", {})}}}, log=LOG, **how)
    return backend


@pytest.fixture
def nginx(gate):  # noqa: F811
    with Nginx(gate.folder, """
        location = /early { return 204; }
        location /redirect { return 302 /elsewhere; }
        location /up { dav_methods PUT; create_full_put_path on; }
        """) as made:
        yield made


# ---- a real server -----------------------------------------------------------------------

@pytest.mark.short
@pytest.mark.row("proxy: Unix-socket backend")
@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_nginx_as_the_backend(gate, nginx, kind):  # noqa: F811
    (nginx.root / "a.txt").write_text("from nginx")
    gate.start({"/": {"proxy": nginx.server if kind == "tcp"
                      else nginx.unix}})
    with gate.tls() as client:
        for _ in range(20):
            got = client.get("/a.txt")
            assert (got.status, got.text) == (200, "from nginx")
            assert got.get("Server") and got.get("ETag")
        assert client.get("/a.txt", method="HEAD").status == 200
        assert client.get("/none").status == 404
        assert client.get("/early").status == 204
        assert client.get("/redirect").get("Location").endswith("/elsewhere")
        got = client.get("/a.txt", "Range: bytes=5-9")
        assert (got.status, got.text) == (206, "nginx")
    wait_until(lambda: len(nginx.rows()) == 25, "nginx's log")
    # one connection carried them all: keep-alive towards the backend
    connections = {row[0] for row in nginx.rows()}
    assert len(connections) == 1, nginx.rows()


@pytest.mark.short
@pytest.mark.row("proxy: keep-alive towards backends")
def test_connections_of_different_clients_are_reused(gate, nginx):  # noqa: F811
    (nginx.root / "a.txt").write_text("x")
    gate.start({"/": {"proxy": nginx.server}})
    for _ in range(10):
        assert gate.get("/a.txt").status == 200
    wait_until(lambda: len(nginx.rows()) == 10, "nginx's log")
    assert len({row[0] for row in nginx.rows()}) == 1


@pytest.mark.limit(240)
@pytest.mark.row("proxy: 100 MiB both ways in bounded memory")
def test_100_mib_up_and_down_in_bounded_memory(gate, nginx):  # noqa: F811
    size = 100 * MIB
    block = os.urandom(MIB)
    daemon = gate.start({"/": {"proxy": {"servers": [nginx.server],
                                         "max_body": "200M"}}})
    with gate.tls() as client:
        client.get("/early")
        before = memory(daemon.worker)
        client.send(request("/up/big", f"Content-Length: {size}",
                            method="PUT"))
        for _ in range(100):
            client.send(block)
        assert client.response().status == 201
        assert (nginx.root / "up/big").stat().st_size == size
        client.send(request("/up/big"))
        head = client.head()
        assert int(head.get("Content-Length")) == size
        for _ in range(100):
            assert client.exact(MIB) == block
        grown = memory(daemon.worker) - before
    assert grown < 8 * MIB or is_sanitized(), grown


@pytest.mark.row("proxy: 100 MiB both ways in bounded memory")
def test_a_slow_reader_makes_the_backend_wait(gate):  # noqa: F811
    """64 MiB for a client that reads nothing at first: they stay with the
    backend."""
    size, sent = 64 * MIB, []

    def script(connection):
        connection.request()
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
                        % size)
        for _ in range(size // 65536):
            connection.send(b"z" * 65536)
            sent.append(1)
    front(gate, script)
    worker = gate.daemon.worker
    before = memory(worker)
    with gate.client(receive_buffer=65536) as client:
        client.send(request("/"))
        client.head()
        seen = [-1]

        def stands_still():
            last, seen[0] = seen[0], len(sent)
            threading.Event().wait(0.2)
            return last == len(sent)
        wait_until(stands_still, "the backend blocked")
        assert len(sent) * 65536 < 16 * MIB
        for _ in range(64):
            assert client.exact(MIB) == b"z" * MIB
    assert memory(worker) - before < 8 * MIB or is_sanitized()


@pytest.mark.row("proxy: 100 MiB both ways in bounded memory")
def test_a_slow_backend_makes_the_client_wait(gate):  # noqa: F811
    """An upload towards a backend that does not read yet is not stored."""
    go, digest = threading.Event(), []

    def script(connection):
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        head = connection.head()
        go.wait(60)
        connection.read_body(head, False)
        digest.append(hashlib.sha256(head.body).digest())
        connection.send(reply(b"ok"))
    front(gate, script, site={"limits": {"max_body": "100M"}})
    worker = gate.daemon.worker
    before = memory(worker)
    # The kernel alone may hold net.ipv4.tcp_rmem's 32 MiB.
    data = os.urandom(MIB) * 80
    with gate.client() as client:
        client.sock.settimeout(1)
        rest = memoryview(request("/", method="POST", body=data))
        with pytest.raises(TimeoutError):
            while rest:
                rest = rest[client.sock.send(rest[:65536]):]
        assert len(rest) > 16 * MIB
        assert memory(worker) - before < 8 * MIB or is_sanitized()
        client.sock.settimeout(30)
        go.set()
        client.send(rest)
        assert client.response().body == b"ok"
    assert digest == [hashlib.sha256(data).digest()]


@pytest.mark.short
@pytest.mark.row("proxy: streaming")
@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_the_first_byte_does_not_wait_for_the_last(gate, framing):  # noqa: F811
    go = threading.Event()

    def script(connection):
        while connection.request():
            if framing == "length":
                connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n"
                                b"\r\nabc")
            elif framing == "chunked":
                connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: "
                                b"chunked\r\n\r\n3\r\nabc\r\n")
            else:
                connection.send(b"HTTP/1.1 200 OK\r\n\r\nabc")
            go.wait(60)
            if framing == "chunked":
                connection.send(b"3\r\ndef\r\n0\r\n\r\n")
            else:
                connection.send(b"def")
            if framing == "close":
                return
    front(gate, script)
    with gate.tls() as client:
        client.send(request("/"))
        head = client.head()
        got = client.exact(3) if framing == "length" else client.chunk()
        assert got == b"abc" and not go.is_set()
        go.set()
        assert (client.exact(3) if framing == "length"
                else client.chunk()) == b"def"
        assert head.status == 200


@pytest.mark.row("proxy: streaming")
def test_an_upload_streams_too(gate):  # noqa: F811
    """The backend sees the first bytes before the client sent the last."""
    first = threading.Event()

    def script(connection):
        head = connection.head()
        assert connection.exact(3) == b"abc"
        first.set()
        assert connection.exact(3) == b"def"
        connection.keep(head)
        connection.send(reply(b"whole"))
    front(gate, script)
    with gate.client() as client:
        client.send(request("/", "Content-Length: 6", method="POST") + b"abc")
        assert first.wait(30)
        client.send(b"def")
        assert client.response().body == b"whole"


@pytest.mark.row("proxy: streaming")
def test_an_answer_before_the_end_of_the_upload(gate):  # noqa: F811
    """The client gets it, and the connection ends."""
    def script(connection):
        connection.head()
        connection.exact(10)
        connection.send(reply(b"enough", "Connection: close", code=403))
    front(gate, script)
    with gate.client() as client:
        client.send(request("/", "Content-Length: 1000000", method="POST") +
                    b"x" * 5000)
        got = client.response()
        assert (got.status, got.body) == (403, b"enough")
        assert client.is_ended()


# ---- backends that fail ---------------------------------------------------------------------

@pytest.mark.short
@pytest.mark.row("proxy: 502 and 504")
def test_a_backend_that_is_down_is_502(gate):  # noqa: F811
    gate.start({"/": {"proxy": f"127.0.0.1:{free_port()}"},
                "/unix": {"proxy": f"unix:{gate.folder}/none.sock"}},
               log=LOG)
    with gate.client() as client:
        for target in ("/", "/unix"):
            got = client.get(target)
            assert got.status == 502
            assert "refused" not in got.text and "sock" not in got.text
        assert client.get("/", method="POST", body=b"x" * 100).status == 502
    gate.daemon.wait_log("backend failed.*connect")


@pytest.mark.row("proxy: 502 and 504")
def test_it_serves_as_soon_as_the_backend_is_there(gate):  # noqa: F811
    path = gate.folder / "late.sock"
    gate.start({"/": {"proxy": f"unix:{path}"}})
    assert gate.get("/").status == 502
    with Backend(serve_echo, unix=path):
        wait_until(lambda: gate.get("/").status == 200, "200")


@pytest.mark.short
@pytest.mark.row("proxy: 502 and 504")
def test_a_backend_that_does_not_answer_is_504(gate):  # noqa: F811
    backend = front(gate, lambda connection: connection.rest(),
                    proxy={"read_timeout": "300ms"})
    with gate.client() as client:
        assert client.get("/").status == 504
        assert client.get("/", method="POST", body=b"abc").status == 504
    wait_until(lambda: backend.live == 0, "its connections are closed")


@pytest.mark.row("proxy: 502 and 504")
def test_a_backend_that_stops_within_the_body_is_a_cut(gate):  # noqa: F811
    front(gate, one(lambda connection, _: connection.send(
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc") or
        connection.rest()), proxy={"read_timeout": "300ms"})
    with gate.client() as client:
        client.send(request("/"))
        head = client.head()
        assert head.get("Content-Length") == "10"
        assert client.rest() == b"abc"
    assert gate.daemon.wait_record("request", end="timeout")


CUTS = [
    ("nothing", b"", 502),
    ("half a head", b"HTTP/1.1 200 OK\r\nA: b", 502),
    ("no HTTP", b"hello\r\n\r\n", 502),
    ("a bad status", b"HTTP/1.1 2000 OK\r\n\r\n", 502),
    ("HTTP/2", b"HTTP/2.0 200 OK\r\n\r\n", 502),
    ("two framings", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n"
     b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 502),
    ("two lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n"
     b"Content-Length: 4\r\n\r\nabcd", 502),
    ("obs-fold", b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", 502),
    ("a 101 nobody asked for", b"HTTP/1.1 101 Switching Protocols\r\n"
     b"Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n", 502),
    ("a huge head", b"HTTP/1.1 200 OK\r\nA: " + b"b" * 300000 + b"\r\n\r\n",
     502),
    ("a cut body", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", None),
    ("a cut chunk", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
     b"5\r\nabc", None),
    ("no last chunk", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
     b"3\r\nabc\r\n", None),
    ("a bad chunk", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
     b"3\r\nabc\r\nxyz\r\n", None),
]


@pytest.mark.short
@pytest.mark.row("proxy: 502 and 504")
@pytest.mark.row("proxy: Length ambiguity (CL+TE, bare LF, bad chunks)")
def test_what_a_broken_backend_sends(gate):  # noqa: F811
    """502 before a head, a visible cut after it; never a whole message."""
    def script(connection):
        message = connection.request()
        connection.send(CUTS[int(message.target[1:])][1])
    front(gate, script)
    for at, (name, _, status) in enumerate(CUTS):
        with gate.client() as client:
            client.send(request(f"/{at}"))
            out = client.rest() if status is None else None
            if status is not None:
                got = client.response()
                assert got.status == status, (name, got)
                continue
        head, body = out.split(b"\r\n\r\n", 1)
        assert b" 200 " in head and b"abc" in body, name
        if b"chunked" in head:
            assert not body.endswith(b"0\r\n\r\n"), name


@pytest.mark.row("proxy: 502 and 504")
@pytest.mark.parametrize("code", [100, 103])
def test_interim_responses_without_end_are_502(gate, code):  # noqa: F811
    def script(connection):
        connection.request()
        for _ in range(1000000):
            connection.send(b"HTTP/1.1 %d Word\r\n\r\n" % code)
    backend = front(gate, script)
    with gate.client() as client:
        got = client.get("/")
    assert got.status == 502 and len(got.interim) <= 32
    wait_until(lambda: backend.live == 0, "the backend's side closed")


@pytest.mark.row("proxy: bytes from a backend outside an exchange")
def test_bytes_behind_the_response_are_no_answer_to_anybody(gate):  # noqa: F811
    """A response too many must not reach the next client."""
    kinds = [
        ("GET", lambda target: reply(target) + reply(b"poison")),
        ("HEAD", lambda target: reply(target)),
        ("HEAD", lambda target: reply(b"HTTP/1.1 200 OK\r\n\r\npoison")),
        ("GET", lambda target: b"HTTP/1.1 204 No\r\n\r\n" +
         reply(b"poison")),
        ("GET", lambda target: b"HTTP/1.1 304 No\r\nContent-Length: 50\r\n"
         b"\r\n" + reply(b"poison")),
        ("GET", lambda target: b"HTTP/1.1 204 No\r\nContent-Length: 6\r\n"
         b"\r\npoison")]

    def answer(connection, message):
        if message.target == "/clean":
            return reply(b"clean")
        return kinds[int(message.target[1:])][1](message.target.encode())
    backend = front(gate, one(answer))
    for at, (method, _) in enumerate(kinds):
        with gate.client() as client:
            got = client.get(f"/{at}", method=method)
            assert b"poison" not in got.body
            for _ in range(3):
                got = client.get("/clean")
                assert got.body == b"clean" or got.status == 502, at
        for _ in range(3):
            assert gate.get("/clean").body == b"clean", at
    assert backend.accepted >= len(kinds)


@pytest.mark.short
@pytest.mark.row("proxy: Retries")
def test_a_stale_kept_connection_is_tried_anew(gate):  # noqa: F811
    """The backend closes kept connections at the very next request."""
    def script(connection):
        message = connection.request()
        connection.send(reply(message.target.encode()))
        connection.some(1)      # the next request's first byte: and goes
    backend = front(gate, script)
    with gate.client() as client:
        for at in range(10):
            got = client.get(f"/{at}")
            assert (got.status, got.text) == (200, f"/{at}")
    assert backend.accepted >= 10


@pytest.mark.row("proxy: Retries")
def test_what_may_have_been_done_is_not_done_again(gate):  # noqa: F811
    """A POST on a kept connection that dies is 502, not sent twice."""
    posts = []

    def script(connection):
        connection.request()
        connection.send(reply(b"first"))
        message = connection.request()
        if message:
            posts.append(message)   # taken, and then it dies
    front(gate, script)
    with gate.client() as client:
        assert client.get("/").status == 200
        assert client.get("/", method="POST", body=b"pay").status == 502
    assert len(posts) == 1


@pytest.mark.row("proxy: Retries")
def test_a_get_without_any_answer_is_not_tried_for_ever(gate):  # noqa: F811
    backend = front(gate, lambda connection: connection.request())
    assert gate.get("/").status == 502
    assert backend.accepted <= 2


@pytest.mark.row("proxy: Balancing")
def test_a_pool_takes_turns_and_passes_over_the_dead(gate):  # noqa: F811
    with Backend(serve_echo) as one_of, Backend(serve_echo) as other:
        dead = f"127.0.0.1:{free_port()}"
        gate.start({"/": {"proxy": {"pool": "all"}}}, pools={
            "all": {"servers": [one_of.server, dead, other.server]}})
        for _ in range(20):
            assert gate.get("/").status == 200
        assert one_of.seen and other.seen


@pytest.mark.short
@pytest.mark.row("proxy: nothing is left behind")
def test_a_client_that_leaves_ends_its_backend_call(gate):  # noqa: F811
    """Whatever the exchange was doing; no descriptor stays."""
    def script(connection):
        head = connection.head()
        if head.target == "/upload":
            connection.exact(1000000)
        elif head.target == "/download":
            connection.send(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                connection.send(b"x" * 65536)
        connection.rest()
    backend = front(gate, script)
    worker = gate.daemon.worker
    before = len(open_fds(worker))
    for target in ("/wait", "/upload", "/download"):
        for _ in range(5):
            client = gate.client()
            seen = backend.accepted
            fields = ["Content-Length: 1000000"] if target == "/upload" \
                else []
            client.send(request(target, *fields, method="POST"
                                if fields else "GET"))
            wait_until(lambda: backend.accepted > seen, "the call")
            client.reset()
    wait_until(lambda: backend.live == 0, "the backend's connections gone")
    wait_until(lambda: len(open_fds(worker)) <= before, "descriptors back")
    assert gate.daemon.worker == worker


# ---- what stands where ---------------------------------------------------------------------

@pytest.mark.row("proxy: Same URI also PHP/static")
def test_the_longest_prefix_on_segments_wins(gate):  # noqa: F811
    names = ["/", "/api", "/api/deep/", "/ap"]
    backends = {}
    for name in names:
        backends[name] = Backend(one(reply(name.encode())))
        gate._running.callback(backends[name].close)
    gate.start({name: {"proxy": backend.server}
                for name, backend in backends.items()})
    for target, wanted in [
            ("/", "/"), ("/x", "/"), ("/api", "/api"), ("/api/", "/api"),
            ("/api?x", "/api"), ("/apix", "/"), ("/api/deep", "/api"),
            ("/api/deep/x", "/api/deep/"), ("/ap", "/ap"), ("/ap/i", "/ap"),
            ("/x/../api/y", "/api"), ("/%61pi", "/api"), ("/API", "/"),
            ("/api%2Fdeep%2Fx", "/"), ("/api/deep/../x", "/api"),
            ("//api", "/")]:
        assert gate.get(target).text == wanted, target
    assert gate.get("/api/%00").status == 400


@pytest.mark.row("proxy: h2c is not forwarded")
@pytest.mark.parametrize("token", ["h2c", "TLS/1.0", "websocketx", "foo"])
def test_another_upgrade_token_is_an_ordinary_request(gate, token):  # noqa: F811
    front(gate, serve_echo)
    with gate.client() as client:
        got = client.get("/", "Connection: Upgrade, HTTP2-Settings",
                         f"Upgrade: {token}", "HTTP2-Settings: AAMAAABk")
        names = [name.lower() for name, _ in got.json()["fields"]]
        assert got.status == 200 and "upgrade" not in names
        assert "http2-settings" not in names
        assert client.get("/").status == 200
