"""Addresses that the host makes itself of a router's prefix (SLAAC), by the real
radvd: which of them is published, and when, as the prefix changes.

The host has privacy extensions, so each prefix gives it two addresses: a stable
one, which is for others, and a temporary one, which nobody should know. The
prefixes look global and exist only in here.
"""

import ipaddress
import json
import queue
import signal
import socket
import struct
import threading
import time

from daemon import scenario, start, url_section, write_config
from lab import enter, run, wait_for
from servers import provider

PREFIXES = [f"2a01:db7:{number}::/64" for number in (1, 2, 3)]
SUFFIX = "::1:2:3:4"
LONG = 25
# The timer of radvd is coarse; a host asks by itself anyway.
RADVD_CONF = """
interface lan0 {{
  AdvSendAdvert on;
  MinRtrAdvInterval 3;
  MaxRtrAdvInterval 4;
  {prefixes}
}};
"""
PREFIX_CONF = "prefix {prefix} {{ AdvOnLink on; AdvAutonomous on; AdvPreferredLifetime {preferred}; AdvValidLifetime {valid}; }};"


class Router:
    """radvd in the gateway."""

    def __init__(self, lab):
        self.lab, self.conf, self.process = lab, lab.dir / "radvd.conf", None
        lab.sysctl(lab.gateway, "net.ipv6.conf.lan0.disable_ipv6=0", "net.ipv6.conf.all.forwarding=1")
        wait_for(lambda: usable(addresses(lab.gateway)), "the gateway's link-local address", LONG)

    def announce(self, *prefixes, over=()):
        """Gives out `prefixes`, and takes those in `over` back; when that was."""
        parts = [PREFIX_CONF.format(prefix=prefix, preferred=3600, valid=7200) for prefix in prefixes]
        parts += [PREFIX_CONF.format(prefix=prefix, preferred=0, valid=0) for prefix in over]
        self.conf.write_text(RADVD_CONF.format(prefixes="\n  ".join(parts)))
        at = time.monotonic()
        if self.process:
            self.process.send(signal.SIGHUP)
        else:
            command = ["radvd", "-n", "-m", "stderr", "-C", self.conf, "-p", self.lab.dir / "radvd.pid"]
            self.process = self.lab.start(self.lab.gateway, command, "radvd")
        return at


def addresses(namespace):
    """The IPv6 addresses at its place in the LAN, as `ip` tells them."""
    links = json.loads(run("ip", "-n", namespace, "-j", "-6", "addr", "show", "dev", "lan0"))
    return [entry for link in links for entry in link.get("addr_info", [])]


def usable(entries):
    return [entry for entry in entries if not entry.get("tentative") and not entry.get("deprecated")]


def within(lab, prefix, temporary=False):
    """The host's stable addresses of a prefix, or its temporary ones."""
    network = ipaddress.IPv6Network(prefix)
    return [entry for entry in addresses(lab.client)
            if ipaddress.IPv6Address(entry["local"]) in network and bool(entry.get("temporary")) == temporary]


def with_suffix(prefix):
    return str(ipaddress.IPv6Address(int(ipaddress.IPv6Network(prefix)[0]) | int(ipaddress.IPv6Address(SUFFIX))))


