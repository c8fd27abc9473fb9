"""Killed while publishing: whatever moment it is, a reader of the spool sees a
whole old response or a whole new one, and the next start clears up."""
import os
import re
import signal
import subprocess
import threading
import time

import pytest

import harness
import ocsp
from harness import wait_until
from responder import Answer

# What a publication does to the folder; libuv and curl do none of it.
FOLDER_CALLS = "fchmod,fsync,fdatasync,rename,renameat,renameat2,unlink," \
    "unlinkat,link,linkat,ftruncate"
# LeakSanitizer cannot work under a tracer.
QUIET = {"ASAN_OPTIONS": "detect_leaks=0", "UV_THREADPOOL_SIZE": "1"}


class Reader:
    """Reads one file again and again, as a consumer would, and remembers what
    it saw that it must not see."""

    def __init__(self, path, *allowed):
        self.path, self.allowed = path, set(allowed)
        self.reads = 0
        self.wrong = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while not self._over.is_set():
            try:
                with open(self.path, "rb") as file:
                    found = file.read()
            except FileNotFoundError:
                found = b"(missing)"
            self.reads += 1
            if found not in self.allowed:
                self.wrong.append(found[:40])
            os.sched_yield()    # lets the rest of the test go on

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()
        assert self.reads > 0
        assert not self.wrong, self.wrong[:3]


def strace(argv, *options, env=None):
    return subprocess.run(
        ["strace", "-f", "-qq", *options, *[str(word) for word in argv]],
        env={**os.environ, **QUIET, **(env or {})}, stdin=subprocess.DEVNULL,
        capture_output=True, timeout=60, check=False)


def calls_of(log):
    """What strace wrote, as (name, the how manieth of that name in its
    thread, whole line); strace counts each name by itself."""
    counts, found = {}, []
    for line in log.read_text().splitlines():
        match = re.match(r"(\d+) +(\w+)\(", line)
        if match:
            counts[match.groups()] = counts.get(match.groups(), 0) + 1
            found.append((match.group(2), counts[match.groups()], line))
    return found


def needs_strace():
    answer = subprocess.run(["strace", "-o", "/dev/null", "true"],
                            capture_output=True, check=False)
    if answer.returncode != 0:
        pytest.skip("strace cannot trace here")


def age_strays(world):
    """Temp files become older than any write takes."""
    for name in world.strays():
        os.utime(world.spool / name, (time.time() - 3600,) * 2)


@pytest.fixture
def published(world):
    """A leaf whose old response is in the spool, and the newer one."""
    leaf = world.leaf()
    old = ocsp.good(leaf, this=-7200)
    new = ocsp.good(leaf, this=-3600)
    world.der_path(leaf).write_bytes(old)
    for name, der in (("old", old), ("new", new)):
        (world.folder / name).write_bytes(der)
    return leaf, old, new


@pytest.mark.row("ocsp: temp+rename / fsync")
@pytest.mark.limit(300)
def test_killed_at_every_system_call_of_a_publication(world, published):
    """shared/spool alone: one thread, so that each call can be hit."""
    needs_strace()
    leaf, old, new = published
    argv = [harness.tool("publisher"), world.spool, leaf.fingerprint,
            world.folder / "new", world.folder / "new", "1"]
    log = world.folder / "calls"
    done = strace(argv, "-o", log)
    assert done.returncode == 0, done.stderr
    moments = calls_of(log)
    first = next(number for number, (_, _, line) in enumerate(moments)
                 if str(world.spool) in line and "execve(" not in line)
    assert world.der(leaf) == new
    left = set()
    for name, nth, _ in moments[first:]:
        world.der_path(leaf).write_bytes(old)
        (world.spool / f"{leaf.fingerprint}.json").unlink(missing_ok=True)
        with Reader(world.der_path(leaf), old, new):
            done = strace(argv, "-o", "/dev/null",
                          f"--inject={name}:signal=KILL:when={nth}")
        assert done.returncode in (-9, 137), f"{name} {nth}: {done}"
        left.add(world.der(leaf) == new)
        age_strays(world)
        harness.run(*argv, code=0)
        assert world.strays() == []
        assert world.der(leaf) == new
    assert left == {True, False}, "no kill was before or none after the rename"


