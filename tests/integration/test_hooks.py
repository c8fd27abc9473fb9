"""contrib/hooks: a renewed pair put in use by deploy-pair, and what each ACME
client hands over to it. The clients themselves are in test_renewal.py."""
import os
import pathlib
import shutil
import signal
import stat

import pytest

import harness

HOOKS = harness.ROOT / "contrib/hooks"
GROUP = 4321                  # of both folders: what wsgate and ocspd are in
NAME = "www.example.org"
IS_ROOT = os.geteuid() == 0

# Stands for ocspd: notes its words, keeps what the folders look like while it
# waits, and ends as it is told.
OCSPD = """#!/bin/sh
echo "$@" >>BASE/asked
rm -rf BASE/seen
mkdir BASE/seen
cp -a BASE/ocspd BASE/wsgate BASE/seen
if [ -p BASE/gate ]; then
    touch BASE/waiting
    read -r line <BASE/gate
fi
exit "$(cat BASE/code)"
"""


class Host:
    """Two folders for certificates and an ocspd that answers 0."""

    def __init__(self, base, pki):
        self.base, self.pki = base, pki
        for name in ("ocspd", "wsgate", "client", "bin"):
            (base / name).mkdir(mode=0o750)
            if IS_ROOT and name in ("ocspd", "wsgate"):
                os.chown(base / name, 0, GROUP)
        self.shim("ocspd", OCSPD.replace("BASE", str(base)))
        self.shim("systemctl", "#!/bin/sh\n")
        self.answer(0)

    def shim(self, name, text):
        path = self.base / "bin" / name
        path.write_text(text)
        path.chmod(0o755)

    def answer(self, code):
        (self.base / "code").write_text(f"{code}\n")

    @property
    def asked(self):
        try:
            return (self.base / "asked").read_text().splitlines()
        except FileNotFoundError:
            return []

    @property
    def env(self):
        return {"OCSPD_CERTS": self.base / "ocspd",
                "WSGATE_CERTS": self.base / "wsgate",
                "OCSPD_CONFIG": "/c/ocspd.yaml",
                "PATH": f"{self.base}/bin:{os.environ['PATH']}"}

    def pair(self, key_name="one", **how):
        """What a client leaves: chain and key, as paths."""
        leaf = self.pki.leaf(NAME, key_name=key_name, **how)
        chain = leaf.write_chain(self.base / f"client/{leaf.serial:x}.pem")
        key = leaf.write_key(self.base / f"client/{leaf.serial:x}.key")
        return leaf, chain, key

    def words(self, chain, key, name=NAME):
        return [HOOKS / "deploy-pair", name, chain, key]

    def deploy(self, chain, key, name=NAME, code=0, **env):
        return harness.run(*self.words(chain, key, name), code=code,
                           env={**self.env, **env}, cwd="/")

    def start(self, chain, key):
        return harness.Daemon(*self.words(chain, key), env=self.env, code=None)

    def files(self):
        """Every file of the two folders with its bytes."""
        return {f"{folder}/{path.name}": path.read_bytes()
                for folder in ("ocspd", "wsgate")
                for path in (self.base / folder).iterdir()}


def in_use(leaf, name=NAME):
    """What the folders hold when this pair is in use, and nothing else is."""
    return {f"ocspd/{name}.pem": leaf.chain_pem,
            f"wsgate/{name}.pem": leaf.chain_pem + leaf.key_pem}


@pytest.fixture
def host(folder, pki):
    return Host(folder, pki)


@pytest.fixture
def old(host):
    """A pair that is in use already."""
    leaf, chain, key = host.pair("old")
    host.deploy(chain, key)
    assert host.files() == in_use(leaf)
    (host.base / "asked").unlink()
    return leaf


# ---- what it does --------------------------------------------------------------


