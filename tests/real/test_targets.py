"""Providers that misbehave, and the commands that touch targets once."""

import json
import os

from cloudflare_standin import TOKEN, cloudflare
from daemon import Hook, cloudflare_section, command, restart, scenario, start, url_section, wait_for_answers, write_config
from lab import WAN, wait_for
from servers import provider

# Without a server's own wish the second attempt follows after 30 to 37.5 s, and
# silence ends after 120 s: what happens before is not held up by either.
BACK_OFF = 30
# How old a failed try must be before a new address is tried there: 10 s for the
# daemon, and here less by what the first request took to arrive.
NEW_ADDRESS = 9


def times(server):
    first = server.requests[0].at
    return [round(request.at - first, 1) for request in server.requests]


@scenario(slow=True)
def a_failing_target_delays_no_other_and_is_retried_with_the_newest_address(lab):
    faults = {"html": "html", "busy": "status 503 wait", "limit": "429 41", "reset": "reset", "silence": "silence"}
    bad = {name: provider(lab) for name in faults}
    good = provider(lab)
    for name, server in bad.items():
        server.fault = faults[name]
    sections = "".join(url_section(server.url, f'name = "{name}"') for name, server in bad.items())
    daemon = start(lab, write_config(lab, sections + url_section(good.url)))
    wait_for(lambda: good.values() == [WAN[0]], "the good target")
    wait_for_answers(daemon, WAN[0])
    wait_for(lambda: all(server.requests for server in bad.values()), "every target is tried")
    lab.set_wan(WAN[1])
    wait_for(lambda: good.values() == WAN[:2], "the good target again")
    for name in ("html", "busy", "limit", "silence"):
        bad[name].fault = None
    assert len(bad["reset"].requests) <= 2, "what may be done is not sent again in a rush"
    bad["reset"].fault = None
    wait_for(lambda: all(WAN[1] in server.values() for server in bad.values()), "the new address everywhere", 100)
    for name, least in (("html", NEW_ADDRESS), ("busy", NEW_ADDRESS), ("limit", 41)):
        assert len(bad[name].requests) == 2 and times(bad[name])[1] >= least, (name, times(bad[name]))
        assert bad[name].values() == WAN[:2], name
    assert "502" in daemon.log() and good.values() == WAN[:2]


@scenario(slow=True)
def a_program_that_fails_or_hangs_is_tried_again(lab):
    url, fails, hangs = provider(lab), lab.dir / "fails.sh", lab.dir / "hangs.sh"
    fails.write_text(f"#!/bin/sh\necho x >>{lab.dir}/fails\n[ -e {lab.dir}/mended ]\n")
    hangs.write_text(f"#!/bin/sh\necho $$ >>{lab.dir}/hangs\nsleep 1000\n")
    fails.chmod(0o755)
    hangs.chmod(0o755)
    sections = f'[[runs]]\ncmd = ["{fails}", "{{ipv4}}"]\n[[runs]]\ncmd = ["{hangs}", "{{ipv4}}"]\ntimeout = 1\n'
    start(lab, write_config(lab, sections + url_section(url.url)))
    wait_for(lambda: url.values() == [WAN[0]], "the other target")

    def written(name):
        path = lab.dir / name
        return path.read_text().split() if path.exists() else []

    wait_for(lambda: written("hangs") and written("fails"), "both are run")
    group = int(written("hangs")[0])
    wait_for(lambda: not group_exists(group), "the hanging program's group is ended", 10)
    (lab.dir / "mended").touch()
    wait_for(lambda: (lab.dir / "fails").read_text().count("x") == 2, "the failed program is run again", 60)


def group_exists(group):
    """Whether a process of this group is left, zombies aside."""
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                fields = open(f"/proc/{entry}/stat").read().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[2]) == group and fields[0] != "Z":
                return True
    return False


@scenario()
def a_blocked_url_stays_silent_until_its_section_changes(lab):
    url, good = provider(lab), provider(lab)
    url.answer = (200, {"Content-Type": "text/plain"}, "badauth")
    config = write_config(lab, url_section(url.url) + url_section(good.url))
    daemon = start(lab, config)
    wait_for(lambda: url.values() and good.values(), "the first updates")
    wait_for(lambda: "badauth" in daemon.log(), "the block is spoken of")
    wait_for_answers(daemon, WAN[0])
    lab.set_wan(WAN[1])
    wait_for(lambda: good.values() == WAN[:2], "the other target goes on")
    wait_for_answers(daemon, WAN[1])
    daemon = restart(lab, daemon, config)
    lab.set_wan(WAN[2])
    wait_for(lambda: good.values() == WAN[:3], "the other target goes on after a restart")
    wait_for_answers(daemon, WAN[2])
    lab.wait_for_polls(3)
    assert url.values()[0] == WAN[0] and len(url.values()) == 2, ("a start is one try", url.values())
    url.answer = (200, {}, "good")
    config = write_config(lab, url_section(url.url, 'headers = { Authorization = "Bearer right" }') + url_section(good.url))
    restart(lab, daemon, config)
    wait_for(lambda: url.values()[2:] == [WAN[2]], "the corrected section is sent")


