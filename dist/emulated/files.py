"""What kind of file a program is: the machine it is for, what it needs beside it,
what of its memory may be written and executed.

`examine(short, path)` raises where a file is not as its users need it, and returns
what it is in a few words. ELF and PE are read by readelf and objdump, Mach-O by
macho.py.
"""

import re

import macho
from lab import run

# What `readelf -hA` must show of each: a pattern, and whether it must be there.
SOFT_ARM = [(r"Flags:.*Version5 EABI, soft-float ABI", True), (r"Tag_ABI_VFP_args", False)]
SOFT_MIPS = [(r"Flags:.*\bo32\b.*\bmips32r2\b", True), (r"^ISA: MIPS32r2$", True), (r"^FP ABI: Soft float$", True)]
MACHINES = {
    "x86_64": ("ELF64", "little", "Advanced Micro Devices X86-64", []),
    "i686": ("ELF32", "little", "Intel 80386", []),
    "aarch64": ("ELF64", "little", "AArch64", []),
    "armv7": ("ELF32", "little", "ARM", [(r"Flags:.*Version5 EABI, hard-float ABI", True), (r"Tag_CPU_arch: v7$", True),
                                         (r"Tag_ABI_VFP_args: VFP registers", True), (r"Tag_Advanced_SIMD_arch", False)]),
    "armv6": ("ELF32", "little", "ARM", [*SOFT_ARM, (r"Tag_CPU_arch: v6$", True)]),
    "armv5te": ("ELF32", "little", "ARM", [*SOFT_ARM, (r"Tag_CPU_arch: v5TEJ?$", True)]),
    "mips": ("ELF32", "big", "MIPS R3000", SOFT_MIPS),
    "mipsel": ("ELF32", "little", "MIPS R3000", SOFT_MIPS),
    "riscv64": ("ELF64", "little", "RISC-V", [(r"Flags:.*RVC, double-float ABI", True)]),
}

# What every Windows has.
SYSTEM_DLLS = {"advapi32", "bcrypt", "bcryptprimitives", "kernel32", "msvcrt", "ntdll", "userenv", "ws2_32"}


def examine(short, path):
    if short == "macos":
        return macho.examine(path)
    return windows(path) if short == "windows" else elf(path, *MACHINES[short])


def elf(path, kind, order, machine, patterns):
    text = run("readelf", "-hldAW", str(path))
    head = dict(re.findall(r"^  ([A-Z][^:]*): +(.*)$", text, re.M))
    assert (head["Class"], head["Machine"]) == (kind, machine), head
    assert f"{order} endian" in head["Data"], head["Data"]
    for pattern, wanted in patterns:
        assert bool(re.search(pattern, text, re.M)) == wanted, f"{'no ' if wanted else ''}{pattern} in:\n{text}"
    assert "(NEEDED)" not in text and "INTERP" not in text, f"it needs other files:\n{text}"
    assert head["Number of section headers"] == "0" or not symbols(path), "it is not stripped"
    memory(text)
    return "static-pie" if head["Type"].startswith("DYN") else "static"


def symbols(path):
    return re.search(r"^ +\d+: ", run("readelf", "-sW", str(path)), re.M)


def memory(text):
    """No segment is both written and executed, and the stack is not executed."""
    # Name, offset, two addresses, two sizes, flags.
    rows = re.findall(r"^ +([A-Z_]+) +(?:0x\w+ +){5}([RWE ]{3}) ", text, re.M)
    assert any(name == "LOAD" for name, _ in rows), text
    for name, flags in rows:
        assert not {"W", "E"} <= set(flags), f"{name} may be written and executed"
    stack = [flags for name, flags in rows if name == "GNU_STACK"]
    assert stack and "E" not in stack[0], f"the stack may be executed:\n{text}"


def windows(path):
    text = run("objdump", "-p", str(path))
    assert "file format pei-x86-64" in text, text
    libraries = {name.lower().removesuffix(".dll") for name in re.findall(r"DLL Name: (.*)", text)}
    strange = {name for name in libraries if not name.startswith("api-ms-win-")} - SYSTEM_DLLS
    assert libraries and not strange, f"it needs other files: {strange}"
    characteristics = int(re.search(r"^DllCharacteristics\s+(\w+)", text, re.M)[1], 16)
    # HIGH_ENTROPY_VA, DYNAMIC_BASE, NX_COMPAT.
    assert characteristics & 0x160 == 0x160, hex(characteristics)
    assert re.search(r"^Subsystem\s+\w+\s+\(Windows CUI\)", text, re.M), text
    return "system DLLs alone"
