"""Certificates obtained and renewed by the ACME clients of the distribution,
from pebble, through their hooks, on a machine that serves meanwhile."""
import json
import ssl
import threading
import urllib.request

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

import first_hour
import harness
import machine
import pki as pki_module
from responder import Answer, Responder

pytestmark = [pytest.mark.must_run, pytest.mark.limit(240)]

HOOKS = "/usr/local/share/ocspd/hooks"
SERVER = "https://127.0.0.1:14000/dir"
BUNDLE = "/root/pebble.pem"      # who signed pebble's own certificate
RESPONDER_PORT = 8888

PEBBLE = {"pebble": {
    "listenAddress": "127.0.0.1:14000",
    "managementListenAddress": "127.0.0.1:15000",
    "certificate": "/root/pebble-chain.pem", "privateKey": "/root/pebble.key",
    "httpPort": 80, "tlsPort": 443,
    "ocspResponderURL": f"http://127.0.0.1:{RESPONDER_PORT}/",
    "externalAccountBindingRequired": False}}
PEBBLE_ENV = "PEBBLE_VA_NOSLEEP=1 PEBBLE_AUTHZREUSE=0 " \
    "PEBBLE_WFE_NONCEREJECT=0"
# Every name is this machine: pebble looks at its port 80 as the world would.
NAMES = "pebble-challtestsrv -defaultIPv4 127.0.0.1 -defaultIPv6 '' " \
    "-dns01 127.0.0.1:8053 -management 127.0.0.1:8055 -http01 '' " \
    "-https01 '' -tlsalpn01 ''"

CERTBOT = f"cd / && REQUESTS_CA_BUNDLE={BUNDLE} certbot -n "
LEGO = f"cd / && LEGO_CA_CERTIFICATES={BUNDLE} lego --server {SERVER} --path " \
    "/var/lib/lego --email hostmaster@example.org --accept-tos --http " \
    "--http.webroot /srv/www --domains NAME "
DEHYDRATED = f"cd / && CURL_CA_BUNDLE={BUNDLE} dehydrated "
DEHYDRATED_CONFIG = f"""CA={SERVER}
HOOK={HOOKS}/dehydrated
WELLKNOWN=/srv/www/.well-known/acme-challenge
BASEDIR=/var/lib/dehydrated
KEY_ALGO=prime256v1
DOMAINS_TXT=/etc/dehydrated/domains.txt
"""

# How each client obtains its first certificate, and renews it at once.
CLIENTS = {
    "certbot": (
        f"{CERTBOT} certonly --server {SERVER} --agree-tos -m "
        "hostmaster@example.org --standalone -d NAME "
        f"--deploy-hook {HOOKS}/certbot",
        # The port is wsgate's by now.
        f"{CERTBOT} renew --webroot -w /srv/www --force-renewal "
        "--no-random-sleep-on-renew"),
    "lego": (
        f"{LEGO} run --run-hook {HOOKS}/lego",
        f"{LEGO} renew --days 9999 --no-random-sleep "
        f"--renew-hook {HOOKS}/lego"),
    "dehydrated": (
        f"echo NAME >/etc/dehydrated/domains.txt && {DEHYDRATED} --register "
        f"--accept-terms && {DEHYDRATED} -c",
        f"{DEHYDRATED} -c -x"),
}

# The first one is for every name, as in the first hour. A challenge comes to
# port 80, is sent to 443 and finds its file there.
SITE = """  - hosts: ["HOST"]
    listen: ["0.0.0.0:443", "[::]:443"]
    redirect_from: ["0.0.0.0:80", "[::]:80"]
    certificates: [{chain: certs/NAME.pem}]
    locations: {/: {websocket: "127.0.0.1:9000", files: /srv/www}}
"""


class _Leaf:
    """Enough of a certificate to answer for: any that pebble issues."""

    def __init__(self, serial, issuer):
        self.serial, self.issuer = serial, issuer


