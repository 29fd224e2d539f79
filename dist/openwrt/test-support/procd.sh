# Stands in for OpenWrt's /lib/functions/procd.sh in our tests: every call becomes
# a line in /tmp/procd, its words with tabs between.

# shellcheck shell=dash

procd_note() {
	printf '%s' "$1" >>"$IPKG_INSTROOT/tmp/procd"
	shift
	[ $# = 0 ] || printf '\t%s' "$@" >>"$IPKG_INSTROOT/tmp/procd"
	echo >>"$IPKG_INSTROOT/tmp/procd"
}

procd_open_service() { procd_note service "$@"; }
procd_close_service() { service_triggers && procd_note set; }
procd_open_instance() { procd_note instance; }
procd_close_instance() { procd_note end; }
procd_set_param() { procd_note param "$@"; }
procd_append_param() { procd_note append "$@"; }
procd_add_jail() { procd_note jail "$@"; }
procd_add_jail_mount() { procd_note mount "$@"; }
procd_add_jail_mount_rw() { procd_note mount_rw "$@"; }
procd_add_reload_trigger() { procd_note trigger config.change "$@"; }
procd_add_raw_trigger() { procd_note trigger "$@"; }
procd_kill() { procd_note kill "$@"; }
