#!/usr/bin/env python3
"""Makes the table of targets from the results of dist/test:

    dist/emulated/table.py TARGETS BIN ROWS >targets.md

TARGETS is dist/targets, BIN the folder with the programs, ROWS that with the
results. A result of a program that is no longer there is not shown.
"""

import hashlib
import json
import sys
from pathlib import Path


def results(targets, programs, rows):
    """The results, in the order of dist/targets."""
    for line in targets.read_text().splitlines():
        if line.startswith("#"):
            continue
        short, target, *_ = line.split("\t")
        row = rows / f"{short}.json"
        program = next(iter((programs / target).glob("ddns-update-daemon*")), None)
        if row.exists() and program:
            result = json.loads(row.read_text())
            if result["sha256"] == hashlib.sha256(program.read_bytes()).hexdigest():
                yield {**result, "rust": target}


def first_table(found):
    yield "| target | size | SHA-256 | the file | started under | checks passed | time |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for result in found:
        checks = result["checks"]
        good = sum(check["good"] for check in checks)
        runner = {"native": "this machine's CPU", "inspect": "not started"}.get(result["runner"], f"`{result['runner']}`")
        yield (f"| {result['rust']} | {result['size']:,} | `{result['sha256']}` | {checks[0]['remark'] or 'WRONG'} | {runner} "
               f"| {good} of {len(checks)} | {result['seconds']} s |")


def second_table(found):
    """What each did, and how long that took."""
    yield "| seconds | " + " | ".join(result["target"] for result in found) + " |"
    yield "| --- |" + " --- |" * len(found)
    titles = list(dict.fromkeys(check["title"] for result in found for check in result["checks"]))
    for title in titles:
        cells = []
        for result in found:
            check = next((check for check in result["checks"] if check["title"] == title), None)
            cells.append("-" if check is None else f"{check['seconds']}" if check["good"] else "FAILED")
        yield f"| {title} | " + " | ".join(cells) + " |"


def main():
    found = list(results(*map(Path, sys.argv[1:])))
    print("# The targets, and what each was seen to do\n")
    print("\n".join(first_table(found)))
    print("\nIn the network of tests/real: miniupnpd, BIND, a provider. Emulated seconds are no measure of the real machine.\n")
    print("\n".join(second_table(found)))


if __name__ == "__main__":
    main()
