"""publish: what other servers are given, seen on their wire; and that one
output in trouble costs no other anything."""
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

import harness
import ocsp
from harness import wait_until
from ocsp import HOUR, Response, Single
from responder import Answer

EAGER = {"fetch": {"min_interval": "1s", "timeout": "3s"}}
LIFE = 72 * HOUR
LATE = 56 * HOUR     # less than a quarter is left: whatever jumps, it asks
EXAMPLES = harness.ROOT / "contrib/examples/publish.d"
PATIENCE = 15


@pytest.fixture
def world(moving_world):
    return moving_world


def answer(world, leaf, this=-HOUR, **how):
    """From now on these very bytes; another `this`, other bytes."""
    der = ocsp.good(leaf, this=this, **how)
    world.responder.serve(Answer(der), leaf)
    return der


def renew(world, leaf, this):
    """A newer response, and a reason to ask for it."""
    der = answer(world, leaf, this=this)
    world.clock.set(max(LATE, world.clock.offset + 4 * HOUR))
    return der


def config(world, *rows, **top):
    top.setdefault("changed_dir", str(world.folder / "changed"))
    top.setdefault("changed_interval", "1s")
    return world.config(rows=list(rows), **{**EAGER, **top})


def row(leaf, *outputs, **keys):
    return {"path": str(leaf.path), "publish": list(outputs), **keys}


def read(path):
    try:
        return pathlib.Path(path).read_bytes()
    except FileNotFoundError:
        return None


def wait_bytes(path, wanted, timeout=PATIENCE):
    wait_until(lambda: read(path) == wanted, f"the bytes of {path}", timeout)


def touched_at(world, name):
    try:
        return (world.folder / "changed" / name).stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def wait_touch(world, name, after=0):
    """A new file has its maker's time first: seen twice, it is the touch's."""
    seen = [0]

    def settled():
        seen.append(touched_at(world, name))
        return seen[-1] if seen[-1] == seen[-2] > after else 0
    return wait_until(settled, f"a touch of {name}", PATIENCE)


def nothing_for(seconds):
    time.sleep(seconds)  # pause: something must not happen meanwhile


class Wire:
    """What `openssl s_client -status` gets."""

    def __init__(self, world, port):
        done = harness.run(
            "openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile",
            world.pki.root.write(world.folder / "root.pem"), "-status", "-msg",
            "-servername", "www.example.org", stdin=b"")
        self.out = done.out + done.err
        self.is_good = "Verify return code: 0 (ok)" in self.out
        self.bytes = bytes.fromhex("".join(re.findall(
            r"^    ((?:[0-9a-f]{2} ?)+)$", done.out, re.M)))

    def has(self, der):
        return self.is_good and der in self.bytes

    @property
    def is_bare(self):
        return self.is_good and "OCSP response: no response sent" in self.out


def wait_wire(world, port, der, timeout=PATIENCE):
    wait_until(lambda: Wire(world, port).has(der), "these bytes on the wire",
               timeout)


# ---- files --------------------------------------------------------------------------

@pytest.mark.short
@pytest.mark.row("publish: file")
def test_a_file_follows_the_spool_to_its_end(world):
    leaf = world.leaf("www.example.org")
    der = answer(world, leaf)
    out = world.folder / "out"
    out.mkdir()
    file = out / "www.ocsp"
    with world.daemon(config(world, row(leaf, {
            "type": "file", "file": str(file), "mode": "0640",
            "changed": "web"}))):
        wait_bytes(file, der)
        assert file.stat().st_mode & 0o7777 == 0o640
        first = wait_touch(world, "web")
        newer = renew(world, leaf, this=-60)
        wait_bytes(file, newer)
        second = wait_touch(world, "web", first)
        world.responder.serve(Answer(code=503), leaf)
        world.clock.set(LIFE)
        wait_until(lambda: not file.exists(), "the end of the file")
        wait_touch(world, "web", second)
    assert list(out.iterdir()) == []


