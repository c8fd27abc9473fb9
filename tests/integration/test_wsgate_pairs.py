"""Certificates that change on disk are on the wire without a reload, and what is
of no use yet waits while the old pair stays."""
import contextlib
import hashlib
import os
import re
import shutil
import signal
import time

import harness
import ocsp
import pytest
from backends import Backend, tunnel_echo
from gate import HOST, Tunnel, gate, request  # noqa: F401
from harness import wait_until

SOON_S = 8           # less than the slow look at all files
WAITS = "new certificate waits"
REPLACED = "certificate replaced"
DAY = 86400


# ---- what clients see ----------------------------------------------------------

def shake(gate, count=1, name=HOST, per_second=200):  # noqa: F811
    """(leaf's SHA-256, staple's SHA-256, verdict) of so many handshakes."""
    root = gate.pki.root.write(gate.folder / "root.pem")
    done = harness.run(harness.tool("handshakes"), root, "127.0.0.1", gate.port,
                       name, per_second, count, code=0, timeout=60)
    return [tuple(line.split()) for line in done.out.splitlines()]


def leaves(gate, count=12, **how):  # noqa: F811
    """The certificates that are shown: of several workers each has its turn."""
    return {seen[0] for seen in shake(gate, count, **how)}


def wait_leaf(gate, leaf, timeout=SOON_S, **how):  # noqa: F811
    wait_until(lambda: leaves(gate, **how) == {leaf.fingerprint},
               "the new certificate on the wire", timeout)


def staple_of(der):
    return hashlib.sha256(der).hexdigest()


class Clients:
    """Steady handshakes, each of them judged."""

    def __init__(self, gate, processes=3, per_second=35):  # noqa: F811
        root = gate.pki.root.write(gate.folder / "root.pem")
        self._stack = contextlib.ExitStack()
        self.all = [self._stack.enter_context(harness.Daemon(
            harness.tool("handshakes"), root, "127.0.0.1", gate.port, HOST,
            per_second, 10 ** 9, code=None)) for _ in range(processes)]

    def __enter__(self):
        self.wait_more(20)
        return self

    def __exit__(self, *_):
        self._stack.close()

    @property
    def seen(self):
        return [tuple(line.split()) for one in self.all
                for line in list(one.lines) if len(line.split()) == 3]

    def wait_more(self, more):
        goal = len(self.seen) + more
        wait_until(lambda: len(self.seen) >= goal, f"{more} more handshakes")


@contextlib.contextmanager
def tunnels(gate, count=6):  # noqa: F811
    """Open and echoing, from the first line to the last."""
    context = gate.context()
    threads = []
    for _ in range(count):
        client = gate.tls(context=context)
        client.send(request(
            "/ws", "Connection: Upgrade", "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="))
        assert client.response().status == 101
        threads.append(Tunnel(client))
    for thread in threads:
        thread.start()
    yield threads
    for thread in threads:
        before = thread.rounds
        wait_until(lambda: thread.rounds > before or thread.problem,
                   "further rounds of a tunnel")
        thread.stop.set()
        thread.join(30)
        assert thread.problem is None, thread.problem
        thread.pipe.close()


# ---- what the operator does ------------------------------------------------------

def put(path, data, mode=0o640):
    """As every careful program writes: complete, then renamed."""
    temp = path.with_name(f".{path.name}.new")
    temp.write_bytes(data)
    temp.chmod(mode)
    temp.rename(path)


def pair_pem(leaf):
    return leaf.chain_pem + leaf.key_pem


class Site:
    """One site with a pair in one file, `old`; `new` is made, not stored."""

    def __init__(self, gate, **row):  # noqa: F811
        self.gate = gate
        self.old = gate.pki.leaf(HOST, key_name="old")
        self.new = gate.pki.leaf(HOST, key_name="new")
        self.file = gate.folder / "site.pem"
        put(self.file, pair_pem(self.old))
        self.row = {"chain": str(self.file), **row}

    def start(self, workers=2, locations=None, **how):
        site = self.gate.site(locations, certificates=[self.row])
        return self.gate.start(sites=[site], workers=workers,
                               spool=str(self.gate.spool), **how)

    def staple(self, leaf):
        der = ocsp.good(leaf)
        self.gate.store(leaf, der)
        return der


