"""What the units' processes may do, seen from outside in a booted machine; and
the drop-ins of contrib/doc/rights.md, each tried without and with."""
import re

import first_hour
import machine
import pytest
import units
from harness import wait_until

pytestmark = [pytest.mark.must_run, pytest.mark.limit(180)]

# systemd-analyze security: ocspd 1.2, wsgate 1.4. The publishing unit runs
# root's own commands.
EXPOSURE_MAX = {"ocspd.service": 1.5, "wsgate.service": 1.5,
                "ocspd-publish@.service": 4.9}

YAML = """workers: 2
spool: /var/spool/ocspd
{more}sites:
  - hosts: ["*"]
    listen: ["0.0.0.0:443", "[::]:443", {{address: "0.0.0.0:80", tls: false}}]
    certificates: [{{{pair}}}]
    locations:
      /: {{files: /srv/www}}
      /group/: {{files: /srv/group}}
      /home/: {{files: /home}}
"""


def yaml(pair="chain: certs/site.pem", more=""):
    return YAML.format(pair=pair, more=more)


@pytest.fixture(scope="module")
def running(tmp_path_factory, pki):
    folder = tmp_path_factory.mktemp("machine")
    with machine.boot(folder) as host, first_hour.responder(host, pki):
        # As they are before anything else is done to them.
        host.folders = host.out(
            "stat -c '%n %U:%G %a' /etc/wsgate /etc/wsgate/certs /etc/ocspd "
            "/etc/ocspd/certs /var/spool/ocspd")
        host.leaf = first_hour.new_leaf(pki)
        host.root = pki.root.write(folder / "root.pem")
        first_hour.put_site(host, host.leaf, wsgate_yaml=yaml())
        host.sh("install -d -m 750 -g staff /srv/group; "
                "echo shared >/srv/group/index.html; "
                "cd /home; echo home >index.html")
        yield host


@pytest.fixture
def host(running):
    running.sh("systemctl stop wsgate wsgate.socket ocspd; "
               "rm -rf /etc/systemd/system/{wsgate,ocspd}.service.d; "
               "systemctl daemon-reload; systemctl reset-failed")
    first_hour.put_site(running, running.leaf, wsgate_yaml=yaml())
    running.sh("systemctl start ocspd wsgate")
    return running


def get(host, target):
    with units.connect(host, 80) as client:
        answer = client.get(target)
        return answer.text if answer.status == 200 else answer.status


def verdict(host):
    return first_hour.handshakes(host, host.root)[0][2]


# ---- as installed ----------------------------------------------------------------------

def test_users_and_folders_are_made_from_the_installed_entries(running):
    assert running.folders.splitlines() == [
        "/etc/wsgate root:root 755", "/etc/wsgate/certs root:wsgate 750",
        "/etc/ocspd root:root 755", "/etc/ocspd/certs root:ocspd 750",
        "/var/spool/ocspd ocspd:ocspd 755"]


def installed(host, *kinds):
    folder = "/usr/local/lib/systemd/system"
    names = host.out(f"ls {folder}").split()
    return [name for name in names if name.endswith(kinds)]


def test_installed_units_are_well_formed(running):
    names = installed(running, ".service", ".socket", ".target", ".path")
    assert {"ocspd.service", "wsgate.service", "wsgate.socket",
            "wsgate-closed.target"} <= set(names)
    # A template is looked at as one of its instances.
    words = " ".join(name.replace("@.", "@nginx.") for name in names)
    told = running.sh(f"cd /; systemd-analyze verify --man=no {words}")
    assert not re.sub(".*(getcwd|nginx).*\n", "", told.out + told.err), told


def test_a_unit_is_hardly_exposed(running):
    for name in installed(running, ".service"):
        told = running.sh("systemd-analyze security --offline=true --no-pager "
                          f"/usr/local/lib/systemd/system/{name}").out
        found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", told)
        assert float(found[1]) <= EXPOSURE_MAX[name], told


@pytest.mark.row("systemd: no capability, no new privileges")
@pytest.mark.parametrize("unit,count", [("ocspd", 1), ("wsgate", 3)])
def test_processes_have_no_rights_to_lose(host, unit, count):
    found = units.processes(host, unit)
    assert len(found) == count
    for process in found:
        assert process["user"] == unit
        for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert process[name] == "0" * 16, name
        assert process["NoNewPrivs"] == "1" and process["Seccomp"] == "2"
        pid = process["pid"]
        assert units.limits(host, pid, "Max core file size") == ("0", "0")
        soft, hard = units.limits(host, pid, "Max open files")
        assert soft == hard, "the descriptor limit is used in full"


