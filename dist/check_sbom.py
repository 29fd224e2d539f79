"""The checks of dist/test-sbom: dist/check_sbom.py FIRST [TARGET...]

FIRST has what an earlier run wrote. Runs where cyclonedx-python-lib is.
"""

import copy
import json
import sys
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

import crates
import runtime

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
    say("std is built as dist/runtime.py says", other_std())
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
    compiled = runtime.units(target, of_std=False) | runtime.units(target, of_std=True)
    return [f"not listed: {id}" for id in compiled - listed] + [f"listed only: {id}" for id in listed - compiled]


def other_std():
    """std's own crates depend on the options it is built with."""
    script = (crates.ROOT / "dist/build").read_text()
    return [] if f"build_std=({' '.join(runtime.BUILD_STD)})" in script else ["mend BUILD_STD in dist/runtime.py"]


def dangling(document):
    known = {component["bom-ref"] for component in document["components"]}
    known.add(document["metadata"]["component"]["bom-ref"])
    named = {name for row in document["dependencies"] for name in [row["ref"], *row["dependsOn"]]}
    return sorted(named ^ known)


def changed(first, name):
    same = (Path(first) / name).read_bytes() == (crates.DIST / name).read_bytes()
    return [] if same else [f"{name} differs"]


main()
