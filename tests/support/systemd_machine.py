"""One boot of a machine with systemd as its first process: what `make install`
makes over a root filesystem of build/peers, a script inside, its notes outside."""
import glob
import pathlib
import shutil
import subprocess
import time

import pytest

import machine
import pki as pki_module

BOOT_S = 150
SCRIPT = pathlib.Path(__file__).with_name("systemd_machine.sh")

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
    machine.make_install(dest)
    machine.add_libraries(dest, root)
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
    root = machine.root()
    dest, notes = folder / "dest", folder / "notes"
    for path in (dest, notes):
        path.mkdir(mode=0o755)
    _fill(dest, root)
    done = subprocess.run(
        ["timeout", "-k", "5", str(BOOT_S),
         *machine.boot_argv(dest, root, notes)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, check=False)
    console = done.stdout.decode(errors="replace")
    if not (notes / "booted").exists():
        pytest.skip("systemd-nspawn does not boot here: "
                    + " / ".join(console.strip().splitlines()[-3:]))
    return Machine(notes, console)
