"""Gateways that are away, restarted, doubled, forged, or have nothing to tell."""

import json
import signal

from daemon import Hook, command, scenario, start, url_section, wait_for_answers, write_config
from fake_gateway import FakeGateway
from lab import CLIENT, FIREWALL, GATEWAY, WAN, wait_for
from servers import provider

ROGUE, SECOND = "192.168.77.66", "192.168.77.3"
FORGED = "6.6.6.6"


def started(lab, **top):
    """A daemon with one URL target, after its first update."""
    url = provider(lab)
    daemon = start(lab, write_config(lab, url_section(url.url), **top))
    wait_for(lambda: url.values() == [WAN[0]], "the first update")
    wait_for_answers(daemon, WAN[0])
    return url, daemon


@scenario(upnp=False)
def a_gateway_that_appears_later_is_found(lab):
    url = provider(lab)
    daemon = start(lab, write_config(lab, url_section(url.url)))
    lab.wait_for_polls(3)
    assert daemon.alive() and url.values() == []
    lab.start_upnpd()
    wait_for(lambda: url.values() == [WAN[0]], "the gateway is found")


@scenario()
def a_reboot_to_another_port_is_followed(lab):
    url, daemon = started(lab)
    lab.upnpd.kill()
    lab.wait_for_polls(2)
    lab.start_upnpd(port=5055)
    lab.set_wan(WAN[1])
    wait_for(lambda: WAN[1] in url.values(), "the rebooted gateway is asked", 30)
    lab.wait_for_polls(3)
    assert daemon.alive() and url.values() == WAN[:2], url.values()


@scenario()
def a_gateway_that_hangs_is_waited_for(lab):
    url, daemon = started(lab)
    lab.upnpd.send(signal.SIGSTOP)
    lab.set_wan(WAN[1])
    lab.wait_for_polls(4)
    assert url.values() == WAN[:1], url.values()
    lab.upnpd.send(signal.SIGCONT)
    wait_for(lambda: WAN[1] in url.values(), "the gateway is asked again", 30)
    assert daemon.alive() and url.values() == WAN[:2], url.values()


@scenario()
def a_lan_cable_that_is_out_for_a_while_changes_nothing(lab):
    url, daemon = started(lab)
    lab.wait_for_polls(2)
    told = len(daemon.log())
    lab.ip("gw", "link set p2 down")
    wait_for(lambda: "upnp" in daemon.log()[told:], "the loss is spoken of", 60)
    lab.ip("gw", "link set p2 up")
    lab.wait_for_polls(3)
    assert url.values() == WAN[:1]
    lab.set_wan(WAN[1])
    wait_for(lambda: url.values() == WAN[:2], "the new address", 30)


@scenario()
def a_line_that_goes_down_and_up_sends_no_empty_address(lab):
    hook = Hook(lab)
    url = provider(lab)
    daemon = start(lab, write_config(lab, url_section(url.url) + hook.section("{ipv4}")))
    wait_for_answers(daemon, WAN[0], 2)
    for address in WAN[1:3]:
        lab.set_wan(None)
        lab.wait_for_polls(3)
        lab.set_wan(address)
        wait_for_answers(daemon, address, 2)
    assert url.values() == WAN[:3] and hook.args() == WAN[:3], (url.values(), hook.args())


@scenario(upnp=False)
def addresses_that_are_not_public_are_never_published(lab):
    url = provider(lab)
    gateway = FakeGateway(lab, lab.gateway, GATEWAY, "100.72.3.9", natpmp="100.72.3.9")
    daemon = start(lab, write_config(lab, url_section(url.url)))
    for address in ("100.72.3.9", "192.168.1.5", "10.0.0.1", "0.0.0.0", "", "127.0.0.1", "not an address", "192.0.2.7"):
        gateway.tell(address, natpmp=address if address.count(".") == 3 else "0.0.0.0")
        before = gateway.soap.answered
        wait_for(lambda: gateway.soap.answered >= before + 2, f"{address!r} is told twice", 30)
    assert url.values() == [], url.values()
    assert "100.72.3.9" in daemon.log() and "6598" in daemon.log(), "the reason is told"
    gateway.tell(WAN[4], natpmp=WAN[4])
    wait_for(lambda: url.values() == [WAN[4]], "the public address")


@scenario(upnp=False)
def a_private_address_is_published_where_that_is_wanted(lab):
    url = provider(lab)
    FakeGateway(lab, lab.gateway, GATEWAY, "10.1.2.3")
    start(lab, write_config(lab, url_section(url.url, "allow_private = true")))
    wait_for(lambda: url.values() == ["10.1.2.3"], "the private address")


@scenario()
def nat_pmp_alone_is_enough(lab):
    url, _ = started(lab, ipv4=["natpmp"])
    lab.set_wan(None)
    lab.wait_for_polls(2)
    lab.set_wan(WAN[1])
    wait_for(lambda: url.values() == WAN[:2], "the new address", 30)


@scenario()
def a_stranger_who_answers_first_is_not_believed(lab):
    rogue = FakeGateway(lab, lab.add_host(ROGUE), ROGUE, FORGED)
    url, daemon = started(lab, ipv4=["upnp"])
    lab.set_wan(WAN[1])
    wait_for(lambda: url.values() == WAN[:2], "the true address")
    wait_for_answers(daemon, WAN[1])
    # The real one reboots: the stranger's chance.
    lab.upnpd.kill()
    before = rogue.ssdp.searches
    wait_for(lambda: rogue.ssdp.searches >= before + 8, "the daemon searches", 60)
    lab.start_upnpd()
    lab.set_wan(WAN[2])
    wait_for(lambda: url.values() == WAN[:3], "the true address again", 30)