@pytest.mark.row("publish: a pattern names its files")
def test_each_certificate_of_a_pattern_has_its_own_file(world):
    one = world.leaf("one.example.org", path="one.pem")
    two = world.leaf("two.example.org", path="two.crt")
    config_path = config(world, {
        "path": str(world.certs), "publish": {
            "type": "file", "file": str(world.folder / "%n-100%%.ocsp")}})
    with world.daemon(config_path):
        for leaf, name in ((one, "one"), (two, "two")):
            der = world.wait_staple(leaf)
            wait_bytes(world.folder / f"{name}-100%.ocsp", der)


def test_one_file_for_two_certificates_of_a_pattern_is_an_error(world):
    leaves = [world.leaf(f"{name}.example.org", path=f"{name}.pem")
              for name in ("one", "two")]
    file = world.folder / "all.ocsp"
    with world.daemon(config(world, {
            "path": str(world.certs / "*.pem"),
            "publish": {"type": "file", "file": str(file)}})) as daemon:
        line = daemon.wait_log("two certificates would be published")
        for leaf in leaves:
            assert str(leaf.path) in line
            world.wait_staple(leaf)
        wait_until(file.exists, "the first one's file")
        first = re.search(r"first=(\S+)", line)[1]
        leaf = next(x for x in leaves if str(x.path) == first)
        wait_bytes(file, world.der(leaf))


def test_a_second_row_that_is_not_in_force_is_named(world):
    leaf = world.leaf("www.example.org", path="a.pem")
    copy = world.folder / "copy.pem"
    leaf.write_chain(copy)
    with world.daemon(config(
            world, {"path": str(leaf.path)},
            {"path": str(copy), "publish": {
                "type": "file", "file": str(world.folder / "x.ocsp")}},
            )) as daemon:
        assert "copy.pem" in daemon.wait_log("publish: is not in force")


@pytest.mark.row("publish: renewed certificate")
def test_a_file_follows_a_renewed_certificate_once_it_is_stapled(world):
    leaf = world.leaf("www.example.org", path="site.pem")
    der = answer(world, leaf)
    file = world.folder / "site.ocsp"
    with world.daemon(config(world, row(leaf, {
            "type": "file", "file": str(file)}))) as daemon:
        wait_bytes(file, der)
        gate = threading.Event()
        new = world.pki.leaf("www.example.org", ocsp=[world.responder.url])
        new.path = leaf.path
        newer = ocsp.good(new, this=-30)
        world.responder.serve(Answer(newer, wait=gate), new)
        new.write_chain(new.path)
        wait_until(lambda: world.responder.count(new), "the new one's request")
        assert read(file) == der, "the old one's stays until then"
        gate.set()
        wait_bytes(file, newer)
        daemon.wait_log("certificate replaced")
        assert world.der(leaf), "the old staple is still in the spool"
        assert read(file) == newer
        assert not daemon.matches("two certificates")


# ---- changed ------------------------------------------------------------------------

@pytest.mark.row("publish: changed")
def test_touches_are_joined_and_none_is_lost(world):
    """The first at once, then one for all that came within the interval."""
    leaf = world.leaf("www.example.org")
    answer(world, leaf, this=-HOUR)
    interval = 4
    with world.daemon(config(world, row(leaf, {
            "type": "changed", "changed": "web"}),
            changed_interval=f"{interval}s")):
        world.wait_staple(leaf)
        first = wait_touch(world, "web")
        seen = {first}
        for this in (-50, -40, -30):
            world.wait_staple(leaf, renew(world, leaf, this=this), PATIENCE)
            seen.add(touched_at(world, "web"))
        spooled = world.der_path(leaf).stat().st_mtime_ns
        last = wait_until(lambda: touched_at(world, "web") >= spooled and
                          touched_at(world, "web"), "the last change is told")
        seen.add(last)
        nothing_for(interval + 1)
        seen.add(touched_at(world, "web"))
    times = sorted(seen)
    assert len(times) in (2, 3)
    for before, after in zip(times, times[1:]):
        assert after - before >= (interval - 0.1) * 1e9
    assert times[-1] == last


