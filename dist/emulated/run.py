#!/usr/bin/env python3
"""Puts one program to the test, as root; dist/test calls it:

    dist/emulated/run.py TARGET PROGRAM RUNNER DESCRIBED ROW

TARGET is the short name and RUNNER what starts it (the words of a command, or
`native`, `inspect`); DESCRIBED is a file with what the native program prints for
`--check examples/full.toml`. The checks are in job.py and files.py. ROW is the
file of the result for the table (table.py). The last line is `N passed, N failed`.
"""

import hashlib
import json
import os
import sys
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests" / "real"))


class Tested:
    """The results of one program."""

    def __init__(self, target):
        self.target, self.rows = target, []

    def passed(self, title):
        return any(row["title"] == title and row["good"] for row in self.rows)

    def check(self, title, function, after=None):
        """Makes one check and tells how it went."""
        start = time.monotonic()
        try:
            if after and not self.passed(after):
                raise AssertionError(f"not reached without: {after}")
            remark, fault = function() or "", ""
        except BaseException as error:
            remark, fault = "", traceback.format_exc()
            if isinstance(error, KeyboardInterrupt):
                raise
        good = not fault
        self.rows.append({"title": title, "good": good, "remark": remark, "seconds": round(time.monotonic() - start, 1)})
        print(f"{'ok' if good else 'FAILED'} {self.target}: {title} [{self.rows[-1]['seconds']} s] {remark}".rstrip(), flush=True)
        if fault:
            print(fault, flush=True)
        return good


def do_the_job(tested, house):
    import job
    for function in job.CHECKS:
        after = function.after.title if function.after else None
        running = house.running
        if not tested.check(function.title, lambda: function(house), after) and (running or house.running):
            print("--- its log:\n" + (house.running or running).log()[-6000:], flush=True)


def test(target, program, runner, described):
    tested = Tested(target)
    # Before the modules that read them.
    os.environ["DDNS_BIN"] = str(program)
    os.environ["DDNS_RUNNER"] = "" if runner == "native" else runner
    import files
    tested.check("the file", lambda: files.examine(target, program))
    if runner == "inspect":
        return tested
    import lab as labs
    from house import House
    import systems
    with labs.Lab() as lab:
        lab.daemons = []
        house = House(lab, systems.of(target, lab))
        house.described = described.read_text()
        house.version = next(line.split('"')[1] for line in open(ROOT / "Cargo.toml") if line.startswith("version = "))
        do_the_job(tested, house)
    return tested


def main():
    target, program, runner, described, row = sys.argv[1:]
    os.chdir(ROOT)
    program, start = Path(program), time.monotonic()
    tested = test(target, program, runner, Path(described))
    data = program.read_bytes()
    Path(row).write_text(json.dumps({
        "target": target, "size": len(data), "sha256": hashlib.sha256(data).hexdigest(), "runner": runner,
        "seconds": round(time.monotonic() - start), "checks": tested.rows}, indent=1))
    good = sum(check["good"] for check in tested.rows)
    print(f"{good} passed, {len(tested.rows) - good} failed")
    return 0 if good == len(tested.rows) else 1


if __name__ == "__main__":
    sys.exit(main())
