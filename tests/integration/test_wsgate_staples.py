"""Staples on the wire follow the spool, whatever happens to the folder, and
nothing else moves."""
import os
import pathlib
import signal
import struct
import threading

import ocsp
import pytest
from backends import Backend, tunnel_echo
from gate import HOST, Handshake, gate, request, store  # noqa: F401
from harness import wait_until
from ocsp import Response, Single

TUNNELS = 200
SOON_S = 8           # less than the slow look at the whole spool


@pytest.fixture
def leaf(gate):  # noqa: F811
    return gate.leaf()


def fresh(leaf, age=60, **single):
    """A new response; others have another age."""
    return ocsp.good(leaf, this=-age, **single)


def wait_staple(gate, der, timeout=SOON_S):  # noqa: F811
    wait_until(lambda: Handshake(gate).has_staple(der),
               "the new response on the wire", timeout)


def no_staple(gate):  # noqa: F811
    shake = Handshake(gate)
    assert shake.is_good
    return not shake.has_staple()


def serve(gate, spool=None, **how):  # noqa: F811
    return gate.start(spool=str(spool or gate.spool), **how)


def open_tunnel(client):
    client.send(request(
        "/ws", "Connection: Upgrade", "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="))
    assert client.response().status == 101


class Choir(threading.Thread):
    """Keeps many tunnels echoing, round by round, each byte checked."""

    def __init__(self, clients):
        super().__init__(daemon=True)
        self.clients, self.rounds, self.problem = clients, 0, None
        self.stop = threading.Event()

    def run(self):
        try:
            while not self.stop.is_set():
                for at, client in enumerate(self.clients):
                    client.send(struct.pack(">QQ", self.rounds, at) * 4)
                for at, client in enumerate(self.clients):
                    assert client.exact(64) == \
                        struct.pack(">QQ", self.rounds, at) * 4
                self.rounds += 1
        except Exception as why:
            self.problem = why

    def finish(self):
        before = self.rounds
        wait_until(lambda: self.rounds > before + 1 or self.problem,
                   "further rounds of the tunnels")
        self.stop.set()
        self.join(30)
        assert self.problem is None, self.problem
        assert self.rounds > 0


@pytest.mark.row("proxy: OCSP staple source, default")
@pytest.mark.row("done: a new staple is on the wire with nothing else moved")
def test_a_new_staple_moves_nothing_else(gate, leaf):  # noqa: F811
    first = fresh(leaf, 1000)
    gate.store(leaf, first)
    with Backend(tunnel_echo) as backend:
        daemon = serve(gate, locations={"/ws": {"websocket": backend.server}})
        context = gate.context()
        clients = [gate.tls(context=context) for _ in range(TUNNELS)]
        for client in clients:
            open_tunnel(client)
        wait_staple(gate, first)
        worker, mark = daemon.worker, daemon.mark
        choir = Choir(clients)
        choir.start()
        for age in (800, 600, 400, 200):
            newer = fresh(leaf, age)
            gate.store(leaf, newer)
            wait_staple(gate, newer)
        choir.finish()
        assert daemon.worker == worker and backend.accepted == TUNNELS
        others = [line for line in daemon.lines[mark:]
                  if "staple loaded" not in line]
        assert others == []
        for client in clients:
            client.close()


@pytest.mark.short
@pytest.mark.row("proxy: OCSP staple source, default")
def test_a_staple_comes_and_goes_while_serving(gate, leaf):  # noqa: F811
    gate.spool.mkdir()
    serve(gate)
    assert no_staple(gate)
    staple = fresh(leaf)
    gate.store(leaf, staple)
    wait_staple(gate, staple)
    (gate.spool / f"{leaf.fingerprint}.der").unlink()
    wait_until(lambda: no_staple(gate), "no staple", SOON_S)


@pytest.mark.row("proxy: File watcher misses mounted-secret symlink swap")
def test_a_spool_that_is_made_late(gate, leaf):  # noqa: F811
    place = gate.folder / "not" / "yet" / "spool"
    serve(gate, place)
    assert no_staple(gate)
    place.mkdir(parents=True)
    staple = fresh(leaf)
    store(place, leaf, staple)
    wait_staple(gate, staple)


@pytest.mark.row("proxy: File watcher misses mounted-secret symlink swap")
def test_a_spool_replaced_by_rename(gate, leaf):  # noqa: F811
    old, new = fresh(leaf, 900), fresh(leaf, 300)
    gate.store(leaf, old)
    serve(gate)
    wait_staple(gate, old)
    other = gate.folder / "other"
    other.mkdir()
    store(other, leaf, new)
    gate.spool.rename(gate.folder / "gone")
    other.rename(gate.spool)
    wait_staple(gate, new)
    newest = fresh(leaf, 60)
    gate.store(leaf, newest)
    wait_staple(gate, newest)


