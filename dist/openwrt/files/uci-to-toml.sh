# From UCI to the TOML that ddns-update-daemon reads. Sourced by the init script,
# behind /lib/functions.sh; needs `tell PRIORITY TEXT`, $NAME, $TOML, $FILES and
# $STATE.
#
# Section types are the sections of examples/full.toml, with `_` for the dot
# (cloudflare_records), and options are its keys; `globals` is what stands above
# the first section. Nothing is dropped silently: a section or an option that is
# not known here is refused by its name. Values never stand in arguments of
# programs or in the log, as they may be secrets; printf is built into the shell.

# shellcheck shell=dash disable=SC1003,SC2034,SC2154,SC3043

# The options of a section type, each with its kind; `own` ones are not TOML's.
options_of() {
	local common="list:ipv4 list:ipv6 number:agree flag:allow_private"
	local target="$common text:ipv6_suffix number:refresh text:when_absent"
	local record="$target own:parent text:name list:names text:type list:types"
	case "$1" in
	globals)
		echo "own:enabled own:config_file own:user own:jail own:verbosity number:interval text:router_ip $common \
flag:events text:proxy file:proxy_file list:no_proxy text:metrics_file"
		;;
	tls) echo "file:ca_file flag:builtin_roots flag:system_roots pem:client_cert pem:client_key file:client_key_file" ;;
	notify)
		echo "text:preset text:url file:url_file list:cmd text:token file:token_file text:chat headers:headers list:on \
number:after"
		;;
	heartbeat) echo "text:url file:url_file number:every" ;;
	monitor) echo "text:listen list:hosts" ;;
	cloudflare)
		echo "$target number:verify text:api_token file:api_token_file text:zone_id text:api_url"
		;;
	cloudflare_records) echo "$record number:verify number:ttl flag:proxied text:comment flag:create" ;;
	urls)
		echo "$target text:name text:method text:url file:url_file headers:headers text:body file:body_file list:expect"
		;;
	dyndns)
		echo "$target text:name text:provider text:url text:hostname list:hostnames text:username text:password \
file:password_file text:token file:token_file"
		;;
	rfc2136)
		echo "$target text:server text:zone text:key text:algorithm text:secret file:secret_file file:key_file \
number:ttl text:transport"
		;;
	rfc2136_records) echo "$record" ;;
	runs) echo "$target text:name list:cmd number:timeout flag:at_start flag:retry flag:wait" ;;
	esac
}

# Leaves the kind of option $2 of section type $1 in `kind`, or nothing.
find_kind() {
	kind=" $(options_of "$1") "
	case "$kind" in
	*":$2 "*) kind=${kind%":$2 "*} kind=${kind##* } ;;
	*) kind='' ;;
	esac
}

# -- loading -------------------------------------------------------------------

# Reads UCI, and what is not for TOML into `enabled`, `config_file`, `user`,
# `group`, `verbosity` and `unjailed`.
load_config() {
	wrong='' globals='' seen=' ' given=' '
	# Of a damaged file, config_load takes what it can and says nothing.
	if ! uci -q export "$NAME" >/dev/null || ! config_load "$NAME"; then
		tell err "/etc/config/$NAME cannot be read: see uci show $NAME"
		return 1
	fi
	config_get user "$globals" user "$NAME"
	config_get config_file "$globals" config_file
	config_get verbosity "$globals" verbosity normal
	read_flag enabled "$globals" enabled 0
	read_flag unjailed "$globals" jail 1
	[ -n "$unjailed" ] && unjailed='' || unjailed=1
	config_foreach unjail runs
	config_foreach unjail_teller notify
	case "$verbosity" in
	quiet | normal | verbose) ;;
	*) refuse globals "$globals" "option verbosity: expected quiet, normal or verbose" ;;
	esac
	[ -z "$config_file" ] || [ "${config_file#/}" != "$config_file" ] ||
		refuse globals "$globals" "option config_file: expected a path that begins with /"
	group=$(id -gn "$user" 2>/dev/null) ||
		refuse globals "$globals" "option user: there is no such user; without it, reinstall $NAME, which makes its own"
	[ -z "$wrong" ]
}

# Programs need the whole system.
unjail() {
	unjailed=1
}

# So does one that tells somebody.
unjail_teller() {
	local cmd
	config_get cmd "$1" cmd
	[ -z "$cmd" ] || unjailed=1
}

