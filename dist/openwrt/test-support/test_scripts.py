"""The init script and its conversion, under busybox's ash."""

import random
import shutil
import subprocess
import tomllib
from pathlib import Path

import toml_to_uci
import uci
from lab import LeftOut, Noted, contains, equal, lacks
from router import FILES, NAME, PROGRAM, TOML, UID, Router

ROOT = Path(__file__).resolve().parents[3]
ON = uci.section("globals", "globals", enabled="1")
RUN = uci.section("urls", url="https://user:hush@dyn.example/?ip={ipv4}")
program = None  # set by run.py


def with_config(text, action="start"):
    """What an action does with a configuration: log, TOML, instance, triggers."""
    with Router(program) as router:
        router.configure(text)
        done = router.service(action)
        return router.log() + done.text, router.toml(), *router.handed_over()


def made(router):
    """The configuration that the script has made, without what it always adds."""
    config = tomllib.loads(router.toml().decode())
    equal(config.pop("state_file"), f"/etc/{NAME}/state/{NAME}.state")
    return config


def refused(text, *told):
    """Told in the log, and nothing is started."""
    log, toml, instance, _ = with_config(text)
    contains(log, *told)
    equal((toml, instance), (None, None), log)
    lacks(log, "hush")


def test_the_scripts_are_clean_for_shellcheck():
    scripts = [FILES / f"{NAME}.init", FILES / "uci-to-toml.sh", *Path(__file__).parent.glob("*.sh")]
    done = subprocess.run(["shellcheck", "-s", "dash", *map(str, scripts)], capture_output=True, text=True)
    equal(done.stdout + done.stderr, "")


def test_a_fresh_installation_starts_nothing_and_waits_for_its_configuration():
    log, toml, instance, triggers = with_config((FILES / f"{NAME}.config").read_text())
    equal((log, toml, instance, triggers), ("", None, None, ["config.change"]))


def test_the_examples_of_the_default_configuration_work():
    text = (FILES / f"{NAME}.config").read_text().replace("enabled '0'", "enabled '1'")
    text = "".join(line.removeprefix("#") for line in text.splitlines(True) if not line.startswith("# "))
    for what in ("token", "password"):
        text = text.replace(f"put-your-{what}-here", "5PbzV0XyZ8nq")
    # The last one is another way to begin.
    log, _, instance, _ = with_config(text.rsplit("config globals", 1)[0])
    equal(instance and instance["command"], [f"/{PROGRAM}", f"/{TOML}"], log)


def test_procd_is_handed_everything():
    _, _, instance, triggers = with_config(ON + RUN)
    expected = {
        "command": [f"/{PROGRAM}", f"/{TOML}"],
        "env": {"STATE_DIRECTORY": f"/etc/{NAME}/state", "RUNTIME_DIRECTORY": f"/var/run/{NAME}"},
        "respawn": ["3600", "30", "0"], "stdout": ["1"], "stderr": ["1"], "user": [NAME], "group": [NAME],
        "no_new_privs": ["1"], "term_timeout": ["1"], "jail": [NAME, "procfs", "ronly"],
        "file": [f"/{PROGRAM}", f"/{TOML}", "/etc/resolv.conf", "/etc/hosts"],
        "mount": {f"/{TOML}": False, f"/var/etc/{NAME}.files": False, "/etc/resolv.conf": False,
                  "/etc/hosts": False, f"/etc/{NAME}/state": True, f"/var/run/{NAME}": True},
    }
    equal(instance, expected)
    equal(triggers, ["config.change", "interface.*"])