@pytest.fixture
def site(gate):  # noqa: F811
    return Site(gate)


@pytest.fixture
def strict(gate):  # noqa: F811
    """One that requires staples; the old certificate has one."""
    made = Site(gate, staple="require")
    made.staple(made.old)
    return made


def settle():
    time.sleep(2)  # pause: files are read once more after the start; from now
    #                on only a watch finds what changes


def lines(daemon, pattern, since=0):
    return [line for line in daemon.lines[since:] if re.search(pattern, line)]


# ---- one file, two files, links ---------------------------------------------------

@pytest.mark.short
@pytest.mark.must_run
@pytest.mark.row("certificates on disk: one rename switches the pair")
def test_a_rename_puts_the_new_pair_on_the_wire(gate, site):  # noqa: F811
    with Backend(tunnel_echo) as backend:
        daemon = site.start(
            workers=3, locations={"/ws": {"websocket": backend.server}})
        wait_leaf(gate, site.old)
        workers, mark = daemon.workers, daemon.mark
        with tunnels(gate):
            settle()
            put(site.file, pair_pem(site.new))
            wait_leaf(gate, site.new)
        assert daemon.workers == workers
    said = lines(daemon, REPLACED, mark)
    assert len(said) == 1, said
    for part in (f"file={site.file}", site.new.fingerprint[:16], "until="):
        assert part in said[0]
    assert not lines(daemon, r"\breloaded\b|^error|waits", mark)


@pytest.mark.row("certificates on disk: a pair in two files")
@pytest.mark.parametrize("first", ["chain", "key"])
def test_two_files_one_after_the_other(gate, site, first):  # noqa: F811
    key = gate.folder / "site.key"
    put(key, site.old.key_pem)
    put(site.file, site.old.chain_pem)
    site.row["key"] = str(key)
    daemon = site.start()
    mark = daemon.mark
    steps = [(site.file, site.new.chain_pem), (key, site.new.key_pem)]
    if first == "key":
        steps.reverse()
    put(*steps[0])
    line = daemon.wait_log(WAITS, since=mark)
    assert "does not fit the certificate" in line and "old_until=20" in line
    assert leaves(gate) == {site.old.fingerprint}
    put(*steps[1])
    wait_leaf(gate, site.new)
    daemon.wait_log(REPLACED, since=mark)
    assert len(lines(daemon, WAITS, mark)) == 1


def link(path, target):
    temp = path.with_name(f".{path.name}.link")
    temp.symlink_to(target)
    temp.rename(path)


def linked_file(site):
    """certbot: live/NAME.pem leads to archive/NAME1.pem."""
    folder = site.gate.folder
    for name in ("live", "archive"):
        (folder / name).mkdir()
    put(folder / "archive/site1.pem", pair_pem(site.old))
    link(folder / "live/site.pem", "../archive/site1.pem")

    def switch():
        put(folder / "archive/site2.pem", pair_pem(site.new))
        link(folder / "live/site.pem", "../archive/site2.pem")
    return folder / "live/site.pem", switch


def linked_file_rewritten(site):
    """The link stays, what it leads to is replaced."""
    path, _ = linked_file(site)
    return path, lambda: put(site.gate.folder / "archive/site1.pem",
                             pair_pem(site.new))


def linked_folder(site):
    """The folder above is a link: NAME leads to NAME.2026."""
    folder = site.gate.folder
    for name, leaf in (("2025", site.old), ("2026", site.new)):
        (folder / f"site.{name}/certs").mkdir(parents=True)
        put(folder / f"site.{name}/certs/pair.pem", pair_pem(leaf))
    link(folder / "site", "site.2025")
    return (folder / "site/certs/pair.pem",
            lambda: link(folder / "site", "site.2026"))


def mounted_volume(site):
    """A volume's files lead through ..data, which is switched."""
    folder = site.gate.folder / "volume"
    for name, leaf in (("..1", site.old), ("..2", site.new)):
        (folder / name).mkdir(parents=True)
        put(folder / name / "tls.pem", pair_pem(leaf))
    link(folder / "..data", "..1")
    link(folder / "tls.pem", "..data/tls.pem")
    return folder / "tls.pem", lambda: link(folder / "..data", "..2")


