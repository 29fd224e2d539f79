#!/usr/bin/env python3
"""A home with a liar in it: does the daemon publish the truth, and how soon?

    sudo python3 tests/bench/liar.py [--times 100] [--program PATH] [ATTACK ...]

Three namespaces at one bridge: the host with the daemon, its gateway, and a liar
who can send any datagram from any address and hears what is sent to groups, but not
what others send to each other. For each attack: starts without a state, until the
provider is told an address, and reconnects, until it is told the new one. After every
other reconnect the gateway is at another port, and has to be searched for. Prints a
line for each: wrong addresses (0, or the exit status is 1), median and worst time.

NAT-PMP of this gateway is silent, which leaves the liar the most time. Nothing here tells
an IPv6 address or a prefix but the liar: whatever is published of those is wrong.
"""

import argparse
import http.server
import itertools
import os
import re
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

GATEWAY, HOST, LIAR = "10.9.0.1", "10.9.0.2", "10.9.0.66"
SEARCH, NATPMP = ("239.255.255.250", 1900), ("224.0.0.1", 5350)
SERVICE = "urn:schemas-upnp-org:service:WANIPConnection:1"
ROOT = "urn:schemas-upnp-org:device:InternetGatewayDevice:1"
POISON, POISON_IPV6 = "66.66.66.66", "2a01:66::66"
TRUTH = "11.22.{}.{}"
# Seconds between polls, as minutes in the configuration.
INTERVAL = 1.2
PATIENCE = 60
# A target takes 30 changes at once; the next would wait for two minutes.
FEW = 20


def description():
    return (
        f'<?xml version="1.0"?><root xmlns="urn:schemas-upnp-org:device-1-0"><device><deviceType>{ROOT}</deviceType>'
        f"<friendlyName>Box</friendlyName><serviceList><service><serviceType>{SERVICE}</serviceType>"
        "<serviceId>urn:upnp-org:serviceId:WANIPConn1</serviceId><controlURL>/c</controlURL>"
        "</service></serviceList></device></root>"
    )


def answer(action, arguments):
    arguments = "".join(f"<{name}>{value}</{name}>" for name, value in arguments.items())
    return (
        '<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
        f'<u:{action}Response xmlns:u="{SERVICE}">{arguments}</u:{action}Response></s:Body></s:Envelope>'
    )


def arguments(action, address):
    """What is told by that action; of those for IPv6 only the liar has any."""
    lifetimes = {"NewPrefixLength": 56, "NewValidLifetime": 7200, "NewPreferedLifetime": 3600}
    told = {
        "GetExternalIPAddress": {"NewExternalIPAddress": address},
        "GetStatusInfo": {"NewConnectionStatus": "Connected"},
        "X_AVM_DE_GetExternalIPv6Address": {"NewExternalIPv6Address": POISON_IPV6, **lifetimes},
        "X_AVM_DE_GetIPv6Prefix": {"NewIPv6Prefix": "2a01:66::", **lifetimes},
    }
    return None if "AVM" in action and address != POISON else told.get(action)


def found(place, device="1"):
    return (
        f"HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=1800\r\nEXT:\r\nLOCATION: {place}\r\n"
        f"SERVER: Box UPnP/1.1 Box/1\r\nST: {ROOT}\r\nUSN: uuid:{device}::{ROOT}\r\n\r\n"
    ).encode()


def searches(own):
    """Each search for gateways that is sent to the group or to us, and who sent it."""
    ear = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    ear.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    ear.bind(("", 1900))
    ear.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(SEARCH[0]) + socket.inet_aton(own))
    while True:
        text, peer = ear.recvfrom(2048)
        if text.startswith(b"M-SEARCH") and ROOT.encode() in text:
            yield ear, peer


FAULT = "<Envelope><Body><Fault><detail><UPnPError><errorCode>401</errorCode></UPnPError></detail></Fault></Body></Envelope>"
SAYING = threading.Lock()


