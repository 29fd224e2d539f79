"""The whole job, check by check: what a program must do in the house.

Each check is a function of the house; it fails by raising, and what it returns is
a remark for the table. They run in this order, one daemon through most of them.
"""

import base64
import json
import re
import signal

import daemon
import state_file
from daemon import url_section
from house import DNS, HOST, PASSWORD, TARGETS, USER, soon
from lab import GATEWAY, WAN

IPV6 = "2a02:8071:1:2::5"
CHECKS = []


def check(title, after=None):
    """Marks a check; `after` names the one without which it cannot be made."""
    def mark(function):
        function.title, function.after = title, after
        CHECKS.append(function)
        return function
    return mark


def find(pattern, text):
    """What a pattern finds in a log."""
    match = re.search(pattern, text, re.M)
    assert match, f"{pattern!r} is not in:\n{text}"
    return match


# -- commands --------------------------------------------------------------------


@check("version, help and the exit status of a wrong call")
def version(house):
    assert house.command("--version") == (0, f"ddns-update-daemon {house.version}\n", "")
    status, out, _ = house.command("--help")
    assert status == 0 and "--once" in out, out
    status, _, err = house.command("--onec")
    assert status == 2 and "--once" in err, (status, err)


@check("`--check examples/full.toml`: the native program's bytes")
def same_description(house):
    status, out, err = house.command("--check", "examples/full.toml")
    assert (status, house.system.slashes(out)) == (0, house.described), (status, out, err)
    return f"{len(out)} bytes"


@check("`discover --json`: the gateway by SSDP, its address by SOAP and NAT-PMP")
def discover(house):
    before = house.lab.asked("searched")
    status, out, err = house.command("discover", "--json")
    assert status == 0, (status, out, err)
    gateway, = json.loads(out)
    assert gateway["location"] == f"http://{GATEWAY}:5000/rootDesc.xml", out
    assert [service["external_ipv4"]["value"] for service in gateway["services"]] == [WAN[0]], out
    assert gateway["natpmp"]["external_ipv4"] == WAN[0], out
    assert house.lab.asked("searched") > before, "no search"


def once(house, source):
    """One update with the address of one source."""
    told = len(house.plain.values())
    config = daemon.write_config(house.lab, url_section(house.plain.url), "once.toml", "once.state", ipv4=[source])
    (house.lab.dir / "once.state").unlink(missing_ok=True)
    status, _, err = house.command("--once", config)
    assert status == 0 and house.plain.values()[told:] == [WAN[0]], (status, err, house.plain.values())


@check("`--once` by SOAP alone")
def soap(house):
    once(house, "upnp")


@check("`--once` by NAT-PMP alone")
def nat_pmp(house):
    connections = len(re.findall("HTTP REQUEST", house.lab.upnpd.log()))
    once(house, house.system.by_gateway("natpmp"))
    assert len(re.findall("HTTP REQUEST", house.lab.upnpd.log())) == connections, "it was asked over HTTP"


@check("`--once` by PCP alone")
def pcp(house):
    once(house, house.system.by_gateway("pcp"))


# -- targets -----------------------------------------------------------------------


@check("a daemon updates an URL over HTTP")
def url(house):
    house.plain.requests.clear()
    # Five minutes: whatever comes sooner has been told by the gateway.
    house.start(house.config(interval=5), "-v")
    soon(lambda: house.plain.values() == [WAN[0]], "the first update")


def answered(server, address):
    """The one request of a server, once it has come."""
    soon(lambda: server.requests, "a request")
    request, = server.requests
    assert address in request.query.values(), request
    return request


@check("over TLS 1.3, with a certificate of its own (P-256)", after=url)
def tls13(house):
    answered(house.tls13, WAN[0])


@check("over TLS 1.2 (RSA)", after=url)
def tls12(house):
    answered(house.tls12, WAN[0])


@check("sends nothing to a server whose CA is not trusted", after=url)
def stranger(house):
    soon(lambda: re.search("(?:^|Z )(warning|error): stranger: .*certificate", house.running.log(), re.M), "the refusal is told")
    assert house.stranger.requests == []
    return find(r"(?:^|Z )(?:warning|error): stranger: [^ ]+: (.*?);", house.running.log())[1]


@check("Cloudflare (its stand-in, TLS 1.3), keeping ttl and comment", after=url)
def cloudflare(house):
    soon(lambda: house.api.contents("example.org") == [WAN[0]], "the record")
    record, = house.api.records.values()
    assert (record["ttl"], record["comment"]) == (300, "by hand"), record


