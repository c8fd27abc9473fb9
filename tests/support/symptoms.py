"""What the tests of the first hour's symptoms share: a machine as it was, a
start that must fail, and the mend of a line applied word for word."""
import contextlib
import re

from cryptography.hazmat.primitives import serialization

UNITS = ("wsgate.service", "wsgate.socket", "ocspd.service")


def fresh(host):
    """Nothing runs, no drop-in, no counted start; folders as installed."""
    host.sh(f"systemctl stop {' '.join(UNITS)} 2>/dev/null", code=None)
    host.sh("rm -rf /etc/systemd/system/*.service.d "
            "/etc/systemd/system/*.socket.d && systemctl daemon-reload && "
            f"systemctl reset-failed {' '.join(UNITS)}; "
            "rm -f /etc/wsgate/certs/* && systemd-tmpfiles --create "
            "ocspd.conf wsgate.conf && mkdir -p /srv/www && "
            "chmod 755 /var/spool/ocspd")


def site(certificate="{chain: certs/site.pem}", listen='"0.0.0.0:443"',
         locations="{files: /srv/www}"):
    """A whole wsgate.yaml of one site."""
    return ('sites:\n'
            '  - hosts: ["*"]\n'
            f'    listen: [{listen}]\n'
            f'    certificates: [{certificate}]\n'
            f'    locations: {{/: {locations}}}\n')


def failed_start(host, code):
    """`systemctl start wsgate` that must fail with that code, once; the line
    the journal has of it."""
    cursor = host.cursor()
    assert host.sh("systemctl start wsgate", code=None).code != 0
    line = host.wait_journal("cannot start", "wsgate", cursor)
    shown = host.show("wsgate")
    assert (shown["ExecMainStatus"], shown["NRestarts"]) == (str(code), "0")
    assert shown["ActiveState"] == "failed"
    return line


def apply(host, line):
    """Does what stands in backticks, in order; `systemctl edit UNIT` with the
    section and the setting behind it."""
    found = re.findall(
        r"`systemctl edit (\S+)`: (\[\w+\]) (.+?); |`([^`]+)`", line)
    assert found, f"no mend in: {line}"
    for unit, section, setting, command in found:
        if command:
            host.sh(command)
            continue
        asked = re.fullmatch(r"(\w+=)(?: and what|\S+ if) `(.+)` prints"
                             "(?: that)?", setting)
        if asked:
            setting = asked[1] + host.out(asked[2])
        unit += "" if "." in unit else ".service"
        host.drop_in(unit, f"{section}\n{setting}\n", "mend")


def curl(host, *words, port=443):
    return host.sh(f"curl -sk --max-time 20 {' '.join(words)} "
                   f"https://127.0.0.1:{port}/")


def page(host, port=443):
    return curl(host, "-f", port=port).out


def status(host, port=443):
    return int(curl(host, "-o /dev/null -w '%{http_code}'", port=port).out)


def der_key(leaf):
    return leaf.key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption())


def certbot_layout(host, leaf, name="www.example.org"):
    """What `certbot certonly` leaves: live/ and archive/ for root alone."""
    base = "/etc/letsencrypt"
    host.sh(f"mkdir -p {base}/live/{name} {base}/archive/{name} "
            f"{base}/renewal-hooks/deploy && chmod 700 {base}/live "
            f"{base}/archive && rm -f {base}/renewal-hooks/deploy/*")
    for file, content in (("fullchain", leaf.chain_pem),
                          ("privkey", leaf.key_pem)):
        host.write(f"{base}/archive/{name}/{file}1.pem", content,
                   0o600 if file == "privkey" else 0o644)
        host.sh(f"ln -sfn ../../archive/{name}/{file}1.pem "
                f"{base}/live/{name}/{file}.pem")


def failed_start_again(host):
    """As failed_start(), for what systemd tries again."""
    cursor = host.cursor()
    host.sh("systemctl start wsgate", code=None)
    return host.wait_journal("cannot start", "wsgate", cursor)


@contextlib.contextmanager
def program(host, command, name="other"):
    """Somebody's server, outside of our units' rights."""
    host.sh(f"systemd-run -q --collect --unit={name} {command}")
    try:
        yield
    finally:
        host.sh(f"systemctl stop {name} 2>/dev/null", code=None)
