"""The table of the benchmark, as Markdown, and what it says about our goals."""

import re
import statistics

# (key, what it is, how a value is written)
ROWS = [
    ("way", "how it learns the address", str),
    ("file", "its file", "{:,.0f} kB"),
    ("files", "files needed to run", "{:,.0f}"),
    ("files_bytes", "files needed, together", "{:,.0f} kB"),
    ("start", "start to first update", "{:,.0f} ms"),
    ("rss", "idle: resident", "{:,.0f} kB"),
    ("pss", "idle: proportional (Pss)", "{:,.0f} kB"),
    ("private", "idle: private, with pages of its file", "{:,.0f} kB"),
    ("dirty", "idle: private, written to", "{:,.0f} kB"),
    ("rss_peak", "peak in an update: resident", "{:,.0f} kB"),
    ("dirty_peak", "peak in an update: private, written to", "{:,.0f} kB"),
    ("threads", "threads", "{:,.0f}"),
    ("wake_ups", "wake-ups in 30 s without a deadline", "{:,.0f}"),
    ("idle_calls", "system calls in 15 s without a deadline", "{:,.0f}"),
    ("poll_packets", "a poll: packets", "{:,.1f}"),
    ("poll_bytes", "a poll: bytes", "{:,.0f}"),
    ("poll_calls", "a poll: system calls", "{:,.1f}"),
    ("poll_cpu", "a poll: CPU", "{:,.2f} ms"),
    ("change", "change to update", "{:,.0f} ms"),
]
# smaps and status count in KiB, sizes of files are bytes; the table is in kB.
KIB = {"rss", "pss", "private", "dirty", "rss_peak", "dirty_peak", "dirty_updated"}
BYTES = {"file", "files_bytes"}
# What a program that cron starts does not have.
NOT_RUNNING = {"rss", "pss", "private", "dirty", "wake_ups", "idle_calls"}

# (key, most, what the goal says)
GOALS = [
    ("file", 2000, "file under 2.0 MB, static, with TLS and roots"),
    ("dirty", 300, "private memory idle under 0.3 MB"),
    ("rss_peak", 2300, "resident peak under 2.3 MB in an update with TLS"),
    ("wake_ups", 0, "no wake-up between deadlines"),
]
AXES = ("poll_packets", "poll_bytes", "poll_calls", "poll_cpu")


def medians(runs):
    """One dictionary of several runs; None where the runs have none."""
    merged = {}
    for key in runs[0]:
        values = [run[key] for run in runs if run.get(key) is not None]
        merged[key] = in_kb(key, statistics.median(values)) if values else None
    return merged


def in_kb(key, value):
    return value * 1.024 if key in KIB else value / 1000 if key in BYTES else value


def cell(key, form, program, found):
    if key == "way":
        return program.way
    if program.is_job and key in NOT_RUNNING:
        return "does not run"
    value = found.get(key)
    if value is None:
        return "at its next poll" if key == "change" else ""
    return form.format(value)


def table(results, rows=ROWS):
    """Markdown, one column for each program; `results` is of (program, figures)."""
    lines = ["| | " + " | ".join(f"{program.name} {program.version()}".strip() for program, _ in results) + " |",
             "| --- |" + " ---: |" * len(results)]
    for key, label, form in rows:
        lines.append(f"| {label} | " + " | ".join(cell(key, form, program, found) for program, found in results) + " |")
    return "\n".join(lines)


def notes(results):
    return "\n".join(f"- {program.name}: {program.note}" for program, _ in results if program.note)


def goals(results):
    """Each goal, what was measured, and whether that meets it."""
    found = {program.name: figures for program, figures in results}
    lines = ["| goal | measured | |", "| --- | ---: | --- |"]
    for key, most, text in GOALS:
        value = found["ours"][key]
        lines.append(f"| {text} | {written(key, value)} | {verdict(value <= most if most == 0 else value < most)} |")
    for ours in ("ours", "ours, interface"):
        peers = {program.name: figures for program, figures in results if is_peer(program, ours)}
        lines += [against(key, ours, found[ours], peers) for key in AXES if ours in found and peers]
    return "\n".join(lines)


def is_peer(program, ours):
    return not program.name.startswith(("ours", "ideal")) and program.on_router == ours.endswith("interface")


def against(key, ours, figures, peers):
    """Whether a poll of ours is cheaper than the best peer's, or both cost nothing."""
    best = min(peers, key=lambda name: peers[name][key])
    value, other = figures[key], peers[best][key]
    label = next(label for row, label, _ in ROWS if row == key)
    measured = f"{written(key, value)}; {best}: {written(key, other)}"
    good = "nothing, like it" if value == other == 0 else verdict(value < other)
    return f"| {ours}: {label}, less than any peer's | {measured} | {good} |"


def written(key, value):
    return next(form for row, _, form in ROWS if row == key).format(value)


def verdict(good):
    return "met" if good else "**missed**"


def replace(path, name, text):
    """Puts a text between the two markers of that name in a file."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    old = path.read_text()
    new, count = re.subn(f"{re.escape(begin)}.*?{re.escape(end)}", lambda _: f"{begin}\n{text}\n{end}", old, flags=re.S)
    if count != 1:
        raise SystemExit(f"{path}: wants one pair of the lines {begin} and {end}")
    path.write_text(new)


# -- for README -----------------------------------------------------------------

SHORT = ("file", "files_bytes", "dirty", "rss_peak", "threads", "wake_ups", "poll_packets", "poll_calls", "poll_cpu", "change")


def short(results):
    """The rows that a user asks about."""
    chosen = [row for row in ROWS if row[0] in SHORT]
    return table([result for result in results if not result[0].on_router], chosen)
