# What both of OpenWrt's package formats share; sourced by build-ipk and
# build-apk behind ../lib.sh; needs `$caller`, where they were called. `feed/Makefile` installs the same files.

name=ddns-update-daemon
release=1
full_version=$version-r$release
summary="Keeps DNS records at your router's public address"
url=https://github.com/N3xed/ddns-update-daemon
conffile=/etc/config/$name
# Made by the functions of OpenWrt at installation, with the next free number.
owner=$name:$name

description=(
    "Asks this host's interfaces or another router (UPnP, NAT-PMP, PCP) for the"
    "public address and keeps DNS records at it the moment it changes: Cloudflare,"
    "dynamic DNS services, name servers (RFC 2136), any URL, any program."
)

# arguments BINARY ARCH OUTDIR: checks what a builder was called with.
arguments() {
    (($# == 3)) || die "called with $# arguments; expected BINARY OPENWRT_ARCH OUTDIR"
    binary=$(cd "$caller" && realpath -e "$1") arch=$2 outdir=$(cd "$caller" && realpath -m "$3")
    need python3
    python3 dist/openwrt/elf_fits.py "$binary" "$arch" || die "this binary does not fit $arch"
    mkdir -p "$outdir"
}

# stage FOLDER: the files as they stand on the router, all with one date.
stage() {
    local root=$1 files=$PWD/dist/openwrt/files
    install -Dm 755 "$binary" "$root/usr/bin/$name"
    install -Dm 755 "$files/$name.init" "$root/etc/init.d/$name"
    install -Dm 600 "$files/$name.config" "$root$conffile"
    install -Dm 644 "$files/uci-to-toml.sh" "$root/usr/share/$name/uci-to-toml.sh"
    # What a sysupgrade keeps besides the conffile: the state, and secrets beside it.
    install -Dm 644 "$files/$name.keep" "$root/lib/upgrade/keep.d/$name"
}

# same_date FOLDER: whatever the umask and the clock say, the same archive.
same_date() {
    find "$1" -type d -exec chmod 755 {} +
    find "$1" -exec touch -hd "@$SOURCE_DATE_EPOCH" {} +
}
