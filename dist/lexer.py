"""Counts what a Rust, C or assembly file has: lines of code, and uses of `unsafe`.

A real lexer, as `unsafe` in a comment or a string is none, and a line that
holds only the end of a comment is no code. What `#[cfg(test)]` guards is cut.
"""

import re
from dataclasses import dataclass

RUST = re.compile(
    r"""
      (?P<blank>\s+)
    | (?P<comment>//[^\n]*)
    | (?P<block>/\*)
    | (?P<text>(?:br|cr|r)(?P<hashes>\#*)".*?"(?P=hashes) | [bc]?"(?:\\.|[^"\\])*")
    | (?P<char>b?'(?:\\(?:x[0-9a-fA-F]{2}|u\{[^}]*\}|.)|[^\\'\n])')
    | (?P<life>'\w+)
    | (?P<word>(?:r\#)?\w+)
    | (?P<mark>.)
    """,
    re.VERBOSE | re.DOTALL,
)
C = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)
# gas: the rest of a line that begins with it (or `@` on ARM) is a comment, but
# for the preprocessor's own words.
ASSEMBLY = re.compile(r"^\s*#(?!\s*(?:if|el|end|def|undef|include|error|pragma))[^\n]*", re.MULTILINE)
OPEN, CLOSE = "([{", ")]}"
# With these an item begins; anything else that an attribute guards is a field,
# an argument or an arm, and ends with a comma.
ITEMS = set("async const enum extern fn impl let macro_rules mod pub static struct trait type union unsafe use".split())


@dataclass
class Token:
    kind: str
    text: str
    line: int


@dataclass
class Count:
    """What is counted, to be added up."""

    lines: int = 0
    blocks: int = 0
    functions: int = 0
    impls: int = 0

    def __add__(self, other):
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Count(*(a + b for a, b in pairs))


def rust(source):
    """Counts a Rust file."""
    tokens = without_tests(tokens_of(source))
    lines = {token.line + n for token in tokens for n in range(token.text.count("\n") + 1)}
    count = Count(lines=len(lines))
    for at, token in enumerate(tokens):
        if token.text == "unsafe" and token.kind == "word":
            classify(tokens, at, count)
    return count


def c(source, assembly=False):
    """Lines of a C or assembly file that are neither blank nor comment."""
    code = C.sub(lambda match: match[0] if match[0][0] in "\"'" else "\n" * match[0].count("\n"), source)
    if assembly:
        code = ASSEMBLY.sub("", code)
    return sum(1 for line in code.splitlines() if line.strip())


def tokens_of(source):
    """The tokens of a Rust file, without blanks and comments."""
    tokens, at, line = [], 0, 1
    while at < len(source):
        match = RUST.match(source, at)
        kind, end = match.lastgroup if match.lastgroup != "hashes" else "text", match.end()
        if kind == "block":
            end = end_of_comment(source, at)
        if kind not in ("blank", "comment", "block"):
            tokens.append(Token(kind, match[0], line))
        line += source.count("\n", at, end)
        at = end
    return tokens


def end_of_comment(source, at):
    """Rust's block comments nest."""
    depth = 0
    for match in re.finditer(r"/\*|\*/", source[at:]):
        depth += 1 if match[0] == "/*" else -1
        if depth == 0:
            return at + match.end()
    return len(source)


def without_tests(tokens):
    """Cuts every item that `#[cfg(test)]` or `#[test]` guards."""
    kept, at = [], 0
    while at < len(tokens):
        end = end_of_attribute(tokens, at)
        if end and guards_tests(tokens[at:end]):
            at = end_of_item(tokens, end)
        elif end:
            kept += tokens[at:end]
            at = end
        else:
            kept.append(tokens[at])
            at += 1
    return kept


def end_of_attribute(tokens, at):
    """Behind `#[...]`, if one begins here."""
    if at + 1 < len(tokens) and tokens[at].text == "#" and tokens[at + 1].text == "[":
        return matching(tokens, at + 1)
    return None


def guards_tests(attribute):
    words = [token.text for token in attribute]
    if words[2:-1] == ["test"]:
        return True
    # cfg(test) and cfg(all(test, ...)); not cfg(not(test)), nor any(test, ...).
    return words[2:5] == ["cfg", "(", "test"] or words[2:7] == ["cfg", "(", "all", "(", "test"]


def end_of_item(tokens, at):
    """Behind the item here: its `;` or its closing brace, further attributes included."""
    while end := end_of_attribute(tokens, at):
        at = end
    comma = at < len(tokens) and tokens[at].text not in ITEMS
    while at < len(tokens):
        if tokens[at].text == ";" or (comma and tokens[at].text == ","):
            return at + 1
        elif tokens[at].text in CLOSE:
            return at
        elif tokens[at].text == "{":
            end = matching(tokens, at)
            return end + (end < len(tokens) and tokens[end].text == ";")
        elif tokens[at].text in OPEN:
            at = matching(tokens, at)
        else:
            at += 1
    return at


def matching(tokens, at):
    """Behind the bracket that closes the one here."""
    depth = 0
    for end in range(at, len(tokens)):
        if tokens[end].kind == "mark":
            depth += (tokens[end].text in OPEN) - (tokens[end].text in CLOSE)
        if depth == 0:
            return end + 1
    return len(tokens)


def classify(tokens, at, count):
    """Which kind of `unsafe` this is; pointer types and attributes do nothing."""
    following = [token.text for token in tokens[at + 1 : at + 5]]
    if following[:1] == ["{"]:
        count.blocks += 1
    elif following[:1] in (["impl"], ["trait"]):
        count.impls += 1
    elif "fn" in following and following[following.index("fn") + 1 :][:1] not in ([], ["("]):
        count.functions += 1
