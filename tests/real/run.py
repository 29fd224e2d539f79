#!/usr/bin/env python3
"""Runs the tests with real parts, as root:

    tests/real/run.py [--jobs N] [--list] [PART-OF-A-NAME...]

The program is $DDNS_BIN, else target/release/ddns-update-daemon. A test is a
function marked with @scenario in a test_*.py file beside this one; each runs in
a process and a network of its own (lab.py). With --keep-log the daemon's log is
shown for tests that pass, too. Tests that need Prism or a program that is not
there are left out, and named. The last line is `N passed, N failed`.
"""

import argparse
import importlib
import os
import shutil
import subprocess
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import cloudflare_standin  # noqa: E402
import daemon  # noqa: E402
import lab as labs  # noqa: E402

# The slowest test waits out two back-offs; past this something hangs.
LONGEST = 240


def scenarios():
    """Every test, as `file.function`."""
    for path in sorted(HERE.glob("test_*.py")):
        module = importlib.import_module(path.stem)
        for name, value in vars(module).items():
            if hasattr(value, "lab_options") and value.__module__ == path.stem:
                yield f"{path.stem}.{name}", value


def run_one(name, keep_log):
    """Runs one test in this process; the exit status."""
    module, function = name.split(".")
    test = getattr(importlib.import_module(module), function)
    network = labs.Lab(**{key: value for key, value in test.lab_options.items() if key not in ("needs", "prism", "slow")})
    network.daemons = []
    try:
        with network:
            try:
                test(network)
            except BaseException:
                traceback.print_exc(file=sys.stdout)
                show_logs(network)
                return 1
            if keep_log:
                show_logs(network)
    except BaseException:
        traceback.print_exc(file=sys.stdout)
        return 1
    return 0


def show_logs(network):
    for process in network.daemons:
        print(f"--- daemon {process.pid}:")
        print("\n".join(process.log().splitlines()[-40:]))


def run_apart(name, keep_log):
    """Runs one test in a process of its own: whether it passed, seconds, output."""
    start = time.monotonic()
    command = [sys.executable, __file__, "--one", name] + (["--keep-log"] if keep_log else [])
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        output, _ = process.communicate(timeout=LONGEST)
    except subprocess.TimeoutExpired:
        process.kill()
        output = process.communicate()[0] + f"\nended after {LONGEST} s\n"
    return process.returncode == 0, time.monotonic() - start, output


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="parts of test names")
    parser.add_argument("--jobs", type=int, default=4)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--keep-log", action="store_true")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        return run_one(options.one, options.keep_log)
    chosen = [(name, test) for name, test in scenarios()
              if not options.names or any(part in name for part in options.names)]
    # The slow ones wait most of the time, so they begin first.
    chosen.sort(key=lambda entry: not entry[1].lab_options.get("slow"))
    if options.list:
        print("\n".join(name for name, _ in chosen))
        return 0
    return run_all(chosen, options)


def lacking(options):
    """Why a test with these options cannot run here, if so."""
    if options.get("prism") and not cloudflare_standin.PRISM.exists():
        return "Prism is missing"
    program = options.get("needs")
    return f"{program} is missing" if program and not shutil.which(program) else None


def run_all(chosen, options):
    if os.geteuid() != 0:
        sys.exit("network namespaces need root")
    print(f"{daemon.version()} ({daemon.BINARY})")
    left_out = {name: why for name, test in chosen if (why := lacking(test.lab_options))}
    names = [name for name, _ in chosen if name not in left_out]
    passed, lock = [], threading.Lock()

    def one(name):
        good, seconds, output = run_apart(name, options.keep_log)
        with lock:
            print(f"{'ok    ' if good else 'FAILED'} {seconds:6.1f} s  {name}", flush=True)
            if output.strip() and (options.keep_log or not good):
                print(output, flush=True)
            passed.append(good)

    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(one, names))
    labs.remove_leftovers()
    for name, why in left_out.items():
        print(f"left out: {name} ({why})")
    print(f"{sum(passed)} passed, {len(passed) - sum(passed)} failed")
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