def say(*words):
    """A line for the driver; threads must not mix theirs."""
    with SAYING:
        print(" ".join(map(str, words)), flush=True)


class Handler(http.server.BaseHTTPRequestHandler):
    """A gateway, and the provider."""

    address = TRUTH.format(0, 1)

    def reply(self, text, status=200):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        told = re.search(r"ip=(.*)", self.path)
        if told:
            say("told", told[1], time.monotonic())
        self.reply("good" if told else description())

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        action = self.headers["SOAPAction"].strip('"').partition("#")[2]
        told = arguments(action, Handler.address)
        self.reply(*((answer(action, told),) if told else (FAULT, 500)))

    def log_message(self, *_):
        pass


def listen(own, port):
    server = http.server.ThreadingHTTPServer((own, port), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    return server


def answer_searches(own, server):
    """`server()` is where the description is."""
    for ear, peer in searches(own):
        ear.sendto(found(f"http://{own}:{server().server_port}/d.xml"), peer)


def gateway():
    """Each line of standard input is a new address, with "moved" behind it at a new port."""
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    silent.bind((GATEWAY, 5351))
    listen(GATEWAY, 80)
    now = [listen(GATEWAY, 5000)]
    threading.Thread(target=answer_searches, args=(GATEWAY, lambda: now[0]), daemon=True).start()
    for line in sys.stdin:
        Handler.address, *moved = line.split()
        if moved:
            now[0].shutdown()
            now[0].server_close()
            now[0] = listen(GATEWAY, 0)
        say("now", Handler.address, time.monotonic())


class Forger:
    """Sends UDP with any source."""

    def __init__(self):
        self.raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self.raw.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(LIAR))
        self.count = 0

    @staticmethod
    def packet(source, target, data):
        (a, p), (b, q) = source, target
        head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28 + len(data), 0, 0, 4, 17, 0, socket.inet_aton(a), socket.inet_aton(b))
        return head + struct.pack("!HHHH", p, q, 8 + len(data), 0) + data

    def send(self, packet, host):
        try:
            self.raw.sendto(packet, (host, 0))
            self.count += 1
        except OSError:
            pass


def rogue(_forger):
    """A gateway of the liar's own, which answers searches at once."""
    Handler.address = POISON
    server = listen(LIAR, 5000)
    answer_searches(LIAR, lambda: server)


def dead_locations(forger):
    """1,000 places in the gateway's name, closed ports and wrong paths, for each multicast search."""
    places = [f"http://{GATEWAY}:{2000 + n}/d.xml" if n % 2 else f"http://{GATEWAY}:5000/{n}.xml" for n in range(1000)]
    answers = [found(place, number) for number, place in enumerate(places)]
    for _, peer in searches(LIAR):
        for data in answers:
            forger.send(forger.packet((GATEWAY, 1900), peer, data), peer[0])


def location_flood(forger):
    """The same without end, as fast as can be: to the port of the last multicast search, and
    by turns to every port that the search of the gateway alone may come from."""
    seen, data = [0], found(f"http://{GATEWAY}:2000/d.xml")
    sweep = [forger.packet((GATEWAY, 1900), (HOST, port), data) for port in range(32768, 61000)]

    def hear():
        for _, peer in searches(LIAR):
            seen[0] = peer[1]

    threading.Thread(target=hear, daemon=True).start()
    for number, packet in enumerate(itertools.cycle(sweep)):
        if number % 2 and seen[0]:
            place = f"http://{GATEWAY}:{2000 + number % 9999}/d.xml"
            packet = forger.packet((GATEWAY, 1900), (HOST, seen[0]), found(place, number))
        forger.send(packet, HOST)


def natpmp(forger, told=lambda: POISON):
    """NAT-PMP in the gateway's name, at every port that a question may come from."""
    while True:
        data = struct.pack("!BBHI4s", 0, 128, 0, 4711, socket.inet_aton(told()))
        packets = [forger.packet((GATEWAY, 5351), (HOST, port), data) for port in range(32768, 61000)]
        until = time.monotonic() + 6
        while time.monotonic() < until:
            for packet in packets:
                forger.send(packet, HOST)