@pytest.mark.row("proxy: File watcher misses mounted-secret symlink swap")
def test_a_mounted_volume_that_swaps_its_data_link(gate, leaf):  # noqa: F811
    """spool/NAME -> ..data/NAME, ..data -> ..VERSION, swapped by rename."""
    gate.spool.mkdir()
    name = f"{leaf.fingerprint}.der"

    def publish(version, der):
        folder = gate.spool / version
        folder.mkdir()
        (folder / name).write_bytes(der)
        (gate.spool / "..data_tmp").symlink_to(version)
        (gate.spool / "..data_tmp").rename(gate.spool / "..data")
    first = fresh(leaf, 900)
    publish("..one", first)
    (gate.spool / name).symlink_to(f"..data/{name}")
    serve(gate)
    wait_staple(gate, first)
    for at, age in enumerate((600, 300)):
        newer = fresh(leaf, age)
        publish(f"..later{at}", newer)
        wait_staple(gate, newer)


@pytest.mark.row("proxy: File watcher misses mounted-secret symlink swap")
def test_a_spool_behind_a_link_that_is_swapped(gate, leaf):  # noqa: F811
    folders = [gate.folder / "a", gate.folder / "b"]
    staples = [fresh(leaf, 900), fresh(leaf, 300)]
    for folder, der in zip(folders, staples):
        folder.mkdir()
        store(folder, leaf, der)
    gate.spool.symlink_to("a")
    serve(gate)
    wait_staple(gate, staples[0])
    (gate.folder / "new").symlink_to("b")
    (gate.folder / "new").rename(gate.spool)
    wait_staple(gate, staples[1])


