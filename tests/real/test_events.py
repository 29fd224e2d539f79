"""A change is seen by each channel long before the next poll, what an idle daemon
does, and what a flood gains. How long it takes is told and decides nothing:
tests/bench/latency measures it.
"""

import random
import re
import signal
import socket
import statistics
import struct
import subprocess
import threading
import time

from daemon import scenario, start, url_section, write_config
from lab import GATEWAY, WAN, enter, run, wait_for
from servers import provider

CHANGES = 8
# The daemon follows one hint in two seconds in the long run, and a change may
# cost two: so a test that goes faster would measure that.
APART = 4.2
STRANGER = "192.168.77.66"


def note(title, text):
    """A figure, for who reads along."""
    print(f"{title}: {text}")


def block(lab, gena=False, announcements=False):
    """A firewall on the client that lets nothing in that it did not ask for."""
    rules = []
    if gena:
        rules.append("tcp flags & (syn | ack) == syn drop")
    if announcements:
        rules.append("udp dport { 1900, 5350 } ip daddr 224.0.0.0/4 drop")
    text = "\n".join(rules)
    lab.nft(lab.client, f"table inet wall {{\nchain input {{\ntype filter hook input priority 0;\n{text}\n}}\n}}")


def started(lab, config, url, *args):
    """A daemon after its first update, with its channels open."""
    daemon = start(lab, config, "-v", *args)
    wait_for(lambda: url.values() == [WAN[0]], "the first update")
    wait_for(lambda: "Callback '<http" in lab.upnpd.log(), "it subscribes")
    time.sleep(3)
    return daemon


def addresses(count):
    """Different public addresses."""
    return [f"62.141.{3 + index // 200}.{20 + index % 200}" for index in range(count)]


def delays(lab, url, count, apart=APART, longest=10):
    """Milliseconds from each change of the line to the request at the provider."""
    found = []
    for address in addresses(count):
        # The end of the commands, since they take longer than the daemon; a
        # request may come before it.
        lab.set_wan(address)
        at = time.monotonic()
        wait_for(lambda: url.values()[-1] == address, f"the update to {address}", longest)
        found.append(max(0.0, (url.requests[-1].at - at) * 1000))
        time.sleep(apart)
    assert len(url.values()) == count + 1, f"each address once: {url.values()}"
    return found


def summary(found):
    return f"median {statistics.median(found):.0f} ms, worst {max(found):.0f} ms, {len(found)} changes"


@scenario(slow=True)
def a_change_is_seen_before_the_next_poll_by_events_alone(lab):
    url = provider(lab)
    block(lab, announcements=True)
    daemon = started(lab, write_config(lab, url_section(url.url), interval=5), url)
    found = delays(lab, url, CHANGES)
    assert "an announcement" not in daemon.log()
    note("WAN change to request: GENA alone", summary(found))


@scenario(slow=True)
def a_change_is_seen_before_the_next_poll_by_announcements_alone(lab):
    url = provider(lab)
    block(lab, gena=True)
    daemon = started(lab, write_config(lab, url_section(url.url), interval=5), url)
    found = delays(lab, url, CHANGES)
    assert "an event" not in daemon.log()
    assert daemon.log().count("its events do not arrive") == 1, "said once"
    note("WAN change to request: NAT-PMP announcements alone", summary(found))


@scenario(slow=True)
def a_change_is_seen_before_the_next_poll_by_both(lab):
    url = provider(lab)
    started(lab, write_config(lab, url_section(url.url), interval=5), url)
    found = delays(lab, url, CHANGES)
    note("WAN change to request: both", summary(found))


@scenario()
def without_any_channel_polling_notices_and_says_so(lab):
    url = provider(lab)
    block(lab, gena=True, announcements=True)
    daemon = started(lab, write_config(lab, url_section(url.url), interval=0.05), url)
    found = delays(lab, url, 8, apart=0.7)
    wait_for(lambda: "do not arrive" in daemon.log() or "no event for a change" in daemon.log(), "it says so", 15)
    lines = [line for line in daemon.log().splitlines() if "changes are noticed by polling" in line]
    assert len(lines) == 1, lines
    note("WAN change to request: neither, polling every 3 s", summary(found))


@scenario()
def events_can_be_switched_off(lab):
    url = provider(lab)
    daemon = start(lab, write_config(lab, url_section(url.url), interval=0.05, events=False), "-v")
    wait_for(lambda: url.values() == [WAN[0]], "the first update")
    lab.set_wan(WAN[1])
    wait_for(lambda: url.values() == WAN[:2], "the second by polling")
    assert "polling, because" not in daemon.log()
    assert "SUBSCRIBE" not in lab.upnpd.log()
    assert sockets(lab) == "", sockets(lab)


def sockets(lab):
    return run("nsenter", f"--net=/run/netns/{lab.client}", "ss", "-Hlntu")


