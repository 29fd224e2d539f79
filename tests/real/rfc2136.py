#!/usr/bin/env python3
"""The program against BIND, Knot and PowerDNS, on loopback and without root:

    tests/real/rfc2136.py [--jobs N] [PART-OF-A-NAME...]

The program is $DDNS_BIN, else target/release/ddns-update-daemon, started by
$DDNS_RUNNER (an emulator's command) if that is set. Each test runs
against each server that is installed (Debian: bind9, knot, pdns-server,
pdns-backend-sqlite3, sqlite3, faketime); others are left out, and named. What
was printed, and what the server held afterwards, is written to
target/dns-table.md. The last line is `N passed, N failed`.

Between the two stands a relay, which counts what passes and lets a test lose
it. Relay and gateway, from which the address comes, are in rfc2136_bench.py.
"""

import argparse
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import name_servers  # noqa: E402
from name_servers import KEYS, PATH, ZONE, wait_for  # noqa: E402
from rfc2136_bench import BINARY, PROGRAM, QUERY, ROOT, RUNNER, UPDATE, V4, V6, Bench, serve_gateway  # noqa: E402

TABLE = ROOT / "target" / "dns-table.md"


# -- the tests ------------------------------------------------------------------
# Each gets a Bench and returns the name of which the table shows what was held.

TESTS = []


def test(function):
    TESTS.append(function)
    return function


@test
def replace_a(bench):
    bench.once([("held", "A")])
    bench.holds("held", V4, "2a01::1")
    txt = name_servers.ask(bench.server.port, f"held.{ZONE}", 16)
    assert txt == ["05" + b"stays".hex()], txt
    return "held"


@test
def replace_aaaa(bench):
    bench.once([("held6", "AAAA")])
    bench.holds("held6", V6)
    return "held6"


@test
def replace_both(bench):
    bench.once([("both", "A"), ("both", "AAAA"), ("@", "A"), ("@", "AAAA")], key="strong.key")
    bench.holds("both", V4, V6)
    assert name_servers.ask(bench.server.port, ZONE, name_servers.A) == [V4]
    assert bench.relay.updates() == 1, bench.relay.opcodes
    return "both"


@test
def unchanged_is_skipped(bench):
    records = [("same", "A"), ("same", "AAAA")]
    bench.once(records)
    bench.relay.opcodes.clear()
    bench.once(records)
    assert bench.relay.opcodes == [QUERY, QUERY], bench.relay.opcodes
    bench.holds("same", V4, V6)
    return "same"


@test
def over_udp(bench):
    bench.once([("udp", "A"), ("udp", "AAAA")], more='transport = "udp"\n')
    bench.holds("udp", V4, V6)
    return "udp"


@test
def key_file_of_bind(bench):
    algorithm, secret = KEYS["good.key"]
    path = bench.dir / "our.key"
    path.write_text(f'// ours\nkey "good.key" {{\n\talgorithm {algorithm};\n\tsecret "{secret}";\n}};\n')
    path.chmod(0o600)
    bench.once([("file", "A")], more=f'key_file = "{path}"\n')
    bench.holds("file", V4)
    return "file"


@test
def zone_is_found_by_its_soa(bench):
    bench.once([(f"found.{ZONE}", "A")], zone=None)
    bench.holds("found", V4)
    return "found"


@test
def wrong_secret(bench):
    bench.once([("w1", "A")], secret=KEYS["strong.key"][1], expect=1)
    bench.says("secret")
    bench.holds("w1")
    return "w1"


@test
def explain_online_tests_the_key_and_changes_nothing(bench):
    before = bench.server.held("held")
    bench.explain(expect=0)
    bench.says(f"knows the zone {ZONE} and our key", f"would set the record to {V4}")
    bench.explain(expect=1, secret=KEYS["strong.key"][1])
    bench.says("secret", f"would set the record to {V4}")
    if bench.server.name == "BIND":
        bench.says("BADSIG")
    bench.explain(expect=1, name="no.such.key")
    # PowerDNS does not say which.
    bench.says("key's name", *(["no.such.key"] if bench.server.name != "PowerDNS" else []))
    assert bench.server.held("held") == before
    return "held"


