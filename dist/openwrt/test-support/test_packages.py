"""Both packages: their bytes against their formats, and where opkg and apk are at
hand, installed, upgraded and removed by them."""

import gzip
import hashlib
import os
import re
import shutil
import struct
import subprocess
import tempfile
import tomllib
import zlib
from pathlib import Path

from formats import FormatError, read_apk, read_ipk
from lab import Noted, contains, equal
from router import FILES, NAME, Router

ROOT = Path(__file__).resolve().parents[3]
HERE = ROOT / "dist/openwrt"
VERSION = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["version"]
CONFFILE = f"/etc/config/{NAME}"
EXPECTED = {
    f"usr/bin/{NAME}": 0o755, f"etc/init.d/{NAME}": 0o755, f"etc/config/{NAME}": 0o600,
    f"usr/share/{NAME}/uci-to-toml.sh": 0o644, f"lib/upgrade/keep.d/{NAME}": 0o644,
}
given = []  # packages that were named in the call
MACHINES = {"x86_64": (62, 2, 1), "aarch64": (183, 2, 1), "arm": (40, 1, 1), "armv5te": (40, 1, 1), "armv7": (40, 1, 1),
            "i686": (3, 1, 1), "mips": (8, 1, 2), "mipsel": (8, 1, 1), "riscv64gc": (243, 2, 1)}


def elf(machine, width, order, interpreter=False):
    """A program with a header and one program header. For x86_64 it runs, and exits with 0."""
    mark = "<" if order == 1 else ">"
    start, entry = (64, 0x400000 + 120) if width == 2 else (52, 0)
    ident = b"\x7fELF" + bytes([width, order, 1]) + bytes(9)
    word = "Q" if width == 2 else "I"
    size = 56 if width == 2 else 32
    header = struct.pack(f"{mark}HHI{word * 3}IHHHHHH", 2, machine, 1, entry, start, 0, 0, start, size, 1, 0, 0, 0)
    kind = 3 if interpreter else 1
    if width == 2:
        program = struct.pack(f"{mark}IIQQQQQQ", kind, 5, 0, 0x400000, 0x400000, 132, 132, 0x1000)
    else:
        program = struct.pack(f"{mark}IIIIIIII", kind, 0, 0, 0, 84, 84, 5, 0x1000)
    # mov eax, 60 (exit); xor edi, edi; syscall
    return ident + header + program + (b"\xb8\x3c\0\0\0\x31\xff\x0f\x05" if machine == 62 else b"")


def build(kind, binary, arch, outdir, project=ROOT, check=True, cwd=None):
    command = [project / f"dist/openwrt/build-{kind}", binary, arch, outdir]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd)
    if check and done.returncode != 0:
        raise AssertionError(done.stderr)
    return Path(done.stdout.strip()) if check else done


class Workshop:
    """A folder with a program to pack; use it in a `with` statement."""

    def __enter__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="openwrt-packages-"))
        self.program = self.folder / "program"
        self.program.write_bytes(elf(*MACHINES["x86_64"]))
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder)

    def next_project(self):
        """The project with a later version and another default configuration."""
        project = self.folder / "next"
        shutil.copytree(HERE, project / "dist/openwrt")
        # Whatever the scripts of openwrt/ stand on.
        for file in filter(Path.is_file, HERE.parent.iterdir()):
            shutil.copy(file, project / "dist")
        text = (ROOT / "Cargo.toml").read_text().replace(f'version = "{VERSION}"', 'version = "99.0.0"', 1)
        (project / "Cargo.toml").write_text(text)
        (project / ".source-date").write_text("1800000000\n")
        with open(project / f"dist/openwrt/files/{NAME}.config", "a") as config:
            config.write("# a later one\n")
        return project


def files_are_right(files, more=()):
    equal({path: mode for path, (mode, _) in files.items()}, EXPECTED | dict.fromkeys(more, 0o644))
    for path, source in [(f"etc/init.d/{NAME}", f"{NAME}.init"), (f"etc/config/{NAME}", f"{NAME}.config"),
                         (f"usr/share/{NAME}/uci-to-toml.sh", "uci-to-toml.sh"),
                         (f"lib/upgrade/keep.d/{NAME}", f"{NAME}.keep")]:
        equal(files[path][1], (FILES / source).read_bytes(), path)