def natpmp_stale(forger):
    """The same, with the address that the gateway has had until then, for 6 s."""
    line = [POISON]

    def read():
        for text in sys.stdin:
            line[0] = text.strip()

    threading.Thread(target=read, daemon=True).start()
    natpmp(forger, lambda: line[0])


def hints(forger):
    """Announcements in the gateway's name: it has started, its address is another."""
    alive = (
        f"NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nCACHE-CONTROL: max-age=1800\r\nNT: {ROOT}\r\nNTS: ssdp:alive\r\n"
        f"LOCATION: http://{LIAR}:5000/d.xml\r\nUSN: uuid:1::{ROOT}\r\nBOOTID.UPNP.ORG: %d\r\n\r\n"
    )
    for number in range(1 << 31):
        changed = struct.pack("!BBHI4s", 0, 128, 0, number, socket.inet_aton(POISON))
        forger.send(forger.packet((GATEWAY, 1900), SEARCH, (alive % number).encode()), SEARCH[0])
        forger.send(forger.packet((GATEWAY, 5351), NATPMP, changed), NATPMP[0])
        time.sleep(0.001)


ATTACKS = {
    "none": None,
    "a rogue gateway": rogue,
    "1,000 dead LOCATIONs": dead_locations,
    "a flood of LOCATIONs": location_flood,
    "forged NAT-PMP": natpmp,
    "NAT-PMP with the old address": natpmp_stale,
    "forged announcements": hints,
}


def lie(name):
    forger = Forger()

    def report():
        while True:
            time.sleep(0.5)
            say("sent", forger.count, time.monotonic())

    threading.Thread(target=report, daemon=True).start()
    chosen = [rogue, dead_locations, natpmp, hints] if name == "all at once" else [ATTACKS[name]]
    for attack in filter(None, chosen):
        threading.Thread(target=attack, args=(forger,), daemon=True).start()
    threading.Event().wait()


def ip(words):
    subprocess.run(["ip", *words.split()], check=True)


