#compdef ddns-update-daemon
# Completes ddns-update-daemon in zsh. Made from --help by tests/command_line.rs.
local -a commands=(
    'explain:Look and decide, and tell each step'
    'discover:Show which gateways are there, what they say by each protocol, and what to write'
    'providers:List the presets for [[dyndns]]'
    'status:Show what the running daemon knows and did'
    'retry:Try again now what is blocked or waits'
    'update:Poll and send now, although nothing has changed, within the pauses that providers want'
)
local context state line
local -a flags=(
    '(-v --verbose)'{-v,--verbose}'[log every poll and answer]'
    '(-q --quiet)'{-q,--quiet}'[log problems only]'
    '--dry-run[poll and decide as usual, print what would be sent with secrets hidden, but send and store nothing]'
    '--log-format[log format]:format:(text json journal)'
    '(-h --help)'{-h,--help}'[print this help]'
    '(-V --version)'{-V,--version}'[print the version]'
    '--once[Poll, bring every target up to date, exit]'
    '--check[Validate the configuration]'
)
_arguments -s $flags '1: :->first' '*:: :->rest' && return
case $state in
first)
    _describe command commands
    _files -g '*.toml'
    ;;
rest)
    case $words[1] in
    explain) _arguments '--online[test each credential at its provider, where that changes nothing]' '*:configuration:_files -g "*.toml"' ;;
    discover) _arguments '--json[JSON instead of a page]' '--pcp[learn the address by PCP, too, which maps a port for a moment]' ;;
    providers) _arguments "1:provider:($(ddns-update-daemon providers 2>/dev/null | tail -n +2 | cut -d ' ' -f 1))" ;;
    status) _arguments '--json[JSON instead of a page]' '--alive[print nothing, exit with 0 when it runs and polls in time]' '*:configuration:_files -g "*.toml"' ;;
    retry) _arguments '*:configuration:_files -g "*.toml"' ;;
    update) _arguments '*:configuration:_files -g "*.toml"' ;;
    esac
    ;;
esac