class PebblePki:
    """pebble's intermediate, for a responder that knows every serial."""

    def __init__(self, issuer):
        self.issuer = issuer
        self.leaves = self

    def get(self, serial):
        return None if serial is None else _Leaf(serial, self.issuer)


def from_pebble(host, path):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with host.network(), urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPSHandler(context=context)).open(
                f"https://127.0.0.1:15000{path}", timeout=10) as answer:
        return answer.read()


class Acme:
    """The machine, pebble and a responder for what it issues."""

    def __init__(self, host, folder, responder):
        self.host, self.responder = host, responder
        self.root = folder / "root.pem"
        self.names = []

    def fingerprint(self, name, folder="ocspd"):
        """Of the certificate in that program's file."""
        pem = self.host.read(f"/etc/{folder}/certs/{name}.pem")
        return pki_module.Cert(x509.load_pem_x509_certificate(pem.encode()),
                               None, None).fingerprint

    def configure(self, name):
        """One more site."""
        self.names.append(name)
        self.host.write("/etc/wsgate/wsgate.yaml",
                        "spool: /var/spool/ocspd\nsites:\n" + "".join(
                            SITE.replace("NAME", one).replace(
                                "HOST", one if one != self.names[0] else "*")
                            for one in self.names))

    def serve(self):
        if self.host.ok("systemctl -q is-active wsgate"):
            self.host.sh("systemctl reload wsgate")
        else:
            self.host.sh("systemctl enable --now ocspd wsgate")


def start_pebble(host, pki):
    leaf = pki_module.leaf(pki.ca, "127.0.0.1", "localhost")
    host.write("/root/pebble-chain.pem", leaf.chain_pem)
    host.write("/root/pebble.key", leaf.key_pem)
    host.write(BUNDLE, pki.root.pem)
    host.write("/root/pebble.json", json.dumps(PEBBLE))
    daemon = host.daemon(f"env {PEBBLE_ENV} pebble -config /root/pebble.json "
                         "-dnsserver 127.0.0.1:8053")
    daemon.wait_log("Management interface")
    daemon.wait_log("ACME directory available")
    return daemon


@pytest.fixture(scope="module")
def acme(tmp_path_factory, pki):
    folder = tmp_path_factory.mktemp("renewal")
    with machine.boot(folder) as host, host.daemon(NAMES), \
            start_pebble(host, pki):
        issuer = pki_module.Cert(
            x509.load_pem_x509_certificate(
                from_pebble(host, "/intermediates/0")),
            serialization.load_pem_private_key(
                from_pebble(host, "/intermediate-keys/0"), None), None)
        with host.network():
            responder = Responder(PebblePki(issuer), port=RESPONDER_PORT)
        made = Acme(host, folder, responder)
        made.root.write_bytes(from_pebble(host, "/roots/0"))
        host.write("/etc/ocspd/ocspd.yaml", first_hour.OCSPD_YAML)
        host.write("/srv/www/index.html", "good day\n")
        host.write("/etc/dehydrated/config", DEHYDRATED_CONFIG)
        host.sh("mkdir -p /srv/www/.well-known/acme-challenge")
        with responder, first_hour.websocket_server(host):
            # Somebody must serve port 80 before the others can come.
            made.told, made.first = obtain(made, "certbot", first_hour.NAME)
            yield made


def all_ok(lines):
    bad = [line for line in lines if not line.endswith(" ok")]
    assert not bad, (len(lines), bad[:5])


def obtain(acme, client, name):
    """The first certificate, and a site with it."""
    acme.configure(name)
    acme.responder.serve(Answer())
    done = acme.host.sh(CLIENTS[client][0].replace("NAME", name))
    acme.serve()
    seen = acme.fingerprint(name)
    assert acme.fingerprint(name, "wsgate") == seen
    harness.wait_until(lambda: all(
        verdict == "ok" for _, _, verdict in first_hour.handshakes(
            acme.host, acme.root, 3, name)), "stapled from the start")
    return done.out + done.err, seen