@pytest.mark.row("hooks: the old pair stays until the new one is stapled")
def test_the_new_chain_is_in_ocspds_care_before_the_pair_is_switched(host, old):
    leaf, chain, key = host.pair("new")
    done = host.deploy(chain, key)
    assert host.asked == [f"wait -c /c/ocspd.yaml --timeout 10m "
                          f"{host.base}/ocspd/{NAME}.new.pem"]
    seen = host.base / "seen"
    assert (seen / f"wsgate/{NAME}.pem").read_bytes() == \
        old.chain_pem + old.key_pem
    assert (seen / f"ocspd/{NAME}.pem").read_bytes() == old.chain_pem
    assert (seen / f"ocspd/{NAME}.new.pem").read_bytes() == leaf.chain_pem
    assert host.files() == in_use(leaf)
    assert done.out == f"deploy-pair: {NAME}: in place\n" and not done.err


@pytest.mark.row("hooks: modes and owners")
@pytest.mark.skipif(not IS_ROOT, reason="only root gives files to groups")
def test_files_are_readable_by_the_programs_group_and_nobody_else(host):
    host.shim("chgrp", f"#!/bin/sh\nstat -c '%a %n' $2 >>{host.base}/modes\n"
                       'exec /bin/chgrp "$@"\n')
    leaf, chain, key = host.pair()
    before = os.umask(0)
    try:
        host.deploy(chain, key)
    finally:
        os.umask(before)
    for name in in_use(leaf):
        found = (host.base / name).stat()
        assert (found.st_uid, found.st_gid) == (0, GROUP)
        assert stat.S_IMODE(found.st_mode) == 0o640
    staged = (host.base / f"seen/ocspd/{NAME}.new.pem").stat()
    assert (staged.st_gid, stat.S_IMODE(staged.st_mode)) == (GROUP, 0o640)
    modes = (host.base / "modes").read_text().splitlines()
    assert len(modes) == 2 and all(line.startswith("600 ") for line in modes)


@pytest.mark.skipif(not IS_ROOT, reason="only root gives files to groups")
def test_in_a_folder_of_roots_group_files_are_for_the_programs(host):
    """Made by hand instead of by systemd-tmpfiles."""
    for name in ("ocspd", "wsgate"):
        os.chown(host.base / name, 0, 0)
    host.shim("getent", '#!/bin/sh\n[ "$1" = group ]\n')
    host.shim("chgrp", f"#!/bin/sh\necho $1 >>{host.base}/groups\n")
    host.deploy(*host.pair()[1:])
    assert (host.base / "groups").read_text() == "ocspd\nwsgate\n"


def test_a_pair_that_is_in_use_is_not_touched(host):
    leaf, chain, key = host.pair()
    host.deploy(chain, key)
    stamps = {name: (host.base / name).stat().st_mtime_ns
              for name in in_use(leaf)}
    done = host.deploy(chain, key)
    assert "already in place" in done.out and len(host.asked) == 1
    assert stamps == {name: (host.base / name).stat().st_mtime_ns
                      for name in in_use(leaf)}


@pytest.mark.row("hooks: must-staple waits at the gate")
@pytest.mark.parametrize("answer", [75, 77, 78])
def test_a_must_staple_certificate_without_staple_is_not_put_in_use(
        host, old, answer):
    leaf, chain, key = host.pair("new", must_staple=True)
    host.answer(answer)
    done = host.deploy(chain, key, code=75, OCSPD_WAIT="3s")
    assert "--timeout 3s" in host.asked[0]
    assert {75: "no staple for it after 3s"}.get(
        answer, f"`ocspd wait` failed with {answer}") in done.err
    assert "must-staple" in done.err and "the old pair stays" in done.err
    assert f"Run again: {HOOKS}/deploy-pair {NAME} '{chain}' '{key}'" in done.err
    assert host.files() == {**in_use(old),
                            f"ocspd/{NAME}.new.pem": leaf.chain_pem}
    host.answer(0)
    host.deploy(chain, key)
    assert host.files() == in_use(leaf)


