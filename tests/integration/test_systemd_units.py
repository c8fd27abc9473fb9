"""Both units in a booted machine: started, reloaded, restarted and stopped by
systemd, as somebody who followed the handbook has them."""
import json
import re
import shutil
import subprocess

import pytest

import harness
import systemd_machine

pytestmark = pytest.mark.limit(240)

EXPOSURE_MAX = 1.5   # systemd-analyze security: wsgate 1.4, ocspd 1.2


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    """One boot for all of them."""
    return systemd_machine.boot(tmp_path_factory.mktemp("machine"))


def processes(machine, unit):
    lines = machine.text(f"{unit}_processes").splitlines()
    return [dict(re.findall(r"(\w+)=([^\s]+)", line)) for line in lines]


def state(machine, step):
    found = machine.values(step)
    return found["ActiveState"], found["SubState"]


def test_the_script_came_to_its_end(machine):
    assert machine.code("finished") == 0
    assert not (machine.notes / "waited").exists(), machine.story()


def test_users_and_folders_are_made_from_the_installed_entries(machine):
    assert machine.code("sysusers") == 0 and machine.code("tmpfiles") == 0
    assert machine.text("folders").splitlines() == [
        "/etc/wsgate root:root 755",
        "/etc/wsgate/certs root:wsgate 750",
        "/etc/wsgate/certs/site.key root:wsgate 640",
        "/etc/ocspd root:root 755",
        "/etc/ocspd/certs root:ocspd 750",
        "/var/spool/ocspd ocspd:ocspd 755"]


def test_installed_units_are_well_formed(machine):
    assert machine.code("verify") == 0, machine.text("verify")
    assert not machine.text("verify").strip()


@pytest.mark.row("systemd: READY and STATUS")
@pytest.mark.parametrize("unit", ["ocspd", "wsgate"])
def test_a_unit_becomes_ready_and_tells_its_status(machine, unit):
    assert machine.code("start") == 0, machine.story()
    assert state(machine, f"{unit}_up") == ("active", "running")
    assert machine.values(f"{unit}_up")["NRestarts"] == "0"
    wanted = {"ocspd": "1 of 1 certificates stapled, 0 failing",
              "wsgate": r"1 sites, \d+ workers"}[unit]
    step = {"ocspd": "ocspd_status_text", "wsgate": "wsgate_up"}[unit]
    assert re.fullmatch(wanted, machine.values(step)["StatusText"])


@pytest.mark.row("systemd: no capability, no new privileges")
@pytest.mark.parametrize("unit,least", [("ocspd", 1), ("wsgate", 2)])
def test_processes_have_no_rights_to_lose(machine, unit, least):
    found = processes(machine, unit)
    assert len(found) >= least
    for process in found:
        assert process["user"] == unit
        assert process["CapEff"] == process["CapPrm"] == \
            process["CapBnd"] == "0" * 16
        assert process["NoNewPrivs"] == "1" and process["Seccomp"] == "2"
        assert process["core"] == "0"
        soft, hard = process["files"].split(":")
        assert soft == hard, "the descriptor limit is used in full"


def test_the_first_handshake_after_the_start_can_be_stapled(machine):
    assert machine.code("staple") == 0, machine.text("staple")
    assert machine.text("staple").endswith(".der ocspd:ocspd 644\n")
    assert "live" in machine.text("status_verb")
    for step in ("stapled", "stapled_v6"):
        assert machine.code(step) == 0, machine.text(step)
        assert machine.text(step) == "good day\n"


@pytest.mark.row("systemd: LISTEN_FDS")
def test_ports_below_1024_come_from_the_socket_unit(machine):
    for family in ("redirect", "redirect_v6"):
        assert machine.text(family) == "308 https://www.example.org/here"
    assert len(re.findall(r":(?:443|80)\s", machine.text("listeners"))) == 4


def test_the_journal_knows_how_urgent_a_line_is(machine):
    lines = [json.loads(line) for line in
             machine.text("priorities").splitlines()]
    ready = [line for line in lines if "ready" in line["MESSAGE"] and
             "generation=1" in line["MESSAGE"]]
    assert ready and all(line["PRIORITY"] == "6" for line in ready)
    assert not any(line["MESSAGE"].startswith("<") for line in lines)


@pytest.mark.row("systemd: reload")
def test_reload_takes_the_new_configuration_in_the_same_process(machine):
    assert machine.code("reload") == 0
    assert machine.text("reloaded") == "more\n"
    assert machine.code("reload_pid") == 0
    assert state(machine, "wsgate_reloaded") == ("active", "running")
    assert machine.code("ocspd_reload") == 0
    assert state(machine, "ocspd_reloaded") == ("active", "running")


