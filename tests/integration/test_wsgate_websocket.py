"""WebSocket: the handshake and its refusals, tunnels that lose no byte, and the
same address serving ordinary requests."""
import asyncio
import base64
import hashlib
import os
import random
import socket
import ssl
import struct
import threading
import time

import pytest
import websockets
from backends import (Backend, accept_key, frame, one, reply, serve_echo,
                      tunnel_echo)
from gate import (HOST, Pipe, gate, is_sanitized, memory, open_fds,  # noqa: F401
                  request, shared_gate)
from harness import free_port, wait_until

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
MIB = 1 << 20
LOG = {"access": "-", "format": "json", "level": "debug"}


def upgrade(target="/ws", *fields, drop=(), host=HOST, method="GET",
            version="1.1", **instead):
    """A right handshake, but for what is dropped or said instead."""
    parts = {"Connection": "Upgrade", "Upgrade": "websocket",
             "Sec_WebSocket_Version": "13", "Sec_WebSocket_Key": KEY}
    parts.update(instead)
    lines = [f"{name.replace('_', '-')}: {value}"
             for name, value in parts.items() if name not in drop]
    return request(target, *lines, *fields, host=host, method=method,
                   version=version)


def open_tunnel(client, *fields, target="/ws", first=b""):
    client.send(upgrade(target, *fields) + first)
    got = client.response()
    assert got.status == 101, got
    assert got.get("Sec-WebSocket-Accept") == accept_key(KEY)
    assert got.get("Upgrade").lower() == "websocket"
    assert got.get("Connection").lower() == "upgrade"
    return got


def front(gate, script, ws=None, **how):  # noqa: F811
    """A WebSocket backend; every other request goes to an echo in JSON."""
    backend, plain = Backend(script), Backend(serve_echo)
    gate._running.callback(backend.close)
    gate._running.callback(plain.close)
    where = {"servers": [backend.server], **(ws or {})}
    gate.start({"/ws": {"websocket": where, "proxy": plain.server},
                "/only": {"websocket": where},
                "/": {"proxy": plain.server}}, log=LOG, **how)
    backend.plain = plain
    return backend


@pytest.fixture(scope="module")
def echo(shared_gate):  # noqa: F811
    """Bytes come back as they went, for every test that harms nothing."""
    backend = front(shared_gate, tunnel_echo,
                    ws={"origins": ["same", "https://friend.example"]})
    backend.gate = shared_gate
    return backend


# ---- the handshake -----------------------------------------------------------------------

@pytest.mark.short
@pytest.mark.row("proxy: How to enable")
@pytest.mark.parametrize("over", ["tls", "plain"])
def test_an_echo(echo, over):
    client = echo.gate.tls() if over == "tls" else echo.gate.client()
    with client:
        open_tunnel(client)
        for size in (0, 1, 125, 126, 65535, 65536, 300000):
            data = frame(os.urandom(size), mask=b"abcd")
            client.send(data)
            assert client.exact(len(data)) == data


@pytest.mark.short
@pytest.mark.row("proxy: Same URI also PHP/static")
def test_the_same_uri_serves_ordinary_requests(echo):
    with echo.gate.tls() as client:
        got = client.get("/ws?x=1")
        assert got.status == 200 and got.json()["target"] == "/ws?x=1"
        assert client.get("/ws", method="POST",
                          body=b"abc").json()["body_size"] == 3
        open_tunnel(client)
        client.send(b"on the very same connection")
        assert client.exact(27) == b"on the very same connection"


REFUSED = [
    ("a POST", dict(method="POST"), {200}),
    ("HTTP/1.0", dict(version="1.0"), {200, 400}),
    ("no version", dict(drop=["Sec_WebSocket_Version"]), {426}),
    ("version 8", dict(Sec_WebSocket_Version="8"), {426}),
    ("two versions", dict(Sec_WebSocket_Version="13, 8"), {400, 426}),
    ("no key", dict(drop=["Sec_WebSocket_Key"]), {400}),
    ("a short key", dict(Sec_WebSocket_Key="abc"), {400}),
    ("a key of 24 letters", dict(Sec_WebSocket_Key="a" * 24), {400}),
    ("an empty key", dict(Sec_WebSocket_Key=""), {400}),
    ("no Connection", dict(drop=["Connection"]), {200}),
    ("another Connection", dict(Connection="keep-alive"), {200}),
    ("no Upgrade", dict(drop=["Upgrade"]), {200}),
    ("Upgrade: h2c", dict(Upgrade="h2c"), {200}),
    ("Upgrade: websockets", dict(Upgrade="websockets"), {200}),
    ("a body", dict(Content_Length="5"), {400}),
]


