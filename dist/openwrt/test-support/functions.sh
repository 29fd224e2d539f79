# Stands in for OpenWrt's /lib/functions.sh in our tests: the same functions, as
# far as our scripts call them, with the same meaning, written anew.
#
# `config_load` reads what uci.py has made of the UCI file: calls of `config`,
# `option` and `list`, which is what OpenWrt's evaluates too.

# shellcheck shell=dash disable=SC3043

config_load() {
	CONFIG_ALL='' CONFIG_COUNT=0 CONFIG_SECTION=''
	[ -f "$IPKG_INSTROOT/tmp/uci/$1" ] || return 1
	# shellcheck disable=SC1090
	. "$IPKG_INSTROOT/tmp/uci/$1"
	[ -z "$CONFIG_SECTION" ] || config_cb
}

package() { :; }
config_cb() { :; }
option_cb() { :; }
list_cb() { :; }

config() {
	CONFIG_COUNT=$((CONFIG_COUNT + 1))
	CONFIG_SECTION=${2:-cfg$CONFIG_COUNT}
	CONFIG_ALL="$CONFIG_ALL $CONFIG_SECTION"
	config_put TYPE "$1"
	config_cb "$1" "$CONFIG_SECTION"
}

option() {
	config_put "$1" "$2"
	option_cb "$1" "$2"
}

list() {
	local count whole
	config_get count "$CONFIG_SECTION" "$1_LENGTH" 0
	config_get whole "$CONFIG_SECTION" "$1"
	config_put "$1_ITEM$((count + 1))" "$2"
	config_put "$1_LENGTH" $((count + 1))
	config_put "$1" "${whole:+$whole }$2"
	list_cb "$1" "$2"
}

config_put() {
	eval "CONFIG_${CONFIG_SECTION}_$1=\$2"
}

config_get() {
	eval "$1=\${CONFIG_$2_$3:-\$4}"
}

config_foreach() {
	local function=$1 wanted=$2 section found
	shift 2
	for section in $CONFIG_ALL; do
		config_get found "$section" TYPE
		case "$wanted" in '' | "$found") "$function" "$section" "$@" ;; esac
	done
}

config_list_foreach() {
	local section=$1 option=$2 function=$3 count item place=1
	shift 3
	config_get count "$section" "${option}_LENGTH" 0
	while [ "$place" -le "$count" ]; do
		config_get item "$section" "${option}_ITEM$place"
		"$function" "$item" "$@"
		place=$((place + 1))
	done
}

# -- installation ---------------------------------------------------------------

add_group_and_user() {
	local uid=32768 root=$IPKG_INSTROOT name=ddns-update-daemon
	grep -q "^$name:" "$root/etc/passwd" && return
	echo "$name:x:$uid:" >>"$root/etc/group"
	echo "$name:x:$uid:$uid::/var/run/$name:/bin/false" >>"$root/etc/passwd"
}

default_postinst() {
	add_group_and_user
	service_of_package enable
	[ -n "$IPKG_INSTROOT" ] || service_of_package start
}

default_prerm() {
	service_of_package disable
	[ -n "$IPKG_INSTROOT" ] || service_of_package stop
}

service_of_package() {
	/bin/sh "$IPKG_INSTROOT/etc/rc.common" "$IPKG_INSTROOT/etc/init.d/ddns-update-daemon" "$1"
}