def test_files_with_secrets_belong_to_the_daemon_alone():
    with Router(program) as router:
        router.put("root/token", "hush-hush\n", 0o600)
        token = uci.section("dyndns", "home", provider="duckdns", hostname="x.duckdns.org", token_file="/root/token")
        router.configure(ON + token)
        router.service("start")
        modes = {}
        for path in ("tmp/etc/{}.toml", "tmp/etc/{}.files", "tmp/etc/{}.files/home.token_file", "etc/{}/state",
                     "tmp/run/{}"):
            info = (router.root / path.format(NAME)).stat()
            modes[path] = (oct(info.st_mode)[-3:], info.st_uid, info.st_gid)
        equal(set(modes.values()), {("600", UID, UID), ("700", UID, UID)}, modes)
        equal((router.root / f"tmp/etc/{NAME}.files/home.token_file").read_text(), "hush-hush\n")
        contains(" ".join(router.handed_over()[0]["file"]), "home.token_file")
        lacks(router.toml().decode(), "hush-hush", "/root/token")


def test_every_key_of_the_program_can_be_said_in_uci():
    count = 0
    for example in sorted((ROOT / "examples").glob("*.toml")):
        with Router(program) as router:
            config = tomllib.loads(example.read_text())
            contents = {}
            for table, key in toml_to_uci.files(config):
                path = example.parent / table[key]
                contents[len(contents)] = path.read_bytes() if path.exists() else b"hush\n"
                table[key] = router.put(f"root/{len(contents)}", contents[len(contents) - 1], 0o600)
            router.configure(toml_to_uci.convert(config))
            done = router.shell(write_only(router))
            if done.text:
                raise AssertionError(f"{example.name}: {done.text}")
            result = tomllib.loads(done_toml(router))
            result.pop("state_file")
            for place, (table, key) in enumerate(toml_to_uci.files(result)):
                contents_there = (router.root / "tmp/out" / table[key]).read_bytes()
                if contents_there not in contents.values():
                    raise AssertionError(f"{example.name}: {key} is not what it was")
            # Compared by their contents, above.
            for tables in (result, config):
                for table, key in toml_to_uci.files(tables):
                    table[key] = "a copy"
            equal(result, toml_to_uci.expected(config), example.name)
            count += 1
    if count < 10:
        raise AssertionError(f"only {count} examples")


def write_only(router):
    """Converts without the program having a say."""
    (router.root / f"tmp/out/{NAME}.files").mkdir(parents=True, exist_ok=True)
    return (f"NAME={NAME} TOML=/out/{NAME}.toml FILES=/out/{NAME}.files STATE=/s; tell() {{ echo \"$2\"; }}; "
            f". /lib/functions.sh; . /usr/share/{NAME}/uci-to-toml.sh; load_config && write_toml /tmp/out")


def done_toml(router):
    return (router.root / f"tmp/out/{NAME}.toml").read_bytes().decode()


NASTY = ['"', "'", "\\", "$", "`", "\n", "\t", "\r", "\x01", "\x1b", "\x7f", "$(id)", "`id`", "${HOME}", "%s", "%n",
         "\\n", "\\u0041", "'''", '"""', "\"\"", "]", "[", "^", "-", "*", "?", "!", "~", "#", ";", "&", "|", "<", ">", "=",
         " ", "  ",
         "é", "\u0085", "\u2028", "漢", "\U0001f600", "\ufeff", "a", "Z", "0", "$IFS", "\\$", "\\`", "$'", "--", "-n", "-e"]


def nasty(source):
    """Something that a careless script would trip over; not empty."""
    return "".join(source.choice(NASTY) for _ in range(source.randint(1, 24)))


def test_whatever_stands_in_a_text_arrives():
    seed = random.randrange(1 << 32)
    source = random.Random(seed)
    texts = NASTY + [chr(code) for code in range(1, 128)] + [nasty(source) for _ in range(150)]
    texts += [f"{text}\n" for text in NASTY] + [f"\n{text}" for text in NASTY]
    with Router(program) as router:
        # uci itself has no carriage returns.
        texts = [text.replace("\r", "") for text in texts] if router.real else texts
        texts = [text for text in texts if text]
        for start in range(0, len(texts), 60):
            some = texts[start:start + 60]
            sections = [uci.section("urls", url=text, headers=[f"X: {text}", "Y:" + text.replace(" ", "_")], expect=[text, "x"])
                        for text in some]
            router.configure(ON + "".join(sections))
            done = router.shell(write_only(router))
            equal(done.text, "", f"seed {seed}")
            wanted = [{"url": text, "headers": {"X": text, "Y": text.replace(" ", "_")}, "expect": [text, "x"]}
                      for text in some]
            equal(tomllib.loads(done_toml(router))["urls"], wanted, f"seed {seed}")