@pytest.mark.short
@pytest.mark.row("proxy: Handshake checks")
@pytest.mark.parametrize("how,statuses", [row[1:] for row in REFUSED],
                         ids=[row[0].replace(" ", "-") for row in REFUSED])
def test_a_handshake_that_lacks_a_part(echo, how, statuses):
    """400 or 426, or an ordinary request when it is none at all; never a
    connection to the WebSocket backend."""
    before = echo.accepted
    with echo.gate.client() as client:
        client.send(upgrade(**how) + (b"hello" if "Content_Length" in how
                                      else b""))
        got = client.response(how.get("method", "GET"))
        assert got.status in statuses, got
        if got.status == 426:
            assert got.get("Sec-WebSocket-Version") == "13"
        if got.status == 200:
            names = [name.lower() for name, _ in got.json()["fields"]]
            assert "upgrade" not in names
            assert got.get("Upgrade") is None
    assert echo.accepted == before


@pytest.mark.row("proxy: Handshake checks")
@pytest.mark.parametrize("how", [
    dict(Upgrade="WebSocket"), dict(Connection="keep-alive, upgrade"),
    dict(Connection="UPGRADE"), dict(Upgrade="h2c, websocket"),
    dict(Sec_WebSocket_Extensions="permessage-deflate; x")],
    ids=["case", "list", "upper", "two-tokens", "extensions"])
def test_odd_but_right_handshakes(echo, how):
    with echo.gate.client() as client:
        client.send(upgrade(**how))
        assert client.response().status == 101
        client.send(b"abc")
        assert client.exact(3) == b"abc"


@pytest.mark.row("proxy: Handshake checks")
def test_only_websocket_is_served_there(echo):
    with echo.gate.client() as client:
        got = client.get("/only")
        assert got.status == 426
        assert got.get("Upgrade").lower() == "websocket"
        assert client.get("/only").status == 426


@pytest.mark.short
@pytest.mark.row("proxy: Origin policy")
@pytest.mark.parametrize("origin,status,over", [
    (None, 101, "tls"), ("https://{host}", 101, "tls"),
    ("https://{host}:{port}", 101, "tls-port"),
    ("https://friend.example", 101, "tls"),
    ("HTTPS://FRIEND.EXAMPLE", 101, "tls"),
    ("https://friend.example:444", 403, "tls"),
    ("http://friend.example", 403, "tls"),
    ("https://evil.example", 403, "tls"),
    ("https://{host}.evil.example", 403, "tls"),
    ("https://evil{host}", 403, "tls"), ("null", 403, "tls"),
    ("http://{host}", 403, "tls"), ("http://{host}", 101, "plain"),
    ("", 403, "tls"), ("garbage", 403, "tls"),
    ("https://{host}, https://evil.example", 403, "tls")])
def test_origins(echo, origin, status, over):
    gate = echo.gate  # noqa: F811
    host = f"{HOST}:{gate.port}" if over == "tls-port" else HOST
    before = len(echo.seen)
    fields = [] if origin is None else [
        "Origin: " + origin.format(host=HOST, port=gate.port)]
    client = gate.client() if over == "plain" else gate.tls()
    with client:
        client.send(upgrade("/ws", *fields, host=host))
        assert client.response().status == status
    assert len(echo.seen) == before + (status == 101)