@pytest.mark.row("certificates on disk: a link is switched anywhere on the way")
@pytest.mark.parametrize("layout", [
    linked_file, linked_file_rewritten, linked_folder, mounted_volume])
def test_a_switched_link_is_noticed(gate, site, layout):  # noqa: F811
    path, switch = layout(site)
    site.row["chain"] = str(path)
    site.start()
    assert leaves(gate) == {site.old.fingerprint}
    settle()
    switch()
    wait_leaf(gate, site.new)


@pytest.mark.row("certificates on disk: a pair in two sites")
def test_two_sites_with_one_file_switch_together(gate, site):  # noqa: F811
    key = gate.folder / "other.key"
    put(key, site.old.key_pem)
    sites = [gate.site(certificates=[site.row]),
             gate.site(certificates=[{**site.row, "key": str(key)}],
                       hosts=["shop.example.org"])]
    sites[1]["listen"] = sites[0]["listen"]
    daemon = gate.start(sites=sites)
    mark = daemon.mark
    put(site.file, pair_pem(site.new))      # the second's key is the old one
    wait_until(lambda: len(lines(daemon, WAITS, mark)) == 2, "both wait")
    assert lines(daemon, "belongs to another certificate that waits", mark)
    assert leaves(gate) == {site.old.fingerprint}
    put(key, site.new.key_pem)
    wait_leaf(gate, site.new)
    assert len(lines(daemon, REPLACED, mark)) == 2


@pytest.mark.row("certificates on disk: one waits, others do not")
def test_one_that_waits_does_not_hold_others_up(gate, site):  # noqa: F811
    other = gate.folder / "other.pem"
    shop = [gate.pki.leaf("shop.example.org", key_name=name)
            for name in ("old", "new")]
    put(other, pair_pem(shop[0]))
    sites = [gate.site(certificates=[site.row]),
             gate.site(certificates=[{"chain": str(other)}],
                       hosts=["shop.example.org"])]
    sites[1]["listen"] = sites[0]["listen"]
    daemon = gate.start(sites=sites)
    put(site.file, site.new.chain_pem + site.old.key_pem)
    daemon.wait_log(WAITS)
    put(other, pair_pem(shop[1]))
    wait_leaf(gate, shop[1], name="shop.example.org")
    assert leaves(gate) == {site.old.fingerprint}
    assert len(lines(daemon, REPLACED)) == len(lines(daemon, WAITS)) == 1


# ---- of no use ----------------------------------------------------------------------

GARBAGE = {
    "garbage": lambda path, leaf: put(path, b"\0\1no PEM at all\n" * 50),
    "empty": lambda path, leaf: put(path, b""),
    "cut": lambda path, leaf: put(path, pair_pem(leaf)[:-200]),
    "without_key": lambda path, leaf: put(path, leaf.chain_pem),
    "missing": lambda path, leaf: path.unlink(),
    "folder": lambda path, leaf: (path.unlink(), path.mkdir()),
    "huge": lambda path, leaf: put(path, b"#" * (2 << 20)),
}


@pytest.mark.row("certificates on disk: what is no pair replaces nothing")
@pytest.mark.parametrize("what", GARBAGE)
def test_what_is_no_pair_replaces_nothing(gate, site, what):  # noqa: F811
    daemon = site.start()
    mark = daemon.mark
    GARBAGE[what](site.file, site.new)
    line = daemon.wait_log(WAITS, since=mark)
    assert str(site.file) in line and line.startswith("warning")
    assert leaves(gate) == {site.old.fingerprint}
    if site.file.is_dir():
        site.file.rmdir()
    put(site.file, pair_pem(site.old))
    daemon.wait_log("nothing waits any more", since=mark)
    put(site.file, pair_pem(site.new))
    wait_leaf(gate, site.new)
    assert len(lines(daemon, WAITS, mark)) == 1
    secrets = site.new.key_pem.decode().splitlines()[1:-1]
    assert not [line for line in daemon.lines for part in secrets
                if part[:40] in line]