def test_what_waits_for_its_touch_is_told_at_the_end(world):
    leaf = world.leaf("www.example.org")
    answer(world, leaf)
    with world.daemon(config(world, row(leaf, {
            "type": "changed", "changed": "web"}),
            changed_interval="1h")) as daemon:
        world.wait_staple(leaf)
        first = wait_touch(world, "web")
        mark = daemon.mark
        world.wait_staple(leaf, renew(world, leaf, this=-60))
        daemon.wait_log("published type=changed", since=mark)
        assert touched_at(world, "web") == first
        daemon.stop()
        assert touched_at(world, "web") > first


@pytest.mark.row("publish: state survives restart")
def test_a_restart_writes_and_touches_nothing_that_is_up_to_date(world):
    leaf = world.leaf("www.example.org")
    der = answer(world, leaf)
    file, snippet = world.folder / "a.ocsp", world.folder / "a.conf"
    path = config(world, row(
        leaf, {"type": "file", "file": str(file), "changed": "a"},
        {"type": "nginx", "file": str(snippet), "changed": "b"},
        {"type": "changed", "changed": "c"}))
    with world.daemon(path):
        wait_bytes(file, der)
        for name in "abc":
            wait_touch(world, name)
    before = [p.stat().st_mtime_ns for p in (file, snippet)] + \
        [touched_at(world, name) for name in "abc"]
    with world.daemon(path) as daemon:
        daemon.wait_log("started")
        nothing_for(2)
    assert before == [p.stat().st_mtime_ns for p in (file, snippet)] + \
        [touched_at(world, name) for name in "abc"]


@pytest.mark.row("publish: state survives restart")
def test_a_start_makes_up_for_what_was_not_told(world):
    """As after a kill between a write and its touch."""
    leaf = world.leaf("www.example.org")
    der = answer(world, leaf)
    file, snippet = world.folder / "a.ocsp", world.folder / "a.conf"
    path = config(world, row(
        leaf, {"type": "file", "file": str(file), "changed": "a"},
        {"type": "nginx", "file": str(snippet), "changed": "b"},
        {"type": "changed", "changed": "c"}))
    with world.daemon(path):
        wait_bytes(file, der)
        for name in "abc":
            wait_touch(world, name)
    for name in "abc":
        os.utime(world.folder / "changed" / name, (1, 1))
    file.write_bytes(b"something else")
    with world.daemon(path):
        wait_bytes(file, der)
        for name in "abc":
            wait_touch(world, name, after=2 * 10**9)


def test_a_certificate_that_left_while_nobody_looked_leaves_no_snippet(world):
    leaf = world.leaf("www.example.org", path="site.pem")
    answer(world, leaf)
    snippet = world.folder / "site.conf"
    path = config(world, {"path": str(world.certs), "publish": {
        "type": "nginx", "file": str(world.folder / "%n.conf"),
        "changed": "web"}})
    with world.daemon(path):
        wait_until(snippet.exists, "the snippet")
        before = wait_touch(world, "web")
    leaf.path.unlink()
    with world.daemon(path), Watcher(world, snippet) as watcher:
        wait_until(lambda: not world.der(leaf), "the end of the staple")
        wait_touch(world, "web", before)
        wait_until(lambda: watcher.margin, "both are gone")
    assert not watcher.dangling and not snippet.exists()
    assert watcher.margin > 1.5


# ---- nginx --------------------------------------------------------------------------

