"""The house that a program is started in: the network of tests/real, and in it
every kind of target.

The provider has a plain web server, one with TLS 1.3 that wants a client's
certificate, one with TLS 1.2 and RSA, one whose CA nobody trusts, a stand-in for
Cloudflare's API and a dyndns2 server. BIND is real; it serves the client's
loopback. And there is a program to be run.
"""

import ssl
from concurrent.futures import ThreadPoolExecutor

import cloudflare_standin
import daemon
import name_servers
import servers
import state_file
from cloudflare_standin import TOKEN, ZONE
from lab import PROVIDER, enter, wait_for

# For what an emulated program has to do on a machine that does much else.
PATIENCE = 120
HOST = "host.home.example"
USER, PASSWORD = "lab", "p4ss word"
# The names in BIND's zone, by transport, and the keys that they are signed by.
DNS = {"tcp": ("home", "good.key"), "udp": ("nas", "strong.key")}
# What is kept in the state file when all of them have the address.
TARGETS = 8


def soon(condition, what):
    """Waits until `condition()` is true and returns its value."""
    return wait_for(condition, what, PATIENCE)


class House:
    """All targets in a network; `system` is what the program believes to run on."""

    def __init__(self, lab, system):
        self.lab, self.system = lab, system
        self.hook = system.hook(lab)
        self.running = None
        self._serve_web()
        self._serve_names()

    def _serve_web(self):
        lab = self.lab
        modern, modern_ca = servers.certificate(lab, "modern")
        modern.minimum_version = ssl.TLSVersion.TLSv1_3
        modern.verify_mode = ssl.CERT_REQUIRED
        modern.load_verify_locations(modern_ca)
        servers.sign(modern_ca.parent, "client", servers.EC, "extendedKeyUsage=clientAuth\nbasicConstraints=CA:FALSE\n")
        old, old_ca = servers.certificate(lab, "old", servers.RSA)
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        api, api_ca = servers.certificate(lab, "api")
        stranger, _ = servers.certificate(lab, "stranger")
        self.trusted = lab.dir / "trusted.pem"
        self.trusted.write_text("".join(ca.read_text() for ca in (modern_ca, old_ca, api_ca)))
        self.plain, self.dyndns = servers.provider(lab), servers.provider(lab)
        self.tls13, self.tls12 = servers.provider(lab, modern), servers.provider(lab, old)
        self.stranger = servers.provider(lab, stranger)
        self.api = lab.serve(lab.provider, lambda: cloudflare_standin.Api((PROVIDER, 0), api))
        self.api.add("example.org", "A", "62.9.9.9", ttl=300, comment="by hand")

    def _serve_names(self):
        # A child ends with the thread that made it, so the thread stays.
        self.inside = ThreadPoolExecutor(1, initializer=enter, initargs=(self.lab.client,))
        self.lab.closing.append(self.inside.shutdown)
        self.bind = self.inside.submit(name_servers.Bind, self.lab.dir).result()
        self.lab.closing.append(self.bind.kill)

    def close_process(self):
        """Ends the program that runs, as an init system would; its exit status."""
        running, self.running = self.running, None
        return running.stop() if running else None

    # -- the configuration -------------------------------------------------------

    def config(self, **top):
        """A configuration with every target."""
        modern = self.lab.dir / "modern"
        keys = {"ca_file": self.trusted, "client_cert": modern / "client.pem", "client_key": modern / "client.key"}
        tls = "[tls]\nbuiltin_roots = false\n" + "".join(f'{key} = "{path}"\n' for key, path in keys.items())
        urls = {"plain": self.plain, "tls13": self.tls13, "tls12": self.tls12, "stranger": self.stranger}
        sections = tls + "".join(daemon.url_section(server.url, f'name = "{name}"') for name, server in urls.items())
        sections += self._account() + "".join(map(self._zone, DNS)) + self.hook.section("{ipv4}")
        return daemon.write_config(self.lab, sections, **top)

    def _account(self):
        return (f'[cloudflare]\napi_token = "{TOKEN}"\napi_url = "https://{PROVIDER}:{self.api.port}"\nzone_id = "{ZONE}"\n'
                '[[cloudflare.records]]\nname = "@"\ntype = "A"\n'
                f'[[dyndns]]\nurl = "{self.dyndns.base}/nic/update"\nhostname = "{HOST}"\n'
                f'username = "{USER}"\npassword = "{PASSWORD}"\n')

    def _zone(self, transport):
        name, key = DNS[transport]
        algorithm, secret = name_servers.KEYS[key]
        return (f'[[rfc2136]]\nserver = "127.0.0.1:{self.bind.port}"\nzone = "{name_servers.ZONE}"\ntransport = "{transport}"\n'
                f'key = "{key}"\nalgorithm = "{algorithm}"\nsecret = "{secret}"\n'
                f'[[rfc2136.records]]\nname = "{name}"\ntype = "A"\n')

    # -- the program --------------------------------------------------------------

    def start(self, config, *args):
        self.running = daemon.start(self.lab, config, *args, **self.system.environment)
        return self.running

    def command(self, *args):
        """Runs the program to its end: its exit status, what it printed, what it logged."""
        return daemon.command(self.lab, *args, seconds=PATIENCE, **self.system.environment)

    # -- what has arrived -----------------------------------------------------------

    def held(self, transport):
        """The addresses of a name in BIND's zone."""
        return self.inside.submit(self.bind.held, DNS[transport][0]).result()

    def arrived(self):
        """What each target has been told, in order, or holds."""
        told = {name: getattr(self, name).values() for name in ("plain", "tls13", "tls12")}
        told["dyndns2"], told["program"] = self.dyndns.values("myip"), self.hook.args()
        told["Cloudflare"] = self.api.contents("example.org")
        return told | {f"BIND, {transport}": self.held(transport) for transport in DNS}

    def state(self):
        """The text of the state file."""
        path = self.lab.dir / "state"
        return path.read_text() if path.exists() else ""

    def settled(self, address):
        """Whether the state file says that every target has the address."""
        return state_file.holding(self.state(), f"{address},-,-") == TARGETS
