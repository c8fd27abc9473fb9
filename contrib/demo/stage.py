"""The programs of the demo: started in one temporary folder, each with a log
of its own, stopped by process id on every way out."""
import ctypes
import glob
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from authority import Authority

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
WAIT_S = 20
PORT = 8443
SOCKET_PATH_MAX = 107   # sockaddr_un
LOG_LINES = 12
CONFIGS = ("ocspd.yaml", "wsgate.yaml", "php-fpm.conf")
PR_SET_PDEATHSIG = 1
WAITING = b"waiting for OCSP client connections"
BREAKS = ("revoked", "backend", "spool")


class Failure(Exception):
    """A proof did not hold, or a program did not start: says why."""


def wait_until(condition, what, timeout=WAIT_S):
    """The first true value of condition(); a Failure after the time."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure(what() if callable(what) else what)
        time.sleep(0.05)


def can_connect(port):
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port(wish=0):
    """`wish` if nobody listens there, else one that is free."""
    for port in (wish, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return probe.getsockname()[1]
    raise Failure("no free port on 127.0.0.1")


def find_program(what, *patterns):
    for pattern in patterns:
        for folder in (*os.get_exec_path(), "/usr/sbin", "/usr/local/sbin"):
            for path in sorted(glob.glob(os.path.join(folder, pattern))):
                if os.access(path, os.X_OK):
                    return path
    raise Failure(f"{what} is not here; contrib/deps/install brings it")


def die_with_parent():
    """For what would stay behind if the demo were killed."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Stage:
    """`with Stage() as stage`: a folder, a port, and whatever was started."""

    def __init__(self, broken=""):
        if broken and broken not in BREAKS:
            raise Failure(f"DEMO_BREAK is one of {', '.join(BREAKS)}")
        self.broken = broken
        self.children = {}
        self.folder = None

    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="wsgate-demo-"))
        if len(str(self.folder / "board.sock")) > SOCKET_PATH_MAX:
            self.folder.rmdir()
            self.folder = pathlib.Path(
                tempfile.mkdtemp(prefix="wsgate-demo-", dir="/tmp"))
        return self

    def __exit__(self, *_):
        for name in reversed(list(self.children)):
            self.stop(name)
        shutil.rmtree(self.folder, ignore_errors=True)

    # ---- programs ------------------------------------------------------------

    def start(self, name, *argv):
        """In a session of its own: Ctrl-C reaches the demo alone."""
        with open(self.folder / f"{name}.log", "ab") as log:
            self.children[name] = subprocess.Popen(
                [str(word) for word in argv], cwd=self.folder,
                env=self.environment, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, start_new_session=True,
                preexec_fn=die_with_parent)

    def stop(self, name, number=signal.SIGTERM):
        child = self.children.pop(name)
        child.send_signal(number)
        try:
            child.wait(5)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        try:    # what it left behind, if anything: its session is its own
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def pid(self, name):
        return self.children[name].pid

    def wait_ready(self, name, condition):
        def is_ready():
            code = self.children[name].poll()
            if code is not None:
                raise Failure(f"{name} ended at once, exit code {code}")
            return condition()
        wait_until(is_ready, f"{name} does not answer")

    def logs(self):
        """The last lines of every log, for somebody who looks for a cause."""
        for path in sorted(self.folder.glob("*.log")):
            lines = path.read_text(errors="replace").splitlines()
            yield path.name, lines[-LOG_LINES:]

    # ---- the play ------------------------------------------------------------

    def prepare(self):
        """Certificates, configuration, ports."""
        self.port = free_port(PORT)
        self.responder_port = free_port()
        self.authority = Authority(
            self.folder, f"http://127.0.0.1:{self.responder_port}/")
        (self.folder / "spool").mkdir()
        spool = "nowhere" if self.broken == "spool" else "spool"
        self.environment = {
            **os.environ,
            "DEMO_FOLDER": str(self.folder), "DEMO_SITE": str(HERE / "site"),
            "DEMO_PORT": str(self.port),
            "DEMO_SPOOL": str(self.folder / spool),
            "DEMO_USER": str(os.getuid()), "DEMO_GROUP": str(os.getgid())}
        for name in CONFIGS:
            shutil.copy(HERE / name, self.folder)

    def start_responder(self):
        """Its answers hold for a minute, so that renewal can be watched."""
        index = self.authority.write_index(self.broken == "revoked")
        log = self.folder / "responder.log"
        before = log.stat().st_size if log.exists() else 0
        self.start("responder", "openssl", "ocsp", "-index", index,
                   "-port", self.responder_port, "-CA", "intermediate.pem",
                   "-rsigner", "ocsp-signer.pem", "-rkey", "ocsp-signer.key",
                   "-nmin", "1", "-rmd", "sha256")
        # It serves one connection at a time: a silent one would be in the way.
        self.wait_ready("responder", lambda: WAITING in
                        log.read_bytes()[before:])

    def start_ocspd(self):
        self.start("ocspd", find_program(
            "ocspd (make builds it)",
            os.environ.get("OCSPD") or ROOT / "build/release/ocspd"),
            "-c", "ocspd.yaml")

    def start_backends(self):
        php = find_program("php-fpm", "php-fpm[0-9]*", "php-fpm")
        words = ["--allow-to-run-as-root"] if os.getuid() == 0 else []
        self.start("php-fpm", php, *words, "--nodaemonize", "--fpm-config",
                   self.folder / "php-fpm.conf")
        self.wait_ready("php-fpm", (self.folder / "php.sock").exists)
        if self.broken != "backend":
            self.start("board", sys.executable, "-B", HERE / "board.py",
                       self.folder / "board.sock")
            self.wait_ready("board", (self.folder / "board.sock").exists)

    def start_wsgate(self):
        self.start("wsgate", find_program(
            "wsgate (make builds it)",
            os.environ.get("WSGATE") or ROOT / "build/release/wsgate"),
            "-c", "wsgate.yaml")
        self.wait_ready("wsgate", lambda: can_connect(self.port))

    def start_all(self):
        self.prepare()
        self.start_responder()
        self.start_ocspd()
        self.start_backends()
        self.start_wsgate()
