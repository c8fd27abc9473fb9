"""What a reviewer broke: staples lost or kept against the rules when several
things go wrong at once."""
import os
import pathlib
import shutil
import stat

import pytest

import harness
import ocsp
from harness import wait_until
from ocsp import HOUR
from responder import Answer

LATE = 5 * HOUR // 2


@pytest.fixture
def world(moving_world):
    return moving_world


def asked_again(world, leaf, before):
    wait_until(lambda: world.responder.count(leaf) > before,
               "another request")


@pytest.mark.short
@pytest.mark.row("ocsp: older thisUpdate never replaces newer")
def test_a_longer_life_is_taken_though_this_update_is_the_same(world):
    """A CA that signs the same CRL's word again moves nextUpdate alone."""
    leaf = world.leaf()
    start = world.responder.now()
    short = ocsp.good(leaf, start, this=-HOUR, next=3 * HOUR)
    longer = ocsp.good(leaf, start, this=-HOUR, next=48 * HOUR)
    world.responder.serve(Answer(short), leaf)
    with world.daemon(world.config(leaf)):
        world.wait_staple(leaf, short)
        world.responder.serve(Answer(longer), leaf)
        world.clock.set(LATE)
        world.wait_staple(leaf, longer)


def test_bytes_that_died_waiting_for_the_disk_are_not_written(world):
    leaf = world.leaf()
    shutil.rmtree(world.spool)
    world.spool.mkdir()
    world.responder.serve(Answer(code=500), leaf)
    with world.daemon(world.config(leaf)) as daemon:
        asked_again(world, leaf, 0)
        world.spool.rmdir()
        world.responder.serve(
            Answer(ocsp.good(leaf, world.responder.now(), next=2 * HOUR)),
            leaf)
        world.clock.set(HOUR // 2)
        daemon.wait_log("response accepted")
        daemon.wait_log("spool cannot be written")
        world.responder.serve(Answer(code=500), leaf)
        world.clock.set(4 * HOUR)
        daemon.wait_log("expired before it could be written")
        world.spool.mkdir()
        world.clock.set(6 * HOUR)             # another attempt, another write
        daemon.wait_log("spool can be written again", timeout=30)
        assert world.der(leaf) is None


@pytest.mark.short
def test_a_spool_that_is_made_is_public_whatever_the_umask(world):
    leaf = world.leaf()
    spool = world.folder / "made"
    harness.run("sh", "-c", 'umask 077; exec "$@"', "sh",
                harness.program("ocspd"), "fetch", "--spool", spool,
                "--allow-address", "127.0.0.0/8", leaf.path, code=0)
    assert stat.S_IMODE(os.stat(spool).st_mode) == 0o755


@pytest.mark.short
def test_a_folder_of_certificates_that_is_away_takes_no_staple_along(world):
    leaf = world.leaf()
    config = world.config(rows=[{"path": str(world.certs / "*.pem")}])
    away = pathlib.Path(f"{world.certs}.away")
    with world.daemon(config) as daemon:
        staple = world.wait_staple(leaf)
        world.certs.rename(away)
        daemon.wait_log("certificate not usable")
        away.rename(world.certs)
        world.clock.set(HOUR)                 # the daemon's next turn
        new = world.leaf()
        world.wait_staple(new)
        assert not daemon.matches("no longer")
        assert world.der(leaf) == staple


@pytest.mark.short
def test_a_file_that_is_half_written_keeps_its_rows_rules(world):
    """The responder of the row is the operator's: it is not screened."""
    leaf = world.leaf(urls=[])
    config = world.config(allow_addresses=[], rows=[
        {"path": str(leaf.path), "responder": world.responder.url}])
    with world.daemon(config) as daemon:
        world.wait_staple(leaf)
        leaf.path.write_text("-----BEGIN CERTIFICATE-----\nMII")
        daemon.wait_log("certificate not usable")
        before = world.responder.count(leaf)
        newer = ocsp.good(leaf, world.responder.now() + 56 * HOUR)
        world.responder.serve(Answer(newer), leaf)
        world.clock.set(56 * HOUR)
        asked_again(world, leaf, before)
        world.wait_staple(leaf, newer)
