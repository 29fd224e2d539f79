"""Writes a package of apk-tools 3: apk.py OUTPUT ROOT FIELD:VALUE... SCRIPT:FILE...

The file is "ADBd" and a raw deflate stream, in which stand, all numbers in little
endian:

    "ADB." "pckg"              what it is, and of which schema
    blocks, each of            u32: type << 30 | bytes, these four included;
                               the payload; zeros up to a multiple of 8
      type 0, once             values: all that is known of the package
      type 2, for each file    u32 folder, u32 file: their places in those values,
      that is not empty        from 1; then what is in the file

A value is u32: kind << 28 | what, where "what" is the number itself (kind 1), or
where in the payload it stands: a u32 (kind 2); bytes with their length before
them in 1, 2 or 4 bytes (kinds 8, 9, 10); or an object (kind 14), which is u32 slots
and then the values, of which the trailing empty ones are left out. A list is an
object of its entries (readers take kind 13 for it too). The payload begins with
four bytes of versions, all 0, and the value of the root. Equal pieces are written
once. Lists are sorted, as apk looks things up in them by halving. The order in
which pieces are written is that of `apk mkpkg`, so that both make the same bytes.

Left out: signatures (OpenWrt signs its index, not its packages), links and
devices, extended attributes, and versions in dependencies: our package has none.
"""

import hashlib
import os
import stat
import struct
import sys
import zlib
from pathlib import Path

SPECIAL_NULL = 0
INT, INT_32, BLOB_8, BLOB_16, BLOB_32, OBJECT = 1, 2, 8, 9, 10, 14
BLOCK_VALUES, BLOCK_FILE = 0, 2
DIRECT = 1 << 28

# The slots of the schema "pckg" by their names; slot 0 holds their number.
INFO = {name: 1 + place for place, name in enumerate([
    "name", "version", "hashes", "description", "arch", "license", "origin", "maintainer", "url",
    "repo-commit", "build-time", "installed-size", "file-size", "provider-priority", "depends", "provides",
])}
SCRIPTS = {name: 1 + place for place, name in enumerate([
    "trigger", "pre-install", "post-install", "pre-deinstall", "post-deinstall", "pre-upgrade", "post-upgrade",
])}
DEPENDENCIES = {"depends", "provides"}
# The package's unique number: the first bytes of a SHA-256 over the values in
# which it is zeros.
UNIQUE = 20


class Values:
    """The payload of the first block, as far as it is written."""

    def __init__(self):
        self.bytes = bytearray(8)
        self.written = {}

    def _put(self, piece, alignment):
        """Where `piece` stands; it is written unless it stands there already."""
        place = self.written.get((piece, alignment))
        if place is None:
            place = self._append(piece, alignment)
            self.written[piece, alignment] = place
        return place

    def _append(self, piece, alignment):
        self.bytes += bytes(-len(self.bytes) % alignment)
        place = len(self.bytes)
        self.bytes += piece
        return place

    def number(self, number):
        if number < DIRECT:
            return INT << 28 | number
        return INT_32 << 28 | self._put(struct.pack("<I", number), 4)

    def blob(self, data):
        if not data:
            return SPECIAL_NULL
        kind, form, alignment = next(
            kind for limit, kind in [(1 << 8, (BLOB_8, "<B", 1)), (1 << 16, (BLOB_16, "<H", 2)),
                                     (1 << 32, (BLOB_32, "<I", 4))] if len(data) < limit)
        return kind << 28 | self._put(struct.pack(form, len(data)) + data, alignment)

    def own_blob(self, data):
        """One that nothing else shares, as it will be changed; and its place."""
        place = self._append(bytes([len(data)]) + data, 1)
        return BLOB_8 << 28 | place, place + 1

    def text(self, text):
        return self.blob(text.encode())

    def obj(self, slots):
        """Of a dictionary from slot to value."""
        used = [slot for slot, value in slots.items() if value != SPECIAL_NULL]
        if not used:
            return SPECIAL_NULL
        count = 1 + max(used)
        words = [count] + [slots.get(slot, SPECIAL_NULL) for slot in range(1, count)]
        return OBJECT << 28 | self._put(struct.pack(f"<{count}I", *words), 4)

    def array(self, values):
        return self.obj(dict(enumerate(values, 1)))

    def set_root(self, value):
        struct.pack_into("<I", self.bytes, 4, value)


