"""Which crates are linked into the program for a target, and which only help to build it.

Shared by dist/sbom, dist/licences and dist/dependencies. What cargo says is
believed: `cargo tree` for who is linked (it leaves out what only tests and
build scripts need), `cargo metadata` for where it lies, Cargo.lock for its hash.
"""

import functools
import json
import os
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "Cargo.lock"
TARGET_DIR = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).absolute()
DIST = TARGET_DIR / "dist"
PROGRAM = "ddns-update-daemon"
LINE = re.compile(r"^(\d+)(\S+) v(\S+)(.*?)\|(.*)$")


@dataclass(frozen=True, order=True)
class Crate:
    """A package of Cargo.lock as it is used for one target."""

    name: str
    version: str
    licence: str = field(compare=False)
    folder: Path = field(compare=False)
    description: str = field(compare=False)
    repository: str = field(compare=False)
    checksum: str = field(compare=False)
    features: tuple = field(compare=False)
    needs: tuple = field(compare=False)

    @property
    def id(self):
        return (self.name, self.version)

    @property
    def purl(self):
        return f"pkg:cargo/{self.name}@{self.version.replace('+', '%2B')}"


def stop(message):
    """Ends the script with what happened and what to do."""
    sys.exit(f"{Path(sys.argv[0]).name}: {message}")


def run(command, folder=ROOT):
    """What a command prints; its failure is ours."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        stop(f"{' '.join(map(str, command))} failed:\n{done.stderr.strip()}")
    return done.stdout


def version():
    """The program's version."""
    return tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["version"]


def source_date():
    """Seconds since 1970 that stand for "now" in everything made."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    kept = ROOT / ".source-date"
    if given:
        return int(given)
    if kept.exists():
        return int(kept.read_text())
    return int(run(["git", "log", "-1", "--format=%ct"]))


def targets():
    """What rustc calls the targets of dist/targets, in its order."""
    rows = (ROOT / "dist/targets").read_text().splitlines()
    return [row.split("\t")[1] for row in rows if row and not row.startswith("#")]


def linked(target):
    """The crates that are linked for a target, without the program itself, sorted."""
    return _crates(target, "normal,no-proc-macro")


def program(target):
    """The program itself, with what it needs directly."""
    tree = _tree(target, "normal,no-proc-macro")
    return next(_crate(id, tree[id]) for id in tree if id[0] == PROGRAM)


def wanted_by(target):
    """For each (name, version) the names of those that want it, to be linked or to be built."""
    tree = _tree(target, "normal,build")
    return {id: sorted(name for (name, _), known in tree.items() if id in known["needs"]) for id in tree}


def building(target):
    """The crates that run while it is built, and of which nothing is linked."""
    inside = {crate.id for crate in linked(target)}
    return [crate for crate in _crates(target, "normal,build") if crate.id not in inside]


def used(target):
    """NAME-VERSION of everything that building and testing for a target needs."""
    command = ["cargo", "tree", "--locked", "--target", target, "--edges", "all"]
    lines = run([*command, "--prefix", "none", "--format", "{p}"]).splitlines()
    return {"-".join(line.replace(" v", " ", 1).split()[:2]) for line in lines if line}


def locked():
    """Name and version of every package of Cargo.lock that comes from a registry."""
    return sorted(_checksums())


def _crates(target, edges):
    tree = _tree(target, edges)
    return sorted(_crate(id, known) for id, known in tree.items() if id[0] != PROGRAM)


def _crate(id, known):
    package = _packages()[id]
    return Crate(
        *id,
        licence=(package["license"] or "").replace("/", " OR "),
        folder=Path(package["manifest_path"]).parent,
        description=" ".join((package["description"] or "").split()),
        repository=package["repository"] or "",
        checksum=_checksums().get(id, ""),
        features=tuple(sorted(filter(None, known["features"].split(",")))),
        needs=tuple(sorted(known["needs"])),
    )


@functools.cache
def _tree(target, edges):
    """The tree as cargo prints it: for each (name, version) its features and what it needs."""
    command = ["cargo", "tree", "--locked", "--target", target, "--edges", edges]
    crates, path = {}, []
    for line in run([*command, "--prefix", "depth", "--format", "{p}|{f}"]).splitlines():
        depth, name, number, _, features = LINE.match(line.removesuffix(" (*)")).groups()
        id = (name, number)
        del path[int(depth):]
        if path:
            crates[path[-1]]["needs"].add(id)
        path.append(id)
        crates.setdefault(id, {"features": features, "needs": set()})
    return crates


@functools.cache
def _packages():
    found = json.loads(run(["cargo", "metadata", "--locked", "--format-version", "1"]))
    return {(package["name"], package["version"]): package for package in found["packages"]}


@functools.cache
def _checksums():
    packages = tomllib.loads(LOCK.read_text())["package"]
    return {(p["name"], p["version"]): p["checksum"] for p in packages if "checksum" in p}
