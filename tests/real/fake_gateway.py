"""A gateway made of three small servers: SSDP, description with SOAP, NAT-PMP.

For what miniupnpd will not do: tell a private address, lie, answer for
somebody else. It serves in any namespace, so it can be the gateway or a
stranger in the LAN. `AvmGateway` has AVM's actions for IPv6 and sends events.
"""

import http.client
import ipaddress
import re
import socket
import socketserver
import struct
import threading
import time
import uuid
from urllib.parse import urlsplit

import servers
from lab import enter

GROUP = "239.255.255.250"
HTTP_PORT = 5000
AVM_PORT = 49000

DESCRIPTION = """<?xml version="1.0"?>
<root xmlns="urn:schemas-upnp-org:device-1-0"><specVersion><major>1</major><minor>0</minor></specVersion>
<device><deviceType>urn:schemas-upnp-org:device:InternetGatewayDevice:1</deviceType>
<friendlyName>fake gateway</friendlyName><manufacturer>AVM Berlin</manufacturer><modelName>FRITZ!Box 7590</modelName>
<UDN>uuid:00000000-0000-0000-0000-000000000001</UDN><deviceList>
<device><deviceType>urn:schemas-upnp-org:device:WANDevice:1</deviceType><friendlyName>WAN</friendlyName>
<UDN>uuid:00000000-0000-0000-0000-000000000002</UDN><deviceList>
<device><deviceType>urn:schemas-upnp-org:device:WANConnectionDevice:1</deviceType><friendlyName>line</friendlyName>
<UDN>uuid:00000000-0000-0000-0000-000000000003</UDN><serviceList>
<service><serviceType>urn:schemas-upnp-org:service:WANIPConnection:1</serviceType>
<serviceId>urn:upnp-org:serviceId:WANIPConn1</serviceId><SCPDURL>/scpd.xml</SCPDURL>
<controlURL>/control</controlURL><eventSubURL>/event</eventSubURL></service>
</serviceList></device></deviceList></device></deviceList></device></root>
"""

# 1.0.1 fetches this and calls only what it lists.
SCPD = """<?xml version="1.0"?>
<scpd xmlns="urn:schemas-upnp-org:service-1-0"><specVersion><major>1</major><minor>0</minor></specVersion>
<actionList><action><name>GetExternalIPAddress</name><argumentList><argument><name>NewExternalIPAddress</name>
<direction>out</direction><relatedStateVariable>ExternalIPAddress</relatedStateVariable></argument></argumentList>
</action></actionList><serviceStateTable><stateVariable sendEvents="yes"><name>ExternalIPAddress</name>
<dataType>string</dataType></stateVariable></serviceStateTable></scpd>
"""

ANSWER = """<?xml version="1.0"?>
<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/">
<s:Body><u:GetExternalIPAddressResponse xmlns:u="urn:schemas-upnp-org:service:WANIPConnection:1">
<NewExternalIPAddress>{}</NewExternalIPAddress></u:GetExternalIPAddressResponse></s:Body></s:Envelope>
"""

FAULT = """<?xml version="1.0"?>
<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Client</faultcode>
<faultstring>UPnPError</faultstring><detail><UPnPError xmlns="urn:schemas-upnp-org:control-1-0">
<errorCode>{}</errorCode><errorDescription>{}</errorDescription></UPnPError></detail></s:Fault></s:Body>
</s:Envelope>
"""


class Soap(servers.Server):
    """Description and control; `external` is the address it claims."""

    external = ""
    answered = 0

    def reply(self, request):
        xml = {"Content-Type": "text/xml"}
        pages = {"/desc.xml": DESCRIPTION, "/scpd.xml": SCPD}
        if request.path in pages:
            return 200, xml, pages[request.path]
        if "GetExternalIPAddress" not in request.headers.get("soapaction", ""):
            return 500, xml, FAULT.format(401, "Invalid Action")
        self.answered += 1
        return 200, xml, ANSWER.format(self.external)


class Ssdp(socketserver.UDPServer):
    """Answers every search at once, whatever it is for."""

    allow_reuse_address = True

    def __init__(self, address, location):
        super().__init__(("0.0.0.0", 1900), SsdpHandler)
        self.location, self.searches = location, 0
        membership = socket.inet_aton(GROUP) + socket.inet_aton(address)
        self.socket.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)


class SsdpHandler(socketserver.BaseRequestHandler):
    def handle(self):
        data, sock = self.request
        target = re.search(rb"(?im)^ST:\s*(\S+)", data)
        if not data.startswith(b"M-SEARCH") or not target:
            return
        self.server.searches += 1
        answer = (f"HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=120\r\nEXT:\r\nST: {target[1].decode()}\r\n"
                  f"USN: uuid:00000000-0000-0000-0000-000000000001::{target[1].decode()}\r\nSERVER: lab/1 UPnP/1.1 fake/1\r\n"
                  f"LOCATION: {self.server.location}\r\n\r\n")
        sock.sendto(answer.encode(), self.client_address)


class NatPmp(socketserver.UDPServer):
    """Tells `external` by NAT-PMP (RFC 6886, section 3.2)."""

    allow_reuse_address = True
    external = "0.0.0.0"

    def __init__(self, address):
        super().__init__((address, 5351), NatPmpHandler)
        self.answered, self.started = 0, time.monotonic()


class NatPmpHandler(socketserver.BaseRequestHandler):
    def handle(self):
        data, sock = self.request
        if data != b"\0\0":
            return
        self.server.answered += 1
        epoch = int(time.monotonic() - self.server.started)
        address = ipaddress.IPv4Address(self.server.external).packed
        sock.sendto(struct.pack("!BBHI", 0, 128, 0, epoch) + address, self.client_address)


