"""The first hour, whole: from `make install` on a machine that has PHP and a
WebSocket service to a stapled site; renewal, reload, and away with it."""
import re
import shlex
import pathlib

import pytest

import first_hour
import harness
import machine
from first_hour import NAME

pytestmark = [pytest.mark.must_run, pytest.mark.limit(240)]

# Five lines: one URI, two kinds of traffic.
WSGATE_YAML = """spool: /var/spool/ocspd
sites:
  - listen: ["0.0.0.0:443", "[::]:443"]
    certificates: [{chain: certs/site.pem}]
    locations: {/: {websocket: "127.0.0.1:9000", fastcgi: {servers: ["unix:/run/php/php8.2-fpm.sock"], root: /srv/www, index: index.php}}}
"""
RESPONDER = "10.1.2.3"    # loopback is refused by default, as it should be


class Story:
    """One machine; the tests below are its steps, in order."""

    def __init__(self, host, pki, folder):
        self.host, self.pki, self.folder = host, pki, folder
        self.root = pki.root.write(folder / "root.pem")
        host.write("/root/root.pem", pki.root.pem)
        self.before = self.files()
        self.leaf = self.new_leaf()

    def new_leaf(self):
        return self.pki.leaf(NAME, ocsp=[f"http://{RESPONDER}:8888/"])

    def make(self, target):
        build = pathlib.Path(harness.program("wsgate")).parent
        inside = f"{machine.SOURCE}/{build.relative_to(harness.ROOT)}"
        return self.host.sh(f"cd {machine.SOURCE} && make -o all "
                            f"BUILD={inside} {target} 2>&1").out

    def files(self):
        return set(self.host.sh(
            "find /usr /etc /var/lib /opt -xdev").out.splitlines())

    def pair(self, leaf):
        """As an ACME client leaves it: for root alone."""
        folder = f"/etc/letsencrypt/live/{NAME}"
        self.host.write(f"{folder}/fullchain.pem", leaf.chain_pem, 0o600)
        self.host.write(f"{folder}/privkey.pem", leaf.key_pem, 0o600)
        self.host.sh("chmod 700 /etc/letsencrypt/live")
        return folder

    def page(self):
        return self.host.sh(
            f"curl -sS --max-time 20 --cacert /root/root.pem --cert-status "
            f"--resolve {NAME}:443:127.0.0.1 https://{NAME}/").out

    def leaves(self, count=5):
        """Which certificates clients see; every one with a valid staple."""
        seen = first_hour.handshakes(self.host, self.root, count)
        assert all(verdict == "ok" for _, _, verdict in seen), seen
        return {leaf for leaf, _, _ in seen}


@pytest.fixture(scope="module")
def story(tmp_path_factory, pki):
    folder = tmp_path_factory.mktemp("story")
    with machine.boot(folder, installed=False) as host:
        with host.network():
            harness.run("ip", "addr", "replace", f"{RESPONDER}/32", "dev", "lo",
                        code=0)
        host.sh("systemctl start php8.2-fpm")
        made = Story(host, pki, folder)
        with host.network():
            made.responder = first_hour.Responder(pki, RESPONDER, 8888)
        with made.responder, first_hour.websocket_server(host):
            host.write("/srv/www/index.php",
                       "<?php echo 'page of ', $_SERVER['REQUEST_URI'];")
            yield made


def test_1_install_says_what_comes_next(story):
    out = story.make("install")
    story.commands = re.findall(r"^ {4}(.+)$", out, re.M)
    assert len(story.commands) == 4, out


def test_2_the_four_commands_and_five_lines(story):
    host = story.host
    folder = story.pair(story.leaf)
    host.write("/etc/wsgate/wsgate.yaml", WSGATE_YAML)
    for command in story.commands:
        # Where the operator's own pair is.
        command = command.replace("fullchain.pem", f"{folder}/fullchain.pem")
        command = command.replace("privkey.pem", f"{folder}/privkey.pem")
        host.sh(command)
    assert host.out("systemctl is-enabled ocspd wsgate").split() == \
        ["enabled", "enabled"]


