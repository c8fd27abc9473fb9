"""What an operator meets in the first hour with wsgate's ports, its spool and
the host's clock: the line that is read, and that its mend works."""
import contextlib
import re

import pytest

import first_hour
import harness
import machine
import symptoms

pytestmark = [pytest.mark.must_run, pytest.mark.limit(240)]

YEAR_S = 366 * 86400
# Without a socket unit: in a user namespace the capability would not count.
SELF_BOUND = """[Service]
AmbientCapabilities=CAP_NET_BIND_SERVICE
CapabilityBoundingSet=CAP_NET_BIND_SERVICE
PrivateUsers=no
"""


@pytest.fixture(scope="module")
def booted(tmp_path_factory):
    with machine.boot(tmp_path_factory.mktemp("ports")) as made:
        yield made


@pytest.fixture
def host(booted, pki):
    symptoms.fresh(booted)
    first_hour.put_site(booted, pki.leaf(first_hour.NAME))
    return booted


@contextlib.contextmanager
def nginx(host, *listens):
    """Somebody else's server, there before; its master's pid."""
    host.write("/root/nginx.conf", "events {} pid /run/other.pid; http { "
               "server { " + " ".join(f"listen {one};" for one in listens)
               + " } }")
    with symptoms.program(host, "nginx -g 'daemon off;' -c /root/nginx.conf"):
        harness.wait_until(lambda: host.ok("test -s /run/other.pid"), "nginx")
        yield int(host.read("/run/other.pid"))


def by_hand(host, code):
    """wsgate as root's own command, to its end: the line of stderr."""
    done = host.sh("wsgate -c /etc/wsgate/wsgate.yaml", code=code)
    return re.search("cannot start.*", done.err)[0]


@contextlib.contextmanager
def serves_by_hand(host):
    cursor = host.cursor()
    with symptoms.program(host, "wsgate -c /etc/wsgate/wsgate.yaml", "hand"):
        host.wait_journal("ready", "hand", cursor)
        yield


# ---- taken -----------------------------------------------------------------------

@pytest.mark.row("ports: a taken one names its owner, program and pid")
@pytest.mark.parametrize("theirs,ours", [
    ("0.0.0.0:443", "0.0.0.0:443"),
    ("127.0.0.1:443", "0.0.0.0:443"),
    ("0.0.0.0:443", "127.0.0.1:443"),
    ("[::]:443 ipv6only=off", "0.0.0.0:443"),
    ("[::]:443 ipv6only=off", "127.0.0.1:443"),
    ("[::1]:443", "[::]:443"),
    ("[::]:443", "[::]:443"),
    ("unix:/run/front.sock", "unix:/run/front.sock"),
])
def test_a_taken_address(host, theirs, ours):
    host.write("/etc/wsgate/wsgate.yaml", symptoms.site(listen=f'"{ours}"'))
    with nginx(host, theirs) as pid:
        line = by_hand(host, 71)
        address = theirs.split()[0].removeprefix("unix:")
        assert f"listen {ours}: another program has this address: nginx " \
            f"(pid {pid}, user root) has {address}: Address already in use" \
            in line
        assert "wsgate.yaml:3:" in line
        host.sh(f"kill {pid}")
        harness.wait_until(lambda: not host.ok(f"kill -0 {pid}"), "it ends")
        with serves_by_hand(host):
            pass


def test_several_owners_are_all_named(host):
    host.write("/etc/wsgate/wsgate.yaml", symptoms.site())
    with nginx(host, "127.0.0.1:443", "127.0.0.2:443"):
        line = by_hand(host, 71)
    assert "has 127.0.0.1:443" in line and "has 127.0.0.2:443" in line


def test_a_port_that_a_socket_unit_has(host):
    host.sh("systemctl start wsgate.socket")
    line = by_hand(host, 71)
    assert "a socket unit of systemd has 0.0.0.0:443" in line
    command = re.search("`([^`]+)` names it", line)[1]
    unit = re.search(r"0\.0\.0\.0:443 +(\S+)", host.sh(command).out)[1]
    host.sh(f"systemctl stop {unit}")
    with serves_by_hand(host):
        assert symptoms.page(host) == "good day\n"


@pytest.mark.row("ports: a taken one in the unit names the owner's user")
def test_a_taken_port_in_a_unit_that_binds_itself(host):
    host.sh("systemctl mask --now wsgate.socket")
    try:
        host.drop_in("wsgate.service", SELF_BOUND)
        with nginx(host, "0.0.0.0:443"):
            cursor = host.cursor()
            assert host.sh("systemctl start wsgate", code=None).code != 0
            line = host.wait_journal("cannot start", "wsgate", cursor)
            assert "a program of user root that we may not see has " \
                "0.0.0.0:443 (`ss -ltnp` as root names it)" in line
            command = re.search("`([^`]+)` as root", line)[1]
            assert re.search(r"0\.0\.0\.0:443 .*nginx", host.sh(command).out)
        host.sh("systemctl reset-failed wsgate; systemctl start wsgate")
        assert symptoms.page(host) == "good day\n"
    finally:
        host.sh("systemctl unmask wsgate.socket")


