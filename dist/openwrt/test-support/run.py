"""Runs the tests of dist/openwrt: run.py PROGRAM [PACKAGE...]; see ../test."""

import sys
from pathlib import Path

# Behind the folder of this file, which has a `lab` of its own.
sys.path.append(str(Path(__file__).resolve().parents[3] / "tests" / "real"))

import test_daemon
import test_packages
import test_scripts
from lab import Notes


def main(program, *packages):
    notes = Notes()
    test_packages.given = [Path(package).resolve() for package in packages]
    notes.run(test_packages)
    if program:
        test_scripts.program = test_daemon.program = program
        notes.run(test_scripts)
        notes.run(test_daemon)
    else:
        print("left out: the init script and the daemon (there is no program: cargo build --release, or DDNS_BIN)")
    print(f"{notes.passed} passed, {notes.failed} failed")
    return 1 if notes.failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
