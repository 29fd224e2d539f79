"""A TOML configuration said in UCI: the way back of the init script.

What the examples of the project say must come out of the script as it went in.
"""

import uci

SINGLE = ("tls", "heartbeat", "monitor")
SECTIONS = (*SINGLE, "notify", "cloudflare", "urls", "dyndns", "rfc2136", "runs")


def is_file(key):
    return key.endswith("_file")


def value(item):
    if isinstance(item, bool):
        return "1" if item else "0"
    return item if isinstance(item, str) else str(item)


def options(table):
    """Of a table without the ones below it."""
    found = {}
    for key, item in table.items():
        if key == "headers":
            found[key] = [f"{name}: {text}" for name, text in item.items()]
        elif key == "records":
            continue
        elif isinstance(item, list):
            found[key] = [value(entry) for entry in item] or ["none"]
        else:
            found[key] = value(item)
    return found


def convert(config):
    """The text of a UCI file."""
    top = {key: item for key, item in config.items() if key not in SECTIONS and key != "state_file"}
    text = [uci.section("globals", "globals", enabled="1", **options(top))]
    for kind in SECTIONS:
        tables = config.get(kind, [])
        for place, table in enumerate(tables if isinstance(tables, list) else [tables]):
            text.append(uci.section(kind, f"{kind}{place}", **options(table)))
            text += [uci.section(f"{kind}_records", parent=f"{kind}{place}", **options(record))
                     for record in table.get("records", [])]
    return "".join(text)


def files(config, found=None):
    """Every table with the keys that name a file, as they stand: (table, key)."""
    found = [] if found is None else found
    for key, item in config.items():
        if isinstance(item, dict):
            files(item, found)
        elif isinstance(item, list):
            for entry in item:
                if isinstance(entry, dict):
                    files(entry, found)
        elif is_file(key) and key not in ("state_file", "metrics_file"):
            found.append((config, key))
    return found


def without_empty(item):
    if isinstance(item, dict):
        return {key: without_empty(one) for key, one in item.items() if one != ""}
    return [without_empty(one) for one in item] if isinstance(item, list) else item


def expected(config):
    """What the script makes of it: single sections are lists, but for those of which there can
    be one, and UCI has no empty texts."""
    same = {key: without_empty(item) for key, item in config.items() if key != "state_file"}
    for kind in SECTIONS[len(SINGLE):]:
        if kind in same and not isinstance(same[kind], list):
            same[kind] = [same[kind]]
    return same
