"""What a review of the seams found: each test failed before its mend."""
import os
import signal
import socket
import time

import pytest
from backends import Backend, one, reply
from gate import HOST, Client, gate, open_fds, request  # noqa: F401
from harness import free_port, wait_until

LOG = {"access": "-", "format": "json", "level": "debug"}


def front(gate, script, proxy=None, **how):  # noqa: F811
    """wsgate before a scripted backend."""
    backend = Backend(script)
    gate._running.callback(backend.close)
    gate.start({"/": {"proxy": {"servers": [backend.server],
                                **(proxy or {})}}}, log=LOG, **how)
    return backend


# ---- deadlines -----------------------------------------------------------------------

@pytest.mark.row("client: slow readers")
@pytest.mark.parametrize("secure", [False, True])
def test_the_tail_of_a_last_response_waits_for_a_slow_reader(
        gate, secure):  # noqa: F811
    """Connection: close, and a reader that rests for longer than the two
    seconds which are meant for its FIN."""
    sizes = [200000 + 40000 * n for n in range(90)]
    body = bytes(max(sizes))

    def script(connection):
        message = connection.request()
        connection.send(reply(body[:int(message.target[1:])]))
    front(gate, script)
    clients = [(gate.tls if secure else gate.client)(receive_buffer=4096)
               for _ in sizes]
    for client, size in zip(clients, sizes):
        client.send(request(f"/{size}", "Connection: close"))
    time.sleep(5)  # pause: longer than the 2 s meant for a FIN
    got = [len(client.response().body) for client in clients]
    assert got == sizes


@pytest.mark.row("client: slow readers")
def test_a_reader_that_is_slow_but_reads_is_not_cut(gate):  # noqa: F811
    """Whenever the deadline looks, as many bytes wait as before: but others."""
    body = os.urandom(12 * 1024 * 1024)
    front(gate, one(reply(body)), site={"limits": {"send_timeout": "4s"}})
    with gate.client(receive_buffer=4096) as client:
        client.send(request("/"))
        client.head()
        got = 0
        while got < len(body):
            step = min(512 * 1024, len(body) - got)
            assert client.exact(step) == body[got:got + step]
            got += step
            time.sleep(0.4)  # pause: the behaviour under test is a rate


@pytest.mark.row("proxy: timeouts")
def test_a_backend_that_does_not_read_is_a_504(gate):  # noqa: F811
    """The client is the one that waits: no 408."""
    def script(connection):
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        time.sleep(20)  # pause: the backend that does not read
    front(gate, script, {"send_timeout": "3s", "max_body": "100M"},
          site={"limits": {"body_timeout": "1s"}})
    with gate.client() as client:
        client.send(request("/", "Content-Length: 60000000", method="POST"))
        client.sock.settimeout(15)
        client.sock.setblocking(False)
        end = time.monotonic() + 15
        while time.monotonic() < end:
            try:
                client.sock.send(bytes(65536))
            except BlockingIOError:
                time.sleep(0.05)  # pause: polls both directions
            except OSError:
                break
            try:
                client.buffer += client.sock.recv(65536)
            except BlockingIOError:
                continue
            if client.buffer:
                break
        client.sock.setblocking(True)
        assert client.head().status == 504


@pytest.mark.row("access log")
def test_the_log_tells_the_status_of_a_late_body(gate):  # noqa: F811
    front(gate, one(reply(b"")), site={"limits": {"body_timeout": "1s"}})
    with gate.client() as client:
        client.send(request("/", "Content-Length: 10", method="POST"))
        assert client.response().status == 408
    assert gate.daemon.wait_record("request")["status"] == 408


# ---- refusals ----------------------------------------------------------------------------

@pytest.mark.row("websocket: 426")
def test_every_426_names_the_protocol(gate):  # noqa: F811
    """RFC 9110 15.5.22, 7.8."""
    gate.start({"/": {"websocket": "127.0.0.1:1"}})
    for fields in ([], ["Upgrade: websocket", "Connection: Upgrade",
                        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
                        "Sec-WebSocket-Version: 12"]):
        got = gate.get("/", *fields)
        assert got.status == 426
        assert got.get("Upgrade") == "websocket"
        assert "upgrade" in got.get("Connection").lower()
        assert got.get("Sec-WebSocket-Version") == "13"


@pytest.mark.row("redirect to https")
def test_a_redirect_is_for_hosts_of_the_site(gate):  # noqa: F811
    port = free_port()
    gate.start(site={"hosts": [HOST, "::1"],
                     "redirect_from": [f"127.0.0.1:{port}"]})

    def ask(host):
        with Client(port) as client:
            return client.get("/a?b", host=host)
    assert ask(HOST).get("Location") == f"https://{HOST}/a?b"
    assert ask("[::1]").get("Location") == "https://[::1]/a?b"
    got = ask("evil.example")
    assert (got.status, got.get("Location")) == (421, None)


# ---- processes -----------------------------------------------------------------------------

@pytest.mark.row("master: pings")
def test_a_master_that_was_stopped_kills_no_worker(gate):  # noqa: F811
    """A paused container, or a reload of a hundred thousand certificates."""
    daemon = gate.start()
    before = daemon.worker
    daemon.send(signal.SIGSTOP)
    time.sleep(17)  # pause: longer than the silence that kills
    daemon.send(signal.SIGCONT)
    time.sleep(2)  # pause: a kill would be seen by now
    assert daemon.worker == before


@pytest.mark.row("config: many listeners")
def test_six_hundred_addresses(gate):  # noqa: F811
    base = free_port()
    listens = [{"address": f"127.0.{n // 200}.{n % 200 + 1}:{base}",
                "tls": False} for n in range(600)]
    gate.start(site={"listen": listens})
    assert gate.daemon.worker


@pytest.mark.row("listeners: reload")
def test_a_worker_that_comes_amid_a_reload_gets_each_listener_once(
        gate):  # noqa: F811
    site = gate.site()
    daemon = gate.start(sites=[site], workers=2)
    stopped, killed = daemon.workers
    site["listen"].append({"address": f"127.0.0.1:{free_port()}",
                           "tls": False})
    gate.config(sites=[site], workers=2)
    os.kill(stopped, signal.SIGSTOP)       # the reload waits for it
    mark = daemon.mark
    daemon.send(signal.SIGHUP)
    daemon.wait_log("listening", since=mark)
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: len(set(daemon.workers) - {stopped, killed}) == 1,
               "another worker")
    time.sleep(1)  # pause: nothing tells when it has its listeners
    os.kill(stopped, signal.SIGCONT)
    daemon.wait_log(r"\breloaded\b", since=mark)
    fresh = (set(daemon.workers) - {stopped}).pop()

    def sockets(pid):
        return len([link for link in open_fds(pid) if "socket" in link])
    wait_until(lambda: sockets(fresh) == sockets(stopped),
               "as many sockets in both workers")


@pytest.mark.row("http: header limits")
def test_the_largest_head_that_may_be_allowed_gets_through(gate):  # noqa: F811
    def script(connection):
        while connection.until(b"\r\n\r\n", 1 << 21):
            connection.send(reply(b"ok"))
    front(gate, script, site={"limits": {"header_size": "1M"}})
    assert gate.get("/", "A: " + 900000 * "b").status == 200