def test_reload_of_a_bad_configuration_fails_and_changes_nothing(machine):
    assert machine.code("reload_bad") != 0
    assert state(machine, "reload_bad_state") == ("active", "running")
    told = re.compile(r"reload failed, the old configuration stays: "
                      r"/etc/wsgate/wsgate.yaml:\d+:1: .*sites_of_mine")
    assert told.search(machine.values("reload_bad_state")["StatusText"])
    assert told.search(machine.text("reload_bad_said")), "from the caller"
    assert state(machine, "signal_bad_state") == ("active", "running")
    assert "old configuration" in \
        machine.values("signal_bad_state")["StatusText"]
    assert machine.text("reload_bad_serves") == "more\n"


@pytest.mark.row("systemd: reload")
def test_the_admin_socket_is_for_the_group_and_root(machine):
    assert machine.text("admin_socket") == \
        "/run/wsgate/admin.sock wsgate:wsgate 660\n"
    assert machine.code("admin_status") == 0
    assert re.search(r"configuration +/etc/wsgate/wsgate.yaml\n",
                     machine.text("admin_status"))
    assert "sites_of_mine" in machine.text("admin_status")
    assert machine.code("admin_foreign") == 77
    assert "in group wsgate or root" in machine.text("admin_foreign")


def visits(machine):
    lines = []
    for visitor in (1, 2, 3):
        lines += machine.text(f"knocks_{visitor}").splitlines()
    return lines


@pytest.mark.row("systemd: sockets survive a restart")
def test_restart_turns_no_connection_away(machine):
    """The sockets are systemd's: who comes meanwhile waits."""
    assert machine.code("restart") == 0 and machine.code("restart_again") == 0
    assert machine.values("wsgate_restarted")["NRestarts"] == "0"
    lines = visits(machine)
    assert lines.count("200") >= 6
    assert not [line for line in lines if re.search(
        r"Connection refused|connect to server|timed out|reset", line)]


def test_restart_answers_every_request(machine):
    lines = visits(machine)
    assert set(lines) == {"200"}, lines


def test_a_drop_in_opens_a_folder_of_another_group(machine):
    assert machine.text("group_without") == "403"
    assert machine.text("group_with") == "shared\n"


def test_a_drop_in_gives_the_access_log_a_folder_that_rotates(machine):
    assert 'target="/group/"' in machine.text("log_old")
    assert machine.code("log_opened") == 0
    assert 'target="/after"' in machine.text("log_new")
    assert 'target="/after"' not in machine.text("log_old")


@pytest.mark.row("systemd: watchdog")
@pytest.mark.parametrize("unit", ["ocspd", "wsgate"])
def test_the_watchdog_replaces_a_stopped_process(machine, unit):
    assert set(machine.text("watchdog_patience").split()) == {"NRestarts=0"}
    assert machine.code(f"{unit}_bitten") == 0
    assert machine.values(f"{unit}_again")["NRestarts"] == "1"
    assert re.search(rf"{unit}\.service: Watchdog timeout",
                     machine.text("journal"))
    assert machine.text("after_watchdog") == "good day\n"


def test_stop_is_clean_and_leaves_the_staple(machine):
    assert machine.code("stop") == 0
    for unit in ("ocspd", "wsgate"):
        found = machine.values(f"{unit}_down")
        assert (found["ActiveState"], found["Result"],
                found["ExecMainStatus"]) == ("inactive", "success", "0")
    assert machine.text("staple_stays") == "644\n"
    assert machine.code("port_closed") == 7


def test_a_socket_that_nobody_serves_is_named(machine):
    assert machine.code("start_unused") == 0
    for address in ("0.0.0.0:80", "[::]:80"):
        assert f'address="{address}"' in machine.text("unused_said") or \
            f"address={address} " in machine.text("unused_said")
    assert ":443" not in machine.text("unused_said")


@pytest.mark.parametrize("unit", ["ocspd", "wsgate"])
def test_a_start_with_a_bad_configuration_is_not_repeated(machine, unit):
    assert machine.code(f"{unit}_start_bad") != 0
    found = machine.values(f"{unit}_failed")
    assert (found["ActiveState"], found["NRestarts"],
            found["ExecMainStatus"]) == ("failed", "0", "78")


def test_an_unreadable_key_is_named_and_not_tried_again(machine):
    assert machine.code("start_denied") != 0
    assert machine.values("start_denied_state")["ExecMainStatus"] == "77"
    assert re.search(r"site\.key.*Permission denied",
                     machine.text("start_denied_said"))


@pytest.mark.parametrize("unit", ["ocspd", "wsgate"])
def test_a_unit_is_hardly_exposed(unit):
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze on this machine")
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager",
         str(harness.ROOT / f"systemd/{unit}.service")],
        capture_output=True, text=True, check=False)
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)",
                      done.stdout)
    assert found and float(found[1]) <= EXPOSURE_MAX, done.stdout
