"""ocspd beside nginx and HAProxy as Debian packages them, in a booted machine:
what contrib/doc/servers.md says, word for word, through the path unit."""
import hashlib
import re

import pytest

import first_hour
import harness
import machine
import ocsp
from first_hour import NAME
from responder import Answer

pytestmark = [pytest.mark.must_run, pytest.mark.limit(240)]

# A minute between two reloads is for real hosts.
OCSPD_YAML = ("changed_interval: 5s\n" + first_hour.OCSPD_YAML +
              "    publish:\n")
HAPROXY_CFG = """
global
    stats socket /run/haproxy/admin.sock mode 660 level admin
    user haproxy
    group haproxy
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend tls
    bind :443 ssl crt /etc/haproxy/certs/site.pem
    http-request return status 200 content-type text/plain string good
"""
NGINX_CONF = """
server {
    listen 443 ssl;
    server_name www.example.org;
    ssl_certificate     /etc/nginx/tls/site.pem;
    ssl_certificate_key /etc/nginx/tls/site.key;
    include /etc/nginx/ocsp/site.conf*;
    location / { return 200 good; }
}
"""


@pytest.fixture
def host(tmp_path):
    with machine.boot(tmp_path) as made:
        yield made


def document(section):
    """The code blocks of that section of the handbook's page."""
    text = (harness.ROOT / "contrib/doc/servers.md").read_text()
    part = text.split(f"\n## {section}\n")[1].split("\n## ")[0]
    return re.findall(r"^```(\w*)\n(.*?)^```", part, re.M | re.S)


def publish_rows(section):
    yaml = next(body for kind, body in document(section) if kind == "yaml")
    return OCSPD_YAML + yaml.split("publish:\n")[1]


def follow(host, section):
    """The page's commands; where it says so, those that `ocspd check --units`
    shows."""
    shell = next(body for kind, body in document(section) if kind == "sh")
    shown = ""
    for line in shell.splitlines():
        if not line.startswith("#"):
            shown += host.out(line)
            continue
        assert "run:" in line
        print(shown)
        for command in re.findall(r"^# run: (.*)$", shown, re.M):
            host.sh(command)


def digest(data):
    return hashlib.sha256(data).hexdigest()


def wait_wire(host, root, der):
    """Until clients get exactly these bytes, and find them good."""
    harness.wait_until(
        lambda: first_hour.handshakes(host, root)[0][1:] == (digest(der), "ok"),
        "the response on the wire", 75)


def renew(host, leaf, responder):
    """The responder has a newer one: asked for at once."""
    before = first_hour.wait_staple(host, leaf)
    responder.serve(Answer(ocsp.Response(
        [ocsp.Single(this=-60, next=5 * 86400)])))
    host.sh(f"rm /var/spool/ocspd/{leaf.fingerprint}.der && "
            "systemctl reload ocspd")
    path = host.path(f"/var/spool/ocspd/{leaf.fingerprint}.der")
    harness.wait_until(lambda: path.exists() and path.read_bytes() != before,
                       "a newer response in the spool")
    return path.read_bytes()


@pytest.mark.row("publish: nginx through the path unit, renewed")
def test_nginx_staples_and_renews(host, pki, tmp_path):
    leaf = first_hour.new_leaf(pki)
    root = pki.root.write(tmp_path / "root.pem")
    first_hour.put_site(host, leaf, publish_rows("nginx"))
    host.write("/etc/nginx/tls/site.pem", leaf.chain_pem)
    host.write("/etc/nginx/tls/site.key", leaf.key_pem, 0o600)
    host.write("/etc/nginx/conf.d/site.conf", NGINX_CONF)
    host.sh("systemctl start nginx")
    with first_hour.responder(host, pki) as responder:
        host.sh("systemctl enable --now ocspd")
        follow(host, "nginx")
        wait_wire(host, root, first_hour.wait_staple(host, leaf))
        wait_wire(host, root, renew(host, leaf, responder))
    assert host.out("systemctl is-failed nginx ocspd "
                    "ocspd-publish@nginx.service || :").split() == \
        ["active", "active", "inactive"]


@pytest.mark.row("publish: the path unit outlives a storm of changes")
def test_many_changes_at_once_do_not_end_the_path_unit(host):
    host.write("/etc/ocspd/publish.d/other", "#!/bin/sh\necho it runs\n", 0o755)
    host.sh("install -d -o ocspd /run/ocspd/changed && "
            "systemctl start ocspd-publish@other.path")
    for _ in range(20):         # five in ten seconds are systemd's limit
        cursor = host.cursor()
        host.sh("touch /run/ocspd/changed/other")
        host.wait_journal("it runs", "ocspd-publish@other", cursor)
        harness.wait_until(lambda: host.out(
            "systemctl show -p ActiveState --value ocspd-publish@other"
            ) == "inactive", "it has run")
    assert host.out("systemctl is-active ocspd-publish@other.path") == "active"


@pytest.mark.row("publish: HAProxy over its socket, renewed, restarted")
def test_haproxy_staples_and_renews(host, pki, tmp_path):
    leaf = first_hour.new_leaf(pki)
    root = pki.root.write(tmp_path / "root.pem")
    first_hour.put_site(host, leaf, publish_rows("HAProxy"))
    host.write("/etc/haproxy/certs/site.pem", leaf.chain_pem + leaf.key_pem)
    host.write("/etc/haproxy/haproxy.cfg", HAPROXY_CFG)
    host.sh("systemctl start haproxy")
    with first_hour.responder(host, pki) as responder:
        host.sh("systemctl enable --now ocspd")
        follow(host, "HAProxy")
        wait_wire(host, root, first_hour.wait_staple(host, leaf))
        newer = renew(host, leaf, responder)
        wait_wire(host, root, newer)
        host.sh("systemctl stop ocspd; systemctl restart haproxy")
        harness.wait_until(
            lambda: first_hour.handshakes(host, root)[0][2] == "ok",
            "stapled from the file")
        wait_wire(host, root, newer)