# `functions.sh` calls these three for all that it reads.
config_cb() {
	[ -n "$1" ] || return 0
	type=$1
	if [ -z "$(options_of "$type")" ]; then
		refuse "$type" "$2" "there is no such type of section; known are globals, tls, notify, \
heartbeat, monitor, cloudflare, cloudflare_records, urls, dyndns, rfc2136, rfc2136_records and runs"
	fi
	case "$type:$seen" in
	globals:*" globals "* | tls:*" tls "* | heartbeat:*" heartbeat "* | monitor:*" monitor "*) refuse "$type" "$2" "there can be only one section of this type" ;;
	esac
	seen="$seen$type "
	[ "$type" != globals ] || globals=$2
}

option_cb() {
	know_option "$1" && case "$kind" in
	headers) refuse "$type" "$CONFIG_SECTION" "option $1: expected list $1 'Name: value'" ;;
	esac
}

list_cb() {
	know_option "$1" && case "$kind" in
	list | headers) ;;
	*) refuse "$type" "$CONFIG_SECTION" "list $1: expected option $1, with one value" ;;
	esac
}

# `functions.sh` joins both names, so option c of section a_b is also option b_c of
# section a: the secret of one would become that of the other.
know_option() {
	local names='' entry joined=${CONFIG_SECTION}_$1
	case "$given" in
	*" $joined=$CONFIG_SECTION "*) ;;
	*" $joined="*) refuse "$type" "$CONFIG_SECTION" "option $1 clashes with another section's: rename one section" ;;
	*) given="$given$joined=$CONFIG_SECTION " ;;
	esac
	find_kind "$type" "$1"
	[ -z "$kind" ] || return 0
	for entry in $(options_of "$type"); do names="$names ${entry#*:}"; done
	[ -z "$names" ] || refuse "$type" "$CONFIG_SECTION" "unknown option $1; known are$names"
	return 1
}

# Says what is wrong with a section: type, name, problem.
refuse() {
	wrong=1
	tell err "section $2 (config $1): $3"
}

# -- values --------------------------------------------------------------------

# Spelled out: what [:cntrl:] means depends on the locale.
CONTROLS=$(
	printf '\001\002\003\004\005\006\007\010\011\012\013\014\015\016\017\020'
	printf '\021\022\023\024\025\026\027\030\031\032\033\034\035\036\037\177'
)

# Leaves a text as TOML has it in `quoted`. Only quotation marks, backslashes and
# control characters differ.
quote() {
	local rest=$1 plain
	quoted=
	while :; do
		case "$rest" in
		*[\\\"$CONTROLS]*) ;;
		*) break ;;
		esac
		plain=${rest%%[\\\""$CONTROLS"]*}
		rest=${rest#"$plain"}
		quoted=$quoted$plain$(escaped "$rest")
		rest=${rest#?}
	done
	quoted="\"$quoted$rest\""
}

# The first character of a text, escaped.
escaped() {
	case "$1" in
	[\\]*) printf '%s' '\\' ;;
	[\"]*) printf '%s' '\"' ;;
	*) printf '\\u%04X' "'$1" ;;
	esac
}

# A word of UCI for yes or no, into variable $1: 1 or nothing.
read_flag() {
	local word
	config_get word "$2" "$3" "$4"
	as_flag "$word" || refuse globals "$2" "option $3: expected 1 or 0"
	[ "$flag" = true ] && word=1 || word=''
	eval "$1=\$word"
}

as_flag() {
	case "$1" in
	1 | on | true | yes | enabled) flag=true ;;
	0 | off | false | no | disabled) flag=false ;;
	*) flag='' && return 1 ;;
	esac
}

is_number() {
	case "$1" in
	'' | *[!0-9.]* | *.*.* | .* | *. | 0[0-9]*) return 1 ;;
	esac
}

# -- writing -------------------------------------------------------------------

# Writes the TOML and the files it names into folder $1.
write_toml() {
	folder=$1
	(umask 077 && write_sections >"$folder/${TOML##*/}" && [ -z "$wrong" ])
}

