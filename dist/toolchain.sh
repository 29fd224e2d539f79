# The compiler for other machines; sourced by lib.sh.
#
# Debian's rustc-web is a recent rustc with the source of std and the crates that
# std needs; it is unpacked, not installed, so that the machine's own Rust stays
# what it is. Zig is the C compiler and linker, and brings musl and the system
# libraries of every target. The machine's cargo drives both.
#
# The folder is outside the checkout and always the same: std is a path
# dependency, and with a path of the checkout in it two checkouts could differ.

toolchain=${DDNS_TOOLCHAIN:-/opt/ddns-update-daemon-toolchain}
zig_version=0.15.2
zigbuild_version=0.24.1

# Sets RUSTC, CARGO_ZIGBUILD_ZIG_PATH and PATH; makes the toolchain where it is
# missing. A RUSTC that is set already is used as it is: it needs rust-src.
use_toolchain() {
    (make_toolchain)
    export RUSTC=${RUSTC:-$toolchain/rustc} RUSTC_BOOTSTRAP=1
    export CARGO_ZIGBUILD_ZIG_PATH
    CARGO_ZIGBUILD_ZIG_PATH=$(echo "$toolchain"/python/lib/python3*/site-packages/ziglang/zig)
    PATH=$toolchain/python/bin:$PATH
    sysroot=$("$RUSTC" --print sysroot)
}

make_toolchain() {
    mkdir -p "$toolchain"
    exec 8>"$toolchain/lock"
    flock 8
    [[ -n ${RUSTC:-} || -x $toolchain/rustc ]] || unpack_rustc
    [[ -e $toolchain/python/ready ]] || install_zig
}

unpack_rustc() {
    local packages lists
    echo "unpacking rustc into $toolchain ..." >&2
    rm -rf "$toolchain/rust"
    mkdir -p "$toolchain/rust"
    command -v dpkg >/dev/null && command -v apt-get >/dev/null ||
        die "the compiler is taken from Debian's packages; elsewhere set RUSTC to a nightly rustc with rust-src"
    lists=$(alone_with_apt apt-get update -q 2>&1) || true
    mapfile -t packages < <(alone_with_apt rustc_packages)
    ((${#packages[@]} == 5)) || die "Debian's packages rustc-web and rust-web-src are not to be had here; set RUSTC to a nightly rustc with rust-src
$lists"
    # What the compiler itself is linked with; the rest is on every Debian.
    install_packages libedit2 libffi8 libxml2 libz3-4 libzstd1
    (cd "$toolchain/rust" && alone_with_apt apt-get download -q "${packages[@]}" >/dev/null 2>&1) || die "cannot download ${packages[*]}"
    local package
    for package in "$toolchain"/rust/*.deb; do
        dpkg -x "$package" "$toolchain/rust"
        rm "$package"
    done
    cat >"$toolchain/rustc.new" <<END
#!/bin/sh
LD_LIBRARY_PATH=$toolchain/rust/usr/lib/x86_64-linux-gnu exec $toolchain/rust/usr/bin/rustc "\$@"
END
    chmod 755 "$toolchain/rustc.new"
    "$toolchain/rustc.new" --version >/dev/null
    mv "$toolchain/rustc.new" "$toolchain/rustc"
}

# The names of its library and of LLVM move with its version. Each list is read to its end:
# apt-cache fails when nobody reads on.
rustc_packages() {
    local library llvm
    library=$(apt-cache depends libstd-rust-web-dev | grep -oE 'libstd-rust-web-[0-9.]+$' | sort -u)
    llvm=$(apt-cache depends "$library" | grep -oE 'libllvm[0-9]+$' | sort -u)
    printf '%s\n' rustc-web rust-web-src libstd-rust-web-dev "$library" "$llvm"
}

install_zig() {
    echo "installing zig $zig_version into $toolchain ..." >&2
    make_venv "$toolchain/python" "ziglang==$zig_version" "cargo-zigbuild==$zigbuild_version"
    touch "$toolchain/python/ready"
}
