"""Reads a Mach-O program for Apple silicon: its load commands and its signature.

A processor of Apple runs signed code only; a linker signs without an identity
("ad hoc"), and whatever changes the file afterwards, such as strip, spoils that. So
the hashes of the signature are computed anew.
"""

import hashlib
import struct

ARM64, EXECUTE, PIE = 0x0100000C, 2, 0x200000
SEGMENT, DYLIB, RPATH, SIGNATURE, BUILD = 0x19, 0xC, 0x8000001C, 0x1D, 0x32
WEAK_DYLIB, REEXPORT_DYLIB = 0x80000018, 0x8000001F
WRITE, EXEC = 2, 4
CODE_DIRECTORY, SUPER_BLOB = 0xFADE0C02, 0xFADE0CC0
# macOS 11, the first for these processors.
OLDEST = 11 << 16
SYSTEM = ("/usr/lib/", "/System/Library/")


def examine(path):
    """Raises where it is not what macOS starts; otherwise what it is in words."""
    data = path.read_bytes()
    magic, cpu, _, kind, count, _, flags, _ = struct.unpack_from("<8I", data)
    assert magic == 0xFEEDFACF and (cpu, kind) == (ARM64, EXECUTE), "no Mach-O program for arm64"
    assert flags & PIE, "not position independent"
    commands = list(load_commands(data, count))
    libraries = [text_at(body, 8) for name, body in commands if name in (DYLIB, WEAK_DYLIB, REEXPORT_DYLIB)]
    assert libraries and all(library.startswith(SYSTEM) for library in libraries), libraries
    assert not any(name == RPATH for name, _ in commands), "it looks for libraries elsewhere"
    for body in (body for name, body in commands if name == SEGMENT):
        protection = struct.unpack_from("<2I", body, 56)
        assert not any(bits & WRITE and bits & EXEC for bits in protection), f"{body[8:24]} may be written and executed"
    platform, oldest = next(struct.unpack_from("<2I", body, 8) for name, body in commands if name == BUILD)
    assert platform == 1, f"for platform {platform}"
    assert oldest <= OLDEST, f"it wants macOS {oldest >> 16}.{oldest >> 8 & 255}"
    offset, size = next(struct.unpack_from("<2I", body, 8) for name, body in commands if name == SIGNATURE)
    pages = check_signature(data, data[offset:offset + size], offset)
    names = ", ".join(sorted(library.rsplit("/", 1)[1] for library in libraries))
    return f"{names}; macOS {oldest >> 16}.{oldest >> 8 & 255} and later; signature of {pages} pages holds"


def load_commands(data, count):
    at = 32
    for _ in range(count):
        name, size = struct.unpack_from("<2I", data, at)
        yield name, data[at:at + size]
        at += size


def text_at(body, place):
    """A text whose offset stands at `place`."""
    start, = struct.unpack_from("<I", body, place)
    return body[start:].split(b"\0")[0].decode()


def check_signature(data, signature, signed):
    """Computes every page's hash; how many there are. Big endian, whatever the machine."""
    magic, _, count = struct.unpack_from(">3I", signature)
    assert magic == SUPER_BLOB, hex(magic)
    blobs = [struct.unpack_from(">2I", signature, 12 + 8 * index)[1] for index in range(count)]
    directory = next(signature[at:] for at in blobs if struct.unpack_from(">I", signature, at)[0] == CODE_DIRECTORY)
    hashes, _, _, pages, limit = struct.unpack_from(">5I", directory, 16)
    width, kind, _, shift = struct.unpack_from(">4B", directory, 36)
    assert (width, kind) == (32, 2), "the hashes are not SHA-256"
    assert limit == signed, f"{limit} of {signed} bytes are signed"
    step = 1 << shift
    assert pages == -(-limit // step), (pages, limit)
    for page in range(pages):
        part = data[page * step:min((page + 1) * step, limit)]
        stored = directory[hashes + page * width:][:width]
        assert hashlib.sha256(part).digest() == stored, f"page {page} has been changed"
    return pages
