"""The checks of dist/test-sbom: dist/check_sbom.py FIRST [TARGET...]

FIRST has what an earlier run wrote. Runs where cyclonedx-python-lib is.
"""

import copy
import json
import os
import re
import subprocess
import sys
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

import crates

# Compiled with std because of proc_macro, which no program links.
NOT_LINKED = {"rustc-literal-escaper"}
UNIT = re.compile(r"^registry\+.*#(.*)@(.*)$")
counts = {"ok": 0, "FAILED": 0}


def main():
    first, *targets = sys.argv[1:]
    for target in targets or crates.targets():
        name = f"{crates.PROGRAM}-{crates.version()}-{target}.cdx.json"
        document = json.loads((crates.DIST / name).read_text())
        say(f"{target}: CycloneDX's schema", schema_errors(document))
        say(f"{target}: the schema refuses a damaged one", [] if schema_errors(damaged(document)) else ["it does not"])
        say(f"{target}: exactly the crates that are compiled", difference(document, target))
        say(f"{target}: every reference leads somewhere", dangling(document))
        say(f"{target}: the same bytes again", changed(first, name))
    say("licences.txt: the same bytes again", changed(first, "licences.txt"))
    print(f"{counts['ok']} passed, {counts['FAILED']} failed")
    sys.exit(1 if counts["FAILED"] else 0)


def say(name, faults):
    word = "FAILED" if faults else "ok"
    counts[word] += 1
    print(word, name, *faults)


def schema_errors(document):
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(document))
    return [str(error)] if error else []


def damaged(document):
    copied = copy.deepcopy(document)
    copied["components"][0]["scope"] = "sometimes"
    return copied


def difference(document, target):
    """The list is made from `cargo tree`; what cargo would compile is asked another way."""
    listed = {
        (component["name"], component["version"])
        for component in document["components"]
        if component["purl"].startswith("pkg:cargo/") and component["scope"] == "required"
    }
    compiled = units(target)
    return [f"not listed: {id}" for id in compiled - listed] + [f"listed only: {id}" for id in listed - compiled]


def units(target):
    command = ["cargo", "build", "--locked", "--release", "--target", target]
    command += ["-Zunstable-options", "--unit-graph", "-Zbuild-std=std,panic_abort"]
    # As dist/build does: a stable compiler takes the options that std's own build needs.
    environment = {**os.environ, "RUSTC_BOOTSTRAP": "1"}
    done = subprocess.run(command, cwd=crates.ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        crates.stop(f"cargo tells no units for {target}:\n{done.stderr}")
    found = [unit for unit in json.loads(done.stdout)["units"] if unit["mode"] == "build" and unit["platform"] == target]
    ids = {UNIT.match(unit["pkg_id"]) for unit in found}
    return {match.groups() for match in ids if match and match[1] not in NOT_LINKED}


def dangling(document):
    known = {component["bom-ref"] for component in document["components"]}
    known.add(document["metadata"]["component"]["bom-ref"])
    named = {name for row in document["dependencies"] for name in [row["ref"], *row["dependsOn"]]}
    return sorted(named ^ known)


def changed(first, name):
    same = (Path(first) / name).read_bytes() == (crates.DIST / name).read_bytes()
    return [] if same else [f"{name} differs"]


main()
