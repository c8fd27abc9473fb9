"""This host's clock is wrong: the line says so, by how much, and nothing else
is done about it."""
import pytest

import ocsp
from harness import wait_until
from ocsp import HOUR, Response, Single
from responder import Answer

pytestmark = [pytest.mark.row("ocsp: local clock sanity"), pytest.mark.short]
DAY = 24 * HOUR
WRONG = [(6 * DAY, "6 days ahead of"), (-3 * HOUR, "3 h behind")]


@pytest.fixture
def world(moving_world):
    """Only ocspd's clock moves, not the responder's."""
    moving_world.responder.clock = None
    return moving_world


@pytest.mark.parametrize("offset,words", WRONG, ids=["ahead", "behind"])
def test_a_wrong_clock_is_named_and_its_mend_works(world, offset, words):
    leaf = world.leaf()
    config = world.config(leaf)
    world.clock.set(offset)
    with world.daemon(config) as daemon:
        line = daemon.wait_log("fetch failed")
        assert f"this host's clock is {words} the responder's (Date: " in line
        assert "check time synchronisation (timedatectl, chronyc" in line
        wait_until(lambda: "this host's clock is" in (
            world.meta(leaf).get("last_error") or ""), "it in the side file")
        for verb in (["status"], ["check", leaf.path]):
            done = world.run(*verb, "-c", config)
            assert f"clock is {words}" in done.out, done
        done = world.run("wait", "-c", config, "--timeout", "0", leaf.path,
                         code=75)
        assert f"clock is {words}" in done.err
        world.clock.set(0)
        world.wait_staple(leaf)


def test_a_staple_that_is_good_stays_while_the_clock_is_wrong(world):
    leaf = world.leaf()
    config = world.config(leaf)
    with world.daemon(config) as daemon:
        staple = world.wait_staple(leaf)
        world.responder.serve(Answer(ocsp.good(leaf, this=-60)), leaf)
        world.clock.set(-HOUR)
        wait_until(lambda: world.responder.count(leaf) > 0, "a request")
        daemon.wait_log("clock jumped")
        done = world.run("check", "-c", config, leaf.path)
        assert "this host's clock is 60 min behind" in done.out
        assert world.der(leaf) == staple


def test_an_old_response_under_a_right_clock_is_the_responders_fault(world):
    leaf = world.leaf()
    world.responder.serve(Answer(Response(
        [Single(this=-9 * DAY, next=-2 * DAY)])))
    with world.daemon(world.config(leaf)) as daemon:
        line = daemon.wait_log("fetch failed")
        assert "nextUpdate has passed" in line and "clock" not in line


def test_a_response_bad_by_either_clock_does_not_blame_ours(world):
    leaf = world.leaf()
    world.responder.serve(Answer(Response([Single(this=-9 * DAY, next=-60)])))
    world.clock.set(3 * HOUR)
    with world.daemon(world.config(leaf)) as daemon:
        assert "clock" not in daemon.wait_log("fetch failed")


def test_an_answer_from_a_cache_counts_with_its_age(world):
    """Date is when the responder answered; Age, how long ago."""
    leaf = world.leaf()
    old = world.responder.now() - 2 * DAY
    world.responder.serve(Answer(
        Response([Single(next=DAY)]).write(leaf, old),
        headers={"Age": str(2 * DAY)}))
    world.responder.now = lambda: old
    with world.daemon(world.config(leaf)) as daemon:
        assert "clock" not in daemon.wait_log("fetch failed")
