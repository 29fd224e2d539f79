"""Plays the broken copies of broken.toml: tests/soak --broken [NAME...]

Each is the checkout with one change, in a folder of its own, played seed by seed until a
promise is seen to be broken. A copy that no seed catches is a promise that nobody
checks. Without names, all are played. What caught each is written to its row in
docs/simulation.md at once. The last line is `N passed, N failed`.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "target/broken"
SEEDS = os.environ.get("SIMULATION_SEEDS", "0..200")
PAGE = ROOT / "docs/simulation.md"
BEGIN, END = "<!-- broken copies -->\n", "<!-- end -->\n"


def main():
    with open(ROOT / "tests/simulation/broken.toml", "rb") as file:
        copies = tomllib.load(file)["copy"]
    wanted = [one for one in copies if not sys.argv[1:] or one["name"] in sys.argv[1:]]
    make_copy()
    caught = 0
    for one in wanted:
        seed, seen = caught_by(one)
        caught += seed is not None
        write(copies, one, seed, seen)
    print(f"{caught} passed, {len(wanted) - caught} failed")
    sys.exit(caught != len(wanted) or not wanted)


def make_copy():
    shutil.rmtree(FOLDER / "src", ignore_errors=True)
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)
    for name in filter(None, names.stdout.split("\0")):
        if (ROOT / name).is_file():
            (FOLDER / "src" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, FOLDER / "src" / name)


def caught_by(copy):
    changes = [copy, *([copy["and"]] if "and" in copy else [])]
    texts = {change["file"]: (FOLDER / "src" / change["file"]).read_text() for change in changes}
    for change in changes:
        path = FOLDER / "src" / change["file"]
        text = path.read_text()
        assert text.count(change["old"]) == 1, f"{copy['name']}: {change['file']} has changed"
        path.write_text(text.replace(change["old"], change["new"]))
    seed, why = play()
    for file, text in texts.items():
        (FOLDER / "src" / file).write_text(text)
    print(f"{copy['name']}: " + (f"seed {seed}: {why}" if why else "not caught"), flush=True)
    return seed, why or "nothing"


def play():
    command = ["cargo", "test", "--locked", "-q", "--profile", "soak", "--test", "simulation", "every_promise"]
    settings = {"SIMULATION_SEEDS": SEEDS, "CARGO_TARGET_DIR": str(FOLDER / "target")}
    played = subprocess.run(
        [*command, "--", "--nocapture"], cwd=FOLDER / "src", env={**os.environ, **settings}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )
    found = re.search(r"^seed (\d+): (.*)$", played.stdout, re.M)
    if played.returncode and not found:
        sys.exit(played.stdout[-3000:])
    return (int(found[1]), found[2]) if found else (None, None)


def write(copies, played, seed, seen):
    before, rest = PAGE.read_text().split(BEGIN)
    rows, after = rest.split(END)
    known = {row.split(" | ")[0].removeprefix("| "): row for row in rows.splitlines()}
    known[played["name"]] = "| {name} | {promise} | ".format(**played) + f"{seed} | {seen.replace('|', chr(92) + '|')} |"
    lines = ["| broken copy | promise | seed | what was seen |", "| --- | --- | ---: | --- |"]
    lines += [known[one["name"]] for one in copies if one["name"] in known]
    PAGE.write_text(before + BEGIN + "\n".join(lines) + "\n" + END + after)


main()
