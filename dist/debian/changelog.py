"""Prints the newest section of CHANGELOG.md in the form of deb-changelog(5):
changelog.py DEBIAN_VERSION MAINTAINER < CHANGELOG.md

The date is SOURCE_DATE_EPOCH's.
"""

import email.utils
import os
import re
import sys
import textwrap


def main():
    version, maintainer = sys.argv[1:]
    print(f"ddns-update-daemon ({version}) unstable; urgency=medium\n")
    for paragraph in paragraphs(newest(sys.stdin.read())):
        bullet = "    - " if paragraph.startswith("- ") else "  * "
        print(textwrap.fill(paragraph.removeprefix("- "), 78, initial_indent=bullet,
                            subsequent_indent=" " * len(bullet), break_on_hyphens=False))
    date = email.utils.formatdate(int(os.environ["SOURCE_DATE_EPOCH"]))
    print(f"\n -- {maintainer}  {date.replace('-0000', '+0000')}")


def newest(text):
    """What stands below the first heading of a version."""
    return re.split(r"^## .*$", text, flags=re.MULTILINE)[1]


def paragraphs(text):
    """Paragraphs and list items, each in one line."""
    parts = re.split(r"\n\n|\n(?=- )", text.strip())
    return [" ".join(part.split()) for part in parts]


main()
