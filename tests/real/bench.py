#!/usr/bin/env python3
"""Measures the program beside 1.0.1 on the real gateway; by hand, as root:

    tests/real/bench.py [--repeat 5] [--polls 10] [--old PATH]

The program is $DDNS_BIN, else target/release/ddns-update-daemon. 1.0.1 comes
from crates.io into target/old unless --old names it. Both run with one URL
target in fresh networks, turn about; the table shows medians. Packets and bytes
are those of the client's interface, in both directions, and include the update
itself at the start. CPU at the start includes some 1 ms of nsenter(1).
"""

import argparse
import os
import re
import signal
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import daemon as program  # noqa: E402
from lab import GATEWAY, WAN, Lab, run, wait_for  # noqa: E402
from servers import provider  # noqa: E402

ROWS = [
    ("file", "kB"), ("start to first update", "ms"), ("start: packets", ""), ("start: bytes", ""),
    ("start: CPU", "ms"), ("start with description URL", "ms"), ("poll: packets", ""), ("poll: bytes", ""),
    ("poll: system calls", ""), ("poll: CPU", "ms"), ("change to update", "ms"), ("resident", "kB"),
    ("resident, highest", "kB"), ("private", "kB"), ("threads", ""),
]


class Run:
    """One program in one network, after its first update."""

    def __init__(self, lab, binary, top=""):
        self.lab, self.url = lab, provider(lab)
        config = lab.dir / "bench.toml"
        config.write_text(f"interval = {program.INTERVAL}\n{top}{program.url_section(self.url.url)}")
        self.before = counters(lab)
        start = time.monotonic()
        env = {"PATH": os.environ["PATH"], "STATE_DIRECTORY": str(lab.dir)}
        self.process = lab.start(lab.client, [binary, config], "bench", env=env)
        wait_for(lambda: self.url.requests, "the first update", 30)
        self.took = (self.url.requests[0].at - start) * 1000

    def after(self, polls):
        """Waits for some polls, and how many there were: one connection each."""
        before = self.lab.asked()
        wait_for(lambda: self.lab.asked() >= before + polls, "polls", 20 * polls)
        return self.lab.asked() - before

    def cpu_ms(self):
        """The CPU time used so far, by threads that have ended, too."""
        # The clock of another process: CPUCLOCK_SCHED in clock_getcpuclockid(3).
        return time.clock_gettime((~self.process.pid << 3) | 2) * 1000


def counters(lab):
    """Packets and bytes of the client's interface so far, both directions."""
    text = run("nsenter", f"--net=/run/netns/{lab.client}", "cat", "/proc/net/dev")
    fields = [int(n) for n in text.split("lan0:")[1].split("\n")[0].split()]
    return fields[1] + fields[9], fields[0] + fields[8]


def proc(pid, file, key):
    match = re.search(rf"^{key}:\s+(\d+)", Path(f"/proc/{pid}/{file}").read_text(), re.M)
    return int(match[1])


def memory(pid):
    private = proc(pid, "smaps_rollup", "Private_Clean") + proc(pid, "smaps_rollup", "Private_Dirty")
    return {"resident": proc(pid, "status", "VmRSS"), "resident, highest": proc(pid, "status", "VmHWM"),
            "private": private, "threads": proc(pid, "status", "Threads")}


def measure_start(binary):
    with Lab() as lab:
        one = Run(lab, binary)
        packets, size = counters(lab)
        found = {"start to first update": one.took, "start: packets": packets - one.before[0],
                 "start: bytes": size - one.before[1], "start: CPU": one.cpu_ms()}
    with Lab() as lab:
        found["start with description URL"] = Run(lab, binary, f'router_ip = "http://{GATEWAY}:5000/rootDesc.xml"\n').took
    return found


def measure_polls(binary, polls):
    with Lab() as lab:
        one = Run(lab, binary)
        one.after(1)
        before, cpu = counters(lab), one.cpu_ms()
        count = one.after(polls)
        after, cpu = counters(lab), one.cpu_ms() - cpu
        found = memory(one.process.pid) | {"poll: CPU": cpu / count}
        found |= {"poll: packets": (after[0] - before[0]) / count, "poll: bytes": (after[1] - before[1]) / count}
        changed = time.monotonic()
        lab.set_wan(WAN[1])
        wait_for(lambda: WAN[1] in one.url.values(), "the change arrives")
        found["change to update"] = (one.url.requests[-1].at - changed) * 1000
    return found


def measure_system_calls(binary, polls):
    with Lab() as lab:
        one = Run(lab, binary)
        one.after(1)
        strace = lab.start(lab.client, ["strace", "-f", "-c", "-p", str(one.process.pid)], "strace")
        wait_for(lambda: "attached" in strace.log(), "strace attaches")
        count = one.after(polls)
        strace.stop(signal.SIGINT)
        total = re.search(r"^100\.00\s.*?(\d+)\s+(?:\d+\s+)?total$", strace.log(), re.M)
        return {"poll: system calls": int(total[1]) / count}


def measure(binary, polls):
    found = {"file": Path(binary).stat().st_size / 1000} | measure_start(binary)
    found |= measure_polls(binary, polls)
    return found | measure_system_calls(binary, polls)


def old_program(given):
    if given:
        return given
    root = program.ROOT / "target" / "old"
    binary = root / "bin" / "ddns-update-daemon"
    if not binary.exists():
        print("installing ddns-update-daemon 1.0.1 from crates.io ...", flush=True)
        os.spawnlp(os.P_WAIT, "cargo", "cargo", "install", "--locked", "--root", str(root), "ddns-update-daemon@1.0.1")
    return binary


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--polls", type=int, default=10)
    parser.add_argument("--old", type=Path, help="a binary of 1.0.1")
    options = parser.parse_args()
    programs = {"new": program.BINARY, "1.0.1": old_program(options.old)}
    results = {name: [] for name in programs}
    for number in range(options.repeat):
        for name, binary in programs.items():
            print(f"run {number + 1} of {options.repeat}: {name}", file=sys.stderr, flush=True)
            results[name].append(measure(binary, options.polls))
    print(f"{'':30}" + "".join(f"{name:>12}" for name in programs))
    for row, unit in ROWS:
        medians = [statistics.median(result[row] for result in runs) for runs in results.values()]
        print(f"{row + (f' ({unit})' if unit else ''):30}" + "".join(f"{median:12,.1f}" for median in medians))


if __name__ == "__main__":
    main()
