"""make install and make uninstall: what they put where, for whom, with which
words; and that nothing is left and nothing else is touched."""
import os
import pathlib
import re
import shutil
import subprocess

import pytest

import first_hour
import harness
import machine

BUILD = pathlib.Path(harness.program("ocspd")).parent


def make(what, destdir, prefix="/usr/local", code=0, user=None, **more):
    """`make WHAT`, of what is built already."""
    words = [f"DESTDIR={destdir}", f"PREFIX={prefix}", f"BUILD={BUILD}"] + \
        [f"{name}={value}" for name, value in more.items()]
    before = ["setpriv", f"--reuid={user}", f"--regid={user}",
              "--clear-groups"] if user else []
    return harness.run(*before, "make", "--no-print-directory", "-o", "all",
                       "-o", BUILD / "ocspd", "-o", BUILD / "wsgate", what,
                       *words, cwd=harness.ROOT, code=code,
                       env={"MAKEFLAGS": "", "MAKELEVEL": ""})


def script(what, env, code=0):
    """The same without make: to reach the part that is for a real host."""
    return harness.run(harness.ROOT / "contrib/install/files", what,
                       cwd=harness.ROOT, code=code,
                       env={"BUILD": BUILD, **env})


def listing(root):
    """Every file and folder below, with mode and, of files, their bytes."""
    found = {}
    for path in sorted(root.rglob("*")):
        found[str(path.relative_to(root))] = (
            oct(path.lstat().st_mode),
            path.read_bytes() if path.is_file() else None)
    return found


