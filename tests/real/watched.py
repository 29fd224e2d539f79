"""Stand-ins for providers that tell each address that reaches them and have more faults."""

import os
import re
import threading

import cloudflare_standin
import name_servers
import servers
from lab import PROVIDER, enter

FAULTS = ["html", "status 500 broken", "status 503 wait", "429 2", "reset", "silence", "slow 2", "garbage", "taken"]


class Rude(servers.Handler):
    def reset(self):
        if self.server.fault == "garbage":
            self.wfile.write(os.urandom(300))
            self.close_connection = True
        else:
            super().reset()


class Watched:
    """A stand-in that tells each address that reaches it, and has more faults."""

    def watch(self, told, look):
        self.told, self.look, self.RequestHandlerClass, self.mended = told, look, Rude, threading.Event()

    def respond(self, request):
        for address in self.look(request):
            self.told(address)
        kind = self.fault
        if kind == "silence":
            self.mended.wait(120)
        if kind == "taken":
            self.reply(request)
        return None if kind in ("silence", "taken", "garbage") else super().respond(request)

    def have(self, fault):
        self.fault = fault
        (self.mended.set if fault is None else self.mended.clear)()


class Url(Watched, servers.Provider):
    """Holds what it was told last; also a dyndns2 service."""

    held = None

    def reply(self, request):
        self.held = request.query.get("ip") or request.query.get("myip")
        return 200, {"Content-Type": "text/plain"}, f"good {self.held}"


class Api(Watched, cloudflare_standin.Api):
    pass


def inside(namespace, work):
    """What `work` returns in a namespace."""
    found = []

    def enter_and_work():
        enter(namespace)
        found.append(work())

    thread = threading.Thread(target=enter_and_work)
    thread.start()
    thread.join()
    return found[0] if found else None


class Bind(name_servers.Bind):
    """At the provider's address."""

    namespace = None

    def prepare(self):
        super().prepare()
        conf = self.dir / "conf"
        conf.write_text(conf.read_text().replace("{ 127.0.0.1; }", f"{{ 127.0.0.1; {PROVIDER}; }}"))

    def command(self):
        return ["nsenter", f"--net=/run/netns/{self.namespace}", *super().command()]

    def serves(self):
        return inside(self.namespace, super().serves)

    def held(self):
        try:
            return inside(self.namespace, lambda: name_servers.ask(self.port, f"nas.{name_servers.ZONE}", name_servers.A))
        except OSError:
            return None

    def updates(self):
        """Each address that it was told."""
        return re.findall(r"adding an RR at '[^']*' A ([0-9.]+)", (self.dir / "log").read_text(errors="replace"))
