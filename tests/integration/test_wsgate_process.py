"""Processes: workers that die, draining, signals, logs, redirects."""
import json
import os
import signal
import socket
import threading
import time

import harness
import pytest
from backends import Backend, one, reply, serve_echo, tunnel_echo
from gate import HOST, Client, gate, open_fds, request  # noqa: F401
from harness import free_port, wait_until

LOG = {"access": "-", "format": "json"}


def held(gate, **how):  # noqa: F811
    """wsgate before a backend that answers /held only when told to."""
    go = threading.Event()

    def answer(connection, message):
        if message.target == "/held":
            go.wait(60)
        return reply(b"served")
    backend = Backend(one(answer))
    backend.go = go
    gate._running.callback(backend.close)
    gate._running.callback(go.set)
    gate.start({"/": {"proxy": backend.server}}, **how)
    return backend


def begin_held(gate, backend):  # noqa: F811
    client = gate.client()
    count = len(backend.seen)
    client.send(request("/held"))
    wait_until(lambda: len(backend.seen) > count, "the held call")
    return client


# ---- workers ----------------------------------------------------------------------------

@pytest.mark.short
@pytest.mark.row("done: a worker crash takes only its own connections")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGABRT],
                         ids=["kill", "abort"])
def test_a_dead_worker_is_replaced(gate, number):  # noqa: F811
    backend = held(gate)
    for _ in range(3):
        victim = gate.daemon.worker
        with gate.client() as client:
            assert client.get("/").status == 200
            os.kill(victim, number)
            assert client.is_ended()
        wait_until(lambda: gate.daemon.workers and
                   gate.daemon.workers != [victim], "a new worker")
        assert gate.get("/").text == "served"
    assert gate.daemon.matches("worker died")
    assert backend.errors == []
    gate.daemon.reload()
    assert gate.get("/").status == 200


@pytest.mark.row("done: a worker crash takes only its own connections")
def test_the_other_worker_goes_on(gate):  # noqa: F811
    """Tunnels of the living one are untouched, and while the dead one's
    successor starts, every new connection is served."""
    from test_wsgate_websocket import open_tunnel
    with Backend(tunnel_echo) as backend:
        daemon = gate.start({"/ws": {"websocket": backend.server},
                             "/": {"proxy": backend.server}}, workers=2)
        clients = [gate.client() for _ in range(20)]
        for client in clients:
            open_tunnel(client)
        victim, other = daemon.workers
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: victim not in daemon.workers and
                   len(daemon.workers) == 2, "a new worker")
        assert other in daemon.workers
        alive = 0
        for client in clients:
            try:
                client.send(b"ping")
                alive += client.exact(4) == b"ping"
            except (EOFError, OSError):
                pass
            client.close()
        assert 0 < alive <= len(clients)
        for _ in range(20):
            with gate.client() as client:
                open_tunnel(client)


@pytest.mark.row("done: a worker crash takes only its own connections")
def test_a_worker_that_hangs_is_replaced(gate):  # noqa: F811
    """It answers no ping; nothing else is wrong with it."""
    held(gate)
    victim = gate.daemon.worker
    os.kill(victim, signal.SIGSTOP)
    gate.daemon.wait_log("does not answer", timeout=60)
    wait_until(lambda: gate.daemon.workers and
               gate.daemon.workers != [victim], "a new worker")
    assert gate.get("/").status == 200


@pytest.mark.row("done: a worker crash takes only its own connections")
def test_workers_end_with_their_master(gate):  # noqa: F811
    held(gate, code=None)
    worker = gate.daemon.worker
    os.kill(gate.daemon.pid, signal.SIGKILL)
    wait_until(lambda: not os.path.exists(f"/proc/{worker}") or
               " Z " in open(f"/proc/{worker}/stat").read(),
               "the worker's end")


@pytest.mark.row("proxy: Workers follow cgroup quota")
def test_auto_workers_are_as_many_as_cpus(gate):  # noqa: F811
    gate.start(workers="auto")
    assert 1 <= len(gate.daemon.workers) <= len(os.sched_getaffinity(0))


def status_of(pid):
    text = open(f"/proc/{pid}/status").read()
    return dict(line.split(":\t", 1) for line in text.splitlines())


