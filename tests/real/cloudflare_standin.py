"""A stateful stand-in for the DNS part of Cloudflare's API, behind Prism.

    daemon --TLS--> Front --> Prism (checks against the OpenAPI file) --> Api

Prism holds both the daemon's requests and our answers to the contract
(tests/cloudflare.openapi.json); what it objects to is collected in `violations`.
Prism is taken from target/prism (or $PRISM).

By hand: `python3 cloudflare_standin.py PORT` serves the API without TLS and
Prism on loopback, with the zone example.org; `curl -X PUT --data 'html'
127.0.0.1:PORT/_control` switches a fault on, an empty body switches it off, and
`curl 127.0.0.1:PORT/_control` tells how much was asked and what is stored.
"""

import datetime
import ipaddress
import itertools
import json
import os
import sys
from pathlib import Path
from urllib.parse import urlencode

import servers
from lab import PROVIDER, wait_for

ROOT = Path(__file__).resolve().parents[2]
OPENAPI = ROOT / "tests" / "cloudflare.openapi.json"
PRISM = Path(os.environ.get("PRISM", ROOT / "target" / "prism" / "node_modules" / ".bin" / "prism"))
BASE = "/client/v4"
TOKEN = "lab-token-0123456789"
ZONE = "023e105f4ecef8ad9ca31a8372d0c353"
PRISM_PORT, API_PORT = 4010, 4011
JSON = {"Content-Type": "application/json"}
SETTABLE = ("type", "name", "content", "ttl", "proxied", "comment", "tags", "settings")


