"""Programs under test: started, watched, stopped; and waiting for conditions.
A sanitizer's report on stderr fails whatever the program answered."""
import ctypes
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
WAIT_S = 30
SANITIZER = re.compile(r"ERROR: (Address|Leak|Memory)Sanitizer|"
                       r"WARNING: ThreadSanitizer|runtime error: ")


def program(name):
    """Path of a program under test; the Makefile says which variant."""
    path = os.environ.get(name.upper())
    return path or str(ROOT / "build/release" / name)


def tool(name):
    """Path of a test's own C program, tests/tools/NAME.c."""
    folder = os.environ.get("TOOLS") or str(ROOT / "build/release/tools")
    return os.path.join(folder, name)


def variant():
    """"release", "asan" ...: the folder the programs come from."""
    return pathlib.Path(program("ocspd")).parent.name


def is_sanitized():
    return variant().startswith(("asan", "tsan"))


def wait_until(condition, what, timeout=WAIT_S):
    """The first true value of condition(); fails with `what` and the time."""
    start = time.monotonic()
    pause = 0.002
    while True:
        value = condition()
        if value:
            return value
        passed = time.monotonic() - start
        if passed > timeout:
            raise AssertionError(f"after {passed:.1f} s still not: {what}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)


def free_port():
    """A TCP port nobody listens on, below the ephemeral ones."""
    while True:
        port = random.randint(12000, 31999)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def can_connect(port, address="127.0.0.1"):
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex((address, port)) == 0


class Clock:
    """Moves the clock of programs that are given its .env."""

    def __init__(self, folder):
        self.path = pathlib.Path(folder) / "clock"
        self.env = {"TEST_CLOCK_FILE": str(self.path)}
        self.offset = 0
        self.set(0)

    def set(self, seconds):
        """Seconds ahead of the real time."""
        self.offset = int(seconds)
        temp = self.path.with_suffix(".new")
        temp.write_text(f"{self.offset}\n")
        temp.rename(self.path)


def _environment(extra):
    env = dict(os.environ)
    env.setdefault("ASAN_OPTIONS", "detect_leaks=1")
    env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY",
                 "HTTPS_PROXY", "ALL_PROXY", "no_proxy", "NO_PROXY"):
        env.pop(name, None)
    env.update({name: str(value) for name, value in (extra or {}).items()})
    return env


def check_sanitizer(text, argv):
    if SANITIZER.search(text):
        raise AssertionError(f"sanitizer report of {argv}:\n{text[-6000:]}")


class Result:
    def __init__(self, argv, code, out, err):
        self.argv, self.code, self.out, self.err = argv, code, out, err

    def __repr__(self):
        return (f"{self.argv}\nexit code {self.code}\n"
                f"stdout: {self.out}\nstderr: {self.err}")


def run(*argv, env=None, cwd=None, timeout=60, code=None, stdin=None):
    """Runs a program to its end. `code`: the exit code it must have."""
    argv = [str(word) for word in argv]
    done = subprocess.run(argv, env=_environment(env), cwd=cwd, input=stdin,
                          stdin=subprocess.DEVNULL if stdin is None else None,
                          capture_output=True, timeout=timeout, check=False)
    result = Result(argv, done.returncode, done.stdout.decode(
        errors="replace"), done.stderr.decode(errors="replace"))
    check_sanitizer(result.err, argv)
    if code is not None:
        assert result.code == code, f"wanted exit code {code}: {result!r}"
    return result


