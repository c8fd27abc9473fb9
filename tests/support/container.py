"""A container of runc, as an orchestrator runs one: no user that the image
knows, no capability, nothing to write to, a network of its own."""
import contextlib
import json
import os
import pathlib
import shutil

import harness
import machine

# The mounts belong to this shell alone: they end with it.
RUN = r"""
layers=$1 bundle=$2; shift 2
mount --make-rprivate /
mount -t overlay overlay -o "lowerdir=$layers" "$bundle/root"
cd "$bundle"
exec "$@"
"""


def _runc(found_root):
    return shutil.which("runc") or str(found_root / "usr/sbin/runc")


def _spec(etc, command, sysctl):
    def mount(to, kind, source, *options):
        return {"destination": to, "type": kind, "source": source,
                "options": list(options)}
    return {
        "ociVersion": "1.0.2",
        "process": {
            "args": command, "cwd": "/", "user": {"uid": 65532, "gid": 65532},
            "env": ["PATH=" + machine.PATH], "noNewPrivileges": True,
            "capabilities": {kind: [] for kind in (
                "bounding", "effective", "permitted", "inheritable",
                "ambient")}},
        "root": {"path": "root", "readonly": True},
        "hostname": "container",
        "mounts": [
            mount("/proc", "proc", "proc"),
            mount("/dev", "tmpfs", "tmpfs", "nosuid", "mode=755"),
            mount("/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", "ro"),
            mount("/etc/wsgate", "bind", str(etc), "rbind", "ro")],
        "linux": {
            "cgroupsPath": f"/wsgate-test-{os.getpid()}",
            "sysctl": sysctl or {},
            "namespaces": [{"type": kind} for kind in (
                "pid", "network", "ipc", "uts", "mount")],
            "maskedPaths": ["/proc/kcore", "/proc/keys"],
            "readonlyPaths": ["/proc/sys", "/proc/irq"]}}


class Container:
    def __init__(self, daemon, pid_file):
        self.daemon, self._pid_file = daemon, pid_file

    def pid(self):
        return int(harness.wait_until(
            lambda: self._pid_file.exists() and self._pid_file.read_text(),
            "the container's first process"))

    def get(self, place):
        """The page of PORT/PATH that a client in its network sees."""
        done = harness.run("nsenter", "-t", self.pid(), "-n", "curl", "-skf",
                           f"https://127.0.0.1:{place}")
        return done.out


@contextlib.contextmanager
def run(folder, etc, *command, sysctl=None):
    """`command` with the installed programs; `etc` is its /etc/wsgate."""
    found_root = machine.root()
    dest, bundle = folder / "dest", folder / "bundle"
    if not dest.exists():
        machine.make_install(dest)
        machine.add_libraries(dest, found_root)
    shutil.rmtree(bundle, ignore_errors=True)
    (bundle / "root").mkdir(parents=True)
    (bundle / "config.json").write_text(
        json.dumps(_spec(etc, list(command), sysctl)))
    pid_file, name = bundle / "pid", f"wsgate-{os.getpid()}"
    runc = (_runc(found_root), "--root", folder / "runc")
    daemon = harness.Daemon(
        "unshare", "--mount", "sh", "-ec", RUN, "run",
        f"{dest}:{pathlib.Path(found_root).resolve()}", bundle,
        *runc, "run", "--pid-file", pid_file, name, code=None)
    try:
        yield Container(daemon, pid_file)
        daemon.stop()
    finally:
        harness.run(*runc, "delete", "--force", name)
        daemon.kill()