@pytest.mark.row("proxy: Origin policy")
def test_any_origin_and_none_but_the_listed(gate):  # noqa: F811
    with Backend(tunnel_echo) as backend:
        gate.start({
            "/any": {"websocket": {"servers": [backend.server],
                                   "origins": ["any"]}},
            "/listed": {"websocket": {"servers": [backend.server],
                                      "origins": ["https://a.example"]}}})
        for target, origin, status in [
                ("/any", "https://evil.example", 101), ("/any", "null", 101),
                ("/listed", "https://a.example", 101),
                ("/listed", f"http://{HOST}", 403)]:
            with gate.client() as client:
                client.send(upgrade(target, f"Origin: {origin}"))
                assert client.response().status == status


@pytest.mark.short
@pytest.mark.row("proxy: X-Forwarded-*, Forwarded")
@pytest.mark.row("proxy: Client's own X-Forwarded-For reaches the backend on Upgrade")
def test_forwarded_fields_on_an_upgrade(echo):
    with echo.gate.tls() as client:
        open_tunnel(client, "X-Forwarded-For: 9.9.9.9", "X-Real-IP: 9.9.9.9",
                    "Forwarded: for=9.9.9.9", "Cookie: a=b",
                    "Origin: https://friend.example",
                    "Connection: X-Mine", "X-Mine: 1",
                    target="/ws/deep?token=x")
        seen = echo.seen[-1]
    assert seen.target == "/ws/deep?token=x"
    assert seen.get("X-Forwarded-For") == "127.0.0.1"
    assert seen.get("X-Forwarded-Proto") == "https"
    assert "9.9.9.9" not in str(seen.fields)
    assert seen.get("Cookie") == "a=b" and seen.get("Host") == HOST
    assert seen.get("Origin") == "https://friend.example"
    assert seen.get("Upgrade") == "websocket"
    assert seen.get("X-Mine") is None


# ---- what a backend answers ----------------------------------------------------------------

@pytest.mark.short
@pytest.mark.row("proxy: Tunnel opens only after a real 101")
@pytest.mark.parametrize("code", [200, 302, 401, 403, 404, 426, 429, 500])
def test_a_backend_that_refuses_is_heard(gate, code):  # noqa: F811
    body = os.urandom(70000)
    front(gate, one(reply(body, "X-Why: because", "Upgrade: websocket",
                          code=code)))
    with gate.client() as client:
        client.send(upgrade())
        got = client.response()
        assert (got.status, got.body) == (code, body)
        assert got.get("X-Why") == "because"
        # nothing became a tunnel: it is HTTP as before
        assert client.get("/").status == 200


BAD_101 = [
    ("no Accept", ["Upgrade: websocket", "Connection: Upgrade"]),
    ("a wrong Accept", ["Upgrade: websocket", "Connection: Upgrade",
                        "Sec-WebSocket-Accept: " + accept_key("x")]),
    ("two Accepts", ["Upgrade: websocket", "Connection: Upgrade",
                     "Sec-WebSocket-Accept: {key}",
                     "Sec-WebSocket-Accept: {key}"]),
    ("no Upgrade", ["Connection: Upgrade", "Sec-WebSocket-Accept: {key}"]),
    ("another Upgrade", ["Upgrade: h2c", "Connection: Upgrade",
                         "Sec-WebSocket-Accept: {key}"]),
    ("no Connection", ["Upgrade: websocket",
                       "Sec-WebSocket-Accept: {key}"]),
    ("a subprotocol nobody offered", [
        "Upgrade: websocket", "Connection: Upgrade",
        "Sec-WebSocket-Accept: {key}", "Sec-WebSocket-Protocol: evil"]),
    ("an extension nobody offered", [
        "Upgrade: websocket", "Connection: Upgrade",
        "Sec-WebSocket-Accept: {key}",
        "Sec-WebSocket-Extensions: permessage-deflate"]),
]


@pytest.mark.short
@pytest.mark.row("proxy: Tunnel opens only after a real 101")
def test_a_wrong_101_is_502(gate):  # noqa: F811
    def script(connection):
        message = connection.request()
        lines = BAD_101[int(message.target.rsplit("/")[-1])][1]
        connection.send(("HTTP/1.1 101 Switching Protocols\r\n" + "".join(
            f"{text}\r\n" for text in lines) + "\r\n").format(
                key=accept_key(KEY)).encode() + b"not for the client")
        connection.rest()
    backend = front(gate, script)
    for at, (name, _) in enumerate(BAD_101):
        with gate.client() as client:
            client.send(upgrade(f"/ws/{at}"))
            got = client.response()
            assert got.status == 502, name
            assert b"not for" not in got.body
    wait_until(lambda: backend.live == 0, "their connections closed")


