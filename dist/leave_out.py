#!/usr/bin/env python3
"""Leaves out of vendor/ the crates that none of our targets uses: dist/leave_out.py

Called by dist/source in the tree that it is about to pack. Cargo.lock names
crates for every system that Rust knows, most of them import libraries of
Windows: binaries, and nobody can audit those. Cargo wants each to be there, so
its manifest and licence stay, with a library that refuses to be compiled.
"""

import hashlib
import json
import shutil
import tomllib

import crates

# Who builds on a plain Debian machine, with the tests, uses this one too.
HOST = "x86_64-unknown-linux-gnu"
REFUSAL = 'compile_error!("left out of the source archive: no target in dist/targets uses this crate");\n'


def main():
    used = set()
    for target in [HOST, *crates.targets()]:
        used |= names(target)
    for package in tomllib.loads(crates.LOCK.read_text())["package"]:
        name = f"{package['name']}-{package['version']}"
        if "source" in package and name not in used:
            print(name)
            empty(crates.ROOT / "vendor" / name)


def names(target):
    """NAME-VERSION of everything that building and testing for a target needs."""
    command = ["cargo", "tree", "--locked", "--target", target, "--edges", "all"]
    lines = crates.run([*command, "--prefix", "none", "--format", "{p}"]).splitlines()
    return {name_of(line) for line in lines if line}


def name_of(line):
    name, version = line.split()[:2]
    return f"{name}-{version.removeprefix('v')}"


def empty(folder):
    """Keeps the manifest, the licence and the package's own hash."""
    sums = folder / ".cargo-checksum.json"
    package = json.loads(sums.read_text())["package"]
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != "Cargo.toml" and not path.name.lower().startswith("license"):
            path.unlink()
    (folder / "src").mkdir()
    (folder / "src/lib.rs").write_text(REFUSAL)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    hashes = {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    sums.write_text(json.dumps({"files": hashes, "package": package}))


main()