class Watcher(threading.Thread):
    """Is there ever a snippet that names a file which is not there? And how
    long does a file outlive the last snippet that named it?"""

    def __init__(self, world, snippet):
        super().__init__(daemon=True)
        self.snippet, self.dangling = snippet, []
        self.spool = world.spool
        self.bare_since = self.margin = None
        self.done = threading.Event()

    def look(self):
        if self.snippet.exists():
            self.bare_since = self.margin = None
        elif self.bare_since is None:
            self.bare_since = time.monotonic()
        if self.margin is None and self.bare_since is not None and \
                not list(self.spool.glob("*.der")):
            self.margin = time.monotonic() - self.bare_since
        text = (read(self.snippet) or b"").decode()
        named = re.search(r'ssl_stapling_file "(.*)";', text)
        if named and not os.path.exists(named[1]) and \
                (read(self.snippet) or b"").decode() == text:
            self.dangling.append((time.time(), named[1]))

    def run(self):
        while not self.done.wait(0.002):
            self.look()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.join()


class Nginx:
    """With the publish.d script of the examples for systemd's part."""

    def __init__(self, world, leaf):
        self.world, self.folder = world, world.folder / "nginx"
        self.folder.mkdir()
        self.snippets = self.folder / "ocsp.d"
        self.snippets.mkdir()
        self.words = harness.peer_command("nginx", world.folder)
        self.port = harness.free_port()
        self.daemon = None
        self.leaf = leaf
        key = leaf.write_key(self.folder / "site.key")
        self.conf = self.folder / "nginx.conf"
        temp = "".join(f"{kind}_temp_path {self.folder}/{kind};\n"
                       for kind in ("client_body", "proxy", "fastcgi",
                                    "uwsgi", "scgi"))
        self.conf.write_text(f"""
user root;
daemon off;
worker_processes 1;
pid {self.folder}/pid;
error_log stderr;
events {{}}
http {{
access_log off;
{temp}
server {{
    listen 127.0.0.1:{self.port} ssl;
    ssl_certificate {leaf.path};
    ssl_certificate_key {key};
    include {self.snippets}/*.conf;
}} }}
""")
        self._make_tools()

    def _make_tools(self):
        self.tools = self.folder / "tools"
        self.tools.mkdir()
        quoted = " ".join(f"'{word}'" for word in
                          [*self.words, "-c", self.conf])
        for name, text in (
                ("nginx", f'exec {quoted} "$@"'),
                ("systemctl", 'case "$*" in "reload nginx") '
                              f"kill -HUP $(cat {self.folder}/pid) ;; esac")):
            (self.tools / name).write_text(f"#!/bin/sh\n{text}\n")
            (self.tools / name).chmod(0o755)

    def start(self):
        self.daemon = harness.Daemon(*self.words, "-c", self.conf, code=None)
        wait_until(lambda: harness.can_connect(self.port), "nginx listens")
        return self

    def stop(self):
        self.daemon.stop()

    def take(self):
        """What ocspd-publish@nginx.service does."""
        harness.run(EXAMPLES / "nginx", code=0, env={
            "PATH": f"{self.tools}:{os.environ['PATH']}"})


@pytest.fixture
def nginx(world):
    leaf = world.leaf("www.example.org")
    made = Nginx(world, leaf)
    yield made
    if made.daemon and made.daemon.is_alive():
        made.stop()


def nginx_row(nginx):
    return row(nginx.leaf, {
        "type": "nginx", "file": str(nginx.snippets / "site.conf"),
        "changed": "nginx"})