def renew_under_load(acme, client, name, old):
    """The responder keeps its answer back for a while: meanwhile the old pair
    is served, whole and stapled; then the new one, and nobody fails."""
    host, ready = acme.host, threading.Event()
    pair = f"/etc/wsgate/certs/{name}.pem"
    before = host.read(pair)
    with first_hour.Tunnel(host, acme.root, name=name) as tunnel, \
            first_hour.steady_handshakes(host, acme.root, name) as clients:
        tunnel.wait_echo()
        acme.responder.serve(Answer(wait=ready))
        command = CLIENTS[client][1].replace("NAME", name)
        with host.daemon(f"bash -c '{command}'", code=0) as renewal:
            harness.wait_until(lambda: host.ok(
                f"test -e /etc/ocspd/certs/{name}.new.pem"),
                "the new chain is in ocspd's care")
            new = acme.fingerprint(f"{name}.new")
            mark = clients.mark
            harness.wait_until(lambda: clients.mark >= mark + 100,
                               "100 handshakes while it waits")
            assert host.read(pair) == before and renewal.is_alive()
            assert {line.split()[0] for line in clients.lines} == {old}
            ready.set()
            assert renewal.wait_exit(90) == 0, renewal.tail()
        clients.wait_log(new)
        mark = clients.mark
        harness.wait_until(lambda: clients.mark >= mark + 100,
                           "100 handshakes after it")
        lines = clients.lines
        tunnel.wait_echo(10)
    all_ok(lines)
    assert {line.split()[0] for line in lines} == {old, new}
    assert {line.split()[0] for line in lines[-50:]} == {new}
    assert acme.fingerprint(name) == acme.fingerprint(name, "wsgate") == new
    return new



@pytest.mark.row("hooks: certbot against pebble, renewed while tunnels run")
def test_certbot_obtains_and_renews(acme):
    # At the first issue ocspd was not running yet: no wait for nothing.
    assert "ocspd does not run (systemctl enable --now ocspd)" in acme.told
    renew_under_load(acme, "certbot", first_hour.NAME, acme.first)
    files = acme.host.out("cd /etc && stat -c '%n %U:%G %a' "
                          f"$(find . -path '*/certs/*{first_hour.NAME}*')")
    assert sorted(files.splitlines()) == [
        f"./ocspd/certs/{first_hour.NAME}.pem root:ocspd 640",
        f"./wsgate/certs/{first_hour.NAME}.pem root:wsgate 640"]
    assert acme.host.out("stat -c %a /etc/letsencrypt/live") == "700"


@pytest.mark.row("hooks: lego against pebble")
def test_lego_obtains_and_renews(acme):
    name = "lego.example.org"
    _, old = obtain(acme, "lego", name)
    renew_under_load(acme, "lego", name, old)


@pytest.mark.row("hooks: dehydrated against pebble")
def test_dehydrated_obtains_and_renews(acme):
    name = "dehydrated.example.org"
    _, old = obtain(acme, "dehydrated", name)
    renew_under_load(acme, "dehydrated", name, old)
    again = acme.host.sh(f"{DEHYDRATED} -c")
    assert f"deploy-pair: {name}: already in place" in again.out


def test_the_operator_reads_in_certbots_output_why_there_is_no_staple(acme):
    host, name = acme.host, first_hour.NAME
    acme.responder.serve(Answer(code=503))
    done = host.sh(f"OCSPD_WAIT=3s && export OCSPD_WAIT && {CERTBOT} certonly "
                   f"--webroot -w /srv/www -d {name} --force-renewal --server "
                   f"{SERVER} --deploy-hook {HOOKS}/certbot")
    assert "Hook 'deploy-hook' ran with error output" in done.err
    assert "is not live: http-status: HTTP status 503" in done.err
    assert "warning: no staple for it after 3s: put in use without one" in \
        done.err
    new = acme.fingerprint(name, "wsgate")
    assert acme.fingerprint(name) == new
    harness.wait_until(lambda: {line[0] for line in first_hour.handshakes(
        host, acme.root, 3, name)} == {new}, "the new one is served")
