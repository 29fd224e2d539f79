"""From the line to the targets: the right address, once, to each."""

import itertools
import os
import random
import re
import signal
import time

from daemon import PROGRAM, Hook, cloudflare_section, restart, scenario, start, url_section, wait_for_answers, write_config
from cloudflare_standin import cloudflare
from lab import PROVIDER, WAN, wait_for
from servers import certificate, provider

RECORDS = [{"name": "@", "type": "A"}, {"name": "nas", "type": "A"}]


def fill_zone(front):
    """Two records of ours with settings of their own, and a neighbour."""
    front.api.add("example.org", "A", "62.9.9.9", ttl=300, comment="by hand", tags=["owner:me"])
    front.api.add("nas.example.org", "A", "62.9.9.9", proxied=True)
    front.api.add("other.example.org", "A", "62.9.9.9")


@scenario(prism=True)
def the_first_address_and_a_change_reach_every_target_exactly_once(lab):
    front, url, hook = cloudflare(lab), provider(lab), Hook(lab)
    fill_zone(front)
    config = write_config(lab, cloudflare_section(front, RECORDS) + url_section(url.url) + hook.section("{ipv4}"))

    def everywhere(address):
        records = [front.api.contents(name) for name in ("example.org", "nas.example.org")]
        return records == [[address]] * 2 and address in url.values() and address in hook.args()

    daemon = start(lab, config)
    wait_for(lambda: everywhere(WAN[0]), "the first address is everywhere")
    wait_for_answers(daemon, WAN[0], 4)
    first_writes = len(front.writes())
    lab.set_wan(WAN[1])
    wait_for(lambda: everywhere(WAN[1]), "the new address is everywhere")
    wait_for_answers(daemon, WAN[1], 4)
    asked = len(front.requests)
    lab.wait_for_polls()
    assert url.values() == WAN[:2], url.values()
    assert hook.args() == WAN[:2], hook.args()
    assert hook.calls()[1]["ipv4"] == WAN[1] and hook.calls()[1]["old_ipv4"] == WAN[0], hook.calls()
    assert first_writes <= 2 and len(front.writes()) <= 4, [r.path for r in front.writes()]
    assert len(front.requests) == asked, "no request to Cloudflare while the address stays"
    assert front.violations == [], front.violations
    check_kept_settings(front)
    assert all("ddns-update-daemon/" in r.headers.get("user-agent", "") for r in front.requests + url.requests)


@scenario(prism=True)
def many_records_go_in_one_batch_that_the_contract_allows(lab):
    front = cloudflare(lab)
    names = [f"h{number}" for number in range(6)]
    for name in names[:4]:
        front.api.add(f"{name}.example.org", "A", "62.9.9.9", ttl=300, comment="by hand")
    front.api.add("other.example.org", "A", "62.9.9.9")
    records = [{"name": name, "type": "A"} for name in names]
    daemon = start(lab, write_config(lab, cloudflare_section(front, records)))

    def everywhere(address):
        return [front.api.contents(f"{name}.example.org") for name in names] == [[address]] * len(names)

    for address in WAN[:2]:
        lab.set_wan(address)
        # Prism takes seconds to hold a batch to its schema on a busy machine.
        wait_for(lambda: everywhere(address), f"{address} is everywhere", 60)
        wait_for_answers(daemon, address, len(names))
    assert [request.path.rsplit("/", 1)[-1] for request in front.writes()] == ["batch", "batch"], front.writes()
    kept = [r for r in front.api.records.values() if r["comment"] == "by hand"]
    assert len(kept) == 4 and all(record["ttl"] == 300 for record in kept), kept
    assert front.api.contents("other.example.org") == ["62.9.9.9"]
    assert front.violations == [], front.violations


def check_kept_settings(front):
    by_name = {record["name"]: record for record in front.api.records.values()}
    apex, nas = by_name["example.org"], by_name["nas.example.org"]
    assert (apex["ttl"], apex["comment"], apex["tags"]) == (300, "by hand", ["owner:me"]), apex
    assert (nas["ttl"], nas["proxied"]) == (1, True), nas
    assert by_name["other.example.org"]["content"] == "62.9.9.9"


@scenario(prism=True)
def a_record_that_is_current_is_not_written(lab):
    front = cloudflare(lab)
    front.api.add("example.org", "A", WAN[0])
    start(lab, write_config(lab, cloudflare_section(front, RECORDS[:1])))
    wait_for(lambda: front.requests, "the record is looked at")
    lab.wait_for_polls()
    assert front.writes() == [] and front.violations == [], front.violations


