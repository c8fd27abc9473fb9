"""`ocspd wait`: a gate that opens when servers can staple, and says why when
it does not."""
import os
import pty
import resource
import time

import pytest

import harness
import ocsp
from harness import wait_until
from ocsp import HOUR, Response, Single
from responder import Answer

pytestmark = [pytest.mark.row("ocsp: pre-deployment gate"), pytest.mark.short]
USAGE, DATA, NO_INPUT, TEMPORARY, NO_PERMISSION, CONFIG = 64, 65, 66, 75, 77, 78
OTHER = 65534     # nobody


def wait(world, *words, code=None, timeout="0"):
    return world.run("wait", "--spool", world.spool, "--timeout", timeout,
                     *words, code=code)


def put(world, leaf, der):
    world.der_path(leaf).write_bytes(der)


# ---- it opens ---------------------------------------------------------------------

def test_it_opens_at_once_when_the_staple_is_there(world):
    leaf = world.leaf()
    world.fetch(leaf, code=0)
    start = time.monotonic()
    done = wait(world, leaf.path, code=0, timeout="10m")
    assert time.monotonic() - start < 2
    assert done.out.startswith("live  ") and str(leaf.path) in done.out
    assert done.err == ""


def test_it_opens_when_the_daemon_has_fetched(world):
    leaf, other = world.leaf("a.example.org"), world.leaf("b.example.org")
    config = world.config(leaf, other)
    with harness.Daemon(harness.program("ocspd"), "wait", "-c", config,
                        "--timeout", "30s", "--all") as gate:
        assert gate.is_alive()
        with world.daemon(config):
            assert gate.wait_exit() == 0
            assert world.der(leaf) and world.der(other)
    assert len(gate.matches("^live ")) == 2


def test_a_spool_that_comes_later_is_found(world):
    leaf = world.leaf()
    world.spool.rmdir()
    with harness.Daemon(harness.program("ocspd"), "wait", "--spool",
                        world.spool, "--timeout", "30s", leaf.path) as gate:
        world.fetch(leaf, code=0)
        assert gate.wait_exit() == 0


def test_a_copy_with_its_key_is_the_same_certificate(world):
    """As a hook has it: the renewed pair, not the file ocspd reads."""
    leaf = world.leaf()
    config = world.config(leaf)
    world.fetch_config(config, code=0)
    pair = world.folder / "pair.pem"
    pair.write_bytes(leaf.key_pem + leaf.chain_pem)
    world.run("wait", "-c", config, "--timeout", "0", pair, code=0)
    wait(world, pair, code=0)


def test_a_response_near_its_end_is_still_stapled(world):
    leaf = world.leaf()
    put(world, leaf, ocsp.good(leaf, this=-HOUR, next=60))
    wait(world, leaf.path, code=0)


def test_without_an_ocsp_url_there_is_nothing_to_wait_for(world):
    leaf = world.leaf("plain.example.org", urls=[])
    live = world.leaf()
    world.fetch(live, code=0)
    done = wait(world, leaf.path, live.path, code=0, timeout="10m")
    assert "nothing to wait for: plain.example.org has no OCSP URL\n" in \
        done.err
    config = world.config(rows=[{"path": str(live.path), "responder": ""}])
    done = world.run("wait", "-c", config, "--all", code=0)
    assert "not asked about" in done.err


# ---- it stays shut -----------------------------------------------------------------

NOT_LIVE = [
    ("nothing", lambda leaf: None, "not asked about it yet"),
    ("noise", lambda leaf: b"noise", "not-ocsp"),
    ("forged", lambda leaf: Response(forge=True).write(leaf),
     "bad-signature"),
    ("foreign", lambda leaf: Response([Single(serial=7)]).write(leaf),
     "wrong-cert"),
    ("out of date", lambda leaf: Response(
        [Single(this=-9000, next=-1)]).write(leaf), "expired"),
    ("of tomorrow", lambda leaf: Response(
        [Single(this=86400, next=2 * 86400)]).write(leaf), "not-yet-valid"),
    ("unknown", lambda leaf: Response([Single("unknown")]).write(leaf),
     "unknown"),
]


