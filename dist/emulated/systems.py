"""What a program believes to run on, as far as the checks must know."""

import json
import os
import signal
import sys
from pathlib import Path

import daemon
import files
from lab import GATEWAY, wait_for

WINESERVER = Path("/usr/lib/wine/wineserver")


class Linux:
    """Linux, emulated or not: the kernel is that of this machine."""

    environment = {}
    # The exit status after SIGTERM, which is not caught.
    ended = (-signal.SIGTERM,)
    notices = True
    # Keys of every configuration.
    keys = {}
    # Five minutes: whatever comes sooner has been told by the kernel.
    own_sources = {"interval": 5, "ipv4": ["interface:lan0"], "ipv6": ["interface"]}
    hook = daemon.Hook

    @staticmethod
    def own_address(lab, address, old=None):
        """Gives the client an address instead of its old one."""
        lab.ip("cl", f"addr add {address}/32 dev lan0", *([f"addr del {old}/32 dev lan0"] if old else []))


class ForeignOrder(Linux):
    """Linux on an emulated CPU of the other byte order.

    The kernel writes the gateway into /proc/net/route in its own byte order, and
    the emulator leaves it so: to the program 192.168.77.1 reads 1.77.168.192, which
    on a real machine of its kind it would not. So it is told the router's address.
    """

    keys = {"router_ip": GATEWAY}


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
    keys = {}
    own_sources = {"ipv4": ["interface"], "ipv6": ["interface"]}
    hook = WindowsHook

    def __init__(self, lab):
        self.environment = {name: os.environ[name] for name in ("WINEPREFIX", "WINEDEBUG")}
        # It owns the sockets of all its programs, so it belongs into the client.
        env = {"PATH": os.environ["PATH"], **self.environment}
        server = lab.start(lab.client, [WINESERVER, "-f", "-p"], "wineserver", env=env)
        wait_for(lambda: server.alive() and self._serves(), "wineserver listens")

    def _serves(self):
        """Whether its socket is there, named after the prefix's device and inode."""
        prefix = os.stat(self.environment["WINEPREFIX"])
        return Path(f"/tmp/.wine-{os.getuid()}/server-{prefix.st_dev:x}-{prefix.st_ino:x}/socket").exists()

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
    return Linux() if order == sys.byteorder else ForeignOrder()
