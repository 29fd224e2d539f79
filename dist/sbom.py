"""The parts list of dist/sbom: CycloneDX 1.6, one file a target."""

import datetime
import hashlib
import json
import sys
import uuid

import crates
import runtime


def main():
    for target in sys.argv[1:] or crates.targets():
        path = crates.DIST / f"{crates.PROGRAM}-{crates.version()}-{target}.cdx.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document(target), indent=2, ensure_ascii=False) + "\n")
        print(path)


def document(target):
    linked, building, parts = crates.linked(target), crates.building(target), runtime.parts(target)
    program = crates.program(target)
    body = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": metadata(program, target),
        "components": [
            *(of_crate(crate, "required") for crate in linked),
            *(of_part(part) for part in parts),
            *(of_crate(crate, "excluded") for crate in building),
        ],
        "dependencies": dependencies(program, linked, building, parts),
    }
    # Random in other lists; here the same content has the same number.
    content = json.dumps(body, sort_keys=True).encode()
    number = uuid.UUID(bytes=hashlib.sha256(content).digest()[:16], version=4)
    return {"$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json", "serialNumber": number.urn, **body}


def metadata(program, target):
    date = datetime.datetime.fromtimestamp(crates.source_date(), datetime.UTC)
    return {
        "timestamp": date.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "lifecycles": [{"phase": "build"}],
        "component": {
            "type": "application",
            "bom-ref": program.purl,
            "name": program.name,
            "version": program.version,
            "description": program.description,
            "licenses": [{"expression": program.licence}],
            "purl": program.purl,
            "properties": properties(target=target, features=",".join(program.features)),
        },
    }


def of_crate(crate, scope):
    component = {
        "type": "library",
        "bom-ref": crate.purl,
        "name": crate.name,
        "version": crate.version,
        "description": crate.description,
        "scope": scope,
        "hashes": [{"alg": "SHA-256", "content": crate.checksum}],
        "licenses": [{"expression": crate.licence}],
        "purl": crate.purl,
        "properties": properties(features=",".join(crate.features)),
    }
    if crate.repository:
        component["externalReferences"] = [{"type": "vcs", "url": crate.repository}]
    return component


def of_part(part):
    component = {
        "type": "library",
        "bom-ref": reference(part),
        "name": part.name,
        "version": part.version,
        "scope": "required",
        "licenses": [{"expression": part.licence}],
        "purl": part.purl,
        "properties": properties(origin="toolchain"),
    }
    if part.checksum:
        component["hashes"] = [{"alg": "SHA-256", "content": part.checksum}]
    return component


def reference(part):
    """std has its own copies of crates that we use too, maybe of the same version."""
    return f"toolchain/{part.purl}"


def properties(**values):
    return [{"name": f"{crates.PROGRAM}:{name}", "value": value} for name, value in values.items()]


def dependencies(program, linked, building, parts):
    known = {crate.id: crate.purl for crate in [*linked, *building]}
    rust = [reference(part) for part in parts if part.name == "rust-std"]
    others = sorted(reference(part) for part in parts if part.name != "rust-std")
    rows = [edge(program.purl, [known[id] for id in program.needs] + rust)]
    rows += [edge(crate.purl, [known[id] for id in crate.needs if id in known]) for crate in [*linked, *building]]
    return [*rows, edge(rust[0], others), *(edge(name, []) for name in others)]


def edge(name, needs):
    return {"ref": name, "dependsOn": sorted(needs)}


main()