@pytest.mark.row("hooks: an unstapled new certificate beats an expired old one")
def test_any_other_certificate_without_staple_is_put_in_use_with_a_warning(
        host, old):
    leaf, chain, key = host.pair("new")
    host.answer(75)
    done = host.deploy(chain, key)
    assert "warning: no staple for it after 10m: put in use without one" in \
        done.err
    assert host.files() == in_use(leaf)


def test_a_renewal_that_was_overtaken_leaves_no_chain_behind(host, old):
    _, chain, key = host.pair("refused", must_staple=True)
    host.answer(75)
    host.deploy(chain, key, code=75)
    leaf, chain, key = host.pair("newest")
    host.answer(0)
    host.deploy(chain, key)
    assert host.files() == in_use(leaf)


@pytest.mark.parametrize("absent,told", [
    ("ocspd", "no ocspd here: not waiting for a staple"), ("wsgate", "in place")])
def test_only_one_program_here_its_half_is_done(host, absent, told):
    leaf, chain, key = host.pair()
    (host.base / absent).rmdir()
    host.shim("ocspd", "#!/bin/sh\nexit 0\n")
    done = host.deploy(chain, key)
    assert told in done.out
    left = {"ocspd": "wsgate", "wsgate": "ocspd"}[absent]
    found = (host.base / left / f"{NAME}.pem").read_bytes()
    assert found == in_use(leaf)[f"{left}/{NAME}.pem"]
    assert os.listdir(host.base / left) == [f"{NAME}.pem"]


def test_neither_program_here_is_an_error_that_says_what_makes_the_folders(
        host):
    _, chain, key = host.pair()
    for name in ("ocspd", "wsgate"):
        (host.base / name).rmdir()
    done = host.deploy(chain, key, code=69)
    assert "systemd-tmpfiles --create makes them" in done.err


def test_one_file_with_chain_and_key_serves_as_both(host):
    leaf, _, _ = host.pair()
    both = host.base / "client/both.pem"
    both.write_bytes(leaf.key_pem + leaf.chain_pem.rstrip(b"\n"))
    host.deploy(both, both)
    assert host.files() == in_use(leaf), "no key comes to ocspd"


def test_line_ends_of_other_systems_are_taken(host):
    leaf, chain, key = host.pair()
    for path in (chain, key):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    host.deploy(chain, key)
    assert host.files() == in_use(leaf)


def test_crons_poor_environment_is_enough(host):
    leaf, chain, key = host.pair()
    words = [f"{name}={value}" for name, value in host.env.items()
             if name != "PATH"]
    harness.run("env", "-i", f"PATH={host.base}/bin:/usr/bin:/bin", *words,
                *host.words(chain, key), code=0)
    assert host.files() == in_use(leaf)


@pytest.mark.row("hooks: keys are in no argument and no output")
def test_the_key_is_in_no_argument_and_no_output(host):
    for tool in ("openssl", "awk", "cmp", "mv", "chgrp", "sync", "mktemp"):
        real = shutil.which(tool)
        host.shim(tool, f'#!/bin/sh\necho "$@" >>{host.base}/words\n'
                        f'exec {real} "$@"\n')
    leaf, chain, key = host.pair()
    done = host.deploy(chain, key)
    words = (host.base / "words").read_text()
    assert str(key) in words, "the shims were seen"
    for line in leaf.key_pem.decode().splitlines()[1:-1]:
        assert line not in words + done.out + done.err


def test_a_pair_that_no_site_has_is_told_of(host):
    """Renewed under another name than the configuration's, it would be left
    lying until the old one runs out."""
    _, chain, key = host.pair()
    site = host.base / "wsgate.yaml"
    site.write_text("sites: [{certificates: [{chain: certs/site.pem}]}]\n")
    for _ in range(2):
        done = host.deploy(chain, key)
        assert f"{site} has no site with {host.base}/wsgate/{NAME}.pem: " \
            f"certificates: [{{chain: certs/{NAME}.pem}}]" in done.err
    site.write_text(site.read_text().replace("site.pem", f"{NAME}.pem"))
    assert not host.deploy(chain, key).err


