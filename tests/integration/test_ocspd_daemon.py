"""The daemon over time: outages, lies, restarts, reloads, certificates that
come and go. The clock is moved; nothing here waits for hours."""
import os
import signal

import pytest

import harness
import ocsp
from harness import wait_until
from ocsp import HOUR, Response, Single
from responder import Answer

pytestmark = pytest.mark.row("ocsp: survives restart")
LIFE = 72 * HOUR            # of an ordinary response, one hour of it gone
# Less than a quarter is left: whatever start or clock jump, it asks at once.
LATE = 56 * HOUR


@pytest.fixture
def world(moving_world):
    return moving_world


def fresh(world, leaf, ahead=0, **single):
    """Serves bytes that stay the same however often they are asked for, made
    `ahead` seconds from now."""
    der = ocsp.good(leaf, world.responder.now() + ahead, **single)
    world.responder.serve(Answer(der), leaf)
    return der


def asked_again(world, leaf, before):
    wait_until(lambda: world.responder.count(leaf) > before,
               "another request")


# ---- outages ------------------------------------------------------------------------

def expired(leaf, now):
    return Response([Single(this=-30 * 24 * HOUR, next=-1)]).write(leaf, now)


OUTAGES = [
    ("HTTP 500", Answer(b"", code=500)),
    ("HTTP 503 with a good response in it", Answer(code=503)),
    ("a page of HTML", Answer(b"<html>", content_type="text/html")),
    ("65 KiB", Answer(b"x" * 66000)),
    ("nothing", Answer(b"")),
    ("noise", Answer(b"\x30\x03\x0a\x01\x09")),
    ("tryLater", Answer(Response(outer=ocsp.TRY_LATER))),
    ("internalError", Answer(Response(outer=ocsp.INTERNAL))),
    ("unauthorized", Answer(Response(outer=ocsp.UNAUTHORIZED))),
    ("unknown", Answer(Response([Single("unknown")]))),
    ("another certificate's response", Answer(Response([Single(serial=7)]))),
    ("a forged response", Answer(Response(forge=True))),
    ("a forged revocation",
     Answer(Response([Single("revoked")], forge=True))),
    ("an expired response", Answer(expired)),
    ("a reset", Answer(reset=True)),
    ("silence", Answer(hang=True)),
]


@pytest.mark.row("ocsp: serves expired staple")
@pytest.mark.row("ocsp: stale file swept")
@pytest.mark.parametrize("answer", [row[1] for row in OUTAGES],
                         ids=[row[0].replace(" ", "-") for row in OUTAGES])
def test_keeps_the_good_staple_until_its_life_ends(world, answer):
    leaf = world.leaf()
    staple = fresh(world, leaf)
    config = world.config(leaf, fetch={"timeout": "1s"})
    with world.daemon(config):
        world.wait_staple(leaf, staple)
        world.responder.serve(answer, leaf)
        for hours in (56, 65):
            before = world.responder.count(leaf)
            world.clock.set(hours * HOUR)
            asked_again(world, leaf, before)
            wait_until(lambda: world.meta(leaf).get("failures", 0) > 0,
                       "the failure in the side file")
            assert world.der(leaf) == staple
        world.clock.set(LIFE - HOUR - 30)     # less than a minute is left
        wait_until(lambda: world.der(leaf) is None, "removal before the end")
        # and it comes back with the responder
        again = fresh(world, leaf, ahead=4 * HOUR)
        world.clock.set(LIFE + 3 * HOUR)
        world.wait_staple(leaf, again)


@pytest.mark.short
def test_a_restart_in_an_outage_keeps_the_spool(world):
    leaf = world.leaf()
    staple = fresh(world, leaf)
    config = world.config(leaf)
    with world.daemon(config):
        world.wait_staple(leaf, staple)
    inode = world.der_path(leaf).stat().st_ino
    world.responder.close()
    world.clock.set(LATE)
    with world.daemon(config):
        wait_until(lambda: world.meta(leaf).get("failures", 0) > 0,
                   "a failure")
        assert world.der(leaf) == staple
        assert world.der_path(leaf).stat().st_ino == inode


