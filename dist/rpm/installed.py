"""Installs the RPM in a machine that has been booted, and looks at all of its
life: installed.py ROOT PACKAGE NEWER NEWEST TRANSCRIPT

Called by dist/rpm/test. NEWER has a higher version, NEWEST a higher one still and
another default configuration. The machine is a Debian with rpm: packages of its
own it knows nothing of, so nothing but ours is in rpm's database.
"""

import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "debian"))

from machine import Machine, Overlay
from steps import (
    CONFIG, DROP_IN, STATE, UNIT, WAN, Service, Steps, a_change_at_the_router_is_published_at_once,
    a_killed_daemon_is_started_again_and_sends_nothing, a_wrong_configuration_fails_and_is_not_tried_again,
    the_sandbox_is_enforced,
)
from lab import Lab, run

# /bin/sh, which the scripts need, is no RPM here.
RPM = "rpm --force-debian --nodeps"


def installed_it_is_enabled_as_the_presets_say_and_not_started(service):
    machine = service.machine
    machine.heading("install")
    machine.type(f"{RPM} --install /root/first.rpm")
    # Debian's presets enable what is installed; Fedora's do not.
    assert machine.type(f"systemctl is-enabled {UNIT}") == "enabled"
    assert machine.shell(f"systemctl is-active {UNIT}").stdout.strip() == "inactive"
    machine.type(f"rpm --verify {RPM.removeprefix('rpm')} {UNIT}")
    assert machine.read(f"stat -c '%a %U' {CONFIG}") == "600 root"


def configured_and_started_it_publishes(service):
    machine = service.machine
    machine.heading("configure and start")
    service.configure()
    machine.type(f"systemctl start {UNIT}")
    service.wait_for_updates(WAN[0])
    machine.type(f"systemctl status {UNIT} --no-pager")


def an_upgrade_keeps_the_configuration_and_sends_nothing(service):
    machine = service.machine
    machine.heading("upgrade")
    service.machine.read(f"systemctl restart {UNIT}")
    service.stays_silent(lambda: machine.type(f"{RPM} --upgrade /root/second.rpm"))
    assert machine.type(f"rpm --query {UNIT}") == f"{UNIT}-2.0.1-1.x86_64"
    assert machine.read(f"cat {CONFIG}") == service.configuration().strip()
    machine.type(f"systemctl status {UNIT} --no-pager --lines 3")


def a_new_default_configuration_does_not_replace_the_users(service):
    machine = service.machine
    machine.type(f"{RPM} --upgrade /root/third.rpm")
    assert machine.read(f"cat {CONFIG}") == service.configuration().strip()
    assert machine.read(f"tail -n 1 {CONFIG}.rpmnew") == "# A new example."
    assert service.is_active()


def what_the_administrator_disabled_stays_so(service):
    machine = service.machine
    machine.read(f"systemctl disable --now {UNIT}")
    machine.read(f"{RPM} --reinstall /root/third.rpm")
    assert machine.shell(f"systemctl is-enabled {UNIT}").stdout.strip() == "disabled"
    assert not service.is_active()
    machine.read(f"systemctl enable --now {UNIT}")


def erased_it_is_stopped_and_leaves_configuration_and_state(service):
    machine = service.machine
    machine.heading("erase")
    process = service.show("MainPID")
    machine.type(f"{RPM} --erase {UNIT}")
    assert machine.shell(f"kill -0 {process}").returncode != 0
    machine.type(f"systemctl status {UNIT}", status=4)
    machine.type(f"rpm --query {UNIT}", status=1)
    saved = machine.type(f"ls {CONFIG}.rpmsave {STATE}/")
    assert ".state" in saved
    machine.read(f"rm -r {CONFIG}.rpmsave {CONFIG}.rpmnew {Path(DROP_IN).parent} {STATE} /var/lib/{UNIT}")
    left = machine.read(f"find / -xdev -name '*{UNIT}*' -not -path '/proc/*' -not -path '/run/log/*'")
    assert not left, left


def without_systemd_it_installs_and_goes_without_error(base, package):
    """As when an image is made: rpm works on a root from outside, nothing runs."""
    with Overlay(base) as overlay:
        link = overlay.root / f"etc/systemd/system/multi-user.target.wants/{UNIT}.service"
        for command in (["--install", str(package)], ["--verify", UNIT], ["--erase", UNIT]):
            run("rpm", "--nodeps", "--root", str(overlay.root), *command)
            assert link.is_symlink() == (command[0] != "--erase"), command


STORY = (
    installed_it_is_enabled_as_the_presets_say_and_not_started,
    configured_and_started_it_publishes,
    the_sandbox_is_enforced,
    a_change_at_the_router_is_published_at_once,
    a_killed_daemon_is_started_again_and_sends_nothing,
    a_wrong_configuration_fails_and_is_not_tried_again,
    an_upgrade_keeps_the_configuration_and_sends_nothing,
    a_new_default_configuration_does_not_replace_the_users,
    what_the_administrator_disabled_stays_so,
    erased_it_is_stopped_and_leaves_configuration_and_state,
)


def main():
    base, first, second, third, transcript = map(Path, sys.argv[1:])
    steps = Steps()
    with Lab() as lab, Overlay(base) as overlay:
        for name, package in (("first", first), ("second", second), ("third", third)):
            shutil.copy(package, overlay.root / "root" / f"{name}.rpm")
        with Machine(lab, lab.client, overlay.root) as machine:
            service = Service(lab, machine)
            for step in STORY:
                steps.run(step, service)
            transcript.write_text(machine.transcript())
    steps.run(without_systemd_it_installs_and_goes_without_error, base, first)
    return steps.finish()


if __name__ == "__main__":
    sys.exit(main())
