"""Installs the Debian package in a machine that has been booted, and looks at
all of its life: installed.py ROOT PACKAGE NEWER TRANSCRIPT

Called by dist/debian/test. NEWER is the same with a higher version.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from machine import Machine, Overlay
from steps import (
    CONFIG, DROP_IN, STATE, UNIT, Service, Steps, TOKEN, WAN, a_change_at_the_router_is_published_at_once,
    a_credential_that_is_missing_fails_and_is_not_tried_again, a_killed_daemon_is_started_again_and_sends_nothing,
    a_wrong_configuration_fails_and_is_not_tried_again, allowed, the_sandbox_is_enforced, wait_for,
)
from lab import Lab, batch, run

# What systemd 252 says of the unit; README.md explains what it is made of.
EXPOSURE = "1.1"


def installed_it_is_enabled_and_says_that_nothing_is_configured(service):
    machine = service.machine
    machine.heading("install")
    machine.type("dpkg -i /root/first.deb")
    machine.type(f"systemctl status {UNIT} --no-pager", status=3)
    assert machine.type(f"systemctl is-enabled {UNIT}") == "enabled"
    wait_for(lambda: service.show("SubState") == "dead", "it ends")
    assert service.show("Result") == "success" and service.show("NRestarts") == "0"
    assert "nothing to update" in service.journal("PRIORITY=4")
    assert machine.read(f"stat -c '%a %U' {CONFIG}") == "600 root"


def the_unit_is_correct_and_its_exposure_is_as_stated(service):
    machine = service.machine
    # There is no man in the machine to look for the documentation.
    complaints = machine.read(f"systemd-analyze verify --man=no {UNIT}.service")
    assert not complaints, complaints
    table = machine.read(f"systemd-analyze security {UNIT}")
    assert f"Overall exposure level for {UNIT}.service: {EXPOSURE} OK" in table, table
    machine.type(f"systemd-analyze security --no-pager {UNIT} | grep -e ✗ -e Overall")


def configured_it_publishes_by_http_and_tls_and_starts_a_program(service):
    machine = service.machine
    machine.heading("configure and start")
    service.configure()
    machine.type(f"systemctl restart {UNIT}")
    service.wait_for_updates(WAN[0])
    assert service.tls.requests[-1].query["key"] == TOKEN
    wait_for(lambda: service.own.values() == ["192.168.77.2"], "the host's own address is published")
    machine.type(f"systemctl status {UNIT} --no-pager")


def its_state_is_its_own_and_its_log_has_priorities(service):
    machine = service.machine
    listing = machine.type(f"ls -ln {STATE}/")
    states = [line.split() for line in listing.splitlines() if line.endswith(".state")]
    assert [(line[0], line[2]) for line in states] == [("-rw-------", service.process("Uid"))], listing
    lines = service.journal("PRIORITY=6")
    assert f"plain: set to {WAN[0]}" in lines and "<6>" not in lines, lines
    assert TOKEN not in machine.read("journalctl -o verbose") + listing


def a_change_at_this_host_is_published_at_once(service):
    batch(service.lab.client, ["addr add 5.44.6.7/32 dev lan0"])
    wait_for(lambda: service.own.values()[-1:] == ["5.44.6.7"], "the new address of the host is published")
    service.machine.type(f"journalctl --no-pager -q -u {UNIT} -o short-iso --no-hostname | tail -n 5")


def the_right_program_needs_the_drop_in(service):
    """With AF_UNIX, as programs.conf has it, the program may log; the rest stays."""
    machine = service.machine
    lines = machine.read("cat /usr/share/doc/ddns-update-daemon/examples/programs.conf")
    assert "RestrictAddressFamilies=AF_UNIX" in lines
    drop_in = str(Path(DROP_IN).with_name("programs.conf"))
    machine.write(drop_in, "[Service]\nRestrictAddressFamilies=AF_UNIX\n")
    machine.read("systemctl daemon-reload")
    machine.read(f"systemctl restart {UNIT}")
    service.lab.set_wan(WAN[2])
    service.wait_for_updates(WAN[2])
    assert allowed(service.told()) == {"local sockets", "temporary files"}, service.told()
    machine.read(f"rm {drop_in}")
    machine.read("systemctl daemon-reload")
    machine.read(f"systemctl restart {UNIT}")


def an_upgrade_keeps_the_configuration_and_sends_nothing(service):
    machine = service.machine
    machine.heading("upgrade")
    service.stays_silent(lambda: machine.type("dpkg -i /root/second.deb"))
    assert machine.type(f"dpkg-query -W {UNIT}").endswith("2.0.1-1")
    assert machine.read(f"cat {CONFIG}") == service.configuration().strip()
    machine.type(f"systemctl status {UNIT} --no-pager --lines 3")


def a_new_default_configuration_does_not_replace_the_users(service):
    machine = service.machine
    machine.type("dpkg --force-confdef --force-confold -i /root/third.deb")
    assert machine.read(f"cat {CONFIG}") == service.configuration().strip()
    assert machine.read(f"tail -n 1 {CONFIG}.dpkg-dist") == "# A new example."
    assert service.is_active()


def maintainer_scripts_may_run_again(service):
    machine = service.machine
    for arguments in ("postinst configure 2.0.1-1", "postinst configure 2.0.1-1", "postinst abort-remove",
                      "prerm upgrade 2.0.2-1", "postrm upgrade 2.0.2-1"):
        machine.read(f"/var/lib/dpkg/info/{UNIT}.{arguments}")
        assert service.is_active(), arguments


def what_the_administrator_disabled_stays_so(service):
    machine = service.machine
    machine.read(f"systemctl disable --now {UNIT}")
    machine.read("dpkg -i /root/third.deb")
    assert machine.shell(f"systemctl is-enabled {UNIT}").stdout.strip() == "disabled"
    assert not service.is_active()
    machine.read(f"systemctl enable --now {UNIT}")


def removed_it_is_stopped_and_leaves_configuration_and_state(service):
    machine = service.machine
    machine.heading("remove")
    process = service.show("MainPID")
    machine.type(f"dpkg --remove {UNIT}")
    assert not Path(machine.root, "proc", process).exists()
    assert machine.shell(f"kill -0 {process}").returncode != 0
    machine.type(f"systemctl status {UNIT}", status=4)
    machine.type(f"ls /usr/bin/{UNIT} {CONFIG} {STATE}/", status=2)
    for path in (CONFIG, STATE):
        assert (machine.root / path.lstrip("/")).exists(), path
    for path in (f"/usr/bin/{UNIT}", f"/usr/lib/systemd/system/{UNIT}.service", f"/usr/share/doc/{UNIT}"):
        assert not (machine.root / path.lstrip("/")).exists(), path


def installed_again_it_goes_on_where_it_was(service):
    service.stays_silent(lambda: service.machine.type("dpkg -i /root/third.deb"))


def purged_nothing_is_left(service):
    machine = service.machine
    machine.heading("purge")
    # What the administrator made is the administrator's to remove.
    machine.read(f"rm -r {Path(DROP_IN).parent}")
    machine.type(f"dpkg --purge {UNIT}")
    machine.read(f"/bin/sh /root/postrm purge")
    left = machine.read(f"find / -xdev -name '*{UNIT}*' -not -path '/proc/*' -not -path '/run/log/*'")
    assert not left, left
    assert machine.type("systemctl --failed --no-legend") == ""


def without_systemd_it_installs_and_goes_without_error(base, package):
    """As when a container is built: nothing runs."""
    with Overlay(base) as overlay:
        shutil.copy(package, overlay.root / "root" / "first.deb")
        for command in ("dpkg -i /root/first.deb", f"test -L /etc/systemd/system/multi-user.target.wants/{UNIT}.service",
                        f"{UNIT} --version", f"dpkg --purge {UNIT}", f"test ! -e {CONFIG}"):
            run("chroot", overlay.root, "sh", "-ec", command, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})


def with_other_default(package, folder):
    """The package with a higher version and another default configuration."""
    tree, made = folder / "tree", folder / "third.deb"
    run("dpkg-deb", "-R", package, tree)
    control = tree / "DEBIAN" / "control"
    control.write_text(control.read_text().replace("Version: 2.0.1-1", "Version: 2.0.2-1"))
    with open(tree / CONFIG.lstrip("/"), "a") as file:
        file.write("# A new example.\n")
    run("dpkg-deb", "--root-owner-group", "-Znone", "-b", tree, made)
    return made


STORY = (
    installed_it_is_enabled_and_says_that_nothing_is_configured,
    the_unit_is_correct_and_its_exposure_is_as_stated,
    configured_it_publishes_by_http_and_tls_and_starts_a_program,
    its_state_is_its_own_and_its_log_has_priorities,
    the_sandbox_is_enforced,
    a_change_at_the_router_is_published_at_once,
    a_change_at_this_host_is_published_at_once,
    the_right_program_needs_the_drop_in,
    a_killed_daemon_is_started_again_and_sends_nothing,
    a_wrong_configuration_fails_and_is_not_tried_again,
    a_credential_that_is_missing_fails_and_is_not_tried_again,
    an_upgrade_keeps_the_configuration_and_sends_nothing,
    a_new_default_configuration_does_not_replace_the_users,
    maintainer_scripts_may_run_again,
    what_the_administrator_disabled_stays_so,
    removed_it_is_stopped_and_leaves_configuration_and_state,
    installed_again_it_goes_on_where_it_was,
    purged_nothing_is_left,
)


def main():
    base, first, second, transcript = map(Path, sys.argv[1:])
    steps = Steps()
    with tempfile.TemporaryDirectory(prefix="ddp-") as scratch:
        third = with_other_default(second, Path(scratch))
        with Lab() as lab, Overlay(base) as overlay:
            for name, package in (("first", first), ("second", second), ("third", third)):
                shutil.copy(package, overlay.root / "root" / f"{name}.deb")
            shutil.copy("dist/debian/postrm", overlay.root / "root" / "postrm")
            with Machine(lab, lab.client, overlay.root) as machine:
                service = Service(lab, machine)
                for step in STORY:
                    steps.run(step, service)
                transcript.write_text(machine.transcript())
    steps.run(without_systemd_it_installs_and_goes_without_error, base, first)
    return steps.finish()


if __name__ == "__main__":
    sys.exit(main())