@pytest.mark.row("publish: nginx")
def test_nginx_staples_each_response_and_none_after_the_last(world, nginx):
    leaf = nginx.leaf
    der = answer(world, leaf)
    nginx.start()
    assert Wire(world, nginx.port).is_bare
    snippet = nginx.snippets / "site.conf"
    with world.daemon(config(world, nginx_row(nginx))), \
            Watcher(world, snippet) as watcher:
        touch = wait_touch(world, "nginx")
        nginx.take()
        wait_wire(world, nginx.port, der)
        text = read(snippet)
        # the same snippet over other bytes: nginx must be told all the same
        newer = renew(world, leaf, this=-60)
        world.wait_staple(leaf, newer)
        touch = wait_touch(world, "nginx", touch)
        assert read(snippet) == text
        nginx.take()
        wait_wire(world, nginx.port, newer)
        # the responder is away until the end of its life
        world.responder.serve(Answer(code=503), leaf)
        world.clock.set(LIFE - HOUR - 120)   # lead of 90 s before 60 s
        wait_until(lambda: not snippet.exists(), "the end of the snippet")
        assert world.der(leaf), "the staple goes after the snippet"
        wait_touch(world, "nginx", touch)
        nginx.take()
        wait_until(lambda: Wire(world, nginx.port).is_bare, "no staple")
        world.clock.set(LIFE - HOUR - 20)
        wait_until(lambda: not world.der(leaf), "the end of the staple")
        nginx.take()
    assert not watcher.dangling
    nginx.stop()
    nginx.start()          # a cold start finds nothing missing
    assert Wire(world, nginx.port).is_bare


@pytest.mark.row("publish: nginx")
@pytest.mark.parametrize("why", ["revoked", "clock", "certificate removed"])
def test_a_snippet_goes_before_the_file_it_names(world, nginx, why):
    leaf = nginx.leaf
    answer(world, leaf)
    snippet = nginx.snippets / "site.conf"
    rows = {**nginx_row(nginx), "path": str(world.certs)}
    with world.daemon(config(world, rows)), \
            Watcher(world, snippet) as watcher:
        wait_until(snippet.exists, "the snippet")
        touch = wait_touch(world, "nginx")
        if why == "revoked":
            world.responder.serve(
                Answer(Response([Single("revoked", this=-30)])), leaf)
            world.clock.set(LATE)
        elif why == "clock":
            world.responder.serve(Answer(code=503), leaf)
            world.clock.set(LIFE)
        else:
            leaf.path.unlink()
        wait_until(lambda: not world.der(leaf), "the end of the staple")
        wait_touch(world, "nginx", touch)
        wait_until(lambda: watcher.margin, "both are gone")
    assert not watcher.dangling
    assert 1.5 < watcher.margin < 10
    assert not snippet.exists()


def test_a_row_that_is_taken_back_takes_its_snippet_along(world, nginx):
    leaf = nginx.leaf
    answer(world, leaf)
    snippet = nginx.snippets / "site.conf"
    file = world.folder / "stays.ocsp"
    both = nginx_row(nginx)
    both["publish"].append({"type": "file", "file": str(file)})
    with world.daemon(config(world, both)) as daemon:
        wait_until(lambda: snippet.exists() and file.exists(), "both")
        touch = wait_touch(world, "nginx")
        config(world, {"path": str(leaf.path)})
        daemon.send(signal.SIGHUP)
        daemon.wait_log("configuration loaded")
        wait_until(lambda: not snippet.exists(), "the end of the snippet")
        wait_touch(world, "nginx", touch)
    assert file.exists(), "other files are left alone"


# ---- HAProxy ------------------------------------------------------------------------

class Haproxy:
    def __init__(self, world, leaf):
        self.world, self.leaf = world, leaf
        self.words = harness.peer_command("haproxy", world.folder)
        self.folder = world.folder / "ha"
        self.folder.mkdir()
        self.pem = self.folder / "site.pem"
        self.ocsp = self.folder / "site.pem.ocsp"
        self.socket = self.folder / "s"
        self.port = harness.free_port()
        self.conf = self.folder / "haproxy.cfg"
        self.pem.write_bytes(leaf.chain_pem + leaf.key_pem)
        self.conf.write_text(f"""
global
    stats socket {self.socket} mode 600 level admin
defaults
    mode http
    timeout client 10s
    timeout server 10s
    timeout connect 10s
frontend f
    bind 127.0.0.1:{self.port} ssl crt {self.pem}
""")
        self.daemon = None

    def start(self):
        self.daemon = harness.Daemon(*self.words, "-f", self.conf, "-db",
                                     code=None)
        wait_until(lambda: harness.can_connect(self.port), "HAProxy listens")
        return self

    def stop(self):
        if self.daemon and self.daemon.is_alive():
            self.daemon.stop()

    def row(self, **keys):
        return row(self.leaf, {
            "type": "haproxy", "file": str(self.ocsp),
            "socket": str(self.socket), **keys})