@test
def unknown_key(bench):
    bench.once([("w2", "A")], name="no.such.key", expect=1)
    bench.says("key's name", "no.such.key")
    bench.holds("w2")
    return "w2"


@test
def no_right(bench):
    bench.once([("w3", "A"), ("w3", "AAAA")], key="weak.key", expect=1)
    bench.says("weak.key", "rights" if bench.server.name != "PowerDNS" else "TSIG-ALLOW-DNSUPDATE")
    bench.holds("w3")
    return "w3"


def no_clock():
    """Why the program cannot be given another clock, if so."""
    if RUNNER:
        return "faketime does not reach into an emulator"
    return None if shutil.which("faketime") else "missing: faketime"


@test
def clock_off_by_an_hour(bench):
    bench.once([("w4", "A")], wrapper=["faketime", "-f", "+3600s"], expect=1)
    if bench.server.name == "PowerDNS":
        bench.says("clocks")
    else:
        # A second may pass between the two readings.
        assert re.search(r"clock is (1 h 0 min|59 min 5\d s) ahead", bench.printed), bench.printed
    bench.holds("w4")
    return "w4"


@test
def zone_not_served(bench):
    bench.once([("w5", "A")], zone="elsewhere.example", expect=1)
    bench.says("elsewhere.example", "zone")
    return "w5"


@test
def cname_in_the_way(bench):
    bench.once([("alias", "A")], expect=1)
    bench.says("CNAME", f"held.{ZONE}")
    assert bench.relay.updates() == 0, bench.relay.opcodes
    assert name_servers.ask(bench.server.port, f"alias.{ZONE}", name_servers.CNAME)
    return "alias"


@test
def cname_that_appears_meanwhile(bench):
    """The first look is lost, so only the look after the update can tell."""
    looks = []

    def before(opcode):
        looks.append(opcode)
        # A refusal without a signature.
        return refusal if looks == [QUERY] else None

    refusal = struct.pack("!6H", 0, 0x8005, 0, 0, 0, 0)
    pass_on = bench.relay.pass_on

    def with_id(message):
        answer = pass_on(message)
        return message[:2] + answer[2:] if answer == refusal else answer

    bench.relay.before, bench.relay.pass_on = before, with_id
    bench.once([("alias", "A")], expect=1)
    bench.says("CNAME")
    assert bench.relay.updates() == 1, bench.relay.opcodes
    return "alias"


@test
def server_silent(bench):
    bench.relay.before = lambda opcode: (bench.relay.closed.wait(60), b"")[1]
    bench.once([("w6", "A")], expect=1)
    bench.says("did not answer in time")
    bench.relay.before = lambda opcode: None
    bench.holds("w6")
    return "w6"


def die_once(bench):
    """Ends the server at the first update; there is no answer."""
    def turn(opcode):
        if opcode == UPDATE and bench.relay.updates() == 1:
            bench.server.kill()
            return b""
        return None
    return turn


def restart(bench, name):
    bench.start([(name, "A"), (name, "AAAA")])
    wait_for(lambda: bench.server.process.poll() is not None, "the server dies")
    bench.server.start()
    wait_for(lambda: len(re.findall(rf"(?m)(?:^| )A+ {name}\.\S+: (set to|already) ", bench.log())) == 2, "both are reported", 40)
    bench.holds(name, V4, V6)
    return name


@test
def restart_before_the_update(bench):
    """The server dies as the update comes, and is back a moment later."""
    bench.relay.before = die_once(bench)
    return restart(bench, "restart1")


@test
def restart_after_the_update(bench):
    """The server dies when it has carried out the update; the answer is lost."""
    bench.relay.after = die_once(bench)
    return restart(bench, "restart2")