@scenario(upnp=False)
def a_stranger_alone_is_not_believed_either(lab):
    rogue = FakeGateway(lab, lab.add_host(ROGUE), ROGUE, FORGED)
    url = provider(lab)
    start(lab, write_config(lab, url_section(url.url), ipv4=["upnp"]))
    wait_for(lambda: rogue.ssdp.searches >= 8, "the daemon searches", 60)
    assert url.values() == []
    lab.start_upnpd()
    wait_for(lambda: url.values() == [WAN[0]], "the true address", 30)


def second_gateway(lab):
    """A second real gateway in the LAN, with a line of its own."""
    name = lab.add_host(SECOND)
    lab.nft(name, FIREWALL)
    lab.ip(f"h{SECOND.rsplit('.', 1)[1]}", f"link add wan0 type veth peer name wan1 netns {lab.provider}",
           "link set wan0 up", f"addr add {WAN[4]}/32 dev wan0", "route add default dev wan0")
    return lab.start_upnpd(namespace=name)


@scenario()
def of_two_gateways_the_default_route_decides(lab):
    second_gateway(lab)
    url, _ = started(lab)
    lab.set_wan(WAN[1])
    wait_for(lambda: url.values() == WAN[:2], "the default gateway's new address")
    # While it is away, the other one does not take its place.
    lab.upnpd.kill()
    lab.wait_for_polls(20)
    assert url.values() == WAN[:2], url.values()


@scenario()
def of_two_gateways_the_configured_one_is_asked(lab):
    second_gateway(lab)
    url = provider(lab)
    start(lab, write_config(lab, url_section(url.url), router_ip=SECOND))
    wait_for(lambda: url.values() == [WAN[4]], "the configured gateway's address")


@scenario()
def both_gateways_feed_their_own_targets(lab):
    second_gateway(lab)
    first, second = provider(lab), provider(lab)
    sections = url_section(first.url) + url_section(second.url, f'ipv4 = ["upnp:{SECOND}"]')
    start(lab, write_config(lab, sections))
    wait_for(lambda: (first.values(), second.values()) == ([WAN[0]], [WAN[4]]), "each target has its line's address")


@scenario()
def a_description_url_needs_no_search(lab):
    url, _ = started(lab, router_ip=f"http://{GATEWAY}:5000/rootDesc.xml", ipv4=["upnp"])
    lab.set_wan(WAN[1])
    wait_for(lambda: url.values() == WAN[:2], "the new address")
    assert lab.asked("searched") == 0


@scenario(upnp=False)
def igd_version_1_is_understood(lab):
    lab.start_upnpd(igd1=True)
    url, _ = started(lab, ipv4=["upnp"])
    lab.set_wan(WAN[1])
    wait_for(lambda: url.values() == WAN[:2], "the new address")


@scenario()
def minissdpd_beside_it_does_no_harm(lab):
    lab.start(lab.client, ["minissdpd", "-d", "-i", "lan0", "-s", lab.dir / "minissdpd.sock",
                           "-p", lab.dir / "minissdpd.pid"], "minissdpd")
    wait_for(lambda: (lab.dir / "minissdpd.sock").exists(), "minissdpd runs")
    url, _ = started(lab, ipv4=["upnp"])
    lab.set_wan(WAN[1])
    wait_for(lambda: url.values() == WAN[:2], "the new address")


@scenario()
def loopback_watches_this_host_and_sends_no_packet(lab):
    hook = Hook(lab)
    lab.ip("cl", f"addr replace {WAN[2]}/32 dev lan0")
    lab.ip("cl", f"route replace default via {GATEWAY} dev lan0 src {WAN[2]}")
    capture = lab.dir / "capture.pcap"
    tcpdump = lab.start(lab.client, ["tcpdump", "-Z", "root", "-U", "-i", "lan0", "-Q", "out", "-w", capture], "tcpdump")
    wait_for(lambda: "listening on" in tcpdump.log(), "tcpdump listens")
    start(lab, write_config(lab, hook.section("{ipv4}"), router_ip="127.0.0.1"))
    wait_for(lambda: hook.args() == [WAN[2]], "this host's address")
    lab.ip("cl", f"addr add {WAN[3]}/32 dev lan0", f"route replace default via {GATEWAY} dev lan0 src {WAN[3]}",
           f"addr del {WAN[2]}/32 dev lan0")
    wait_for(lambda: hook.args() == WAN[2:4], "this host's new address")
    tcpdump.stop()
    assert "\n0 packets captured" in tcpdump.log(), tcpdump.log()


@scenario()
def discover_tells_what_the_gateway_says(lab):
    status, out, _ = command(lab, "discover")
    assert status == 0 and GATEWAY in out and WAN[0] in out, out
    status, out, _ = command(lab, "discover", "--json")
    gateway, = json.loads(out)
    assert status == 0 and gateway["address"] == GATEWAY, out
    assert gateway["location"] == f"http://{GATEWAY}:5000/rootDesc.xml", out
    values = [service["external_ipv4"] for service in gateway["services"]]
    assert {"value": WAN[0], "publishable": True} in [{k: v[k] for k in ("value", "publishable") if k in v} for v in values], out
    assert gateway["natpmp"]["external_ipv4"] == WAN[0], out
    for given in (GATEWAY, f"http://{GATEWAY}:5000/rootDesc.xml"):
        status, out, _ = command(lab, "discover", "--json", given)
        assert status == 0 and WAN[0] in out, out


@scenario(upnp=False)
def discover_says_when_there_is_none(lab):
    status, out, _ = command(lab, "discover", "--json")
    assert status == 1 and json.loads(out) == [], (status, out)
    status, _, err = command(lab, "discover", CLIENT.replace(".2", ".99"))
    assert status == 1, err