@pytest.mark.row("certificates on disk: a certificate out of its dates waits")
def test_a_new_one_that_is_not_valid_yet_waits(gate, site):  # noqa: F811
    daemon = site.start()
    later = gate.pki.leaf(HOST, start=2)
    put(site.file, pair_pem(later))
    assert "not valid yet" in daemon.wait_log(WAITS)
    assert leaves(gate) == {site.old.fingerprint}


@pytest.mark.row("certificates on disk: a reload refuses what does not fit")
def test_a_reload_with_a_broken_pair_is_refused(gate, site):  # noqa: F811
    daemon = site.start()
    put(site.file, site.new.chain_pem + site.old.key_pem)
    daemon.wait_log(WAITS)
    assert "does not fit the certificate" in daemon.reload(good=False)
    assert leaves(gate) == {site.old.fingerprint}
    put(site.file, pair_pem(site.new))
    wait_leaf(gate, site.new)


# ---- staple: require -------------------------------------------------------------------

@pytest.mark.short
@pytest.mark.must_run
@pytest.mark.row("certificates on disk: a required staple is waited for")
def test_a_pair_whose_staple_is_required_waits_for_it(
        gate, strict):  # noqa: F811
    daemon = strict.start(workers=3)
    mark = daemon.mark
    put(strict.file, pair_pem(strict.new))
    line = daemon.wait_log(WAITS, since=mark)
    assert "no staple yet for the new certificate" in line
    assert "is ocspd running" in line
    with Clients(gate, 1, 50) as clients:
        assert {seen[0] for seen in clients.seen} == {strict.old.fingerprint}
        der = strict.staple(strict.new)
        daemon.wait_log(REPLACED, since=mark, timeout=SOON_S)
        wait_leaf(gate, strict.new)
        clients.wait_more(20)
        assert {seen[2] for seen in clients.seen} == {"ok"}
    assert {seen[1:] for seen in shake(gate, 12)} == {(staple_of(der), "ok")}
    assert len(lines(daemon, WAITS, mark)) == 1


@pytest.mark.row("certificates on disk: a required staple is waited for")
@pytest.mark.parametrize("bad", ["foreign", "revoked", "old"])
def test_a_staple_of_no_use_is_not_what_it_waits_for(
        gate, strict, bad):  # noqa: F811
    daemon = strict.start()
    mark = daemon.mark
    response = {
        "foreign": lambda: ocsp.good(strict.old),
        "revoked": lambda: ocsp.good(strict.new, status="revoked"),
        "old": lambda: ocsp.good(strict.new, this=-9 * DAY, next=-DAY),
    }[bad]()
    gate.store(strict.new, response)
    put(strict.file, pair_pem(strict.new))
    daemon.wait_log(WAITS, since=mark)
    assert leaves(gate) == {strict.old.fingerprint}
    strict.staple(strict.new)
    wait_leaf(gate, strict.new)


@pytest.mark.row("certificates on disk: a required staple is waited for")
def test_the_spool_may_come_late(gate, site):  # noqa: F811
    """The old one was never stapled, and there is no spool yet."""
    site.row["staple"] = "require"
    daemon = site.start()
    put(site.file, pair_pem(site.new))
    daemon.wait_log(WAITS)
    gate.spool.mkdir()
    der = site.staple(site.new)
    wait_leaf(gate, site.new)
    assert {seen[1] for seen in shake(gate, 12)} == {staple_of(der)}


@pytest.mark.row("certificates on disk: a preferred staple is not waited for")
def test_without_require_nothing_is_waited_for(gate, site):  # noqa: F811
    site.staple(site.old)
    site.start()
    put(site.file, pair_pem(site.new))
    wait_leaf(gate, site.new)
    assert {seen[2] for seen in shake(gate, 4)} == {"no-staple"}


def shown(gate):  # noqa: F811
    """The certificate for a client that does not ask for staples."""
    with contextlib.closing(gate.tls()) as client:
        return hashlib.sha256(client.sock.getpeercert(True)).hexdigest()


