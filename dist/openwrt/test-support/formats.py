"""Readers of both package formats, independent of what writes them.

They take nothing on trust: sizes, paddings, places, hashes and order are compared
with what the format says, and whatever is left over is an error.
"""

import hashlib
import io
import stat
import struct
import tarfile
import zlib


class FormatError(Exception):
    pass


def check(condition, what):
    if not condition:
        raise FormatError(what)


# -- ipk --------------------------------------------------------------------------

def read_ipk(data):
    """The files of an .ipk and of its control archive: {path: (mode, content)}."""
    outer = read_tar(data)
    check(list(outer) == ["debian-binary", "data.tar.gz", "control.tar.gz"], f"members {list(outer)}")
    check(outer["debian-binary"][1] == b"2.0\n", "debian-binary")
    return read_tar(outer["data.tar.gz"][1]), read_tar(outer["control.tar.gz"][1])


def read_tar(data):
    """Regular files by path, of a tar as opkg wants it."""
    check(data[:4] == b"\x1f\x8b\x08\x00", "a gzip stream without a name in its header")
    check(data[4:8] == bytes(4), "no time in the gzip header")
    unpacked = zlib.decompressobj(zlib.MAX_WBITS | 16)
    plain = unpacked.decompress(data)
    check(unpacked.eof and not unpacked.unused_data, "one gzip stream and nothing behind it")
    headers = [plain[at:at + 512] for at in header_places(plain)]
    for header in headers:
        # POSIX archives have "ustar\0" here; opkg takes both, OpenWrt writes this.
        check(header[257:265] == b"ustar  \0", "GNU's tar format")
        total = sum(header[:148]) + 8 * 32 + sum(header[156:])
        check(int(header[148:156].split(b"\0")[0], 8) == total, "checksum of a tar header")
    files, names = {}, []
    with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
        for member in archive:
            check((member.uid, member.gid) == (0, 0), f"{member.name}: owned by root")
            check((member.uname, member.gname) == ("", ""), f"{member.name}: owners are numbers")
            check(member.isdir() or member.isreg(), f"{member.name}: a file or a folder")
            check(not member.isdir() or member.mode == 0o755, f"{member.name}: mode {member.mode:o}")
            names.append(member.name)
            if member.isreg():
                files[member.name.removeprefix("./")] = (member.mode, archive.extractfile(member).read())
    check(len({header[136:147] for header in headers}) == 1, "one date for everything")
    check(all(header.startswith(b"./") for header in headers), "every path begins with ./")
    return files


def header_places(plain):
    """Where the headers of a tar stand; checks the blocks of zeros at its end."""
    at = 0
    while plain[at:at + 512] != bytes(512):
        yield at
        size = int(plain[at + 124:at + 135], 8)
        at += 512 + (size + 511) // 512 * 512
        check(at + 1024 <= len(plain), "a tar ends in two blocks of zeros")
    check(not any(plain[at:]), "nothing behind the end of a tar")


# -- apk --------------------------------------------------------------------------

class Values:
    """The values of an apk; counts which of its bytes are used."""

    def __init__(self, data):
        self.data = data
        self.used = bytearray(len(data))
        check(self.take(0, 4) == bytes(4), "version 0")
        self.root = self.number_at(4)

    def take(self, at, size):
        check(0 <= at and at + size <= len(self.data), "a value inside the block")
        self.used[at:at + size] = b"\1" * size
        return self.data[at:at + size]

    def number_at(self, at):
        check(at % 4 == 0, "numbers stand at multiples of four")
        return struct.unpack("<I", self.take(at, 4))[0]

    def number(self, value):
        kind, what = value >> 28, value & 0xfffffff
        check(kind in (1, 2), f"a number, not of kind {kind}")
        if kind == 1:
            return what
        number = self.number_at(what)
        check(number >= 1 << 28, "a small number needs no place of its own")
        return number

    def blob(self, value):
        if value == 0:
            return b""
        kind, at = value >> 28, value & 0xfffffff
        check(kind in (8, 9, 10), f"bytes, not of kind {kind}")
        width = {8: 1, 9: 2, 10: 4}[kind]
        check(at % width == 0, "the length stands at a multiple of its width")
        size = int.from_bytes(self.take(at, width), "little")
        check(size and (width == 1 or size >= 1 << (4 * width)), "the shortest length, and no empty bytes")
        return self.take(at + width, size)

    def slots(self, value):
        """Values of an object or a list, from slot 1 on."""
        if value == 0:
            return []
        check(value >> 28 in (13, 14), f"a list or object, not of kind {value >> 28}")
        at = value & 0xfffffff
        count = self.number_at(at)
        found = [self.number_at(at + 4 * slot) for slot in range(1, count)]
        check(found and found[-1] != 0, "no empty slots at the end")
        return found

    def object(self, value, *names):
        found = self.slots(value)
        check(len(found) <= len(names), f"no more than the slots {names}")
        return dict(zip(names, found))

    def text(self, value):
        return self.blob(value).decode()

    def finish(self):
        for at, used in enumerate(self.used):
            check(used or self.data[at] == 0, f"byte {at} belongs to no value")