def test_text_that_is_not_utf_8_is_told_by_the_program():
    with Router(program) as router:
        router.configure(ON + uci.section("urls", url="https://x.example/\udcff"))
        router.service("start")
        contains(router.log(), "not UTF-8 text")
        equal(router.handed_over()[0], None)


def test_wrong_numbers_and_flags_are_told_by_name():
    for kind, option, value in [("globals", "interval", "five"), ("globals", "agree", "1e3"), ("globals", "events", "maybe"),
                                ("globals", "enabled", "perhaps"), ("runs", "timeout", "-1"), ("runs", "timeout", "060"),
                                ("runs", "at_start", "2"), ("urls", "refresh", "1.2.3"), ("urls", "agree", "1 = 1\nx")]:
        options = {"globals": {"enabled": "1"}, "runs": {"cmd": ["/bin/true"]}, "urls": {"url": "https://x.example/?{ipv4}"}}
        options = {key: dict(found) for key, found in options.items()}
        options[kind][option] = value
        text = "".join(uci.section(key, key, **found) for key, found in options.items())
        refused(text, f"section {kind} (config {kind}): option {option}: expected ")
    for option, value in [("router_ip", "nonsense"), ("interval", "0")]:
        refused(uci.section("globals", "globals", enabled="1", **{option: value}) + RUN,
                f"section globals (config globals): {option} = ")


def test_check_shows_what_is_wrong_and_what_is_in_force():
    with Router(program) as router:
        router.configure(ON + RUN)
        done = router.service("check")
        equal(done.returncode, 0, done.text)
        contains(done.stdout.decode(), "interval = 5", 'name = "url dyn.example"')
        lacks(done.text, "hush")
        router.configure(uci.section("globals", "globals", enabled="1", interval="five") + RUN)
        done = router.service("check")
        contains(done.stderr.decode(), "section globals (config globals): option interval: expected a number")
        equal((done.returncode != 0, router.log(), router.handed_over()[0]), (True, "", None), done.text)
        equal(list((router.root / "tmp/etc").iterdir()), [])


def test_nothing_vanishes_silently():
    refused(ON + uci.section("urls", "home", url="https://x.example", bogus="hush"),
            "section home (config urls): unknown option bogus; known are ipv4 ipv6")
    refused(ON + RUN + uci.section("url", "home", url="hush"),
            "section home (config url): there is no such type of section")
    refused(ON + uci.section("urls", "home", url=["hush"]), "list url: expected option url, with one value")
    refused(ON + uci.section("urls", "home", url="https://x.example", headers="A: hush"),
            "expected list headers 'Name: value'")
    refused(ON + uci.section("urls", "home", url="https://x.example", headers=["hush"]), "expected 'Name: value' in each")
    refused(ON + RUN + uci.section("globals", "more", enabled="1"), "there can be only one section of this type")
    refused(ON + RUN + uci.section("runs", name="x", cmd=[]), "cmd")
    with Router(program) as router:
        (router.root / f"tmp/uci/{NAME}").unlink()
        (router.root / f"etc/config/{NAME}").write_text(ON + RUN + "config 'unclosed\n")
        router.service("start")
        contains(router.log(), f"/etc/config/{NAME} cannot be read")