class House:
    """A host with privacy extensions, a router and two targets."""

    def __init__(self, lab):
        self.lab, self.router = lab, Router(lab)
        lab.sysctl(lab.client, "net.ipv6.conf.lan0.accept_ra=2", "net.ipv6.conf.lan0.use_tempaddr=2",
                   # A stable address that looks like a temporary one (RFC 7217).
                   "net.ipv6.conf.lan0.stable_secret=2a01::5:6:7:8", "net.ipv6.conf.lan0.disable_ipv6=0")
        self.own, self.suffixed = provider(lab), provider(lab)
        self.expected, self.prefixes = [], []

    def start(self):
        self.first = time.monotonic()
        sections = url_section(self.own.url, value="ipv6")
        sections += url_section(self.suffixed.url, f'ipv6_suffix = "{SUFFIX}"', value="ipv6")
        self.daemon = start(self.lab, write_config(self.lab, sections, interval=5, ipv6=["interface"]), "-v")

    def follow(self, prefix, announced):
        """Waits until the address of a prefix is published; what it took."""
        unchecked = 0

        def alone():
            nonlocal unchecked
            at = time.monotonic()
            entries = within(self.lab, prefix)
            if any(entry.get("tentative") for entry in entries):
                unchecked = at
            others = [entry for other in self.prefixes if other != prefix for entry in usable(within(self.lab, other))]
            return [] if others else [(entry["local"], time.monotonic()) for entry in usable(entries)]

        (address, since), = wait_for(alone, f"{prefix} gives the only good stable address", LONG)
        self.expected.append(address)
        self.prefixes.append(prefix)
        for url, value in ((self.own, address), (self.suffixed, with_suffix(prefix))):
            wait_for(lambda: value in url.values()[len(self.expected) - 1:], f"{value} is sent", LONG)
        sent = [self.own.requests[-1].at, self.suffixed.requests[-1].at]
        assert min(sent) > unchecked, f"sent {unchecked - min(sent):.3f} s before the kernel had checked it"
        self.settle(prefix)
        print(f"{prefix}: the one to use {since - announced:.2f} s after it is announced, sent to both "
              f"{max(0.0, max(sent) - since) * 1000:.0f} ms later")

    def settle(self, prefix):
        """Nothing more is sent when the temporary address is usable, too."""
        wait_for(lambda: usable(within(self.lab, prefix, temporary=True)), f"a temporary address in {prefix}", LONG)
        time.sleep(3)
        self.check()

    def hear_once_more(self, prefix):
        """Waits for the router's next word, at least ten seconds after its first: who speaks
        for the first time now has not answered the same question."""
        def left():
            return min(entry["preferred_life_time"] for entry in within(self.lab, prefix))

        wait_for(lambda: time.monotonic() > self.first + 11 and left() < 3599, "a silence of the router", LONG)
        wait_for(lambda: left() >= 3599, "the router's next word", LONG)

    def check(self):
        told = [self.own.values(), self.suffixed.values()]
        assert told == [self.expected, [with_suffix(prefix) for prefix in self.prefixes]], (told, self.expected)


@scenario(upnp=False, needs="radvd")
def the_stable_address_follows_the_prefix(lab):
    """Renumbered as providers do it: the old prefix ends as the new one comes."""
    house = House(lab)
    first, second, third = PREFIXES
    announced = house.router.announce(first)
    house.start()
    house.follow(first, announced)
    house.follow(second, house.router.announce(second, over=[first]))
    house.follow(third, house.router.announce(third, over=[second]))
    # Its old address is still there, and need not be checked again.
    house.follow(first, house.router.announce(first, over=[third]))


@scenario(upnp=False, needs="radvd")
def a_second_prefix_changes_nothing_while_the_first_is_good(lab):
    """And then only the kernel's word leads to it: there is always an address, so
    that nothing makes the daemon look sooner than in five minutes."""
    house = House(lab)
    first, second = PREFIXES[:2]
    announced = house.router.announce(first)
    house.start()
    house.follow(first, announced)
    house.router.announce(first, second)
    wait_for(lambda: usable(within(lab, second)), f"a stable address in {second}", LONG)
    house.settle(second)
    house.follow(second, house.router.announce(second, over=[first]))


@scenario(upnp=False, needs="radvd")
def a_prefix_that_ends_without_another_is_not_replaced(lab):
    """Nothing is sent for an address that is over; the next one is sent once."""
    house = House(lab)
    first, second = PREFIXES[:2]
    announced = house.router.announce(first)
    house.start()
    house.follow(first, announced)
    house.router.announce(over=[first])
    wait_for(lambda: not usable(within(lab, first) + within(lab, first, temporary=True)), f"{first} is over", LONG)
    time.sleep(3)
    house.check()
    house.follow(second, house.router.announce(second, over=[first]))


# What a forger says: a router for half an hour, to be preferred, and a prefix for ever.
FOREVER = 0xFFFFFFFF
HALF_AN_HOUR, HIGH = 1800, 0x08