@pytest.mark.parametrize("make,word", [row[1:] for row in NOT_LIVE],
                         ids=[row[0].replace(" ", "-") for row in NOT_LIVE])
def test_what_a_server_would_not_staple_is_not_live(world, make, word):
    leaf = world.leaf("shut.example.org")
    der = make(leaf)
    if der is not None:
        put(world, leaf, der)
    done = wait(world, leaf.path, code=TEMPORARY)
    assert f"shut.example.org ({leaf.path}) is not live: " in done.err, done
    assert word in done.err and done.out == "", done
    assert "is ocspd running? (systemctl status ocspd)" in done.err


def test_the_last_error_of_the_daemon_is_told(world):
    fine, bad = world.leaf("fine.example.org"), world.leaf("bad.example.org")
    world.responder.serve(Answer(code=503), bad)
    config = world.config(fine, bad)
    with world.daemon(config):
        wait_until(lambda: world.der(fine) and world.meta(bad).get("failures"),
                   "both asked")
        done = world.run("wait", "-c", config, "--all", "--timeout", "1s",
                         code=TEMPORARY)
    assert "fine.example.org" in done.out
    assert "bad.example.org" in done.err and "fine" not in done.err
    assert "http-status: HTTP status 503" in done.err
    assert "is ocspd running?" not in done.err, "it is, and it tries"


@pytest.mark.parametrize("policy", ["withdraw", "publish", "keep"])
def test_a_revoked_certificate_ends_it_at_once(world, policy):
    leaf = world.leaf("lost.example.org")
    config = world.config(leaf, defaults={"on_revoked": policy})
    if policy == "keep":
        world.responder.serve(Answer(ocsp.good(leaf, this=-2 * HOUR)), leaf)
        world.fetch_config(config, code=0)
    world.responder.serve(Answer(Response([Single("revoked")])), leaf)
    world.fetch_config(config, code=75)
    assert (world.der(leaf) is None) == (policy == "withdraw")
    start = time.monotonic()
    done = world.run("wait", "-c", config, "--timeout", "10m", leaf.path,
                     code=TEMPORARY)
    assert time.monotonic() - start < 5
    assert "lost.example.org" in done.err and "revoked at 20" in done.err


def test_a_demanded_staple_without_a_url_is_78_with_the_mend(world):
    leaf = world.leaf("must.example.org", urls=[], must_staple=True)
    done = wait(world, leaf.path, code=CONFIG, timeout="10m")
    assert "must.example.org" in done.err and "must-staple" in done.err
    assert "responder:" in done.err


def test_without_its_issuer_it_cannot_be_known(world):
    leaf = world.leaf()
    world.fetch(leaf, code=0)
    leaf.path.write_bytes(leaf.pem)
    done = wait(world, leaf.path, code=CONFIG, timeout="10m")
    assert "issuer" in done.err
    wait(world, "--issuer", world.ca_file, leaf.path, code=0)


def test_an_expired_certificate_ends_it_at_once(world):
    leaf = world.leaf(days=-1, start=-3)
    done = wait(world, leaf.path, code=TEMPORARY, timeout="10m")
    assert "has expired" in done.err


def test_a_file_that_vanishes_meanwhile_is_told(world):
    leaf = world.leaf()
    with harness.Daemon(harness.program("ocspd"), "wait", "--spool",
                        world.spool, "--timeout", "2s", leaf.path,
                        code=TEMPORARY) as gate:
        time.sleep(0.5)     # pause: the file must be read before it goes
        leaf.path.unlink()
        assert gate.wait_exit() == TEMPORARY
    assert gate.matches("its file is gone")


# ---- the spool -----------------------------------------------------------------------

