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