@pytest.mark.row("ocsp: survives restart")
def test_a_start_after_the_end_of_life_removes_the_staple(world):
    leaf = world.leaf()
    staple = fresh(world, leaf)
    config = world.config(leaf)
    with world.daemon(config):
        world.wait_staple(leaf, staple)
    world.responder.serve(Answer(code=500), leaf)
    world.clock.set(LIFE + HOUR)
    with world.daemon(config):
        wait_until(lambda: world.der(leaf) is None, "the removal")


@pytest.mark.row("ocsp: cached copy re-verified at load")
@pytest.mark.parametrize("make", [
    lambda world, leaf: b"noise",
    lambda world, leaf: Response(forge=True).write(leaf),
    lambda world, leaf: ocsp.good(leaf) + b"x",
    lambda world, leaf: Response([Single(serial=7)]).write(leaf),
    lambda world, leaf: Response([Single(this=-9000, next=-1)]).write(leaf),
], ids=["noise", "forged", "trailing", "foreign", "expired"])
def test_what_lies_in_the_spool_is_verified_at_start(world, make):
    leaf = world.leaf()
    world.der_path(leaf).write_bytes(make(world, leaf))
    world.responder.serve(Answer(code=500), leaf)
    with world.daemon(world.config(leaf)):
        wait_until(lambda: world.der(leaf) is None, "the removal")


@pytest.mark.short
@pytest.mark.row("ocsp: cached copy re-verified at load")
@pytest.mark.parametrize("damage", [
    lambda leaf, der: None,
    lambda leaf, der: b"",
    lambda leaf, der: b"noise",
    lambda leaf, der: der[:40],
    lambda leaf, der: Response([Single(serial=7)]).write(leaf),
], ids=["gone", "empty", "junk", "truncated", "foreign"])
def test_a_start_without_a_usable_staple_asks_at_once(world, damage):
    """Whatever the side file remembers: its plan was for a staple."""
    leaf = world.leaf()
    fresh(world, leaf)
    config = world.config(leaf)
    with world.daemon(config):
        staple = world.wait_staple(leaf)
    bytes_now = damage(leaf, staple)
    world.der_path(leaf).unlink()
    if bytes_now is not None:
        world.der_path(leaf).write_bytes(bytes_now)
    with world.daemon(config) as daemon:
        world.wait_staple(leaf, staple, timeout=15)
        assert bool(daemon.matches("staple in the spool refused")) == \
            (bytes_now is not None)


def test_a_start_without_a_staple_spares_a_responder_that_failed(world):
    leaf = world.leaf()
    world.responder.serve(Answer(code=500), leaf)
    config = world.config(leaf, fetch={"min_interval": "1h"})
    with world.daemon(config):
        wait_until(lambda: world.meta(leaf).get("failures", 0) > 0,
                   "a failure")
    before = world.responder.count(leaf)
    with world.daemon(config) as daemon:
        daemon.wait_log("started")
        world.clock.set(50)          # no jump; several turns of the daemon
        other = world.leaf("other.example.org")
        world.config(leaf, other, fetch={"min_interval": "1h"})
        daemon.send(signal.SIGHUP)
        world.wait_staple(other)
        assert world.responder.count(leaf) == before


@pytest.mark.row("ocsp: survives restart")
def test_a_valid_staple_without_its_side_file_is_kept(world):
    leaf = world.leaf()
    staple = ocsp.good(leaf)
    world.der_path(leaf).write_bytes(staple)
    world.responder.serve(Answer(code=500), leaf)
    world.clock.set(LATE)
    with world.daemon(world.config(leaf)):
        wait_until(lambda: world.meta(leaf).get("failures", 0) > 0,
                   "a failure")
        assert world.der(leaf) == staple


# ---- newer and older ------------------------------------------------------------------

@pytest.mark.row("ocsp: refresh point")
def test_a_newer_response_replaces_the_older(world):
    leaf = world.leaf()
    first = fresh(world, leaf)
    with world.daemon(world.config(leaf)):
        world.wait_staple(leaf, first)
        second = fresh(world, leaf, ahead=LATE)
        world.clock.set(LATE)
        world.wait_staple(leaf, second)
        assert world.meta(leaf)["failures"] == 0


