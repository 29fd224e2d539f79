//! What `--help` prints.

/// The text for `--help`.
pub const HELP: &str = "\
Keeps DNS records at your router's public address, the moment it changes.

Usage:
  ddns-update-daemon [OPTIONS] CONFIG.toml
      Run until killed.
  ddns-update-daemon --once [OPTIONS] CONFIG.toml
      Poll, bring every target up to date, exit.
  ddns-update-daemon --check CONFIG.toml
      Validate the configuration; print it with all defaults, secrets hidden.
  ddns-update-daemon explain [--online] CONFIG.toml
      Look and decide, and tell each step: what each source says, what would be
      sent where and why; nothing is sent.
  ddns-update-daemon discover [--json | --pcp] [GATEWAY]
      Show which gateways are there, what they say by each protocol, and what
      to write. GATEWAY is an address or the URL of a device description.
  ddns-update-daemon providers [NAME]
      List the presets for [[dyndns]]: name, families, basis, what each needs.
      With NAME: where to get that, a section to copy, what answers mean.
  ddns-update-daemon status [--json | --alive] [CONFIG.toml]
      Show what the running daemon knows and did: addresses, sources, targets,
      the last changes. With --alive: only whether it runs and polls in time.
  ddns-update-daemon retry [NAME] [CONFIG.toml]
      Try again now what is blocked or waits: of the running daemon, or at its
      next start. NAME is a label or a host name; without it, all are meant.
  ddns-update-daemon update [NAME] [CONFIG.toml]
      Poll and send now, although nothing has changed, within the pauses that
      providers want; by the running daemon, or once where none runs.
  ddns-update-daemon --help | --version

Options:
  -v, --verbose             log every poll and answer
  -q, --quiet               log problems only
      --dry-run             poll and decide as usual, print what would be sent
                            with secrets hidden, but send and store nothing
      --log-format FORMAT   text (default; with the time where nobody else
                            writes one), json, or journal (with priorities)
      --online              explain: test each credential at its provider, where
                            that changes nothing
      --json                discover, status: JSON instead of a page
      --pcp                 discover: learn the address by PCP, too, which maps
                            a port for a moment
      --alive               status: print nothing, exit with 0 when it runs and
                            polls in time (for the health check of a container)
  -h, --help                print this help
  -V, --version             print the version
      --                    what follows is no option

Signals to a running daemon:
  SIGHUP    read the configuration again; one with errors is told, and the old
            one goes on (in a terminal, SIGHUP ends the daemon)
  SIGUSR1   poll and send now, as update does

Exit status:
  0   done; with --once and status: every target is current
  1   a target could not be brought up to date, no address was found,
      or (discover) no gateway; (status) a target is not current;
      (explain --online) a credential is at fault
  2   the command line or the configuration is wrong
  3   (status) no daemon runs

A configuration:
  [cloudflare]
  api_token_file = \"cloudflare.token\"

  [[cloudflare.records]]
  name = \"home.example.org\"
  type = \"A\"

  [[runs]]
  cmd = [\"logger\", \"our address is now {ipv4}\"]
";

pub(super) const OPTIONS: [&str; 12] = [
    "--once",
    "--check",
    "--dry-run",
    "--verbose",
    "--quiet",
    "--log-format",
    "--json",
    "--alive",
    "--online",
    "--pcp",
    "--help",
    "--version",
];