class ApiError(Exception):
    """An answer without success."""

    def __init__(self, status, code, message, chain=None):
        super().__init__(message)
        error = {"code": code, "message": message}
        if chain:
            error["error_chain"] = [{"code": code, "message": text} for code, text in chain]
        self.status, self.body = status, {"success": False, "errors": [error], "messages": [], "result": None}


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class Api(servers.Server):
    """Zones and records, and what the API says about them."""

    def __init__(self, address, tls=None):
        super().__init__(address, tls)
        self.zones = {ZONE: "example.org"}
        self.permissions = ["#zone:read", "#dns_records:read", "#dns_records:edit"]
        self.records = {}
        self.ids = (f"{n:032x}" for n in itertools.count(0x372E6795))

    # -- for tests ---------------------------------------------------------

    def add(self, name, kind, content, zone=ZONE, **more):
        """Stores a record and returns its id."""
        record = {"type": kind, "name": name, "content": content, **more}
        return self.create(zone, record)["id"]

    def contents(self, name, kind="A"):
        return [r["content"] for r in self.records.values() if (r["name"], r["type"]) == (name, kind)]

    # -- HTTP --------------------------------------------------------------

    def respond(self, request):
        if request.path == "/_control":
            return self.control(request)
        return super().respond(request)

    def control(self, request):
        if request.method == "PUT":
            self.fault = request.body.strip()
        told = {"fault": self.fault, "requests": len(self.requests), "records": list(self.records.values())}
        return 200, JSON, json.dumps(told) + "\n"

    def faulty_reply(self, fault):
        """`error STATUS CODE` is an envelope; the rest as with any server."""
        kind, *rest = fault.split()
        if kind == "429":
            error = ApiError(429, 10100, "More than 1200 requests per 300 seconds reached")
            return 429, {**JSON, "Retry-After": rest[0]}, json.dumps(error.body)
        if kind == "error":
            error = ApiError(int(rest[0]), int(rest[1]), "Unauthorized to access requested resource")
            return error.status, JSON, json.dumps(error.body)
        return super().faulty_reply(fault)

    def reply(self, request):
        try:
            self.authorize(request)
            with self.lock:
                result, more = self.route(request)
        except ApiError as error:
            return error.status, JSON, json.dumps(error.body)
        body = {"success": True, "errors": [], "messages": [], "result": result, **more}
        return 200, JSON, json.dumps(body)

    def authorize(self, request):
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or not token:
            raise ApiError(400, 6003, "Invalid request headers", [(6111, "Invalid format for Authorization header")])
        if token != TOKEN:
            raise ApiError(403, 9109, "Invalid access token")

    def route(self, request):
        method, parts = request.method, request.path.strip("/").split("/")
        body = json.loads(request.body) if request.body else {}
        match (method, parts):
            case ("GET", ["user", "tokens", "verify"]):
                return {"id": "f" * 32, "status": "active"}, {}
            case ("GET", ["zones"]):
                return self.page(self.find_zones(request.query), request.query, 20)
            case ("GET", ["zones", zone]) if zone in self.zones:
                return {"id": zone, "name": self.zones[zone], "status": "active", "permissions": self.permissions}, {}
            case (_, ["zones", zone, "dns_records", *rest]):
                if zone not in self.zones:
                    raise ApiError(404, 7003, f"Could not route to /zones/{zone}, perhaps your object identifier is invalid?")
                return self.records_route(method, zone, rest, request.query, body)
        raise ApiError(404, 7003, f"Could not route to {request.path}")

    def records_route(self, method, zone, rest, query, body):
        match (method, rest):
            case ("GET", []):
                return self.page(self.find_records(zone, query), query, 100)
            case ("POST", []):
                return self.create(zone, body), {}
            case ("POST", ["batch"]):
                return self.batch(zone, body), {}
            case ("GET", [id]):
                return self.shown(self.known(id)), {}
            case ("PATCH", [id]):
                return self.change(id, body), {}
            case ("PUT", [id]):
                return self.overwrite(id, body), {}
            case ("DELETE", [id]):
                self.known(id)
                del self.records[id]
                return {"id": id}, {}
        raise ApiError(405, 10405, "Method not allowed")

    # -- what it does --------------------------------------------------------

    def find_zones(self, query):
        zones = [{"id": id, "name": name, "status": "active", "type": "full"} for id, name in self.zones.items()]
        return [z for z in zones if query.get("name", z["name"]) == z["name"] and query.get("status", "active") == "active"]

    def find_records(self, zone, query):
        wanted = {key.removesuffix(".exact"): value for key, value in query.items()}
        keys = [key for key in ("type", "name", "content", "comment") if key in wanted]
        found = [r for r in self.records.values() if r["zone"] == zone]
        return [self.shown(r) for r in found if all(str(r[key]).lower() == wanted[key].lower() for key in keys)]

    def page(self, found, query, default):
        number, size = int(query.get("page", 1)), int(query.get("per_page", default))
        part = found[(number - 1) * size:number * size]
        info = {"page": number, "per_page": size, "count": len(part), "total_count": len(found),
                "total_pages": -(-len(found) // size)}
        return part, {"result_info": info}

    def create(self, zone, body):
        record = {"id": next(self.ids), "zone": zone, "created_on": now(), **self.settled(zone, body)}
        for other in self.records.values():
            if other["name"] != record["name"]:
                continue
            if (other["type"], other["content"]) == (record["type"], record["content"]):
                raise ApiError(400, 81058, "An identical record already exists.")
            if "CNAME" in (other["type"], record["type"]):
                raise ApiError(400, 81053, "An A, AAAA, or CNAME record with that host already exists.")
        self.records[record["id"]] = record
        return self.shown(record)

    def change(self, id, body):
        """PATCH: what is not sent stays."""
        record = self.known(id)
        kept = {key: record[key] for key in SETTABLE}
        record.update(self.settled(record["zone"], {**kept, **body}))
        return self.shown(record)

    def overwrite(self, id, body):
        """PUT: what is not sent returns to its default."""
        record = self.known(id)
        record.update(self.settled(record["zone"], body))
        return self.shown(record)

    def batch(self, zone, body):
        """All or nothing, in Cloudflare's order."""
        before = {id: dict(record) for id, record in self.records.items()}
        try:
            return {
                "deletes": [self.shown(self.records.pop(self.known(d["id"])["id"])) for d in body.get("deletes", [])],
                "patches": [self.change(p.pop("id"), p) for p in body.get("patches", [])],
                "puts": [self.overwrite(p.pop("id"), p) for p in body.get("puts", [])],
                "posts": [self.create(zone, p) for p in body.get("posts", [])],
            }
        except ApiError:
            self.records = before
            raise

    def known(self, id):
        if id not in self.records:
            raise ApiError(404, 81044, "Record does not exist.")
        return self.records[id]

    def settled(self, zone, body):
        """The settable fields with Cloudflare's defaults and rules."""
        apex, name = self.zones[zone], body["name"].lower().rstrip(".")
        if name == "@":
            name = apex
        elif name != apex and not name.endswith(f".{apex}"):
            name = f"{name}.{apex}"
        proxied = body.get("proxied", False)
        return {"type": body["type"], "name": name, "content": self.checked(body["type"], body.get("content", "")),
                "ttl": 1 if proxied else body.get("ttl", 1), "proxied": proxied, "comment": body.get("comment"),
                "tags": body.get("tags", []), "settings": body.get("settings", {}), "modified_on": now()}

    def checked(self, kind, content):
        version = {"A": 4, "AAAA": 6}.get(kind)
        try:
            if version and ipaddress.ip_address(content).version != version:
                raise ValueError
        except ValueError:
            raise ApiError(400, 1004, "DNS Validation Error",
                           [(9005, f"Content for {kind} record must be a valid IPv{version} address.")]) from None
        return content

    def shown(self, record):
        shown = {key: value for key, value in record.items() if key != "zone"}
        return {**shown, "proxiable": True, "meta": {}}


class Front(servers.Server):
    """What the daemon talks to: TLS, then Prism, then the API."""

    def __init__(self, address, tls, api):
        super().__init__(address, tls)
        self.api, self.violations = api, []

    def reply(self, request):
        if not request.path.startswith(BASE):
            self.violations.append(f"{request.method} {request.path}: outside {BASE}")
            return 404, {}, ""
        target = request.path.removeprefix(BASE)
        if request.query:
            target += "?" + urlencode(request.query)
        wanted = ("authorization", "content-type", "accept", "user-agent")
        headers = {name: value for name, value in request.headers.items() if name in wanted}
        status, fields, body = servers.ask(PRISM_PORT, request.method, target, headers, request.body)
        self.check(request, fields, body)
        kept = ("content-type", "retry-after")
        return status, {name: value for name, value in fields.items() if name in kept}, body

    def check(self, request, fields, body):
        if "problem+json" in fields.get("content-type", ""):
            self.violations.append(f"{request.method} {request.path}: {body}")
        elif "sl-violations" in fields and not self.api.fault:
            self.violations.append(f"{request.method} {request.path}: {fields['sl-violations']}")

    def writes(self):
        return [request for request in list(self.requests) if request.method != "GET"]


def cloudflare(lab):
    """Starts the whole chain. The result has `api_url`, `ca_file` and `api`."""
    context, ca_file = servers.certificate(lab)
    api = lab.serve(lab.provider, lambda: Api(("127.0.0.1", API_PORT)))
    prism = lab.start(lab.provider, [
        PRISM, "proxy", "--errors", "-h", "127.0.0.1", "-p", str(PRISM_PORT), OPENAPI, f"http://127.0.0.1:{API_PORT}"], "prism")
    wait_for(lambda: "Prism is listening" in prism.log(), "Prism starts", 150)
    front = lab.serve(lab.provider, lambda: Front((PROVIDER, 0), context, api))
    front.api_url, front.ca_file = f"https://{PROVIDER}:{front.port}{BASE}", ca_file
    return front


if __name__ == "__main__":
    by_hand = Api(("127.0.0.1", int(sys.argv[1])))
    by_hand.add("example.org", "A", "192.0.2.1")
    by_hand.serve_forever()