@scenario(prism=True)
def a_zone_is_found_from_the_name(lab):
    front = cloudflare(lab)
    front.api.zones["ab" * 16] = "deep.example.net"
    front.api.add("host.deep.example.net", "A", "62.9.9.9", zone="ab" * 16)
    records = [{"name": "host.deep.example.net", "type": "A"}]
    start(lab, write_config(lab, cloudflare_section(front, records, zone_id=None)))
    wait_for(lambda: front.api.contents("host.deep.example.net") == [WAN[0]], "the record is right")
    assert front.violations == [], front.violations


@scenario(prism=True)
def a_missing_record_is_created_unless_the_user_forbids_it(lab):
    front = cloudflare(lab)
    records = [{"name": "new", "type": "A", "ttl": 120}, {"name": "absent", "type": "A", "create": False}]
    daemon = start(lab, write_config(lab, cloudflare_section(front, records)))
    wait_for(lambda: front.api.contents("new.example.org") == [WAN[0]], "the record is created")
    wait_for(lambda: "absent" in daemon.log(), "the missing one is spoken of")
    assert front.api.contents("absent.example.org") == []
    assert [r["ttl"] for r in front.api.records.values()] == [120]
    assert front.violations == [], front.violations


@scenario()
def a_restart_with_the_same_address_sends_nothing(lab):
    url, hook = provider(lab), Hook(lab)
    config = write_config(lab, url_section(url.url) + hook.section("{ipv4}"))
    daemon = start(lab, config)
    wait_for(lambda: url.values() and hook.calls(), "the first update")
    for end in (signal.SIGTERM, signal.SIGKILL, signal.SIGINT):
        # Let the answers be stored first; a kill before that may repeat one.
        lab.wait_for_polls(2)
        daemon.stop(end)
        daemon = start(lab, config)
        lab.wait_for_polls(3)
    assert url.values() == [WAN[0]] and hook.args() == [WAN[0]], (url.values(), hook.args())


@scenario()
def at_start_brings_back_a_run_at_every_start(lab):
    hook = Hook(lab)
    config = write_config(lab, hook.section("{ipv4}", more="at_start = true"))
    daemon = start(lab, config)
    wait_for(lambda: len(hook.calls()) == 1, "the first run")
    lab.wait_for_polls(2)
    restart(lab, daemon, config)
    wait_for(lambda: len(hook.calls()) == 2, "the second run")
    lab.wait_for_polls(3)
    assert hook.args() == [WAN[0]] * 2


@scenario()
def an_address_that_changed_while_the_daemon_was_off_is_sent(lab):
    url = provider(lab)
    config = write_config(lab, url_section(url.url))
    daemon = start(lab, config)
    wait_for(lambda: url.values() == [WAN[0]], "the first update")
    lab.wait_for_polls(2)
    daemon.stop()
    lab.set_wan(WAN[1])
    start(lab, config)
    wait_for(lambda: url.values() == WAN[:2], "the update after the restart")


@scenario()
def a_changed_section_is_sent_again_and_its_neighbour_is_not(lab):
    changed, same = provider(lab), provider(lab)
    config = write_config(lab, url_section(changed.url) + url_section(same.url))
    daemon = start(lab, config)
    wait_for(lambda: changed.values() and same.values(), "the first updates")
    lab.wait_for_polls(2)
    config = write_config(lab, url_section(changed.url, 'headers = { X-Key = "new" }') + url_section(same.url))
    restart(lab, daemon, config)
    wait_for(lambda: len(changed.values()) == 2, "the changed section is sent again")
    lab.wait_for_polls(3)
    assert changed.requests[1].headers.get("x-key") == "new"
    assert len(changed.values()) == 2 and len(same.values()) == 1


@scenario(slow=True)
def killed_at_any_instant_it_ends_up_right(lab):
    url, hook = provider(lab), Hook(lab)
    config = write_config(lab, url_section(url.url) + hook.section("{ipv4}"))
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    print(f"seed {seed}")
    for turn in range(20):
        daemon = start(lab, config)
        lab.set_wan(WAN[turn % 3])
        # The instant is the point here: from before the first look to after the update.
        time.sleep(chance.uniform(0, 0.25) if turn % 4 else 1.3)
        daemon.kill()
        check_state_file(lab)
    lab.set_wan(WAN[3])
    daemon = start(lab, config)
    wait_for(lambda: url.values()[-1:] == [WAN[3]] and hook.args()[-1:] == [WAN[3]], "the last address is everywhere")
    for sent in (url.values(), hook.args()):
        assert set(sent) <= set(WAN[:4]), sent
        # Each address once, and once more where a kill came between.
        assert max(len(list(same)) for _, same in itertools.groupby(sent)) <= 2, sent
    lab.wait_for_polls(2)
    sent = len(url.values()), len(hook.calls())
    restart(lab, daemon, config)
    lab.wait_for_polls(4)
    assert sent == (len(url.values()), len(hook.calls())), "the state was kept"