@pytest.mark.row("certificates on disk: an expired pair keeps nothing waiting")
def test_when_the_old_one_expires_the_new_one_is_taken(
        gate, strict, clock):  # noqa: F811
    strict.old = gate.pki.leaf(HOST, key_name="old", days=2)
    strict.staple(strict.old)
    put(strict.file, pair_pem(strict.old))
    daemon = strict.start(env=clock.env)
    put(strict.file, pair_pem(strict.new))
    daemon.wait_log(WAITS)
    assert shown(gate) == strict.old.fingerprint
    clock.set(3 * DAY)
    daemon.wait_log(REPLACED)
    wait_until(lambda: {shown(gate) for _ in range(8)} ==
               {strict.new.fingerprint}, "the new certificate")


@pytest.mark.row("certificates on disk: a revoked pair keeps nothing waiting")
def test_a_revoked_old_one_is_not_kept_for_a_staple(
        gate, strict):  # noqa: F811
    gate.store(strict.old, ocsp.good(strict.old, status="revoked"))
    daemon = strict.start()
    put(strict.file, pair_pem(strict.new))
    daemon.wait_log(REPLACED)
    wait_until(lambda: {shown(gate) for _ in range(8)} ==
               {strict.new.fingerprint}, "the new certificate")


@pytest.mark.row("certificates on disk: a reload keeps what must wait")
def test_a_reload_keeps_the_old_pair_until_there_is_a_staple(
        gate, strict):  # noqa: F811
    daemon = strict.start()
    mark = daemon.mark
    put(strict.file, pair_pem(strict.new))
    daemon.reload()
    daemon.wait_log("warning.*no staple yet for the new", since=mark)
    assert {seen[::2] for seen in shake(gate, 12)} == \
        {(strict.old.fingerprint, "ok")}
    daemon.reload()
    assert leaves(gate) == {strict.old.fingerprint}
    strict.staple(strict.new)
    wait_leaf(gate, strict.new)
    assert {seen[2] for seen in shake(gate, 12)} == {"ok"}


# ---- what comes together ----------------------------------------------------------------

@pytest.mark.must_run
@pytest.mark.row("certificates on disk: no handshake fails while pairs switch")
def test_handshakes_all_succeed_while_pairs_are_switched(
        gate, strict):  # noqa: F811
    staples = {leaf.fingerprint: staple_of(strict.staple(leaf))
               for leaf in (strict.old, strict.new)}
    daemon = strict.start(workers=2)
    with Clients(gate) as clients:
        for leaf in (strict.new, strict.old, strict.new, strict.old):
            mark = daemon.mark
            put(strict.file, pair_pem(leaf))
            daemon.wait_log(REPLACED, since=mark)
            clients.wait_more(60)
        seen = clients.seen
    assert {one[0] for one in seen} == set(staples)
    assert {one[2] for one in seen} == {"ok"}
    assert all(one[1] == staples[one[0]] for one in seen)
    assert len(seen) > 250
    last = shake(gate, 8)
    assert {one[0] for one in last} == {strict.old.fingerprint}


