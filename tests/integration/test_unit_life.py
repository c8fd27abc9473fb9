"""Both units in a booted machine: started in any order, reloaded, stopped and
restarted by systemd; what a crash, a hang or a mistake does to them."""
import json
import re
import time

import first_hour
import machine
import pytest
import units
from harness import can_connect, wait_until

pytestmark = [pytest.mark.must_run, pytest.mark.limit(180)]

YAML = """workers: 2
spool: /var/spool/ocspd
sites:
  - hosts: ["*"]
    listen: ["0.0.0.0:443", "[::]:443"]
    redirect_from: ["0.0.0.0:80", "[::]:80"]
    certificates: [{chain: certs/site.pem}]
    locations: {/: {files: /srv/www}}
"""
MISTAKE = "sites_of_mine: []\n"


class Site:
    def __init__(self, host, pki, folder):
        self.host, self.pki = host, pki
        self.root = pki.root.write(folder / "root.pem")
        self.leaf = first_hour.new_leaf(pki)
        self.staple = f"/var/spool/ocspd/{self.leaf.fingerprint}.der"

    def set_up(self):
        """As it was at first, both running."""
        self.host.sh(
            "systemctl stop wsgate wsgate.socket ocspd; "
            "systemd-tmpfiles --create ocspd.conf wsgate.conf; "
            "rm -rf /etc/systemd/system/{wsgate,ocspd}.{service,socket}.d; "
            "systemctl daemon-reload; systemctl reset-failed")
        first_hour.put_site(self.host, self.leaf, wsgate_yaml=YAML)
        self.host.sh("systemctl start ocspd wsgate")
        first_hour.wait_staple(self.host, self.leaf)
        wait_until(lambda: self.verdict() == "ok", "a stapled handshake")

    def verdict(self):
        """"ok", or what a client that asks for a staple finds wrong."""
        return first_hour.handshakes(self.host, self.root)[0][2]

    def get(self, *words, url=f"https://{first_hour.NAME}/", code=0):
        self.host.write("/run/root.pem", self.pki.root.pem)
        return self.host.sh(
            "curl -sS --max-time 30 --cacert /run/root.pem --cert-status "
            f"--resolve {first_hour.NAME}:443:127.0.0.1 "
            + " ".join((*words, url)), code=code).out

    def is_open(self, port=443):
        with self.host.network():
            return can_connect(port)

    def state(self, unit):
        found = self.host.show(unit)
        return found["ActiveState"], found["SubState"]

    def starts(self, unit, cursor):
        """How often systemd tried, since then."""
        return self.host.journal(unit, cursor).count(f"Starting {unit}.service")


@pytest.fixture(scope="module")
def running(tmp_path_factory, pki):
    folder = tmp_path_factory.mktemp("machine")
    with machine.boot(folder) as host, first_hour.responder(host, pki):
        yield Site(host, pki, folder)


@pytest.fixture
def site(running):
    running.set_up()
    return running


@pytest.fixture
def host(site):
    return site.host


# ---- start and status ------------------------------------------------------------------

@pytest.mark.row("systemd: READY and STATUS")
def test_a_unit_becomes_ready_and_tells_its_status(site, host):
    for unit, text in (("ocspd", "1 of 1 certificates stapled, 0 failing"),
                       ("wsgate", "1 sites, 2 workers")):
        assert site.state(unit) == ("active", "running")
        wait_until(lambda: host.show(unit)["StatusText"] == text,  # noqa: B023
                   f"{unit}: {text}")
        assert host.show(unit)["NRestarts"] == "0"
    assert host.out(f"stat -c '%U:%G %a' {site.staple}") == "ocspd:ocspd 644"
    assert "live" in host.out("ocspd status")


@pytest.mark.row("systemd: LISTEN_FDS")
def test_ports_below_1024_come_from_the_socket_unit(site, host):
    assert site.get() == "good day\n"
    for address in ("127.0.0.1", "[::1]"):
        assert site.get("--resolve", f"'{first_hour.NAME}:443:{address}'") == \
            "good day\n"
        assert site.get(
            "-o /dev/null -w '%{http_code} %{redirect_url}'", "-H",
            f"'Host: {first_hour.NAME}'", url=f"'http://{address}/here'") == \
            f"308 https://{first_hour.NAME}/here"
    found = host.out("ss -Hltn '( sport = :443 or sport = :80 )'")
    assert len(found.splitlines()) == 4


