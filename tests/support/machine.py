"""A booted machine with systemd as its first process, for a test to work on as
an operator does: `make install`ed over a root filesystem of build/peers, its own
processes, files and network.

    with machine.boot(folder) as host:
        host.write("/etc/wsgate/wsgate.yaml", "...")
        host.sh("systemctl start wsgate")
        with host.network():          # sockets made here are the machine's
            urllib.request.urlopen("http://127.0.0.1/")
        host.wait_journal("ready", "wsgate")
"""
import contextlib
import ctypes
import itertools
import os
import pathlib
import re
import shlex
import shutil
import subprocess

import pytest

import harness

BOOT_S = 60
SOURCE = "/usr/src/ocspd-wsgate"     # the repository, read only, in the machine
CLONE_NEWNET = 0x40000000            # linux/sched.h
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Mounts and processes belong to this shell alone: they end with it, however it
# ends. The root brings systemd-nspawn along: the host needs none.
BOOT = r"""
dest=$1 root=$2 notes=$3 source=$4 cgroup=$5
# A tree of its own, or machines that run at the same time share one.
for tree in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
    [ ! -w $tree/cgroup.procs ] ||
        { mkdir "$tree/$cgroup" && echo 0 >"$tree/$cgroup/cgroup.procs"; }
done
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
for folder in sys dev; do mount --rbind /$folder "$root/$folder"; done
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=755 tmpfs "$root/mnt"
cd "$root/mnt"
mkdir -m 755 upper work root notes source host
mount --bind "$notes" notes
mount --bind "$source" source
mount -t overlay overlay -o \
    "lowerdir=$dest:$root,upperdir=upper,workdir=work" root
# Not chroot(1): below one no user namespace can be made, PrivateUsers= needs it.
cd "$root"
pivot_root . mnt/host
umount -l /mnt/host
exec systemd-nspawn -q -D /mnt/root --boot --register=no --keep-unit \
    --link-journal=no --private-network --bind=/mnt/notes:/notes \
    --bind-ro=/mnt/source:/usr/src/ocspd-wsgate
"""

_LIBC = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count()


def root():
    """The root filesystem; skips, saying why, when there is none."""
    if os.geteuid() != 0:
        pytest.skip("only root can boot a machine with systemd-nspawn")
    if harness.is_sanitized():
        pytest.skip("sanitizers do not run under the units' confinement")
    peers = os.environ.get("PEERS") or str(harness.ROOT / "build/peers")
    found = pathlib.Path(peers) / "systemd-rootfs"
    if not (found / "usr/bin/systemd-nspawn").exists():
        pytest.skip(f"no {found} (make peers, as root)")
    return found


def make_install(dest, *words, target="install"):
    """`make install` of just these programs: nothing is built."""
    env = {name: value for name, value in os.environ.items()
           if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "DESTDIR")}
    build = pathlib.Path(harness.program("wsgate")).parent
    return subprocess.run(
        ["make", "--no-print-directory", "-C", str(harness.ROOT), "-o", "all",
         target, f"DESTDIR={dest}", f"BUILD={build}", "PREFIX=/usr/local",
         "SYSCONFDIR=/etc", *words], env=env, check=True, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE).stdout


def add_libraries(dest, found_root):
    """Shared libraries that the programs need and the root has not."""
    for name in ("ocspd", "wsgate"):
        words = subprocess.run(["ldd", harness.program(name)], check=True,
                               capture_output=True, text=True).stdout
        for found in re.findall(r"=> (/\S+)", words):
            # /lib is a link into /usr there: a folder of ours would hide it.
            place = "usr/" + re.sub(r"^/(usr/)?", "", found)
            if not (found_root / place).exists() and \
                    not (dest / place).exists():
                (dest / place).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(found, dest / place)


def _boot_argv(dest, found_root, notes, cgroup):
    return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh",
            "-ec", BOOT, "boot", str(dest), str(found_root), str(notes),
            str(harness.ROOT), cgroup]


def _cgroup_is_gone(name):
    trees = [f"{tree}/{name}" for tree in
             ("/sys/fs/cgroup", "/sys/fs/cgroup/systemd",
              "/sys/fs/cgroup/unified")]
    for tree in trees:
        for folder, _, _ in os.walk(tree, topdown=False):
            with contextlib.suppress(OSError):   # somebody is still in it
                os.rmdir(folder)
    return not any(os.path.exists(tree) for tree in trees)


def _children(pid):
    found = []
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            text = pathlib.Path(f"/proc/{pid}/task/{task}/children").read_text()
            found += [int(word) for word in text.split()]
    return found


def _first_process(pid):
    """The machine's PID 1 among the descendants of `pid`, as seen from here."""
    for child in _children(pid):
        with contextlib.suppress(OSError):
            status = pathlib.Path(f"/proc/{child}/status").read_text()
            numbers = re.search(r"^NSpid:(.*)$", status, re.M)[1].split()
            if len(numbers) > 1 and numbers[-1] == "1" and \
                    status.startswith("Name:\tsystemd\n"):
                return child
        found = _first_process(child)
        if found:
            return found
    return None