@scenario(prism=True)
def a_refused_token_blocks_cloudflare_until_its_section_changes(lab):
    front = cloudflare(lab)
    front.api.add("example.org", "A", "62.9.9.9")
    front.api.fault = "error 403 9109"
    records = [{"name": "@", "type": "A"}]
    config = write_config(lab, cloudflare_section(front, records))
    daemon = start(lab, config)
    wait_for(lambda: "9109" in daemon.log(), "the refusal is spoken of")
    # Until the block is on disk, a restart may ask once more.
    lab.wait_for_polls(2)
    front.api.fault, asked = None, len(front.requests)
    daemon = restart(lab, daemon, config)
    wait_for(lambda: len(front.requests) > asked, "a start is one try")
    lab.set_wan(WAN[1])
    lab.wait_for_polls()
    config = write_config(lab, cloudflare_section(front, [{"name": "example.org", "type": "A"}], zone_id=None))
    restart(lab, daemon, config)
    wait_for(lambda: front.api.contents("example.org") == [WAN[1]], "the changed section is sent")
    assert front.violations == [], front.violations
    assert all(TOKEN not in each.log() for each in lab.daemons), "no token in a log"


@scenario(prism=True, slow=True)
def cloudflare_is_retried_soon_when_not_reached_and_later_when_it_is_ill(lab):
    front, url = cloudflare(lab), provider(lab)
    front.api.add("example.org", "A", "62.9.9.9")
    front.fault = "reset"
    daemon = start(lab, write_config(lab, cloudflare_section(front, [{"name": "@", "type": "A"}]) + url_section(url.url)))
    wait_for(lambda: url.values() == [WAN[0]], "the other target")
    wait_for(lambda: len(front.requests) >= 2, "a quick retry", 20)
    front.api.fault, front.fault = "html", None
    wait_for(lambda: "502" in daemon.log(), "the HTML page is spoken of", 25)
    front.api.fault, asked = None, len(front.requests)
    wait_for(lambda: front.api.contents("example.org") == [WAN[0]], "the record is right in the end", 60)
    assert front.requests[asked].at - front.requests[asked - 1].at >= BACK_OFF, times(front)
    assert front.violations == [] and daemon.alive(), front.violations


@scenario()
def once_exits_with_0_1_and_2(lab):
    url = provider(lab)
    config = write_config(lab, url_section(url.url))
    status, _, err = command(lab, "--once", config)
    assert status == 0 and url.values() == [WAN[0]], err
    status, _, err = command(lab, "--once", config)
    assert status == 0 and url.values() == [WAN[0]], "nothing to do the second time"
    url.fault = "html"
    lab.set_wan(WAN[1])
    status, _, err = command(lab, "--once", config)
    assert status == 1 and "502" in err, err
    lab.upnpd.kill()
    status, _, err = command(lab, "--once", config)
    assert status == 1, err
    broken = write_config(lab, "[[urls]]\nmethodd = 1\n", name="broken.toml")
    status, _, err = command(lab, "--once", broken)
    assert status == 2 and "broken.toml" in err and "method" in err, err
    status, _, err = command(lab, "--no-such-option", config)
    assert status == 2, err


@scenario()
def dry_run_sends_and_stores_nothing(lab):
    url, hook = provider(lab), Hook(lab)
    secret = "tok3n-in-the-query"
    config = write_config(lab, url_section(f"{url.base}/update?key={secret}&ip=") + hook.section("{ipv4}"))
    process = start(lab, config, "--dry-run")
    wait_for(lambda: WAN[0] in process.log() + process.out(), "it says what it would send")
    lab.wait_for_polls(3)
    process.stop()
    assert url.requests == [] and hook.calls() == []
    assert list(lab.dir.glob("state*")) == []
    assert secret not in process.log() + process.out()


@scenario()
def check_shows_the_configuration_without_secrets(lab):
    secret = "s3cr3t-value"
    sections = (f'[cloudflare]\napi_token = "{secret}"\n[[cloudflare.records]]\nname = "@"\ntype = "A"\n'
                + f'[[urls]]\nmethod = "get"\nurl = "https://me:{secret}@dyn.example/u?k={secret}&ip={{ipv4}}"\n'
                + f'headers = {{ X-Key = "{secret}" }}\n')
    config = write_config(lab, sections)
    before = lab.asked()
    status, out, err = command(lab, "--check", config)
    assert status == 0 and "dyn.example" in out and secret not in out + err, out + err
    assert lab.asked() == before, "checking asks nobody"
    broken = write_config(lab, '[[urls]]\nmethod = "get"\nurl = "https://dyn.example/"\nheader = 1\n', name="broken.toml")
    status, _, err = command(lab, "--check", broken)
    assert status == 2 and ":6:" in err and "header" in err, err


@scenario()
def a_file_of_1_0_runs_unchanged(lab):
    url, hook = provider(lab), Hook(lab)
    config = lab.dir / "old.toml"
    body = json.dumps('{"a": "{ipv4}"}')
    config.write_text(
        f'interval = 0.02\n[[urls]]\nmethod = "post"\nurl = "{url.url}{{ipv4}}"\nheaders = {{ X-A = "b" }}\nbody = {body}\n'
        f'[[runs]]\ncmd = ["{hook.path}", "{{ipv4}}"]\n')
    process = start(lab, config, "-v", STATE_DIRECTORY=str(lab.dir))
    wait_for(lambda: url.values() == [WAN[0]] and hook.args() == [WAN[0]], "the first update")
    wait_for_answers(process, WAN[0], 2)
    assert url.requests[0].method == "POST" and url.requests[0].headers["x-a"] == "b"
    lab.set_wan(WAN[1])
    wait_for(lambda: url.values() == WAN[:2] and hook.args() == WAN[:2], "the change")
    process.stop()
