# Completes ddns-update-daemon in bash. Made from --help by tests/command_line.rs.
_ddns_update_daemon() {
    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}
    local word command='' words='' files=''
    case $before in
    --log-format) mapfile -t COMPREPLY < <(compgen -W 'text json journal' -- "$current"); return ;;
    esac
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case $word in
        explain | discover | providers | status | retry | update) command=$word; break ;;
        esac
    done
    case $command in
    '') words='-v --verbose -q --quiet --dry-run --log-format -h --help -V --version --once --check explain discover providers status retry update' files=1 ;;
    explain) words="--online" files=1 ;;
    discover) words="--json --pcp" files='' ;;
    providers) words="$(ddns-update-daemon providers 2>/dev/null | tail -n +2 | cut -d ' ' -f 1)" files='' ;;
    status) words="--json --alive" files=1 ;;
    retry) words="" files=1 ;;
    update) words="" files=1 ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
    [[ -z $files ]] || mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(
        compgen -f -X '!*.toml' -- "$current"
        compgen -d -- "$current"
    )
}
complete -o filenames -F _ddns_update_daemon ddns-update-daemon