class Home:
    """The namespaces; gone at the end."""

    def __init__(self, program):
        self.program, self.children = program, []
        self.folder = Path(tempfile.mkdtemp(prefix="liar-"))
        self.spaces = {name: f"liar-{os.getpid()}-{name}" for name in ("br", "gw", "pc", "x")}

    def __enter__(self):
        for space in self.spaces.values():
            ip(f"netns add {space}")
            ip(f"-n {space} link set lo up")
        bridge = self.spaces["br"]
        ip(f"-n {bridge} link add br0 type bridge mcast_snooping 0")
        ip(f"-n {bridge} link set br0 up")
        for name, address in (("gw", GATEWAY), ("pc", HOST), ("x", LIAR)):
            space = self.spaces[name]
            ip(f"-n {space} link add eth0 type veth peer name to-{name} netns {bridge}")
            ip(f"-n {bridge} link set to-{name} master br0 up")
            ip(f"-n {space} addr add {address}/24 dev eth0")
            ip(f"-n {space} link set eth0 up")
            ip(f"-n {space} route add 224.0.0.0/4 dev eth0")
        ip(f"-n {self.spaces['pc']} route add default via {GATEWAY}")
        self.lines, self.gateway = self.python("gw", "gateway")
        time.sleep(0.5)
        return self

    def __exit__(self, *_):
        for child in self.children:
            child.kill()
            child.wait()
        for space in self.spaces.values():
            ip(f"netns del {space}")

    def start(self, space, words, **options):
        child = subprocess.Popen(["ip", "netns", "exec", self.spaces[space], *words], text=True, **options)
        self.children.append(child)
        return child

    def python(self, space, *words):
        """Our own part in that namespace, and what it says."""
        words = [sys.executable, __file__, "--part", *words]
        child = self.start(space, words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        lines = []

        def read():
            for line in child.stdout:
                lines.append(line.split())

        threading.Thread(target=read, daemon=True).start()
        return lines, child

    def daemon(self):
        config, state = self.folder / "config.toml", self.folder / "state"
        state.unlink(missing_ok=True)
        config.write_text(
            f'interval = {INTERVAL / 60}\nstate_file = "{state}"\n'
            + "".join(
                f'[[urls]]\nmethod = "get"\nurl = "http://{GATEWAY}/?ip={{{value}}}"\n{more}'
                for value, more in (("ipv4", ""), ("ipv6", ""), ("ipv6", 'ipv6_suffix = "::1"\n'))
            )
        )
        config.chmod(0o600)
        with (self.folder / "log").open("a") as log:
            return self.start("pc", [self.program, "-v", str(config)], stdout=log, stderr=log)

    def fresh(self, child, address):
        """Another daemon, that has told this address."""
        if child:
            self.end(child)
        begun, child = time.monotonic(), self.daemon()
        self.arrival("told", address, begun)
        return child

    def end(self, child):
        child.kill()
        child.wait()
        self.children.remove(child)

    def change(self, address, moved):
        self.tell(self.gateway, address + " moved" * moved)
        return self.arrival("now", address)

    @staticmethod
    def tell(child, line):
        child.stdin.write(line + "\n")
        child.stdin.flush()

    def arrival(self, what, address, since=0):
        """When it was told; None if not in time."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            times = [float(line[2]) for line in list(self.lines) if line[:2] == [what, address]]
            if times and times[-1] > since:
                return times[-1]
            time.sleep(0.005)
        return None

    def wrong(self, right):
        return [line[1] for line in self.lines if line[0] == "told" and line[1] not in right]


def play(home, attack, times):
    """A line for the starts and one for the reconnects; whether all was right."""
    sent, liar = home.python("x", "lie", attack)
    time.sleep(1)
    good, before = True, None
    for what in ("starts", "reconnects"):
        took, home.lines[:] = [], []
        third = [*ATTACKS, "all at once"].index(attack) * 2 + (what == "reconnects") + 1
        right = {before} | {TRUTH.format(third, number) for number in range(1, times + 1)}
        child = None
        first = (sent or [["", 0, time.monotonic()]])[-1]
        for number in range(1, times + 1):
            address = TRUTH.format(third, number)
            if before:
                home.tell(liar, before)
            if what == "reconnects" and number % FEW == 1:
                child = home.fresh(child, before)
            begun = home.change(address, what == "reconnects" and number % 2 == 0)
            if what == "starts":
                begun, child = time.monotonic(), home.daemon()
            at = home.arrival("told", address)
            took.append(at - begun if at else float("inf"))
            before = address
            if what == "starts":
                home.end(child)
        if what == "reconnects":
            home.end(child)
        wrong = home.wrong(right)
        good &= not wrong and max(took) < PATIENCE
        last = (sent or [["", 0, 0]])[-1]
        rate = (int(last[1]) - int(first[1])) / max(1, float(last[2]) - float(first[2]))
        line = f"| {attack} | {rate:.0f} | {times} {what} | {len(wrong)} | {statistics.median(took):.2f} | {max(took):.2f} |"
        print(line, flush=True)
    home.end(liar)
    return good


def main():
    if sys.argv[1:2] == ["--part"]:
        return gateway() if sys.argv[2] == "gateway" else lie(sys.argv[3])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--program", default="target/release/ddns-update-daemon")
    parser.add_argument("attacks", nargs="*", default=[*ATTACKS, "all at once"])
    options = parser.parse_args()
    print("| attack | forged datagrams a second | what | wrong addresses | median (s) | worst (s) |")
    print("| --- | ---: | --- | ---: | ---: | ---: |", flush=True)
    good = True
    with Home(str(Path(options.program).resolve())) as home:
        for attack in options.attacks:
            good &= play(home, attack, options.times)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