def test_the_journal_knows_how_urgent_a_line_is(host):
    text = host.out("journalctl -q -o json --output-fields=PRIORITY,MESSAGE "
                    "-u wsgate -u ocspd _TRANSPORT=stdout")
    lines = [json.loads(line) for line in text.splitlines()]
    ready = [line for line in lines if "ready" in line["MESSAGE"] and
             "generation=1" in line["MESSAGE"]]
    assert ready and all(line["PRIORITY"] == "6" for line in ready)
    assert not any(line["MESSAGE"].startswith("<") for line in lines)


# ---- reload ------------------------------------------------------------------------------

@pytest.mark.row("systemd: reload")
def test_reload_takes_the_new_configuration_in_the_same_process(site, host):
    pids = [host.main_pid(unit) for unit in ("wsgate", "ocspd")]
    host.write("/srv/more/index.html", "more\n")
    host.write("/etc/wsgate/wsgate.yaml",
               YAML.replace("/srv/www", "/srv/more"))
    cursor = host.cursor()
    host.sh("systemctl reload wsgate ocspd")
    wait_until(lambda: site.get() == "more\n", "the new page")
    host.wait_journal("configuration loaded", "ocspd", cursor)
    for unit in ("wsgate", "ocspd"):
        assert site.state(unit) == ("active", "running")
    assert [host.main_pid(unit) for unit in ("wsgate", "ocspd")] == pids


@pytest.mark.row("systemd: reload")
def test_reload_of_a_bad_configuration_fails_and_changes_nothing(site, host):
    for unit in ("wsgate", "ocspd"):
        pid, cursor = host.main_pid(unit), host.cursor()
        path = f"/etc/{unit}/{unit}.yaml"
        host.write(path, host.read(path) + MISTAKE)
        assert host.sh(f"systemctl reload {unit}", code=None).code != 0
        host.wait_journal(rf"{unit}.yaml:\d+:1: .*sites_of_mine", unit, cursor)
        assert site.state(unit) == ("active", "running")
        cursor = host.cursor()
        host.sh(f"systemctl kill --kill-who=main -s HUP {unit}")
        host.wait_journal("reload failed, the old configuration stays", unit,
                          cursor)
        assert site.state(unit) == ("active", "running")
        assert host.main_pid(unit) == pid
    assert "old configuration" in host.show("wsgate")["StatusText"]
    assert site.get() == "good day\n"


# ---- order and absence ---------------------------------------------------------------------

@pytest.mark.row("systemd: any order of start")
@pytest.mark.parametrize("has_folder", [True, False],
                         ids=["empty-spool", "no-spool"])
def test_wsgate_serves_before_ocspd_and_staples_after(site, host, has_folder):
    host.sh("systemctl stop ocspd wsgate; rm -rf /var/spool/ocspd" +
            ("/*" if has_folder else ""))
    host.sh("systemctl start wsgate")
    assert site.verdict() == "no-staple"
    pids = units.workers(host)
    host.sh("systemd-tmpfiles --create ocspd.conf; systemctl start ocspd")
    wait_until(lambda: site.verdict() == "ok", "a stapled handshake")
    assert units.workers(host) == pids


def test_ocspd_without_its_spool_names_the_mend(site, host):
    host.sh("systemctl stop ocspd; rm -rf /var/spool/ocspd")
    cursor = host.cursor()
    assert host.sh("systemctl start ocspd", code=None).code != 0
    host.wait_journal("spool /var/spool/ocspd cannot be created.*"
                      "systemd-tmpfiles --create ocspd.conf", "ocspd", cursor)
    host.sh("systemd-tmpfiles --create ocspd.conf; systemctl start ocspd")
    first_hour.wait_staple(host, site.leaf)


def test_enabled_units_come_up_with_the_machine(site, host, tmp_path):
    """A second machine over the first one's /etc, its spool not made yet."""
    host.sh("systemctl enable ocspd wsgate; "
            "tar -C / -cf /notes/etc.tar etc srv")
    notes = site.root.parent / "notes"

    def fill(dest):
        machine.make_install(dest)
        units.unpack(notes / "etc.tar", dest)
    with machine.boot(tmp_path, installed=False, prepare=fill) as second:
        for unit in ("ocspd.service", "wsgate.service", "wsgate.socket"):
            assert second.show(unit)["ActiveState"] == "active", unit
            assert second.show(unit).get("NRestarts", "0") == "0"
        assert second.out("stat -c '%U:%G %a' /var/spool/ocspd") == \
            "ocspd:ocspd 755"
        assert first_hour.handshakes(second, site.root)[0][0] == \
            site.leaf.fingerprint
        second.sh("systemctl disable --now wsgate wsgate.socket ocspd")
        for unit in ("ocspd.service", "wsgate.service", "wsgate.socket"):
            assert second.show(unit)["ActiveState"] == "inactive"
            assert second.sh(f"systemctl is-enabled {unit}",
                             code=1).out == "disabled\n"
        with second.network():
            assert not can_connect(443) and not can_connect(80)
    host.sh("systemctl disable ocspd wsgate")


