"""Reads the daemon's state file as src/engine/state.rs says that it is written."""


def targets(text):
    """What it says of each target, by id: `name`, `accepted` and `trying`, the latter
    two as `ipv4,ipv6,prefix` or None."""
    found = {}
    for kind, *fields in (line.split("\t") for line in text.splitlines()):
        if kind == "target":
            named = dict(field.partition("=")[::2] for field in fields[1:])
            found[fields[0]] = {key: named.get(key) for key in ("name", "accepted", "trying")}
        elif kind == "trying":
            for target in fields[1].split():
                found[target]["trying"] = fields[0]
        elif kind == "accepted":
            # What it was trying, or what it held all along.
            state = found[fields[0]]
            state["accepted"], state["trying"] = state["trying"] or state["accepted"], None
    return found


def holding(text, addresses):
    """How many targets hold these addresses for certain."""
    states = targets(text).values()
    return sum(state["accepted"] == addresses and not state["trying"] for state in states)
