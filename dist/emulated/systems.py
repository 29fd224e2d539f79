"""What a program believes to run on, as far as the checks must know."""

import json
import os
import signal
import socket
import sys
from pathlib import Path

import daemon
import files
from lab import GATEWAY, run, wait_for

WINESERVER = Path("/usr/lib/wine/wineserver")


class Linux:
    """Linux, emulated or not: the kernel is that of this machine."""

    environment = {}
    # The exit status after SIGTERM, which is not caught.
    ended = (-signal.SIGTERM,)
    notices = True
    # Five minutes: whatever comes sooner has been told by the kernel.
    own_sources = {"interval": 5, "ipv4": ["interface:lan0"], "ipv6": ["interface"]}
    hook = daemon.Hook

    @staticmethod
    def slashes(text):
        """A text with the folders of paths parted as they are here."""
        return text

    @staticmethod
    def by_gateway(source):
        """A source that asks the default gateway without a search."""
        return source

    @staticmethod
    def own_address(lab, address, old=None):
        """Gives the client an address instead of its old one."""
        lab.ip("cl", f"addr add {address}/32 dev lan0", *([f"addr del {old}/32 dev lan0"] if old else []))


class ForeignOrder(Linux):
    """Linux on an emulated CPU of the other byte order.

    The kernel writes addresses into the table of routes in its own byte order, and
    the emulator corrects that under the name /proc/net/route alone. So the program
    gets a table as a kernel of its own kind would write it: the emulator looks for
    a file below $QEMU_LD_PREFIX first.
    """

    def __init__(self, lab):
        self.environment = {"QEMU_LD_PREFIX": str(lab.dir / "prefix")}
        table = run("nsenter", f"--net=/run/netns/{lab.client}", "cat", "/proc/net/route")
        heading, *lines = table.splitlines()
        for name in ("net", "self/net"):
            path = lab.dir / "prefix" / "proc" / name / "route"
            path.parent.mkdir(parents=True)
            path.write_text("\n".join([heading, *map(self._turned, lines)]) + "\n")

    @staticmethod
    def _turned(line):
        """A route with its destination, gateway and mask in the other byte order."""
        columns = line.split()
        for index in (1, 2, 7):
            columns[index] = bytes.fromhex(columns[index])[::-1].hex().upper()
        return "\t".join(columns)


class WindowsHook:
    """A program target that writes down how it was called, by way of cmd.exe."""

    def __init__(self, lab, name="hook"):
        self.calls_path = lab.dir / f"{name}.calls"

    def section(self, *arguments):
        path = "Z:" + str(self.calls_path).replace("/", "\\")
        words = ["cmd.exe", "/c", "echo", "%DDNS_IPV4%", *arguments, f">>{path}"]
        return f"[[runs]]\ncmd = {json.dumps(words)}\n"

    def calls(self):
        if not self.calls_path.exists():
            return []
        lines = [line.split(maxsplit=1) for line in self.calls_path.read_text().splitlines()]
        return [{"ipv4": ipv4, "args": args.strip()} for ipv4, args in lines]

    def args(self):
        return [call["args"] for call in self.calls()]


class Windows:
    """Wine, with a prefix that dist/test has made ($WINEPREFIX)."""

    ended = (-signal.SIGTERM,)
    notices = False
    own_sources = {"ipv4": ["interface"], "ipv6": ["interface"]}
    hook = WindowsHook

    def __init__(self, lab):
        self.environment = {name: os.environ[name] for name in ("WINEPREFIX", "WINEDEBUG")}
        # It owns the sockets of all its programs, so it belongs into the client.
        env = {"PATH": os.environ["PATH"], "HOME": str(lab.dir), **self.environment}
        server = lab.start(lab.client, [WINESERVER, "-f", "-p"], "wineserver", env=env)
        wait_for(lambda: server.alive() and self._serves(), "wineserver listens")

    def _serves(self):
        """Whether it listens; Debian's wine has the name of its folder in the prefix."""
        name = Path(self.environment["WINEPREFIX"], "wineserver")
        folder = Path("/tmp", name.read_text().strip()) if name.exists() else name
        for path in folder.glob("server-*/socket"):
            with socket.socket(socket.AF_UNIX) as stream:
                return stream.connect_ex(str(path)) == 0
        return False

    @staticmethod
    def slashes(text):
        return text.replace("\\\\", "/")

    @staticmethod
    def by_gateway(source):
        # The default route is not told there, and must be named.
        return f"{source}:{GATEWAY}"

    @staticmethod
    def own_address(lab, address, old=None):
        """Gives the client an address that is used towards the internet."""
        lab.ip("cl", f"addr add {address}/32 dev lan0", f"route replace default via {GATEWAY} dev lan0 src {address}",
               *([f"addr del {old}/32 dev lan0"] if old else []))


def of(target, lab):
    """What the program for a target believes to run on."""
    if target == "windows":
        return Windows(lab)
    order = files.MACHINES[target][1]
    return Linux() if order == sys.byteorder else ForeignOrder(lab)