@test
def forged_udp_answers(bench):
    """A forger who knows the id says yes and no, and signs with another secret."""
    def forged(message):
        head = message[:2]
        opcode = message[2] & 0x78
        flat = [head + bytes([0x80 | opcode, code]) + bytes(8) for code in (0, 5, 9)]
        # Our own message as its answer: the right key and a MAC that is not.
        echo = head + bytes([0x80 | opcode, 0]) + message[4:]
        return [*flat, echo, os.urandom(40), head + os.urandom(200)]

    bench.relay.forged = forged
    bench.once([("forged", "A")], more='transport = "udp"\n')
    bench.holds("forged", V4)
    assert bench.relay.updates() == 1, bench.relay.opcodes
    return "forged"


@test
def forged_udp_answers_alone(bench):
    bench.relay.forged = lambda message: [message[:2] + bytes([0x80 | message[2] & 0x78, 0]) + bytes(8)]
    bench.relay.before = lambda opcode: b""
    bench.once([("w7", "A")], more='transport = "udp"\n', expect=1)
    bench.says("without a signature")
    bench.holds("w7")
    return "w7"


# -- two views --------------------------------------------------------------------


class Views(name_servers.Bind):
    """BIND with two views. Only the one that others see has a zone below the one of both."""

    name, inside = "BIND with two views", "127.0.0.2"

    def prepare(self):
        super().prepare()
        conf = self.dir / "conf"
        options, zone = conf.read_text().split("\nzone ")
        for name in ("others", "below"):
            (self.dir / name).write_text(name_servers.ZONE_FILE)
        conf.write_text(f"""{options}
view "keyed" {{ match-clients {{ key good.key; {self.inside}; }};
zone {zone} }};
view "others" {{ match-clients {{ any; }}; zone "{ZONE}" {{ type primary; file "others"; }};
  zone "below.{ZONE}" {{ type primary; file "below"; }}; }};
""")

    def held(self, name):
        return name_servers.ask(self.port, f"{name}.{ZONE}", name_servers.A, self.inside)


def zone_is_found_in_the_view_of_the_key(bench):
    others = name_servers.ask(bench.server.port, f"held.below.{ZONE}", name_servers.A)
    bench.once([(f"held.below.{ZONE}", "A"), ("held." + ZONE.upper(), "A")], zone=None)
    bench.holds("held.below", V4)
    bench.holds("held", V4)
    assert name_servers.ask(bench.server.port, f"held.below.{ZONE}", name_servers.A) == others
    return "held.below"


IN_VIEWS = [zone_is_found_in_the_view_of_the_key]


# -- without a server in the configuration ----------------------------------------


class Resolver(name_servers.Bind):
    """BIND where resolvers are, which is resolver and primary in one."""

    name, fixed_port = "BIND at port 53", 53


def primary_is_found_by_the_soa(bench):
    """Neither server nor zone is given. Needs a network and a mount of its own."""
    bench.named = False
    bench.once([(f"primary.{ZONE}", "A"), (f"primary.{ZONE}", "AAAA")], zone=None)
    bench.holds("primary", V4, V6)
    return "primary"