@pytest.mark.row("ports: wsgate.socket fails because nginx has 443")
def test_a_port_that_the_socket_unit_cannot_have(host):
    with nginx(host, "0.0.0.0:443"):
        cursor = host.cursor()
        line = symptoms.failed_start(host, 77)
        assert host.wait_journal(
            r"wsgate\.socket: Failed to create listening socket "
            r"\(0\.0\.0\.0:443\): Address already in use", None, cursor)
        assert "listen 0.0.0.0:443: another program has this address: a " \
            "program of user root that we may not see has 0.0.0.0:443" in line
        command = re.search("`([^`]+)` as root", line)[1]
        owner = re.search(r"0\.0\.0\.0:443 .*pid=(\d+)",
                          host.sh(command).out)[1]
        host.sh(f"kill {host.read('/run/other.pid').strip()}")
        harness.wait_until(lambda: not host.ok(f"kill -0 {owner}"), "it ends")
        host.sh("systemctl start wsgate")
        assert symptoms.page(host) == "good day\n"


def test_a_unix_socket_that_another_program_serves(host):
    path = "/run/wsgate/front.sock"
    host.write("/etc/wsgate/wsgate.yaml",
               symptoms.site(listen=f'"0.0.0.0:443", "unix:{path}"'))
    host.drop_in("wsgate.service", "[Service]\nRuntimeDirectoryPreserve=yes\n")
    host.sh("install -d -o wsgate -g wsgate /run/wsgate")
    with nginx(host, f"unix:{path}"):
        host.sh(f"chmod 666 {path}")
        cursor = host.cursor()
        assert host.sh("systemctl start wsgate", code=None).code != 0
        line = host.wait_journal("cannot start", "wsgate", cursor)
        assert f"a program of user root that we may not see has {path} " \
            "(`ss -lxp` as root names it)" in line
        assert "nginx" in host.sh("ss -lxp").out
    host.sh(f"rm -f {path}; systemctl reset-failed wsgate; "
            "systemctl start wsgate")
    assert symptoms.page(host) == "good day\n"


# ---- not allowed -----------------------------------------------------------------

@pytest.mark.row("rights: a port that wsgate.socket has not: the drop-in helps")
def test_a_port_that_the_socket_unit_does_not_name(host):
    host.write("/etc/wsgate/wsgate.yaml",
               symptoms.site(listen='"0.0.0.0:443", "0.0.0.0:444"'))
    line = symptoms.failed_start(host, 77)
    assert "listen 0.0.0.0:444: ports below 1024 need wsgate.socket" in line
    symptoms.apply(host, line)
    for port in (443, 444):
        assert symptoms.page(host, port) == "good day\n"


def test_nginx_left_port_443_but_not_80(host):
    """The socket unit fails as a whole: to name 443 there once more would be
    no mend, so the line must not say that."""
    host.write("/etc/wsgate/wsgate.yaml", symptoms.site())
    with nginx(host, "0.0.0.0:80"):
        line = symptoms.failed_start(host, 77)
        assert "wsgate.socket, and it is not active" in line
        assert "ListenStream" not in line
        command = re.search("`([^`]+)` says why", line)[1]
        assert "0.0.0.0:80" in host.sh(command, code=None).out
    host.sh("systemctl start wsgate")
    assert symptoms.page(host) == "good day\n"


def test_the_same_while_it_serves(host):
    """The reload names it; with the mend the new port is served."""
    host.sh("systemctl start wsgate")
    host.write("/etc/wsgate/wsgate.yaml",
               symptoms.site(listen='"0.0.0.0:443", "0.0.0.0:444"'))
    cursor = host.cursor()
    assert host.sh("systemctl reload wsgate", code=None).code != 0
    line = host.wait_journal("reload failed.*0.0.0.0:444: ports below",
                             "wsgate", cursor)
    assert symptoms.page(host) == "good day\n"
    symptoms.apply(host, line)
    assert symptoms.page(host, 444) == "good day\n"


def test_an_address_that_the_host_has_not(host):
    host.write("/etc/wsgate/wsgate.yaml",
               symptoms.site(listen='"192.0.2.7:8443"'))
    line = symptoms.failed_start_again(host)
    assert "listen 192.0.2.7:8443: this host has no such address" in line
    host.sh("ip address add 192.0.2.7/32 dev lo")
    try:
        host.sh("systemctl reset-failed wsgate; systemctl restart wsgate")
        assert host.sh("curl -skf https://192.0.2.7:8443/").out == \
            "good day\n"
    finally:
        host.sh("ip address del 192.0.2.7/32 dev lo")


# ---- the spool -------------------------------------------------------------------