class Machine:
    def __init__(self, daemon, first):
        self._daemon, self.first = daemon, first

    # ---- commands --------------------------------------------------------------

    def argv(self, command, user=None):
        words = ["nsenter", "-t", str(self.first), "-m", "-u", "-i", "-n", "-p",
                 "-r", "env", "-C", "/", "-i", f"PATH={PATH}", "HOME=/root",
                 "LANG=C.UTF-8"]
        if user:
            words += ["setpriv", f"--reuid={user}", f"--regid={user}",
                      "--init-groups"]
        return words + ["bash", "-c", command]

    def sh(self, command, code=0, timeout=60, user=None, stdin=None):
        """Runs it in the machine; `code` None: any exit code will do."""
        result = harness.run(*self.argv(command, user), timeout=timeout,
                             stdin=stdin)
        if code is not None and result.code != code:
            raise AssertionError(f"in the machine: {command}\n{result!r}\n"
                                 + self.journal()[-8000:])
        return result

    def ok(self, command):
        """Did it end with 0? For wait_until()."""
        return self.sh(command, code=None).code == 0

    def out(self, command):
        return self.sh(command).out.strip()

    def daemon(self, command, code=None):
        """A command that stays; stopped with its context (nsenter's end is told
        to it as SIGTERM)."""
        return harness.Daemon(
            *self.argv("exec setpriv --pdeathsig TERM " + command), code=code)

    # ---- files -----------------------------------------------------------------

    def path(self, name):
        """Seen from here. No link on the way may be absolute."""
        return pathlib.Path(f"/proc/{self.first}/root{name}")

    def write(self, name, content, mode=0o644, owner="root:root"):
        """A whole file; folders on the way are made."""
        if isinstance(content, str):
            content = content.encode()
        quoted = shlex.quote(name)
        self.sh(f"mkdir -p $(dirname {quoted}) && cat >{quoted} && "
                f"chmod {mode:o} {quoted} && chown {owner} {quoted}",
                stdin=content)

    def read(self, name):
        return self.sh(f"cat {shlex.quote(name)}").out

    # ---- units -----------------------------------------------------------------

    def show(self, unit):
        """`systemctl show`, as a dict."""
        return dict(line.split("=", 1) for line in
                    self.out(f"systemctl show {unit}").splitlines()
                    if "=" in line)

    def main_pid(self, unit):
        return int(self.out(f"systemctl show -p MainPID --value {unit}"))

    def journal(self, unit=None, cursor=None):
        words = ["journalctl", "-q", "--no-pager", "-o", "short-monotonic"]
        words += ["-u", unit] if unit else []
        words += [f"--cursor={cursor}"] if cursor else []
        return harness.run(*self.argv(shlex.join(words))).out

    def cursor(self):
        """Where the journal is now: for journal() and wait_journal()."""
        # At an entry of ours: with -u journalctl 252 leaves out the first line
        # behind --after-cursor when the cursor is at another unit's.
        self.sh("echo here | systemd-cat -t test-cursor; journalctl --sync")
        text = self.out("journalctl -q --no-pager -t test-cursor -n 1 "
                        "--show-cursor")
        return text.rsplit("cursor: ", 1)[1]

    def wait_journal(self, pattern, unit=None, cursor=None,
                     timeout=harness.WAIT_S):
        """The first line in which the pattern is found."""
        def look():
            lines = self.journal(unit, cursor).splitlines()
            return next((line for line in lines if re.search(pattern, line)),
                        None)
        try:
            return harness.wait_until(look, f"a line with /{pattern}/", timeout)
        except AssertionError as error:
            raise AssertionError(
                f"{error}\n{self.journal(unit)[-8000:]}") from None

    def drop_in(self, unit, text, name="test"):
        """What `systemctl edit` leaves."""
        self.write(f"/etc/systemd/system/{unit}.d/{name}.conf", text)
        self.sh("systemctl daemon-reload")

    # ---- network ---------------------------------------------------------------

    @contextlib.contextmanager
    def network(self):
        """Sockets that this thread makes inside belong to the machine, and stay
        so; threads started inside are in it as well."""
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(f"/proc/{self.first}/ns/net", os.O_RDONLY)
        try:
            self._enter(there)
            yield
        finally:
            self._enter(before)
            os.close(before)
            os.close(there)

    @staticmethod
    def _enter(fd):
        if _LIBC.setns(fd, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")


@contextlib.contextmanager
def boot(folder, installed=True, prepare=None):
    """`installed`: the programs are there as after `make install` with users and
    folders made. Without: the source is at SOURCE, its programs built.
    `prepare(dest)` puts what else shall be there before the first process."""
    found_root = root()
    dest, notes = folder / "dest", folder / "notes"
    for path in (dest, notes):
        path.mkdir(mode=0o755, parents=True)
    if installed:
        make_install(dest)
    if prepare:
        prepare(dest)
    add_libraries(dest, found_root)
    cgroup = f"machine-{os.getpid()}-{next(_numbers)}"
    daemon = harness.Daemon(*_boot_argv(dest, found_root, notes, cgroup),
                            code=None)
    try:
        first = _wait_first(daemon)
        made = Machine(daemon, first)
        harness.wait_until(
            lambda: re.search("running|degraded", made.sh(
                "systemctl is-system-running", code=None).out),
            "the machine is up", BOOT_S)
        if installed:
            made.sh("systemd-sysusers && "
                    "systemd-tmpfiles --create ocspd.conf wsgate.conf")
        yield made
    finally:
        daemon.kill()
        harness.wait_until(lambda: _cgroup_is_gone(cgroup),
                           "the end of the machine's processes")


def _wait_first(daemon):
    def look():
        if not daemon.is_alive():
            pytest.skip("systemd-nspawn does not boot here: "
                        + " / ".join(daemon.lines[-3:]))
        return _first_process(daemon.pid)
    return harness.wait_until(look, "the machine's first process", BOOT_S)
