#!/usr/bin/env python3
"""Chaos by chance on the running daemon, in a house with the real miniupnpd:

    sudo DDNS_BIN=target/release/ddns-update-daemon tests/real/chaos.py [--seconds 3600] [--seed N]

A phase of faults (8 to 30 s; the seed says which and when), then a quiet phase: every
fault is ended, and each target must hold the line's address within 10 s and keep it.
Three URLs, a dyndns2 service, Cloudflare, a name server (BIND, where installed) and a
program are told; each address that reaches one of them is counted as wrong unless the
line had it before. Twelve phases without an end of the daemon (its memory, threads and
descriptors are sampled in each and must stay flat), then four with kills and reloads.

What holds a target back by the product's own word is no lateness: after faults of
providers, of the program and of the clock either a person says `retry`, or the line gets
another address 11 s after the providers' last fault. What the limit of attempts holds
back (2 minutes at most, and logged) is waited for and counted by itself.

The clock jumps by libfaketime, so the program must be linked dynamically for that.
--realtime: for a machine that has other work. The last line is `N passed, N failed`.
"""

import argparse
import os
import random
import shutil
import sys
import time
import traceback

from daemon import BINARY, command, version
from chaos_house import FAKETIME, House
from lab import Lab, wait_for
from watched import Bind

LATE, QUIET = 10, 17
# The longest that the limit of attempts may hold back a change, and a poll.
HELD_BACK = 125
KILLS = 4

# Each with how likely it is. After those of the third row a target may wait by the product's own word.
LINE = {"change": 4, "flap": 3, "not_public": 2, "carrier": 1}
OURS = {"router_reboots": 3, "router_hangs": 1, "router_dies": 1, "disk_is_full": 5, "state_vanishes": 1, "flood": 7,
        "told_to_send": 1}
THEIRS = {"provider_fails": 6, "provider_is_dead": 2, "name_server_fails": 2, "program_fails": 2, "clock_jumps": 3}
ENDS = {"killed": 8, "killed_and_restored": 4, "started_read_only": 3, "reloaded": 4, "ended_for_long": 2}


def plan(chance, steady):
    """(second, what happens) of a phase, and its length.

    The line changes once, a moment after one of the faults: often enough to meet them, and
    not so often that the limit of attempts is reached.
    """
    likely = {**OURS, **THEIRS, **({} if steady else ENDS)}
    if not FAKETIME:
        del likely["clock_jumps"]
    length = chance.uniform(8, 30)
    kinds = chance.choices(list(likely), likely.values(), k=chance.randint(1, 3) if steady else chance.randint(2, 5))
    at = sorted(chance.uniform(0, length * 0.7) for _ in kinds)
    line, = chance.choices(list(LINE), LINE.values())
    return sorted([*zip(at, kinds), (chance.choice(at) + chance.choice([-0.2, -0.05, 0.05, 0.5, 2, 5]), line)]), length


def play(house, number, steady):
    """One phase of chaos and its quiet: a line of text, late targets, held back ones, a sample."""
    house.steady = number % (steady + KILLS) < steady
    kinds, length = plan(house.chance, house.steady)
    person = house.chance.random() < 0.5
    begun, log_at = time.monotonic(), house.daemon.log_path
    said = len(house.daemon.log())
    for second, kind in kinds:
        time.sleep(max(0, begun + second - time.monotonic()))
        if house.steady and not house.daemon.alive():
            house.errors.append(f"phase {number}: the daemon has ended by itself")
        getattr(house, kind)()
    time.sleep(max(0, begun + length - time.monotonic()))
    theirs = any(kind in THEIRS for _, kind in kinds)
    # A refusal because of the clock is waited for half an hour.
    person = person or any(kind == "clock_jumps" for _, kind in kinds)
    if theirs and not person:
        house.heal(line_too=False)
        time.sleep(11)
    chaos = time.monotonic() - begun
    house.heal()
    if theirs or not house.lab.wan or house.lab.wan not in house.had or house.chance.random() < 0.7:
        house.new_address()
    if theirs and person:
        time.sleep(1.1)
        command(house.lab, "retry", str(house.config), RUNTIME_DIRECTORY=str(house.lab.dir / "run"))
    begun, right, late = time.monotonic(), None, {}
    while time.monotonic() < begun + QUIET or (late and time.monotonic() < begun + HELD_BACK):
        wrong, age = house.not_right(), time.monotonic() - begun
        right = None if wrong else right or age
        if age > LATE:
            late.update({name: held for name, held in wrong.items() if name not in late})
            if late and not wrong:
                break
        time.sleep(0.1)
    house.judge_files()
    log = house.daemon.log()
    log = log[said:] if house.daemon.log_path == log_at else log
    held_back = {name for name in late if "so often that the limit" in log}
    if house.not_right():
        held_back = set()
    sample = house.sample()
    text = (f"phase {number:3} {'steady' if house.steady else 'kills '} {chaos:4.0f} s: "
            f"{', '.join(kind.replace('_', ' ') for _, kind in kinds)}{' (retry)' if theirs and person else ''}; right after "
            f"{f'{right:.1f} s' if right else 'NEVER'}; {sample[0]} kB, dirty {sample[1]} kB, {sample[2]} threads, "
            f"{sample[3]} descriptors")
    for name in late:
        text += f"\n  {'held back' if name in held_back else 'LATE'}: {name} held {late[name]}, the line has {house.lab.wan}"
    if set(late) - held_back:
        text += "\n" + "\n".join("    " + line for line in log.splitlines()[-60:])
    return text, set(late) - held_back, held_back, sample