@contextlib.contextmanager
def stopped(pid):
    """A worker that does not answer: whatever needs all of them is held."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def begin_swap(site, leaf):
    put(site.file, pair_pem(leaf))
    time.sleep(1)  # pause: nothing tells that it waits for the stopped worker


@pytest.mark.row("certificates on disk: a reload amid a swap")
def test_a_reload_amid_a_swap(gate, site):  # noqa: F811
    daemon = site.start(workers=2)
    third = gate.pki.leaf(HOST, key_name="third")
    mark = daemon.mark
    with stopped(daemon.workers[0]):
        begin_swap(site, site.new)
        assert not lines(daemon, REPLACED, mark)
        put(site.file, pair_pem(third))
        daemon.send(signal.SIGHUP)
    daemon.wait_log(r"\breloaded\b", since=mark)
    wait_leaf(gate, third)
    assert not lines(daemon, "^error|waits", mark)
    put(site.file, pair_pem(site.old))
    wait_leaf(gate, site.old)


@pytest.mark.row("certificates on disk: a reload amid a swap")
def test_a_reload_that_fails_amid_a_swap(gate, site):  # noqa: F811
    daemon = site.start(workers=2)
    mark = daemon.mark
    with stopped(daemon.workers[0]):
        begin_swap(site, site.new)
        config = gate.folder / "wsgate.yaml"
        good = config.read_text()
        config.write_text("sites: 5\n")
        daemon.send(signal.SIGHUP)
        daemon.wait_log("reload failed", since=mark, timeout=5)
        config.write_text(good)
    wait_leaf(gate, site.new)


@pytest.mark.row("certificates on disk: the newest bytes win")
def test_a_file_that_changes_again_amid_a_swap(gate, site):  # noqa: F811
    daemon = site.start(workers=2)
    third = gate.pki.leaf(HOST, key_name="third")
    with stopped(daemon.workers[0]):
        begin_swap(site, site.new)
        begin_swap(site, third)
    wait_leaf(gate, third)
    assert len(lines(daemon, REPLACED)) == 2


@pytest.mark.row("certificates on disk: a worker dies amid a swap")
@pytest.mark.parametrize("which", ["the_one_that_is_waited_for", "the_other"])
def test_a_worker_that_dies_amid_a_swap(gate, site, which):  # noqa: F811
    daemon = site.start(workers=2)
    held, other = daemon.workers
    with stopped(held):
        begin_swap(site, site.new)
        os.kill(held if which.endswith("for") else other, signal.SIGKILL)
        if which == "the_other":
            wait_until(lambda: len(set(daemon.workers) - {held, other}) == 1,
                       "a successor")
    wait_leaf(gate, site.new, timeout=30)
    daemon.wait_log(REPLACED)


@pytest.mark.row("certificates on disk: a successor serves the new pair")
def test_a_worker_killed_right_after_a_swap(gate, strict):  # noqa: F811
    daemon = strict.start(workers=2)
    der = strict.staple(strict.new)
    put(strict.file, pair_pem(strict.new))
    daemon.wait_log(REPLACED)
    old = set(daemon.workers)
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: len(set(daemon.workers) - old) == 2, "successors")
    wait_until(lambda: {one[0] for one in shake(gate, 8)} ==
               {strict.new.fingerprint}, "both serve")
    assert {one[1:] for one in shake(gate, 12)} == {(staple_of(der), "ok")}


@pytest.mark.row("certificates on disk: a swap amid the drain")
def test_a_change_amid_the_drain_holds_nothing_up(gate, site):  # noqa: F811
    daemon = site.start(workers=2)
    with stopped(daemon.workers[0]):
        begin_swap(site, site.new)
        daemon.send(signal.SIGTERM)
    put(site.file, pair_pem(site.old))
    wait_until(lambda: daemon.process.poll() is not None, "the end")
    assert daemon.process.returncode == 0


# ---- many ----------------------------------------------------------------------------------

MANY = 300


@pytest.mark.row("certificates on disk: one of many")
def test_one_of_many_is_switched_within_seconds(gate):  # noqa: F811
    folder = gate.folder / "certs"
    folder.mkdir()
    sites = []
    for n in range(MANY):
        name = f"h{n}.example.org"
        put(folder / f"{n}.pem", pair_pem(gate.pki.leaf(name)))
        sites.append({**gate.site(certificates=[
            {"chain": str(folder / f"{n}.pem")}]), "hosts": [name]})
    daemon = gate.start(sites=sites, workers=2)
    wait_until(lambda: leaves(gate, 4, name="h7.example.org") != {"none"},
               "all of them served")
    new = gate.pki.leaf("h7.example.org", key_name="new")
    mark = daemon.mark
    start = time.monotonic()
    put(folder / "7.pem", pair_pem(new))
    daemon.wait_log(REPLACED, since=mark)
    passed = time.monotonic() - start
    print(f"{MANY} certificates: switched after {passed:.2f} s")
    assert passed < 5
    wait_leaf(gate, new, name="h7.example.org")
    assert len(lines(daemon, REPLACED, mark)) == 1
    shutil.rmtree(folder)
    wait_until(lambda: len(lines(daemon, WAITS, mark)) == MANY,
               "each of them is missed, once")
    assert leaves(gate, name="h7.example.org") == {new.fingerprint}