@pytest.mark.row("proxy: nobody is root")
def test_workers_become_another_user(gate):  # noqa: F811
    if os.geteuid() != 0:
        pytest.skip("needs root, to give it up")
    (gate.folder / "index.html").write_text("readable")
    daemon = gate.start(user="nobody")
    lines = status_of(daemon.worker)
    assert lines["Uid"].split() == ["65534"] * 4
    assert int(lines["CapEff"], 16) == 0 and int(lines["CapPrm"], 16) == 0
    assert lines["NoNewPrivs"] == "1"
    assert gate.get("/").text == "readable"
    key = gate.folder / "own.txt"
    key.write_text("not for nobody")
    key.chmod(0o600)
    assert gate.get("/own.txt").status == 403
    gate.config(user="nobody")
    daemon.reload()
    assert gate.get("/").text == "readable"


@pytest.mark.row("proxy: nobody is root")
def test_the_master_keeps_of_root_what_it_needs(gate):  # noqa: F811
    """To read keys, open logs, bind ports, become the user and signal workers; and that
    is enough for a reload, a new worker and the end."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to give it up")
    daemon = gate.start({"/": {"files": str(gate.folder)}}, user="nobody")
    lines = status_of(daemon.pid)
    kill, setgid, setuid, bind, files = 5, 6, 7, 10, 1
    wanted = sum(1 << bit for bit in (kill, setgid, setuid, bind, files))
    for name in ("CapEff", "CapPrm", "CapBnd"):
        assert int(lines[name], 16) == wanted, name
    assert lines["NoNewPrivs"] == "1"
    leaf = gate.pki.leaf(HOST)
    gate.config({"/": {"files": str(gate.folder)}}, user="nobody",
                sites=[gate.site({"/": {"files": str(gate.folder)}}, leaf)])
    for path in gate.folder.glob("*.key"):
        os.chown(path, 1, 1)
        path.chmod(0o600)
    daemon.reload()
    worker = daemon.worker
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: daemon.workers and worker not in daemon.workers,
               "another worker")
    (gate.folder / "index.html").write_text("readable")
    wait_until(lambda: gate.get("/").text == "readable", "it serves")


@pytest.mark.row("proxy: nobody is root")
def test_a_log_of_another_user_is_opened_again_by_a_start_as_root(
        gate):  # noqa: F811
    """As logrotate makes it: "create 0640 wsgate adm"."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to give it up")
    path = gate.folder / "access.log"
    daemon = gate.start({"/": {"files": str(gate.folder)}}, user="nobody",
                        log={"access": str(path), "format": "json"})
    path.rename(gate.folder / "access.log.1")
    path.touch(0o640)
    os.chown(path, 1, 1)
    daemon.send(signal.SIGUSR1)
    wait_until(lambda: gate.get("/no-such-file").status and path.read_text(),
               "a record in the new file")


# ---- draining --------------------------------------------------------------------------------

@pytest.mark.short
@pytest.mark.row("proxy: Readiness, SIGTERM drain")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_drain_finishes_what_is_under_way(gate, number):  # noqa: F811
    backend = held(gate, drain={"deadline": "30s"})
    idle = gate.client()
    assert idle.get("/").status == 200
    fresh = gate.client()
    busy = begin_held(gate, backend)
    gate.daemon.send(number)
    assert idle.is_ended() and fresh.is_ended()
    wait_until(lambda: not harness.can_connect(gate.plain),
               "no more connections are taken")
    assert gate.daemon.is_alive()
    backend.go.set()
    got = busy.response()
    assert got.text == "served" and got.get("Connection") == "close"
    assert busy.is_ended()
    for client in (idle, fresh, busy):
        client.close()
    assert gate.daemon.wait_exit() == 0


@pytest.mark.row("proxy: Readiness, SIGTERM drain")
def test_with_nothing_left_it_exits_at_once(gate):  # noqa: F811
    held(gate, drain={"deadline": "60s"})
    gate.daemon.send(signal.SIGTERM)
    assert gate.daemon.wait_exit(10) == 0


@pytest.mark.row("proxy: Readiness, SIGTERM drain")
def test_the_deadline_ends_what_does_not_finish(gate):  # noqa: F811
    backend = held(gate, drain={"deadline": "500ms"}, log=LOG)
    busy = begin_held(gate, backend)
    gate.daemon.send(signal.SIGTERM)
    assert busy.is_ended()
    assert gate.daemon.wait_exit() == 0
    ends = [record["end"] for record in gate.daemon.records("request")]
    assert "drain_deadline" in ends


