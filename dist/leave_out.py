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

import crates

# Who builds on a plain Debian machine, with the tests, uses this one too.
HOST = "x86_64-unknown-linux-gnu"
REFUSAL = 'compile_error!("left out of the source archive: no target in dist/targets uses this crate");\n'


def main():
    used = set().union(*map(crates.used, [HOST, *crates.targets()]))
    for name in ("-".join(id) for id in crates.locked()):
        if name not in used:
            print(name)
            empty(crates.ROOT / "vendor" / name)


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