def ipk_is_right(package):
    files, control = read_ipk(package.read_bytes())
    files_are_right(files)
    equal({path: mode for path, (mode, _) in control.items()},
          {"control": 0o644, "conffiles": 0o644, "postinst": 0o755, "prerm": 0o755})
    equal(control["conffiles"][1].decode(), f"{CONFFILE}\n")
    fields = dict(line.split(": ", 1) for line in control["control"][1].decode().splitlines() if not line.startswith(" "))
    name, version, arch = package.stem.split("_", 2)
    equal((fields["Package"], fields["Version"], fields["Architecture"]), (name, version, arch))
    equal((name, version, fields["Require-User"]), (NAME, f"{VERSION}-r1", f"{NAME}:{NAME}"))
    equal(int(fields["Installed-Size"]), sum(len(content) for _, content in files.values()))
    equal("Depends" in fields, False, "a static program depends on nothing")
    for script in ("postinst", "prerm"):
        contains(control[script][1].decode(), "#!/bin/sh\n", f'default_{script} "$0" "$@"')
    return files, fields["Architecture"]


def apk_is_right(package):
    info, files, scripts = read_apk(package.read_bytes())
    lists = {kind: f"lib/apk/packages/{NAME}.{kind}" for kind in ("list", "conffiles", "conffiles_static", "rusers")}
    files_are_right(files, lists.values())
    text = {kind: files[path][1].decode() for kind, path in lists.items()}
    digest = hashlib.sha256(files[CONFFILE.lstrip("/")][1]).hexdigest()
    equal(text["conffiles"], f"{CONFFILE}\n")
    equal(text["conffiles_static"], f"{CONFFILE} {digest}\n")
    equal(text["rusers"], f"{NAME}:{NAME}\n")
    # As OpenWrt has it: with what was there before the other lists were made.
    equal(text["list"].split(), sorted(f"/{path}" for path in [*EXPECTED, lists["rusers"]]))
    equal(package.name, f"{NAME}-{VERSION}-r1.apk")
    equal((info["name"], info["version"], info["license"]), (NAME, f"{VERSION}-r1", "MIT"))
    equal((info.get("depends"), info["provides"]), (None, [f"{NAME}-any"]))
    equal(set(scripts), {"post-install", "post-upgrade", "pre-deinstall"})
    for name, calls in [("post-install", "add_group_and_user\ndefault_postinst\n"), ("pre-deinstall", "default_prerm\n")]:
        contains(scripts[name], "#!/bin/sh\n", f'export pkgname="{NAME}"\n{calls}')
    equal(scripts["post-upgrade"], scripts["post-install"].replace("#!/bin/sh\n", "#!/bin/sh\nexport PKG_UPGRADE=1\n", 1))
    return files, info["arch"]


def test_the_packages_that_were_given_are_as_their_formats_want_them():
    if not given:
        raise Noted("no package was given: those made here are checked")
    for package in given:
        files, arch = (ipk_is_right if package.suffix == ".ipk" else apk_is_right)(package)
        done = check_elf(files[f"usr/bin/{NAME}"][1], arch)
        equal(done.returncode, 0, f"{package}: {done.stderr}")
        print(f"   {package.name}: {arch}, {package.stat().st_size} bytes, "
              f"{sum(len(content) for _, content in files.values())} installed")


def check_elf(content, arch):
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        return subprocess.run(["python3", HERE / "elf_fits.py", file.name, arch], capture_output=True, text=True)


def test_both_packages_are_made_for_every_architecture():
    lines = [line.split() for line in (HERE / "architectures").read_text().splitlines() if line and not line.startswith("#")]
    equal({target.split("-")[0] for target, *_ in lines}, set(MACHINES))
    equal(len({arch for _, *arches in lines for arch in arches}), sum(len(arches) for _, *arches in lines), "each once")
    with Workshop() as shop:
        for target, *arches in lines:
            shop.program.write_bytes(elf(*MACHINES[target.split("-")[0]]))
            for arch in arches:
                equal(apk_is_right(build("apk", shop.program, arch, shop.folder))[1], arch)
                equal(ipk_is_right(build("ipk", shop.program, arch, shop.folder))[1], arch)


