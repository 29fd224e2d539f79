"""What the tests of the .deb and of the .rpm share: steps that build on each
other, and the service in the network of tests/real.

The gateway is a real miniupnpd that hears no multicast, so it is found only by
the default route. The targets: a server over HTTP, one over HTTPS with a CA of
our own and a token, one that follows the host's own interface, and a program.
"""

import sys
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "real"))

from lab import WAN, wait_for  # noqa: E402
from servers import certificate, provider  # noqa: E402

UNIT = "ddns-update-daemon"
CONFIG = f"/etc/{UNIT}.toml"
DROP_IN = f"/etc/systemd/system/{UNIT}.service.d/credentials.conf"
STATE = f"/var/lib/private/{UNIT}"
TOKEN = "s3cret-0f-the-test"

# Searches by multicast reach no gateway.
UNICAST_ONLY = """
table inet unicast {
  chain input { type filter hook input priority -20; ip daddr 239.255.255.250 drop; }
}
"""

# Tells what it may do, once for each address.
PROGRAM = """#!/bin/sh
try() {
    name=$1
    shift
    if "$@" >/dev/null 2>&1; then echo "$name: allowed"; else echo "$name: denied"; fi
}
{
    echo "address: $1"
    echo "user: $(id -u)"
    try "local sockets" logger hello
    try "writing to /etc" touch /etc/probe
    try "writing to /usr" touch /usr/probe
    try "reading the configuration" cat /etc/ddns-update-daemon.toml
    try "reading /etc/shadow" cat /etc/shadow
    try "namespaces" unshare --user true
    try "mounts" mount -t tmpfs none /mnt
    try "raising its priority" renice -n -5 -p $$
    try "block devices" ls /dev/vda /dev/sda
    try "processes of others" cat /proc/1/status
    try "kernel's log" dmesg
    try "kernel's settings" cat /proc/sys/kernel/hostname
    try "temporary files" touch /tmp/probe
} >"$STATE_DIRECTORY/program.new"
mv "$STATE_DIRECTORY/program.new" "$STATE_DIRECTORY/program.txt"
"""


class Steps:
    """Runs steps in order and counts them."""

    def __init__(self):
        self.passed = self.failed = 0

    def run(self, step, *arguments):
        name = step.__name__.replace("_", " ")
        try:
            step(*arguments)
        except Exception:
            self.failed += 1
            print(f"FAILED {name}")
            traceback.print_exc(file=sys.stdout)
        else:
            self.passed += 1
            print(f"ok {name}", flush=True)

    def finish(self):
        """The exit status, after the last line."""
        print(f"{self.passed} passed, {self.failed} failed")
        return 1 if self.failed else 0


class Service:
    """The installed service on a machine, and the servers it talks to."""

    def __init__(self, lab, machine):
        self.lab, self.machine = lab, machine
        context, self.ca = certificate(lab)
        self.plain, self.tls, self.own = provider(lab), provider(lab, context), provider(lab)
        lab.nft(lab.gateway, UNICAST_ONLY)

    def configuration(self):
        return f"""[tls]
ca_file = "ca.pem"

[[urls]]
name = "plain"
url = "{self.plain.url}{{ipv4}}"

[[dyndns]]
url = "{self.tls.base}/update?host={{host}}&key={{token}}&ip={{ip}}"
hostname = "home.example.org"
token_file = "home.token"

[[urls]]
name = "own"
url = "{self.own.url}{{ipv4}}"
ipv4 = ["interface"]
allow_private = true

[[runs]]
cmd = ["/usr/local/bin/on-new-address", "{{ipv4}}"]
"""

    def configure(self):
        """Writes what an administrator would: configuration, secrets, drop-in."""
        machine = self.machine
        machine.write(CONFIG, self.configuration(), 0o600)
        machine.write("/etc/ddns/home.token", TOKEN + "\n", 0o600)
        machine.write("/etc/ddns/ca.pem", self.ca.read_text(), 0o600)
        machine.write("/usr/local/bin/on-new-address", PROGRAM, 0o755)
        machine.write(DROP_IN, "[Service]\nLoadCredential=home.token:/etc/ddns/home.token\n"
                               "LoadCredential=ca.pem:/etc/ddns/ca.pem\n")
        machine.type(f"stat -c '%A %U:%G %n' {CONFIG} /etc/ddns/home.token")
        machine.type(f"cat {DROP_IN}")
        machine.type("systemctl daemon-reload")

    def show(self, what):
        return self.machine.read(f"systemctl show --value -p {what} {UNIT}")

    def is_active(self):
        return self.show("ActiveState") == "active"

    def wait_for_updates(self, address, seconds=20):
        """Waits until all that follow the router have the address."""
        wait_for(lambda: self.plain.values()[-1:] == [address], f"{address} arrives by HTTP", seconds)
        wait_for(lambda: self.tls.values()[-1:] == [address], f"{address} arrives by HTTPS", seconds)
        wait_for(lambda: f"address: {address}\n" in self.told(), f"the program is called for {address}", seconds)

    def told(self):
        """What the program has told last."""
        file = self.machine.root / STATE.lstrip("/") / "program.txt"
        return file.read_text() if file.exists() else ""

    def sent(self):
        """How many requests have arrived at all."""
        return len(self.plain.requests) + len(self.tls.requests) + len(self.own.requests)

    def journal(self, more=""):
        return self.machine.read(f"journalctl --no-hostname -o cat -u {UNIT} {more}")

    def process(self, field):
        """A field of the daemon's /proc/PID/status."""
        text = self.machine.read(f"cat /proc/{self.show('MainPID')}/status")
        return next(line.split()[1] for line in text.splitlines() if line.startswith(f"{field}:"))

    def stays_silent(self, act):
        """Whatever `act` does, a new daemon runs after it, looks, and sends nothing."""
        sent, asked, process = self.sent(), self.lab.asked(), self.show("MainPID")
        act()
        wait_for(lambda: self.is_active() and self.show("MainPID") not in ("0", process), "a new daemon runs", 20)
        wait_for(lambda: self.lab.asked() > asked, "it asks the gateway")
        # What it would send would be on its way within milliseconds.
        time.sleep(1)
        assert self.sent() == sent, "something was sent"


