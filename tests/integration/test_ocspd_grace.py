"""A certificate that was replaced: how long its staple stays, and what keeps
it. The clock is moved; ten minutes pass at once."""
import os

import pytest

import ocsp
from harness import wait_until
from ocsp import HOUR
from responder import Answer

pytestmark = pytest.mark.row("ocsp: cert replaced on disk noticed")
MINUTE = 60
LATE = 56 * HOUR            # of 72: it asks at once after the jump


@pytest.fixture
def world(moving_world):
    return moving_world


def replace(world, old, path=None, **how):
    """A successor in the old one's file, or in another instead of it."""
    new = world.pki.leaf(ocsp=[world.responder.url], **how)
    new.path = world.certs / path if path else old.path
    temp = world.folder / "renewed"
    new.write_chain(temp)
    os.rename(temp, new.path)
    if path:
        old.path.unlink()
    return new


def replaced(world, old):
    return wait_until(lambda: world.meta(old).get("replaced_at"),
                      "the word in the side file")


@pytest.mark.short
@pytest.mark.parametrize("path", [None, "site-2.pem"],
                         ids=["same-file", "next-file"])
def test_the_old_staple_stays_ten_minutes_after_the_new_one_came(world, path):
    old = world.leaf(path="site.pem")
    config = world.config(rows=[{"path": f"{world.certs}/*.pem"}])
    with world.daemon(config) as daemon:
        staple = world.wait_staple(old)
        new = replace(world, old, path, days=120)
        world.wait_staple(new)
        at = replaced(world, old)
        assert abs(at - world.responder.now()) < 60
        world.clock.set(9 * MINUTE)
        mark = daemon.mark
        world.leaf("other.example.org")          # another look at all
        daemon.wait_log("accepted.*other", since=mark)
        assert world.der(old) == staple
        world.clock.set(11 * MINUTE)
        wait_until(lambda: world.der(old) is None and not world.meta(old),
                   "both files gone")
        assert world.der(new)


def test_a_certificate_that_only_changed_its_file_is_not_gone(world):
    leaf = world.leaf(path="one.pem")
    config = world.config(rows=[{"path": f"{world.certs}/*.pem"}])
    with world.daemon(config) as daemon:
        staple = world.wait_staple(leaf)
        os.rename(leaf.path, world.certs / "two.pem")
        world.wait_staple(world.leaf("other.example.org"))
        world.clock.set(11 * MINUTE)
        wait_until(lambda: world.responder.count(leaf) > 0, "one request")
        assert world.der(leaf) == staple
        assert not daemon.matches("no longer")


@pytest.mark.short
def test_it_stays_until_the_new_one_is_stapled_and_is_kept_from_running_out(
        world):
    """A server that requires a staple serves the old pair all that time."""
    old = world.leaf(path="site.pem")
    with world.daemon(world.config(old)):
        staple = world.wait_staple(old)
        new = world.pki.leaf(ocsp=[world.responder.url])
        world.responder.serve(Answer(code=500), new)
        new.write_chain(world.folder / "renewed")
        os.rename(world.folder / "renewed", old.path)
        wait_until(lambda: world.responder.count(new) > 0, "the first try")
        world.clock.set(LATE)
        wait_until(lambda: world.der(old) not in (None, staple),
                   "a newer staple of the old one")
        assert not world.meta(old)["replaced_at"]
        world.responder.serve(Answer(), new)
        world.clock.set(LATE + 2 * HOUR)
        world.wait_staple(new)
        replaced(world, old)
        assert world.der(old)
        world.clock.set(LATE + 3 * HOUR)
        wait_until(lambda: world.der(old) is None, "the old staple gone")


@pytest.mark.short
@pytest.mark.row("ocsp: survives restart")
def test_a_restart_in_between_does_not_cut_it_short(world):
    old = world.leaf(path="site.pem")
    config = world.config(old)
    with world.daemon(config):
        staple = world.wait_staple(old)
        new = replace(world, old)
        world.wait_staple(new)
        at = replaced(world, old)
    world.clock.set(5 * MINUTE)
    with world.daemon(config) as daemon:
        daemon.wait_log("started")
        wait_until(lambda: world.der(new), "the new one")
        assert world.der(old) == staple
        meta = world.meta(old)
        assert meta["replaced_at"] == at and meta["status"] == "good"
        world.clock.set(11 * MINUTE)
        wait_until(lambda: world.der(old) is None and not world.meta(old),
                   "both files gone")


@pytest.mark.row("ocsp: survives restart")
def test_a_renewal_while_nobody_looked_has_its_ten_minutes_too(world):
    old = world.leaf(path="site.pem")
    config = world.config(old)
    with world.daemon(config):
        staple = world.wait_staple(old)
    new = replace(world, old)
    with world.daemon(config):
        world.wait_staple(new)
        replaced(world, old)
        assert world.der(old) == staple
        meta = world.meta(old)
        assert meta["status"] == "good" and meta["life_end"] > 0
        world.clock.set(11 * MINUTE)
        wait_until(lambda: world.der(old) is None, "the old staple gone")


def test_what_an_earlier_run_left_still_goes_before_its_end(world):
    old = world.leaf(path="site.pem")
    world.responder.serve(Answer(ocsp.good(old, next=6 * MINUTE + 30)), old)
    config = world.config(old)
    with world.daemon(config):
        world.wait_staple(old)
    new = replace(world, old)
    world.responder.serve(Answer(code=500), new)
    with world.daemon(config):
        wait_until(lambda: world.meta(new).get("failures"), "a try")
        assert world.der(old)
        world.clock.set(7 * MINUTE)
        wait_until(lambda: world.der(old) is None, "the removal")


def test_one_that_comes_back_is_in_use_again(world):
    old = world.leaf(path="site.pem")
    text = old.path.read_bytes()
    config = world.config(old)
    with world.daemon(config):
        world.wait_staple(old)
        new = replace(world, old)
        world.wait_staple(new)
        replaced(world, old)
    with world.daemon(config):           # now it is known by its files alone
        old.path.write_bytes(text)
        replaced(world, new)
        world.clock.set(11 * MINUTE)
        wait_until(lambda: world.der(new) is None, "the other one gone")
        assert world.der(old)
        wait_until(lambda: world.meta(old)["replaced_at"] == 0, "in use")


def test_without_a_successor_it_goes_at_once(world):
    one = world.leaf("one.example.org", path="one.pem")
    two = world.leaf("two.example.org", path="two.pem")
    config = world.config(rows=[{"path": f"{world.certs}/*.pem"}])
    with world.daemon(config):
        world.wait_staple(one)
        world.wait_staple(two)
        one.path.unlink()
        wait_until(lambda: world.der(one) is None, "the removal")