def test_the_same_input_gives_the_same_bytes():
    with Workshop() as shop:
        for kind in ("ipk", "apk"):
            os.umask(0o027)
            one = build(kind, shop.program, "x86_64", shop.folder / "a").read_bytes()
            os.umask(0o022)
            # From another folder, with relative paths.
            other = build(kind, "program", "x86_64", "b", cwd=shop.folder)
            equal((other, other.read_bytes() == one), (shop.folder / "b" / other.name, True), kind)


def test_a_program_that_does_not_fit_is_refused():
    with Workshop() as shop:
        for content, arch, told in [
            (elf(*MACHINES["mips"]), "mipsel_24kc", "32 bits, big endian; expected 8 with 32 bits, little endian"),
            (elf(*MACHINES["x86_64"], interpreter=True), "x86_64", "linked dynamically"),
            (b"#!/bin/sh\n" * 20, "x86_64", "no ELF program"),
            (elf(*MACHINES["x86_64"]), "m68k", "unknown architecture"),
        ]:
            shop.program.write_bytes(content)
            for kind in ("ipk", "apk"):
                done = build(kind, shop.program, arch, shop.folder, check=False)
                contains(done.stderr, told)
                equal((done.returncode != 0, list(shop.folder.glob("*.?pk"))), (True, []))


def inflated(apk):
    return zlib.decompress(apk[4:], -zlib.MAX_WBITS)


