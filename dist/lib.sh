# What the scripts here share; sourced by them, after `set -euo pipefail`.
#
# The working folder becomes the project's; `$root`, `$target`, `$dist` (where
# everything made is put), `$version` and SOURCE_DATE_EPOCH (the last commit's
# time, or that of the source archive) are set.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
target=${CARGO_TARGET_DIR:-$root/target}
dist=$target/dist
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
PATH=$PATH:/usr/sbin:/sbin

source_date() {
    if [[ -e $root/.source-date ]]; then cat "$root/.source-date"; else git -C "$root" log -1 --format=%ct; fi
}
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(source_date)}

die() {
    echo "${0##*/}: $*" >&2
    exit 1
}

# need COMMAND[:PACKAGE]...: installs the Debian packages of the commands that
# are missing. Fails, naming them, where it may not or cannot.
need() {
    local entry command packages=() missing=()
    for entry in "$@"; do
        command=${entry%%:*}
        command -v "$command" >/dev/null && continue
        missing+=("$command")
        packages+=("${entry#*:}")
    done
    ((${#missing[@]})) || return 0
    if [[ $EUID -ne 0 ]] || ! command -v apt-get >/dev/null; then
        echo "${0##*/}: missing: ${missing[*]} (in Debian: ${packages[*]})" >&2
        return 1
    fi
    install_packages "${packages[@]}"
}

# alone_with_apt COMMAND...: not while another one here reads or changes Debian's lists
# and packages. dpkg's folder is locked, which is there on every Debian.
alone_with_apt() (
    exec 9</var/lib/dpkg && flock 9 || exit 1
    "$@" 9>&-
)

# Installs Debian packages, one after the other; no service of theirs starts on this
# machine.
install_packages() (alone_with_apt install_alone "$@")

install_alone() {
    policy=/usr/sbin/policy-rc.d
    kept=$(mktemp -d)
    output=$(mktemp)
    put_back() {
        rm -f "$policy" "$output"
        if [[ -e $kept/policy-rc.d ]]; then mv "$kept/policy-rc.d" "$policy"; fi
        rmdir "$kept"
    }
    if [[ -e $policy ]]; then mv "$policy" "$kept/"; fi
    trap put_back EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    export DEBIAN_FRONTEND=noninteractive
    apt_install "$@" >"$output" 2>&1 && exit 0
    # What is known of the archive may be old, or nothing.
    apt-get update -q >"$output" 2>&1 || cat "$output" >&2
    apt_install "$@" >"$output" 2>&1 || { cat "$output" >&2; exit 1; }
}

apt_install() {
    apt-get install -qy --no-install-recommends -o DPkg::Lock::Timeout=300 "$@"
}

# make_venv FOLDER PACKAGE...: Python packages, by pip, in a folder of their own.
make_venv() {
    local folder=$1
    shift
    need python3
    python3 -c 'import ensurepip' 2>/dev/null || install_packages python3-venv
    rm -rf "$folder"
    python3 -m venv "$folder"
    "$folder/bin/pip" install --quiet --disable-pip-version-check "$@"
}

# shellcheck source=dist/toolchain.sh
. "$root/dist/toolchain.sh"

# rustc_targets NAME...|all: what rustc calls them, a line each.
rustc_targets() {
    local name found
    for name in "$@"; do
        found=$(awk -F '\t' -v name="$name" \
            '!/^#/ && (name == "all" || name == $1 || name == $2) { print $2 }' "$root/dist/targets")
        [[ -n $found ]] || die "no target $name; there are: $(awk -F '\t' '!/^#/ { print $1 }' "$root/dist/targets" | xargs)"
        echo "$found"
    done
}

# choose_targets [NAME...|all]: sets `targets` to what rustc calls them; without a
# name, to those that dist/build has made a program for.
choose_targets() {
    local found name
    found=$(rustc_targets "${@:-all}")
    mapfile -t targets <<<"$found"
    (($# == 0)) || return 0
    found=
    for name in "${targets[@]}"; do
        if [[ -d $dist/bin/$name ]]; then found+=$name$'\n'; fi
    done
    [[ -n $found ]] || die "dist/build has made no program yet; name the targets, or all"
    mapfile -t targets < <(printf %s "$found")
}
