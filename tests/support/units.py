"""wsgate as a unit of a booted machine (machine.py): which process serves whom,
and visitors that keep coming."""
import asyncio
import collections
import os
import re
import tarfile
import threading
import time

import first_hour
import gate
import harness

SITE = """workers: {workers}
drain: {{deadline: {deadline}}}
log: {{access: "off"}}
sites:
  - hosts: ["*"]
    listen: ["0.0.0.0:{tls}", {{address: "0.0.0.0:{plain}", tls: false}}]
    certificates: [{{chain: certs/site.pem}}]
    locations:
      /ws: {{websocket: "127.0.0.1:{backend}"}}
      /: {{files: {root}}}
"""


def handbook(page, word):
    """The drop-in of contrib/doc that has this word, as an operator copies it."""
    text = (harness.ROOT / "contrib/doc" / page).read_text()
    found = [block for block in re.findall(r"```ini\n(.*?)```", text, re.S)
             if word in block]
    assert len(found) == 1, f"{word} in {page}: {found}"
    return found[0]


# ---- processes ---------------------------------------------------------------------

def workers(host):
    """Their pids, as the machine numbers them."""
    master = host.main_pid("wsgate")
    text = host.sh(f"pgrep -P {master}", code=None).out if master else ""
    return {int(word) for word in text.split()}


def wait_workers(host, count, without=(), timeout=harness.WAIT_S):
    """Until there are so many, none of `without` among them."""
    def there():
        found = workers(host)
        return found if len(found) == count and \
            not found & set(without) else None
    return harness.wait_until(there, f"{count} workers", timeout)


def processes(host, unit):
    """Every process of the unit: its pid, user and /proc/PID/status."""
    group = host.show(unit)["ControlGroup"]
    text = host.out(f"cat /sys/fs/cgroup{group}/cgroup.procs || "
                    f"cat /sys/fs/cgroup/systemd{group}/cgroup.procs")
    found = []
    for pid in text.split():
        status = dict(re.findall(r"^(\w+):\s+(.*)$",
                                 host.read(f"/proc/{pid}/status"), re.M))
        found.append({**status, "pid": int(pid),
                      "user": host.out(f"ps -o user= -p {pid}")})
    return found


def limits(host, pid, name):
    """(soft, hard) of /proc/PID/limits."""
    text = host.read(f"/proc/{pid}/limits")
    return tuple(re.search(rf"^{name}\s+(\S+)\s+(\S+)", text, re.M).groups())


def cpu_s(host, unit):
    """Seconds that it and its children, ended ones too, have used."""
    master = host.main_pid(unit)
    ticks = 0
    for pid in {master} | workers(host):
        fields = host.read(f"/proc/{pid}/stat").rsplit(") ", 1)[1].split()
        ticks += sum(int(text) for text in
                     fields[11:15 if pid == master else 13])
    return ticks / os.sysconf("SC_CLK_TCK")


def servers(host, *clients):
    """The pid that serves each of these clients, in their order."""
    text = host.out("ss -Htnp state established")
    pids = {int(port): int(pid) for port, pid in re.findall(
        r":(\d+)\s+users:\(\(\"wsgate\",pid=(\d+)", text)}
    return [pids.get(client.sock.getsockname()[1]) for client in clients]


# ---- clients -----------------------------------------------------------------------

def connect(host, port, context=None, **how):
    with host.network():
        return gate.Client(port, first_hour.NAME if context else None, context,
                           **how)


class Visitors(threading.Thread):
    """Someone new comes and asks for / every moment, whatever became of those
    before: .answers is a row of (moment, "200 text" or what went wrong)."""

    def __init__(self, host, port, per_second=100):
        super().__init__(daemon=True)
        self.port, self.per_second = port, per_second
        self.answers = []
        self._enough = threading.Event()
        with host.network():      # the thread stays there
            self.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """No new ones; waits for the answers of those that came."""
        self._enough.set()
        self.join(2 * harness.WAIT_S)
        assert not self.is_alive()

    @property
    def count(self):
        return collections.Counter(text for _, text in self.answers)

    def wait_for(self, text, more=10):
        """So many more such answers, from now on."""
        goal = self.count[text] + more
        harness.wait_until(lambda: self.count[text] >= goal,
                           f"{more} times {text!r}, not {self.count}")

    def run(self):
        asyncio.run(self._come())

    async def _come(self):
        visits, due = [], time.monotonic()
        while not self._enough.is_set():
            visits.append(asyncio.create_task(self._visit()))
            due += 1 / self.per_second
            await asyncio.sleep(max(0, due - time.monotonic()))
        await asyncio.gather(*visits)

    async def _visit(self):
        start = time.monotonic()
        try:
            got = await asyncio.wait_for(self._ask(), harness.WAIT_S)
        except Exception as error:
            got = type(error).__name__
        self.answers.append((start, got))

    async def _ask(self):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(gate.request("/", "Connection: close",
                                      host=first_hour.NAME))
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            return f"{head.split(b' ')[1].decode()} {body.decode().strip()}" \
                if head else "no answer"
        finally:
            writer.close()


# ---- machines ----------------------------------------------------------------------

def unpack(archive, dest):
    """With owners and modes as they were."""
    with tarfile.open(archive) as files:
        files.extractall(dest, numeric_owner=True)