INFO = ("name", "version", "hashes", "description", "arch", "license", "origin", "maintainer", "url", "repo-commit",
        "build-time", "installed-size", "file-size", "provider-priority", "depends", "provides")
SCRIPTS = ("trigger", "pre-install", "post-install", "pre-deinstall", "post-deinstall", "pre-upgrade", "post-upgrade")


def read_apk(data):
    """Info, files ({path: (mode, content)}) and scripts of an .apk."""
    check(data[:4] == b"ADBd", "compressed by deflate")
    unpacked = zlib.decompressobj(-zlib.MAX_WBITS)
    plain = unpacked.decompress(data[4:])
    check(unpacked.eof and not unpacked.unused_data, "one deflate stream and nothing behind it")
    check(plain[:8] == b"ADB.pckg", "a package")
    (kind, first), *rest = blocks(plain[8:])
    check(kind == 0, "the values come first")
    values = Values(first)
    root = values.object(values.root, "info", "paths", "scripts")
    info = read_info(values, root["info"], first)
    entries, dates = read_folders(values, root["paths"])
    scripts = {name: values.text(value) for name, value in values.object(root["scripts"], *SCRIPTS).items() if value}
    values.finish()
    check(len(dates) == 1, "one date for everything")
    return info, fill(entries, rest, info), scripts


def blocks(plain):
    at = 0
    while at < len(plain):
        word, = struct.unpack_from("<I", plain, at)
        size, kind = word & 0x3fffffff, word >> 30
        padded = (size + 7) // 8 * 8
        check(size > 4 and at + padded <= len(plain), "a block inside the file")
        check(not any(plain[at + size:at + padded]), "zeros behind a block")
        yield kind, plain[at + 4:at + size]
        at += padded


def read_info(values, value, whole):
    slots = values.object(value, *INFO)
    info = {}
    for name, slot in slots.items():
        if slot == 0:
            continue
        if name in ("depends", "provides"):
            info[name] = [values.text(values.object(one, "name")["name"]) for one in values.slots(slot)]
            check(info[name] == sorted(set(info[name])), f"{name} in order")
        elif name == "installed-size":
            info[name] = values.number(slot)
        elif name != "hashes":
            info[name] = values.text(slot)
    unique = values.blob(slots["hashes"])
    place = (slots["hashes"] & 0xfffffff) + 1
    without = whole[:place] + bytes(20) + whole[place + 20:]
    check(unique == hashlib.sha256(without).digest()[:20], "the package's unique number")
    return info


def rights(values, value):
    acl = values.object(value, "mode", "user", "group")
    check((values.text(acl["user"]), values.text(acl["group"])) == ("root", "root"), "everything is root's")
    return values.number(acl["mode"])


def read_folders(values, value):
    """All files, in order, as [(place, path, mode, size, hash)], and their dates."""
    entries, dates, names = [], set(), []
    for folder, one in enumerate(values.slots(value), 1):
        found = values.object(one, "name", "rights", "files")
        names.append(values.blob(found["name"]))
        check(rights(values, found["rights"]) == 0o755, f"mode of the folder {names[-1]}")
        inside = []
        for place, file in enumerate(values.slots(found.get("files", 0)), 1):
            slots = values.object(file, "name", "rights", "size", "mtime", "hash")
            inside.append(values.blob(slots["name"]))
            path = "/".join(piece.decode() for piece in (names[-1], inside[-1]) if piece)
            size, digest = values.number(slots["size"]), values.blob(slots["hash"])
            entries.append(((folder, place), path, rights(values, slots["rights"]), size, digest))
            dates.add(values.number(slots["mtime"]))
        check(inside == sorted(inside), f"the files of {names[-1]} in order")
    check(names == sorted(names) and names[0] == b"", "folders in order, the root first")
    known = {name.decode() for name in names}
    check(all(path.rpartition("/")[0] in known for _, path, *_ in entries), "every file in a folder")
    return entries, dates


def fill(entries, rest, info):
    """Puts what the blocks hold into the files."""
    files, size = {}, 0
    for (kind, payload), (place, path, mode, expected, digest) in zip(rest, entries, strict=True):
        check(kind == 2 and struct.unpack_from("<II", payload) == place, f"the block of {path}")
        content = payload[8:]
        check(len(content) == expected and hashlib.sha256(content).digest() == digest, f"size and hash of {path}")
        check(stat.S_IMODE(mode) == mode, f"mode of {path}")
        files[path] = (mode, content)
        size += len(content)
    check(size == info["installed-size"], "the installed size")
    return files
