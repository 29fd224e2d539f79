"""The program in a machine with a MIPS CPU: a Malta board under
qemu-system-mipsel, with Debian's kernel, as a host in the benchmark's network.

It finds the gateway, updates over TLS and then rests; its memory is what the
board's own /proc says. The board's root file system is in memory, where pages of
files count as written to, so private memory is `Anonymous` here. Kernel and
busybox are Debian's packages for mipsel, fetched into target/mipsel.
"""

import gzip
import re
import shutil
import subprocess
import time

from lab import GATEWAY, run, wait_for
from network import UPDATE, Network, hosts_file
from programs import TARGET, install

BINARY = TARGET / "dist" / "bin" / "mipsel-unknown-linux-musl" / "ddns-update-daemon"
FOLDER = TARGET / "mipsel"
ADDRESS = "192.168.77.9"
KERNEL = "linux-image-4kc-malta"
MODULES = ("net/mii.ko", "net/ethernet/amd/pcnet32.ko")
CPU = "24Kc"
# The answer to the update is held back so long, for samples in an emulated machine.
PATIENCE, IDLE = 4, 30

INIT = """#!/bin/sh
mount -t proc proc /proc
mount -t devtmpfs dev /dev
exec >/dev/console 2>&1
# The kernel's own words would stand between ours.
dmesg -n 1
date -s @{now} >/dev/null
insmod /mii.ko
insmod /pcnet32.ko
ifconfig lo up
ifconfig eth0 {address} netmask 255.255.255.0 up
route add default gw {gateway}
route add -net 224.0.0.0 netmask 240.0.0.0 dev eth0

tell() {{
    echo "== $1"
    cat /proc/$pid/smaps_rollup /proc/$pid/status
    cat /proc/$pid/task/*/status | grep ^voluntary
}}

/program /config.toml >/log 2>&1 &
pid=$!
until grep -q 'set to' /log; do
    grep Anonymous /proc/$pid/smaps_rollup || break
done
sleep 5
tell updated
sleep {idle}
tell rested
cat /log
echo "== end"
poweroff -f
"""


def measure(binary):
    """The figures, or why there are none."""
    if not binary.exists():
        return f"no {binary}"
    if not shutil.which("qemu-system-mipsel") and not install("qemu-system-mips"):
        return "qemu-system-mipsel is not installed"
    if not shutil.which("cpio") and not install("cpio"):
        return "cpio is not installed"
    kernel = fetched()
    return boot(kernel, binary) if kernel else "Debian's kernel for mipsel could not be fetched"


# -- the parts ------------------------------------------------------------------

def fetched():
    """The kernel, beside the unpacked packages; None when they cannot be had."""
    if not list(FOLDER.glob("tree/boot/vmlinuz-*")):
        for part in ("lists/partial", "cache/archives/partial"):
            (FOLDER / part).mkdir(parents=True, exist_ok=True)
        (FOLDER / "status").touch()
        if not fetch():
            return None
    return next(FOLDER.glob("tree/boot/vmlinuz-*"), None)


def fetch():
    """Debian's packages for another architecture, without adding that to this machine."""
    options = ["-oAPT::Architecture=mipsel", "-oAPT::Architectures::=mipsel", f"-oDir::State::lists={FOLDER}/lists",
               f"-oDir::Cache={FOLDER}/cache", f"-oDir::State::status={FOLDER}/status", "-oAPT::Sandbox::User=root"]
    apt = lambda *words: subprocess.run([words[0], *options, *words[1:]], cwd=FOLDER, capture_output=True, text=True)  # noqa: E731
    apt("apt-get", "update", "-q")
    kernel = re.search(r"Depends: (linux-image-\S+)", apt("apt-cache", "depends", KERNEL).stdout)
    if not kernel or apt("apt-get", "download", "-q", kernel[1], "busybox-static").returncode != 0:
        return False
    for package in FOLDER.glob("*.deb"):
        run("dpkg", "-x", str(package), str(FOLDER / "tree"))
    return True