def acl(values, mode):
    return values.obj({1: values.number(stat.S_IMODE(mode)), 2: values.text("root"), 3: values.text("root")})


def file_entry(values, path, mtime):
    """Everything of a file but what is in it."""
    info = path.lstat()
    if not stat.S_ISREG(info.st_mode):
        raise SystemExit(f"apk.py: {path}: expected files and folders only")
    name, digest = values.text(path.name), values.blob(hashlib.sha256(path.read_bytes()).digest())
    when, size = values.number(mtime), values.number(info.st_size)
    return values.obj({1: name, 2: acl(values, info.st_mode), 3: size, 4: when, 5: digest})


def folder_entry(values, root, folder, mtime):
    """A folder with its files, and their paths."""
    files = sorted((path for path in folder.iterdir() if not path.is_dir()), key=lambda path: os.fsencode(path.name))
    entries = [file_entry(values, path, mtime) for path in files]
    relative = "" if folder == root else str(folder.relative_to(root))
    name, rights = values.text(relative), acl(values, folder.stat().st_mode)
    return values.obj({1: name, 2: rights, 3: values.array(entries)}), files


def tree(values, root, mtime):
    """The entries of all folders, and the lists of their files."""
    folders = sorted((path for path in root.rglob("*") if path.is_dir()), key=lambda p: os.fsencode(p.relative_to(root)))
    made = [folder_entry(values, root, folder, mtime) for folder in [root, *folders]]
    return [entry for entry, _ in made], [files for _, files in made]


def info_slots(values, fields):
    slots = {}
    for name, slot in INFO.items():
        if name not in fields:
            continue
        if name in DEPENDENCIES:
            words = sorted(set(fields[name].split()))
            slots[slot] = values.array([values.obj({1: values.text(word)}) for word in words])
        else:
            slots[slot] = values.text(fields[name])
    return slots


def package(root, fields, scripts, mtime):
    """The values of a package, and the lists of files of each folder."""
    values = Values()
    slots = info_slots(values, fields)
    entries, files = tree(values, root, mtime)
    slots[INFO["installed-size"]] = values.number(sum(path.stat().st_size for group in files for path in group))
    slots[INFO["hashes"]], unique = values.own_blob(bytes(UNIQUE))
    info = values.obj(slots)
    paths = values.array(entries)
    texts = {SCRIPTS[name]: values.blob(Path(file).read_bytes()) for name, file in
             sorted(scripts.items(), key=lambda item: SCRIPTS[item[0]])}
    values.set_root(values.obj({1: info, 2: paths, 3: values.obj(texts)}))
    values.bytes[unique:unique + UNIQUE] = hashlib.sha256(values.bytes).digest()[:UNIQUE]
    return bytes(values.bytes), files


def block(kind, payload):
    size = 4 + len(payload)
    return struct.pack("<I", kind << 30 | size) + payload + bytes(-size % 8)


def blocks(values, files):
    yield block(BLOCK_VALUES, values)
    for folder, group in enumerate(files, 1):
        for place, path in enumerate(group, 1):
            if data := path.read_bytes():
                yield block(BLOCK_FILE, struct.pack("<II", folder, place) + data)


def main(output, root, *words):
    given = dict(word.split(":", 1) for word in words)
    unknown = given.keys() - INFO.keys() - SCRIPTS.keys()
    if unknown:
        raise SystemExit(f"apk.py: no such field or script: {', '.join(sorted(unknown))}")
    fields = {name: value for name, value in given.items() if name in INFO}
    scripts = {name: value for name, value in given.items() if name in SCRIPTS}
    values, files = package(Path(root), fields, scripts, int(os.environ["SOURCE_DATE_EPOCH"]))
    compress = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    plain = b"ADB.pckg" + b"".join(blocks(values, files))
    Path(output).write_bytes(b"ADBd" + compress.compress(plain) + compress.flush())


if __name__ == "__main__":
    main(*sys.argv[1:])