_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def _die_with_parent():
    """A run of the tests that is killed leaves nobody behind."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Daemon:
    """A program that stays. Use as a context manager: it is stopped at the
    end, must then leave with 0, and a sanitizer's report fails the test."""

    def __init__(self, *argv, env=None, cwd=None, code=0, pass_fds=()):
        self.argv = [str(word) for word in argv]
        self.code = code        # what it must leave with; None: anything
        self._lines = []
        self._news = threading.Condition()
        self.process = subprocess.Popen(
            self.argv, env=_environment(env), cwd=cwd, pass_fds=pass_fds,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True,
            preexec_fn=_die_with_parent)
        self.pid = self.process.pid
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            with self._news:
                self._lines.append(line.decode(errors="replace").rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            self.kill()
            print(self.tail())
        else:
            self.stop()

    @property
    def lines(self):
        with self._news:
            return list(self._lines)

    @property
    def mark(self):
        """How many lines there are now: `since` for wait_log()."""
        return len(self.lines)

    def tail(self, count=60):
        return f"---- {self.argv}\n" + "\n".join(self.lines[-count:])

    def matches(self, pattern, since=0):
        return [line for line in self.lines[since:]
                if re.search(pattern, line)]

    def wait_log(self, pattern, since=0, timeout=WAIT_S):
        """The first line from `since` on in which the pattern is found."""
        start = time.monotonic()
        while True:
            found = self.matches(pattern, since)
            if found:
                return found[0]
            passed = time.monotonic() - start
            ended = self.process.poll() is not None and \
                not self._reader.is_alive()
            if passed > timeout or ended:
                raise AssertionError(
                    f"after {passed:.1f} s no line with /{pattern}/ "
                    f"(exit code {self.process.poll()})\n{self.tail()}")
            with self._news:
                self._news.wait(0.05)

    def is_alive(self):
        return self.process.poll() is None

    def send(self, number):
        os.kill(self.pid, number)

    def wait_exit(self, timeout=WAIT_S):
        """Its exit code, once it has gone by itself."""
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"after {timeout} s it still runs\n"
                                 + self.tail()) from None
        self._reader.join(5)
        check_sanitizer("\n".join(self.lines), self.argv)
        return code

    def stop(self, number=signal.SIGTERM, timeout=WAIT_S):
        if self.is_alive():
            self.send(number)
        try:
            code = self.wait_exit(timeout)
        except AssertionError:
            self.kill()
            raise
        if self.code is not None and code != self.code:
            raise AssertionError(f"exit code {code}, not {self.code}\n"
                                 + self.tail())
        return code

    def kill(self):
        """SIGKILL, to it and what it started."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self._reader.join(5)


# ---- peers -----------------------------------------------------------------------

def peer_command(name, folder=None):
    """The words that run the server `name`: the host's, or the one in
    build/peers (then `folder`, the test's own, is seen there under its path).
    Skips the test, saying why, when there is neither."""
    import glob
    import pytest
    for place in ("/usr/sbin/", "/usr/bin/", "/usr/local/sbin/",
                  "/usr/local/bin/"):
        found = sorted(glob.glob(place + glob.escape(name))) or \
            sorted(glob.glob(place + glob.escape(name) + "[0-9]*"))
        if found:
            return [found[-1]]
    root = os.environ.get("PEERS") or str(ROOT / "build/peers")
    root = os.path.join(root, "rootfs")
    for place in ("/usr/sbin/", "/usr/bin/"):
        for path in sorted(glob.glob(root + place + name + "*")):
            rest = os.path.basename(path)[len(name):]
            if os.geteuid() == 0 and re.fullmatch(r"[0-9.]*", rest):
                return _in_root(root, path[len(root):], folder)
    pytest.skip(f"no {name} on this machine and none in build/peers "
                "(make peers, as root)")


def _in_root(root, path, folder):
    # In a chroot "/" is no mount: then nothing may be shared with the host.
    script = ['mount --make-rprivate / 2>/dev/null || '
              '! grep -q " shared:" /proc/self/mountinfo',
              'root=$1', 'folder=$2', 'shift 2',
              'mount -t proc proc "$root/proc"',
              'mount --rbind /dev "$root/dev"',
              'mount -t tmpfs tmpfs "$root/tmp"',
              'if [ -n "$folder" ]; then mkdir -p "$root$folder"; '
              'mount --bind "$folder" "$root$folder"; fi',
              'exec chroot "$root" "$@"']
    return ["unshare", "--mount", "--propagation", "unchanged", "sh", "-ec",
            "\n".join(script), "peer", root, str(folder or ""), path]