# ---- what it refuses -------------------------------------------------------------

def not_a_pair(host, kind):
    leaf, chain, key = host.pair("one")
    if kind == "of another key":
        _, _, key = host.pair("two")
    elif kind == "run out":
        _, chain, key = host.pair(days=-1, start=-90)
    elif kind == "empty":
        key.write_bytes(b"")
    elif kind == "no private key":
        key.write_bytes(leaf.pem)
    elif kind == "passphrase":
        harness.run("openssl", "pkcs8", "-topk8", "-in", key, "-out",
                    f"{key}.new", "-passout", "pass:secret", code=0)
        key = pathlib.Path(f"{key}.new")
    elif kind == "no certificate":
        chain.write_bytes(leaf.key_pem)
    elif kind == "cannot be read":
        key = host.base / "nowhere.key"
    return chain, key


@pytest.mark.row("hooks: a pair that does not fit is refused")
@pytest.mark.parametrize("kind", [
    "of another key", "run out", "empty", "no private key", "passphrase",
    "no certificate", "cannot be read"])
def test_what_is_no_pair_is_refused_and_the_old_one_stays(host, old, kind):
    done = host.deploy(*not_a_pair(host, kind), code=65)
    assert kind in done.err and not host.asked
    assert host.files() == in_use(old)


@pytest.mark.parametrize("name", [
    "", ".", "..", "../x", "a/b", "-rf", ".hidden", "two words", "a\nb", "*",
    "a;b", "$(id)", "docs.new", "ä", "a" * 201])
def test_a_name_that_is_not_safe_for_a_file_is_refused(host, old, name):
    _, chain, key = host.pair()
    done = host.deploy(chain, key, name=name, code=64)
    assert done.err.startswith("deploy-pair: ")
    assert host.files() == in_use(old)


@pytest.mark.parametrize("count", [0, 1, 2, 4])
def test_usage(count):
    done = harness.run(HOOKS / "deploy-pair", *["x"] * count, code=64)
    assert done.err == "usage: deploy-pair NAME CHAIN KEY\n"


@pytest.mark.skipif(not IS_ROOT, reason="only root has a second user")
def test_without_the_right_to_write_it_says_who_has_it(host):
    _, chain, key = host.pair()
    for path in (host.base / "client", key):
        os.chown(path, 65534, 65534)
    done = harness.run("setpriv", "--reuid=65534", "--regid=65534",
                       "--clear-groups", *host.words(chain, key),
                       env=host.env, code=77)
    assert f"{host.base}/wsgate: may not be written by nobody" in done.err
    assert "run it as root" in done.err and host.files() == {}


@pytest.mark.row("hooks: disk full")
def test_a_full_disk_is_named_and_the_old_pair_stays(host, old):
    _, chain, key = host.pair("new")
    host.shim("mktemp", "#!/bin/sh\nln -s /dev/full $1.1 && echo $1.1\n")
    done = host.deploy(chain, key, code=74)
    assert f"{host.base}/ocspd: cannot be written, the old pair stays: is the " \
        f"disk full? (df {host.base}/ocspd)" in done.err
    assert host.files() == in_use(old)


# ---- interrupted, and two at once --------------------------------------------------

def waiting(host, chain, key):
    """One that stands at the gate until somebody writes into it."""
    os.mkfifo(host.base / "gate")
    daemon = host.start(chain, key)
    harness.wait_until((host.base / "waiting").exists, "it asks for a staple")
    return daemon


def open_gate(host):
    """For the one that waits; whoever comes later finds none."""
    with open(host.base / "gate", "w") as gate:
        (host.base / "gate").unlink()
        gate.write("go\n")


