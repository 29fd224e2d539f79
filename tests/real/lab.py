"""A home network on one machine: hosts, a gateway and a provider in network
namespaces, with the real miniupnpd on nftables in the gateway.

    client ---+                                45.67.89.10
    (host) ---+-- lan0 [ gateway ] wan0 ------ [ provider ]
              192.168.77.0/24       public-looking address, changes

The namespaces have names of their own (`ddl-PID-RANDOM-...`), so runs beside
each other do not meet; what an aborted run left is removed by the next one.
The public-looking addresses exist only inside. Only processes started here are
ended, each by its id. Needs root.
"""

import ctypes
import json
import os
import queue
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

PREFIX = "ddl"
GATEWAY = "192.168.77.1"
CLIENT = "192.168.77.2"
PROVIDER = "45.67.89.10"
# Addresses of the line. All are public and thus acceptable to miniupnpd.
WAN = ["62.141.3.10", "62.141.3.11", "80.12.7.1", "91.4.200.33", "5.44.6.7"]

CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None, use_errno=True)


def wait_for(condition, what, seconds=15):
    """Waits until `condition()` is true and returns its value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.02)


def run(*command, check=True, **options):
    """Runs a command to its end and returns what it printed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, **options)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def _die_with_parent():
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """A process in a namespace, with its output in a file."""

    def __init__(self, namespace, command, log, env=None, stdout=None):
        self.log_path = Path(log)
        self.out_path = Path(stdout) if stdout else self.log_path
        full = ["nsenter", f"--net=/run/netns/{namespace}", *map(str, command)]
        with open(self.log_path, "ab") as err, open(self.out_path, "ab") as out:
            self.popen = subprocess.Popen(
                full, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                env=env, preexec_fn=_die_with_parent, start_new_session=True)
        self.pid = self.popen.pid

    def log(self):
        return self.log_path.read_text(errors="replace")

    def out(self):
        return self.out_path.read_text(errors="replace")

    def alive(self):
        return self.popen.poll() is None

    def send(self, number):
        if self.alive():
            self.popen.send_signal(number)

    def stop(self, number=signal.SIGTERM):
        """Ends it, by force when it does not go; its exit status."""
        self.send(signal.SIGCONT)
        self.send(number)
        try:
            return self.popen.wait(5)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            return self.popen.wait(5)

    def kill(self):
        return self.stop(signal.SIGKILL)