@pytest.mark.short
@pytest.mark.row("proxy: Readiness, SIGTERM drain")
@pytest.mark.parametrize("first,second", [
    (signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGINT),
    (None, signal.SIGQUIT)], ids=["term-term", "int-int", "quit"])
def test_a_second_term_or_quit_exits_at_once(gate, first, second):  # noqa: F811
    backend = held(gate, drain={"deadline": "5m"}, code=None)
    busy = begin_held(gate, backend)
    if first:
        gate.daemon.send(first)
        gate.daemon.wait_log("draining")
        assert gate.daemon.is_alive()
    gate.daemon.send(second)
    gate.daemon.wait_exit(10)
    assert busy.is_ended()


@pytest.mark.row("proxy: Readiness, SIGTERM drain")
def test_a_keep_alive_client_is_told_at_its_last_response(gate):  # noqa: F811
    """Many busy clients, none loses an answer."""
    backend = held(gate, drain={"deadline": "30s"})
    clients = [begin_held(gate, backend) for _ in range(30)]
    gate.daemon.send(signal.SIGTERM)
    gate.daemon.wait_log("draining")
    backend.go.set()
    for client in clients:
        assert client.response().text == "served"
        assert client.is_ended()
        client.close()
    assert gate.daemon.wait_exit() == 0


# ---- logs --------------------------------------------------------------------------------------

@pytest.mark.short
@pytest.mark.row("proxy: Tunnel in access log")
def test_access_records(gate):  # noqa: F811
    from test_wsgate_websocket import open_tunnel
    with Backend(tunnel_echo) as ws, Backend(serve_echo) as plain:
        gate.start({"/ws": {"websocket": ws.server, "proxy": plain.server},
                    "/": {"proxy": plain.server}}, log=LOG)
        daemon = gate.daemon
        with gate.tls() as client:
            got = client.get("/a?b=c", "User-Agent: test \"quoted\" \\",
                             "X-Request-Id: my-id", method="POST",
                             body=b"abcde")
            record = daemon.wait_record("request")
            for name, value in {
                    "client": "127.0.0.1", "host": HOST, "method": "POST",
                    "target": "/a?b=c", "status": 200, "bytes_in": 5,
                    "bytes_out": len(got.body), "handler": "proxy",
                    "server": plain.server, "id": "my-id",
                    "tls": "TLSv1.3", "staple": "not_asked",
                    "agent": "test \"quoted\" \\"}.items():
                assert record[name] == value, (name, record)
            assert record["time"].endswith("Z") and record["ms"] >= 0
            assert record["peer"].startswith("127.0.0.1:")
        with gate.client() as client:
            open_tunnel(client)
            opened = daemon.wait_record("tunnel_open", status=101)
            assert "bytes_in" not in opened and "tls" not in opened
            client.send(b"12345678")
            client.exact(8)
            assert daemon.records("tunnel_close") == []
        closed = daemon.wait_record("tunnel_close", id=opened["id"])
        assert (closed["bytes_in"], closed["bytes_out"]) == (8, 8)
        assert closed["end"] == "client_closed"
        assert len(daemon.records("tunnel_open")) == 1
        # a refusal before there is a request is in the log, too
        with gate.client() as client:
            client.send(b"rubbish\r\n\r\n")
            client.rest()
        record = daemon.wait_record("request", status=400)
        assert record["end"] == "bad_request"


@pytest.mark.row("proxy: Logs and bytes only at the end")
def test_the_close_record_comes_at_once(gate):  # noqa: F811
    """Not with the next event of an idle worker."""
    from test_wsgate_websocket import open_tunnel
    with Backend(tunnel_echo) as backend:
        gate.start({"/ws": {"websocket": backend.server}}, log=LOG)
        for at in range(5):
            with gate.client() as client:
                open_tunnel(client)
                client.reset() if at % 2 else client.close()
            wait_until(lambda: len(gate.daemon.records("tunnel_close")) > at,
                       "the record", timeout=4)


@pytest.mark.short
@pytest.mark.row("proxy: access log")
def test_text_from_outside_is_escaped(gate):  # noqa: F811
    held(gate, log={"access": "-", "format": "text"})
    agent = 'x" status=200 forged="\\ \xe9 end'
    gate.get("/%22%0a?q=\"'<>", f"User-Agent: {agent}")
    line = gate.daemon.wait_log(" request ")
    assert 'agent="x\\" status=200 forged=\\"\\\\ \\u00e9 end"' in line
    assert len(gate.daemon.matches(" request ")) == 1


