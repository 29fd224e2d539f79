"""The daemon, started as procd would, with what the init script hands over.

In a network namespace of its own a host has a public-looking address and a
server on loopback that writes down what it is asked. The jail is made of the
mounts handed over and nothing else, read-only but for the two that may be
written, with a process number space of its own, as procd's ujail does it.
"""

import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import state_file
import uci
from lab import LeftOut, equal
from router import NAME, UID, Router

ADDRESS, NEXT = "62.141.3.10", "62.141.3.11"
SERVER = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        print(self.path, self.headers["Authorization"], flush=True)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"good")
    def log_message(self, *_):
        pass
http.server.HTTPServer(("127.0.0.1", 8080), Handler).serve_forever()
"""
# Makes a root of the mounts, seals it, and starts the program there as the user.
JAIL = """
set -e
root=$1 user=$2 jail=$(mktemp -d "$1/tmp/jail.XXXXXX")
mount -t tmpfs -o mode=0755 jail "$jail"
shift 2
bind() {
    if [ -d "$root$1" ]; then mkdir -p "$jail$1"; else mkdir -p "$jail${1%/*}" && : >"$jail$1"; fi
    # A link leads somewhere in the router.
    source=$(readlink "$root$1" || echo "$1")
    mount --bind "$root$source" "$jail$1"
    [ "$2" = rw ] || mount -o remount,bind,ro "$jail$1"
}
while [ "$1" != -- ]; do bind "${1%:*}" "${1##*:}"; shift; done
shift
mkdir "$jail/proc" "$jail/dev"
mount -t proc proc "$jail/proc"
mount -o remount,bind,ro "$jail"
exec setpriv --no-new-privs chroot --userspec="$user:$user" --groups= "$jail" "$@"
"""
program = None  # set by run.py

CONFIG = uci.section("globals", "globals", enabled="1", interval="0.0167", ipv4="interface:wan0", ipv6="none") + uci.section(
    "urls", url="http://127.0.0.1:8080/update?ip={ipv4}", headers=['Authorization: Bearer "it\'s" \\ $HOME'])


class Host:
    """A network namespace with an address, and a server in it."""

    def __enter__(self):
        self.name = f"openwrt-{os.getpid()}-{secrets.token_hex(2)}"
        self.processes = []
        if subprocess.run(["ip", "netns", "add", self.name], capture_output=True).returncode != 0:
            raise LeftOut("network namespaces cannot be made here")
        try:
            for command in ("link set lo up", "link add wan0 type veth peer name far0", "link set far0 up",
                            "link set wan0 up", f"addr add {ADDRESS}/24 dev wan0"):
                self.ip(command)
            self.asked = tempfile.TemporaryFile("w+")
            self.start([sys.executable, "-c", SERVER], stdout=self.asked)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        subprocess.run(["ip", "netns", "del", self.name], check=False)

    def ip(self, command):
        subprocess.run(["ip", "-n", self.name, *command.split()], check=True)

    def start(self, command, **options):
        process = subprocess.Popen(["nsenter", f"--net=/run/netns/{self.name}", *command], start_new_session=True,
                                   stdin=subprocess.DEVNULL, **options)
        self.processes.append(process)
        return process

    def requests(self):
        self.asked.seek(0)
        return self.asked.read().splitlines()


def wait_for(condition, log):
    end = time.monotonic() + 20
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within 20 s:\n{log.read_text(errors='replace')}")
        time.sleep(0.05)


def environment(instance):
    return [f"{name}={value}" for name, value in instance["env"].items()]


def without_jail(router, instance):
    return router.command("/bin/env", "-i", *environment(instance), *instance["command"], user=UID)


def in_jail(router, instance):
    mounts = {f"{mount}:{'rw' if writable else 'ro'}" for mount, writable in instance["mount"].items()}
    # What ujail adds by itself: the program, and the libraries it is linked with.
    mounts |= {f"/{path.relative_to(router.root)}:ro" for folder in ("lib", "lib64", "usr/lib")
               for path in (router.root / folder).rglob("*.so*") if path.is_file() and not path.is_symlink()}
    mounts |= {f"{instance['command'][0]}:ro", "/etc/passwd:ro", "/etc/group:ro"}
    return ["env", "-i", f"PATH={os.environ['PATH']}", *environment(instance),
            "unshare", "-m", "-p", "-i", "--fork", "--propagation", "private",
            "sh", "-c", JAIL, "jail", str(router.root), str(UID), *sorted(mounts), "--", *instance["command"]]


def updates_arrive(how, config=CONFIG):
    """Starts it, changes the address, starts it again: what the server sees."""
    with Router(program) as router, Host() as host:
        router.configure(config)
        router.service("start")
        instance, _ = router.handed_over()
        if instance is None:
            raise AssertionError(router.log())
        log = router.root / "tmp/daemon.log"
        state = router.root / f"etc/{NAME}/state/{NAME}.state"

        def accepted(address):
            def holds():
                text = state.read_text() if state.exists() else ""
                return state_file.holding(text, f"{address},-,-") == 1
            return holds

        with open(log, "ab") as output:
            first = host.start(how(router, instance), stdout=output, stderr=output)
            wait_for(accepted(ADDRESS), log)
            host.ip(f"addr del {ADDRESS}/24 dev wan0")
            host.ip(f"addr add {NEXT}/24 dev wan0")
            wait_for(accepted(NEXT), log)
            os.killpg(first.pid, signal.SIGKILL)
            first.wait()
            host.start(how(router, instance), stdout=output, stderr=output)
            wait_for(lambda: log.read_text().count("version ") == 2, log)
            # Three looks.
            time.sleep(3)
        secret = 'Bearer "it\'s" \\ $HOME'
        equal(host.requests(), [f"/update?ip={ADDRESS} {secret}", f"/update?ip={NEXT} {secret}"], log.read_text())
        equal((state.stat().st_uid, oct(state.stat().st_mode)[-3:]), (UID, "600"))


def test_an_update_arrives_and_a_restart_sends_nothing():
    updates_arrive(without_jail, CONFIG.replace("option interval", "option jail '0'\n\toption interval"))


def test_it_lives_in_a_jail_of_the_mounts_that_are_handed_over():
    updates_arrive(in_jail)
