"""wsgate's workers in a booted machine, under systemd's sockets and under their
own: each serves, is replaced when it dies or hangs; reload, restart, drain."""
import ssl
import time

import machine
import pytest
import units
from backends import Backend, tunnel_echo
from first_hour import new_leaf, put_pair
from gate import Tunnel, request
from harness import wait_until
from test_wsgate_websocket import open_tunnel

pytestmark = [pytest.mark.must_run, pytest.mark.limit(180)]

ROW = "systemd: the same over inherited sockets and over its own"
PINGS_S = 25      # a worker that says nothing for 15 s is ended, within 5 s more

# How the ports come: a drop-in of wsgate.service, and which they are.
WAYS = {"inherited": (None, 443, 80),
        "capability": (units.handbook("rights.md", "AmbientCapabilities"),
                       443, 80),
        "high-ports": (None, 8443, 8080)}


@pytest.fixture(scope="module")
def host(tmp_path_factory, pki):
    with machine.boot(tmp_path_factory.mktemp("machine")) as made:
        put_pair(made, new_leaf(pki))
        for name in ("old", "new"):
            made.write(f"/srv/{name}/index.html", name)
        yield made


class Unit:
    """The unit, its ports opened in one of the ways."""

    def __init__(self, host, way, count, backend, context):
        self.host, self.way, self.count = host, way, count
        self.drop_in, self.tls, self.plain = WAYS[way]
        self.backend, self.context = backend, context

    @property
    def is_inherited(self):
        return self.way == "inherited"

    def configure(self, root="/srv/old", deadline="10s"):
        self.host.write("/etc/wsgate/wsgate.yaml", units.SITE.format(
            workers=self.count, deadline=deadline, root=root, tls=self.tls,
            plain=self.plain, backend=self.backend.port))

    def set_up(self):
        host = self.host
        host.sh("systemctl stop wsgate wsgate.socket; "
                "systemctl unmask wsgate.socket; systemctl reset-failed; "
                "rm -rf /etc/systemd/system/wsgate.service.d")
        if not self.is_inherited:
            host.sh("systemctl mask --now wsgate.socket")
        if self.drop_in:
            host.drop_in("wsgate.service", self.drop_in)
        self.start()

    def start(self):
        """Anew, as it was at first."""
        self.configure()
        self.host.sh("systemctl daemon-reload; systemctl restart wsgate")

    def client(self, **how):
        return units.connect(self.host, self.plain, **how)

    def visit(self):
        """A kept-alive connection that has been served once."""
        client = self.client()
        assert client.get("/").status == 200
        return client

    def tunnel(self):
        client = units.connect(self.host, self.tls, self.context)
        open_tunnel(client)
        made = Tunnel(client)
        made.start()
        return made

    def visitors(self, **how):
        return units.Visitors(self.host, self.plain, **how)


@pytest.fixture(scope="module", params=[
    ("inherited", 2), ("inherited", 4), ("capability", 2), ("capability", 4),
    ("high-ports", 2)],
    ids=lambda param: f"{param[0]}-{param[1]}")
def set_up(request, host, pki, tmp_path_factory):  # noqa: F811
    root = pki.root.write(tmp_path_factory.mktemp("root") / "root.pem")
    with host.network():
        backend = Backend(tunnel_echo)
    with backend:
        unit = Unit(host, *request.param, backend,
                    ssl.create_default_context(cafile=str(root)))
        unit.set_up()
        yield unit


@pytest.fixture
def unit(set_up):
    if set_up.host.show("wsgate")["ActiveState"] != "active":
        set_up.start()
    units.wait_workers(set_up.host, set_up.count)
    return set_up


def finish(tunnels):
    """They echoed to the end."""
    for tunnel in tunnels:
        rounds = tunnel.rounds
        wait_until(lambda: tunnel.rounds > rounds or tunnel.problem,  # noqa
                   "another echo")
        tunnel.stop.set()
        tunnel.join(30)
        tunnel.pipe.close()
        assert tunnel.problem is None, repr(tunnel.problem)


def several(unit):
    """Connections until each worker has two; {pid: clients}."""
    by_pid, clients = {}, []

    def spread():
        clients.extend(unit.visit() for _ in range(8))
        by_pid.clear()
        for client, pid in zip(clients, units.servers(unit.host, *clients)):
            by_pid.setdefault(pid, []).append(client)
        return len(by_pid) == unit.count and \
            all(len(found) > 1 for found in by_pid.values())
    wait_until(spread, f"all {unit.count} workers serve: {by_pid}")
    assert set(by_pid) == units.workers(unit.host)
    return by_pid


def close_all(by_pid):
    for clients in by_pid.values():
        for client in clients:
            client.close()


# ---- serving -------------------------------------------------------------------------

@pytest.mark.row(ROW)
def test_every_worker_serves(unit):
    listening = unit.host.out(f"ss -H4ltn 'sport = :{unit.plain}'")
    assert len(listening.splitlines()) == \
        (1 if unit.is_inherited else unit.count)
    close_all(several(unit))