@pytest.fixture
def foreign(folder):
    """A DESTDIR in which others have been, with a blank in its name."""
    root = folder / "a root"
    for path in ("usr/local/sbin/other", "usr/local/share/man/man8/other.8",
                 "etc/other.conf", "usr/local/share/ocspd.old/kept"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("foreign\n")
    (root / "usr/local/lib/systemd/system").mkdir(parents=True)
    (root / "usr/local/share/man/man5").mkdir(mode=0o750)
    return root


def without_config(found):
    return {path: what for path, what in found.items()
            if not re.match(r"etc/(ocspd|wsgate)\b", path)}


@pytest.mark.row("install: uninstall takes away what install put, no more")
@pytest.mark.parametrize("prefix", ["/usr/local", "/usr", "/opt/odd+1.0/x",
                                    "/opt/x/"])
def test_uninstall_leaves_what_was_there_before(foreign, prefix):
    before = listing(foreign)
    make("install", foreign, prefix)
    assert len(listing(foreign)) > len(before) + 12
    done = make("uninstall", foreign, prefix)
    after = listing(foreign)
    assert without_config(after) == before
    for name in ("ocspd", "wsgate"):
        assert f"etc/{name}/{name}.yaml" in after, "configuration stays"
        assert f'"{foreign}/etc/{name}"' in done.out, "and is told of"
    assert "Kept: configuration" in done.out and "rm -r" in done.out


def test_the_command_for_what_was_kept_removes_it(foreign):
    before = listing(foreign)
    make("install", foreign)
    told = make("uninstall", foreign).out
    command = re.search(r"^ +(rm -r .*)$", told, re.M).group(1)
    subprocess.run(command, shell=True, check=True)
    assert listing(foreign) == before


def test_uninstall_keeps_a_folder_that_others_use_by_now(foreign):
    make("install", foreign)
    mine = foreign / "usr/local/share/ocspd/hooks/mine"
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("by the operator\n")
    make("uninstall", foreign)
    assert mine.read_text() == "by the operator\n"
    assert os.listdir(mine.parent) == ["mine"]


def test_uninstall_without_an_install_removes_nothing(foreign):
    before = listing(foreign)
    done = make("uninstall", foreign, code=2)
    assert "share/ocspd/installed is not there: nothing was installed with " \
        "this PREFIX and DESTDIR" in done.err
    assert listing(foreign) == before


@pytest.mark.row("install: again changes nothing")
def test_a_second_install_changes_nothing_and_is_undone_by_one(foreign):
    before = listing(foreign)
    make("install", foreign)
    first = listing(foreign)
    assert "kept as it is" in make("install", foreign).out
    assert listing(foreign) == first
    make("uninstall", foreign)
    assert without_config(listing(foreign)) == before


@pytest.mark.row("install: an operator's configuration is never overwritten")
def test_existing_configuration_is_left_alone(foreign):
    mine = foreign / "etc/wsgate/wsgate.yaml"
    mine.parent.mkdir()
    mine.write_text("mine: true\n")
    mine.chmod(0o600)
    make("install", foreign)
    assert mine.read_text() == "mine: true\n"
    assert mine.stat().st_mode & 0o777 == 0o600
    assert (foreign / "etc/ocspd/ocspd.yaml").exists()


def test_modes_do_not_depend_on_the_umask(foreign):
    before = os.umask(0o077)
    try:
        make("install", foreign, "/opt/new")
    finally:
        os.umask(before)
    for path in (foreign / "opt").rglob("*"):
        place = str(path.relative_to(foreign / "opt/new")) \
            if path != foreign / "opt/new" else ""
        runs = path.is_dir() or place.startswith("sbin/") or \
            re.match(r"share/ocspd/(hooks|publish\.d)/", place)
        assert path.stat().st_mode & 0o7777 == (0o755 if runs else 0o644), path
        assert path.stat().st_uid == os.geteuid()
    for name in ("ocspd", "wsgate"):
        made = foreign / "etc" / name
        assert made.stat().st_mode & 0o7777 == 0o755
        assert (made / f"{name}.yaml").stat().st_mode & 0o7777 == 0o644


def test_every_page_unit_entry_and_hook_is_installed(folder):
    make("install", folder)
    base = folder / "usr/local"
    for source in list(harness.ROOT.glob("*/*.[1-8]")):
        assert (base / f"share/man/man{source.suffix[1:]}" /
                source.name).exists()
    for source in (harness.ROOT / "systemd").iterdir():
        kind = source.suffix[1:]
        place = {"sysusers": f"lib/sysusers.d/{source.stem}.conf",
                 "tmpfiles": f"lib/tmpfiles.d/{source.stem}.conf",
                 "preset": f"lib/systemd/system-preset/{source.name}"}.get(
            kind, f"lib/systemd/system/{source.name}")
        assert (base / place).exists(), place
    for source in (harness.ROOT / "contrib/hooks").iterdir():
        assert os.access(base / "share/ocspd/hooks" / source.name, os.X_OK)


@pytest.mark.row("install: PREFIX and SYSCONFDIR are filled in everywhere")
def test_paths_are_filled_in(foreign):
    make("install", foreign, "/usr", SYSCONFDIR="/srv/etc")
    assert (foreign / "srv/etc/wsgate/wsgate.yaml").exists()
    assert not (foreign / "etc/wsgate").exists()
    unit = (foreign / "usr/lib/systemd/system/wsgate.service").read_text()
    assert "ExecStart=/usr/sbin/wsgate -c /srv/etc/wsgate/wsgate.yaml" in unit
    folders = (foreign / "usr/lib/tmpfiles.d/wsgate.conf").read_text()
    assert "d /srv/etc/wsgate/certs 0750 root wsgate" in folders
    texts = [path for path in list((foreign / "usr").rglob("*")) +
             list((foreign / "srv").rglob("*"))
             if path.is_file() and "local" not in path.parts]
    assert len(texts) > 15
    for path in texts:
        content = path.read_bytes()
        assert b"/usr/local/sbin" not in content and \
            b"/usr/local/share/ocspd" not in content, path
        if path.parent.name != "sbin":
            assert not re.search(rb"(?<!/srv)/etc/(ocspd|wsgate)\b",
                                 content), path


@pytest.mark.skipif(not shutil.which("systemd-analyze"),
                    reason="no systemd-analyze")
def test_installed_units_are_well_formed(folder):
    """Below a copy of /, as systemd will find them there."""
    make("install", folder, "/usr")
    units = sorted((folder / "usr/lib/systemd/system").iterdir())
    found = [path for path in units if "@" not in path.name]
    assert len(found) >= 3
    for program in ("bin/kill", "usr/bin/true"):
        (folder / program).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy("/bin/true", folder / program)
    real = harness.ROOT.joinpath("/usr/lib/systemd/system")
    for path in real.glob("*.target"):
        if not (folder / path.relative_to("/")).exists():
            shutil.copy(path, folder / path.relative_to("/"))
    done = harness.run("systemd-analyze", f"--root={folder}", "verify",
                       "--man=no", *[path.name for path in found], code=0)
    ours = [line for line in done.err.splitlines()
            if re.search("ocspd|wsgate", line)]
    assert not ours


@pytest.mark.skipif(not shutil.which("systemctl"), reason="no systemctl")
@pytest.mark.parametrize("prefix", ["/usr", "/usr/local"])
def test_nothing_is_enabled_without_the_operators_word(folder, prefix):
    """systemd's default, where no preset speaks, is to enable all."""
    make("install", folder, prefix)
    names = ["ocspd.service", "wsgate.service", "wsgate.socket"]
    harness.run("systemctl", f"--root={folder}", "preset", *names, code=0)
    for name in names:
        assert harness.run("systemctl", f"--root={folder}", "is-enabled",
                           name).out.strip() == "disabled"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has a second user")
def test_install_by_an_ordinary_user_below_an_own_folder(folder):
    os.chown(folder, 65534, 65534)
    make("install", folder / "mine", user=65534)
    assert (folder / "mine/usr/local/sbin/wsgate").stat().st_uid == 65534
    make("uninstall", folder / "mine", user=65534)
    assert sorted(os.listdir(folder / "mine")) == ["etc"]


@pytest.mark.row("install: the next four commands")
@pytest.mark.parametrize("prefix,commands", [
    ("/usr/local", [
        "systemd-sysusers && "
        "systemd-tmpfiles --create ocspd.conf wsgate.conf && "
        "systemctl daemon-reload",
        "systemctl enable --now ocspd",
        "/usr/local/share/ocspd/hooks/deploy-pair site fullchain.pem privkey.pem",
        "systemctl enable --now wsgate"]),
    ("FOLDER/p", [
        "systemd-sysusers FOLDER/p/lib/sysusers.d/ocspd.conf "
        "FOLDER/p/lib/sysusers.d/wsgate.conf && "
        "systemd-tmpfiles --create FOLDER/p/lib/tmpfiles.d/ocspd.conf "
        "FOLDER/p/lib/tmpfiles.d/wsgate.conf && "
        "systemctl link -q FOLDER/p/lib/systemd/system/* && "
        "systemctl daemon-reload",
        "systemctl enable --now ocspd",
        "FOLDER/p/share/ocspd/hooks/deploy-pair site fullchain.pem privkey.pem",
        "systemctl enable --now wsgate"])])
def test_the_next_commands_are_printed(folder, prefix, commands):
    """DESTDIR is empty here: /usr/local is a bind mount in a namespace."""
    prefix = prefix.replace("FOLDER", str(folder))
    told = installed_on_a_host(folder, prefix, "install")
    assert [line.strip() for line in told.splitlines()
            if line.startswith("    ")] == \
        [line.replace("FOLDER", str(folder)) for line in commands]


def installed_on_a_host(folder, prefix, *verbs, path=None):
    """Runs the script without DESTDIR, in a mount namespace where /usr/local
    and SYSCONFDIR are the test's own."""
    if os.geteuid() != 0:
        pytest.skip("only root makes a mount namespace")
    (folder / "local").mkdir(exist_ok=True)
    calls = " && ".join(f"contrib/install/files {verb}" for verb in verbs)
    done = harness.run(
        "unshare", "--mount", "sh", "-ec",
        f"mount --bind {folder}/local /usr/local && {calls}",
        cwd=harness.ROOT, code=0, env={
            "BUILD": BUILD, "DESTDIR": "", "PREFIX": prefix,
            "SYSCONFDIR": folder / "etc",
            "PATH": f"{path or ''}:{os.environ['PATH']}"})
    return done.out + done.err


def test_a_package_build_is_told_nothing(folder):
    assert make("install", folder).out == ""


@pytest.mark.row("install: uninstall warns of what still runs")
def test_uninstall_names_units_that_still_run(folder):
    """systemctl stands for one that knows wsgate's as active."""
    fake = folder / "bin/systemctl"
    fake.parent.mkdir()
    fake.write_text('#!/bin/sh\n[ "$*" != "-q is-active ocspd.service" ]\n')
    fake.chmod(0o755)
    told = installed_on_a_host(folder, "/usr/local", "install", "uninstall",
                               path=fake.parent)
    warning = re.search("^warning: still running: (.*)$", told, re.M).group(1)
    assert "'wsgate.service'" in warning and "'wsgate.socket'" in warning
    assert "'ocspd.service'" not in warning
    assert f"  systemctl stop {warning}; systemctl daemon-reload\n" in told
    assert os.listdir(folder / "local") == []


@pytest.mark.parametrize("name,value", [
    ("PREFIX", "/opt/two words"), ("PREFIX", "relative"), ("PREFIX", "/a;b"),
    ("SYSCONFDIR", "/a&b"), ("SBINDIR", "/a,b")])
def test_a_path_that_units_could_not_name_is_refused(folder, name, value):
    done = script("install", {"DESTDIR": folder / "d", name: value}, code=1)
    assert done.err.startswith(f"{value}: ") and "PREFIX" in done.err
    assert not (folder / "d").exists()


@pytest.fixture(scope="module")
def odd_host(tmp_path_factory):
    """A booted machine without the programs; in it, make."""
    with machine.boot(tmp_path_factory.mktemp("odd"), installed=False) as host:
        inside = f"{machine.SOURCE}/{BUILD.relative_to(harness.ROOT)}"

        def run(target):
            return host.sh(f"cd {machine.SOURCE} && make -o all -o {inside}/ocspd "
                           f"-o {inside}/wsgate BUILD={inside} "
                           f"PREFIX=/opt/gate {target}")
        host.make = run
        yield host


@pytest.mark.must_run
@pytest.mark.row("install: the printed commands work for any PREFIX")
def test_below_a_folder_that_systemd_does_not_know(odd_host, pki):
    """Installed, started by the printed commands; taken away while it runs;
    stopped by the printed command. Nothing stays but what is told."""
    host = odd_host
    before = odd_files(host)
    commands = re.findall("^    (.*)$", host.make("install").out, re.M)
    leaf = pki.leaf("www.example.org")
    host.write("/root/fullchain.pem", leaf.chain_pem, 0o600)
    host.write("/root/privkey.pem", leaf.key_pem, 0o600)
    host.write("/etc/wsgate/wsgate.yaml", first_hour.WSGATE_YAML)
    for command in commands:
        host.sh(f"cd /root && {command}")
    assert host.out("systemctl is-active ocspd wsgate").split() == \
        ["active", "active"]
    assert "/opt/gate/sbin/wsgate" in host.show("wsgate")["ExecStart"]
    done = host.make("uninstall")
    assert "warning: still running:" in done.err
    host.sh(re.search("^  (systemctl .*)$", done.out, re.M)[1], code=None)
    assert host.sh("systemctl is-active ocspd wsgate wsgate.socket",
                   code=None).out.split() == ["inactive"] * 3
    for command in re.findall("^  (rm -r .*|userdel .*)$", done.out, re.M):
        host.sh(command)
    assert odd_files(host) == before


def odd_files(host):
    """What systemd-sysusers keeps as backups aside."""
    found = host.out("find /usr /opt /etc /var/lib /var/spool -xdev")
    return {path for path in found.splitlines() if not re.match(
        r"/etc/(passwd|group|gshadow|shadow|subuid|subgid|\.pwd\.lock)-?$", path)}
