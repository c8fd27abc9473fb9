"""Clients, operators and disks that mean no good: nobody else is disturbed."""
import os
import resource
import signal
import socket

import harness
import pytest
from backends import Backend, reply
from gate import gate, memory, open_fds, is_sanitized, request  # noqa: F401
from harness import wait_until
from test_wsgate_websocket import open_tunnel, tunnel_echo


def pipeline(client, rounds):
    """Sends requests and reads nothing, until nothing more is taken."""
    wish = request("/f") * 64
    client.sock.settimeout(2)
    sent = 0
    try:
        for _ in range(rounds):
            client.sock.sendall(wish)
            sent += 64
    except (socket.timeout, BlockingIOError):
        pass
    return sent


@pytest.mark.short
@pytest.mark.row("client: pipelining is bounded")
@pytest.mark.parametrize("kind", ["files", "404", "proxy"])
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_who_does_not_read_is_not_answered_for_ever(  # noqa: F811
        gate, kind, secure):
    root = gate.folder / "root"
    root.mkdir()
    (root / "f").write_bytes(bytes(30000))
    with Backend(lambda c: [c.request() and c.send(reply(bytes(30000)))
                            for _ in range(100000)]) as backend:
        gate.start({"files": {"/": {"files": str(root)}},
                    "404": {"/other": {"files": str(root)}},
                    "proxy": {"/": {"proxy": backend.server}}}[kind])
        before = memory(gate.daemon.worker, "VmRSS")
        make = gate.tls if secure else gate.client
        with make(receive_buffer=4096) as client:
            sent = pipeline(client, 4000)
            grown = memory(gate.daemon.worker) - before
            assert sent < 4000 * 64, "everything was taken"
            if not is_sanitized():
                assert grown < 8 << 20, f"{grown} bytes for {sent} requests"
        assert gate.get("/f").status in (200, 404)   # the others go on


@pytest.mark.short
@pytest.mark.row("client: pipelining is bounded")
def test_pipelined_answers_all_come_to_who_reads_late(gate):  # noqa: F811
    root = gate.folder / "root"
    root.mkdir()
    (root / "f").write_bytes(os.urandom(30000))
    gate.start({"/": {"files": str(root)}})
    with gate.client(receive_buffer=4096) as client:
        client.send(request("/f") * 100)
        for _ in range(100):
            assert client.response().body == (root / "f").read_bytes()


@pytest.mark.row("reload: out of descriptors")
def test_a_reload_without_descriptors_costs_no_tunnel(gate):  # noqa: F811
    with Backend(tunnel_echo) as backend:
        gate.start({"/ws": {"websocket": backend.server}})
        daemon, worker = gate.daemon, gate.daemon.worker
        with gate.client() as client:
            open_tunnel(client)
            limit = len(open_fds(worker)) + 10
            held = [gate.client() for _ in range(40)]
            resource.prlimit(worker, resource.RLIMIT_NOFILE, (limit, limit))
            held += [gate.client() for _ in range(40)]
            daemon.wait_log("cannot accept")
            daemon.reload()
            assert daemon.worker == worker
            client.send(b"still here")
            assert client.exact(10) == b"still here"
            for one_client in held:
                one_client.close()


@pytest.mark.row("access log: trouble")
def test_a_fifo_nobody_reads_is_refused(gate):  # noqa: F811
    gate.start()
    os.mkfifo(gate.folder / "fifo")
    gate.config(log={"access": str(gate.folder / "fifo")})
    assert "fifo" in gate.daemon.reload(good=False)
    assert gate.get("/").status


@pytest.mark.row("access log: trouble")
def test_lost_lines_are_told(gate):  # noqa: F811
    gate.start(log={"access": "/dev/full"})
    gate.get("/")
    gate.daemon.wait_log("access log cannot be written.*No space left")


@pytest.mark.row("limits: descriptors")
def test_a_limit_that_does_not_fit_is_told(gate):  # noqa: F811
    gate.start(max_connections=1000000)
    gate.daemon.wait_log("max_connections is more than .* allows")


@pytest.mark.row("signals: quit")
def test_quit_is_no_accident(gate):  # noqa: F811
    daemon = gate.start(code=None)
    daemon.send(signal.SIGQUIT)
    wait_until(lambda: daemon.process.poll() is not None, "the end")
    assert not [line for line in daemon.lines if "worker died" in line]


@pytest.mark.row("tls: failed handshakes are logged with measure")
def test_a_scanner_does_not_fill_the_journal(gate):  # noqa: F811
    gate.start()
    for _ in range(300):
        with socket.create_connection(("127.0.0.1", gate.port)) as raw:
            raw.sendall(b"\x00" * 8)
            raw.recv(100)
    lines = gate.daemon.matches("TLS handshake failed")
    assert 1 <= len(lines) <= 150, len(lines)
    assert harness.program("wsgate")