@scenario()
def an_address_of_an_interface_is_seen_before_the_next_poll(lab):
    url = provider(lab)
    lab.ip("cl", f"addr add {WAN[1]}/32 dev lan0")
    config = write_config(lab, url_section(url.url), interval=5, ipv4=["interface:lan0"])
    start(lab, config, "-v")
    wait_for(lambda: url.values(), "the first update")
    old, found = WAN[1], []
    for address in addresses(CHANGES):
        lab.ip("cl", f"addr del {old}/32 dev lan0", f"addr add {address}/32 dev lan0")
        at = time.monotonic()
        wait_for(lambda: url.values()[-1] == address, f"the update to {address}")
        found.append(max(0.0, (url.requests[-1].at - at) * 1000))
        old = address
        time.sleep(2.5)
    assert len(url.values()) == CHANGES + 1, url.values()
    note("Interface change to request: netlink", summary(found))


@scenario(slow=True)
def an_idle_daemon_sleeps(lab):
    url = provider(lab)
    daemon = started(lab, write_config(lab, url_section(url.url), interval=5), url)
    # The first announcement heard counts as news, whenever it comes: the gateway is
    # asked once more.
    wait_for(lambda: "the gateway has started" in daemon.log(), "the first announcement", 90)
    wait_for_silence(daemon)
    calls, heard, seconds = idle(lab, daemon, 30)
    note("Idle: system calls", f"{calls} in {seconds} s, {heard} announcements heard "
         "(the gateway makes a round of them every 30 s, and wakes one thread)")
    # One that comes alone is waited for and read, and no other is there to be read.
    assert 0 < heard and calls <= 3 * heard, (calls, heard)
    lab.upnpd.send(signal.SIGSTOP)
    calls, heard, seconds = idle(lab, daemon, 30)
    lab.upnpd.send(signal.SIGCONT)
    note("Idle, gateway silent: system calls", f"{calls} in {seconds} s")
    assert (calls, heard) == (0, 0), (calls, heard)


def wait_for_silence(daemon, seconds=5):
    """Waits until the daemon has had nothing to say for so long."""
    said, since = daemon.log(), time.monotonic()
    while time.monotonic() < since + seconds:
        if daemon.log() != said:
            said, since = daemon.log(), time.monotonic()
        time.sleep(0.1)


def idle(lab, daemon, seconds):
    """System calls that begin within a time, by all threads, and datagrams heard.

    The allocator's are left aside: that of musl takes a page for a datagram, and
    gives it back.
    """
    pid = program(daemon)
    log = lab.dir / "strace"
    trace = subprocess.Popen(["strace", "-f", "-qq", "-o", log, "-p", str(pid)], stderr=subprocess.DEVNULL)
    time.sleep(seconds)
    trace.send_signal(signal.SIGINT)
    trace.wait(10)
    text = log.read_text()
    begun = re.findall(r"^(\d+) +(?!mmap|munmap)\w+\(.*", text, re.M)
    heard = re.findall(r"^\d+ +(?:recvfrom\(|<... recvfrom resumed>).*\) += [1-9]\d*$", text, re.M)
    # Attaching shows the call that each thread sleeps in.
    return len(begun) - len(set(begun)), len(heard), seconds


def program(daemon):
    """nsenter executes the program in its own place."""
    return daemon.pid


@scenario()
def a_reconnect_makes_one_update(lab):
    url = provider(lab)
    started(lab, write_config(lab, url_section(url.url), interval=5), url)
    lab.set_wan(None)
    time.sleep(8)
    lab.set_wan(WAN[1])
    at = time.monotonic()
    wait_for(lambda: len(url.values()) > 1, "the update")
    took = (url.requests[-1].at - at) * 1000
    time.sleep(5)
    assert url.values() == WAN[:2], url.values()
    note("Reconnect, down for 8 s", f"one update, the right one, after {max(0, took):.0f} ms")


@scenario()
def a_restarted_gateway_is_known_again_before_the_next_poll(lab):
    url = provider(lab)
    started(lab, write_config(lab, url_section(url.url), interval=5), url)
    found = []
    for turn, down in enumerate([0.1, 3, 12]):
        lab.upnpd.kill()
        # A look in between fails, and searches; it must not stand in the way.
        if down > 1:
            announce(lab, lab.gateway, GATEWAY)
        time.sleep(down)
        lab.start_upnpd()
        at = time.monotonic()
        wait_for(lambda: "Callback '<http" in lab.upnpd.log(), "it subscribes anew", 15)
        found.append((time.monotonic() - at) * 1000)
        time.sleep(3)
        lab.set_wan(WAN[1 + turn])
        wait_for(lambda: url.values()[-1] == WAN[1 + turn], "the next update", 5)
        time.sleep(4)
    note("Gateway killed and started again: subscribed anew",
         ", ".join(f"{took:.0f} ms" for took in found) + " after it is up (down 0.1, 3, 12 s)")