@pytest.fixture
def haproxy(world):
    made = Haproxy(world, world.leaf("www.example.org"))
    yield made
    made.stop()


@pytest.mark.row("publish: haproxy")
@pytest.mark.parametrize("at_start", ["an empty file", "no file"])
def test_haproxy_staples_at_once_and_after_its_restart(
        world, haproxy, at_start):
    leaf = haproxy.leaf
    der = answer(world, leaf)
    if at_start == "an empty file":
        haproxy.ocsp.write_bytes(b"")
    haproxy.start()
    assert Wire(world, haproxy.port).is_bare
    with world.daemon(config(world, haproxy.row())) as daemon:
        wait_wire(world, haproxy.port, der)
        daemon.wait_log("taken by the server")
        assert read(haproxy.ocsp) == der
        newer = renew(world, leaf, this=-60)
        wait_wire(world, haproxy.port, newer)
        assert read(haproxy.ocsp) == newer
        assert not daemon.matches("^error")
        haproxy.stop()
        haproxy.start()
        assert Wire(world, haproxy.port).has(newer)
        # the end: an empty file stays, so that a next one can be set
        world.responder.serve(Answer(code=503), leaf)
        world.clock.set(LIFE)
        wait_bytes(haproxy.ocsp, b"")
        haproxy.stop()
        haproxy.start()
        assert Wire(world, haproxy.port).is_bare


@pytest.mark.row("publish: haproxy")
def test_haproxy_with_the_old_pair_is_told_of_once(world, haproxy):
    """It keeps the old certificate in memory: its file is ready for the next
    start, its staple is not touched."""
    old = haproxy.leaf
    der = answer(world, old)
    haproxy.ocsp.write_bytes(b"")
    haproxy.start()
    with world.daemon(config(world, haproxy.row())) as daemon:
        wait_wire(world, haproxy.port, der)
        new = world.pki.leaf("www.example.org", ocsp=[world.responder.url])
        newer = answer(world, new, this=-30)
        new.write_chain(old.path)
        wait_bytes(haproxy.ocsp, newer)
        line = daemon.wait_log("cannot publish.*does not match")
        assert "Certificate ID does not match" in line
        assert Wire(world, haproxy.port).has(der)
        nothing_for(6)            # tried again, not said again
        assert len(daemon.matches("does not match")) == 1
        haproxy.stop()
        haproxy.pem.write_bytes(new.chain_pem + new.key_pem)
        haproxy.start()
        wait_wire(world, haproxy.port, newer)
        daemon.wait_log("published again|taken by the server",
                        since=len(daemon.lines) - 1, timeout=30)


class Silent:
    """A socket that takes connections and says nothing."""

    def __init__(self, path, backlog=64):
        self.path = path
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(backlog)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
        self.path.unlink()


