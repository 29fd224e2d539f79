"""Running tests: functions whose names are sentences, and what they printed."""

import traceback


class LeftOut(Exception):
    """A test that cannot be run here; the text says why."""


class Noted(Exception):
    """A test that only some machines can add to the others; the text says what it needs."""


class Notes:
    """What passed and what failed."""

    def __init__(self):
        self.passed = self.failed = 0

    def run(self, module):
        """Runs every function of a module that begins with `test_`."""
        for name, function in list(vars(module).items()):
            if name.startswith("test_"):
                self.one(name[5:].replace("_", " "), function)

    def one(self, name, function):
        try:
            function()
        except LeftOut as why:
            print(f"left out: {name} ({why})", flush=True)
        except Noted as why:
            print(f"extra: {why}", flush=True)
        except Exception:
            self.failed += 1
            traceback.print_exc()
            print(f"FAILED {name}", flush=True)
        else:
            self.passed += 1
            print(f"ok {name}", flush=True)


def equal(found, expected, what=""):
    if found != expected:
        raise AssertionError(f"{what}\nfound    {cut(found)}\nexpected {cut(expected)}")


def cut(value):
    text = repr(value)
    return text if len(text) < 2000 else f"{text[:2000]}..."


def contains(text, *pieces):
    for piece in pieces:
        if piece not in text:
            raise AssertionError(f"{piece!r} is not in:\n{text}")


def lacks(text, *pieces):
    for piece in pieces:
        if piece in text:
            raise AssertionError(f"{piece!r} is in:\n{text}")