def announce(lab, namespace, source, count=1, seconds=0.0):
    """Sends NAT-PMP announcements from a namespace."""
    def send():
        enter(namespace)
        packet = struct.pack("!BBHI4B", 0, 128, 0, 1, 62, 1, 2, 3)
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind((source, 0))
        udp.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(source))
        for _ in range(count):
            udp.sendto(packet, ("224.0.0.1", 5350))
            time.sleep(seconds / count)
    thread = threading.Thread(target=send)
    thread.start()
    thread.join()


@scenario()
def a_blocked_host_is_right_after_one_poll(lab):
    url = provider(lab)
    block(lab, gena=True, announcements=True)
    started(lab, write_config(lab, url_section(url.url), interval=0.1), url)
    lab.set_wan(WAN[1])
    wait_for(lambda: url.values()[-1] == WAN[1], "the update by polling", 7.5)
    assert url.values() == WAN[:2], url.values()


@scenario()
def a_flood_of_forged_hints_gains_next_to_nothing(lab):
    """Everything at once, with the gateway's own address as its source."""
    url = provider(lab)
    daemon = started(lab, write_config(lab, url_section(url.url), interval=5), url)
    time.sleep(8)
    callback = re.findall(r"Callback '<http://([0-9.]+):(\d+)/([0-9a-f]+)>", lab.upnpd.log())[-1]
    sid = re.findall(r"SID: (uuid:[0-9a-f-]+)", lab.upnpd.log())[-1]
    memory, looks, cpu = resident(daemon), posts(lab), cpu_ms(daemon)
    stop, sent, threads = threading.Event(), [0] * 4, []

    def flood(index, namespace, source, work):
        def loop():
            enter(namespace)
            while not stop.is_set():
                sent[index] += work(source)
        threads.append(threading.Thread(target=loop))
        threads[-1].start()

    stranger = lab.add_host(STRANGER)
    flood(0, lab.gateway, GATEWAY, lambda s: datagrams(s, ("224.0.0.1", 5350), [struct.pack("!BBHI4B", 0, 128, 0, 1, 62, 1, 2, 3)] * 500))
    flood(1, lab.gateway, GATEWAY, lambda s: datagrams(s, ("239.255.255.250", 1900), [alive() for _ in range(500)]))
    flood(2, lab.gateway, GATEWAY, lambda s: notifies(s, callback, sid))
    flood(3, stranger, STRANGER, lambda s: notifies(s, callback, sid))
    start_at, changes = time.monotonic(), []
    try:
        for address in addresses(6):
            time.sleep(random.uniform(3, 5))
            lab.set_wan(address)
            at = time.monotonic()
            # A few seconds by design; the gateway and this machine are in the flood, too.
            wait_for(lambda: url.values()[-1] == address, "the update in the flood", 10)
            changes.append((url.requests[-1].at - at) * 1000)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    seconds = time.monotonic() - start_at
    looks, grown, cpu = posts(lab) - looks, resident(daemon) - memory, cpu_ms(daemon) - cpu
    rate = sum(sent) / seconds
    note("Flood: forged messages",
         f"{rate:.0f} a second for {seconds:.0f} s (announcements {sent[0]}, alives {sent[1]}, connections of the "
         f"gateway {sent[2]} and of a stranger {sent[3]}): {looks} looks, {grown} kB more memory, "
         f"{cpu / seconds / 10:.0f} % of a core")
    note("Flood: a change is sent after", f"median {statistics.median(changes):.0f} ms, worst {max(changes):.0f} ms")
    # A poll that finds a change gives its turn back.
    assert looks <= 3 + seconds / 2 + 4 + len(changes), looks
    assert grown < 2048, grown
    assert url.values() == [WAN[0], *addresses(6)], url.values()


def datagrams(source, to, packets):
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with udp:
        udp.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(source))
        udp.bind((source, 0))
        for packet in packets:
            udp.sendto(packet, to)
    return len(packets)


def alive():
    """A gateway that seems to have restarted."""
    return (f"NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nNTS: ssdp:alive\r\n"
            f"NT: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\nUSN: uuid:x\r\n"
            f"LOCATION: http://{GATEWAY}:5000/rootDesc.xml\r\n"
            f"BOOTID.UPNP.ORG: {random.randrange(1 << 31)}\r\n\r\n").encode()


def notifies(source, callback, sid):
    """Events with everything right, by whoever may send them."""
    address, port, path = callback
    head = (f"NOTIFY /{path} HTTP/1.1\r\nHOST: {address}:{port}\r\nNT: upnp:event\r\nNTS: upnp:propchange\r\n"
            f"SID: {sid}\r\nSEQ: 7\r\nContent-Length: 4\r\n\r\n<x/>").encode()
    for _ in range(100):
        try:
            with socket.create_connection((address, int(port)), 2, (source, 0)) as tcp:
                tcp.sendall(head)
        except OSError:
            pass
    return 100


def posts(lab):
    return lab.upnpd.log().count("#GetExternalIPAddress")


def resident(daemon):
    text = open(f"/proc/{program(daemon)}/status").read()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1])


def cpu_ms(daemon):
    fields = open(f"/proc/{program(daemon)}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * 10

