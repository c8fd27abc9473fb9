"""publish: while others write to the spool, too."""
import signal

import pytest

import ocsp
from harness import wait_until
from ocsp import HOUR
from responder import Answer

PATIENCE = 15


@pytest.fixture
def world(moving_world):
    return moving_world


def answer(world, leaf, this):
    der = ocsp.good(leaf, this=this)
    world.responder.serve(Answer(der), leaf)
    return der


def config(world, leaf, *outputs):
    return world.config(
        rows=[{"path": str(leaf.path), "publish": list(outputs)}],
        changed_dir=str(world.folder / "changed"), changed_interval="1s")


@pytest.mark.row("publish: what `ocspd fetch` put into the spool is published")
def test_a_fetch_by_hand_beside_the_daemon_blocks_no_output(world):
    leaf = world.leaf("www.example.org")
    answer(world, leaf, -HOUR)
    file, snippet = world.folder / "www.ocsp", world.folder / "www.conf"
    path = config(world, leaf, {"type": "file", "file": str(file)})
    with world.daemon(path) as daemon:
        wait_until(file.exists, "the first response", PATIENCE)
        newer = answer(world, leaf, -60)
        world.run("fetch", "-c", path)
        config(world, leaf, {"type": "file", "file": str(file)},
               {"type": "nginx", "file": str(snippet), "changed": "web"})
        daemon.send(signal.SIGHUP)
        wait_until(snippet.exists, "a snippet for the new row", PATIENCE)
        wait_until(lambda: file.read_bytes() == newer, "the newer response",
                   PATIENCE)