@pytest.mark.row("hooks: killed at any point, no half of a pair is in use")
def test_killed_while_it_waits_the_old_pair_stays_and_the_next_goes_on(
        host, old):
    leaf, chain, key = host.pair("new")
    waiting(host, chain, key).kill()
    assert host.files() == {**in_use(old),
                            f"ocspd/{NAME}.new.pem": leaf.chain_pem}
    (host.base / "gate").unlink()
    host.deploy(chain, key)
    assert host.files() == in_use(leaf)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("turn", [1, 2, 3])
def test_killed_around_each_rename_both_files_are_whole(host, old, turn, after):
    leaf, chain, key = host.pair("new")
    host.shim("mv", f"""#!/bin/sh
echo >>{host.base}/turns
[ "$(wc -l <{host.base}/turns)" = {turn} ] || exec /bin/mv "$@"
[ {int(after)} = 0 ] || /bin/mv "$@"
kill -9 $PPID
""")
    killed = harness.run(*host.words(chain, key), env=host.env)
    assert killed.code == -signal.SIGKILL
    for name, whole in in_use(old).items():
        assert host.files()[name] in (whole, in_use(leaf)[name])
    (host.base / "bin/mv").unlink()
    host.deploy(chain, key)
    assert host.files() == in_use(leaf), "and no leftovers"


def test_told_to_end_it_leaves_no_key_behind(host, old):
    """TERM to all, as systemd does: the shell's own file goes too."""
    _, chain, key = host.pair("new")
    host.shim("sync", f"#!/bin/sh\ntouch {host.base}/waiting\n"
                      'kill -TERM $PPID\n')
    harness.run(*host.words(chain, key), env=host.env, code=143)
    assert (host.base / "waiting").exists()
    assert host.files() == in_use(old)


@pytest.mark.row("hooks: one at a time")
def test_two_at_once_go_one_after_the_other(host, old):
    _, chain, key = host.pair("first")
    first = waiting(host, chain, key)
    leaf, chain, key = host.pair("second")
    with host.start(chain, key) as second:
        second.wait_log("another one is at work: waiting for it")
        assert len(host.asked) == 1
        open_gate(host)
        assert first.wait_exit() == 0
        assert second.wait_exit() == 0
    assert host.files() == in_use(leaf)


def test_a_chain_replaced_while_it_waits_is_not_put_in_use_unseen(host, old):
    staged, chain, key = host.pair("new")
    daemon = waiting(host, chain, key)
    newer, _, _ = host.pair("newer")
    newer.write_chain(chain)
    newer.write_key(key)
    open_gate(host)
    assert daemon.wait_exit() == 75
    assert "was replaced meanwhile" in daemon.tail()
    assert host.files() == {**in_use(old),
                            f"ocspd/{NAME}.new.pem": staged.chain_pem}


# ---- the clients' contracts ------------------------------------------------------------