@pytest.mark.row("proxy: OCSP staple source, default")
def test_an_overflow_of_notices_loses_nothing(gate, leaf):  # noqa: F811
    most = int(pathlib.Path(
        "/proc/sys/fs/inotify/max_queued_events").read_text())
    if most > 70000:
        pytest.skip(f"a queue of {most} notices is too long to fill")
    old, new = fresh(leaf, 900), fresh(leaf, 300)
    gate.store(leaf, old)
    daemon = serve(gate)
    wait_staple(gate, old)
    worker = daemon.worker
    names = [str(gate.spool / name) for name in ("x.der", "y.der")]
    pathlib.Path(names[0]).write_bytes(b"x")
    os.kill(worker, signal.SIGSTOP)
    try:
        for at in range(most // 2 + 100):        # two notices each
            os.rename(names[at % 2], names[1 - at % 2])
        gate.store(leaf, new)
    finally:
        os.kill(worker, signal.SIGCONT)
    wait_staple(gate, new)
    assert daemon.worker == worker


# ---- what is never stapled ---------------------------------------------------------------

def other_leaf(gate):  # noqa: F811
    return gate.pki.leaf("other.example.org")


BAD = {
    "garbage": lambda gate, leaf: b"not a response",
    "empty": lambda gate, leaf: b"",
    "cut": lambda gate, leaf: fresh(leaf)[:-20],
    "trailing": lambda gate, leaf: fresh(leaf) + b"x",
    "huge": lambda gate, leaf: b"\x30\x84\x7f\xff\xff\xff" + b"0" * 3000000,
    "foreign": lambda gate, leaf: fresh(other_leaf(gate)),
    "forged": lambda gate, leaf: Response(forge=True).write(leaf),
    "expired": lambda gate, leaf: ocsp.good(leaf, this=-7200, next=-3600),
    "not yet valid": lambda gate, leaf: ocsp.good(leaf, this=7200,
                                                  next=9000),
    "try later": lambda gate, leaf: Response(outer=3).write(None),
    "of a stranger": lambda gate, leaf: Response(
        signer=gate.pki.stranger).write(leaf),
    "unknown": lambda gate, leaf: Response(
        [Single("unknown")]).write(leaf),
}


@pytest.mark.short
@pytest.mark.row("proxy: OCSP staple source, default")
def test_a_bad_response_is_never_stapled_and_stops_nothing(gate, leaf):  # noqa: F811
    """None at start, none while serving; a good one is at once."""
    gate.store(leaf, BAD["garbage"](gate, leaf))
    daemon = serve(gate)
    assert no_staple(gate)
    for at, (name, make) in enumerate(BAD.items()):
        gate.store(leaf, make(gate, leaf))
        assert no_staple(gate), name
        staple = fresh(leaf, 5000 - 100 * at)
        gate.store(leaf, staple)
        wait_staple(gate, staple)
        gate.store(leaf, make(gate, leaf))
        shake = Handshake(gate)           # the old one stays, or none
        assert shake.is_good, name
        assert not shake.has_staple() or shake.has_staple(staple), name
        (gate.spool / f"{leaf.fingerprint}.der").unlink()
        wait_until(lambda: no_staple(gate), f"no staple after {name}",
                   SOON_S)
    assert daemon.matches("no staple|bad response")


@pytest.mark.row("proxy: OCSP staple source, default")
def test_a_staple_is_dropped_at_its_end(gate, leaf):  # noqa: F811
    """No file changes; the clock of the program passes nextUpdate."""
    import harness
    clock = harness.Clock(gate.folder)
    staple = ocsp.good(leaf, this=-60, next=3600)
    gate.store(leaf, staple)
    serve(gate, env=clock.env)
    wait_staple(gate, staple)
    clock.set(3700)
    wait_until(lambda: no_staple(gate), "the end of the staple", SOON_S)


@pytest.mark.row("proxy: Must-staple without a valid staple")
def test_require_and_prefer_without_a_staple(gate, pki):  # noqa: F811
    """require: not used for a client that asks, until its staple is there;
    another certificate of the site is taken first."""
    needs = pki.leaf(HOST, must_staple=True)
    other = pki.leaf(HOST, kind="rsa")
    gate.spool.mkdir()
    serve(gate, site={"certificates": [
        gate.pair(needs, staple="require"), gate.pair(other)]})
    shake = Handshake(gate)
    assert shake.is_good and shake.key_kind == "RSA"
    staple = fresh(needs)
    gate.store(needs, staple)
    wait_staple(gate, staple)
    assert Handshake(gate).key_kind == "ECDSA"


@pytest.mark.row("proxy: Must-staple without a valid staple")
def test_require_alone_without_a_staple_ends_the_handshake(gate, pki):  # noqa: F811
    needs = pki.leaf(HOST, must_staple=True)
    gate.spool.mkdir()
    serve(gate, site={"certificates": [gate.pair(needs, staple="require")]})
    assert not Handshake(gate).is_good
    assert Handshake(gate, status=False).is_good
    gate.store(needs, fresh(needs))
    wait_until(lambda: Handshake(gate).is_good, "a handshake with a staple",
               SOON_S)


@pytest.mark.row("proxy: OCSP staple source, default")
@pytest.mark.parametrize("policy,stapled", [("prefer", True),
                                            ("require", False)])
def test_a_revoked_response(gate, leaf, policy, stapled):  # noqa: F811
    """The truth is told with prefer; require does not serve it."""
    revoked = Response([Single("revoked")]).write(leaf)
    gate.store(leaf, revoked)
    serve(gate, site={"certificates": [gate.pair(leaf, staple=policy)]})
    shake = Handshake(gate)
    assert shake.has_staple(revoked) == stapled


@pytest.mark.row("proxy: OCSP staple source, default")
def test_the_issuer_may_be_a_file_of_its_own(gate, leaf):  # noqa: F811
    pair = gate.pair(leaf)
    pathlib.Path(pair["chain"]).write_bytes(leaf.pem)
    pair["issuer"] = str(gate.pki.ca.write(gate.folder / "ca.pem"))
    staple = fresh(leaf)
    gate.store(leaf, staple)
    serve(gate, site={"certificates": [pair]})
    # the client does not know the intermediate: no verification
    wait_until(lambda: Handshake(gate).has_staple() and
               Handshake(gate).has_staple(staple) or
               staple in Handshake(gate).bytes, "the staple")


@pytest.mark.row("proxy: OCSP staple source, default")
def test_two_workers_and_a_new_one_staple_the_same(gate, leaf):  # noqa: F811
    staple = fresh(leaf)
    gate.store(leaf, staple)
    daemon = serve(gate, workers=2)
    victim = daemon.workers[0]
    for _ in range(8):
        assert Handshake(gate).has_staple(staple)
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: len(daemon.workers) == 2 and
               victim not in daemon.workers, "a new worker")
    newer = fresh(leaf, 10)
    gate.store(leaf, newer)
    wait_staple(gate, newer)
    wait_until(lambda: all(Handshake(gate).has_staple(newer)
                           for _ in range(8)), "the staple in both")
