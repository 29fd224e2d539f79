"""Real name servers on loopback, at ports of their own: BIND, Knot, PowerDNS.

Each serves the zone `home.example` to three keys: `good.key` (hmac-sha256) may
update everything, `strong.key` (hmac-sha512) too, `weak.key` is known and may
update nothing. They run as whoever runs the tests. Only processes started here
are ended, each by its id.
"""

import base64
import ctypes
import ipaddress
import os
import secrets
import shutil
import signal
import socket
import struct
import subprocess
import time
from pathlib import Path

ZONE = "home.example"
A, CNAME, SOA, AAAA = 1, 5, 6, 28
PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"
KEYS = {name: (algorithm, base64.b64encode(secrets.token_bytes(size)).decode()) for name, algorithm, size in
        (("good.key", "hmac-sha256", 32), ("strong.key", "hmac-sha512", 64), ("weak.key", "hmac-sha256", 32))}
WRITERS = ("good.key", "strong.key")

ZONE_FILE = f"""\
$TTL 60
@ IN SOA ns1.{ZONE}. hostmaster.{ZONE}. 1 3600 600 86400 60
@ IN NS ns1.{ZONE}.
ns1 IN A 127.0.0.1
held IN A 62.0.0.1
held IN A 62.0.0.2
held IN AAAA 2a01::1
held IN TXT "stays"
alias IN CNAME held.{ZONE}.
"""


def free_port():
    """A port that is free for TCP and UDP."""
    while True:
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            try:
                udp.bind(tcp.getsockname())
            except OSError:
                continue
            return tcp.getsockname()[1]


def wait_for(condition, what, seconds=20):
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.05)
    return value


