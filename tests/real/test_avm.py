"""A router by AVM: IPv6 by actions of its own, changes by events.

Its stand-in is in fake_gateway.py. The daemon looks every five minutes, so what
arrives sooner came by an event.
"""

import ipaddress
import time

from daemon import scenario, start, url_section, write_config
from fake_gateway import AvmGateway
from lab import GATEWAY, WAN, wait_for
from servers import provider

PREFIXES = [f"2a01:db7:{number:x}00::" for number in range(1, 6)]
SUFFIXES = ["::10:1", "::20:2"]
PREFIX_ACTION = "X_AVM_DE_GetIPv6Prefix"
LONG = 25
# The daemon follows three hints at once and then one in two seconds.
APART = 4.2


def host(prefix, suffix):
    return str(ipaddress.IPv6Address(int(ipaddress.IPv6Address(prefix)) | int(ipaddress.IPv6Address(suffix))))


def line(prefix):
    """What the router says of IPv6: its own address is outside what it delegates."""
    return {"ipv6": host(prefix.replace("2a01", "2a02"), "::1"), "prefix": prefix}


class House:
    """A router, and targets for its IPv4 address, its IPv6 address and two hosts."""

    def __init__(self, lab, ssdp=False, **values):
        self.lab, self.router = lab, AvmGateway(lab, lab.gateway, GATEWAY, ssdp, external=WAN[0], **values)
        self.targets = [provider(lab) for _ in range(4)]
        ipv4, ipv6, *hosts = self.targets
        sections = url_section(ipv4.url) + url_section(ipv6.url, value="ipv6")
        for target, suffix in zip(hosts, SUFFIXES):
            sections += url_section(target.url, f'ipv6_suffix = "{suffix}"', value="ipv6")
        top = {} if ssdp else {"router_ip": self.router.description}
        config = write_config(lab, sections, interval=5, ipv4=["upnp"], ipv6=["upnp"], **top)
        self.daemon = start(lab, config, "-v")

    def values(self):
        return [target.values() for target in self.targets]

    def reach(self, ipv4, prefixes, since=None):
        """Waits until each target has had these values, one after the other."""
        own = [line(prefix)["ipv6"] for prefix in prefixes]
        hosts = [[host(prefix, suffix) for prefix in prefixes] for suffix in SUFFIXES]
        expected = [ipv4, own, *hosts]
        wait_for(lambda: all(len(told) >= len(due) for told, due in zip(self.values(), expected)), f"all of {expected}", LONG)
        assert self.values() == expected, (self.values(), expected)
        if since is None:
            return None
        return [max(0.0, (target.requests[-1].at - since) * 1000) for target in self.targets if target.requests]

    def listens(self):
        """Waits until its subscription stands and its first event has been taken."""
        wait_for(lambda: self.router.soap.events, "the first event is taken", LONG)
        time.sleep(APART)

    def looks(self, count=2):
        """Waits for so many more looks; a target had its time to act on all but the last."""
        before = self.router.asked("GetExternalIPAddress")
        wait_for(lambda: self.router.asked("GetExternalIPAddress") >= before + count, f"{count} looks", LONG)


@scenario(upnp=False)
def all_ipv6_targets_follow_a_prefix_at_once(lab):
    house = House(lab, **line(PREFIXES[0]))
    house.reach(WAN[:1], PREFIXES[:1])
    house.listens()
    assert len(house.router.soap.subscribers) == 1
    for count in range(2, len(PREFIXES) + 1):
        before = house.router.asked(PREFIX_ACTION)
        at = house.router.change(**line(PREFIXES[count - 1]))
        _, *found = house.reach(WAN[:1], PREFIXES[:count], at)
        time.sleep(APART)
        assert house.router.asked(PREFIX_ACTION) == before + 1, "one look sees it all"
        print(f"prefix {count}: sent after {', '.join(f'{took:.0f}' for took in found)} ms")
    house.reach(WAN[:1], PREFIXES)
    # Both families in one event: one look, and each target has its value once.
    at = house.router.change(external=WAN[1], **line(PREFIXES[0]))
    found = house.reach(WAN[:2], PREFIXES + PREFIXES[:1], at)
    time.sleep(APART)
    house.reach(WAN[:2], PREFIXES + PREFIXES[:1])
    print(f"everything new: sent after {', '.join(f'{took:.0f}' for took in found)} ms")


