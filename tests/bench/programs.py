"""The programs of the table, each set up as its users set it up.

The address comes by each program's own way: ours and 1.0.1 ask the gateway, the
others a web service, as their own documentation or package sets it by default.
The update is one HTTPS request with the address, checked against a test CA. The
shortest interval that a program takes serves to count polls; everything else is
measured at five minutes, the default of all but inadyn (one minute).
"""

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

from lab import GATEWAY, PROVIDER
from network import ECHO, HOST, LINE, UPDATE

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
STATIC = Path("x86_64-unknown-linux-musl") / "ddns-update-daemon"
DEFAULT = 300


class Program:
    """A program that runs as a daemon."""

    #: How its column is headed, and how it learns the address.
    name = way = ""
    #: What the reader has to know to judge its figures.
    note = ""
    #: The shortest interval that it takes, in seconds, and the polls to average.
    shortest, polls = 60, 3
    #: Started anew for every poll, by cron.
    is_job = False
    #: Runs on the router and takes the address of its line.
    on_router = False

    def path(self):
        """The file to run; None when it is not here and cannot be got."""
        raise NotImplementedError

    def command(self, net, interval):
        """Writes the configuration; the command that runs in the foreground."""
        raise NotImplementedError

    def environment(self, net):
        return {}

    def asked(self, net):
        """How many polls there have been."""
        return net.echoes()

    def version(self):
        return ""


class Ours(Program):
    name, way = "ours", "UPnP, NAT-PMP"
    note = "The whole program, as `dist/build x86_64` makes it: static, with TLS and Mozilla's roots inside."
    # One in four polls is a SOAP call, the others are two datagrams.
    shortest, polls = 1.2, 20

    def path(self):
        return built("DDNS_BIN", TARGET / "dist" / "bin" / STATIC, TARGET / "release" / "ddns-update-daemon")

    def command(self, net, interval):
        return [self.path(), with_url(net, interval, "https", f'[tls]\nca_file = "{net.ca_file}"\n')]

    def asked(self, net):
        return net.asked()

    def version(self):
        # What a smaller build leaves out stands below.
        return printed(self.path(), "--version").splitlines()[0].split()[-1]


class OursOnRouter(Ours):
    name, way = "ours, interface", "the interface"
    note = "On the router itself; the kernel tells it of changes."
    on_router = True

    def command(self, net, interval):
        command = super().command(net, interval)
        config = command[-1]
        config.write_text(f'ipv4 = ["interface:{LINE}"]\n' + config.read_text())
        return command


class Small(Ours):
    """Without TLS: it speaks HTTP to a local provider."""

    name = "ours, smallest"
    note = "Made by `dist/build --small x86_64`, without optional features: it speaks only HTTP, so its update is an HTTP request."

    def path(self):
        return built("DDNS_SMALL", TARGET / "dist" / "small" / STATIC)

    def command(self, net, interval):
        return [self.path(), with_url(net, interval, "http")]


class Ideal(Program):
    """The floor: what the kernel charges for the least that a client can do."""

    name, way = "ideal client", "NAT-PMP alone"
    note = ("tests/bench/ideal.c, static: a question by NAT-PMP, announcements, an HTTP request. It has no configuration, no "
            "state, no TLS, no retries, and believes whoever answers.")
    shortest, polls = 1.2, 20

    @functools.cache
    def path(self):
        program = TARGET / "dist" / "ideal"
        program.parent.mkdir(parents=True, exist_ok=True)
        source = Path(__file__).with_name("ideal.c")
        built = subprocess.run(["cc", "-Os", "-static", "-s", "-o", program, source], stdout=sys.stderr)
        return program if built.returncode == 0 else None

    def command(self, net, interval):
        return [self.path(), GATEWAY, str(interval), PROVIDER, UPDATE, "/update?ip="]

    def asked(self, net):
        return net.asked()


class Old(Program):
    name, way = "1.0.1", "UPnP"
    note = "It trusts only the roots compiled in, not a test CA, so its update is an HTTP request."
    shortest, polls = 1.2, 20

    def path(self):
        return installed_by_cargo("ddns-update-daemon", "1.0.1")

    def command(self, net, interval):
        return [self.path(), with_url(net, interval, "http")]

    def asked(self, net):
        return net.asked()


class Inadyn(Program):
    name, way = "inadyn", "web service, HTTPS"
    note = "Its default way: a check-ip server over HTTPS, here by a `custom` section."
    shortest, polls = 30, 4

    def path(self):
        return of_debian("inadyn", "inadyn")

    def command(self, net, interval):
        config, cache = net.dir / "inadyn.conf", net.dir / "inadyn"
        cache.mkdir(exist_ok=True)
        config.write_text(
            f"period = {interval}\nca-trust-file = {net.ca_file}\n"
            f"custom lab {{\n  username = user\n  password = password\n  hostname = {HOST}\n"
            f"  checkip-server = {ECHO}\n  checkip-path = /\n  checkip-ssl = true\n"
            f'  ddns-server = {UPDATE}\n  ddns-path = "/nic/update?hostname=%h&myip=%i"\n  ddns-response = good\n  ssl = true\n}}\n')
        return [self.path(), "--foreground", "--no-pidfile", "--config", config, "--cache-dir", cache]

    def version(self):
        return debian_version("inadyn")