@pytest.mark.row("ocsp: temp+rename / fsync")
@pytest.mark.row("ocsp: survives restart")
@pytest.mark.limit(300)
def test_fetch_killed_at_every_call_that_changes_the_spool(world):
    needs_strace()
    leaf = world.leaf()
    old = ocsp.good(leaf, this=-7200)
    new = ocsp.good(leaf, this=-3600)
    argv = [harness.program("ocspd"), "fetch", "--spool", world.spool,
            "--allow-address", "127.0.0.0/8", leaf.path]

    def put_old():
        world.der_path(leaf).unlink(missing_ok=True)
        (world.spool / f"{leaf.fingerprint}.json").unlink(missing_ok=True)
        world.responder.serve(Answer(old))
        world.fetch(leaf, code=0)
        assert world.der(leaf) == old
        world.responder.serve(Answer(new))

    put_old()
    log = world.folder / "calls"
    done = strace(argv, "-o", log, "-e", f"trace={FOLDER_CALLS}")
    assert done.returncode == 0, done.stderr
    moments = calls_of(log)
    assert len(moments) >= 4, log.read_text()
    for name, nth, _ in moments:
        put_old()
        with Reader(world.der_path(leaf), old, new):
            done = strace(argv, "-o", "/dev/null", "-e",
                          f"trace={FOLDER_CALLS}",
                          f"--inject={name}:signal=KILL:when={nth}")
        assert done.returncode in (-9, 137), f"{name} {nth}: {done}"
        age_strays(world)
        world.fetch(leaf, code=0)
        assert world.der(leaf) == new
        assert world.strays() == []


def kill_at_random(world, published, times):
    leaf, old, new = published
    argv = [harness.tool("publisher"), str(world.spool), leaf.fingerprint,
            str(world.folder / "old"), str(world.folder / "new"), "0"]
    counts = {old: 0, new: 0}
    moment = threading.Event()
    with Reader(world.der_path(leaf), old, new):
        for number in range(times):
            child = subprocess.Popen(argv, stdout=subprocess.PIPE,
                                     stderr=subprocess.STDOUT)
            assert child.stdout.readline() == b"published\n"
            # Spread over some publications: not in step with the loop.
            moment.wait((number * 7919 % 1000) / 1e6)
            child.send_signal(signal.SIGKILL)
            rest = child.communicate()[0]
            assert rest == b"", rest
            assert child.returncode == -signal.SIGKILL
            found = world.der(leaf)
            assert found in counts, "neither the old nor the new response"
            counts[found] += 1
            if number % 50 == 0:
                age_strays(world)
    age_strays(world)
    harness.run(*argv[:-1], "2", code=0)
    assert world.strays() == []
    return counts


@pytest.mark.short
@pytest.mark.row("ocsp: survives restart")
def test_fifty_random_kills_of_a_publisher(world, published):
    kill_at_random(world, published, 50)


@pytest.mark.row("ocsp: survives restart")
@pytest.mark.limit(300)
def test_a_thousand_random_kills_of_a_publisher(world, published):
    counts = kill_at_random(world, published, 1000)
    assert min(counts.values()) > 0, "always killed at the same place"


@pytest.mark.row("ocsp: disk failure harmless")
def test_a_full_disk_keeps_the_old_response_whole(world, published):
    """A folder of a file system without room: the old stays, the error says
    why, and the next publication after room is made succeeds."""
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a small file system")
    leaf, old, new = published
    spool = world.folder / "small"
    spool.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(spool)],
        capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip("cannot mount a small file system here")
    try:
        path = spool / f"{leaf.fingerprint}.der"
        path.write_bytes(old)
        filler = spool / "filler"
        with filler.open("wb") as file:
            try:
                while True:
                    os.write(file.fileno(), b"x" * 4096)
            except OSError:
                pass
        argv = [harness.tool("publisher"), spool, leaf.fingerprint,
                world.folder / "new", world.folder / "new", "1"]
        done = harness.run(*argv, code=1)
        assert "No space left on device" in done.err
        assert path.read_bytes() == old
        assert sorted(os.listdir(spool)) == sorted([path.name, "filler"])
        filler.unlink()
        harness.run(*argv, code=0)
        assert path.read_bytes() == new
    finally:
        subprocess.run(["umount", str(spool)], check=True)


def test_wait_until_says_what_did_not_come():
    with pytest.raises(AssertionError, match="still not: the impossible"):
        wait_until(lambda: False, "the impossible", timeout=0.05)