@pytest.fixture
def stapled(host, pki, tmp_path):
    """A certificate with a responder, ocspd not running; what clients see."""
    leaf = first_hour.new_leaf(pki)
    first_hour.put_site(host, leaf, wsgate_yaml="spool: /var/spool/ocspd\n"
                        + symptoms.site())
    host.sh("rm -rf /var/spool/ocspd")
    with first_hour.responder(host, pki):
        yield leaf, pki.root.write(tmp_path / "root.pem")


def verdict(host, root):
    return first_hour.handshakes(host, root)[0][2]


def wait_stapled(host, root, timeout=harness.WAIT_S):
    harness.wait_until(lambda: verdict(host, root) == "ok", "a staple",
                       timeout)


@pytest.mark.row("staples: no spool is said once, and mended without a restart")
def test_no_spool(host, stapled):
    _, root = stapled
    cursor = host.cursor()
    host.sh("systemctl start wsgate")
    line = host.wait_journal("no spool: is ocspd running", "wsgate", cursor)
    assert "serving without staples spool=/var/spool/ocspd" in line
    assert verdict(host, root) != "ok" and symptoms.page(host) == "good day\n"
    master = host.main_pid("wsgate")
    host.sh("systemd-tmpfiles --create ocspd.conf; systemctl start ocspd")
    wait_stapled(host, root)
    said = host.journal("wsgate", cursor)
    assert said.count("no spool") == 1, said
    assert host.main_pid("wsgate") == master


@pytest.mark.row("staples: a spool that may not be read, and its mend")
def test_an_unreadable_spool(host, stapled):
    leaf, root = stapled
    host.sh("systemd-tmpfiles --create ocspd.conf; systemctl start ocspd")
    first_hour.wait_staple(host, leaf)
    host.sh("chmod 700 /var/spool/ocspd")
    cursor = host.cursor()
    host.sh("systemctl start wsgate")
    line = host.wait_journal("spool cannot be read: serving without staples",
                             "wsgate", cursor)
    assert "user wsgate may not read the folder /var/spool/ocspd" in line
    assert verdict(host, root) != "ok"
    symptoms.apply(host, line)
    wait_stapled(host, root)


def test_a_spool_that_goes_is_told(host, stapled):
    leaf, root = stapled
    host.sh("systemd-tmpfiles --create ocspd.conf; systemctl start ocspd")
    first_hour.wait_staple(host, leaf)
    host.sh("systemctl start wsgate")
    wait_stapled(host, root)
    cursor = host.cursor()
    host.sh("systemctl stop ocspd; mv /var/spool/ocspd /var/spool/away")
    line = host.wait_journal("the spool is gone: is ocspd running", "wsgate",
                             cursor)
    assert "spool=/var/spool/ocspd" in line
    assert verdict(host, root) == "ok", "it serves until it runs out"
    host.sh("mv /var/spool/away /var/spool/ocspd")


# ---- the clock -------------------------------------------------------------------

@contextlib.contextmanager
def clock(host, seconds):
    """wsgate's clock is that far ahead; yields a function that mends it."""
    host.write("/etc/wsgate/clock", f"{seconds}\n")
    host.drop_in("wsgate.service", "[Service]\nEnvironment=TEST_CLOCK_FILE="
                 "/etc/wsgate/clock\n", "clock")
    yield lambda: host.write("/etc/wsgate/clock", "0\n")
    host.sh("rm -f /etc/wsgate/clock")


@pytest.mark.row("clock: a certificate out of its time names both times")
@pytest.mark.parametrize("years,says,limit", [
    (-10, "certificate is not valid yet", "from"),
    (10, "certificate has expired", "until")])
def test_a_wrong_clock(host, pki, years, says, limit):
    with clock(host, years * YEAR_S) as mend:
        cursor = host.cursor()
        host.sh("systemctl start wsgate")
        line = host.wait_journal(says, "wsgate", cursor)
        assert re.search(limit + r"=20\d\d-\d\d-\d\dT\S+Z "
                         r"clock=20\d\d-\d\d-\d\dT\S+Z ", line)
        assert "host's clock" in line and "`timedatectl`" in line
        assert symptoms.page(host) == "good day\n"
        mend()
        cursor = host.cursor()
        host.sh("systemctl restart wsgate")
        assert symptoms.page(host) == "good day\n"
        assert says not in host.journal("wsgate", cursor)


@pytest.mark.row("clock: a staple from the future is said to be the clock's")
def test_a_clock_behind_the_staple(host, stapled):
    leaf, root = stapled
    host.sh("systemd-tmpfiles --create ocspd.conf; systemctl start ocspd")
    first_hour.wait_staple(host, leaf)
    with clock(host, -7 * 86400) as mend:
        cursor = host.cursor()
        host.sh("systemctl start wsgate")
        line = host.wait_journal("no staple", "wsgate", cursor)
        assert "is in the future: is this host's clock right?" in line
        assert verdict(host, root) != "ok"
        mend()
        wait_stapled(host, root, 75)  # refused ones: once a minute
