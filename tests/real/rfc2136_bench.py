"""What the tests against name servers stand on: a gateway that tells two addresses, a
relay in front of the server, and the program, with what it printed.
"""

import http.server
import os
import shlex
import socket
import struct
import subprocess
import threading
from pathlib import Path

from name_servers import KEYS, PATH, ZONE, read_message

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("DDNS_BIN", ROOT / "target" / "release" / "ddns-update-daemon")).absolute()
RUNNER = shlex.split(os.environ.get("DDNS_RUNNER", ""))
PROGRAM = [*RUNNER, BINARY]
V4, V6 = "62.141.3.10", "2a01:4f8::77"
QUERY, UPDATE = 0, 5

SERVICE = "urn:schemas-upnp-org:service:WANIPConnection:1"
DESCRIPTION = f"""<?xml version="1.0"?>
<root xmlns="urn:schemas-upnp-org:device-1-0"><specVersion><major>1</major><minor>0</minor></specVersion>
<device><deviceType>urn:schemas-upnp-org:device:InternetGatewayDevice:1</deviceType><friendlyName>test</friendlyName>
<UDN>uuid:1</UDN><serviceList><service><serviceType>{SERVICE}</serviceType>
<serviceId>urn:upnp-org:serviceId:WANIPConn1</serviceId><SCPDURL>/s</SCPDURL><controlURL>/c</controlURL>
<eventSubURL>/e</eventSubURL></service></serviceList></device></root>"""
ANSWERS = {
    "GetExternalIPAddress": f"<NewExternalIPAddress>{V4}</NewExternalIPAddress>",
    "X_AVM_DE_GetExternalIPv6Address": f"<NewExternalIPv6Address>{V6}</NewExternalIPv6Address><NewPrefixLength>64"
                                       "</NewPrefixLength><NewValidLifetime>7200</NewValidLifetime>"
                                       "<NewPreferedLifetime>3600</NewPreferedLifetime>",
    "X_AVM_DE_GetIPv6Prefix": "<NewIPv6Prefix>2a01:4f8::</NewIPv6Prefix><NewPrefixLength>56</NewPrefixLength>"
                              "<NewValidLifetime>7200</NewValidLifetime><NewPreferedLifetime>3600</NewPreferedLifetime>",
}


class Gateway(http.server.BaseHTTPRequestHandler):
    """A gateway that tells V4 and V6."""

    def do_GET(self):
        self.answer(DESCRIPTION)

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        action = self.headers.get("SOAPAction", "").strip('"').partition("#")[2]
        self.answer(f'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><u:{action}Response '
                    f'xmlns:u="{SERVICE}">{ANSWERS[action]}</u:{action}Response></s:Body></s:Envelope>')

    def answer(self, text):
        self.send_response(200)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


def serve_gateway():
    gateway = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
    threading.Thread(target=gateway.serve_forever, daemon=True).start()
    return gateway.server_port


def both_ends():
    """A port that is free for TCP and UDP, with a socket of each on it."""
    for _ in range(50):
        tcp, udp = socket.create_server(("127.0.0.1", 0)), socket.socket(type=socket.SOCK_DGRAM)
        port = tcp.getsockname()[1]
        try:
            udp.bind(("127.0.0.1", port))
            return port, tcp, udp
        except OSError:
            tcp.close()
            udp.close()
    raise RuntimeError("no port is free for both TCP and UDP")


