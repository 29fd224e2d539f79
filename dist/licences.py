"""The licence texts of dist/licences: of all that is linked, each text once."""

import sys

import crates
import runtime

RULE = "=" * 79


def main():
    owners, licences = {}, {}
    for target in sys.argv[1:] or crates.targets():
        for name, licence, texts in packages(target):
            if not texts:
                crates.stop(f"{name} ({licence}) has no licence text: it may not be shipped like this")
            licences[name] = licence
            for title, text in texts:
                owners.setdefault(plain(text), set()).add(f"{name}: {title}")
    path = crates.DIST / "licences.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document(owners, licences))
    print(f"{path}: {len(licences)} packages, {len(owners)} texts")


def packages(target):
    """Name, licence expression and texts of everything linked."""
    program = crates.program(target)
    for crate in [program, *crates.linked(target)]:
        folder = crate.folder
        # The program's own folder has the others' texts too (vendor/, target/).
        texts = (("LICENSE", (folder / "LICENSE").read_text()),) if crate is program else runtime.texts_in(folder)
        yield f"{crate.name} {crate.version}", crate.licence, texts
    for part in runtime.parts(target):
        yield f"{part.name} {part.version} (toolchain)", part.licence, part.texts


def plain(text):
    """Two copies of a text that differ in blanks at line ends are one."""
    lines = [line.rstrip() for line in text.replace("\r\n", "\n").strip("\n").split("\n")]
    return "\n".join(lines)


def document(owners, licences):
    head = [
        f"Licences of what is linked into {crates.PROGRAM} {crates.version()}",
        "",
        "Not every package is in the program for every system. Where a licence says",
        '"OR", any one of the named may be chosen.',
        "",
        *(f"  {name}: {licence}" for name, licence in sorted(licences.items())),
    ]
    texts = sorted((sorted(names), text) for text, names in owners.items())
    blocks = [line for names, text in texts for line in ["", RULE, *names, RULE, "", text]]
    return "\n".join([*head, *blocks]) + "\n"


main()
