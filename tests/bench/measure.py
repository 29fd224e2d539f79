"""What a program costs: one dictionary of figures for one program.

Memory is smaps_rollup's and status's; the peak of private memory is the highest
of samples taken about every millisecond, while the server holds back its answer
to the update. CPU is the process clock's, with children that have ended.
System calls are counted by strace in runs of their own.
"""

import os
import re
import signal
import time
from pathlib import Path

from lab import WAN, wait_for
from network import ANSWER_AFTER, Network
from programs import DEFAULT

# Seconds: until nothing more follows an update; without a deadline; under strace.
SETTLED, IDLE, TRACED = 5, 30, 15
LAUNCHERS = ("nsenter", "python3")
# Program text and what it loads; settings, certificates and state are not counted.
PROGRAM_FOLDERS = ("/usr/", "/lib", "/bin/", "/sbin/", "/opt/")


def launch(net, program, label, interval, tracer=()):
    return net.launch(program.command(net, interval), label, tracer, program.on_router, **program.environment(net))


class Running:
    """A program that has been started, from the moment it is itself."""

    def __init__(self, net, program, interval=DEFAULT):
        self.net, self.program, self.interval = net, program, interval
        os.fsync(os.open(program.path(), os.O_RDONLY))
        self.process = launch(net, program, "program", interval)
        self.pid = self.process.pid
        while Path(os.readlink(f"/proc/{self.pid}/exe")).name.startswith(LAUNCHERS):
            time.sleep(0.0001)
        self.started, self.cpu_before = time.monotonic(), self.clock()
        self.peak = {}

    def clock(self):
        # The clock of another process: CPUCLOCK_SCHED in clock_getcpuclockid(3).
        return time.clock_gettime((~self.pid << 3) | 2) * 1000

    def cpu(self):
        """Milliseconds so far; of children that have ended in steps of 10."""
        children = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[13:15]
        return self.clock() + sum(map(int, children)) * 1000 / os.sysconf("SC_CLK_TCK")

    def sample(self):
        """What it occupies now, in kB; the highest is kept."""
        text = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        value = {key: int(size) for key, size in re.findall(r"^(\w+):\s+(\d+) kB", text, re.M)}
        now = {"rss": value["Rss"], "pss": value["Pss"], "dirty": value["Private_Dirty"],
               "private": value["Private_Clean"] + value["Private_Dirty"], "threads": self.status("Threads")}
        for key, size in now.items():
            self.peak[key] = max(size, self.peak.get(key, 0))
        return now

    def status(self, key):
        return int(re.search(rf"^{key}:\s+(\d+)", Path(f"/proc/{self.pid}/status").read_text(), re.M)[1])

    def watch(self, condition, what, seconds=60):
        """Samples until the condition holds."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end or not self.process.alive():
                raise AssertionError(f"{self.program.name}: not within {seconds} s: {what}\n{self.process.log()}")
            self.sample()
            time.sleep(0.0005)

    def sleeps(self):
        """How often each thread has gone to sleep so far."""
        tasks = Path(f"/proc/{self.pid}/task").iterdir()
        return {task.name: int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", (task / "status").read_text(), re.M)[1])
                for task in tasks}

    def wake_ups(self, seconds):
        """How often its threads wake in so many seconds; one that ends wakes for that."""
        before = self.sleeps()
        time.sleep(seconds)
        after = self.sleeps()
        ended = len(before.keys() - after.keys())
        return ended + sum(count - before.get(task, 0) for task, count in after.items())

    def asked(self):
        """How many polls there have been; those of an interface nobody sees, they are a matter of time."""
        if self.program.on_router:
            return int((time.monotonic() - self.started) / self.interval)
        return self.program.asked(self.net)

    def await_polls(self, count):
        """Waits for so many polls to end; how many there were."""
        before = self.asked()
        wait_for(lambda: self.asked() >= before + count, f"{count} polls of {self.program.name}", 10 + 2 * count * self.interval)
        # Half an interval of one second, a little more than a poll takes.
        time.sleep(0.5)
        return self.asked() - before

    def calls(self, wait):
        """The system calls until `wait()` returns, and what that returned."""
        strace = self.net.start(self.net.client, ["strace", "-f", "-c", "-p", str(self.pid)], "strace")
        wait_for(lambda: "attached" in strace.log(), "strace attaches")
        waited = wait()
        strace.stop(signal.SIGINT)
        return counted(strace.log()), waited


def counted(log):
    """The total of strace -c, its fourth column; without a table there were none."""
    total = re.search(r"^100\.00 .* total$", log, re.M)
    return int(total[0].split()[3]) if total else 0


# -- at rest ------------------------------------------------------------------

def at_rest(program):
    """Start, memory, wake-ups, and how soon a change is published."""
    with Network() as net:
        net.https.patience = net.http.patience = ANSWER_AFTER
        one = Running(net, program)
        one.watch(net.updates, "the first update")
        found = {"start": (net.updates()[0].at - one.started) * 1000}
        until = time.monotonic() + ANSWER_AFTER + 1
        one.watch(lambda: time.monotonic() > until, "the answer")
        found["dirty_updated"] = one.sample()["dirty"]
        time.sleep(SETTLED)
        found |= {"wake_ups": one.wake_ups(IDLE), **one.sample()}
        found["idle_calls"] = one.calls(lambda: time.sleep(TRACED))[0]
        # What the kernel calls the peak counts some pages late.
        found |= {"change": change(net, one), "rss_peak": max(one.status("VmHWM"), one.peak["rss"]), "dirty_peak": one.peak["dirty"]}
        return found


def change(net, one):
    """Milliseconds until a change is published; None: not before the next poll."""
    changed = time.monotonic()
    net.set_wan(WAN[1])
    sent = lambda: [update for update in net.updates() if update.told == WAN[1]]  # noqa: E731
    until = changed + 3
    one.watch(lambda: sent() or time.monotonic() > until, "the change")
    return (sent()[0].at - changed) * 1000 if sent() else None


# -- polls --------------------------------------------------------------------

def polling(program, polls):
    """What a poll costs that finds nothing new."""
    with Network() as net:
        one = Running(net, program, program.shortest)
        wait_for(net.updates, "the first update", 60)
        one.await_polls(1)
        before, cpu = net.counters(program.on_router), one.cpu()
        count = one.await_polls(polls)
        packets, size = (now - then for now, then in zip(net.counters(program.on_router), before))
        found = {"poll_cpu": (one.cpu() - cpu) / count, "poll_packets": packets / count, "poll_bytes": size / count}
        calls, count = one.calls(lambda: one.await_polls(polls))
        return found | {"poll_calls": calls / count}


# -- files --------------------------------------------------------------------

def files(program):
    """What has to be installed for it to run: its file, and all that it opens of programs and libraries."""
    with Network() as net:
        trace = net.dir / "opened"
        tracer = ["strace", "-f", "-qq", "-e", "trace=execve,open,openat", "-o", trace]
        process = launch(net, program, "traced", DEFAULT, tracer)
        wait_for(lambda: net.updates() or not process.alive(), "the first update", 60)
        time.sleep(1)
        paths = set(re.findall(r'(?:execve|open(?:at)?)\((?:AT_FDCWD, )?"([^"]+)".* = \d+$', trace.read_text(), re.M))
        # The kernel opens the interpreter of a script, and nobody traces that.
        for pid in re.findall(r"^(\d+) ", trace.read_text(), re.M)[:1]:
            paths |= set(mapped(pid))
    needed = {real for real in map(os.path.realpath, [*paths, program.path()]) if is_program(real, program)}
    return {"file": program.path().stat().st_size, "files": len(needed), "files_bytes": sum(map(os.path.getsize, needed))}


def mapped(pid):
    try:
        return re.findall(r" (/\S+)$", Path(f"/proc/{pid}/maps").read_text(), re.M)
    except FileNotFoundError:
        return []


def is_program(path, program):
    return os.path.isfile(path) and (path.startswith(PROGRAM_FOLDERS) or path == os.path.realpath(program.path()))


# -- jobs of cron -------------------------------------------------------------

def job(program):
    """Start and memory of a program that is started for every poll."""
    with Network() as net:
        net.https.patience = ANSWER_AFTER
        one, _ = run_job(net, program)
        return {"start": (net.updates()[0].at - one.started) * 1000, "rss_peak": one.peak["rss"],
                "dirty_peak": one.peak["dirty"], "threads": one.peak["threads"], "change": None}


def job_polls(program, count):
    """Runs that find nothing new, after one that sends the address."""
    with Network() as net:
        run_job(net, program)
        before, cpu = net.counters(program.on_router), sum(run_job(net, program)[1] for _ in range(count))
        packets, size = (now - then for now, then in zip(net.counters(program.on_router), before))
        return {"poll_cpu": cpu / count, "poll_packets": packets / count, "poll_bytes": size / count,
                "poll_calls": job_calls(net, program)}


def run_job(net, program):
    """One run; itself and its CPU time in milliseconds."""
    one = Running(net, program)
    while os.waitid(os.P_PID, one.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        try:
            one.sample()
        except (ProcessLookupError, FileNotFoundError, KeyError):
            continue
        time.sleep(0.0005)
    _, status, usage = os.wait4(one.pid, 0)
    assert status == 0, one.process.log()
    return one, (usage.ru_utime + usage.ru_stime) * 1000 - one.cpu_before


def job_calls(net, program):
    tracer = ["strace", "-f", "-c", "-o", net.dir / "calls"]
    process = launch(net, program, "traced", DEFAULT, tracer)
    wait_for(lambda: not process.alive(), f"{program.name} ends", 60)
    return counted((net.dir / "calls").read_text())


# -- what the table is made of ---------------------------------------------------

def alone(program):
    """What is a matter of time and memory: nothing else should run meanwhile."""
    return job(program) if program.is_job else at_rest(program)


def polls(program, count):
    """What a poll costs."""
    return job_polls(program, count) if program.is_job else polling(program, count)