# ---- stop ------------------------------------------------------------------------------

@pytest.mark.row("systemd: stop")
def test_stop_is_clean_and_leaves_the_staple(site, host):
    host.sh("systemctl stop wsgate.service wsgate.socket ocspd")
    for unit in ("ocspd", "wsgate"):
        found = host.show(unit)
        assert (found["ActiveState"], found["Result"],
                found["ExecMainStatus"]) == ("inactive", "success", "0")
    assert host.out(f"stat -c %a {site.staple}") == "644"
    assert not site.is_open(443) and not site.is_open(80)


@pytest.mark.row("systemd: stop")
def test_who_stops_wsgate_alone_is_told_that_a_visitor_starts_it(site, host):
    told = host.sh("systemctl stop wsgate")
    assert "wsgate.socket" in told.err
    assert site.state("wsgate") == ("inactive", "dead")
    assert site.get("--no-cert-status") == "good day\n"
    assert site.state("wsgate") == ("active", "running")
    host.sh("systemctl stop wsgate.socket")          # takes wsgate along
    assert site.state("wsgate") == ("inactive", "dead")
    assert not site.is_open()


def test_a_socket_that_nobody_serves_is_named_once(host):
    host.write("/etc/wsgate/wsgate.yaml", re.sub(
        "    redirect_from.*\n", "", YAML))
    cursor = host.cursor()
    host.sh("systemctl restart wsgate")
    text = host.journal("wsgate", cursor)
    for address in (r"0\.0\.0\.0:80", r"\[::\]:80"):
        assert re.search(rf'not in the configuration.*address="?{address}',
                         text), text
    assert not re.search("not in the configuration.*:443", text)
    renewed = "/etc/wsgate/certs/site.pem"
    for count in (1, 2):
        host.sh("openssl req -x509 -newkey rsa:2048 -nodes -days 9 "
                f"-subj /CN={count} -keyout /tmp/key -out /tmp/chain && "
                f"cat /tmp/chain /tmp/key >{renewed}")
        host.wait_journal(f"certificate replaced.*generation={count + 1}",
                          "wsgate", cursor)
    assert host.journal("wsgate", cursor).count(
        "not in the configuration") == 2


# ---- watchdog ------------------------------------------------------------------------------

@pytest.mark.row("systemd: watchdog")
def test_the_watchdog_replaces_a_stopped_process(site, host):
    for unit in ("ocspd", "wsgate"):
        host.drop_in(f"{unit}.service", "[Service]\nWatchdogSec=2\n")
    host.sh("systemctl restart ocspd wsgate")
    time.sleep(3)       # pause: longer than the watchdog waits
    for unit in ("wsgate", "ocspd"):
        assert host.show(unit)["NRestarts"] == "0"
        staple, cursor = host.read(site.staple), host.cursor()
        other = {"wsgate": "ocspd", "ocspd": "wsgate"}[unit]
        others_pid = host.main_pid(other)
        host.sh(f"kill -STOP {host.main_pid(unit)}")
        if unit == "ocspd":
            assert site.verdict() == "ok"       # nobody waits for it
        wait_until(lambda: host.show(unit)["NRestarts"] == "1" and  # noqa
                   site.state(unit) == ("active", "running"),  # noqa: B023
                   f"another {unit}")
        host.wait_journal(rf"{unit}\.service: Watchdog timeout", unit, cursor)
        assert host.read(site.staple) == staple
        assert site.get() == "good day\n"
        assert host.main_pid(other) == others_pid


# ---- crashes ---------------------------------------------------------------------------------

DIES = """[Service]
ExecStart=
ExecStart=/bin/sh -c "kill -9 $$$$"
"""