@check("dyndns2", after=url)
def dyndns2(house):
    request = answered(house.dyndns, WAN[0])
    credentials = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    assert (request.query["hostname"], request.headers["authorization"]) == (HOST, f"Basic {credentials}"), request


def signed(house, transport):
    soon(lambda: house.held(transport) == [WAN[0]], f"the record that goes over {transport}")


@check("RFC 2136 over TCP to BIND, signed with HMAC-SHA-256", after=url)
def rfc2136_tcp(house):
    signed(house, "tcp")


@check("RFC 2136 over UDP to BIND, signed with HMAC-SHA-512", after=url)
def rfc2136_udp(house):
    signed(house, "udp")


@check("runs a program", after=url)
def program(house):
    soon(lambda: house.hook.args() == [WAN[0]], "the program's call")
    assert house.hook.calls()[0]["ipv4"] == WAN[0], house.hook.calls()


@check("writes its state", after=url)
def state(house):
    soon(lambda: house.settled(WAN[0]), "every target is in the state file")
    text = house.state()
    title, *lines = text.splitlines()
    assert title == "ddns-update-daemon state 2 certain", title
    assert f"gateway\tupnp\thttp://{GATEWAY}:5000/rootDesc.xml" in lines, lines
    targets = state_file.targets(text).values()
    refused, = [target for target in targets if not target["accepted"]]
    assert len(targets) == TARGETS + 1 and refused["name"] == "stranger", targets


# -- changes -----------------------------------------------------------------------


def follows(house, address, channel):
    """A change is seen by one channel, and updated everywhere, once."""
    before, told = house.arrived(), len(house.running.log())
    house.lab.set_wan(address)
    soon(lambda: house.settled(address), f"{address} is everywhere")
    find(f"polling, because of {channel}", house.running.log()[told:])
    holding = {"Cloudflare", *(f"BIND, {transport}" for transport in DNS)}
    expected = {name: [address] if name in holding else [*values, address] for name, values in before.items()}
    assert house.arrived() == expected, (house.arrived(), expected)


def wall(house, rule):
    """A firewall on the client with one rule; the last one falls."""
    house.lab.nft(house.lab.client, "table inet wall\ndelete table inet wall\n"
                  f"table inet wall {{ chain input {{ type filter hook input priority 0; {rule}; }}; }}")


@check("a change, told by an event (GENA) alone: all updated again, once", after=state)
def event(house):
    soon(lambda: "Callback '<http" in house.lab.upnpd.log(), "it subscribes")
    wall(house, "udp dport { 1900, 5350 } ip daddr 224.0.0.0/4 drop")
    follows(house, WAN[1], "an event of the gateway")


@check("a change, told by an announcement (NAT-PMP) alone: all updated again, once", after=state)
def announcement(house):
    wall(house, "iifname lan0 tcp flags & (syn | ack) == syn drop")
    follows(house, WAN[2], "an announcement of the gateway")


@check("SIGTERM ends it; started again it sends nothing", after=state)
def restart(house):
    before, last = house.arrived(), house.lab.wan
    status = house.close_process()
    assert status in house.system.ended, status
    running = house.start(house.config(), "-v")
    # What the first poll leads to is decided before the second.
    soon(lambda: len(re.findall("(?:^|Z )upnp: IPv4 ", running.log(), re.M)) >= 3, "three looks")
    assert house.arrived() == before and house.settled(last), (house.arrived(), before)
    house.close_process()


# -- this host ------------------------------------------------------------------------


@check("addresses of this host, IPv4 and IPv6, and a change of them")
def own_addresses(house):
    lab, hook = house.lab, house.system.hook(house.lab, "own")
    lab.sysctl(lab.client, "net.ipv6.conf.lan0.disable_ipv6=0", "net.ipv6.conf.lan0.accept_ra=0")
    house.system.own_address(lab, WAN[3])
    lab.ip("cl", f"addr add {IPV6}/64 dev lan0 nodad", "route add default via 2a02:8071:1:2::1 dev lan0")
    sources = house.system.own_sources
    house.start(daemon.write_config(lab, hook.section("{ipv4}", "{ipv6}"), "own.toml", "own.state", **sources), "-v")
    soon(lambda: hook.args() == [f"{WAN[3]} {IPV6}"], "this host's addresses")
    house.system.own_address(lab, WAN[4], WAN[3])
    soon(lambda: hook.args()[1:] == [f"{WAN[4]} {IPV6}"], "this host's new address")
    notices = house.running.log().count("polling, because of the kernel")
    assert bool(notices) == house.system.notices, house.running.log()
    house.close_process()
    return "by the kernel's notice" if notices else "by the next look"