@pytest.mark.short
@pytest.mark.row("proxy: 502 and 504")
def test_a_backend_that_is_down_or_silent(gate):  # noqa: F811
    with Backend(lambda connection: connection.rest()) as silent:
        gate.start({"/down": {"websocket": f"127.0.0.1:{free_port()}"},
                    "/silent": {"websocket": {
                        "servers": [silent.server],
                        "read_timeout": "300ms"}}}, log=LOG)
        with gate.client() as client:
            for target, status in (("/down", 502), ("/silent", 504)):
                client.send(upgrade(target))
                got = client.response()
                assert got.status == status
    gate.daemon.wait_record("request", status=502, handler="websocket")


@pytest.mark.row("proxy: Retries")
def test_an_upgrade_is_tried_at_the_next_server(gate):  # noqa: F811
    with Backend(tunnel_echo) as backend:
        gate.start({"/ws": {"websocket": {"servers": [
            f"127.0.0.1:{free_port()}", backend.server]}}})
        for _ in range(6):
            with gate.client() as client:
                open_tunnel(client)


@pytest.mark.row("proxy: Handshake checks")
def test_subprotocols(gate):  # noqa: F811
    def script(connection):
        message = connection.request()
        offered = message.get("Sec-WebSocket-Protocol").split(", ")
        connection.accept_upgrade(
            message, f"Sec-WebSocket-Protocol: {offered[-1]}")
        connection.rest()
    front(gate, script)
    with gate.client() as client:
        got = open_tunnel(client, "Sec-WebSocket-Protocol: soap, wamp")
        assert got.get("Sec-WebSocket-Protocol") == "wamp"


# ---- bytes ------------------------------------------------------------------------------------

@pytest.mark.short
@pytest.mark.row("proxy: First bytes after the handshake lost")
@pytest.mark.parametrize("over", ["tls", "plain"])
def test_frames_sent_along_with_the_handshakes(gate, over):  # noqa: F811
    """The client's with its request in one packet, the backend's with its 101
    in one packet: both arrive once, in order, before what comes later."""
    first = b"".join(frame(b"%d" % at, mask=b"abcd") for at in range(2000))
    greeting = b"".join(frame(b"hello %d" % at) for at in range(2000))

    def script(connection):
        message = connection.request()
        connection.accept_upgrade(message, extra=greeting)
        while data := connection.some():
            connection.send(data)
    front(gate, script)
    for _ in range(20):
        with gate.tls() if over == "tls" else gate.client() as client:
            open_tunnel(client, first=first)
            client.send(b"later")
            assert client.exact(len(greeting)) == greeting
            assert client.exact(len(first)) == first
            assert client.exact(5) == b"later"


@pytest.mark.short
@pytest.mark.row("proxy: First bytes after the handshake lost")
def test_everything_byte_by_byte(gate):  # noqa: F811
    def script(connection):
        message = connection.request()
        out = f"HTTP/1.1 101 Up\r\nUpgrade: websocket\r\nConnection: " \
              f"Upgrade\r\nSec-WebSocket-Accept: " \
              f"{accept_key(message.get('Sec-WebSocket-Key'))}\r\n\r\n"
        for byte in out.encode() + b"0123456789":
            connection.send(bytes([byte]))
        connection.backend.first = connection.exact(20)
        connection.send(b"all of it")
        while data := connection.some(1):
            connection.send(data)
    backend = front(gate, script)
    with gate.client() as client:
        client.drip(upgrade() + b"a" * 20)
        assert client.response().status == 101
        assert client.exact(19) == b"0123456789all of it"
        assert backend.first == b"a" * 20
        client.drip(bytes(range(256)))
        assert client.exact(256) == bytes(range(256))


