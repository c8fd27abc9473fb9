"""What an operator puts on a machine (machine.py) in the first hour: a pair, two
configurations, a page; and the ways to look at what came of it."""
import harness
from responder import Responder

NAME = "www.example.org"

OCSPD_YAML = """spool: /var/spool/ocspd
# The responder of this test is on this machine.
allow_addresses: ["127.0.0.0/8"]
certificates:
  - path: "/etc/ocspd/certs/*.pem"
"""

WSGATE_YAML = """spool: /var/spool/ocspd
sites:
  - hosts: ["*"]
    listen: ["0.0.0.0:443", "[::]:443"]
    certificates: [{chain: certs/site.pem}]
    locations: {/: {files: /srv/www}}
"""


def put_pair(host, leaf, name="site"):
    """Chain and key in one file for wsgate, the chain alone for ocspd."""
    host.write(f"/etc/wsgate/certs/{name}.pem",
               leaf.chain_pem + leaf.key_pem, 0o640, "root:wsgate")
    host.write(f"/etc/ocspd/certs/{name}.pem", leaf.chain_pem, 0o640,
               "root:ocspd")


def put_site(host, leaf, ocspd_yaml=OCSPD_YAML, wsgate_yaml=WSGATE_YAML):
    """All of it, nothing started."""
    put_pair(host, leaf)
    host.write("/etc/ocspd/ocspd.yaml", ocspd_yaml)
    host.write("/etc/wsgate/wsgate.yaml", wsgate_yaml)
    host.write("/srv/www/index.html", "good day\n")


def responder(host, pki, port=8888):
    """A responder on the machine's own loopback address."""
    with host.network():
        return Responder(pki, port=port)


def new_leaf(pki, *names, port=8888, **how):
    return pki.leaf(*(names or [NAME]), ocsp=[f"http://127.0.0.1:{port}/"],
                    **how)


def wait_staple(host, leaf, timeout=harness.WAIT_S):
    """The spool's bytes for this certificate, once they are there."""
    path = host.path(f"/var/spool/ocspd/{leaf.fingerprint}.der")
    harness.wait_until(path.exists, f"a staple for {leaf.fingerprint[:12]}",
                       timeout)
    return path.read_bytes()


def handshakes(host, root, count=1, name=NAME, port=443, address="127.0.0.1",
               per_second=100):
    """What clients that ask for a staple see: (leaf's SHA-256, staple's SHA-256,
    "ok" or what is wrong) for each handshake."""
    with host.network():
        done = harness.run(harness.tool("handshakes"), root, address, port, name,
                           per_second, count, code=0, timeout=count + 60)
    return [tuple(line.split()) for line in done.out.splitlines()]


def steady_handshakes(host, root, name=NAME, port=443, per_second=100):
    """A harness.Daemon that shakes hands until it is stopped; its .lines are
    what handshakes() gives."""
    with host.network():
        return harness.Daemon(harness.tool("handshakes"), root, "127.0.0.1",
                              port, name, per_second, 10 ** 9, code=None)
