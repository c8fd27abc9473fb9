"""A name server that never answers: it costs its own targets their fetches,
and nobody else anything."""
import os
import signal
import socket
import threading
import time

import pytest

import harness
from harness import wait_until

pytestmark = [
    pytest.mark.must_run,
    pytest.mark.row("ocsp: stuck job isolated"),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs its own mounts"),
]
WATCHDOG_S = 4
# One that is asked twice per name and has 30 s for it: far beyond the test.
RESOLV = "nameserver {}\noptions timeout:15 attempts:2\n"
PRIVATE = """
mount --make-rprivate / 2>/dev/null || ! grep -q ' shared:' /proc/self/mountinfo
folder=$1; shift
for name in resolv.conf nsswitch.conf; do
    mount --bind "$folder/$name" "$(readlink -f "/etc/$name")"
done
exec "$@"
"""


class Manager:
    """systemd's side of NOTIFY_SOCKET: what was told when."""

    def __init__(self, folder):
        self.path = str(folder / "notify")
        self.told = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while True:
            text = self._socket.recv(4096).decode()
            self.told.append((time.monotonic(), text))

    @property
    def env(self):
        return {"NOTIFY_SOCKET": self.path,
                "WATCHDOG_USEC": str(WATCHDOG_S * 1000000)}

    def pets(self):
        return [at for at, text in self.told if "WATCHDOG=1" in text]

    def longest_gap(self, since):
        times = [since] + [at for at in self.pets() if at > since]
        times.append(time.monotonic())
        return max(b - a for a, b in zip(times, times[1:]))


@pytest.fixture
def deaf():
    """The address of a name server that hears and says nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.53.53.53", 53))
        yield server


@pytest.fixture
def resolving(folder, deaf):
    """The words before a program that make it ask the deaf one."""
    (folder / "resolv.conf").write_text(RESOLV.format(deaf.getsockname()[0]))
    (folder / "nsswitch.conf").write_text("hosts: files dns\n")
    words = ["unshare", "--mount", "--propagation", "unchanged", "sh", "-ec",
             PRIVATE, "sh", str(folder)]
    if harness.run(*words, "true").code != 0:
        pytest.skip("cannot have its own mounts here")
    return words


@pytest.mark.short
def test_a_dead_name_server_delays_nobody_else(world, resolving, deaf):
    dead = [world.leaf(f"{n}.example.org", path=f"{n}.pem",
                       urls=["http://ocsp.dead.example/"]) for n in range(8)]
    live = world.leaf("live.example.org", path="z.pem")
    manager = Manager(world.folder)
    start = time.monotonic()
    with harness.Daemon(*resolving, harness.program("ocspd"), "-c",
                        world.config(*dead, live),
                        env=manager.env) as daemon:
        world.wait_staple(live, timeout=3)
        deaf.settimeout(5)
        assert b"dead" in deaf.recv(512), "the name server was asked"
        # each of the two transfers at a time has its 2 s, in turn
        wait_until(lambda: all(world.meta(leaf).get("failures")
                               for leaf in dead), "a failure of each")
        for leaf in dead:
            assert world.meta(leaf)["last_error_kind"] in ("dns", "timeout")
        assert manager.longest_gap(start) < WATCHDOG_S, manager.told
        assert len(manager.pets()) >= 2
        # while one is being resolved again
        mark = daemon.mark
        other = world.pki.leaf("other.example.org",
                               ocsp=["http://also.dead.example/"])
        other.write_chain(dead[0].path)
        daemon.wait_log("certificate under care", since=mark)
        started = time.monotonic()
        daemon.stop(signal.SIGTERM, timeout=3)
        assert time.monotonic() - started < 3