def allowed(told):
    """What a program could do of all that it tried."""
    lines = [line.rpartition(": ") for line in told.splitlines()]
    tried = {name: answer for name, _, answer in lines if answer in ("allowed", "denied")}
    assert len(tried) == PROGRAM.count("    try "), told
    return {name for name, answer in tried.items() if answer == "allowed"}


# -- steps that both have ------------------------------------------------------

def a_change_at_the_router_is_published_at_once(service):
    service.lab.set_wan(WAN[1])
    service.wait_for_updates(WAN[1])


def the_sandbox_is_enforced(service):
    facts = {field: service.process(field) for field in ("Uid", "NoNewPrivs", "Seccomp", "CapBnd", "CapEff")}
    user = facts.pop("Uid")
    expected = {"NoNewPrivs": "1", "Seccomp": "2", "CapBnd": "0" * 16, "CapEff": "0" * 16}
    assert facts == expected, facts
    assert 61184 <= int(user) <= 65519, user
    told = service.told()
    service.machine.type(f"cat {STATE}/program.txt")
    assert allowed(told) == {"temporary files"}, told
    assert f"user: {user}\n" in told, told
    # The same program of an ordinary user outside may more: the sandbox it is that denies.
    outside = service.machine.read(
        "mkdir -m 777 /tmp/outside && STATE_DIRECTORY=/tmp/outside setpriv --reuid=4711 --clear-groups "
        "--no-new-privs /usr/local/bin/on-new-address 0 && cat /tmp/outside/program.txt && rm -r /tmp/outside")
    more = {"local sockets", "namespaces", "processes of others", "kernel's settings"}
    assert allowed(outside) >= more, outside


def a_killed_daemon_is_started_again_and_sends_nothing(service):
    service.stays_silent(lambda: service.machine.read(f"kill -KILL {service.show('MainPID')}"))


def a_wrong_configuration_fails_and_is_not_tried_again(service):
    machine = service.machine
    machine.write(CONFIG, "intervall = 5\n" + service.configuration(), 0o600)
    try:
        # It may fail before systemd has called it started, or after.
        machine.shell(f"systemctl restart {UNIT}")
        fails_for_good(service)
        assert service.show("ExecMainStatus") == "2"
        machine.type(f"systemctl status {UNIT} --no-pager --lines 3", status=3)
        errors = service.journal("PRIORITY=3")
        assert 'ddns-update-daemon.toml:1:1: unknown key "intervall"' in errors, errors
    finally:
        machine.write(CONFIG, service.configuration(), 0o600)
    machine.read(f"systemctl restart {UNIT}")


def a_credential_that_is_missing_fails_and_is_not_tried_again(service):
    machine = service.machine
    machine.read("mv /etc/ddns/home.token /etc/ddns/elsewhere")
    try:
        machine.shell(f"systemctl restart {UNIT}")
        fails_for_good(service)
    finally:
        machine.read("mv /etc/ddns/elsewhere /etc/ddns/home.token")
    machine.type(f"systemctl restart {UNIT}")
    assert service.is_active()


def fails_for_good(service):
    """Not "activating", which is what waiting for the next try is called."""
    wait_for(lambda: service.show("ActiveState") == "failed", "the service fails")
    assert service.show("NRestarts") == "0"