@pytest.mark.row("systemd: crash loops end")
def test_a_master_that_always_dies_is_given_up(site, host):
    """With visitors before the door, who are turned away in the end."""
    for unit in ("ocspd", "wsgate"):
        host.drop_in(f"{unit}.service", DIES)
    cursor = host.cursor()
    with units.Visitors(host, 80, per_second=20):
        host.sh(f"kill -9 {host.main_pid('ocspd')} {host.main_pid('wsgate')}")
        for unit in ("wsgate", "ocspd"):
            host.wait_journal(rf"{unit}\.service: Start request repeated too "
                              "quickly", unit, cursor, timeout=60)
            assert 5 <= site.starts(unit, cursor) <= 10
            assert site.state(unit) == ("failed", "failed")
        wait_until(lambda: not site.is_open(), "the ports are closed")
        starts = site.starts("wsgate", cursor)
        time.sleep(2)       # pause: longer than RestartSec
        assert site.starts("wsgate", cursor) == starts
    host.sh("rm -r /etc/systemd/system/{ocspd,wsgate}.service.d; "
            "systemctl daemon-reload")
    # As contrib/doc/troubleshooting.md says:
    host.sh("systemctl reset-failed ocspd wsgate; "
            "systemctl start ocspd wsgate")
    assert site.get() == "good day\n"


def mistake(host, unit, code):
    """Something that ends the unit's start with that code; its mend."""
    path = f"/etc/{unit}/{unit}.yaml"
    if code == 64:
        host.drop_in(f"{unit}.service", "[Service]\nExecStart=\n"
                     f"ExecStart=/usr/local/sbin/{unit} --no-such-option\n")
        return f"rm -r /etc/systemd/system/{unit}.service.d; " \
            "systemctl daemon-reload"
    if code == 77:
        host.sh(f"chmod 600 {path}")
        return f"chmod 644 {path}"
    good = host.read(path)
    host.write("/root/good.yaml", good)
    host.write(path, good + MISTAKE)
    return f"cp /root/good.yaml {path}"


@pytest.mark.row("systemd: a mistake is not tried again")
@pytest.mark.parametrize("code", [64, 77, 78])
@pytest.mark.parametrize("unit", ["ocspd", "wsgate"])
def test_a_mistake_is_said_once(site, host, unit, code):
    """Visitors do not start it again either; mended, it starts at once."""
    mend, cursor = mistake(host, unit, code), host.cursor()
    with units.Visitors(host, 80, per_second=50) as visitors:
        assert host.sh(f"systemctl restart {unit}", code=None).code != 0
        time.sleep(3)       # pause: longer than RestartSec
    found = host.show(unit)
    assert (found["ActiveState"], found["NRestarts"],
            found["ExecMainStatus"]) == ("failed", "0", str(code))
    assert site.starts(unit, cursor) == 1
    if unit == "wsgate":
        assert visitors.count["ConnectionRefusedError"] > 50
        assert "TimeoutError" not in visitors.count
    host.sh(f"{mend}; systemctl start {unit}")
    assert site.get() == "good day\n"


def test_an_unreadable_key_is_named_and_not_tried_again(site, host):
    """Chain and key in two files, the key closed to wsgate."""
    host.write("/etc/wsgate/certs/site.key", site.leaf.key_pem, 0o600)
    host.write("/etc/wsgate/wsgate.yaml", YAML.replace(
        "site.pem}", "site.pem, key: certs/site.key}"))
    cursor = host.cursor()
    assert host.sh("systemctl restart wsgate", code=None).code != 0
    assert host.show("wsgate")["ExecMainStatus"] == "77"
    host.wait_journal(r"site\.key.*Permission denied", "wsgate", cursor)
    host.sh("chgrp wsgate /etc/wsgate/certs/site.key; "
            "chmod 640 /etc/wsgate/certs/site.key; systemctl start wsgate")
    assert site.get("--no-cert-status") == "good day\n"