CONTRACTS = [
    ("certbot: one lineage", "certbot", [],
     {"RENEWED_LINEAGE": "/etc/letsencrypt/live/www.example.org",
      "RENEWED_DOMAINS": "www.example.org example.org"},
     ["www.example.org", "/etc/letsencrypt/live/www.example.org/fullchain.pem",
      "/etc/letsencrypt/live/www.example.org/privkey.pem"]),
    ("certbot: a name of the operator's", "certbot", ["site"],
     {"RENEWED_LINEAGE": "/l/www.example.org", "RENEWED_DOMAINS": "x"},
     ["site", "/l/www.example.org/fullchain.pem",
      "/l/www.example.org/privkey.pem"]),
    ("acme.sh: --reloadcmd", "acme.sh", [],
     {"Le_Domain": "example.org",
      "CERT_PATH": "/r/.acme.sh/example.org_ecc/example.org.cer",
      "CERT_KEY_PATH": "/r/.acme.sh/example.org_ecc/example.org.key",
      "CA_CERT_PATH": "/r/.acme.sh/example.org_ecc/ca.cer",
      "CERT_FULLCHAIN_PATH": "/r/.acme.sh/example.org_ecc/fullchain.cer"},
     ["example.org", "/r/.acme.sh/example.org_ecc/fullchain.cer",
      "/r/.acme.sh/example.org_ecc/example.org.key"]),
    ("acme.sh: a wildcard", "acme.sh", [],
     {"Le_Domain": "*.example.org", "CERT_KEY_PATH": "/k",
      "CERT_FULLCHAIN_PATH": "/f"}, ["_.example.org", "/f", "/k"]),
    ("lego 4", "lego", [],
     {"LEGO_ACCOUNT_EMAIL": "a@example.org",
      "LEGO_CERT_DOMAIN": "*.example.org",
      "LEGO_CERT_PATH": "/l/_.example.org.crt",
      "LEGO_CERT_KEY_PATH": "/l/_.example.org.key"},
     ["_.example.org", "/l/_.example.org.crt", "/l/_.example.org.key"]),
    ("lego 5", "lego", [],
     {"LEGO_HOOK_CERT_NAME": "example.org", "LEGO_HOOK_CERT_PATH": "/l/e.crt",
      "LEGO_HOOK_CERT_KEY_PATH": "/l/e.key"},
     ["example.org", "/l/e.crt", "/l/e.key"]),
    ("dehydrated: deploy_cert", "dehydrated",
     ["deploy_cert", "example.org", "/d/privkey.pem", "/d/cert.pem",
      "/d/fullchain.pem", "/d/chain.pem", "1700000000"], {},
     ["example.org", "/d/fullchain.pem", "/d/privkey.pem"]),
    ("dehydrated: unchanged_cert tries again", "dehydrated",
     ["unchanged_cert", "*.example.org", "/d/privkey.pem", "/d/cert.pem",
      "/d/fullchain.pem", "/d/chain.pem"], {},
     ["_.example.org", "/d/fullchain.pem", "/d/privkey.pem"]),
]


@pytest.fixture
def recorder(folder):
    """The hooks, with a deploy-pair that prints its words; called by a link,
    as certbot's folder of hooks has one."""
    shutil.copytree(HOOKS, folder / "hooks")
    (folder / "hooks/deploy-pair").write_text(
        '#!/bin/sh\nfor word; do echo "$word"; done\n'
        'echo "wait: $OCSPD_WAIT"\nexit 75\n')

    def run(name, words, env):
        link = folder / "links" / name
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(folder / "hooks" / name)
        return harness.run("env", "-i", "PATH=/usr/bin:/bin", *[
            f"{key}={value}" for key, value in env.items()], link, *words)
    return run


@pytest.mark.row("hooks: certbot, acme.sh, lego, dehydrated")
@pytest.mark.parametrize("name,words,env,wanted", [
    pytest.param(*case[1:], id=case[0]) for case in CONTRACTS])
def test_what_a_client_hands_over_reaches_deploy_pair(recorder, name, words,
                                                      env, wanted):
    done = recorder(name, words, env)
    wait = "90s" if name == "lego" else ""
    assert done.out.splitlines() == wanted + [f"wait: {wait}"]
    assert done.code == 75, "the client hears how it ended"


def test_a_copied_adapter_finds_deploy_pair_where_it_is_installed(folder):
    harness.run(harness.ROOT / "contrib/install/files", "install",
                cwd=harness.ROOT, code=0, env={
                    "PREFIX": folder / "p", "SYSCONFDIR": folder / "etc",
                    "BUILD": pathlib.Path(harness.program("ocspd")).parent})
    (folder / "p/share/ocspd/hooks/deploy-pair").write_text(
        '#!/bin/sh\necho "$1"\n')
    copy = shutil.copy(folder / "p/share/ocspd/hooks/certbot", folder / "copy")
    done = harness.run(copy, env={"RENEWED_LINEAGE": "/l/site"}, code=0)
    assert done.out == "site\n"


