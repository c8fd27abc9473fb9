"""The admin socket, `wsgate reload` and `wsgate status`, from outside: bytes on
the socket, the verbs' output and exit codes, what is served meanwhile."""
import contextlib
import json
import os
import re
import resource
import shutil
import signal
import socket
import stat
import subprocess
import threading
import time

import harness
import pytest
from gate import GateDaemon, gate  # noqa: F401
from harness import wait_until

NOBODY = 65534
PEERS_MAX = 16


class Peer:
    """A raw connection to the admin socket."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(path))
        self.sock.settimeout(30)
        self.lines = self.sock.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.lines.close()
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)

    def answer(self):
        line = self.lines.readline()
        assert line.endswith(b"\n"), line
        return json.loads(line)

    def ask(self, word):
        self.send(json.dumps({"do": word}).encode() + b"\n")
        return self.answer()

    def is_ended(self):
        try:
            return self.lines.read(1) == b""
        except ConnectionResetError:
            return True


def path_of(gate):  # noqa: F811
    return gate.folder / "admin.sock"


def start(gate, **how):  # noqa: F811
    how.setdefault("admin", f"unix:{path_of(gate)}")
    (gate.folder / "word").write_text("old")
    return gate.start(**how)


def reconfigure(gate, text, **how):  # noqa: F811
    """/word is answered from another folder from the next reload on."""
    root = gate.folder / f"root-{text}"
    root.mkdir(exist_ok=True)
    (root / "word").write_text(text)
    how.setdefault("admin", f"unix:{path_of(gate)}")
    gate.config({"/": {"files": {"root": str(root)}}}, **how)


def break_config(gate):  # noqa: F811
    """A mistake; the place of it, as it must be told."""
    path = gate.folder / "wsgate.yaml"
    path.write_text("workers: 1\nsites:\n  - lisden: x\n")
    return f"{path}:3:5"


def verb(gate, *words, **how):  # noqa: F811
    return gate.run(*words, "--socket", path_of(gate), **how)


# ---- reload ------------------------------------------------------------------------------

@pytest.mark.short
@pytest.mark.row("operator: reload waits for the outcome")
def test_reload_answers_when_the_new_configuration_serves(gate):  # noqa: F811
    start(gate, workers=2)
    assert gate.get("/word").text == "old"
    for count, text in enumerate(["new", "newer", "newest"]):
        reconfigure(gate, text, workers=2)
        done = verb(gate, "reload", code=0)
        assert done.out == f"reloaded: generation {count + 2}\n"
        assert done.err == ""
        # the very next request, whichever worker takes it
        for _ in range(4):
            assert gate.get("/word").text == text


@pytest.mark.row("operator: reload waits for the outcome")
def test_reload_under_load_loses_nothing_and_is_quick(gate):  # noqa: F811
    daemon = start(gate, workers=2)
    stop, seen, bad = threading.Event(), [], []

    def visit():
        while not stop.is_set():
            try:
                got = gate.get("/word")
                seen.append(got.text)
                if got.status != 200:
                    bad.append(got)
            except (OSError, EOFError) as why:
                bad.append(why)
    visitors = [threading.Thread(target=visit) for _ in range(3)]
    for visitor in visitors:
        visitor.start()
    try:
        for count in range(5):
            reconfigure(gate, f"v{count}", workers=2)
            begin = time.monotonic()
            verb(gate, "reload", code=0)
            assert time.monotonic() - begin < 15
            assert gate.get("/word").text == f"v{count}"
    finally:
        stop.set()
        for visitor in visitors:
            visitor.join()
    assert bad == []
    assert {"old", "v0", "v1", "v2", "v3"} & set(seen)
    assert not daemon.matches("worker (died|ended)")


@pytest.mark.short
@pytest.mark.row("operator: reload waits for the outcome")
def test_a_bad_configuration_comes_back_as_text_and_changes_nothing(
        gate):  # noqa: F811
    daemon = start(gate)
    place = break_config(gate)
    done = verb(gate, "reload", code=78)
    assert done.out == ""
    assert f"reload failed, the old configuration stays: {place}: " in done.err
    assert "did you mean 'listen'" in done.err
    daemon.wait_log(f"reload failed.*{re.escape(place)}")
    assert gate.get("/word").text == "old"
    with Peer(path_of(gate)) as peer:
        got = peer.ask("reload")
        assert got["ok"] is False and got["exit"] == 78
        assert got["error"].startswith(place)
    reconfigure(gate, "mended")
    verb(gate, "reload", code=0)
    assert gate.get("/word").text == "mended"


@pytest.mark.row("operator: reload waits for the outcome")
def test_what_the_system_refuses_has_the_exit_code_of_a_start(
        gate):  # noqa: F811
    start(gate)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        site = gate.site()
        site["listen"].append({"address": address, "tls": False})
        gate.config(sites=[site], admin=f"unix:{path_of(gate)}")
        done = verb(gate, "reload", code=71)
        assert address in done.err
    assert gate.get("/word").text == "old"


@pytest.mark.short
@pytest.mark.row("operator: reload waits for the outcome")
def test_each_of_many_callers_gets_a_reload_that_saw_its_words(
        gate):  # noqa: F811
    """A reload that was under way when they asked is not theirs: what they
    have just written serves when they are answered."""
    start(gate)
    reconfigure(gate, "w")
    path, lock, bad = gate.folder / "wsgate.yaml", threading.Lock(), []
    config = path.read_text()

    def write(text):
        shutil.copytree(gate.folder / "root-w", gate.folder / f"root-{text}")
        (gate.folder / f"root-{text}/word").write_text(text)
        path.with_suffix(".new").write_text(
            config.replace("root-w", f"root-{text}"))
        path.with_suffix(".new").rename(path)

    def call(number):
        for turn in range(4):
            with lock:
                write(f"w{number}-{turn}")
                peer = Peer(path_of(gate))
                peer.send(b'{"do":"reload"}\n')
            with peer:
                got = peer.answer()
                if not got["ok"]:
                    bad.append(got)
    callers = [threading.Thread(target=call, args=(n,)) for n in range(6)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert bad == []
    last = json.loads(path.read_text())
    root = last["sites"][0]["locations"]["/"]["files"]["root"]
    assert gate.get("/word").text == root.rpartition("root-")[2]


@pytest.mark.row("operator: reload waits for the outcome")
def test_callers_during_a_reload_share_the_next_one(gate):  # noqa: F811
    """The worker is stopped, so the first reload is under way as long as this
    test wants."""
    daemon = start(gate)
    worker = daemon.worker
    os.kill(worker, signal.SIGSTOP)
    try:
        first = Peer(path_of(gate))
        first.send(b'{"do":"reload"}\n')
        with Peer(path_of(gate)) as asking:
            wait_until(lambda: asking.ask("status")["state"] == "reloading",
                       "a reload under way")
        place = break_config(gate)
        others = [Peer(path_of(gate)) for _ in range(5)]
        for other in others:
            other.send(b'{"do":"reload"}\n')
        wait_until(lambda: len(daemon.matches("reload asked for")) == 6,
                   "all of them asked")
        first.sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            first.sock.recv(1)
        first.sock.settimeout(30)
    finally:
        os.kill(worker, signal.SIGCONT)
    assert first.answer() == {"ok": True, "generation": 2}
    for other in others:
        assert other.answer()["error"].startswith(place)
        other.__exit__()
    first.__exit__()
    assert len(daemon.matches("reload failed")) == 1, "one reload for all five"


@pytest.mark.row("operator: admin socket survives its peers")
def test_many_requests_in_one_breath_hold_nobody_up(gate):  # noqa: F811
    """Each of them is a reload that fails at once; others get their turn."""
    daemon = start(gate)
    many = 400
    place = break_config(gate)
    with (gate.folder / "wsgate.yaml").open("a") as file:
        file.write("# to be read each time\n" * 20000)
    with Peer(path_of(gate)) as flood, Peer(path_of(gate)) as other:
        flood.send(b'{"do":"reload"}\n' * many)
        daemon.wait_log(re.escape(place))
        begun = time.monotonic()
        assert other.ask("status")["ok"]
        passed = time.monotonic() - begun
        answers = [flood.answer()["ok"] for _ in range(many)]
    print(f"status amid {many} reloads: {passed:.3f} s")
    assert not any(answers)
    assert passed < 0.5


@pytest.mark.row("operator: reload waits for the outcome")
def test_a_caller_that_leaves_does_not_take_the_reload_along(
        gate):  # noqa: F811
    daemon = start(gate)
    for _ in range(3):
        with Peer(path_of(gate)) as peer:
            peer.send(b'{"do":"reload"}\n')
    wait_until(lambda: len(daemon.matches(r"\breloaded\b")) >= 1, "a reload")
    assert verb(gate, "reload").code == 0


@pytest.mark.row("operator: reload waits for the outcome")
def test_reload_gives_up_waiting_in_its_time(gate):  # noqa: F811
    daemon = start(gate)
    os.kill(daemon.pid, signal.SIGSTOP)
    try:
        done = verb(gate, "reload", "--timeout", "300ms", code=75)
        assert "no answer within 300ms" in done.err
    finally:
        os.kill(daemon.pid, signal.SIGCONT)
    assert verb(gate, "reload", "--timeout", "soon").code == 64


@pytest.mark.row("operator: reload waits for the outcome")
def test_who_waits_is_told_that_the_service_ends(gate):  # noqa: F811
    daemon = start(gate, drain={"deadline": "100ms"})
    os.kill(daemon.worker, signal.SIGSTOP)
    with Peer(path_of(gate)) as peer:
        peer.send(b'{"do":"reload"}\n')
        daemon.wait_log("reload asked for")
        daemon.send(signal.SIGTERM)
        got = peer.answer()
        assert got == {"ok": False, "error": "wsgate is stopping", "exit": 75}
        assert peer.is_ended()
    daemon.send(signal.SIGTERM)
    daemon.wait_exit()


@pytest.mark.row("operator: signals")
def test_hup_still_reloads_and_status_tells_of_it(gate):  # noqa: F811
    daemon = start(gate)
    reconfigure(gate, "new")
    daemon.reload()
    assert gate.get("/word").text == "new"
    with Peer(path_of(gate)) as peer:
        assert peer.ask("status")["last_reload"]["ok"] is True
        place = break_config(gate)
        daemon.reload(good=False)
        last = peer.ask("status")["last_reload"]
        assert last["ok"] is False and last["error"].startswith(place)


# ---- status ------------------------------------------------------------------------------

@pytest.mark.short
@pytest.mark.row("operator: status")
def test_status_tells_what_runs(gate):  # noqa: F811
    daemon = start(gate, workers=2)
    done = verb(gate, "status", "--json", code=0)
    got = json.loads(done.out)
    assert got["pid"] == daemon.pid and got["generation"] == 1
    assert got["sites"] == 1 and got["last_reload"] is None
    assert got["config"] == str(gate.folder / "wsgate.yaml")
    assert sorted(w["pid"] for w in got["workers"]) == sorted(daemon.workers)
    assert {w["state"] for w in got["workers"]} == {"up"}
    assert abs(got["workers"][0]["since"] - time.time()) < 60
    text = verb(gate, "status", code=0).out
    for word in (f"pid {daemon.pid}, up ", "generation     1, 1 sites",
                 "none since the start", *map(str, daemon.workers)):
        assert word in text, text
    place = break_config(gate)
    verb(gate, "reload", code=78)
    assert re.search(rf"last reload .*UTC, failed: {re.escape(place)}",
                     verb(gate, "status").out)


@pytest.mark.row("operator: status")
def test_status_sees_a_worker_that_is_replaced(gate):  # noqa: F811
    daemon = start(gate)
    victim = daemon.worker
    os.kill(victim, signal.SIGKILL)

    def replaced():
        workers = json.loads(verb(gate, "status", "--json").out)["workers"]
        return workers[0]["state"] == "up" and workers[0]["pid"] != victim
    wait_until(replaced, "the successor in the status")


def test_without_a_file_the_configuration_is_the_command_line(
        gate):  # noqa: F811
    sock = path_of(gate)
    # the default place: the folder that systemd made
    daemon = GateDaemon(
        harness.program("wsgate"), "--listen", f"127.0.0.1:{gate.plain}",
        f"/=files:{gate.folder}", env={"RUNTIME_DIRECTORY": gate.folder})
    with daemon:
        daemon.wait_log(r"\bready\b")
        assert sock.exists()
        assert "from the command line" in verb(gate, "status", code=0).out


# ---- peers as they should not be --------------------------------------------------------------

@pytest.mark.short
@pytest.mark.row("operator: admin socket survives its peers")
def test_rubbish_is_answered_and_harms_nobody(gate):  # noqa: F811
    start(gate)
    with Peer(path_of(gate)) as peer:
        for data, word in [(b"GET / HTTP/1.1\n", "not JSON"),
                           (b"[]\n", "not a JSON object"),
                           (b"{}\n", 'no "do"'),
                           (b'{"do":7}\n', 'no "do"'),
                           (b"\0\xff\n", "not JSON"),
                           (b'{"do":"dance"}\n', '{"do":"reload"}')]:
            peer.send(data)
            got = peer.answer()
            assert got["ok"] is False and word in got["error"], got
        assert peer.ask("status")["ok"] is True
    with Peer(path_of(gate)) as peer:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            peer.send(b"[" * 200000)
        assert "at most 65536 bytes" in peer.answer()["error"]
        assert peer.is_ended()
    with Peer(path_of(gate)) as peer:        # a line of exactly that length
        ask = b'{"do":"status"'
        peer.send(ask + b" " * (65536 - len(ask) - 1) + b"}\n")
        assert peer.answer()["ok"] is True


@pytest.mark.row("operator: admin socket survives its peers")
def test_slow_and_deaf_peers_keep_nobody_waiting(gate):  # noqa: F811
    """More of them than are kept; some ask and never read."""
    start(gate)
    with contextlib.ExitStack() as many:
        for number in range(PEERS_MAX + 8):
            peer = many.enter_context(Peer(path_of(gate)))
            if number % 3 == 0:
                peer.send(b'{"do":"sta')
            elif number % 3 == 1:
                peer.sock.setblocking(False)
                with contextlib.suppress(BlockingIOError, BrokenPipeError,
                                         ConnectionResetError):
                    for _ in range(200):
                        peer.sock.send(b'{"do":"status"}\n' * 200)
        reconfigure(gate, "new")
        begin = time.monotonic()
        verb(gate, "reload", code=0)
        assert time.monotonic() - begin < 10
        assert gate.get("/word").text == "new"
        verb(gate, "status", code=0)


@pytest.mark.row("operator: admin socket survives its peers")
def test_a_request_in_single_bytes_and_half_closed(gate):  # noqa: F811
    start(gate)
    with Peer(path_of(gate)) as peer:
        for byte in b'{"do":"reload"}\n{"do":"status"}\n':
            peer.send(bytes([byte]))
        peer.sock.shutdown(socket.SHUT_WR)
        assert peer.answer() == {"ok": True, "generation": 2}
        assert peer.answer()["generation"] == 2
        assert peer.is_ended()


@pytest.mark.soak        # a minute; test_admin.c has it with a short one
@pytest.mark.row("operator: admin socket survives its peers")
def test_a_silent_peer_is_closed_after_a_minute(gate):  # noqa: F811
    start(gate)
    with Peer(path_of(gate)) as peer:
        peer.send(b'{"do":')
        peer.sock.settimeout(90)
        begin = time.monotonic()
        assert peer.is_ended()
        assert 55 < time.monotonic() - begin < 80


def test_who_asks_for_a_reload_is_logged(gate):  # noqa: F811
    daemon = start(gate)
    verb(gate, "reload", code=0)
    assert re.search(rf"uid={os.geteuid()} pid=\d+",
                     daemon.wait_log("reload asked for"))


# ---- rights, and the file -----------------------------------------------------------------------

@pytest.mark.short
@pytest.mark.row("operator: admin socket is for owner and group")
def test_only_owner_and_group_get_in(gate):  # noqa: F811
    if os.geteuid() != 0:
        pytest.skip("needs root, to become somebody else")
    start(gate)
    found = os.stat(path_of(gate))
    assert stat.S_ISSOCK(found.st_mode)
    assert stat.S_IMODE(found.st_mode) == 0o660
    program = gate.folder / "wsgate"
    shutil.copy(harness.program("wsgate"), program)     # readable by all

    def as_nobody(*words, group=NOBODY):
        return harness.run(
            "setpriv", "--reuid", NOBODY, "--regid", group, "--clear-groups",
            program, *words, "--socket", path_of(gate))
    for word in ("reload", "status"):
        done = as_nobody(word)
        assert done.code == 77 and done.out == ""
        assert "you need to be in group wsgate or root" in done.err
    os.chown(path_of(gate), 0, 4242)
    assert as_nobody("reload", group=4242).code == 0


@pytest.mark.short
@pytest.mark.row("operator: nobody listens")
def test_without_a_wsgate_the_verbs_say_so(gate):  # noqa: F811
    daemon = start(gate)
    daemon.stop()
    assert not path_of(gate).exists(), "the socket goes with the service"
    for word in ("reload", "status"):
        done = verb(gate, word, code=75)
        assert f"no wsgate listens at {path_of(gate)}: is it running?" \
            in done.err
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(path_of(gate)))
    stale.close()
    assert "is it running?" in verb(gate, "status", code=75).err


@pytest.mark.row("operator: admin socket")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT])
def test_the_socket_is_gone_after_the_exit(gate, number):  # noqa: F811
    daemon = start(gate, code=None)
    assert path_of(gate).exists()
    daemon.send(number)
    daemon.wait_exit()
    assert not path_of(gate).exists()


@pytest.mark.short
@pytest.mark.row("operator: admin socket")
def test_a_stale_socket_is_replaced(gate):  # noqa: F811
    daemon = start(gate, code=None)
    daemon.kill()
    assert path_of(gate).exists(), "a killed one leaves its file"
    gate.start(admin=f"unix:{path_of(gate)}")
    verb(gate, "reload", code=0)


@pytest.mark.short
@pytest.mark.row("operator: admin socket")
def test_a_second_wsgate_does_not_steal_the_socket(gate):  # noqa: F811
    start(gate)
    other = gate.config(name="other.yaml", admin=f"unix:{path_of(gate)}",
                        site={"listen": [{"address": "127.0.0.1:0",
                                          "tls": False}]})
    done = gate.run("-c", other, code=71)
    assert f"{path_of(gate)}: another program listens there" in done.err
    assert f"{other}:" in done.err
    verb(gate, "reload", code=0)
    # the default place that nobody asked for is no reason not to serve
    gate.config(name="other.yaml", site={"listen": [
        {"address": "127.0.0.1:0", "tls": False}]})
    daemon = GateDaemon(harness.program("wsgate"), "-c", other,
                        env={"RUNTIME_DIRECTORY": gate.folder})
    with daemon:
        line = daemon.wait_log("no admin socket")
        assert str(path_of(gate)) in line and "another program" in line
        daemon.wait_log(r"\bready\b")
    verb(gate, "reload", code=0)
    assert path_of(gate).exists()


@pytest.mark.row("operator: admin socket")
def test_what_is_no_socket_is_left_alone(gate):  # noqa: F811
    path_of(gate).write_text("precious")
    done = gate.run("-c", gate.config(admin=f"unix:{path_of(gate)}"))
    assert done.code == 71 and "no socket" in done.err
    assert path_of(gate).read_text() == "precious"


# ---- where it is -------------------------------------------------------------------------------------

@pytest.mark.short
@pytest.mark.row("operator: admin socket")
def test_a_reload_moves_the_socket(gate):  # noqa: F811
    daemon = start(gate)
    moved = gate.folder / "moved.sock"
    reconfigure(gate, "new", admin=f"unix:{moved}")
    # who asks at the old one is answered, although it goes
    verb(gate, "reload", code=0)
    assert not path_of(gate).exists() and moved.exists()
    done = gate.run("status", "-c", gate.folder / "wsgate.yaml", code=0)
    assert f"pid {daemon.pid}" in done.out
    # a move that fails leaves everything where it was
    reconfigure(gate, "newer", admin="unix:/nowhere/at/all.sock")
    done = gate.run("reload", "--socket", moved, code=71)
    assert re.search(r"wsgate.yaml:\d+:\d+: admin: /nowhere/at/all.sock",
                     done.err)
    assert gate.get("/word").text == "new"
    reconfigure(gate, "last", admin="off")
    gate.run("reload", "--socket", f"unix:{moved}", code=0)
    assert gate.get("/word").text == "last"
    assert not moved.exists()
    done = gate.run("status", "-c", gate.folder / "wsgate.yaml", code=78)
    assert re.search(r"wsgate.yaml:\d+:\d+: admin is off", done.err)


@pytest.mark.row("operator: admin socket")
def test_a_removed_socket_is_back_after_a_reload(gate):  # noqa: F811
    daemon = start(gate)
    path_of(gate).unlink()
    daemon.reload()
    verb(gate, "status", code=0)
    daemon.stop()
    assert not path_of(gate).exists()


@pytest.mark.row("operator: admin socket")
def test_the_default_is_the_folder_that_systemd_made(gate):  # noqa: F811
    """As in the unit: the service and its ExecReload= have the same
    environment, and the configuration does not speak of it."""
    folder = gate.folder / "run"
    folder.mkdir()
    env = {"RUNTIME_DIRECTORY": f"{folder}:/run/another"}
    gate.start(env=env)
    assert (folder / "admin.sock").exists()
    assert gate.run("reload", env=env, code=0).out == \
        "reloaded: generation 2\n"
    break_config(gate)
    assert gate.run("reload", env=env).code == 78


def test_without_systemd_and_without_admin_there_is_none(gate):  # noqa: F811
    daemon = gate.start(env={"RUNTIME_DIRECTORY": ""})
    assert not daemon.matches("admin socket")


@pytest.mark.parametrize("value,told", [
    ("127.0.0.1:9", "expected unix:/run/wsgate/admin.sock or off"),
    ("unix:relative.sock", "absolute path"),
    ("unix:/" + "a" * 200, "at most 107 bytes")])
def test_a_wrong_address_is_named_with_its_place(
        gate, value, told):  # noqa: F811
    done = gate.run("-t", "-c", gate.config(admin=value), code=78)
    assert re.search(r"wsgate.yaml:\d+:\d+: ", done.err) and told in done.err


def test_workers_have_no_admin_socket(gate):  # noqa: F811
    daemon = start(gate)
    with Peer(path_of(gate)) as peer:
        assert peer.ask("status")["ok"]
        lines = subprocess.run(["ss", "-Hxlp"], capture_output=True, text=True,
                               check=True).stdout.splitlines()
        owners = [line for line in lines if str(path_of(gate)) in line]
        assert len(owners) == 1
        assert f"pid={daemon.worker}," not in owners[0]


# ---- descriptors -------------------------------------------------------------------------------------

def limited(gate, soft, hard):  # noqa: F811
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < hard:
        pytest.skip(f"the hard limit of this machine is below {hard}")
    return GateDaemon("prlimit", f"--nofile={soft}:{hard}",
                      harness.program("wsgate"), "-c", gate.config())


@pytest.mark.must_run
@pytest.mark.row("symptom: soft nofile 1024")
def test_the_soft_descriptor_limit_is_raised_and_told(gate):  # noqa: F811
    with limited(gate, 1024, 20000) as daemon:
        daemon.wait_log(r"\bready\b")
        assert "from=1024 to=20000" in \
            daemon.wait_log("descriptor limit raised")
        assert not daemon.matches("few descriptors")
        for pid in (daemon.pid, daemon.worker):
            with open(f"/proc/{pid}/limits") as file:
                assert re.search(r"Max open files +20000 +20000", file.read())
        daemon.reload()
        assert len(daemon.matches("descriptor limit")) == 1, "said once"


@pytest.mark.must_run
@pytest.mark.row("symptom: soft nofile 1024")
def test_a_low_hard_limit_is_a_warning_with_the_mend(gate):  # noqa: F811
    with limited(gate, 512, 1024) as daemon:
        daemon.wait_log(r"\bready\b")
        line = daemon.wait_log("few descriptors")
        assert "hard_limit=1024" in line and "LimitNOFILE=" in line
        assert "from=512 to=1024" in daemon.wait_log("limit raised")
