"""A worker that is replaced while configurations and certificates change: it
serves, whatever becomes of the attempt that it was born into."""
import contextlib
import json
import os
import signal
import socket
import time

import pytest
from gate import HOST, gate  # noqa: F401
from harness import wait_until
from test_wsgate_admin import Peer, path_of
from test_wsgate_pairs import Site, pair_pem, put, stopped

MANY = 400           # building them takes a worker a while
CONNECTS = 24        # of two workers each has its turn


def start_many(gate):  # noqa: F811
    folder = gate.folder / "certs"
    folder.mkdir()
    sites = [gate.site()]
    for n in range(MANY):
        name = f"h{n}.example.org"
        put(folder / f"{n}.pem", pair_pem(gate.pki.leaf(name)))
        sites.append({**gate.site(certificates=[
            {"chain": str(folder / f"{n}.pem")}]), "hosts": [name]})
    return gate.start(sites=sites, workers=2, admin=f"unix:{path_of(gate)}")


def wait_state(gate, ignore, state):  # noqa: F811
    """The first moment in which another than those is in that state."""
    end = time.monotonic() + 30
    with Peer(path_of(gate)) as peer:
        while time.monotonic() < end:
            for worker in peer.ask("status")["workers"]:
                if worker["pid"] not in ignore and worker["state"] == state:
                    return worker["pid"]
    raise AssertionError(f"no worker is {state}")


def served(gate):  # noqa: F811
    """How many of so many new connections are answered."""
    count = 0
    for _ in range(CONNECTS):
        with contextlib.suppress(socket.timeout, OSError):
            with gate.client(timeout=2) as client:
                client.send(b"GET / HTTP/1.1\r\nHost: " + HOST.encode() +
                            b"\r\nConnection: close\r\n\r\n")
                count += bool(client.rest())
    return count


@pytest.mark.row("proxy: a successor serves after an attempt that failed")
def test_a_successor_whose_first_attempt_is_called_off(gate):  # noqa: F811
    daemon = start_many(gate)
    held, victim = daemon.workers
    os.kill(victim, signal.SIGKILL)
    fresh = wait_state(gate, {held, victim, 0}, "up")
    mark = daemon.mark
    with stopped(fresh):
        put(gate.folder / "certs" / "7.pem",
            pair_pem(gate.pki.leaf("h7.example.org", key_name="new")))
        time.sleep(1)  # pause: nothing tells that the swap waits for it
        config = gate.folder / "wsgate.yaml"
        good = config.read_text()
        config.write_text("sites: 5\n")
        # No second swap that would bring the worker to life by the way.
        (gate.folder / "certs" / "7.pem").unlink()
        daemon.send(signal.SIGHUP)
        daemon.wait_log("reload failed", since=mark, timeout=5)
        config.write_text(good)
    wait_until(lambda: served(gate) == CONNECTS, "each connection is served")
    assert fresh in daemon.workers


@pytest.mark.row("proxy: access log opened again amid a swap")
def test_a_log_rotated_amid_a_swap_stays_the_new_one(gate):  # noqa: F811
    site, path = Site(gate), gate.folder / "access.log"
    daemon = site.start(log={"access": str(path), "format": "json"})
    with stopped(daemon.workers[0]):
        put(site.file, pair_pem(site.new))
        time.sleep(1)  # pause: nothing tells that the swap waits for it
        path.rename(gate.folder / "access.log.1")
        daemon.send(signal.SIGUSR1)
        wait_until(path.exists, "the new log")
    daemon.wait_log("certificate replaced")
    for _ in range(CONNECTS):
        gate.get("/no-such-file")
    wait_until(lambda: len(path.read_text().splitlines()) >= CONNECTS,
               "each record in the new log")


@pytest.mark.soak    # close to the 30 s that a start may take, when others run
@pytest.mark.row("proxy: thousands of certificates")
def test_a_start_that_reads_keys_for_seconds_gives_workers_their_time(
        gate):  # noqa: F811
    """The master is as busy as its workers; that is no worker's silence."""
    folder = gate.folder / "certs"
    (gate.folder / "conf.d").mkdir()
    folder.mkdir()
    put(folder / "0.pem", pair_pem(gate.leaf()))
    for n in range(1, 5000):
        os.link(folder / "0.pem", folder / f"{n}.pem")
    for part in range(0, 5000, 1000):
        sites = [{**gate.site(certificates=[
            {"chain": str(folder / f"{n}.pem")}]), "hosts": [f"h{n}.test"]}
                 for n in range(part, part + 1000)]
        (gate.folder / "conf.d" / f"{part}.yaml").write_text(
            json.dumps({"sites": sites}))
    daemon = gate.start()
    assert served(gate) == CONNECTS
    assert not [line for line in daemon.lines if "does not answer" in line]