@pytest.mark.parametrize("words", [
    [], ["startup_hook"], ["exit_hook"], ["exit_hook", "an error"],
    ["deploy_challenge", "example.org", "t", "v"],
    ["clean_challenge", "example.org", "t", "v"], ["generate_csr", "d", "c", "d"],
    ["sync_cert", "k", "c", "f", "c", "r"], ["deploy_ocsp", "d", "f", "1"],
    ["request_failure", "500", "r", "GET", "h"], ["invalid_challenge", "d", "r"],
    ["this_hookscript_is_broken__dehydrated_is_working_fine__please_ignore_"
     "unknown_hooks_in_your_script"]])
def test_dehydrateds_other_hooks_are_passed_over_in_silence(recorder, words):
    done = recorder("dehydrated", words, {})
    assert (done.code, done.out, done.err) == (0, "", "")


@pytest.mark.parametrize("name,told", [
    ("certbot", "RENEWED_LINEAGE: certbot sets it: this is its --deploy-hook"),
    ("acme.sh", "Le_Domain: acme.sh sets it: this is its --reloadcmd"),
    ("lego", "LEGO_HOOK_CERT_NAME: lego sets it: this is its hook")])
def test_called_by_hand_an_adapter_says_who_calls_it(recorder, name, told):
    done = recorder(name, [], {})
    assert done.code != 0 and told in done.err and not done.out


# ---- with ocspd itself -------------------------------------------------------------------

def real(world):
    """deploy-pair over the world's folder, asking the program under test."""
    wsgate, path = world.folder / "wsgate", world.folder / "bin"
    for made in (wsgate, path):
        made.mkdir()
    (path / "ocspd").symlink_to(harness.program("ocspd"))
    (path / "systemctl").symlink_to("/bin/true")
    config = world.config(rows=[{"path": f"{world.certs}/*.pem"}])

    def deploy(leaf, code=0, limit="30s"):
        chain = leaf.write_chain(world.folder / "chain.pem")
        key = leaf.write_key(world.folder / "key.pem")
        return harness.run(
            HOOKS / "deploy-pair", NAME, chain, key, code=code, env={
                "OCSPD_CERTS": world.certs, "WSGATE_CERTS": wsgate,
                "OCSPD_CONFIG": config, "OCSPD_WAIT": limit,
                "PATH": f"{path}:{os.environ['PATH']}"})
    return config, deploy


@pytest.mark.row("hooks: ocspd wait as a gate")
def test_the_pair_is_switched_once_ocspd_has_its_staple(world):
    config, deploy = real(world)
    new = world.pki.leaf(NAME, ocsp=[world.responder.url], must_staple=True)
    with world.daemon(config):
        deploy(new)
        assert world.der(new), "the staple was there first"
        assert (world.folder / f"wsgate/{NAME}.pem").read_bytes() == \
            new.chain_pem + new.key_pem
        assert os.listdir(world.certs) == [f"{NAME}.pem"]
        harness.wait_until(lambda: world.der(new), "its staple stays")


def test_a_certificate_that_names_no_responder_does_not_wait(world):
    config, deploy = real(world)
    plain = world.pki.leaf(NAME)
    with world.daemon(config):
        done = deploy(plain)
    assert "in place" in done.out and "warning" not in done.err


def test_no_answer_from_the_responder_keeps_must_staple_out_of_use(world):
    config, deploy = real(world)
    dead = f"http://127.0.0.1:{harness.free_port()}/"
    new = world.pki.leaf(NAME, ocsp=[dead], must_staple=True)
    with world.daemon(config):
        done = deploy(new, code=75, limit="2s")
    assert "no staple for it after 2s" in done.err
    assert os.listdir(world.folder / "wsgate") == []