def encode(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def skip_name(message, at):
    while message[at]:
        if message[at] >= 0xC0:
            return at + 2
        at += message[at] + 1
    return at + 1


def ask(port, name, kind, source="127.0.0.1"):
    """The data of the records of a name, as texts; over TCP from that address, without a key."""
    question = struct.pack("!6H", 7, 0, 1, 0, 0, 0) + encode(name) + struct.pack("!2H", kind, 1)
    with socket.create_connection(("127.0.0.1", port), timeout=5, source_address=(source, 0)) as stream:
        stream.sendall(struct.pack("!H", len(question)) + question)
        message = read_message(stream)
    at, found = skip_name(message, 12) + 4, []
    for _ in range(struct.unpack_from("!H", message, 6)[0]):
        at = skip_name(message, at)
        got, _, _, length = struct.unpack_from("!2HIH", message, at)
        at += 10
        if got == kind and kind in (A, AAAA):
            found.append(str(ipaddress.ip_address(message[at:at + length])))
        elif got == kind:
            found.append(message[at:at + length].hex())
        at += length
    return sorted(found)


def read_message(stream):
    """One message of a connection, without its length; empty at the end."""
    def take(count):
        data = b""
        while len(data) < count and (more := stream.recv(count - len(data))):
            data += more
        return data
    length = take(2)
    return take(struct.unpack("!H", length)[0]) if len(length) == 2 else b""


def _die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class NameServer:
    """One server with a folder of its own."""

    needs = ()
    # At a port of its own choice, unless one is set.
    fixed_port = None

    def __init__(self, folder):
        self.dir = folder / self.name
        self.dir.mkdir()
        self.port, self.process = self.fixed_port or free_port(), None
        self.prepare()
        self.start()

    @classmethod
    def missing(cls):
        return [name for name in cls.needs if not shutil.which(name, path=PATH)]

    def start(self):
        env = {"PATH": PATH, "HOME": str(self.dir)}
        with open(self.dir / "log", "ab") as log:
            self.process = subprocess.Popen([str(word) for word in self.command()], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env=env, cwd=self.dir, preexec_fn=_die_with_parent)
        wait_for(self.serves, f"{self.name} serves:\n{(self.dir / 'log').read_text(errors='replace')[-2000:]}")

    def serves(self):
        try:
            return ask(self.port, ZONE, SOA)
        except (OSError, struct.error, IndexError):
            return None

    def kill(self):
        self.process.kill()
        self.process.wait()

    def run(self, *words, **options):
        words = [str(word) for word in words]
        done = subprocess.run(words, capture_output=True, text=True, cwd=self.dir, env={"PATH": PATH}, timeout=60, **options)
        if done.returncode:
            raise AssertionError(f"{words}: {done.stdout}{done.stderr}")

    def held(self, name):
        return ask(self.port, f"{name}.{ZONE}", A) + ask(self.port, f"{name}.{ZONE}", AAAA)


class Bind(NameServer):
    name, needs = "BIND", ("named",)

    def prepare(self):
        (self.dir / "zone").write_text(ZONE_FILE)
        keys = "".join(f'key "{name}" {{ algorithm {algorithm}; secret "{secret}"; }};\n'
                       for name, (algorithm, secret) in KEYS.items())
        grants = " ".join(f"grant {name} zonesub ANY;" for name in WRITERS)
        (self.dir / "conf").write_text(f"""{keys}
options {{ directory "{self.dir}"; listen-on port {self.port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
  pid-file "{self.dir}/pid"; session-keyfile none; recursion no; notify no; dnssec-validation no;
  managed-keys-directory "{self.dir}"; }};
controls {{ }};
zone "{ZONE}" {{ type primary; file "zone"; update-policy {{ {grants} }}; }};
""")

    def command(self):
        return ["named", "-g", "-n", "1", "-c", self.dir / "conf"]


class Knot(NameServer):
    name, needs = "Knot", ("knotd",)

    def prepare(self):
        (self.dir / "zone").write_text(ZONE_FILE)
        keys = "".join(f"  - id: {name}\n    algorithm: {algorithm}\n    secret: {secret}\n"
                       for name, (algorithm, secret) in KEYS.items())
        (self.dir / "conf").write_text(f"""
server:
  listen: 127.0.0.1@{self.port}
  rundir: {self.dir}
  tcp-workers: 1
  udp-workers: 1
  background-workers: 1
log:
  - target: stderr
    any: info
database:
  storage: {self.dir}
key:
{keys}
acl:
  - id: writers
    key: [{", ".join(WRITERS)}]
    action: update
zone:
  - domain: {ZONE}
    file: {self.dir}/zone
    storage: {self.dir}
    acl: writers
""")

    def command(self):
        return ["knotd", "-c", self.dir / "conf"]


class PowerDns(NameServer):
    name, needs = "PowerDNS", ("pdns_server", "pdnsutil", "sqlite3")
    schema = Path("/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql")

    def prepare(self):
        self.run("sqlite3", self.dir / "db", f".read {self.schema}")
        (self.dir / "pdns.conf").write_text(f"""
launch=gsqlite3
gsqlite3-database={self.dir}/db
gsqlite3-dnssec=yes
local-address=127.0.0.1
local-port={self.port}
socket-dir={self.dir}
dnsupdate=yes
allow-dnsupdate-from=127.0.0.0/8
receiver-threads=1
distributor-threads=1
cache-ttl=0
query-cache-ttl=0
zone-cache-refresh-interval=0
""")
        (self.dir / "zone").write_text(ZONE_FILE)
        self.util("load-zone", ZONE, self.dir / "zone")
        for name, (algorithm, secret) in KEYS.items():
            self.util("import-tsig-key", name, algorithm, secret)
        self.util("set-meta", ZONE, "TSIG-ALLOW-DNSUPDATE", *WRITERS)

    def util(self, *words):
        self.run("pdnsutil", f"--config-dir={self.dir}", *words)

    def command(self):
        return ["pdns_server", f"--config-dir={self.dir}", "--daemon=no", "--guardian=no", "--disable-syslog"]


SERVERS = (Bind, Knot, PowerDns)