def test_records_find_their_section():
    record = {"name": "www.example.org", "type": "A"}
    one = uci.section("cloudflare", "one", api_token="hush1")
    two = uci.section("cloudflare", "two", api_token="hush2")
    with Router(program) as router:
        router.configure(ON + uci.section("cloudflare_records", **record) + one)
        router.service("start")
        equal(made(router)["cloudflare"], [{"api_token": "hush1", "records": [record]}], router.log())
        router.configure(ON + uci.section("cloudflare_records", parent="two", **record) + one + two)
        router.service("start")
        equal(made(router)["cloudflare"], [{"api_token": "hush1"}, {"api_token": "hush2", "records": [record]}])
    orphan = uci.section("cloudflare_records", "r", **record)
    refused(ON + one + two + orphan, "section r (config cloudflare_records): option parent")
    refused(ON + one + uci.section("cloudflare_records", "r", parent="x", **record),
            "there is no section x of type cloudflare")
    refused(ON + RUN + uci.section("rfc2136_records", "r", **record), "there is no section of type rfc2136")


def test_a_single_option_is_a_list_of_one_and_none_an_empty_list():
    with Router(program) as router:
        router.configure(uci.section("globals", "globals", enabled="1", ipv4="interface", ipv6=["none"]) + RUN)
        router.service("start")
        config = made(router)
        equal((config["ipv4"], config["ipv6"]), (["interface"], []))


def test_an_option_never_becomes_that_of_another_section():
    home = uci.section("cloudflare", "home", api_token_file="/root/token", zone_id="0" * 32)
    other = uci.section("dyndns", "home_api", provider="duckdns", hostname="x.duckdns.org", token="hush")
    with Router(program) as router:
        router.put("root/token", "other\n")
        router.configure(ON + other + home)
        router.service("start")
        equal(made(router)["cloudflare"][0].keys(), {"api_token_file", "zone_id"}, router.log())
    refused(ON + other + home.replace("api_token_file '/root/token'", "api_token 'hush2'"),
            "section home (config cloudflare): option api_token clashes with another section's")


def test_files_that_are_not_there_are_told_without_showing_the_value():
    for path in ("hush", "/no/hush", "/etc"):
        refused(ON + uci.section("cloudflare", "home", api_token_file=path),
                "section home (config cloudflare): option api_token_file: expected the path of a file that can be read")


def test_the_program_judges_before_it_is_started():
    refused(ON + uci.section("cloudflare", "one", api_token="hush") + uci.section("dyndns", "two", provider="no-ip"),
            "section two (config dyndns): ", "hostname")
    refused(ON, "nothing to update")


def test_without_the_program_nothing_is_started():
    with Router() as router:
        router.configure(ON + RUN)
        router.service("start")
        contains(router.log(), f"there is no /{PROGRAM}: install the package again")
        equal((router.handed_over()[0], router.toml()), (None, None))


def test_without_its_user_nothing_is_started():
    with Router(program) as router:
        router.put("etc/passwd", "root:x:0:0:root:/root:/bin/ash\n")
        router.configure(ON + RUN)
        router.service("start")
        contains(router.log(), "option user: there is no such user")
        equal(router.handed_over()[0], None)
        router.configure(uci.section("globals", "globals", enabled="1", user="root") + RUN)
        router.service("start")
        equal(router.handed_over()[0]["user"], ["root"], router.log())


def test_programs_have_the_whole_system():
    for text in (ON + uci.section("runs", cmd=["/bin/echo", "{ipv4}"]),
                 ON + RUN + uci.section("notify", cmd=["/bin/tell"]),
                 uci.section("globals", "globals", enabled="1", jail="0") + RUN):
        _, _, instance, triggers = with_config(text)
        equal((instance.get("jail"), instance["mount"], triggers), (None, {}, ["config.change"]))
        equal((instance["user"], instance["file"]), ([NAME], [f"/{PROGRAM}", f"/{TOML}"]))


def test_verbosity_is_handed_on():
    for word, option in (("quiet", ["--quiet"]), ("normal", []), ("verbose", ["--verbose"])):
        _, _, instance, _ = with_config(uci.section("globals", "globals", enabled="1", verbosity=word) + RUN)
        equal(instance["command"], [f"/{PROGRAM}", *option, f"/{TOML}"])
    refused(uci.section("globals", "globals", enabled="1", verbosity="loud") + RUN, "option verbosity: expected")


