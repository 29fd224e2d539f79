"""What the toolchain puts into the program besides crates: std, its crates, libc.

Needs what `use_toolchain` of dist/toolchain.sh sets: $RUSTC, whose sysroot has
the source of std, and $CARGO_ZIGBUILD_ZIG_PATH, the linker that brings musl.
"""

import fnmatch
import functools
import json
import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

import crates

# How dist/build makes std; dist/test-sbom sees to it that it still does.
BUILD_STD = ("-Zbuild-std=std,panic_abort", "-Zbuild-std-features=optimize_for_size")
# Compiled beside std for proc_macro, which no program links.
NOT_LINKED = {"rustc-literal-escaper"}
UNIT = re.compile(r"^registry\+.*#(.*)@(.*)$")
# The std workspace itself: core, alloc, panic_abort, unwind, std_detect, compiler_builtins.
RUST_LICENCE = "(MIT OR Apache-2.0) AND (Apache-2.0 WITH LLVM-exception OR MIT)"
DOCUMENTS = re.compile(r"^(licen[sc]e|copying|copyright|unlicense|notice)", re.IGNORECASE)


@dataclass(frozen=True)
class Part:
    """Something linked that Cargo.lock does not know, with its licence texts."""

    name: str
    version: str
    licence: str
    purl: str
    checksum: str
    texts: tuple


def parts(target):
    """Everything that the toolchain links for a target."""
    found = [_rust(), *(_std_crate(*id) for id in sorted(units(target, of_std=True)))]
    if "linux" in target:
        found += _of_zig(("musl", _musl_version(), "MIT", "lib/libc/musl/COPYRIGHT"))
        found += _of_zig(("libunwind", _zig_version(), "Apache-2.0 WITH LLVM-exception", "lib/libunwind/LICENSE.TXT"))
    if "darwin" not in target and "windows" not in target:
        found += _of_zig(("zig-compiler-rt", _zig_version(), "MIT", "LICENSE"))
    if "windows" in target:
        found += _mingw()
    return found


def units(target, of_std):
    """Name and version of the crates of a registry that cargo would compile for the program."""
    # In a folder of its own, so that it does not wait for a build that is under way.
    command = ["cargo", "build", "--locked", "--release", "--bin", crates.PROGRAM, "--target", target]
    command += ["--target-dir", str(crates.DIST / "units")]
    # As in dist/build: a stable compiler takes the options that std's own build needs.
    os.environ["RUSTC_BOOTSTRAP"] = "1"
    graph = json.loads(crates.run([*command, *BUILD_STD, "-Zunstable-options", "--unit-graph"]))
    ours = [unit for unit in graph["units"] if unit["mode"] == "build" and unit["platform"] == target]
    found = {UNIT.match(unit["pkg_id"]) for unit in ours if unit.get("is_std", False) == of_std}
    return {match.groups() for match in found if match and match[1] not in NOT_LINKED}


