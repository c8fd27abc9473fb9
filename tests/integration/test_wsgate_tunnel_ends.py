"""Tunnels with a peer that floods, takes nothing or is gone: what they cost
and when they end."""
import os
import pathlib
import time

import pytest
from backends import Backend, accept_key
from gate import gate, request  # noqa: F401
from harness import wait_until

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
LOG = {"access": "-", "format": "json", "level": "debug"}
UPGRADE = request("/", "Connection: Upgrade", "Upgrade: websocket",
                  "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {KEY}")
MIB = 1 << 20


def tunnel(gate, script, client, **how):  # noqa: F811
    """A tunnel through wsgate; `client`: "tls" or "plain". Both ends."""
    def upgraded(connection):
        connection.accept_upgrade(connection.request())
        script(connection)
    backend = Backend(upgraded)
    gate._running.callback(backend.close)
    gate.start({"/": {"websocket": backend.server}}, log=LOG, **how)
    client = (gate.tls if client == "tls" else gate.client)(
        receive_buffer=65536)
    client.send(UPGRADE)
    got = client.response()
    assert got.get("Sec-WebSocket-Accept") == accept_key(KEY)
    return backend, client


def cpu_s(pid):
    """Processor time spent so far."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")")[1]
    user, system = fields.split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def flood(connection):
    block = bytes(MIB)
    while True:
        connection.send(block)
        connection.backend.sent = getattr(
            connection.backend, "sent", 0) + len(block)


# ---- a side that is gone -----------------------------------------------------------------

@pytest.mark.row("proxy: Dead peers stay for ever")
@pytest.mark.parametrize("over", ["tls", "plain"])
@pytest.mark.parametrize("how", ["reset", "close"])
def test_nobody_reads_for_a_client_that_is_gone(
        gate, how, over):  # noqa: F811
    """The backend floods: its bytes would be thrown away."""
    backend, client = tunnel(gate, flood, over)
    worker = gate.daemon.worker
    time.sleep(1)  # pause: the backend fills what there is of buffers
    before = cpu_s(worker)
    getattr(client, how)()
    wait_until(lambda: backend.live == 0, "the backend's side closed", 5)
    time.sleep(3)  # pause: the time over which the worker is watched
    assert cpu_s(worker) - before < 0.5
    record = gate.daemon.wait_record("tunnel_close")
    assert record["bytes_out"] < 32 * MIB


@pytest.mark.row("proxy: Dead peers stay for ever")
def test_nobody_reads_for_a_backend_that_is_gone(gate):  # noqa: F811
    """The client floods."""
    def script(connection):
        connection.some()
        time.sleep(1)  # pause: the client fills what there is of buffers
        connection.reset()
    _, client = tunnel(gate, script, "plain")
    worker = gate.daemon.worker
    before = cpu_s(worker)
    with client, pytest.raises(OSError):
        client.sock.settimeout(5)
        while True:
            client.send(bytes(65536))
    time.sleep(2)  # pause: the time over which the worker is watched
    assert cpu_s(worker) - before < 0.5
    assert gate.daemon.wait_record("tunnel_close")["bytes_in"] < 32 * MIB


# ---- a side that takes nothing -------------------------------------------------------------

@pytest.mark.row("proxy: Dead peers stay for ever")
@pytest.mark.parametrize("over", ["tls", "plain"])
def test_a_client_that_takes_nothing_ends_the_tunnel(
        gate, over):  # noqa: F811
    backend, client = tunnel(gate, flood, over,
                             site={"limits": {"send_timeout": "1s"}})
    with client:
        gate.daemon.wait_record("tunnel_close", end="send_timeout")
        wait_until(lambda: backend.live == 0, "the backend's side closed", 5)


@pytest.mark.row("proxy: Dead peers stay for ever")
def test_a_backend_that_takes_nothing_ends_the_tunnel(gate):  # noqa: F811
    def script(connection):
        gate.daemon.wait_record("tunnel_close", end="send_timeout")
    _, client = tunnel(gate, script, "plain",
                       site={"limits": {"send_timeout": "1s"}})
    with client, pytest.raises(OSError):
        while True:
            client.send(bytes(65536))
    gate.daemon.wait_record("tunnel_close", end="send_timeout")


@pytest.mark.row("client: slow readers")
def test_a_tunnel_whose_reader_is_slow_but_reads_is_not_cut(
        gate):  # noqa: F811
    """Whenever the deadline looks, as many bytes wait as before: but others."""
    _, client = tunnel(gate, flood, "tls",
                       site={"limits": {"send_timeout": "3s"}})
    with client:
        for _ in range(32):
            assert client.exact(512 * 1024) == bytes(512 * 1024)
            time.sleep(0.3)  # pause: the behaviour under test is a rate


@pytest.mark.row("client: slow readers")
def test_an_idle_tunnel_has_no_send_timeout(gate):  # noqa: F811
    def script(connection):
        while data := connection.some():
            connection.send(data)
    _, client = tunnel(gate, script, "plain",
                       site={"limits": {"send_timeout": "500ms"}})
    with client:
        for _ in range(2):
            client.send(b"x" * 300000)
            assert client.exact(300000) == b"x" * 300000
            time.sleep(2)  # pause: longer than the deadline
