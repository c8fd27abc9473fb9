"""What ocspd may not read: the line names the place, the owner, the mode and
who we are, and the mend in it works."""
import os
import re

import pytest

import harness

pytestmark = [
    pytest.mark.must_run,
    pytest.mark.row("ocsp: the first hour"),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs to be another user"),
]
CONFIG, NO_PERMISSION = 78, 77     # sysexits.h
OTHER = 65534                      # nobody


def as_other(world, *words, code=None):
    return harness.run("setpriv", f"--reuid={OTHER}", f"--regid={OTHER}",
                       "--clear-groups", harness.program("ocspd"), *words,
                       code=code)


def closed(world, mode=0o700):
    """As certbot keeps them: live/ is root's alone."""
    live = world.folder / "live"
    (live / "site").mkdir(parents=True)
    leaf = world.pki.leaf(ocsp=[world.responder.url])
    leaf.path = live / "site/fullchain.pem"
    leaf.write_chain(leaf.path)
    live.chmod(mode)
    return live, leaf


def paste(line):
    """Runs the mend that stands at the end of the line, as root."""
    found = re.search(r"chgrp \S+ \S+ && chmod \S+ \S+$", line)
    assert found, line
    harness.run("sh", "-ec", found[0], code=0)


@pytest.mark.short
@pytest.mark.parametrize("pattern", ["live/*/fullchain.pem", "live/site",
                                     "live/site/fullchain.pem"])
@pytest.mark.parametrize("how", ["test", "daemon"])
def test_a_folder_like_certbots_is_named_with_the_hook(world, pattern, how):
    live, leaf = closed(world)
    os.chown(world.spool, OTHER, OTHER)
    config = world.config(rows=[{"path": str(world.folder / pattern)}])
    if how == "test":
        done = as_other(world, "-t", "-c", config, code=0)
        line = next(line for line in done.out.splitlines()
                    if line.startswith("error:"))
        assert "0 certificates" in done.out
    else:
        with harness.Daemon(
                "setpriv", f"--reuid={OTHER}", f"--regid={OTHER}",
                "--clear-groups", harness.program("ocspd"), "-c",
                config) as daemon:
            line = daemon.wait_log("error: certificate not usable")
            # what is said to do is done: the next look finds it
            live.chmod(0o755)
            daemon.send(1)
            world.wait_staple(leaf)
    for word in (f"{live}: user nobody may not search this folder",
                 "mode 0700", "owner root:root",
                 "PREFIX/share/ocspd/hooks/certbot"):
        assert word in line, line


@pytest.mark.short
def test_a_link_into_a_folder_that_is_closed_names_that_one(world):
    """certbot's live/ may be open: its links point into archive/, 0700 too."""
    archive, leaf = closed(world)
    archive.rename(world.folder / "archive")
    place = world.folder / "live/site"
    place.mkdir(parents=True)
    (place / "fullchain.pem").symlink_to(
        "../../archive/site/fullchain.pem")
    config = world.config(rows=[
        {"path": f"{world.folder}/live/*/fullchain.pem"}])
    done = as_other(world, "-t", "-c", config, code=0)
    line = done.out.splitlines()[0]
    assert line.startswith("error: "), done
    assert f"{world.folder}/archive: user nobody may not search this folder " \
        "(mode 0700, owner root:root)" in line
    assert "PREFIX/share/ocspd/hooks/certbot" in line


@pytest.mark.short
def test_a_certificate_file_we_may_not_read_is_named(world):
    leaf = world.leaf(path="site.pem")
    leaf.path.chmod(0o600)
    config = world.config(leaf)
    done = as_other(world, "-t", "-c", config, code=0)
    line = done.out.splitlines()[0]
    assert re.search(rf"{leaf.path}: user nobody may not read this file "
                     r"\(mode 0600, owner root:root\)", line), done
    paste(line)
    done = as_other(world, "-t", "-c", config, code=0)
    assert "1 certificates" in done.out and "error" not in done.out


@pytest.mark.short
@pytest.mark.parametrize("words", [["-t"], [], ["status"], ["fetch"]],
                         ids=["test", "start", "status", "fetch"])
@pytest.mark.parametrize("part", ["file", "fragment", "folder"])
def test_a_configuration_we_may_not_read_is_77(world, words, part):
    leaf = world.leaf(path="site.pem")
    place = world.folder / "etc"
    (place / "conf.d").mkdir(parents=True)
    config = world.config(leaf)
    config = config.rename(place / "ocspd.yaml")
    (place / "conf.d/a.yaml").write_text("log: {format: text}\n")
    shut = {"file": config, "fragment": place / "conf.d/a.yaml",
            "folder": place}[part]
    shut.chmod(0o700 if part == "folder" else 0o640)
    done = as_other(world, *words, "-c", config, code=NO_PERMISSION)
    assert done.err.count("\n") == 1, done
    what = "search this folder" if part == "folder" else "read this file"
    assert f"{shut}: " in done.err and "Permission denied" in done.err
    assert f"user nobody may not {what} (mode 0" in done.err
    assert "owner root:root" in done.err
    paste(done.err.strip())
    as_other(world, "-t", "-c", config, code=0)


def test_a_reload_that_may_not_read_says_the_same_and_keeps_the_old(world):
    leaf = world.leaf(path="site.pem")
    os.chown(world.spool, OTHER, OTHER)
    config = world.config(leaf)
    with harness.Daemon("setpriv", f"--reuid={OTHER}", f"--regid={OTHER}",
                        "--clear-groups", harness.program("ocspd"), "-c",
                        config) as daemon:
        world.wait_staple(leaf)
        config.chmod(0o600)
        daemon.send(1)
        line = daemon.wait_log("reload failed")
        assert "user nobody may not read this file (mode 0600" in line