class Relay:
    """Passes messages on to a server, over TCP and UDP, and counts them.

    `before(opcode)` and `after(opcode)` are called around the server's turn;
    what they return instead of None is the answer, and b"" means that there is
    none. `forged` are made from each UDP message and sent ahead of the answer.
    """

    def __init__(self, server):
        self.server = server
        self.opcodes, self.closed = [], threading.Event()
        self.before = self.after = lambda opcode: None
        self.forged = lambda message: []
        self.port, self.tcp, self.udp = both_ends()
        for serve in (self.serve_tcp, self.serve_udp):
            threading.Thread(target=serve, daemon=True).start()

    def close(self):
        self.closed.set()
        for end in (self.tcp, self.udp):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()

    def updates(self):
        return self.opcodes.count(UPDATE)

    def pass_on(self, message):
        opcode = message[2] >> 3 & 15
        self.opcodes.append(opcode)
        answer = self.before(opcode)
        if answer is None:
            with socket.create_connection(("127.0.0.1", self.server.port), timeout=5) as stream:
                stream.sendall(struct.pack("!H", len(message)) + message)
                answer = read_message(stream)
            late = self.after(opcode)
            answer = answer if late is None else late
        return answer

    def serve_tcp(self):
        while not self.closed.is_set():
            try:
                stream, _ = self.tcp.accept()
            except OSError:
                return
            threading.Thread(target=self.serve_stream, args=(stream,), daemon=True).start()

    def serve_stream(self, stream):
        with stream:
            try:
                while message := read_message(stream):
                    answer = self.pass_on(message)
                    if not answer:
                        return
                    stream.sendall(struct.pack("!H", len(answer)) + answer)
            except OSError:
                pass

    def serve_udp(self):
        while not self.closed.is_set():
            try:
                message, client = self.udp.recvfrom(65535)
                if not message:
                    continue
                for forged in self.forged(message):
                    self.udp.sendto(forged, client)
                if answer := self.pass_on(message):
                    self.udp.sendto(answer, client)
            except OSError:
                if self.closed.is_set():
                    return


class Bench:
    """What a test works with: a server, a relay in front of it, the program."""

    def __init__(self, server, gateway, folder):
        self.server, self.gateway, self.dir = server, gateway, folder
        self.relay = Relay(server)
        # Whether the configuration names the server.
        self.named = True
        self.printed, self.status, self.running = "", None, []

    def close(self):
        self.relay.close()
        for process in self.running:
            process.kill()
            process.wait()

    def config(self, records, key="good.key", name=None, secret=None, zone=ZONE, more=""):
        """A configuration; `records` are pairs of name and type."""
        algorithm, own = KEYS[key]
        keys = f'key = "{name or key}"\nalgorithm = "{algorithm}"\nsecret = "{secret or own}"\n'
        keys = more if "key_file" in more or "no key" in more else keys + more
        server = f'server = "127.0.0.1:{self.relay.port}"\n' if self.named else ""
        sections = "".join(f'[[rfc2136.records]]\nname = "{label}"\ntype = "{kind}"\n' for label, kind in records)
        source = f'["upnp:http://127.0.0.1:{self.gateway}/desc.xml"]'
        path = self.dir / "config.toml"
        path.write_text(f'interval = 0.02\nevents = false\nstate_file = "{self.dir}/state"\nipv4 = {source}\n'
                        f'ipv6 = {source}\n[[rfc2136]]\n{server}'
                        + (f'zone = "{zone}"\n' if zone else "") + keys + sections)
        path.chmod(0o600)
        return path

    def once(self, records, wrapper=(), expect=0, **options):
        """Runs the program once; what it printed is kept."""
        (self.dir / "state").unlink(missing_ok=True)
        env = {"PATH": PATH, "HOME": str(self.dir), "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        done = subprocess.run([*wrapper, *PROGRAM, "--once", self.config(records, **options)], capture_output=True,
                              text=True, env=env, timeout=120)
        self.printed, self.status = done.stderr, done.returncode
        assert done.returncode == expect, (done.returncode, done.stderr)
        assert not any(secret in done.stderr for _, secret in KEYS.values())

    def explain(self, expect, **options):
        """What `explain --online` says of a record; no update is sent by that."""
        done = subprocess.run([*PROGRAM, "explain", "--online", self.config([("held", "A")], **options)],
                              capture_output=True, text=True, env={"PATH": PATH, "HOME": str(self.dir)}, timeout=120)
        # Wrapped at words.
        self.printed = " ".join((done.stdout + done.stderr).split())
        assert done.returncode == expect, (done.returncode, self.printed)
        assert self.relay.updates() == 0, self.relay.opcodes

    def start(self, records, **options):
        """Starts the program; it runs until the test ends."""
        (self.dir / "state").unlink(missing_ok=True)
        log = open(self.dir / "daemon.log", "w", encoding="utf-8")
        env = {"PATH": PATH, "HOME": str(self.dir)}
        self.running.append(subprocess.Popen([*PROGRAM, self.config(records, **options)], stdout=log, stderr=log, env=env))

    def log(self):
        self.printed = (self.dir / "daemon.log").read_text(encoding="utf-8")
        return self.printed

    def says(self, *words):
        for word in words:
            assert word in self.printed, f"{word!r} is not in:\n{self.printed}"

    def holds(self, name, *addresses):
        held = self.server.held(name)
        assert held == list(addresses), (name, held, addresses)
