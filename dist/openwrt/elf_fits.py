"""Whether a program is one for an architecture of OpenWrt: elf_fits.py BINARY ARCH

It looks at the ELF header: machine, word size, byte order, and that nothing is
linked dynamically, as the packages depend on no library. What the CPU behind an
architecture can do is said in `architectures`, not here.
"""

import struct
import sys
from pathlib import Path

# By the word before the first underscore: name, machine, bits, byte order.
MACHINES = {
    "x86": (62, 64, "little"),  # x86_64
    "i386": (3, 32, "little"),
    "aarch64": (183, 64, "little"),
    "arm": (40, 32, "little"),
    "mips": (8, 32, "big"),
    "mipsel": (8, 32, "little"),
    "riscv64": (243, 64, "little"),
}
PT_INTERP = 3


def machine(data):
    """Machine, bits and byte order of a program."""
    if data[:4] != b"\x7fELF":
        return None
    bits = {1: 32, 2: 64}.get(data[4])
    order = {1: "little", 2: "big"}.get(data[5])
    return int.from_bytes(data[18:20], order), bits, order


def needs_loader(data, bits, order):
    """Whether a program header asks for a dynamic loader."""
    mark = "<" if order == "little" else ">"
    start = struct.unpack_from(f"{mark}{'Q' if bits == 64 else 'I'}", data, 32 if bits == 64 else 28)[0]
    size, count = struct.unpack_from(f"{mark}HH", data, 54 if bits == 64 else 42)
    kinds = (struct.unpack_from(f"{mark}I", data, start + size * place)[0] for place in range(count))
    return PT_INTERP in kinds


def problem(data, arch):
    """What is wrong, or None."""
    wanted = MACHINES.get(arch.split("_", 1)[0])
    if wanted is None:
        return f"unknown architecture {arch}: expected one of dist/openwrt/architectures"
    found = machine(data)
    if found is None:
        return "this is no ELF program"
    if found != wanted:
        return "machine {} with {} bits, {} endian; expected {} with {} bits, {} endian".format(*found, *wanted)
    if needs_loader(data, found[1], found[2]):
        return "it is linked dynamically; expected a static program"
    return None


if __name__ == "__main__":
    wrong = problem(Path(sys.argv[1]).read_bytes(), sys.argv[2])
    if wrong:
        raise SystemExit(f"{sys.argv[1]}: {wrong}")