def initramfs(net, binary):
    """The board's root file system, as an archive."""
    root = net.dir / "root"
    for folder in ("bin", "dev", "proc", "etc", "tmp"):
        (root / folder).mkdir(parents=True)
    shutil.copy(FOLDER / "tree" / "bin" / "busybox", root / "bin" / "busybox")
    for name in ("sh", "mount", "dmesg", "date", "insmod", "ifconfig", "route", "cat", "grep", "sleep", "poweroff"):
        (root / "bin" / name).symlink_to("busybox")
    for module in MODULES:
        found = next(FOLDER.glob(f"tree/lib/modules/*/kernel/drivers/{module}"))
        shutil.copy(found, root / found.name)
    shutil.copy(binary, root / "program")
    shutil.copy(net.ca_file, root / "ca.pem")
    (root / "etc" / "hosts").write_text(hosts_file())
    (root / "config.toml").write_text(
        f'interval = 5\nstate_file = "/tmp/state"\n[tls]\nca_file = "/ca.pem"\n'
        f'[[urls]]\nmethod = "get"\nurl = "https://{UPDATE}/update?ip={{ipv4}}"\n')
    (root / "init").write_text(INIT.format(now=int(time.time()), address=ADDRESS, gateway=GATEWAY, idle=IDLE))
    (root / "init").chmod(0o755)
    (root / "program").chmod(0o755)
    names = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*"))) + "\n"
    archive = subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], input=names.encode(), cwd=root,
                             capture_output=True, check=True).stdout
    path = net.dir / "initramfs.gz"
    path.write_bytes(gzip.compress(archive, 1))
    return path


# -- the board --------------------------------------------------------------------

def boot(kernel, binary):
    """Starts the board and reads what it says."""
    with Network() as net:
        net.https.patience = PATIENCE
        net.ip("gw", "tuntap add dev board mode tap", "link set board master lan0", "link set board up")
        command = ["qemu-system-mipsel", "-M", "malta", "-cpu", CPU, "-m", "128", "-nographic", "-no-reboot",
                   "-kernel", kernel, "-initrd", initramfs(net, binary), "-append", "console=ttyS0 panic=1 quiet",
                   # Nobody boots from it or looks at it, and their ROMs are in other packages.
                   "-vga", "none", "-global", "pcnet.romfile=", "-nic", "tap,ifname=board,script=no,downscript=no,model=pcnet"]
        board = net.start(net.gateway, command, "board")
        wait_for(lambda: "== end" in board.log() or not board.alive(), "the board is done", 300)
        return figures(board.log().replace("\r", ""), binary, net)


def figures(log, binary, net):
    if "== rested" not in log or not net.updates():
        return "the board did not get there:\n" + log[-3000:]
    before, rest = log.split("== updated")
    updated, rested = rest.split("== rested")
    value = lambda text, key: int(re.search(rf"^{key}:\s+(\d+)", text, re.M)[1])  # noqa: E731
    sleeps = lambda text: sum(map(int, re.findall(r"^voluntary_ctxt_switches:\s+(\d+)", text, re.M)))  # noqa: E731
    return {"file": binary.stat().st_size, "rss": value(rested, "Rss"), "dirty": value(rested, "Anonymous"),
            "dirty_peak": max(map(int, re.findall(r"^Anonymous:\s+(\d+)", before + updated, re.M))),
            "rss_peak": value(rested, "VmHWM"), "threads": value(rested, "Threads"),
            "wake_ups": sleeps(rested) - sleeps(updated)}


# -- the table --------------------------------------------------------------------

ROWS = [("file", "its file", 0.001), ("rss", "idle: resident", 1.024), ("dirty", "idle: private, written to", 1.024),
        ("rss_peak", "peak in an update: resident", 1.024), ("dirty_peak", "peak in an update: private, written to", 1.024)]
COUNTS = [("threads", "threads"), ("wake_ups", f"wake-ups in {IDLE} s without a deadline")]


def table(found):
    """Markdown; a text instead of figures says why there are none."""
    if isinstance(found, str):
        return f"mipsel: not measured: {found}"
    lines = [f"| mipsel, {CPU} | ours |", "| --- | ---: |"]
    lines += [f"| {label} | {found[key] * factor:,.0f} kB |" for key, label, factor in ROWS]
    lines += [f"| {label} | {found[key]:,} |" for key, label in COUNTS]
    return "\n".join(lines)