@pytest.mark.row("proxy: Half-close")
def test_half_close_both_ways(gate):  # noqa: F811
    """What is on its way arrives after the FIN of the other side."""
    go = threading.Event()

    def script(connection):
        message = connection.request()
        connection.accept_upgrade(message)
        if message.target == "/ws/client":
            got = connection.rest()          # until the client's FIN
            connection.send(b"after your end: " + got)
        else:
            connection.send(b"mine is said")
            connection.end()
            connection.backend.got = connection.rest()
            go.set()
    backend = front(gate, script)
    with gate.client() as client:
        open_tunnel(client, target="/ws/client")
        client.send(b"x" * 100000)
        client.end()
        assert client.rest() == b"after your end: " + b"x" * 100000
    with gate.client() as client:
        open_tunnel(client, target="/ws/backend")
        assert client.rest() == b"mine is said"
        client.send(b"y" * 100000)
        client.end()
        assert go.wait(30) and backend.got == b"y" * 100000
    assert gate.daemon.wait_record("tunnel_close", bytes_in=100000,
                                   bytes_out=16 + 100000)


@pytest.mark.row("proxy: Half-close")
def test_a_half_closed_tunnel_does_not_stay_for_ever(gate):  # noqa: F811
    def script(connection):
        connection.accept_upgrade(connection.request())
        connection.some()
        connection.end()
        connection.rest()
    backend = front(gate, script, site={"limits": {"linger": "300ms"}})
    with gate.client() as client:
        open_tunnel(client)
        client.send(b"end yours")
        assert client.is_ended()
        gate.daemon.wait_record("tunnel_close")
        wait_until(lambda: backend.live == 0, "the backend's side closed")


@pytest.mark.short
@pytest.mark.row("proxy: Dead peers stay for ever")
@pytest.mark.parametrize("who", ["client", "backend"])
def test_a_reset_of_one_side_ends_the_other(gate, who):  # noqa: F811
    def script(connection):
        connection.accept_upgrade(connection.request())
        if who == "backend":
            connection.some()
            connection.reset()
        else:
            connection.rest()
    backend = front(gate, script)
    worker = gate.daemon.worker
    with gate.client() as client:
        open_tunnel(client)
        client.send(b"x")
        if who == "client":
            client.reset()
        else:
            assert client.is_ended()
    gate.daemon.wait_record("tunnel_close")
    wait_until(lambda: backend.live == 0, "the backend's side closed")
    assert gate.daemon.worker == worker