class FakeGateway:
    """All three at one address of the LAN."""

    def __init__(self, lab, namespace, address, external, natpmp=None):
        self.soap = lab.serve(namespace, lambda: Soap((address, HTTP_PORT)))
        self.ssdp = lab.serve(namespace, lambda: Ssdp(address, f"http://{address}:{HTTP_PORT}/desc.xml"))
        self.natpmp = lab.serve(namespace, lambda: NatPmp(address)) if natpmp else None
        self.tell(external, natpmp)

    def tell(self, external, natpmp=None):
        self.soap.external = external
        if natpmp:
            self.natpmp.external = natpmp


# -- AVM --------------------------------------------------------------------

AVM_PATH = "/igdupnp/control/WANIPConn1"
AVM_DESCRIPTION = DESCRIPTION.replace(
    "<controlURL>/control</controlURL><eventSubURL>/event</eventSubURL>",
    f"<controlURL>{AVM_PATH}</controlURL><eventSubURL>{AVM_PATH}</eventSubURL>")

AVM_ANSWER = """<?xml version="1.0"?>
<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/">
<s:Body><u:{action}Response xmlns:u="urn:schemas-upnp-org:service:WANIPConnection:1">{arguments}</u:{action}Response>
</s:Body></s:Envelope>
"""

EVENT = """<?xml version="1.0"?>
<e:propertyset xmlns:e="urn:schemas-upnp-org:event-1-0"><e:property><ExternalIPAddress>{}</ExternalIPAddress></e:property>
</e:propertyset>
"""


class AvmSoap(servers.Server):
    """What a router by AVM tells of its line; the values are attributes."""

    external = ipv6 = prefix = ""
    length, valid, preferred = 56, 7200, 3600
    # The UPnP error, number and text, with which both IPv6 actions fail.
    ipv6_fault = None

    def __init__(self, address, namespace):
        self.namespace, self.actions, self.subscribers, self.events = namespace, [], {}, 0
        super().__init__(address)

    def reply(self, request):
        xml = {"Content-Type": "text/xml"}
        if request.method in ("SUBSCRIBE", "UNSUBSCRIBE"):
            return self.subscription(request)
        if request.path == "/igddesc.xml":
            return 200, xml, AVM_DESCRIPTION
        action = request.headers.get("soapaction", "").strip('"').partition("#")[2]
        self.actions.append(action)
        fault = self.ipv6_fault if action.startswith("X_AVM_DE_") else None
        lifetimes = {"NewPrefixLength": self.length, "NewValidLifetime": self.valid, "NewPreferedLifetime": self.preferred}
        arguments = {
            "GetExternalIPAddress": {"NewExternalIPAddress": self.external},
            "X_AVM_DE_GetExternalIPv6Address": {"NewExternalIPv6Address": self.ipv6, **lifetimes},
            "X_AVM_DE_GetIPv6Prefix": {"NewIPv6Prefix": self.prefix, **lifetimes},
        }.get(action)
        if fault or not arguments:
            return 500, xml, FAULT.format(*(fault or (401, "Invalid Action")))
        text = "".join(f"<{name}>{value}</{name}>" for name, value in arguments.items())
        return 200, xml, AVM_ANSWER.format(action=action, arguments=text)

    def subscription(self, request):
        sid = request.headers.get("sid")
        if request.method == "UNSUBSCRIBE":
            return (200 if self.subscribers.pop(sid, None) else 412), {}, ""
        if sid is None:
            sid = f"uuid:{uuid.uuid4()}"
            self.subscribers[sid] = [request.headers["callback"].strip("<>"), 0]
            # The first event may come before the answer that it follows.
            self.notify(sid)
        elif sid not in self.subscribers:
            return 412, {}, ""
        return 200, {"SID": sid, "TIMEOUT": "Second-1800"}, ""

    def notify(self, sid):
        """Sends an event, in its own time."""
        callback, number = self.subscribers[sid]
        self.subscribers[sid][1] += 1
        url, body = urlsplit(callback), EVENT.format(self.external)

        def send():
            enter(self.namespace)
            connection = http.client.HTTPConnection(url.hostname, url.port, timeout=20)
            try:
                connection.request("NOTIFY", url.path, body=body, headers={
                    "Content-Type": "text/xml", "NT": "upnp:event", "NTS": "upnp:propchange", "SID": sid, "SEQ": str(number)})
                self.events += connection.getresponse().status == 200
            except OSError:
                pass
            finally:
                connection.close()

        threading.Thread(target=send, daemon=True).start()


class AvmGateway:
    """A router by AVM at one address of the LAN, with events and, if wanted, SSDP."""

    def __init__(self, lab, namespace, address, ssdp=False, **values):
        self.description = f"http://{address}:{AVM_PORT}/igddesc.xml"
        self.soap = lab.serve(namespace, lambda: AvmSoap((address, AVM_PORT), namespace))
        self.ssdp = lab.serve(namespace, lambda: Ssdp(address, self.description)) if ssdp else None
        self.tell(**values)

    def tell(self, **values):
        """Changes what it says, silently."""
        for name, value in values.items():
            assert hasattr(self.soap, name), name
            setattr(self.soap, name, value)

    def change(self, **values):
        """Changes what it says and sends events; when that was."""
        self.tell(**values)
        at = time.monotonic()
        for sid in list(self.soap.subscribers):
            self.soap.notify(sid)
        return at

    def asked(self, action):
        return self.soap.actions.count(action)
