"""The program under test: its configuration, its process, and a program target.

The binary is $DDNS_BIN, else target/release/ddns-update-daemon. $DDNS_RUNNER is
what starts it, if not the kernel: the words of an emulator's command.
"""

import functools
import json
import os
import shlex
import signal
from pathlib import Path

from cloudflare_standin import TOKEN, ZONE
from lab import run, wait_for

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("DDNS_BIN", ROOT / "target" / "release" / "ddns-update-daemon"))
PROGRAM = [*shlex.split(os.environ.get("DDNS_RUNNER", "")), str(BINARY)]
# Minutes; 1.2 s, so that tests need not wait.
INTERVAL = 0.02


def scenario(**lab_options):
    """Marks a function as a test; it gets a Lab made with these options.

    `prism`: it needs Prism; `needs`: it needs this program; `slow`: it waits for long.
    """
    def mark(function):
        function.lab_options = lab_options
        return function
    return mark


def write_config(lab, sections, name="config.toml", state="state", **top):
    """Writes a configuration file; `top` are keys outside sections."""
    keys = {"interval": INTERVAL, "state_file": str(lab.dir / state), **top}
    lines = [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
    path = lab.dir / name
    path.write_text("\n".join(lines) + "\n" + sections)
    return path


def start(lab, config, *args, **environment):
    """Starts the daemon in the client's namespace."""
    env = {"PATH": os.environ["PATH"], "HOME": str(lab.dir), **environment}
    daemon = lab.start(lab.client, [*PROGRAM, *args, config], "daemon", env=env)
    lab.daemons.append(daemon)
    return daemon


def wait_for_answers(daemon, address, targets=1):
    """Waits until the daemon has the answers of so many targets to `address`.

    A change of the line cuts what is under way (NAT forgets it), and the request
    then times out: tests about something else change it only after this.
    """
    wait_for(lambda: daemon.log().count(f" {address} (") >= targets, f"{targets} answers to {address} are logged")


def command(lab, *args, seconds=60, **environment):
    """Runs the program to its end in the client's namespace: status, stdout, stderr."""
    process = lab.start(lab.client, [*PROGRAM, *args], "command", stdout=lab.dir / f"command-{len(lab.closing)}.out",
                        env={**os.environ, **environment})
    lab.daemons.append(process)
    wait_for(lambda: not process.alive(), f"{' '.join(map(str, args))} ends", seconds)
    return process.popen.returncode, process.out(), process.log()


def restart(lab, daemon, config, *args):
    """Ends the daemon as an init system would, and starts it again."""
    daemon.stop(signal.SIGTERM)
    return start(lab, config, *args)


class Hook:
    """A program target that writes down how it was called, one line a call."""

    FIELDS = ("ipv4", "ipv6", "ipv6_prefix", "old_ipv4", "old_ipv6")

    def __init__(self, lab, name="hook"):
        self.path, self.calls_path = lab.dir / f"{name}.sh", lab.dir / f"{name}.calls"
        values = " ".join(f'"${{DDNS_{field.upper()}-unset}}"' for field in self.FIELDS)
        # One write a call, so calls never mix.
        self.path.write_text("#!/bin/sh\n"
                             f"printf '%s|%s|%s|%s|%s|%s\\n' {values} \"$*\" >>{self.calls_path}\n")
        self.path.chmod(0o755)

    def section(self, *arguments, more=""):
        """The `[[runs]]` section that calls it."""
        return f"[[runs]]\ncmd = {json.dumps([str(self.path), *arguments])}\n{more}\n"

    def calls(self):
        if not self.calls_path.exists():
            return []
        lines = self.calls_path.read_text().splitlines()
        return [dict(zip((*self.FIELDS, "args"), line.split("|"))) for line in lines]

    def args(self):
        return [call["args"] for call in self.calls()]


def url_section(url, more="", value="ipv4"):
    """A `[[urls]]` section that sends `{ipv4}` (or another value) to `url`."""
    return f'[[urls]]\nmethod = "get"\nurl = "{url}{{{value}}}"\n{more}\n'


def cloudflare_section(front, records, zone_id=ZONE):
    """`[tls]` and `[cloudflare]` for the stand-in."""
    lines = ["[tls]", f'ca_file = "{front.ca_file}"', "[cloudflare]", f'api_token = "{TOKEN}"', f'api_url = "{front.api_url}"']
    if zone_id:
        lines.append(f'zone_id = "{zone_id}"')
    for record in records:
        lines.append("[[cloudflare.records]]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in record.items()]
    return "\n".join(lines) + "\n"


@functools.cache
def version():
    return run(*PROGRAM, "--version").strip()