def test_a_spool_that_is_not_there_asks_for_the_daemon(world):
    leaf = world.leaf()
    config = world.config(leaf)
    world.spool.rmdir()
    for words, code in ((["wait", "--timeout", "0", leaf.path], TEMPORARY),
                        (["status"], 0),
                        (["show", leaf.path], TEMPORARY)):
        done = world.run(*words, "-c", config, code=code)
        assert f"the spool {world.spool} does not exist: is ocspd running? " \
            "(systemctl status ocspd)" in done.err, done


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to be another user")
@pytest.mark.parametrize("words", [["wait", "--timeout", "10m"], ["status"]],
                         ids=["wait", "status"])
def test_a_spool_that_may_not_be_read_is_77(world, words):
    leaf = world.leaf()
    world.spool.chmod(0o700)
    files = [leaf.path] if words[0] == "wait" else []
    done = harness.run("setpriv", f"--reuid={OTHER}", f"--regid={OTHER}",
                       "--clear-groups", harness.program("ocspd"), *words,
                       "--spool", world.spool, *files, code=NO_PERMISSION)
    assert f"{world.spool}: " in done.err
    assert "user nobody may not search this folder (mode 0700" in done.err


# ---- the command line -----------------------------------------------------------------

@pytest.mark.parametrize("words", [
    [], ["--all", "a.pem"], ["--all", "--spool", "/tmp"],
    ["--timeout", "soon", "a.pem"], ["--timeout", "30", "a.pem"],
    ["--timeout", "2d", "a.pem"]], ids=lambda words: "".join(words) or "none")
def test_wrong_usage_is_one_line_and_64(world, words):
    done = world.run("wait", *words, code=USAGE)
    assert done.err.count("\n") == 1 and done.out == "", done


def test_a_file_that_is_no_certificate_is_named(world):
    none = world.folder / "none.pem"
    done = wait(world, none, code=NO_INPUT, timeout="10m")
    assert str(none) in done.err
    none.write_text("hello\n")
    done = wait(world, none, code=DATA, timeout="10m")
    assert str(none) in done.err


def test_all_is_not_content_with_what_cannot_be_read(world):
    leaf = world.leaf()
    world.fetch(leaf, code=0)
    config = world.config(rows=[{"path": str(leaf.path)},
                                {"path": str(world.certs / "none.pem")}])
    done = world.run("wait", "-c", config, "--all", code=CONFIG)
    assert "none.pem" in done.err and "live" in done.out


def test_it_waits_without_work_and_says_after_a_while_what_for(world):
    leaf = world.leaf("late.example.org")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = wait(world, leaf.path, code=TEMPORARY, timeout="7s")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert used < 0.5, f"{used} s of CPU time"
    assert after.ru_nvcsw - before.ru_nvcsw < 200, "wakes up too often"
    assert "waiting up to 7s for a response for late.example.org" in done.err
    assert "waiting" not in wait(world, leaf.path, timeout="1s").err


def test_the_reason_of_an_attempt_is_told_while_it_waits(world):
    """Minutes may lie between two attempts: not only the time limit tells."""
    leaf = world.leaf("late.example.org")
    world.responder.serve(Answer(code=503), leaf)
    world.fetch(leaf, code=TEMPORARY)
    with harness.Daemon(harness.program("ocspd"), "wait", "--spool",
                        world.spool, leaf.path, code=None) as gate:
        gate.wait_log("so far: http-status: HTTP status 503")
        gate.kill()


def test_a_terminal_is_told_at_once(world):
    leaf = world.leaf("late.example.org")
    main, other = pty.openpty()
    with harness.Daemon("sh", "-c", 'exec "$@" 2>/dev/fd/' + str(other), "sh",
                        harness.program("ocspd"), "wait", "--spool",
                        world.spool, leaf.path, code=None,
                        pass_fds=[other]) as gate:
        os.close(other)
        start = time.monotonic()
        text = b""
        while b"\n" not in text:
            text += os.read(main, 4096)
        assert b"waiting up to 10m" in text
        assert time.monotonic() - start < 4
        gate.kill()
    os.close(main)
