# What the tests of packages share; sourced after lib.sh. `$work` is a folder for
# the run, and goes with it.

passed=0 failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# check NAME COMMAND...: one test. The command runs apart, and ends at its first
# error.
check() {
    local label=$1 status=0
    shift
    set +e
    (set -e; "$@") >"$work/output" 2>&1
    status=$?
    set -e
    if ((status == 0)); then
        passed=$((passed + 1))
        echo "ok $label"
    else
        failed=$((failed + 1))
        echo "FAILED $label"
        cat "$work/output"
    fi
}

# counted NAME COMMAND...: a command that prints lines of this kind itself, and at
# the end `N passed, N failed`.
counted() {
    local label=$1
    shift
    "$@" | tee "$work/counted" | sed '$d' || true
    if [[ $(tail -n 1 "$work/counted") =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
        passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2]))
    else
        failed=$((failed + 1))
        echo "FAILED $label"
    fi
}

finish() {
    echo "$passed passed, $failed failed"
    ((failed == 0))
}

# The ELF header's class, byte order and machine, in hexadecimal.
elf() { od -An -tx1 -j4 -N2 "$1" | tr -d ' \n'; od -An -tx1 -j18 -N2 "$1" | tr -d ' \n'; }

# elf_of TARGET: what it must be for a target of rustc.
elf_of() {
    case $1 in
        x86_64-*) echo 02013e00 ;;
        i686-*) echo 01010300 ;;
        aarch64-*) echo 0201b700 ;;
        arm*) echo 01012800 ;;
        mipsel-*) echo 01010800 ;;
        riscv64gc-*) echo 0201f300 ;;
    esac
}