@pytest.mark.row("proxy: access log")
def test_an_access_log_in_a_file_is_opened_again(gate):  # noqa: F811
    path = gate.folder / "access.log"
    held(gate, log={"access": str(path), "format": "json"})

    def count(file):
        return len(file.read_text().splitlines()) if file.exists() else 0
    for _ in range(3):
        gate.get("/")
    wait_until(lambda: count(path) == 3, "three lines")
    old = path.with_suffix(".1")
    path.rename(old)
    gate.get("/")
    wait_until(lambda: count(old) == 4, "the old file is still written to")
    gate.daemon.send(signal.SIGUSR1)
    wait_until(path.exists, "a new file")

    def goes_there():
        gate.get("/")
        return count(path) > 0
    wait_until(goes_there, "lines in the new file")
    for line in path.read_text().splitlines() + old.read_text().splitlines():
        assert json.loads(line)["event"] == "request"


@pytest.mark.row("proxy: access log")
def test_a_log_that_nobody_reads_stops_nothing(gate):  # noqa: F811
    """A full pipe: records are dropped, never waited for."""
    path = gate.folder / "fifo"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        held(gate, log={"access": str(path), "format": "json"})
        with gate.client() as client:
            for _ in range(1500):
                assert client.get("/" + "a" * 200).status == 200
    finally:
        os.close(reader)
    assert gate.get("/").status == 200


# ---- redirects, limits --------------------------------------------------------------------------

@pytest.mark.short
@pytest.mark.row("proxy: HTTPS redirect, HSTS")
def test_redirect_from(gate):  # noqa: F811
    port = free_port()
    gate.start(site={"redirect_from": [f"127.0.0.1:{port}"],
                     "hosts": [HOST, "*"]})
    with Client(port) as client:
        got = client.get("/a%20b?c=d&e")
        assert got.status == 308
        assert got.get("Location") in (
            f"https://{HOST}/a%20b?c=d&e",
            f"https://{HOST}:{gate.port}/a%20b?c=d&e")
        # no header can be split in, no other scheme be named
        got = client.get("/%0d%0aSet-Cookie:x")
        assert "\n" not in got.get("Location", ) and \
            got.get("Set-Cookie") is None
        got = client.get("http://other.example/y")
        assert got.get("Location", ) is None or \
            got.get("Location").startswith("https://")
    with Client(port) as client:
        assert client.get("/x", method="POST", body=b"abc").status == 308
    with Client(port) as client:
        client.send(request("/", version="1.0", host=None))
        assert client.response().status == 400
    with Client(port) as client:
        client.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" +
                    b"\0" * 100)
        assert client.rest().startswith(b"HTTP/1.1 400 ")


@pytest.mark.row("proxy: connection limit")
def test_at_the_connection_limit_accepting_waits(gate):  # noqa: F811
    held(gate, max_connections=10)
    clients = [gate.client() for _ in range(10)]
    for client in clients:
        assert client.get("/").status == 200
    late = gate.client()
    late.send(request("/"))
    late.sock.settimeout(0.5)
    with pytest.raises(TimeoutError):
        late.response()
    late.sock.settimeout(30)
    assert clients[0].get("/").status == 200
    clients[0].close()
    assert late.response().status == 200
    for client in clients[1:] + [late]:
        client.close()
    assert gate.daemon.matches("connection limit")


@pytest.mark.row("proxy: connection limit")
def test_running_out_of_descriptors_is_survived(gate):  # noqa: F811
    """With fewer descriptors than the clients take: each gets an answer, good
    or bad, and then it is as before."""
    import resource
    held(gate)
    worker = gate.daemon.worker
    have = len(os.listdir(f"/proc/{worker}/fd"))
    resource.prlimit(worker, resource.RLIMIT_NOFILE, (have + 12, have + 12))
    clients = []
    for _ in range(40):
        clients.append(gate.client())
    for at, client in enumerate(clients):
        client.send(request("/", "Connection: close"))
    statuses = []
    for client in clients:
        statuses.append(client.response().status)
        client.close()
    assert gate.daemon.worker == worker
    assert set(statuses) <= {200, 502} and 200 in statuses, statuses
    wait_until(lambda: gate.get("/").status == 200, "service as before")
