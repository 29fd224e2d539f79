"""A Debian that has been booted: systemd-nspawn over a copy of a root, in a
network namespace of the lab of tests/real.

Nothing is written to the root itself (overlayfs), so each machine starts fresh.
What is typed with `type` is kept, with its answer, as the transcript. Needs root.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "real"))

from lab import _die_with_parent as die_with_parent, run, wait_for  # noqa: E402

# Nothing of this machine's surroundings goes in.
ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8", "TERM": "dumb",
    "SYSTEMD_PAGER": "cat", "SYSTEMD_COLORS": "0", "SYSTEMD_URLIFY": "0", "DEBIAN_FRONTEND": "noninteractive",
}


class Overlay:
    """A copy of a root that costs nothing; use it in a `with` statement."""

    def __init__(self, base):
        self.base = Path(base)

    def __enter__(self):
        self.folder = Path(tempfile.mkdtemp(prefix=f"ddp-{os.getpid()}-"))
        for name in ("upper", "work", "root"):
            (self.folder / name).mkdir()
        self.root = self.folder / "root"
        options = f"lowerdir={self.base},upperdir={self.folder}/upper,workdir={self.folder}/work"
        run("mount", "-t", "overlay", "overlay", "-o", options, self.root)
        return self

    def __exit__(self, *_):
        run("umount", self.root)
        shutil.rmtree(self.folder)


class Machine:
    """A root that has been booted in `namespace`; use it in a `with` statement."""

    def __init__(self, lab, namespace, root):
        self.lab, self.namespace, self.root = lab, namespace, Path(root)
        self.lines = []

    def __enter__(self):
        self.console = self.lab.dir / "console.log"
        with open(self.console, "wb") as console:
            self.nspawn = subprocess.Popen(
                ["systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit", "--console=pipe",
                 f"--network-namespace-path=/run/netns/{self.namespace}", f"--machine={self.lab.id}",
                 "--resolv-conf=off", "--timezone=off", f"--directory={self.root}"],
                stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT, start_new_session=True,
                preexec_fn=die_with_parent)
        try:
            self.init = wait_for(self._init, "systemd-nspawn starts the machine's init")
            wait_for(self._booted, "the machine boots", 60)
        except BaseException:
            print(self.console.read_text(errors="replace"))
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def _init(self):
        if self.nspawn.poll() is not None:
            raise AssertionError("systemd-nspawn ended")
        # Helpers of nspawn come and go; the machine's first process is 1 inside.
        children = Path(f"/proc/{self.nspawn.pid}/task/{self.nspawn.pid}/children").read_text().split()
        return next((child for child in children if is_init(child)), None)

    def _booted(self):
        return self.shell("systemctl is-system-running").stdout.strip() in ("running", "degraded")

    def close(self):
        """Shuts it down as the power button would, and by force if it stays."""
        self.nspawn.send_signal(signal.SIGTERM)
        try:
            self.nspawn.wait(30)
        except subprocess.TimeoutExpired:
            self.nspawn.kill()
            self.nspawn.wait()

    def shell(self, command):
        """Runs a command of the shell in it; the finished process."""
        return subprocess.run(
            ["nsenter", f"--target={self.init}", "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup",
             "--root", "--wd", "sh", "-c", command],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=ENVIRONMENT, timeout=120, check=False)

    def read(self, command):
        """What a command that must succeed prints."""
        done = self.shell(command)
        if done.returncode != 0:
            raise AssertionError(f"{command}: status {done.returncode}: {done.stdout}")
        return done.stdout.strip()

    def type(self, command, status=0):
        """Like `read`, with a place in the transcript; `status` is what it must end with."""
        done = self.shell(command)
        self.lines += [f"# {command}", *done.stdout.splitlines(), ""]
        if done.returncode != status:
            raise AssertionError(f"{command}: status {done.returncode}, not {status}: {done.stdout}")
        return done.stdout.strip()

    def heading(self, text):
        self.lines += [f"== {text} ==", ""]

    def transcript(self):
        """What was typed and answered, without what differs between two runs."""
        text = "\n".join(self.lines).replace(self.lab.id, "debian")
        return re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)

    def write(self, path, text, mode=0o644):
        """Writes a file in it."""
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)


def is_init(process):
    """Whether a process is the first of a PID namespace."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        # It has ended, before the file was opened or after.
        return False
    return re.search(r"^NSpid:.*\t1$", status, re.MULTILINE) is not None