def run_inside():
    """Runs that test in namespaces that `unshare` made; prints its row."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True, env={"PATH": PATH})
    with tempfile.TemporaryDirectory(prefix="ddns-dns-") as folder:
        resolv = Path(folder) / "resolv.conf"
        resolv.write_text("nameserver 127.0.0.1\n")
        subprocess.run(["mount", "--bind", resolv, "/etc/resolv.conf"], check=True, env={"PATH": PATH})
        faults = []
        rows = run_server(Resolver, [primary_is_found_by_the_soa], serve_gateway(), Path(folder),
                          lambda good, name, fault: faults.append(fault))
    print(json.dumps([rows, faults]))
    return 0


def run_apart(tell):
    """Runs it as root of namespaces of its own, where these can be had: its row, or None."""
    unshare = ["unshare", "--net", "--mount", "--map-root-user"]
    if name_servers.Bind.missing() or subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        return None
    done = subprocess.run([*unshare, sys.executable, __file__, "--inside"], capture_output=True, text=True, check=False, timeout=120)
    try:
        rows, faults = json.loads(done.stdout)
    except ValueError:
        rows, faults = [], [done.stdout + done.stderr]
    tell(bool(rows) and rows[0][4], "BIND: primary_is_found_by_the_soa", "".join(faults))
    return rows


# -- running ----------------------------------------------------------------------


def run_one(function, server, gateway, folder):
    """Runs one test: whether it passed, its row, what went wrong."""
    work = Path(tempfile.mkdtemp(dir=folder))
    bench = Bench(server, gateway, work)
    try:
        name = function(bench)
        held = ", ".join(server.held(name)) or "-" if name else ""
        return True, bench.printed, held, ""
    except BaseException:
        return False, bench.printed, "", traceback.format_exc()
    finally:
        bench.close()


def run_server(kind, chosen, gateway, folder, tell):
    server, rows = kind(folder), []
    try:
        for function in chosen:
            good, printed, held, fault = run_one(function, server, gateway, folder)
            tell(good, f"{kind.name}: {function.__name__}", fault)
            rows.append((function.__name__, kind.name, shown(printed), held, good))
    finally:
        server.kill()
    return rows


def shown(printed):
    """The lines about targets, without the start and without ports, which vary."""
    lines = [line for line in printed.splitlines() if "version " not in line and line.strip()]
    text = "<br>".join(lines[:6]) or "nothing"
    return re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", text).replace("|", "\\|")


def write_table(rows):
    lines = ["| test | server | what was printed | what the server held afterwards | passed |", "| --- | --- | --- | --- | --- |"]
    order = [function.__name__ for function in [*TESTS, *IN_VIEWS, primary_is_found_by_the_soa]]
    for name, server, printed, held, good in sorted(rows, key=lambda row: order.index(row[0])):
        lines.append(f"| {name.replace('_', ' ')} | {server} | {printed} | {held} | {'yes' if good else 'NO'} |")
    TABLE.parent.mkdir(exist_ok=True)
    TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="parts of the names of tests or servers")
    parser.add_argument("--jobs", type=int, default=3)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        return run_inside()
    print(subprocess.run([*PROGRAM, "--version"], capture_output=True, text=True, check=True).stdout.strip(), f"({BINARY})")
    results, lock = [], threading.Lock()

    def tell(good, name, fault):
        with lock:
            results.append(good)
            print(f"{'ok    ' if good else 'FAILED'}  {name}", flush=True)
            if fault:
                print(fault, flush=True)

    gateway = serve_gateway()
    wanted = lambda function: not options.names or any(part in function.__name__ for part in options.names)
    chosen, in_views = list(filter(wanted, TESTS)), list(filter(wanted, IN_VIEWS))
    if no_clock():
        chosen = [function for function in chosen if function is not clock_off_by_an_hour]
    kinds = [kind for kind in name_servers.SERVERS if not kind.missing()]
    left_out = [f"{kind.name} (missing: {', '.join(kind.missing())})" for kind in name_servers.SERVERS if kind.missing()]
    if why := no_clock():
        left_out.append(f"clock_off_by_an_hour ({why})")
    with tempfile.TemporaryDirectory(prefix="ddns-dns-") as folder, ThreadPoolExecutor(options.jobs) as pool:
        work = [pool.submit(run_server, kind, chosen, gateway, Path(folder), tell) for kind in kinds]
        if not Views.missing():
            work.append(pool.submit(run_server, Views, in_views, gateway, Path(folder), tell))
        rows = [row for done in work for row in done.result()]
    if not options.names:
        apart = run_apart(tell)
        rows += apart or []
        if apart is None:
            left_out.append("primary_is_found_by_the_soa (missing: named, or namespaces)")
        write_table(rows)
    for name in left_out:
        print(f"left out: {name}")
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
