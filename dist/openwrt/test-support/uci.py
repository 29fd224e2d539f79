"""UCI files: parsed as OpenWrt's uci parses them, and written as its export does.

    config TYPE ['NAME']
        option NAME 'VALUE'
        list NAME 'VALUE'

Words may be bare, in single quotes (nothing is special) or in double quotes (a
backslash makes the next character plain), pieces of all three may stand side by
side, and a text in quotes may go over lines. Bare, a backslash does the same. An
option without a value, or with an empty one, is none. Several sections of one
type and name, and an option that is there twice, are merged: the last one counts.
"""

import zlib


class UciError(Exception):
    """What uci calls a parse error."""


def words(text):
    """The words of each line that is not empty; a list of lists."""
    lines, line, word, place = [], [], None, 0
    while place < len(text):
        char = text[place]
        if char == "\n":
            if word is not None:
                line.append(word)
            if line:
                lines.append(line)
            line, word = [], None
        elif char in " \t\r":
            if word is not None:
                line.append(word)
            word = None
        elif char == "#" and word is None:
            place = text.find("\n", place)
            if place < 0:
                break
            continue
        elif char in "'\"":
            piece, place = quoted(text, place)
            word = (word or "") + piece
        else:
            if char == "\\" and place + 1 < len(text):
                place += 1
                char = text[place]
            word = (word or "") + char
        place += 1
    if word is not None:
        line.append(word)
    return lines + [line] if line else lines


def quoted(text, start):
    """What stands in quotes, and where the closing one is."""
    mark, piece, place = text[start], "", start + 1
    while place < len(text):
        char = text[place]
        if char == mark:
            return piece, place
        if char == "\\" and mark == '"':
            place += 1
            char = text[place:place + 1]
        piece += char
        place += 1
    raise UciError(f"a quotation mark is not closed: {text[start:start + 20]!r}")


def parse(text):
    """Sections as [type, name or "", [[kind, name, value], ...]]."""
    sections = []
    for line in words(text):
        if line[0] == "config" and len(line) in (2, 3):
            sections.append([line[1], line[2] if len(line) == 3 else "", []])
        elif line[0] in ("option", "list") and len(line) in (2, 3) and sections:
            if not all(char.isascii() and (char.isalnum() or char == "_") for char in line[1]):
                raise UciError(f"no name of an option: {line[1]!r}")
            if len(line) == 3 and line[2]:
                add(sections[-1][2], line)
        else:
            raise UciError(f"neither config, option nor list: {line!r}")
    return sections


def add(options, line):
    kind, name, value = line
    if kind == "option":
        options[:] = [option for option in options if option[1] != name]
    options.append([kind, name, value])


def export(sections):
    """As the shell evaluates it; sections without a name get one."""
    text = ["package ddns-update-daemon\n"]
    for place, (kind, name, options) in enumerate(sections, 1):
        name = name or f"cfg{place:02x}{zlib.crc32(repr(options).encode()) & 0xffff:04x}"
        text.append(f"\nconfig {kind} {quote(name)}\n")
        text += [f"\t{what} {option} {quote(value)}\n" for what, option, value in options]
    return "".join(text)


def quote(value):
    return "'" + value.replace("'", "'\\''") + "'"


def section(kind, name="", /, **options):
    """The text of a section; a list becomes several lines."""
    lines = [f"config {kind} {quote(name) if name else ''}"]
    for option, value in options.items():
        if isinstance(value, list):
            lines += [f"\tlist {option} {quote(item)}" for item in value]
        else:
            lines.append(f"\toption {option} {quote(value)}")
    return "\n".join(lines) + "\n\n"