def texts_in(folder):
    """The licence texts of a package, with their names, wherever in it they lie."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and DOCUMENTS.match(path.name))
    plain = [path for path in paths if path.suffix not in (".rs", ".py", ".pl")]
    return tuple((str(path.relative_to(folder)), path.read_text(errors="replace")) for path in plain)


# -- Rust -----------------------------------------------------------------


@functools.cache
def _sysroot():
    rustc = os.environ.get("RUSTC", "rustc")
    return Path(crates.run([rustc, "--print", "sysroot"]).strip())


@functools.cache
def _library():
    folder = _sysroot() / "lib/rustlib/src/rust/library"
    if not folder.is_dir():
        crates.stop(f"no source of std in {folder}: let RUSTC name the compiler that dist/build uses")
    return folder.resolve()


def _rust_version():
    rustc = os.environ.get("RUSTC", "rustc")
    return crates.run([rustc, "--version"]).split()[1]


def _rust():
    version = _rust_version()
    texts = (*texts_in(_library().parent.joinpath("src/tools/cargo/crates/rustfix")), *_paragraphs("library/std/src/lib.rs"))
    notice = _library().parent / "COPYRIGHT"
    if notice.exists():
        texts += (("COPYRIGHT", notice.read_text()),)
    return Part("rust-std", version, RUST_LICENCE, f"pkg:generic/rust-std@{version}", "", texts)


def _std_crate(name, version):
    packages = tomllib.loads((_library() / "Cargo.lock").read_text())["package"]
    checksum = next(package["checksum"] for package in packages if (package["name"], package["version"]) == (name, version))
    folder = next(filter(Path.is_dir, _copies(f"{name}-{version}")), None)
    if not folder:
        crates.stop(f"no source of std's crate {name} {version}: run dist/build once, which fetches it")
    manifest = tomllib.loads((folder / "Cargo.toml").read_text())["package"]
    texts = texts_in(folder) or _paragraphs(f"vendor/{name}-{version}/src/lib.rs")
    purl = f"pkg:cargo/{name}@{version}"
    return Part(name, version, manifest["license"].replace("/", " OR "), purl, checksum, tuple(texts))


def _copies(name):
    """Where a crate of std may lie; the registry's copy is whole, Debian's lacks the texts."""
    home = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    return [*(registry / name for registry in sorted(home.glob("registry/src/*"))), _library() / "vendor" / name]


def _paragraphs(path):
    """What Debian's copyright file says of a source file, and the texts it names."""
    document = next(iter(sorted(_sysroot().glob("share/doc/rust-web-src/copyright"))), None)
    if not document:
        return ()
    blocks = document.read_text().split("\n\n")
    chosen = [block for block in blocks if _is_about(block, path)]
    if not chosen:
        return ()
    said = re.sub(r"^Files:.*?\n(?=Copyright)", "", chosen[-1].strip(), flags=re.S)
    names = re.findall(r"[\w.-]+", re.search(r"^License:(.*)$", said, re.M)[1])
    texts = [block for block in blocks if any(block.strip().startswith(f"License: {name}\n") for name in names)]
    return (("copyright", "\n\n".join([said, *texts])),)


def _is_about(block, path):
    files = re.match(r"\s*Files:(.*?)\nCopyright:", block, re.S)
    return bool(files) and any(fnmatch.fnmatch(path, pattern) for pattern in files[1].split())


# -- C --------------------------------------------------------------------


@functools.cache
def _zig():
    named = os.environ.get("CARGO_ZIGBUILD_ZIG_PATH")
    folder = Path(named).resolve().parent if named else None
    if not folder or not (folder / "lib/libc/musl").is_dir():
        crates.stop("no source of musl: let CARGO_ZIGBUILD_ZIG_PATH name the zig that dist/build links with")
    return folder


@functools.cache
def _zig_version():
    return crates.run([os.environ["CARGO_ZIGBUILD_ZIG_PATH"], "version"]).strip()


def _musl_version():
    return re.search(r'"(.*)"', (_zig() / "lib/libc/musl/src/internal/version.h").read_text())[1]


def _of_zig(row):
    name, version, licence, text = row
    path = _zig() / text
    return [Part(name, version, licence, f"pkg:generic/{name}@{version}", "", ((path.name, path.read_text()),))]


def _mingw():
    document = Path("/usr/share/doc/mingw-w64-x86-64-dev/copyright")
    if not document.exists():
        crates.stop("no copyright of mingw-w64: install Debian's mingw-w64-x86-64-dev, which dist/build links with")
    version = crates.run(["dpkg-query", "-W", "-f", "${Version}", "mingw-w64-x86-64-dev"])
    purl = f"pkg:deb/debian/mingw-w64-x86-64-dev@{version}"
    return [Part("mingw-w64-runtime", version, "LicenseRef-mingw-w64-runtime", purl, "", (("copyright", document.read_text()),))]