@pytest.mark.row("ocsp: older thisUpdate never replaces newer")
def test_an_older_response_never_replaces_a_newer(world):
    leaf = world.leaf()
    newer = fresh(world, leaf)
    older = ocsp.good(leaf, world.responder.now(), this=-10 * HOUR,
                      next=100 * HOUR)
    config = world.config(leaf)
    with world.daemon(config):
        world.wait_staple(leaf, newer)
        world.responder.serve(Answer(older), leaf)
        before = world.responder.count(leaf)
        world.clock.set(LATE)
        asked_again(world, leaf, before)
        wait_until(lambda: world.meta(leaf).get("last_error_kind") ==
                   "older-than-stored", "the refusal")
        assert world.der(leaf) == newer


@pytest.mark.row("ocsp: older thisUpdate never replaces newer")
def test_rollback_is_remembered_by_a_later_run(world):
    leaf = world.leaf()
    newer = fresh(world, leaf)
    world.fetch(leaf, code=0)
    world.responder.serve(Answer(ocsp.good(leaf, this=-10 * HOUR)), leaf)
    world.fetch(leaf)
    assert world.der(leaf) == newer


def test_the_same_bytes_are_not_written_again(world):
    leaf = world.leaf()
    fresh(world, leaf)
    world.fetch(leaf, code=0)
    inode = world.der_path(leaf).stat().st_ino
    world.fetch(leaf, code=0)
    assert world.responder.count(leaf) == 2
    assert world.der_path(leaf).stat().st_ino == inode


# ---- revoked ------------------------------------------------------------------------------

def revoked(leaf, now=None, **single):
    return Response([Single("revoked", **single)]).write(leaf, now)


@pytest.mark.row("ocsp: revoked answer")
@pytest.mark.parametrize("policy", ["withdraw", "publish", "keep"])
def test_a_revocation_follows_the_policy_and_is_loud(world, policy):
    leaf = world.leaf()
    good = ocsp.good(leaf, this=-2 * HOUR)
    bad = revoked(leaf)
    world.responder.serve(Answer(good), leaf)
    config = world.config(leaf, defaults={"on_revoked": policy})
    with world.daemon(config) as daemon:
        world.wait_staple(leaf, good)
        world.responder.serve(Answer(bad), leaf)
        world.clock.set(LATE)
        daemon.wait_log("error.*revoked")
        wanted = {"withdraw": None, "publish": bad, "keep": good}[policy]
        wait_until(lambda: world.meta(leaf).get("status") == "revoked",
                   "the status")
        wait_until(lambda: world.der(leaf) == wanted, f"what {policy} says")
        meta = world.meta(leaf)
        assert meta["revoked_at"] > 0 and meta["revoked_reason"] == 1


@pytest.mark.row("ocsp: revoked answer")
def test_a_revocation_is_remembered_against_a_stale_good(world):
    leaf = world.leaf()
    world.responder.serve(Answer(revoked(leaf)), leaf)
    assert world.fetch(leaf).code == 75
    world.responder.serve(Answer(ocsp.good(leaf, this=-10 * HOUR)), leaf)
    assert world.fetch(leaf).code == 75
    assert world.der(leaf) is None
    # a hold that was lifted: newer thisUpdate
    world.responder.serve(Answer(ocsp.good(leaf, this=-60)), leaf)
    world.fetch(leaf, code=0)
    assert world.der(leaf)


CONFLICTS = {
    "first-good": Response([Single(), Single("revoked")]),
    "first-revoked": Response([Single("revoked"), Single()]),
    "two-digests": Response([Single(), Single("revoked", digest="sha256")]),
}