@pytest.mark.row("publish: one output in trouble costs no other anything")
def test_a_hanging_haproxy_delays_nobody(world, haproxy):
    hanging = world.folder / "hang"
    slow = [world.leaf(f"s{n}.example.org", path=f"s{n}.pem")
            for n in range(8)]
    der = answer(world, haproxy.leaf)
    haproxy.ocsp.write_bytes(b"")
    haproxy.start()
    out = world.folder / "out"
    out.mkdir()
    rows = [row(leaf, {"type": "haproxy", "socket": str(hanging),
                       "file": str(out / f"{leaf.serial}.ocsp")})
            for leaf in slow] + [haproxy.row()]
    with Silent(hanging), world.daemon(config(world, *rows)) as daemon:
        began = time.monotonic()
        wait_wire(world, haproxy.port, der, timeout=4)
        for leaf in slow:
            wait_bytes(out / f"{leaf.serial}.ocsp", world.wait_staple(leaf),
                       timeout=4)
        assert time.monotonic() - began < 4.5, "less than one time limit"
        daemon.wait_log("socket does not answer.*no answer within 5 s")
        newer = renew(world, haproxy.leaf, this=-60)
        wait_wire(world, haproxy.port, newer, timeout=4)
        assert len(daemon.matches("socket does not answer")) == 1


@pytest.mark.row("publish: one output in trouble costs no other anything")
def test_a_haproxy_that_comes_later_is_fed(world, haproxy):
    der = answer(world, haproxy.leaf)
    with world.daemon(config(world, haproxy.row())) as daemon:
        daemon.wait_log("socket does not answer.*No such file")
        wait_bytes(haproxy.ocsp, der)
        haproxy.start()
        assert Wire(world, haproxy.port).has(der), "from the file"
        daemon.wait_log("socket answers again")
        daemon.wait_log("taken by the server")


@pytest.mark.row("publish: one output in trouble costs no other anything")
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount")
def test_a_full_disk_under_one_output_leaves_the_others_alone(world):
    full = world.folder / "full"
    full.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", full],
                   check=True)
    try:
        ballast = full / "ballast"
        with open(ballast, "wb") as file, pytest.raises(OSError):
            file.write(b"x" * 65536)
            file.flush()
        leaf = world.leaf("www.example.org")
        der = answer(world, leaf)
        fine = world.folder / "fine.ocsp"
        with world.daemon(config(world, row(
                leaf, {"type": "file", "file": str(full / "a.ocsp")},
                {"type": "file", "file": str(fine)}))) as daemon:
            wait_bytes(fine, der)
            line = daemon.wait_log("cannot publish")
            assert f"{full}/a.ocsp" in line and "No space left" in line
            newer = renew(world, leaf, this=-60)
            wait_bytes(fine, newer)
            assert world.der(leaf) == newer
            ballast.unlink()
            wait_bytes(full / "a.ocsp", newer, timeout=30)
            daemon.wait_log("published again")
            assert len(daemon.matches("cannot publish")) == 1
    finally:
        subprocess.run(["umount", full], check=True)


@pytest.mark.row("publish: one output in trouble costs no other anything")
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount")
def test_outputs_with_their_own_bytes_are_fed_while_the_spool_is_full(
        world, haproxy):
    leaf = haproxy.leaf
    der = answer(world, leaf)
    haproxy.ocsp.write_bytes(b"")
    haproxy.start()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32k,mode=755", "tmpfs",
                    world.spool], check=True)
    try:
        with world.daemon(config(world, haproxy.row())) as daemon:
            wait_wire(world, haproxy.port, der)
            with open(world.spool / ".ballast", "wb") as file, \
                    pytest.raises(OSError):
                file.write(b"x" * 131072)
                file.flush()
            newer = renew(world, leaf, this=-60)
            daemon.wait_log("spool cannot be written.*mend=.make room")
            wait_wire(world, haproxy.port, newer)
            assert read(haproxy.ocsp) == newer
            assert world.der(leaf) == der
    finally:
        subprocess.run(["umount", world.spool], check=True)


# ---- check --units ------------------------------------------------------------------

def units(world, *rows, **top):
    top.setdefault("spool", "/var/spool/ocspd")
    path = world.config(rows=list(rows), **top)
    return world.run("check", "--units", "-c", path, code=0).out


def some_group():
    import grp
    return next(entry for entry in grp.getgrall() if entry.gr_gid > 0)