@pytest.mark.row("systemd: crash loops end")
def test_a_worker_that_always_dies_is_started_less_and_less(site, host):
    """Killed as soon as it is there; the other one goes on."""
    keeper, victim = sorted(units.workers(host))
    clients, kept = [], []

    def are_kept():
        clients.append(units.connect(host, 80))
        clients[-1].get("/")
        kept[:] = [client for client, pid in zip(clients, units.servers(
            host, *clients)) if pid == keeper]
        return len(kept) > 2
    wait_until(are_kept, "connections of the other one")
    used = units.cpu_s(host, "wsgate")
    killed, end = set(), time.monotonic() + 15
    while time.monotonic() < end:
        for pid in units.workers(host) - {keeper}:
            host.sh(f"kill -9 {pid}", code=None)
            killed.add(pid)
        assert kept[0].get("/").status == 308
    # 0.1 s, doubled each time: seven fit into 15 s.
    assert 4 <= len(killed) <= 8 and victim in killed
    assert units.cpu_s(host, "wsgate") - used < 5
    assert all(client.get("/").status == 308 for client in kept)
    units.wait_workers(host, 2)
    assert host.show("wsgate")["NRestarts"] == "0"


@pytest.mark.row("systemd: crashes")
def test_a_renewal_waits_for_an_ocspd_that_comes_back(site, host):
    after = first_hour.new_leaf(site.pki)
    host.write("/run/new/chain", after.chain_pem)
    host.write("/run/new/key", after.key_pem, 0o600)
    host.sh("systemctl kill -s KILL ocspd")
    wait_until(lambda: site.state("ocspd") == ("activating", "auto-restart"),
               "systemd waits before it starts ocspd again")
    told = host.sh("/usr/local/share/ocspd/hooks/deploy-pair site "
                   "/run/new/chain /run/new/key")
    assert told.err == "", told
    seen = first_hour.handshakes(host, site.root, 20)
    assert {what for _, _, what in seen} == {"ok"}
    wait_until(lambda: first_hour.handshakes(host, site.root)[0][::2] ==
               (after.fingerprint, "ok"), "the new pair with its staple")


@pytest.mark.row("systemd: a spool that was removed is mended as the line says")
def test_a_removed_spool_is_named_with_what_brings_it_back(site, host):
    cursor = host.cursor()
    host.sh("rm -rf /var/spool/ocspd")
    line = host.wait_journal("the spool cannot be written", "ocspd", cursor)
    host.sh(re.search('mend="(.*?)"', line)[1])
    wait_until(lambda: site.verdict() == "ok", "a stapled handshake")


# ---- addresses -----------------------------------------------------------------------------------

@pytest.mark.row("systemd: IPv6 off")
def test_ipv6_switched_off_stops_nothing(site, host):
    """Nor does an address that the network has not brought up yet."""
    host.sh("systemctl stop wsgate wsgate.socket; "
            "sysctl -qw net.ipv6.conf.all.disable_ipv6=1 "
            "net.ipv6.conf.lo.disable_ipv6=1")
    host.drop_in("wsgate.socket",
                 "[Socket]\nListenStream=[2001:db8::1]:8443\n")
    host.write("/etc/wsgate/wsgate.yaml", YAML.replace(
        '"[::]:443"', '"[::]:443", "[2001:db8::1]:8443"'))
    try:
        host.sh("systemctl start wsgate")
        assert site.get() == "good day\n"
    finally:
        host.sh("sysctl -qw net.ipv6.conf.all.disable_ipv6=0 "
                "net.ipv6.conf.lo.disable_ipv6=0")
    host.sh("ip address add 2001:db8::1/128 dev lo nodad")
    assert site.get(
        "--resolve", f"'{first_hour.NAME}:8443:[2001:db8::1]'",
        url=f"https://{first_hour.NAME}:8443/") == "good day\n"


@pytest.mark.row("systemd: IPv6 off")
def test_a_kernel_without_ipv6_is_told_as_such(site, host):
    """systemd leaves such sockets out by itself; wsgate.yaml names them."""
    host.drop_in("wsgate.socket",
                 "[Socket]\nListenStream=\nListenStream=0.0.0.0:443\n"
                 "ListenStream=0.0.0.0:80\n")
    host.drop_in("wsgate.service", "[Service]\nRestrictAddressFamilies=\n"
                 "RestrictAddressFamilies=AF_INET AF_UNIX\n")
    cursor = host.cursor()
    assert host.sh("systemctl restart wsgate.socket wsgate",
                   code=None).code != 0
    host.wait_journal(r"wsgate.yaml:5:\d+: listen \[::\]:443: this host has "
                      "no IPv6", "wsgate", cursor)
    assert host.show("wsgate")["ExecMainStatus"] == "78"
    host.write("/etc/wsgate/wsgate.yaml", re.sub(r', "\[::\]:\d+"', "", YAML))
    host.sh("systemctl start wsgate")
    assert site.get("--no-cert-status") == "good day\n"