class Forger:
    """A host in the LAN that sends router advertisements, from any address."""

    def __init__(self, lab):
        namespace = lab.add_host("192.168.77.66")
        found = queue.Queue()

        def open_there():
            enter(namespace)
            forger = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
            forger.bind(("lan0", 0))
            found.put(forger)

        threading.Thread(target=open_there).start()
        self.socket = found.get()
        self.router = next(entry["local"] for entry in addresses(lab.gateway) if entry["scope"] == "link")

    def say(self, *prefixes, source="fe80::66", lifetime=HALF_AN_HOUR):
        """One advertisement; each prefix with its valid and its preferred lifetime (RFC 4861, section 4.2)."""
        data = struct.pack("!BBHBBHII", 134, 0, 0, 64, HIGH, lifetime, 0, 0)
        for prefix, valid, preferred in prefixes:
            network = ipaddress.IPv6Network(prefix)[0].packed
            data += struct.pack("!BBBBIII16s", 3, 4, 64, 0xC0, valid, preferred, 0, network)
        ends = ipaddress.IPv6Address(source).packed + ipaddress.IPv6Address("ff02::1").packed
        words = struct.unpack(f"!{20 + len(data) // 2}H", ends + struct.pack("!II", len(data), 58) + data)
        total = sum(words)
        total = (total & 0xFFFF) + (total >> 16)
        data = data[:2] + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + data[4:]
        head = bytes.fromhex("333300000001" "020000000066" "86dd")
        self.socket.send(head + struct.pack("!IHBB", 0x60000000, len(data), 58, 255) + ends + data)


@scenario(upnp=False, needs="radvd")
def a_forger_of_advertisements_moves_nothing_while_the_routers_prefix_is_good(lab):
    """No router any more, a second one that is to be preferred, a prefix for ever, a unique
    local one, one that is over: the address of the prefix that the router goes on to renew
    stays. It is published, too, where nothing was yet."""
    house, (first, forged, third) = House(lab), PREFIXES
    announced = house.router.announce(first)
    house.start()
    house.follow(first, announced)
    forger = Forger(lab)
    # In the router's name: it is none any more, and its prefix is over (kept for 2 h, RFC
    # 4862, section 5.5.3), until it speaks again.
    def deprecated():
        forger.say((first, 0, 0), source=forger.router, lifetime=0)
        return not usable(within(lab, first))

    wait_for(deprecated, "the router's prefix is deprecated", LONG)
    wait_for(lambda: usable(within(lab, first)), "the router's own word", LONG)
    house.hear_once_more(first)
    forger.say((forged, FOREVER, FOREVER), ("fd00:6::/64", FOREVER, FOREVER), (third, 0, 0))
    wait_for(lambda: usable(within(lab, forged)) and usable(within(lab, "fd00:6::/64")), "the forged prefixes", LONG)
    house.settle(first)
    house.hear_once_more(first)
    start(lab, write_config(lab, url_section(house.own.url, value="ipv6"), "new.toml", "new", ipv6=["interface"]))
    wait_for(lambda: len(house.own.requests) > 1, "a new daemon's first word", LONG)
    assert house.own.values() == house.expected * 2, house.own.values()


@scenario(upnp=False, needs="radvd")
def whoever_deprecates_the_routers_prefix_is_followed_until_the_router_speaks(lab):
    """As SECURITY says: the kernel believes any host here, and the connections of this
    host move as what is published does; with the router's next word it comes back."""
    house, (first, forged) = House(lab), PREFIXES[:2]
    announced = house.router.announce(first)
    house.start()
    house.follow(first, announced)
    house.hear_once_more(first)
    forger = Forger(lab)

    def moved():
        told = house.own.values()[1:]
        if not told:
            forger.say((forged, FOREVER, FOREVER), (first, 0, 0))
        return told

    told = wait_for(moved, "another address is published", LONG)
    assert ipaddress.IPv6Address(told[0]) in ipaddress.IPv6Network(forged), told
    wait_for(lambda: house.own.values()[2:][-1:] == house.expected, "the router has spoken again", LONG)