class InadynOnRouter(Inadyn):
    name, way = "inadyn, interface", "the interface"
    note = "On the router itself, with `iface`."
    on_router = True

    def command(self, net, interval):
        command = super().command(net, interval)
        config = net.dir / "inadyn.conf"
        config.write_text(f"iface = {LINE}\n" + config.read_text())
        return command


class Ddclient(Program):
    name, way = "ddclient", "web service, HTTPS"
    note = ("As in its example configuration: use=web, and ssl=yes, which makes HTTPS of both requests. That needs "
            "libio-socket-ssl-perl, which Debian recommends.")
    shortest, polls = 60, 3

    def path(self):
        return of_debian("ddclient", "ddclient", "libio-socket-ssl-perl")

    def command(self, net, interval):
        config = net.dir / "ddclient.conf"
        config.write_text(
            f"daemon={interval}\ncache={net.dir}/ddclient.cache\npid={net.dir}/ddclient.pid\n"
            f"ssl=yes\nssl_ca_file={net.ca_file}\nuse=web, web=https://{ECHO}/\n"
            f"protocol=dyndns2\nserver={UPDATE}\nlogin=user\npassword=password\n{HOST}\n")
        # It refuses a file that others may read.
        config.chmod(0o600)
        return [self.path(), "-foreground", "-file", config]

    def version(self):
        return debian_version("ddclient")


class DdclientOnRouter(Ddclient):
    name, way = "ddclient, interface", "the interface"
    note = "On the router itself, with use=if."
    on_router = True

    def command(self, net, interval):
        command = super().command(net, interval)
        config = net.dir / "ddclient.conf"
        config.write_text(config.read_text().replace(f"use=web, web=https://{ECHO}/", f"use=if, if={LINE}"))
        return command


class CloudflareDdns(Program):
    name, way = "cloudflare-ddns", "web service, HTTP"
    note = ("One run for each poll, as from cron; its web service (HTTP) and Cloudflare's API (HTTPS) are compiled in "
            "and lead to stand-ins by /etc/hosts and SSL_CERT_FILE. An update is three requests.")
    is_job = True
    shortest, polls = 0, 5

    def path(self):
        # Its lock file is of 2021 and holds an openssl-sys that does not know OpenSSL 3.
        if not shutil.which("pkg-config"):
            install("pkg-config", "libssl-dev")
        return installed_by_cargo("cloudflare-ddns", "0.3.0", locked=False)

    def command(self, net, interval):
        config = net.dir / "cloudflare.toml"
        config.write_text('api_token = "token"\nzone = "example.net"\ndomain = "' + HOST + '"\n')
        return [self.path(), "--config", config, "--cache", net.dir / "cloudflare.cache"]

    def environment(self, net):
        return {"SSL_CERT_FILE": str(net.ca_file)}

    def version(self):
        return "0.3.0"


ALL = [Ours(), Small(), Ideal(), Old(), Inadyn(), Ddclient(), CloudflareDdns(), OursOnRouter(), InadynOnRouter(), DdclientOnRouter()]


def with_url(net, interval, scheme, more=""):
    """A configuration of ours, or of 1.0.1, with one URL."""
    config = net.dir / "config.toml"
    config.write_text(f'interval = {interval / 60}\n{more}[[urls]]\nmethod = "get"\n'
                      f'url = "{scheme}://{UPDATE}/update?ip={{ipv4}}"\n')
    return config


def built(variable, *paths):
    """The file that the environment names, else the first that exists."""
    if variable in os.environ:
        return Path(os.environ[variable])
    return next((path for path in paths if path.exists()), None)


def printed(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def install(*packages):
    """Installs Debian packages as the other scripts do; whether that worked."""
    script = f'. "{ROOT}/dist/lib.sh" && install_packages "$@"'
    return subprocess.run(["bash", "-ec", script, "footprint", *packages], stdout=sys.stderr).returncode == 0


def debian_version(package):
    return printed("dpkg-query", "-W", "-f", "${Version}", package)


@functools.cache
def of_debian(program, *packages):
    missing = [package for package in packages if subprocess.run(["dpkg", "-s", package], capture_output=True).returncode]
    if missing and not (os.geteuid() == 0 and install(*missing)):
        return None
    return Path(shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin"))


@functools.cache
def installed_by_cargo(crate, version, locked=True):
    root = TARGET / "peers" / f"{crate}-{version}"
    binary = root / "bin" / crate
    if not binary.exists():
        print(f"installing {crate} {version} with cargo ...", file=sys.stderr, flush=True)
        lock = ["--locked"] if locked else []
        subprocess.run(["cargo", "install", "-q", *lock, "--root", root, f"{crate}@{version}"])
    return binary if binary.exists() else None