def flat(samples):
    """What was not flat in a life: from its third phase on, a megabyte or eight descriptors more."""
    first, rest = samples[2], samples[3:]
    limits = (1024, 1024, 8, 8)
    return [f"{name} {first[at]} -> {max(sample[at] for sample in rest)}" for at, (name, limit) in enumerate(zip(NAMES, limits))
            if max(sample[at] for sample in rest) > first[at] + limit]


NAMES = ("resident kB", "private dirty kB", "threads", "descriptors")


def chaos(options):
    end, failed, phases, late, held, lives, life = time.monotonic() + options.seconds, 0, 0, 0, 0, [], []
    with Lab() as lab:
        house = House(lab, random.Random(options.seed))
        wait_for(lambda: not house.not_right(), "the first address is everywhere", 30)
        while time.monotonic() < end and failed < 100:
            try:
                text, of_late, of_held, sample = play(house, phases, options.steady)
            except Exception:
                traceback.print_exc(file=sys.stdout)
                house.errors.append(f"phase {phases}: the instrument")
                text, of_late, of_held, sample = f"phase {phases}: not judged", (), (), None
            print(text, flush=True)
            late, held, failed = late + len(of_late), held + len(of_held), failed + bool(of_late)
            if house.steady and sample:
                life.append(sample)
            elif life and not house.steady:
                lives, life = lives + [life], []
            for wrong in house.wrong:
                print(f"  WRONG: {wrong[0]} was told {wrong[1]}", flush=True)
            options.wrong, house.wrong = options.wrong + len(house.wrong), []
            phases += 1
        if options.keep_log:
            for number, daemon in enumerate(lab.daemons):
                shutil.copy(daemon.log_path, f"{options.keep_log}.{number}")
    lives += [life] * (len(life) > 0)
    uneven = [text for life in lives if len(life) > 5 for text in flat(life)]
    for number, life in enumerate(lives):
        print(f"life {number}, {len(life)} phases, first / last / max: " + "; ".join(
            f"{name} {life[0][at]} / {life[-1][at]} / {max(sample[at] for sample in life)}" for at, name in enumerate(NAMES)))
    checks = {f"{options.wrong} wrong addresses": not options.wrong, f"{late} late targets ({held} held back by the limit)": not late,
              f"memory and descriptors flat {uneven}": not uneven, f"no other fault {house.errors}": not house.errors}
    print(f"seed {options.seed}: {phases} phases, " + ", ".join(checks))
    print(f"{sum(checks.values())} passed, {len(checks) - sum(checks.values())} failed")
    return 0 if all(checks.values()) else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=3600)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--steady", type=int, default=12, help="phases without an end of the daemon, before 4 with")
    parser.add_argument("--realtime", action="store_true")
    parser.add_argument("--keep-log", metavar="PREFIX")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("network namespaces need root")
    if options.realtime:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(10))
    options.wrong = 0
    print(f"{version()} ({BINARY}), seed {options.seed}, clock {'jumps' if FAKETIME else 'left alone: no faketime'}, "
          f"{'BIND' if not Bind.missing() else 'no BIND'}", flush=True)
    return chaos(options)


if __name__ == "__main__":
    sys.exit(main())