@pytest.mark.short
@pytest.mark.row("ocsp: revoked answer")
@pytest.mark.parametrize("policy", ["withdraw", "publish"])
@pytest.mark.parametrize("response", CONFLICTS.values(), ids=CONFLICTS.keys())
def test_good_and_revoked_at_once_is_as_loud_as_revoked(world, response,
                                                        policy):
    leaf = world.leaf()
    world.responder.serve(Answer(response), leaf)
    config = world.config(leaf, defaults={"on_revoked": policy})
    with world.daemon(config) as daemon:
        line = daemon.wait_log("error: certificate revoked", timeout=10)
        assert leaf.fingerprint in line and "keyCompromise" in line
        before = world.responder.count(leaf)
        world.clock.set(HOUR // 2)            # a jump: asked again
        asked_again(world, leaf, before)
        wait_until(lambda: world.meta(leaf).get("failures", 0) > 1,
                   "the second failure")
        assert len(daemon.matches("error.*revoked")) == 1
        assert world.meta(leaf)["last_error_kind"] == "conflict"
        assert world.der(leaf) is None


def test_a_conflict_at_the_second_url_is_not_lost(world):
    """Two failures of one kind: the one that says revoked is told."""
    leaf = world.leaf(urls=[world.responder.url + "one/",
                            world.responder.url + "two/"])
    answers = [Response(forge=True).write(leaf),
               CONFLICTS["first-good"].write(leaf)]
    world.responder.serve(
        Answer(lambda _leaf, _now: answers.pop(0) if len(answers) > 1
               else answers[0]), leaf)
    with world.daemon(world.config(leaf)) as daemon:
        daemon.wait_log("error: certificate revoked", timeout=10)
        wait_until(lambda: world.meta(leaf).get("last_error_kind") ==
                   "conflict", "the verdict")


# ---- the clock jumps -----------------------------------------------------------------------

YEAR = 365 * 24 * HOUR


def scanned(daemon):
    """No look at the certificates is under way any more."""
    mark = daemon.mark
    daemon.send(signal.SIGHUP)
    daemon.wait_log("configuration loaded", since=mark)


def test_a_certificate_that_seemed_expired_is_asked_about_again(world):
    leaf = world.leaf()
    staple = fresh(world, leaf)
    with world.daemon(world.config(leaf)) as daemon:
        world.wait_staple(leaf, staple)
        world.clock.set(YEAR)
        daemon.wait_log("certificate expired")
        wait_until(lambda: world.der(leaf) is None, "the removal")
        scanned(daemon)
        world.clock.set(0)
        world.wait_staple(leaf, staple, timeout=15)
        assert len(daemon.matches("certificate is in date again")) == 1
        assert len(daemon.matches("certificate expired")) == 1


def test_a_certificate_found_during_the_jump_is_asked_about_after_it(world):
    leaf = world.leaf()
    world.clock.set(YEAR)
    with world.daemon(world.config(leaf)) as daemon:
        daemon.wait_log("certificate expired")
        scanned(daemon)
        assert world.responder.count(leaf) == 0
        world.clock.set(0)
        world.wait_staple(leaf, timeout=15)


# ---- certificates come and go ---------------------------------------------------------------

@pytest.mark.short
@pytest.mark.row("ocsp: finds certs itself")
@pytest.mark.row("ocsp: cert replaced on disk noticed")
def test_certificates_in_a_folder_come_and_go(world):
    first = world.leaf("one.example.org", path="one.pem")
    config = world.config(rows=[{"path": f"{world.certs}/*.pem"}])
    with world.daemon(config):
        world.wait_staple(first)
        second = world.leaf("two.example.org", path="two.pem")
        world.wait_staple(second)
        first.path.unlink()
        wait_until(lambda: world.der(first) is None and
                   not world.meta(first), "both files gone")
        assert world.der(second)


@pytest.mark.row("ocsp: cert replaced on disk noticed")
def test_a_renewed_certificate_has_its_staple_before_the_old_one_goes(world):
    old = world.leaf(path="site.pem")
    config = world.config(old)
    with world.daemon(config):
        world.wait_staple(old)
        new = world.pki.leaf(ocsp=[world.responder.url])
        seen = []

        def answer(leaf, now):
            # asked about the new one: is the old staple still there?
            seen.append(world.der(old) is not None)
            return ocsp.good(leaf, now)
        world.responder.serve(Answer(answer), new)
        fresh_file = world.folder / "renewed.pem"
        new.write_chain(fresh_file)
        os.rename(fresh_file, old.path)
        world.wait_staple(new)
        assert seen[0], "the old staple went first"
        wait_until(lambda: world.meta(old)["replaced_at"], "its grace")
        world.clock.set(11 * 60)
        wait_until(lambda: world.der(old) is None, "the old staple gone")


@pytest.mark.row("ocsp: finds certs itself")
def test_a_folder_that_comes_later_is_found(world):
    place = world.folder / "later"
    config = world.config(rows=[{"path": f"{place}/*.pem"}])
    with world.daemon(config):
        leaf = world.pki.leaf(ocsp=[world.responder.url])
        place.mkdir()
        leaf.write_chain(place / "x.pem")
        world.wait_staple(leaf)


@pytest.mark.row("ocsp: stale file swept")
def test_fetch_leaves_the_staples_of_others_alone(world):
    one, two = world.leaf("one.example.org"), world.leaf("two.example.org")
    world.fetch(one, code=0)
    world.fetch(two, code=0)
    assert world.der(one) and world.der(two)


# ---- reload, signals ---------------------------------------------------------------------------

@pytest.mark.short
def test_a_reload_takes_up_what_changed(world):
    one, two = world.leaf("one.example.org"), world.leaf("two.example.org")
    config = world.config(one)
    with world.daemon(config) as daemon:
        world.wait_staple(one)
        world.config(one, two)
        daemon.send(signal.SIGHUP)
        world.wait_staple(two)
        world.config(two)
        daemon.send(signal.SIGHUP)
        wait_until(lambda: world.der(one) is None, "the first one gone")
        assert world.der(two)


BROKEN = [
    ("an unknown key", "spol: /tmp\n", r"ocspd\.yaml:1:1.*spol"),
    ("no YAML", "spool: [\n", r"ocspd\.yaml:\d+:\d+"),
    ("a wrong value", "fetch:\n  timeout: soon\n",
     r"ocspd\.yaml:2:12.*soon"),
    ("an empty file that grew a tab", "fetch:\n\ttimeout: 1s\n",
     r"ocspd\.yaml:2:1"),
]


@pytest.mark.parametrize("sentence,text,pattern", BROKEN,
                         ids=[row[0].replace(" ", "-") for row in BROKEN])
def test_a_reload_of_a_broken_file_keeps_the_old_one(world, sentence, text,
                                                     pattern):
    leaf = world.leaf()
    config = world.config(leaf)
    with world.daemon(config) as daemon:
        staple = world.wait_staple(leaf)
        mark = daemon.mark
        config.write_text(text)
        daemon.send(signal.SIGHUP)
        line = daemon.wait_log(pattern, since=mark)
        assert "error" in line
        world.clock.set(LATE)
        wait_until(lambda: world.der(leaf) not in (None, staple),
                   "it goes on with the old configuration")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ends_at_once_though_a_request_hangs(world, number):
    leaf = world.leaf()
    world.responder.serve(Answer(hang=True))
    daemon = world.daemon(world.config(leaf, fetch={"timeout": "60s"}))
    try:
        wait_until(lambda: world.responder.count() > 0, "the request")
        assert daemon.stop(number, timeout=5) == 0
    finally:
        daemon.kill()


def test_a_spool_that_cannot_be_written_loses_nothing(world):
    """The bytes stay in memory and are written when there is room again."""
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a small file system")
    leaf = world.leaf()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k,mode=755", "tmpfs",
             str(world.spool)]
    if harness.run(*mount).code != 0:
        pytest.skip("cannot mount a small file system here")
    try:
        filler = world.spool / "filler"
        with filler.open("wb") as file:
            try:
                while True:
                    os.write(file.fileno(), b"x" * 4096)
            except OSError:
                pass
        with world.daemon(world.config(leaf)) as daemon:
            daemon.wait_log("No space left")
            assert world.der(leaf) is None
            requests = world.responder.count()
            filler.unlink()
            world.wait_staple(leaf)
            assert world.responder.count() == requests
    finally:
        harness.run("umount", world.spool, code=0)


@pytest.mark.short
@pytest.mark.row("ocsp: fresh/idle start")
def test_a_hundred_certificates_all_get_their_staple(world):
    leaves = [world.leaf(f"{n}.example.org") for n in range(100)]
    config = world.config(rows=[{"path": f"{world.certs}/*.pem"}])
    with world.daemon(config):
        for leaf in leaves:
            world.wait_staple(leaf)
    assert world.responder.count() == 100
    assert world.strays() == []


# ---- one keeper ---------------------------------------------------------------------

@pytest.mark.row("ocsp: temp+rename / fsync")
def test_a_second_daemon_does_not_touch_the_first_ones_spool(world):
    leaf = world.leaf()
    staple = fresh(world, leaf)
    with world.daemon(world.config(leaf)):
        world.wait_staple(leaf, staple)
        done = harness.run(harness.program("ocspd"), "-c",
                           world.config(world.leaf("b.example"),
                                        name="second.yaml"), code=78)
        assert "another ocspd keeps it" in done.err
        world.wait_staple(leaf, staple)
