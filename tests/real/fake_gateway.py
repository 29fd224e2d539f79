"""A gateway made of three small servers: SSDP, description with SOAP, NAT-PMP.

For what miniupnpd will not do: tell a private address, lie, answer for
somebody else. It serves in any namespace, so it can be the gateway or a
stranger in the LAN.
"""

import ipaddress
import re
import socket
import socketserver
import struct
import time

import servers

GROUP = "239.255.255.250"
HTTP_PORT = 5000

DESCRIPTION = """<?xml version="1.0"?>
<root xmlns="urn:schemas-upnp-org:device-1-0"><specVersion><major>1</major><minor>0</minor></specVersion>
<device><deviceType>urn:schemas-upnp-org:device:InternetGatewayDevice:1</deviceType>
<friendlyName>fake gateway</friendlyName><manufacturer>lab</manufacturer><modelName>fake</modelName>
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
<errorCode>401</errorCode><errorDescription>Invalid Action</errorDescription></UPnPError></detail></s:Fault></s:Body>
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
            return 500, xml, FAULT
        self.answered += 1
        return 200, xml, ANSWER.format(self.external)


class Ssdp(socketserver.UDPServer):
    """Answers every search at once, whatever it is for."""

    allow_reuse_address = True

    def __init__(self, address):
        super().__init__(("0.0.0.0", 1900), SsdpHandler)
        self.address, self.searches = address, 0
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
                  f"LOCATION: http://{self.server.address}:{HTTP_PORT}/desc.xml\r\n\r\n")
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
        self.ssdp = lab.serve(namespace, lambda: Ssdp(address))
        self.natpmp = lab.serve(namespace, lambda: NatPmp(address)) if natpmp else None
        self.tell(external, natpmp)

    def tell(self, external, natpmp=None):
        self.soap.external = external
        if natpmp:
            self.natpmp.external = natpmp