def slow_reader(gate, size, rate_block=MIB):  # noqa: F811
    """`size` bytes towards a client that begins late and reads in blocks; the
    worker's growth and the digest of either end."""
    sent = [0]
    digests = {}

    def script(connection):
        connection.accept_upgrade(connection.request())
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF,
                                   262144)
        digest = hashlib.blake2b()
        block = os.urandom(MIB)
        for at in range(size // MIB):
            data = struct.pack(">Q", at) + block[8:]
            digest.update(data)
            connection.send(data)
            sent[0] += len(data)
        digests["sent"] = digest.hexdigest()
        connection.end()
        connection.rest()
    front(gate, script)
    worker = gate.daemon.worker
    before = memory(worker)
    with gate.tls(receive_buffer=65536) as client:
        open_tunnel(client)
        last = [-1]

        def stands_still():
            moved, last[0] = sent[0] != last[0], sent[0]
            threading.Event().wait(0.2)
            return not moved and sent[0] == last[0]
        wait_until(stands_still, "the backend blocked")
        assert sent[0] < 16 * MIB
        digest = hashlib.blake2b()
        for _ in range(size // rate_block):
            digest.update(client.exact(rate_block))
        with pytest.raises(EOFError):
            client.exact(1)
    assert digest.hexdigest() == digests["sent"]
    grown = memory(worker) - before
    assert grown < 8 * MIB or is_sanitized(), grown


@pytest.mark.row("proxy: Or nobody is cut and old workers eat the memory")
@pytest.mark.row("proxy: Memory per idle tunnel; buffers past the limit")
def test_64_mib_to_a_slow_reader_in_bounded_memory(gate):  # noqa: F811
    slow_reader(gate, 64 * MIB)


@pytest.mark.limit(300)
@pytest.mark.row("proxy: Memory per idle tunnel; buffers past the limit")
def test_1_gib_to_a_slow_reader_in_bounded_memory(gate):  # noqa: F811
    slow_reader(gate, 1024 * MIB)


@pytest.mark.row("proxy: Memory per idle tunnel; buffers past the limit")
def test_64_mib_to_a_slow_backend_in_bounded_memory(gate):  # noqa: F811
    go, got = threading.Event(), []

    def script(connection):
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF,
                                   262144)
        connection.accept_upgrade(connection.request())
        go.wait(60)
        digest, size = hashlib.blake2b(), 0
        while data := connection.some(MIB):
            digest.update(data)
            size += len(data)
        got.append((size, digest.hexdigest()))
        connection.send(b"got it")
    front(gate, script)
    worker = gate.daemon.worker
    before = memory(worker)
    data = os.urandom(64 * MIB)
    with gate.client() as client:
        open_tunnel(client)
        client.sock.settimeout(1)
        rest = memoryview(data)
        with pytest.raises(TimeoutError):
            while rest:
                rest = rest[client.sock.send(rest[:65536]):]
        assert len(rest) > 32 * MIB
        client.sock.settimeout(60)
        go.set()
        client.send(rest)
        client.end()
        assert client.rest() == b"got it"
    assert got == [(len(data), hashlib.blake2b(data).hexdigest())]
    assert memory(worker) - before < 8 * MIB or is_sanitized()


@pytest.mark.short
@pytest.mark.row("proxy: Understands frames")
def test_random_pieces_both_ways_at_once(echo):
    """A lot of data through one tunnel in pieces of every size, while as much
    comes back."""
    rng = random.Random(6455)
    data = rng.randbytes(8 * MIB)
    for client in (echo.gate.tls(), echo.gate.client()):
        with client:
            open_tunnel(client)

            def write():
                at = 0
                while at < len(data):
                    size = rng.choice((1, 7, 100, 1460, 16384, 65536, 200000))
                    client.send(data[at:at + size])
                    at += size
            if isinstance(client.sock, ssl.SSLSocket):
                # one thread: Python's TLS sockets are not for two at once
                at = 0
                while at < len(data):
                    size = rng.choice((1, 7, 100, 1460, 16384, 65536))
                    client.send(data[at:at + size])
                    assert client.exact(len(data[at:at + size])) == \
                        data[at:at + size]
                    at += size
                continue
            thread = threading.Thread(target=write)
            thread.start()
            assert client.exact(len(data)) == data
            thread.join()


# ---- real clients and servers -------------------------------------------------------------------

class EchoServer:
    """python3-websockets as the backend, in a loop of its own."""

    def __init__(self):
        self.port = free_port()
        self.loop = asyncio.new_event_loop()
        self.ready = threading.Event()
        self.closes = []
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        assert self.ready.wait(30)

    def _run(self):
        asyncio.set_event_loop(self.loop)

        async def echo(socket_):
            try:
                async for message in socket_:
                    await socket_.send(message)
            finally:
                self.closes.append(socket_.close_code)

        async def main():
            async with websockets.serve(echo, "127.0.0.1", self.port,
                                        max_size=None,
                                        subprotocols=["chat"]):
                self.ready.set()
                await asyncio.Future()
        try:
            self.loop.run_until_complete(main())
        except (asyncio.CancelledError, RuntimeError):
            pass

    def close(self):
        def cancel():
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
        self.loop.call_soon_threadsafe(cancel)
        self.thread.join(10)


@pytest.mark.short
@pytest.mark.row("proxy: How to enable")
@pytest.mark.row("proxy: permessage-deflate")
@pytest.mark.parametrize("compression", [None, "deflate"])
def test_a_real_client_and_a_real_server(gate, compression):  # noqa: F811
    server = EchoServer()
    gate._running.callback(server.close)
    gate.start({"/": {"websocket": f"127.0.0.1:{server.port}"}}, log=LOG)

    async def talk():
        async with websockets.connect(
                f"wss://{HOST}:{gate.port}/", host="127.0.0.1",
                server_hostname=HOST, ssl=gate.context(),
                compression=compression, max_size=None,
                subprotocols=["chat"],
                origin=f"https://{HOST}:{gate.port}") as client:
            assert client.subprotocol == "chat"
            for message in ("text \u20ac", b"", b"x" * 125, "y" * 70000,
                            os.urandom(2 * MIB)):
                await client.send(message)
                assert await client.recv() == message
            await (await client.ping())
            await client.close(4321, "done")
            assert client.close_code == 4321
    asyncio.run(asyncio.wait_for(talk(), 60))
    wait_until(lambda: server.closes == [4321], "the server's close code")
    gate.daemon.wait_record("tunnel_close", status=101)


@pytest.mark.row("proxy: How to enable")
def test_many_real_clients_at_once(gate):  # noqa: F811
    server = EchoServer()
    gate._running.callback(server.close)
    daemon = gate.start({"/": {"websocket": f"127.0.0.1:{server.port}"}},
                        workers=2)
    context = gate.context()

    async def one_of_many(number):
        async with websockets.connect(
                f"wss://{HOST}:{gate.port}/", host="127.0.0.1",
                server_hostname=HOST, ssl=context, open_timeout=60) as client:
            for at in range(10):
                await client.send(f"{number}:{at}" * 50)
                assert await client.recv() == f"{number}:{at}" * 50

    async def all_of_them():
        await asyncio.gather(*[one_of_many(at) for at in range(60)])
    asyncio.run(asyncio.wait_for(all_of_them(), 90))
    assert len(daemon.workers) == 2


# ---- reloads, leaving ------------------------------------------------------------------------------

@pytest.mark.short
@pytest.mark.row("proxy: Tunnels at config reload")
def test_a_tunnel_stays_over_reloads(gate):  # noqa: F811
    """Also when its location is gone: the tunnel has its own generation."""
    backend = front(gate, tunnel_echo)
    worker = gate.daemon.worker
    with gate.tls() as client, gate.client() as plain:
        for tunnel in (client, plain):
            open_tunnel(tunnel)
        for locations in ({"/": {"proxy": backend.plain.server}},
                          {"/": {"files": {"root": str(gate.folder)}}},
                          {"/ws": {"websocket": backend.server}}):
            gate.config(locations, log=LOG)
            gate.daemon.reload()
            for tunnel in (client, plain):
                data = os.urandom(100000)
                tunnel.send(data)
                assert tunnel.exact(len(data)) == data
        assert gate.daemon.worker == worker
        assert gate.daemon.records("tunnel_close") == []


@pytest.mark.short
@pytest.mark.row("proxy: nothing is left behind")
def test_a_client_may_leave_at_any_byte_of_the_handshake(gate):  # noqa: F811
    backend = front(gate, tunnel_echo)
    worker = gate.daemon.worker
    before = len(open_fds(worker))
    data = upgrade()
    for size in range(0, len(data) + 1, 3):
        client = gate.client()
        client.send(data[:size])
        client.reset() if size % 2 else client.close()
    for _ in range(20):                # between request and 101
        client = gate.client()
        client.send(data + b"some bytes already")
        client.reset()
    wait_until(lambda: backend.live == 0, "the backend's connections gone")
    wait_until(lambda: len(open_fds(worker)) <= before, "descriptors back")
    assert gate.daemon.worker == worker
    with gate.client() as client:
        open_tunnel(client)


@pytest.mark.row("proxy: nothing is left behind")
def test_many_tunnels_leave_nothing_behind(gate):  # noqa: F811
    backend = front(gate, tunnel_echo)
    worker = gate.daemon.worker
    before = len(open_fds(worker))
    for _ in range(3):
        clients = [gate.client() for _ in range(100)]
        for client in clients:
            open_tunnel(client)
            client.send(b"abc")
        for at, client in enumerate(clients):
            assert client.exact(3) == b"abc"
            client.reset() if at % 2 else client.close()
        wait_until(lambda: backend.live == 0, "the backend's side gone")
        wait_until(lambda: len(open_fds(worker)) <= before,
                   "descriptors back")
    wait_until(lambda: len(gate.daemon.records("tunnel_close")) == 300,
               "their records")