def check_state_file(lab):
    """Written whole or not at all."""
    state = lab.dir / "state"
    if state.exists():
        text = state.read_text()
        assert text.startswith("ddns-update-daemon state 2 ") and text.endswith("\n"), text
    leftovers = [path.name for path in lab.dir.glob("*state*")]
    assert len(leftovers) <= 2, leftovers


@scenario()
def an_update_cut_by_a_kill_is_repeated_when_the_old_address_returns(lab):
    """Without "trying" in the state, a lost answer would leave the wrong address for ever."""
    url = provider(lab)
    config = write_config(lab, url_section(url.url))
    daemon = start(lab, config)
    wait_for(lambda: url.values() == [WAN[0]], "the first update")
    wait_for_answers(daemon, WAN[0])
    url.fault = "silence"
    lab.set_wan(WAN[1])
    wait_for(lambda: url.values() == WAN[:2], "the second update is under way")
    daemon.kill()
    url.fault = None
    lab.set_wan(WAN[0])
    start(lab, config)
    wait_for(lambda: url.values() == [WAN[0], WAN[1], WAN[0]], "the first address is sent again")


@scenario(prism=True, slow=True)
def a_change_during_an_update_ends_with_the_newest_address(lab):
    front, url = cloudflare(lab), provider(lab)
    fill_zone(front)
    front.fault = url.fault = "slow 0.5"
    start(lab, write_config(lab, cloudflare_section(front, RECORDS) + url_section(url.url)))
    wait_for(lambda: front.requests and url.requests, "updates are under way")
    lab.set_wan(WAN[1])
    front.fault = url.fault = None
    wait_for(lambda: url.values()[-1] == WAN[1], "the URL has the newest address", 60)
    # While a record may be in the making, no other request is sent beside it: its end
    # (120 s) and the back-off after it (up to 38 s) are waited for.
    for name in ("example.org", "nas.example.org"):
        wait_for(lambda: front.api.contents(name) == [WAN[1]], f"{name} has the newest address", 190)
    assert set(url.values()) == set(WAN[:2]), url.values()


@scenario()
def ipv6_addresses_come_from_the_interface(lab):
    hook = Hook(lab)
    lab.sysctl(lab.client, "net.ipv6.conf.lan0.disable_ipv6=0", "net.ipv6.conf.lan0.accept_ra=0")
    lab.ip("cl", "addr add 2a02:8071:1:2::5/64 dev lan0 nodad", "route add default via 2a02:8071:1:2::1 dev lan0")
    config = write_config(lab, hook.section("{ipv4}", "{ipv6}"), ipv6=["interface"])
    start(lab, config)
    wait_for(lambda: hook.args() == [f"{WAN[0]} 2a02:8071:1:2::5"], "both families in one call")
    lab.ip("cl", "addr add 2a02:8071:1:2::6/64 dev lan0 nodad", "addr del 2a02:8071:1:2::5/64 dev lan0")
    wait_for(lambda: hook.args()[-1] == f"{WAN[0]} 2a02:8071:1:2::6", "the new address")
    assert len(hook.calls()) == 2, hook.calls()


@scenario()
def a_dead_address_of_two_costs_an_update_less_than_two_seconds(lab):
    """The name of both servers leads to a black hole first."""
    dead, hosts = "45.67.89.11", lab.dir / "hosts"
    lab.ip("pr", f"addr add {dead}/32 dev wan0")
    lab.nft(lab.provider, f"table inet hole {{\ncounter lost {{ }}\nchain input {{\ntype filter hook input priority 0\n"
                          f"ip daddr {dead} counter name lost drop\n}}\n}}\n")
    hosts.write_text(f"{dead} provider.test\n{PROVIDER} provider.test\n")
    context, ca_file = certificate(lab, names=["provider.test"])
    urls = {"plain": provider(lab), "secure": provider(lab, context)}
    sections = f'[tls]\nca_file = "{ca_file}"\n' + "".join(
        url_section(url.url.replace(PROVIDER, "provider.test"), f'name = "{name}"') for name, url in urls.items())
    lab.daemons.append(lab.start(lab.client, [
        "unshare", "-m", "sh", "-c", f'mount --bind {hosts} /etc/hosts && exec "$@"', "sh",
        *PROGRAM, "-v", write_config(lab, sections)], "daemon", env={"PATH": os.environ["PATH"], "HOME": str(lab.dir)}))
    for address in WAN[:2]:
        lab.set_wan(address)
        wait_for(lambda: all(url.values()[-1:] == [address] for url in urls.values()), f"{address} is everywhere")
        wait_for_answers(lab.daemons[0], address, 2)
    took = {name: [int(ms) for ms in re.findall(rf" {name}: .* \((\d+) ms\)", lab.daemons[0].log())] for name in urls}
    print(took)
    assert all(len(times) == 2 and max(times) < 2000 for times in took.values()), took
    # It was tried, or this would prove nothing.
    assert lab.counted(lab.provider, "hole", "lost") > 0