@pytest.mark.row("systemd: keys stay in the processes that need them")
def test_keys_are_in_no_worker_s_reach_but_its_memory(host):
    """No open key file, no path to one in what it was started with; and who
    runs as the same user reads neither's memory. (It may open the file as its
    master may: they are one user in the unit.)"""
    master = host.main_pid("wsgate")
    workers = units.workers(host)
    assert len(workers) == 2
    for pid in workers | {master}:
        # Not dumpable: /proc/PID is root's (proc(5)).
        assert host.out(f"stat -c %U /proc/{pid}/environ") == "root"
        for name in ("mem", "environ", "maps", "fd/0"):
            assert host.sh(f"head -c 1 /proc/{pid}/{name}", code=None,
                           user="wsgate").code != 0, name
        assert host.sh(f"kill -0 {pid}", user="wsgate").code == 0
        held = host.out(f"ls -l /proc/{pid}/fd")
        assert "/etc/wsgate" not in held
        assert pid == master or "memfd" not in held, held
    for pid in workers:
        told = host.out(f"tr '\\0' '\\n' </proc/{pid}/environ; "
                        f"tr '\\0' '\\n' </proc/{pid}/cmdline")
        assert "/etc/wsgate" not in told and "CREDENTIALS" not in told


def test_ocspd_can_read_no_key(host):
    assert host.sh("cat /etc/wsgate/certs/site.pem", code=None,
                   user="ocspd").code != 0


# ---- drop-ins ------------------------------------------------------------------------------

def test_a_drop_in_opens_a_folder_of_another_group(host):
    assert get(host, "/group/") == 500
    host.drop_in("wsgate.service", "[Service]\nSupplementaryGroups=staff\n")
    host.sh("systemctl restart wsgate")
    assert get(host, "/group/") == "shared\n"


def test_a_drop_in_opens_home_to_read(host):
    assert get(host, "/home/") == 500
    host.drop_in("wsgate.service", "[Service]\nProtectHome=read-only\n")
    host.sh("systemctl restart wsgate")
    assert get(host, "/home/") == "home\n"


def test_a_drop_in_gives_the_access_log_a_folder_that_rotates(host):
    log = "/var/log/wsgate/access.log"
    host.write("/etc/wsgate/wsgate.yaml",
               yaml(more=f"log: {{access: {log}}}\n"))
    assert host.sh("systemctl restart wsgate", code=None).code != 0
    host.drop_in("wsgate.service", "[Service]\nLogsDirectory=wsgate\n")
    host.sh("systemctl restart wsgate")
    get(host, "/before")
    wait_until(lambda: "/before" in host.read(log), "the line")
    host.sh(f"mv {log} {log}.1; systemctl kill --kill-who=main -s USR1 wsgate")
    wait_until(lambda: host.ok(f"test -e {log}"), "a new file")
    get(host, "/after")
    wait_until(lambda: 'target="/after"' in host.read(log), "the line")
    old = host.read(f"{log}.1")
    assert 'target="/before"' in old and 'target="/after"' not in old


FROM_CREDENTIALS = 'chain: "${CREDENTIALS_DIRECTORY}/chain.pem", ' \
    'key: "${CREDENTIALS_DIRECTORY}/key.pem"'


def put_live(host, leaf):
    """As certbot keeps them: nobody but root gets in."""
    base, name = "/etc/letsencrypt", first_hour.NAME
    host.write(f"{base}/archive/{name}/fullchain1.pem", leaf.chain_pem)
    host.write(f"{base}/archive/{name}/privkey1.pem", leaf.key_pem, 0o600)
    host.sh(f"mkdir -p {base}/live/{name}; chmod 700 {base}/live "
            f"{base}/archive; cd {base}/live/{name}; "
            f"ln -sf ../../archive/{name}/fullchain1.pem fullchain.pem; "
            f"ln -sf ../../archive/{name}/privkey1.pem privkey.pem")


@pytest.mark.row("systemd: keys by LoadCredential=")
def test_credentials_of_systemd_are_another_way_to_give_keys(host, pki):
    """No copy and no hook; a renewed pair needs a restart."""
    host.sh("rm /etc/wsgate/certs/* /etc/ocspd/certs/*")
    host.write("/etc/wsgate/wsgate.yaml", yaml(FROM_CREDENTIALS))
    host.write("/etc/ocspd/ocspd.yaml", first_hour.OCSPD_YAML.replace(
        "/etc/ocspd/certs/*.pem", "${CREDENTIALS_DIRECTORY}/chain.pem"))
    for unit in ("wsgate", "ocspd"):
        assert host.sh(f"systemctl restart {unit}", code=None).code != 0
    drop_in = units.handbook("rights.md", "LoadCredential")
    host.drop_in("wsgate.service", drop_in)
    host.drop_in("ocspd.service", drop_in.rsplit("LoadCredential", 1)[0])
    for _ in range(2):                 # the second one renewed
        leaf = first_hour.new_leaf(pki)
        put_live(host, leaf)
        host.sh("systemctl restart ocspd wsgate")
        first_hour.wait_staple(host, leaf)
        wait_until(lambda: verdict(host) == "ok", "a stapled handshake")
        assert first_hour.handshakes(host, host.root)[0][0] == \
            leaf.fingerprint
    host.sh("CREDENTIALS_DIRECTORY=/run/credentials/wsgate.service wsgate -t")
