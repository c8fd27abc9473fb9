"""One boot of a machine with systemd as its first process: what `make install`
makes over a root filesystem of build/peers, a script inside, its notes outside."""
import glob
import os
import pathlib
import re
import shutil
import subprocess
import time

import pytest

import harness
import pki as pki_module

BOOT_S = 150
SCRIPT = pathlib.Path(__file__).with_name("systemd_machine.sh")

# Mounts belong to this shell alone: they end with it, however it ends. The root
# brings systemd-nspawn along: the host needs none.
BOOT = r"""
dest=$1 root=$2 notes=$3
mount --make-rprivate /
mount --bind "$root" "$root"
for folder in proc sys dev; do mount --rbind /$folder "$root/$folder"; done
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=755 tmpfs "$root/mnt"
cd "$root/mnt"
mkdir -m 755 upper work root notes host
mount --bind "$notes" notes
mount -t overlay overlay -o \
    "lowerdir=$dest:$root,upperdir=upper,workdir=work" root
# Not chroot(1): below one no user namespace can be made, PrivateUsers= needs it.
cd "$root"
pivot_root . mnt/host
umount -l /mnt/host
exec systemd-nspawn -q -D /mnt/root --boot --register=no --keep-unit \
    --link-journal=no --private-network --bind=/mnt/notes:/notes
"""

UNIT = """[Unit]
After=basic.target dbus.service
[Service]
Type=oneshot
ExecStart=/bin/bash /opt/test/systemd_machine.sh
ExecStopPost=/bin/systemctl --no-block poweroff
TimeoutStartSec=120
"""

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
    redirect_from: ["0.0.0.0:80", "[::]:80"]
    certificates: [{chain: certs/site.pem, key: certs/site.key}]
    locations:
      /: {files: /srv/www}
"""


def _root():
    """The root filesystem; skips, saying why, when there is none."""
    if os.geteuid() != 0:
        pytest.skip("only root can boot a machine with systemd-nspawn")
    if harness.variant().startswith(("asan", "tsan")):
        pytest.skip("sanitizers do not run under the units' confinement")
    peers = os.environ.get("PEERS") or str(harness.ROOT / "build/peers")
    root = pathlib.Path(peers) / "systemd-rootfs"
    if not (root / "usr/bin/systemd-nspawn").exists():
        pytest.skip(f"no {root} (make peers, as root)")
    return root


def _install(dest):
    """`make install` of just these programs: nothing is built."""
    env = {name: value for name, value in os.environ.items()
           if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "DESTDIR")}
    build = pathlib.Path(harness.program("wsgate")).parent
    subprocess.run(
        ["make", "--no-print-directory", "-C", str(harness.ROOT), "-o", "all",
         "install", f"DESTDIR={dest}", f"BUILD={build}", "PREFIX=/usr/local",
         "SYSCONFDIR=/etc"], env=env, check=True, stdin=subprocess.DEVNULL)


def _add_libraries(dest, root):
    """Shared libraries that the programs need and the root has not."""
    for name in ("ocspd", "wsgate"):
        words = subprocess.run(["ldd", harness.program(name)], check=True,
                               capture_output=True, text=True).stdout
        for found in re.findall(r"=> (/\S+)", words):
            # /lib is a link into /usr there: a folder of ours would hide it.
            place = "usr/" + re.sub(r"^/(usr/)?", "", found)
            if not (root / place).exists() and not (dest / place).exists():
                (dest / place).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(found, dest / place)


def _add_pki(to, responder):
    to.mkdir(parents=True)
    pki = pki_module.Pki()
    leaf = pki.leaf("www.example.org", ocsp=[responder])
    leaf.write_chain(to / "site.pem")
    leaf.write_key(to / "site.key")
    pki.root.write(to / "root.pem")
    pki.ca.write(to / "ca.pem")
    delegate = pki_module.signer(pki.ca)
    delegate.write(to / "signer.pem")
    delegate.write_key(to / "signer.key")
    expiry = time.strftime("%y%m%d%H%M%SZ",
                           time.gmtime(time.time() + 90 * pki_module.DAY))
    (to / "index.txt").write_text(
        f"V\t{expiry}\t\t{leaf.serial:X}\tunknown\t/CN=www.example.org\n")
    (to / "fingerprint").write_text(leaf.fingerprint)


def _fill(dest, root):
    _install(dest)
    _add_libraries(dest, root)
    test = dest / "opt/test"
    _add_pki(test / "pki", "http://127.0.0.1:8888/")
    shutil.copy(SCRIPT, test)
    (dest / "etc/ocspd/ocspd.yaml").write_text(OCSPD_YAML)
    (dest / "etc/wsgate/wsgate.yaml").write_text(WSGATE_YAML)
    (dest / "srv/www").mkdir(parents=True)
    (dest / "srv/www/index.html").write_text("good day\n")
    units = dest / "etc/systemd/system"
    wants = units / "multi-user.target.wants"
    wants.mkdir(parents=True)
    (units / "machine-test.service").write_text(UNIT)
    (wants / "machine-test.service").symlink_to("../machine-test.service")


class Machine:
    """What the script noted: one file of text for each step, and its exit
    code."""

    def __init__(self, notes, console):
        self.notes, self.console = notes, console

    def text(self, step):
        path = self.notes / step
        if not path.exists():
            raise AssertionError(f"the script did not come to '{step}'\n"
                                 + self.story())
        return path.read_text(errors="replace")

    def code(self, step):
        self.text(step)
        return int((self.notes / (step + ".code")).read_text())

    def values(self, step):
        """Lines of NAME=VALUE, as `systemctl show` prints them."""
        return dict(line.split("=", 1) for line in
                    self.text(step).splitlines() if "=" in line)

    def story(self):
        steps = [f"---- {path}\n" + pathlib.Path(path).read_text(
            errors="replace") for path in sorted(glob.glob(f"{self.notes}/*"))]
        return "\n".join(steps)[-20000:] + "\n---- console\n" + \
            self.console[-4000:]


def boot(folder):
    """Boots, waits for the script's end and the power-off."""
    root = _root()
    dest, notes = folder / "dest", folder / "notes"
    for path in (dest, notes):
        path.mkdir(mode=0o755)
    _fill(dest, root)
    done = subprocess.run(
        ["timeout", "-k", "5", str(BOOT_S), "unshare", "--mount", "sh", "-ec",
         BOOT, "boot", str(dest), str(root), str(notes)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, check=False)
    console = done.stdout.decode(errors="replace")
    if not (notes / "booted").exists():
        pytest.skip("systemd-nspawn does not boot here: "
                    + " / ".join(console.strip().splitlines()[-3:]))
    return Machine(notes, console)