def test_the_readers_notice_damage():
    with Workshop() as shop:
        for kind, read in (("apk", read_apk), ("ipk", read_ipk)):
            data = build(kind, shop.program, "x86_64", shop.folder).read_bytes()
            for at in range(0, len(data), max(1, len(data) // 60)):
                damaged = data[:at] + bytes([data[at] ^ 0x20]) + data[at + 1:]
                try:
                    read(damaged)
                except Exception:
                    continue
                # What gzip's header says of the system that packed it, and bits of
                # deflate that stand for nothing.
                unpacked = gzip.decompress if kind == "ipk" else inflated
                if unpacked(damaged) != unpacked(data):
                    raise FormatError(f"{kind}: a change of byte {at} was not noticed")


def test_the_feed_installs_the_same_files():
    with Workshop() as shop:
        stub = shop.folder / "openwrt"
        for path in ("rules.mk", "include/package.mk", "feeds/packages/lang/rust/rust-package.mk"):
            (stub / path).parent.mkdir(parents=True, exist_ok=True)
            (stub / path).write_text(FEED_RULES if path == "rules.mk" else "")
        installed, build_dir = shop.folder / "installed", shop.folder / "bin"
        build_dir.mkdir()
        (build_dir / "bin").mkdir()
        shutil.copy(shop.program, build_dir / "bin" / NAME)
        settings = [f"TOPDIR={stub}", f"INCLUDE_DIR={stub}/include", f"PKG_INSTALL_DIR={build_dir}", f"INTO={installed}"]
        done = subprocess.run(["make", "-s", "-C", HERE / "feed", *settings, "install-it"], capture_output=True, text=True)
        equal(done.returncode, 0, done.stderr)
        files = {str(path.relative_to(installed)): (path.stat().st_mode & 0o777, path.read_bytes())
                 for path in installed.rglob("*") if path.is_file()}
        files_are_right(files)
        for line in (f"version {VERSION}-r1", f"user {NAME}:{NAME}", f"conffiles {CONFFILE}"):
            contains(done.stdout, line)


# What the buildroot's rules bring, as far as our Makefile uses it.
FEED_RULES = """
INSTALL_DIR=install -d -m0755
INSTALL_BIN=install -m0755
INSTALL_CONF=install -m0600
INSTALL_DATA=install -m0644
define BuildPackage
$(eval $(call Package/$(1)))
install-it:
\t$(call Package/$(1)/install,$(INTO))
\t@echo version $(PKG_VERSION)-r$(PKG_RELEASE)
\t@echo user $(USERID)
\t@echo conffiles $(strip $(call Package/$(1)/conffiles))
endef
"""


# -- with the real tools ------------------------------------------------------------

def tool(name):
    if not shutil.which(name):
        raise Noted(f"{name} is not here: structure checked only")
    return name


def lifecycle(kind, install, upgrade, remove, beside):
    """Installs, lets the user edit, upgrades and removes; what the user edited stays."""
    with Workshop() as shop, Router() as router:
        root = router.root
        for path in [*EXPECTED, f"tmp/uci/{NAME}"]:
            (root / path).unlink(missing_ok=True)
        (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/ash\n")
        (root / "etc/group").write_text("root:x:0:\n")
        run(install(root, build(kind, shop.program, "x86_64", shop.folder)))
        for path, mode in EXPECTED.items():
            equal((root / path).stat().st_mode & 0o777, mode, path)
        contains((root / "etc/passwd").read_text(), f"\n{NAME}:")
        enabled = root / f"etc/rc.d/S95{NAME}"
        equal(enabled.is_symlink(), True, "the service is enabled")
        conffile = root / CONFFILE.lstrip("/")
        mine = conffile.read_text().replace("enabled '0'", "enabled '1'")
        conffile.write_text(mine)
        run(upgrade(root, build(kind, shop.program, "x86_64", shop.folder, shop.next_project())))
        equal(conffile.read_text(), mine, "the user's configuration is kept")
        contains((root / f"{CONFFILE.lstrip('/')}{beside}").read_text(), "# a later one", "enabled '0'")
        equal(enabled.is_symlink(), True)
        run(remove(root))
        left = [path for path in EXPECTED if (root / path).exists()]
        equal((left, enabled.is_symlink()), ([f"etc/config/{NAME}"], False))


def run(command):
    environment = os.environ | {"IPKG_INSTROOT": command[0]}
    done = subprocess.run(command[1:], capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        raise AssertionError(f"{command[1:]}: {done.stdout}{done.stderr}")


def test_opkg_installs_upgrades_and_removes_it():
    opkg = tool("opkg")

    def call(root, *words):
        conf = root / "tmp/opkg.conf"
        conf.write_text("dest root /\narch all 1\narch x86_64 10\n")
        (root / "usr/lib/opkg/info").mkdir(parents=True, exist_ok=True)
        return [str(root), opkg, "-f", str(conf), "-o", str(root), "--force-postinstall", *words]

    def install(root, file):
        return call(root, "install", str(file))

    lifecycle("ipk", install, install, lambda root: call(root, "remove", NAME), "-opkg")


def test_apk_installs_upgrades_and_removes_it():
    apk = tool("apk")

    def call(root, *words):
        return ["", apk, "--root", str(root), "--arch", "x86_64", "--allow-untrusted", "--no-network", "--no-cache",
                "--repositories-file", "/dev/null", *words]

    lifecycle("apk", lambda root, file: call(root, "--initdb", "add", str(file)),
              lambda root, file: call(root, "add", str(file)), lambda root: call(root, "del", NAME), ".apk-new")


def test_apk_itself_makes_the_same_bytes():
    apk = tool("apk")
    with Workshop() as shop:
        package = build("apk", shop.program, "x86_64", shop.folder)
        info, files, scripts = read_apk(package.read_bytes())
        root, words = shop.folder / "root", []
        for path, (mode, content) in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(content)
            (root / path).chmod(mode)
        for name, value in info.items():
            if name != "installed-size":
                words += ["--info", f"{name}:{value if isinstance(value, str) else ' '.join(value)}"]
        for name, text in scripts.items():
            (shop.folder / name).write_text(text)
            words += ["--script", f"{name}:{shop.folder / name}"]
        date = subprocess.check_output(["bash", "-c", ". dist/lib.sh; echo $SOURCE_DATE_EPOCH"], cwd=ROOT, text=True).strip()
        theirs = shop.folder / "theirs.apk"
        run(["", "env", f"SOURCE_DATE_EPOCH={date}", apk, "mkpkg", *words, "--files", str(root), "--output", str(theirs)])
        equal(theirs.read_bytes() == package.read_bytes(), True)
