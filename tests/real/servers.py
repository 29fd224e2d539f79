"""Web servers that stand for providers: they record what they are asked, and
misbehave on request.

A fault is a short text: `html` (a front-end's 502 page), `429 SECONDS`
(with Retry-After), `status CODE BODY`, `reset`, `silence`, `slow SECONDS`.
None or "" means that the server behaves.
"""

import http.client
import http.server
import socket
import socketserver
import ssl
import struct
import sys
import threading
import time
import traceback
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from lab import PROVIDER, run

HTML = "<html><head><title>502 Bad Gateway</title></head><body>good nochg</body></html>"


@dataclass
class Request:
    """What a server was asked."""

    method: str
    path: str
    query: dict
    headers: dict
    body: str
    peer: str = ""
    at: float = field(default_factory=time.monotonic)
    status: int = 0


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Records requests; subclasses say what to answer."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self, address, tls=None):
        self.requests, self.fault = [], None
        self.lock, self.closed = threading.Lock(), threading.Event()
        super().__init__(address, Handler)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.server_address[1]

    def server_close(self):
        self.closed.set()
        super().server_close()

    def handle_error(self, request, client_address):
        """Peers that vanish are part of the tests; faults of ours are not."""
        if not isinstance(sys.exc_info()[1], OSError):
            traceback.print_exc(file=sys.stdout)

    def reply(self, request):
        """The status, headers and body for a request."""
        raise NotImplementedError

    def faulty_reply(self, fault):
        kind, _, rest = fault.partition(" ")
        if kind == "html":
            return 502, {"Content-Type": "text/html"}, HTML
        if kind == "429":
            return 429, {"Content-Type": "text/plain", "Retry-After": rest}, "slow down"
        if kind == "status":
            code, _, body = rest.partition(" ")
            return int(code), {"Content-Type": "text/plain"}, body
        raise ValueError(fault)

    def respond(self, request):
        """What to answer, faults included; None: nothing at all."""
        fault = self.fault or ""
        with self.lock:
            self.requests.append(request)
        if fault == "silence":
            self.closed.wait(120)
            return None
        if fault == "reset":
            return None
        if fault.startswith("slow "):
            time.sleep(float(fault.split()[1]))
            fault = ""
        answer = self.faulty_reply(fault) if fault else self.reply(request)
        request.status = answer[0]
        return answer


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 130

    def handle_one(self):
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length).decode(errors="replace")
        url = urlsplit(self.path)
        query = {key: values[-1] for key, values in parse_qs(url.query, keep_blank_values=True).items()}
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.server.respond(Request(self.command, url.path, query, headers, body, self.client_address[0]))
        if answer is None:
            return self.reset()
        self.answer(*answer)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_one
    do_SUBSCRIBE = do_UNSUBSCRIBE = handle_one

    def answer(self, status, headers, body):
        body = body.encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def reset(self):
        self.close_connection = True
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()

    def log_message(self, *_):
        pass


class Provider(Server):
    """A provider with an update URL; `answer` is what it says to each request."""

    def __init__(self, address, tls=None):
        super().__init__(address, tls)
        self.answer = (200, {"Content-Type": "text/plain"}, "good")

    def reply(self, request):
        return self.answer

    def values(self, name="ip"):
        """What the requests said for a query key, in order."""
        return [request.query.get(name) for request in list(self.requests)]


def provider(lab, tls=None):
    """Starts a provider in the provider's namespace; its `url` ends in `?ip=`."""
    server = lab.serve(lab.provider, lambda: Provider((PROVIDER, 0), tls))
    server.base = f"{'https' if tls else 'http'}://{PROVIDER}:{server.port}"
    server.url = f"{server.base}/update?ip="
    return server


EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
RSA = ("-newkey", "rsa:2048", "-nodes")


def certificate(lab, name=".", key=EC, names=()):
    """A test CA with a certificate for the provider's address and `names`; server context, CA file.

    They are in the folder `name` of the lab's.
    """
    folder = lab.dir / name
    folder.mkdir(exist_ok=True)
    run("openssl", "req", "-x509", *key, "-days", "30", "-subj", "/CN=lab CA", "-keyout", "ca.key", "-out", "ca.pem",
        "-addext", "keyUsage=critical,keyCertSign", cwd=folder)
    subject = ",".join([f"IP:{PROVIDER}", *(f"DNS:{host}" for host in names)])
    sign(folder, "server", key, f"subjectAltName={subject}\nbasicConstraints=CA:FALSE\n")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    return context, folder / "ca.pem"


def sign(folder, name, key, extensions):
    """A key `name.key` and its certificate `name.pem` by the CA in this folder."""
    run("openssl", "req", *key, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr", cwd=folder)
    (folder / f"{name}.ext").write_text(extensions)
    run("openssl", "x509", "-req", "-days", "30", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
        "-CAcreateserial", "-extfile", f"{name}.ext", "-out", f"{name}.pem", cwd=folder)


def ask(port, method, target, headers, body=""):
    """One HTTP request to this namespace's loopback; status, headers, body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, target, body=body or None, headers=headers)
        response = connection.getresponse()
        fields = {name.lower(): value for name, value in response.getheaders()}
        return response.status, fields, response.read().decode(errors="replace")
    finally:
        connection.close()
