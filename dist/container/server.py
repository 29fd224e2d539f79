"""A provider for dist/container/test: server.py PORT FILE

Writes the first line of every request to FILE, without the protocol's version,
and says "good".
"""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Provider(BaseHTTPRequestHandler):
    def do_GET(self):
        with open(sys.argv[2], "a", encoding="ascii") as told:
            told.write(f"{self.command} {self.path}\n")
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"good\n")

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Provider)
open(sys.argv[2], "w", encoding="ascii").close()
server.serve_forever()