@pytest.mark.row("publish: check --units")
def test_units_need_nothing_when_nothing_is_published(world):
    leaf = world.leaf("www.example.org")
    assert "nothing is needed" in units(world, {"path": str(leaf.path)})
    said = units(world, row(leaf, {
        "type": "file", "file": "/run/ocspd/www.ocsp"}))
    assert "nothing is needed" in said


@pytest.mark.row("publish: check --units")
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give away files")
def test_units_get_folders_groups_and_commands(world):
    group = some_group()
    theirs, ours, closed = (world.folder / name for name in
                            ("theirs", "open", "closed"))
    for path, gid, mode in ((theirs, group.gr_gid, 0o2770), (ours, 0, 0o777),
                            (closed, 0, 0o755)):
        path.mkdir()
        os.chown(path, 0, gid)
        path.chmod(mode)
    (closed / "x.ocsp").write_bytes(b"")
    leaf = world.leaf("www.example.org")
    missing = world.folder / "miss ing"
    with Silent(world.folder / "sock") as silent:
        os.chown(silent.path, 0, group.gr_gid)
        silent.path.chmod(0o660)
        said = units(world, row(
            leaf, {"type": "file", "file": str(theirs / "a")},
            {"type": "file", "file": str(ours / "a")},
            {"type": "nginx", "file": str(missing / "%n"), "changed": "n-1"},
            {"type": "haproxy", "file": str(closed / "x.ocsp"),
             "socket": str(silent.path)}))
    lines = said.splitlines()
    for path in (theirs, ours, closed):
        assert f"ReadWritePaths=-{path}" in lines
    assert f'ReadWritePaths="-{missing}"' in lines
    assert lines.count(f"SupplementaryGroups={group.gr_name}") == 1
    assert f"# run: install -d -m 0755 -o ocspd -g ocspd '{missing}'" in lines
    at = lines.index(f"# {closed} (root:root 0755) cannot be written by user "
                     "ocspd:")
    assert lines[at + 1:at + 4] == [
        f"# run: chgrp ocspd {closed}", f"# run: chmod g+rwx,+t {closed}",
        f"# run: chown ocspd {closed}/x.ocsp"]
    assert not [line for line in lines if f"{ours} (" in line]
    assert "# /etc/ocspd/publish.d/n-1 is missing" in said
    assert "# run: systemctl enable --now ocspd-publish@n-1.path" in lines
    accepted_by_systemd(world, said)


def accepted_by_systemd(world, text):
    if not shutil.which("systemd-analyze"):
        return
    there = world.folder / "units"
    (there / "ocspd.service.d").mkdir(parents=True)
    unit = (harness.ROOT / "systemd/ocspd.service").read_text()
    (there / "ocspd.service").write_text(
        unit.replace("/usr/local/sbin/ocspd", "/bin/true"))
    (there / "ocspd.service.d/publish.conf").write_text(text)
    done = harness.run(
        "systemd-analyze", "verify", "--man=no", there / "ocspd.service",
        env={"SYSTEMD_UNIT_PATH": f"{there}:"})
    assert done.code == 0 and str(there) not in done.err, done


@pytest.mark.parametrize("unit", ["ocspd-publish@nginx.service",
                                  "ocspd-publish@nginx.path"])
def test_the_units_that_tell_servers_are_well_formed(world, unit):
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze on this machine")
    for kind in ("service", "path"):
        text = (harness.ROOT / f"systemd/ocspd-publish@.{kind}").read_text()
        (world.folder / f"ocspd-publish@nginx.{kind}").write_text(text)
    done = harness.run("systemd-analyze", "verify", "--man=no",
                       world.folder / unit)
    assert done.code == 0 and not done.err.strip(), done


def test_check_takes_a_certificate_or_units(world):
    leaf = world.leaf("www.example.org")
    world.run("check", code=64)
    world.run("check", "--units", leaf.path, code=64)
