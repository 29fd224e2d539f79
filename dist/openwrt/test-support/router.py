"""A router's root folder in which our init script runs under busybox's ash.

What OpenWrt brings (functions.sh, rc.common, procd.sh) is ours, beside this file,
unless OPENWRT_ROOT names a root with OpenWrt's own: then those are used, with its
uci, and its `ubus` must append what it is given for `service set` to /tmp/ubus.log.
Everything runs in a chroot of its own; needs root.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import uci

HERE = Path(__file__).resolve().parent
FILES = HERE.parent / "files"
NAME = "ddns-update-daemon"
TOML = f"var/etc/{NAME}.toml"
PROGRAM = f"usr/bin/{NAME}"
INIT = f"/etc/init.d/{NAME}"
UID = 32768
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
LOGGER = """#!/bin/sh
while [ $# -gt 1 ]; do shift; done
echo "$1" >>/tmp/syslog
"""


def copy_program(program, root, target):
    """A program with the libraries it needs, if any."""
    place = root / target
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(program, place)
    found = subprocess.run(["ldd", program], capture_output=True, text=True)
    for library in re.findall(r"(/\S+) \(0x", found.stdout):
        copy = root / library.lstrip("/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, copy)


class Router:
    """Use it in a `with` statement."""

    def __init__(self, program=None):
        self.program = program

    def __enter__(self):
        self.root = Path(tempfile.mkdtemp(prefix="openwrt-test-"))
        self.real = os.environ.get("OPENWRT_ROOT")
        try:
            self._build()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.root, ignore_errors=True)

    def _build(self):
        self.root.chmod(0o755)
        if self.real:
            shutil.copytree(self.real, self.root, symlinks=True, dirs_exist_ok=True,
                            ignore=shutil.ignore_patterns("dev"))
        else:
            self._stand_ins()
        for folder in ("dev", "proc", "etc/config", "etc/init.d", "etc/rc.d", "usr/share",
                       "tmp/etc", "tmp/lock", "tmp/run", "tmp/uci"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        user = f"{NAME}:x:{UID}:{UID}::/var/run/{NAME}:/bin/false\n"
        self.put("etc/passwd", f"root:x:0:0:root:/root:/bin/ash\n{user}")
        self.put("etc/group", f"root:x:0:\n{NAME}:x:{UID}:\n")
        self.put("usr/sbin/logger", LOGGER, 0o755)
        (self.root / "tmp").chmod(0o1777)
        if self.program:
            copy_program(self.program, self.root, PROGRAM)
        self.install_files()

    def _stand_ins(self):
        copy_program(shutil.which("busybox"), self.root, "bin/busybox")
        for applet in subprocess.check_output(["busybox", "--list"], text=True).split():
            (self.root / "bin" / applet).symlink_to("/bin/busybox")
        (self.root / "bin/logger").unlink(missing_ok=True)
        self.put("sbin/uci", '#!/bin/sh\n# uci -q export NAME\ncat "/tmp/uci/$3"\n', 0o755)
        self.put("lib/functions.sh", (HERE / "functions.sh").read_text())
        self.put("lib/functions/procd.sh", (HERE / "procd.sh").read_text())
        self.put("etc/rc.common", (HERE / "rc.common").read_text(), 0o755)
        self.put("etc/hosts", "127.0.0.1 localhost\n")
        self.put("tmp/resolv.conf", "nameserver 127.0.0.1\n")
        (self.root / "etc/resolv.conf").symlink_to("/tmp/resolv.conf")
        (self.root / "var").symlink_to("tmp")

    def install_files(self):
        self.put(f"etc/init.d/{NAME}", (FILES / f"{NAME}.init").read_text(), 0o755)
        self.put(f"usr/share/{NAME}/uci-to-toml.sh", (FILES / "uci-to-toml.sh").read_text())
        self.configure((FILES / f"{NAME}.config").read_text())

    def put(self, path, content, mode=0o644):
        """Writes a file, not through a link; its path in the router."""
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content if isinstance(content, bytes) else content.encode(errors="surrogateescape"))
        place.chmod(mode)
        return f"/{path}"

    def configure(self, text):
        """Sets /etc/config/ddns-update-daemon."""
        self.put(f"etc/config/{NAME}", text, 0o600)
        self.put(f"tmp/uci/{NAME}", uci.export(uci.parse(text)))

    def command(self, *words, user=0):
        """What runs a command in the router, with its own mounts."""
        mounts = ('mount -t proc proc "$0/proc" && mount --bind /dev "$0/dev" && '
                  f'exec chroot --userspec={user}:{user} --groups= "$0" "$@"')
        return ["unshare", "-m", "--propagation", "private", "sh", "-c", mounts, str(self.root), *words]

    def run(self, *words, prefix=()):
        environment = {"PATH": f"{PATH}:{os.environ['PATH']}", "HOME": "/root"}
        return subprocess.run([*prefix, *self.command(*words)], env=environment, capture_output=True, timeout=120)

    def shell(self, script, **options):
        done = self.run("/bin/ash", "-c", script, **options)
        done.text = (done.stdout + done.stderr).decode(errors="replace")
        return done

    def service(self, action, **options):
        """Calls an action of the init script."""
        for log in ("syslog", "procd", "ubus.log"):
            (self.root / "tmp" / log).unlink(missing_ok=True)
        return self.shell(f"{INIT} {action}", **options)

    def log(self):
        log = self.root / "tmp/syslog"
        return log.read_text(errors="replace") if log.exists() else ""

    def toml(self):
        """The text that the init script has made, or None."""
        place = self.root / "tmp/etc" / f"{NAME}.toml"
        return place.read_bytes() if place.exists() else None

    def handed_over(self):
        """What procd was given: an instance as a dictionary or None, and the triggers."""
        return from_ubus(self.root / "tmp/ubus.log") if self.real else from_notes(self.root / "tmp/procd")


def from_notes(path):
    """From the lines of our procd.sh."""
    instance, triggers = None, []
    for line in path.read_text().splitlines() if path.exists() else []:
        what, *words = line.split("\t")
        if what == "instance":
            instance = {"mount": {}}
        elif what == "param":
            instance[words[0]] = words[1:]
        elif what == "append":
            instance[words[0]] = instance.get(words[0], []) + words[1:]
        elif what == "jail":
            instance["jail"] = words
        elif what in ("mount", "mount_rw"):
            instance["mount"].update({word: what == "mount_rw" for word in words})
        elif what == "trigger":
            triggers.append(words[0])
    if instance:
        instance["env"] = dict(word.split("=", 1) for word in instance.get("env", []))
    return instance, triggers


def from_ubus(path):
    """From what OpenWrt's procd.sh sends."""
    if not path.exists():
        return None, []
    service = json.loads(path.read_text().splitlines()[-1])
    triggers = [trigger[0] for trigger in service.get("triggers", [])]
    for found in service.get("instances", {}).values():
        instance = {key: value if isinstance(value, (list, dict)) else [str(value)] for key, value in found.items()}
        jail = instance.pop("jail", None)
        instance["mount"] = {mount: mode == "1" for mount, mode in (jail or {}).get("mount", {}).items()}
        if jail:
            instance["jail"] = [jail["name"], *(flag for flag in ("procfs", "ronly") if jail.get(flag))]
        for flag in ("stdout", "stderr", "no_new_privs"):
            instance[flag] = ["1" if instance.get(flag) == ["True"] else "0"]
        return instance, triggers
    return None, triggers