def test_a_toml_file_of_the_users_own_is_used_as_it_is():
    own = uci.section("globals", "globals", enabled="1", config_file="/etc/ddns.toml")
    with Router(program) as router:
        router.configure(own)
        router.put("etc/ddns.toml", '[[urls]]\nurl = "https://x.example/?{ipv4}"\n', 0o644)
        router.service("start")
        instance, _ = router.handed_over()
        equal(instance and (instance["command"], instance["file"], instance.get("jail")),
              ([f"/{PROGRAM}", "/etc/ddns.toml"], [f"/{PROGRAM}", "/etc/ddns.toml"], None), router.log())
        (router.root / "etc/ddns.toml").chmod(0o600)
        router.service("start")
        contains(router.log(), "may not be read by this user", f"/etc/ddns.toml is read as the user {NAME}: see option user")
        equal(router.handed_over()[0], None)
    refused(own, "/etc/ddns.toml", "there is no such file")
    refused(own.replace("/etc", "etc"), "option config_file: expected a path that begins with /")


def test_a_reload_with_a_wrong_configuration_leaves_what_runs_alone():
    with Router(program) as router:
        router.configure(ON + RUN)
        router.service("start")
        before = router.toml()
        router.configure(ON + RUN + uci.section("nonsense"))
        router.service("reload")
        contains(router.log(), "there is no such type of section")
        equal((router.toml(), router.handed_over()), (before, (None, [])))
        if (router.root / "tmp/procd").exists() or (router.root / "tmp/ubus.log").exists():
            raise AssertionError("procd was called")


def test_a_reload_without_a_change_gives_the_same_bytes():
    with Router(program) as router:
        router.configure(ON + RUN)
        router.service("start")
        before, handed = router.toml(), router.handed_over()
        router.service("reload")
        equal((router.toml(), router.handed_over()), (before, handed))
        state = router.root / f"etc/{NAME}/state"
        changed = state.stat().st_ctime_ns
        router.service("reload")
        equal(state.stat().st_ctime_ns, changed, "the flash was written")


def test_switched_off_or_stopped_it_leaves_no_secrets_in_ram():
    with Router(program) as router:
        router.configure(ON + RUN)
        router.service("start")
        router.service("stop")
        equal(list((router.root / "tmp/etc").iterdir()), [])
        router.service("restart")
        equal(router.handed_over()[0]["user"], [NAME], router.log())
        router.configure(RUN)
        router.service("reload")
        equal((router.handed_over()[0], list((router.root / "tmp/etc").iterdir())), (None, []), router.log())


def test_secrets_are_in_no_argument_and_no_environment():
    if not shutil.which("strace"):
        raise LeftOut("strace is not here")
    with Router(program) as router:
        router.put("root/pw", "hush4", 0o600)
        router.configure(ON + uci.section("cloudflare", "a", api_token="hush1") + uci.section(
            "urls", url="https://u:hush2@x.example/?{ipv4}", headers=['Authorization: "hush3"\\']) + uci.section(
            "dyndns", provider="no-ip", hostname="x.example.com", username="me", password_file="/root/pw"))
        trace = router.root / "trace"
        router.service("start", prefix=["strace", "-f", "-v", "-s", "100000", "-e", "trace=execve", "-o", str(trace)])
        equal(router.handed_over()[0]["user"], [NAME], router.log())
        text = trace.read_text()
        contains(text, "start-stop-daemon", "--check")
        lacks(text, "hush")


def test_uci_is_read_as_the_real_one_reads_it():
    if not shutil.which("uci"):
        raise Noted("uci is not here: our reading of its files is not compared")
    source = random.Random(7)
    with Router(program) as router:
        for _ in range(20):
            texts = [nasty(source).replace("\r", "") or "x" for _ in range(8)]
            router.configure(uci.section("urls", "a", url=texts[0], body=texts[1], headers=texts[2:]))
            real = subprocess.run(["uci", "-c", str(router.root / "etc/config"), "-S", "-n", "export", NAME],
                                  capture_output=True, text=True)
            equal(uci.parse(real.stdout.split("\n", 1)[1]), uci.parse((router.root / f"etc/config/{NAME}").read_text()))