@pytest.mark.row("install: from nothing to a stapled page and WebSocket")
def test_3_stapled_page_and_websocket_on_one_uri(story):
    host = story.host
    first_hour.wait_staple(host, story.leaf)
    # PHP's socket is www-data's: the line says so, and its mend works.
    line = host.wait_journal("SupplementaryGroups=www-data", "wsgate")
    assert "php8.2-fpm.sock" in line
    host.drop_in("wsgate.service",
                 "[Service]\nSupplementaryGroups=www-data\n")
    host.sh("systemctl restart wsgate")
    harness.wait_until(lambda: "page of /" in host.sh(
        f"curl -sS --cacert /root/root.pem --resolve {NAME}:443:127.0.0.1 "
        f"https://{NAME}/", code=None).out, "the page")
    assert story.page() == "page of /"
    assert story.leaves() == {story.leaf.fingerprint}
    with first_hour.Tunnel(host, story.root) as tunnel:
        tunnel.wait_echo(10)


@pytest.mark.row("install: renewal by the hook, stapled all the time")
def test_4_renewal_by_the_hook(story):
    host = story.host
    renewed = story.new_leaf()
    folder = story.pair(renewed)
    # certbot --deploy-hook "/usr/local/share/ocspd/hooks/certbot site"
    with first_hour.Tunnel(host, story.root) as tunnel, \
            first_hour.steady_handshakes(host, story.root) as clients:
        tunnel.wait_echo()
        host.sh(f"RENEWED_LINEAGE={shlex.quote(folder)} "
                f"RENEWED_DOMAINS={NAME} "
                "/usr/local/share/ocspd/hooks/certbot site", timeout=90)
        clients.wait_log(renewed.fingerprint)
        mark = clients.mark
        harness.wait_until(lambda: clients.mark >= mark + 100,
                           "100 more handshakes")
        tunnel.wait_echo(10)
        bad = [line for line in clients.lines if not line.endswith(" ok")]
        assert not bad, (len(clients.lines), bad[:5])
    assert story.leaves() == {renewed.fingerprint}
    assert story.page() == "page of /"
    story.leaf = renewed


def test_5_reload(story):
    host = story.host
    with first_hour.Tunnel(host, story.root) as tunnel:
        tunnel.wait_echo()
        host.write("/etc/wsgate/wsgate.yaml", WSGATE_YAML + "colour: red\n")
        assert host.sh("systemctl reload wsgate", code=None).code != 0
        host.wait_journal(r"wsgate\.yaml:6:1: .*colour", "wsgate")
        assert "wsgate.yaml:6:1" in host.out("systemctl status wsgate")
        host.write("/etc/wsgate/wsgate.yaml",
                   WSGATE_YAML.replace("index.php}", "index: index.html}"))
        host.write("/etc/wsgate/wsgate.yaml", WSGATE_YAML.replace(
            "{/: ", "{/new/: {files: /srv/www}, /: "))
        host.write("/srv/www/new/page.html", "new\n")
        host.sh("systemctl reload wsgate")
        assert story.page() == "page of /"
        tunnel.wait_echo(10)


def test_6_an_update_says_what_runs_on(story):
    """Installed once more over what runs."""
    out = story.make("install")
    command, = re.findall(r"^ {4}(.+)$", out, re.M)
    assert "restart ocspd wsgate" in command
    before = [story.host.main_pid(unit) for unit in ("ocspd", "wsgate")]
    story.host.sh(command)
    after = [story.host.main_pid(unit) for unit in ("ocspd", "wsgate")]
    assert not set(before) & set(after)
    assert story.page() == "page of /"


@pytest.mark.row("install: uninstall leaves what was before")
def test_7_uninstall(story):
    host = story.host
    host.sh("systemctl disable --now ocspd wsgate wsgate.socket")
    out = story.make("uninstall")
    for kept in ("/etc/ocspd", "/etc/wsgate", "/var/spool/ocspd"):
        assert kept in out
    left = story.files() - story.before
    ours = re.compile(r"/etc/(ocspd|wsgate|letsencrypt|systemd/system)(/|$)|"
                      r"/etc/(passwd|group|g?shadow)-?$|/var/lib/ocspd|"
                      r"/var/lib/(private|systemd)(/|$)")
    assert [path for path in left if not ours.match(path)] == []
    assert story.before - story.files() == set()
