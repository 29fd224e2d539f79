"""The network of the benchmark: a home behind the real miniupnpd, and on its
other side the servers that the programs ask and update.

Names stand in an /etc/hosts that only the measured program sees (a mount
namespace of its own), so no program pays for looking names up. Neighbours are
fixed and the gateway announces itself only when it starts: what passes the
client's interface is the program's own traffic.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "real"))

import servers  # noqa: E402
from lab import CLIENT, GATEWAY, PROVIDER, WAN, Lab, run, wait_for  # noqa: E402

UPDATE, ECHO = "update.example.net", "checkip.example.net"
# What cloudflare-ddns has compiled in.
CLOUDFLARE, ICANHAZIP = "api.cloudflare.com", "ipv4.icanhazip.com"
NAMES = (UPDATE, ECHO, CLOUDFLARE, ICANHAZIP)
# The interface of the gateway's line.
LINE = "wan0"
# The name that is kept; inadyn looks up what it holds.
HOST = "home.example.net"
TEXT, JSON = {"Content-Type": "text/plain"}, {"Content-Type": "application/json"}
# miniupnpd then speaks unasked only at its start.
SILENT = 3600
# Long enough for a sampler to see the memory of an update under way.
ANSWER_AFTER = 0.3


def hosts_file():
    return f"127.0.0.1 localhost\n192.0.2.1 {HOST}\n" + "".join(f"{PROVIDER} {name}\n" for name in NAMES)


def end_group(pid):
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


class Standin(servers.Server):
    """Takes updates, as a dyndns2 service and as Cloudflare; tells who asks for its address."""

    def __init__(self, address, tls=None):
        super().__init__(address, tls)
        self.updates, self.echoes, self.patience = [], [], 0

    def reply(self, request):
        if request.path == "/":
            self.echoes.append(request)
            return 200, TEXT, request.peer + "\n"
        if request.path.startswith("/client/v4/"):
            return self.cloudflare(request)
        return self.updated(request, request.query.get("ip") or request.query.get("myip"), TEXT, "good {}\n")

    def cloudflare(self, request):
        envelope = {"success": True, "errors": [], "messages": []}
        if request.method == "GET":
            return 200, JSON, json.dumps({**envelope, "result": [{"id": "0" * 32}]})
        body = json.dumps({**envelope, "result": {"id": "0" * 32}})
        return self.updated(request, json.loads(request.body)["content"], JSON, body.replace("{", "{{").replace("}", "}}"))

    def updated(self, request, address, headers, answer):
        request.told = address
        self.updates.append(request)
        time.sleep(self.patience)
        return 200, headers, answer.format(address)


class Network(Lab):
    """The lab with the servers of the benchmark; for one program at a time."""

    def __enter__(self):
        self.first_upnp = False
        super().__enter__()
        try:
            self._furnish()
        except BaseException:
            self.close()
            raise
        return self

    def _furnish(self):
        self.start_upnpd(notify=SILENT)
        self._fix_neighbours()
        tls, self.ca_file = servers.certificate(self, names=NAMES)
        self.https = self.serve(self.provider, lambda: Standin((PROVIDER, 443), tls))
        self.http = self.serve(self.provider, lambda: Standin((PROVIDER, 80)))
        hosts = self.dir / "hosts"
        hosts.write_text(hosts_file())
        self._keep_mounts(hosts)

    def _fix_neighbours(self):
        for end, device, peer, others in (("cl", "lan0", "gw", [GATEWAY]), ("gw", "lan0", "cl", [CLIENT]),
                                          ("gw", LINE, "pr", [PROVIDER]), ("pr", "wan0", "gw", WAN)):
            mac = run("ip", "-n", f"{self.id}-{peer}", "-br", "link", "show", "dev", device).split()[2]
            self.ip(end, *(f"neigh replace {other} lladdr {mac} dev {device} nud permanent" for other in others))

    def _keep_mounts(self, hosts):
        """Starts what keeps a mount namespace, and waits until its /etc/hosts is ours."""
        ready = self.dir / "mounted"
        script = 'mount --bind "$0" /etc/hosts && touch "$1" && exec sleep infinity'
        holder = self.start(self.client, ["unshare", "--mount", "sh", "-c", script, hosts, ready], "mounts")
        wait_for(ready.exists, "/etc/hosts is in place")
        self.mounts = ["nsenter", f"--target={holder.pid}", "--mount"]

    def launch(self, command, label, tracer=(), on_router=False, **environment):
        """Starts a program in the client or the gateway, with the hosts above, under a tracer if one is given."""
        env = {"PATH": os.environ["PATH"], "HOME": str(self.dir), "STATE_DIRECTORY": str(self.dir), **environment}
        process = self.start(self.gateway if on_router else self.client, [*self.mounts, *tracer, *command], label, env=env)
        # A tracer that is killed lets go of its program: end all of them.
        self.closing.append(lambda: end_group(process.pid))
        return process

    def updates(self):
        """The addresses that were sent, in order, by whichever way."""
        return self.https.updates + self.http.updates

    def echoes(self):
        return len(self.https.echoes) + len(self.http.echoes)

    def counters(self, on_router=False):
        """Packets and bytes of the program's interface so far, both directions."""
        namespace, device = (self.gateway, LINE) if on_router else (self.client, "lan0")
        text = run("nsenter", f"--net=/run/netns/{namespace}", "cat", "/proc/net/dev")
        fields = [int(n) for n in text.split(f"{device}:")[1].split("\n")[0].split()]
        return fields[1] + fields[9], fields[0] + fields[8]