@scenario(upnp=False)
def an_ipv6_line_that_is_not_valid_is_not_published(lab):
    """From the start, and when it ends; IPv4 goes on. Found by SSDP."""
    house = House(lab, ssdp=True, valid=0, preferred=0, **line(PREFIXES[0]))
    house.reach(WAN[:1], [])
    house.listens()
    assert house.router.asked(PREFIX_ACTION) > 0 and house.router.ssdp.searches > 0
    at = house.router.change(valid=7200, preferred=3600)
    found = house.reach(WAN[:1], PREFIXES[:1], at)
    print(f"valid at last: sent after {', '.join(f'{took:.0f}' for took in found[1:])} ms")
    # It ends: by its lifetime, without an address, with the unspecified one.
    ends = [line(PREFIXES[1]), {"ipv6": "", "prefix": ""}, {"ipv6": "::", "prefix": "::"}]
    for count, gone in enumerate(ends, 2):
        time.sleep(APART)
        at = house.router.change(external=WAN[count - 1], valid=0, preferred=0, **gone)
        took = house.reach(WAN[:count], PREFIXES[:1], at)[0]
        time.sleep(APART)
        house.reach(WAN[:count], PREFIXES[:1])
        print(f"over, {gone['prefix'] or 'empty'}: IPv4 sent after {took:.0f} ms, nothing else")
    # The same address again is no news; another one is.
    house.router.change(valid=7200, preferred=3600, **line(PREFIXES[0]))
    house.looks(1)
    time.sleep(APART)
    house.reach(WAN[:4], PREFIXES[:1])
    house.router.change(**line(PREFIXES[2]))
    house.reach(WAN[:4], [PREFIXES[0], PREFIXES[2]])


@scenario(upnp=False)
def ipv6_actions_that_fail_leave_ipv4_working(lab):
    house = House(lab, ipv6_fault=(501, "Action Failed"), **line(PREFIXES[0]))
    house.reach(WAN[:1], [])
    house.listens()
    at = house.router.change(external=WAN[1])
    took = house.reach(WAN[:2], [], at)[0]
    print(f"IPv6 fails: IPv4 sent after {took:.0f} ms")
    time.sleep(APART)
    house.router.change(ipv6_fault=None)
    house.reach(WAN[:2], PREFIXES[:1])
    time.sleep(APART)
    # What is published stays while they fail again.
    house.router.change(ipv6_fault=(501, "Action Failed"), external=WAN[2], **line(PREFIXES[1]))
    house.reach(WAN[:3], PREFIXES[:1])
    time.sleep(APART)
    house.router.change(ipv6_fault=None)
    house.reach(WAN[:3], PREFIXES[:2])


@scenario(upnp=False)
def a_router_without_ipv6_actions_is_asked_for_ipv4(lab):
    house = House(lab, ipv6_fault=(401, "Invalid Action"), **line(PREFIXES[0]))
    for count in (1, 2, 3):
        if count > 1:
            time.sleep(APART)
            house.router.change(external=WAN[count - 1])
        house.reach(WAN[:count], [])
        house.listens()
    print(f"{house.router.asked(PREFIX_ACTION)} questions for the prefix, "
          f"{house.router.asked('GetExternalIPAddress')} for the IPv4 address")


@scenario(upnp=False)
def of_liars_a_stranger_is_not_heard_and_the_router_only_with_global_addresses(lab):
    """IPv4, IPv6 and the prefix: a host that answers searches like this router, then a
    router that tells what nobody can reach."""
    stranger = "192.168.77.66"
    lies = AvmGateway(lab, lab.add_host(stranger), stranger, ssdp=True, external=WAN[4], **line(PREFIXES[4]))
    house = House(lab, ssdp=True, **line(PREFIXES[0]))
    house.reach(WAN[:1], PREFIXES[:1])
    house.listens()
    for address, prefix in [("10.0.0.1", "fd00:6::"), ("192.0.2.1", "2001:db8::"), ("100.64.0.1", "2002:102:304::")]:
        house.router.change(external=address, ipv6=host(prefix, "::1"), prefix=prefix)
        house.looks()
        time.sleep(APART)
        house.reach(WAN[:1], PREFIXES[:1])
    house.router.change(external=WAN[1], **line(PREFIXES[1]))
    house.reach(WAN[:2], PREFIXES[:2])
    assert lies.ssdp.searches and not lies.soap.actions, (lies.ssdp.searches, lies.soap.actions)
