"""A house with the real miniupnpd, the daemon and seven targets, and what may befall them."""

import contextlib
import functools
import re
import signal
import sys
import time
from pathlib import Path

import forger
import name_servers
import servers
from daemon import cloudflare_section, start, url_section, write_config
from fake_gateway import FakeGateway
from lab import GATEWAY, PROVIDER, run
from watched import FAULTS, Api, Bind, Url

NOT_PUBLIC = ["10.1.2.3", "192.168.1.5", "172.20.1.1", "100.64.0.1", "100.127.255.1", "198.18.0.5", "127.0.0.1"]
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


class House:
    """The lab, the daemon in it, and what may befall both."""

    def __init__(self, lab, chance):
        self.lab, self.chance, lab.daemons = lab, chance, []
        self.had, self.wrong, self.errors = {lab.wan}, [], []
        self.fake, self.floods, self.backup, self.steady = None, [], b"", True
        self.stranger = lab.add_host(forger.STRANGER)
        self.disk = lab.dir / "disk"
        self.disk.mkdir()
        run("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", self.disk)
        lab.closing.insert(0, lambda: run("umount", "-l", str(self.disk), check=False))
        (lab.dir / "run").mkdir()
        self.make_targets()
        self.start_daemon()

    def make_targets(self):
        lab = self.lab
        tls, ca_file = servers.certificate(lab)
        ip = lambda request: [request.query.get("ip") or request.query.get("myip")]  # noqa: E731
        self.web = {name: lab.serve(lab.provider, functools.partial(Url, (PROVIDER, 0), secure))
                    for name, secure in (("url", None), ("url-tls", tls), ("url-word", None), ("dyndns", tls))}
        self.api = lab.serve(lab.provider, lambda: Api((PROVIDER, 0), tls))
        self.api.add("example.org", "A", "62.9.9.9")
        for name, server in self.web.items():
            server.watch(functools.partial(self.arrived, name), ip)
        self.web["cloudflare"] = self.api
        self.api.watch(functools.partial(self.arrived, "cloudflare"),
                       lambda request: re.findall(r'"content": *"([^"]*)"', request.body))
        self.api.api_url, self.api.ca_file = f"https://{PROVIDER}:{self.api.port}", ca_file
        self.program = lab.dir / "program.sh"
        self.program.write_text(f"#!/bin/sh\ncd {lab.dir}\necho \"$1\" >>calls\n[ -e fails ] && exit 1\n"
                                "[ -e hangs ] && exec sleep 1000\necho \"$1\" >>taken\n")
        self.program.chmod(0o755)
        sections = cloudflare_section(self.api, [{"name": "@", "type": "A"}])
        for name, more in (("url", ""), ("url-tls", ""), ("url-word", 'expect = ["good"]')):
            scheme = "https" if "tls" in name else "http"
            sections += url_section(f"{scheme}://{PROVIDER}:{self.web[name].port}/update?ip=", f'name = "{name}"\n{more}')
        sections += (f'[[dyndns]]\nurl = "https://{PROVIDER}:{self.web["dyndns"].port}/nic/update"\nhostname = "home.example"\n'
                     f'username = "me"\npassword = "secret-of-me"\n[[runs]]\ncmd = ["{self.program}", "{{ipv4}}"]\ntimeout = 3\n')
        self.bind = None
        if not Bind.missing():
            Bind.namespace = lab.provider
            self.bind = Bind(lab.dir)
            lab.closing.append(self.bind.kill)
            _, secret = name_servers.KEYS["good.key"]
            sections += (f'[[rfc2136]]\nserver = "{PROVIDER}:{self.bind.port}"\nzone = "{name_servers.ZONE}"\nkey = "good.key"\n'
                         f'secret = "{secret}"\n[[rfc2136.records]]\nname = "nas"\ntype = "A"\n')
        self.config = write_config(lab, sections, state="disk/state", interval=0.05)

    # -- what is seen -------------------------------------------------------

    def arrived(self, name, address):
        if address not in self.had:
            self.wrong.append((name, address))

    def called(self, file):
        path = self.lab.dir / file
        return path.read_text().split() if path.exists() else []

    def judge_files(self):
        """What the program and the name server were told."""
        calls = self.lab.dir / "calls"
        if calls.exists():
            calls.rename(self.lab.dir / "judged")
        for address in self.called("judged"):
            self.arrived("program", address)
        for address in self.bind.updates() if self.bind else []:
            self.arrived("rfc2136", address)

    def not_right(self):
        """The targets that hold another address than the line's."""
        wan = self.lab.wan
        holds = {name: server.held for name, server in self.web.items() if name != "cloudflare"}
        holds["cloudflare"] = self.api.contents("example.org")
        holds["program"] = self.called("taken")[-1:]
        if self.bind:
            holds["rfc2136"] = self.bind.held()
        return {name: held for name, held in holds.items() if held not in (wan, [wan])}

    def sample(self):
        """Resident, private dirty (kB), threads, descriptors."""
        folder = Path(f"/proc/{self.daemon.pid}")
        status = (folder / "status").read_text() + (folder / "smaps_rollup").read_text()
        numbers = [int(re.search(rf"^{name}:\s+(\d+)", status, re.M)[1]) for name in ("VmRSS", "Private_Dirty", "Threads")]
        return (*numbers, len(list((folder / "fd").iterdir())))

    # -- what befalls it ----------------------------------------------------

    def start_daemon(self):
        clock = self.lab.dir / "clock"
        clock.write_text("+0\n")
        faked = {"LD_PRELOAD": str(FAKETIME), "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1",
                 "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1"} if FAKETIME else {}
        self.daemon = start(self.lab, self.config, "-v", RUNTIME_DIRECTORY=str(self.lab.dir / "run"), **faked)

    def new_address(self):
        address = f"62.141.{self.chance.randrange(3, 250)}.{self.chance.randrange(1, 255)}"
        # A request may come before the commands have ended.
        self.had.add(address)
        self.lab.set_wan(address)

    def change(self):
        self.new_address()

    def flap(self):
        self.lab.set_wan(None)
        time.sleep(self.chance.uniform(0.1, 4))
        self.new_address()

    def not_public(self):
        self.lab.set_wan(self.chance.choice(NOT_PUBLIC))

    def carrier(self):
        """A router that tells, as miniupnpd will not, an address that is not public."""
        if not self.fake:
            address = self.chance.choice(NOT_PUBLIC)
            self.lab.set_wan(address)
            self.lab.upnpd.kill()
            self.fake = FakeGateway(self.lab, self.lab.gateway, GATEWAY, address, natpmp=address)

    def router_reboots(self):
        if not self.fake:
            self.lab.upnpd.kill()
            time.sleep(self.chance.uniform(0, 3))
            self.lab.start_upnpd(port=self.chance.choice([5000, 5055]))

    def router_hangs(self):
        self.lab.upnpd.send(signal.SIGSTOP)

    def router_dies(self):
        self.lab.upnpd.kill()

    def provider_fails(self):
        for name in self.chance.sample(sorted(self.web), self.chance.randint(1, 3)):
            self.web[name].have(self.chance.choice(FAULTS))

    def provider_is_dead(self):
        port = self.web[self.chance.choice(sorted(self.web))].port
        verdict = self.chance.choice(["drop", "reject with tcp reset"])
        self.lab.nft(self.lab.provider, f"table inet dead {{\nchain input {{\ntype filter hook input priority 0\n"
                                        f"tcp dport {port} {verdict}\n}}\n}}\n")

    def name_server_fails(self):
        if self.bind and self.bind.process.poll() is None:
            self.bind.process.send_signal(self.chance.choice([signal.SIGSTOP, signal.SIGKILL]))

    def program_fails(self):
        (self.lab.dir / self.chance.choice(["fails", "hangs"])).touch()

    def disk_is_full(self):
        with contextlib.suppress(OSError), open(self.disk / "filler", "ab", buffering=0) as filler:
            while True:
                filler.write(b"x" * 512)

    def state_vanishes(self):
        with contextlib.suppress(OSError):
            (self.disk / "state").unlink()

    def read_state(self):
        with contextlib.suppress(OSError):
            return (self.disk / "state").read_bytes()
        return b""

    def started_read_only(self):
        """A disk cannot be made so under a file that is open for writing."""
        self.daemon.kill()
        run("mount", "-o", "remount,ro", str(self.disk))
        self.start_daemon()

    def clock_jumps(self):
        self.set_clock(self.chance.choice([60, 3700, 86400 * 40, 86400 * 365 * 11, -3700, -86400 * 400, -int(time.time()) + 60]))

    def set_clock(self, offset):
        (self.lab.dir / "clock").write_text(f"{offset:+d}\n")

    def flood(self):
        kind = self.chance.choice(forger.KINDS)
        words = [kind, self.lab.wan or forger.liar.POISON]
        if kind == "events":
            callbacks = re.findall(r"Callback '<(http://[0-9.:]+/[0-9a-f]+)>", self.lab.upnpd.log())
            sids = re.findall(r"SID: (uuid:[0-9a-f-]+)", self.lab.upnpd.log())
            if not (callbacks and sids):
                return
            words = [kind, callbacks[-1], sids[-1]]
        gateway = kind == "events" and self.chance.random() < 0.7
        self.floods.append(self.lab.start(self.lab.gateway if gateway else self.stranger, [
            "chrt", "-o", "0", "nice", "-n", "19", sys.executable, forger.__file__, *words], "flood"))

    def told_to_send(self):
        self.daemon.send(signal.SIGUSR1)

    def killed(self):
        self.daemon.kill()
        if self.chance.random() < 0.5:
            time.sleep(self.chance.uniform(0, 3))
        self.start_daemon()

    def killed_and_restored(self):
        """A backup of the state comes back while the daemon is down."""
        state, self.backup, backup = self.disk / "state", self.read_state(), self.backup
        self.daemon.kill()
        with contextlib.suppress(OSError):
            if self.chance.random() < 0.5:
                state.unlink()
            state.write_bytes(backup)
        self.start_daemon()

    def reloaded(self):
        self.daemon.send(signal.SIGHUP)

    def ended_for_long(self):
        self.daemon.stop()

    # -- phases ---------------------------------------------------------------

    def heal(self, line_too=True):
        """Ends every fault; those of the line and the router only if told."""
        for server in self.web.values():
            server.have(None)
        run("nsenter", f"--net=/run/netns/{self.lab.provider}", "nft", "delete", "table", "inet", "dead", check=False)
        if self.bind:
            self.bind.process.send_signal(signal.SIGCONT) if self.bind.process.poll() is None else self.bind.start()
        for name in ("fails", "hangs"):
            (self.lab.dir / name).unlink(missing_ok=True)
        if not line_too:
            return
        self.set_clock(0)
        run("mount", "-o", "remount,rw", str(self.disk))
        (self.disk / "filler").unlink(missing_ok=True)
        for flood in self.floods:
            flood.kill()
        self.floods = []
        if self.fake:
            for server in (self.fake.soap, self.fake.ssdp, self.fake.natpmp):
                server.shutdown()
                server.server_close()
            self.fake = None
        self.lab.upnpd.send(signal.SIGCONT)
        if not self.lab.upnpd.alive():
            self.lab.start_upnpd()
        if not self.daemon.alive():
            self.start_daemon()