class Lab:
    """The whole network. Use it in a `with` statement."""

    def __init__(self, wan=WAN[0], upnp=True):
        self.first_wan, self.first_upnp = wan, upnp
        self.wan = None
        self.id = f"{PREFIX}-{os.getpid()}-{secrets.token_hex(2)}"
        self.client, self.gateway, self.provider = (f"{self.id}-{end}" for end in ("cl", "gw", "pr"))
        self.namespaces = []
        self.closing = []
        self.upnpd = None

    def __enter__(self):
        self.dir = Path(tempfile.mkdtemp(prefix=f"{self.id}-"))
        try:
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Ends and removes everything, in reverse order."""
        for close in reversed(self.closing):
            close()
        for name in reversed(self.namespaces):
            run("ip", "netns", "del", name, check=False)
        shutil.rmtree(self.dir, ignore_errors=True)

    # -- building ---------------------------------------------------------

    def _build(self):
        remove_leftovers()
        for name in (self.client, self.gateway, self.provider):
            self.add_namespace(name)
        self.ip("gw", "link add lan0 type bridge mcast_snooping 0 forward_delay 0")
        self.ip("gw", f"addr add {GATEWAY}/24 dev lan0", "link set lan0 up", "route add 224.0.0.0/4 dev lan0")
        self.attach(self.client, CLIENT)
        self.ip("cl", f"route add default via {GATEWAY}")
        self.ip("gw", f"link add wan0 type veth peer name wan0 netns {self.provider}", "link set wan0 up")
        self.ip("pr", "link set wan0 up", f"addr add {PROVIDER}/32 dev wan0", "route add default dev wan0")
        self.sysctl(self.gateway, "net.ipv4.ip_forward=1")
        self.nft(self.gateway, FIREWALL + COUNTERS)
        self.set_wan(self.first_wan)
        if self.first_upnp:
            self.start_upnpd()

    def add_namespace(self, name):
        run("ip", "netns", "add", name)
        self.namespaces.append(name)
        # Without IPv6 chatter of the kernel, packet counts mean something.
        self.sysctl(name, "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
        run("ip", "-n", name, "link", "set", "lo", "up")

    def sysctl(self, name, *settings):
        run("nsenter", f"--net=/run/netns/{name}", "sysctl", "-qw", *settings)

    def attach(self, name, address):
        """Plugs a host into the LAN, as its lan0."""
        port = f"p{address.rsplit('.', 1)[1]}"
        self.ip("gw", f"link add {port} type veth peer name lan0 netns {name}",
                f"link set {port} master lan0", f"link set {port} up")
        batch(name, [f"addr add {address}/24 dev lan0", "link set lan0 up", "route add 224.0.0.0/4 dev lan0"])

    def add_host(self, address):
        """One more host in the LAN; the name of its namespace."""
        name = f"{self.id}-h{address.rsplit('.', 1)[1]}"
        self.add_namespace(name)
        self.attach(name, address)
        return name

    def ip(self, end, *commands):
        batch(f"{self.id}-{end}", commands)

    def nft(self, namespace, text):
        run("nsenter", f"--net=/run/netns/{namespace}", "nft", "-f", "-", input=text)

    # -- the gateway -------------------------------------------------------

    def start_upnpd(self, port=5000, igd1=False, namespace=None, lan="lan0", wan="wan0", notify=30):
        """Starts miniupnpd in the gateway (or another namespace); it announces itself every `notify` seconds."""
        conf = self.dir / f"miniupnpd-{secrets.token_hex(3)}.conf"
        conf.write_text(UPNPD_CONF.format(
            lan=lan, wan=wan, port=port, notify=notify, uuid=f"11112222-3333-4444-5555-{secrets.token_hex(6)}",
            igd1="yes" if igd1 else "no", lease=conf.with_suffix(".leases")))
        command = [*WITHOUT_CONSOLE, "miniupnpd", "-d", "-f", conf, "-P", conf.with_suffix(".pid")]
        process = self.start(namespace or self.gateway, command, "miniupnpd")
        self.upnpd = process if namespace is None else self.upnpd
        wait_for(lambda: port in self.listening(namespace or self.gateway), "miniupnpd listens")
        return process

    def listening(self, namespace):
        table = run("nsenter", f"--net=/run/netns/{namespace}", "ss", "-Hltn")
        return {int(line.split()[3].rsplit(":", 1)[1]) for line in table.splitlines()}

    def set_wan(self, address):
        """Changes the address of the line; None takes the line down."""
        commands = [f"addr del {self.wan}/32 dev wan0"] if self.wan else ["link set wan0 up"]
        if address:
            # The route goes with the last address, as it does on a real line.
            commands += [f"addr add {address}/32 dev wan0", "route replace default dev wan0"]
        self.ip("gw", *commands)
        self.wan = address

    def asked(self, counter="asked"):
        """How often the client has turned to the gateway: connections, searches, NAT-PMP.

        The counter `searched` is of the searches alone.
        """
        return self.counted(self.gateway, "watch", counter)

    def counted(self, namespace, table, counter):
        """Packets of a counter of nftables."""
        text = run("nsenter", f"--net=/run/netns/{namespace}", "nft", "-j", "list", "counter", "inet", table, counter)
        return json.loads(text)["nftables"][1]["counter"]["packets"]

    def wait_for_polls(self, count=6, seconds=40):
        """Waits until the client has turned to the gateway `count` more times."""
        before = self.asked()
        wait_for(lambda: self.asked() >= before + count, f"{count} polls of the gateway", seconds)

    # -- processes and sockets ---------------------------------------------

    def start(self, namespace, command, label, **options):
        log = self.dir / f"{label}-{secrets.token_hex(3)}.log"
        process = Process(namespace, command, log, **options)
        self.closing.append(process.kill)
        return process

    def serve(self, namespace, make_server):
        """Makes a server of `socketserver` in a namespace and lets it serve there.

        The thread enters the namespace for good, and the threads it starts for
        connections inherit that.
        """
        made = queue.Queue()

        def serve():
            try:
                enter(namespace)
                server = make_server()
            except OSError as error:
                made.put(error)
                return
            made.put(server)
            server.serve_forever(poll_interval=0.05)

        threading.Thread(target=serve, daemon=True).start()
        server = made.get(timeout=10)
        if isinstance(server, OSError):
            raise server
        self.closing.append(lambda: (server.shutdown(), server.server_close()))
        return server


# Without a syslog miniupnpd writes each line of its log to the console, too. Where that is
# a serial line, a change of address takes it 40 ms and not 5.
WITHOUT_CONSOLE = ["unshare", "--mount", "sh", "-c",
                   'if [ -e /dev/console ]; then mount --bind /dev/null /dev/console; fi; exec "$0" "$@"']

# The chains miniupnpd expects, and NAT.
FIREWALL = """
table inet filter {
  chain miniupnpd { }
  chain prerouting_miniupnpd { }
  chain postrouting_miniupnpd { }
  chain forward { type filter hook forward priority 0; jump miniupnpd; }
  chain prerouting { type nat hook prerouting priority -100; jump prerouting_miniupnpd; }
  chain postrouting {
    type nat hook postrouting priority 100; jump postrouting_miniupnpd;
    oifname "wan0" masquerade;
  }
}
"""

# What the client asks of the gateway: connections, searches, NAT-PMP.
COUNTERS = f"""
table inet watch {{
  counter asked {{ }}
  counter searched {{ }}
  chain input {{
    type filter hook input priority -10;
    ip saddr {CLIENT} tcp flags & (syn | ack) == syn counter name asked;
    ip saddr {CLIENT} udp dport {{ 1900, 5351 }} counter name asked;
    ip saddr {CLIENT} udp dport 1900 counter name searched;
  }}
}}
"""

UPNPD_CONF = """\
ext_ifname={wan}
listening_ip={lan}
http_port={port}
enable_upnp=yes
enable_natpmp=yes
secure_mode=yes
system_uptime=yes
notify_interval={notify}
uuid={uuid}
min_lifetime=120
max_lifetime=86400
lease_file={lease}
force_igd_desc_v1={igd1}
upnp_table_name=filter
upnp_nat_table_name=filter
upnp_forward_chain=miniupnpd
upnp_nat_chain=prerouting_miniupnpd
upnp_nat_postrouting_chain=postrouting_miniupnpd
allow 1024-65535 192.168.77.0/24 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
"""


def enter(namespace):
    """Moves the calling thread into a namespace."""
    with open(f"/run/netns/{namespace}") as handle:
        if libc.setns(handle.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns {namespace}")


def batch(namespace, commands):
    run("ip", "-n", namespace, "-batch", "-", input="\n".join(commands) + "\n")


def remove_leftovers():
    """Removes namespaces and folders whose run has ended without tidying up."""
    for line in run("ip", "netns", "list").splitlines():
        name = line.split()[0]
        if abandoned(name):
            run("ip", "netns", "del", name, check=False)
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}-*"):
        if abandoned(folder.name):
            shutil.rmtree(folder, ignore_errors=True)


def abandoned(name):
    match = re.match(rf"{PREFIX}-(\d+)-", name)
    return match is not None and not Path(f"/proc/{match[1]}").exists()