write_sections() {
	echo "# Made from /etc/config/$NAME by its init script: a change here is lost."
	config_foreach write_section globals
	# Named, as its default depends on the path of the TOML, which a jail changes.
	write_text state_file "$STATE/$NAME.state"
	config_foreach write_section tls '[tls]'
	config_foreach write_section notify '[[notify]]'
	config_foreach write_section heartbeat '[heartbeat]'
	config_foreach write_section monitor '[monitor]'
	write_with_records cloudflare
	config_foreach write_section urls '[[urls]]'
	config_foreach write_section dyndns '[[dyndns]]'
	write_with_records rfc2136
	config_foreach write_section runs '[[runs]]'
}

write_with_records() {
	local parents=''
	config_foreach note_parent "$1"
	config_foreach check_parent "$1_records" "$1"
	config_foreach write_parent "$1" "$1"
}

note_parent() {
	parents="$parents $1"
}

# Every record belongs to one section.
check_parent() {
	local parent
	config_get parent "$1" parent "${parents# }"
	case "$parent:$parents " in
	:*) refuse "$2_records" "$1" "there is no section of type $2" ;;
	*" "*:*) refuse "$2_records" "$1" "option parent: expected which section of type $2 it belongs to, of$parents" ;;
	*:*" $parent "*) ;;
	*) refuse "$2_records" "$1" "option parent: there is no section $parent of type $2" ;;
	esac
}

write_parent() {
	write_section "$1" "[[$2]]"
	config_foreach write_record "$2_records" "$1" "[[$2.records]]"
}

write_record() {
	local parent
	config_get parent "$1" parent "${parents# }"
	[ "$parent" != "$2" ] || write_section "$1" "$3"
}

write_section() {
	local section=$1 type entry
	config_get type "$section" TYPE
	printf '\n# config %s %s\n' "$type" "$section"
	[ -z "$2" ] || printf '%s\n' "$2"
	for entry in $(options_of "$type"); do
		write_option "${entry%%:*}" "${entry#*:}"
	done
}

write_option() {
	local kind=$1 key=$2 value length
	config_get length "$section" "${key}_LENGTH"
	config_get value "$section" "$key"
	[ -n "$value" ] || return 0
	case "$given" in *" ${section}_$key=$section "*) ;; *) return 0 ;; esac
	case "$kind" in
	own) ;;
	text) write_text "$key" "$value" ;;
	list) write_list ;;
	headers) write_headers ;;
	file) write_file ;;
	pem)
		case "$value" in
		*-----*) write_text "$key" "$value" ;;
		*) write_file ;;
		esac
		;;
	number) if is_number "$value"; then echo "$key = $value"; else write_wrong "expected a number"; fi ;;
	flag) if as_flag "$value"; then echo "$key = $flag"; else write_wrong "expected 1 or 0"; fi ;;
	esac
}

write_text() {
	quote "$2"
	printf '%s = %s\n' "$1" "$quoted"
}

# As text the program refuses it too, so that `check` shows both.
write_wrong() {
	refuse "$type" "$section" "option $key: $1"
	write_text "$key" "$value"
}

# A single option is a list of one; none switches a family off.
write_list() {
	local items=''
	if [ -z "$length" ]; then
		add_item "$value"
	else
		config_list_foreach "$section" "$key" add_item
	fi
	case "$key$items" in ipv[46]', "none"') items='' ;; esac
	printf '%s = [%s]\n' "$key" "${items#, }"
}

add_item() {
	quote "$1"
	items="$items, $quoted"
}

write_headers() {
	local items=''
	config_list_foreach "$section" "$key" add_header
	printf '%s = { %s }\n' "$key" "${items#, }"
}

add_header() {
	local text
	case "$1" in
	*:*) ;;
	*)
		# Not shown: it may be the secret itself.
		refuse "$type" "$section" "list headers: expected 'Name: value' in each"
		return 0
		;;
	esac
	quote "${1%%:*}"
	items="$items, $quoted = "
	text=${1#*:}
	quote "${text# }"
	items="$items$quoted"
}

# The program may read neither root's files nor, in a jail, others at all: it gets
# a copy in RAM. The name in TOML is relative to that of TOML itself.
write_file() {
	local copy=${FILES##*/}/$section.$key
	if [ "${value#/}" = "$value" ] || [ ! -f "$value" ] || ! cat <"$value" >"$folder/$copy"; then
		# Not shown: it may be the secret itself.
		refuse "$type" "$section" "option $key: expected the path of a file that can be read"
		return 0
	fi
	write_text "$key" "$copy"
}