@pytest.mark.row(ROW)
def test_workers_keep_no_capability(unit):
    """Only the master binds."""
    bind = f"{1 << 10:016x}"     # CAP_NET_BIND_SERVICE, capability.h
    master = unit.host.main_pid("wsgate")
    for process in units.processes(unit.host, "wsgate"):
        wanted = bind if unit.drop_in and process["pid"] == master \
            else "0" * 16
        assert process["CapPrm"] == process["CapEff"] == wanted, process


@pytest.mark.row(ROW)
@pytest.mark.parametrize("how", ["reload", "kill -s HUP --kill-who=main"])
def test_reload_loses_nobody(unit, how):
    before = units.workers(unit.host)
    tunnels = [unit.tunnel() for _ in range(6)]
    unit.configure(root="/srv/old")
    with unit.visitors() as visitors:
        visitors.wait_for("200 old")
        for root in ("new", "old"):
            unit.configure(root=f"/srv/{root}")
            unit.host.sh(f"systemctl {how} wsgate")
            visitors.wait_for(f"200 {root}", more=50)
    assert set(visitors.count) == {"200 old", "200 new"}
    finish(tunnels)
    assert units.workers(unit.host) == before


# ---- a worker that dies or hangs -----------------------------------------------------

@pytest.mark.row(ROW)
def test_a_killed_worker_takes_its_own_connections_only(unit):
    by_pid = several(unit)
    victim = min(by_pid)
    tunnels = [unit.tunnel() for _ in range(4)]
    serving = units.servers(unit.host, *[t.pipe for t in tunnels])
    unit.host.sh(f"kill -9 {victim}")
    for client in by_pid.pop(victim):
        assert client.is_ended()
    for client in [one for found in by_pid.values() for one in found]:
        assert client.get("/").status == 200
    after = units.wait_workers(unit.host, unit.count, without=[victim])
    assert set(by_pid) <= after
    finish([tunnel for tunnel, pid in zip(tunnels, serving) if pid != victim])
    close_all(several(unit))         # the new one among them


@pytest.mark.row(ROW)
def test_a_stopped_worker_is_replaced(unit):
    """Who comes meanwhile is answered: at once over a shared socket, by the
    successor when the connection lies in the stopped one's own queue."""
    by_pid = several(unit)
    master = unit.host.main_pid("wsgate")
    victim = min(by_pid)
    others = [pid for pid in by_pid if pid != victim]
    unit.host.sh(f"kill -STOP {victim}")
    with unit.visitors(per_second=5) as visitors:
        after = units.wait_workers(unit.host, unit.count, without=[victim],
                                   timeout=PINGS_S)
    assert set(others) <= after
    assert set(visitors.count) == {"200 old"}
    assert unit.host.main_pid("wsgate") == master
    for pid in others:
        assert by_pid[pid][0].get("/").status == 200
    close_all(by_pid)


# ---- restart and drain -----------------------------------------------------------------

# Ports of its own are closed for a moment: then there is nobody to wait with.
TURNED_AWAY = {"ConnectionRefusedError", "ConnectionResetError"}


@pytest.mark.row(ROW)
def test_restart_under_visitors(unit):
    """systemd's sockets: every attempt is answered. Ports of its own: what was
    accepted is answered, and it takes no longer than the restart."""
    with unit.visitors() as visitors:
        visitors.wait_for("200 old")
        for _ in range(3):
            unit.host.sh("systemctl restart wsgate")
            back = time.monotonic()
            visitors.wait_for("200 old", more=50)
    failed = set(visitors.count) - {"200 old"}
    assert failed <= (set() if unit.is_inherited else TURNED_AWAY)
    assert max((moment for moment, text in visitors.answers
                if text != "200 old"), default=0) < back
    assert unit.host.show("wsgate")["NRestarts"] == "0"


@pytest.mark.row(ROW)
def test_a_request_under_way_is_answered_over_a_restart(unit):
    with unit.client() as client:
        client.send(request("/", "Connection: close")[:-2])
        cursor = unit.host.cursor()
        unit.host.sh("systemctl --no-block restart wsgate")
        unit.host.wait_journal("stopping: draining", "wsgate", cursor)
        client.send(b"\r\n")
        assert client.response().text == "old"


@pytest.mark.row(ROW)
def test_a_drain_gives_tunnels_their_time(unit):
    deadline_s = 3
    unit.configure(deadline=f"{deadline_s}s")
    unit.host.sh("systemctl restart wsgate")
    tunnel, cursor = unit.tunnel(), unit.host.cursor()
    start = time.monotonic()
    unit.host.sh("systemctl --no-block restart wsgate")
    unit.host.wait_journal("stopping: draining", "wsgate", cursor)
    if unit.is_inherited:        # systemd's backlog: the next one answers
        with unit.client() as waiting:
            assert waiting.get("/").status == 200
    else:
        def is_closed():
            try:
                unit.client().close()
            except ConnectionRefusedError:
                return True
            return False
        wait_until(is_closed, "the ports are closed")
    tunnel.join(30)
    lasted = time.monotonic() - start
    assert tunnel.problem is not None and tunnel.rounds > 100
    assert deadline_s - 0.5 < lasted < deadline_s + 5
    wait_until(lambda: unit.host.show("wsgate")["ActiveState"] == "active",
               "it is up again")
    unit.visit().close()
