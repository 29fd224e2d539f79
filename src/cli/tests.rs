//! Command lines, and what is said of wrong ones.

use super::*;

fn call(line: &str) -> Result<Call, String> {
    parse(line.split_whitespace().map(OsString::from).collect()).map_err(|error| error.to_string())
}

fn work(config: &str, dry_run: bool) -> Work {
    Work { config: config.into(), dry_run }
}

fn status(config: Option<&str>, shown: Shown) -> Command {
    let config = config.map(PathBuf::from);
    Command::Status { asking: Asking { kind: RequestKind::Status, name: None, config }, shown }
}

#[test]
fn calls_of_1_0_work_in_any_order() {
    for (line, verbosity) in [
        ("c.toml", Verbosity::Normal),
        ("c.toml -v", Verbosity::Verbose),
        ("-v c.toml", Verbosity::Verbose),
        ("--verbose c.toml", Verbosity::Verbose),
    ] {
        let expected =
            Call { command: Command::Run(work("c.toml", false)), verbosity, log_format: LogFormat::Text };
        assert_eq!(call(line), Ok(expected), "{line}");
    }
}

#[test]
fn every_command_is_understood() {
    let address = Gateway::At(vec![[192, 0, 2, 1].into()]);
    for (line, command) in [
        ("--once c", Command::Once(work("c", false))),
        ("c --dry-run --once -q", Command::Once(work("c", true))),
        ("--dry-run c", Command::Run(work("c", true))),
        ("--check c", Command::Check { config: "c".into() }),
        ("-- --check", Command::Run(work("--check", false))),
        ("retry", Command::Ask(Asking { kind: RequestKind::Retry, name: None, config: None })),
        (
            "update a.example c.toml -q",
            Command::Ask(Asking {
                kind: RequestKind::Update,
                name: Some("a.example".into()),
                config: Some("c.toml".into()),
            }),
        ),
        ("--once -- retry", Command::Once(work("retry", false))),
        ("--once -- discover", Command::Once(work("discover", false))),
        ("--once -- status", Command::Once(work("status", false))),
        ("./status", Command::Run(work("./status", false))),
        ("status", status(None, Shown::Page)),
        ("explain c", Command::Explain { config: "c".into(), online: false }),
        ("--online explain c", Command::Explain { config: "c".into(), online: true }),
        ("--once -- explain", Command::Once(work("explain", false))),
        ("status --json c.toml", status(Some("c.toml"), Shown::Json)),
        ("--alive status", status(None, Shown::Alive)),
        ("-", Command::Run(work("-", false))),
        ("discover", Command::Discover { how: How { json: false, pcp: false }, gateway: None }),
        ("discover --pcp", Command::Discover { how: How { json: false, pcp: true }, gateway: None }),
        (
            "--json discover 192.0.2.1",
            Command::Discover { how: How { json: true, pcp: false }, gateway: Some(address) },
        ),
        ("providers", Command::Providers(None)),
        ("providers no-ip", Command::Providers(Some("no-ip".to_owned()))),
        ("--once -- providers", Command::Once(work("providers", false))),
        ("--help --nonsense", Command::Help),
        ("-h", Command::Help),
        ("c -V", Command::Version),
        ("-vh", Command::Help),
        ("-qV c", Command::Version),
        ("-vv c", Command::Run(work("c", false))),
    ] {
        assert_eq!(call(line).map(|call| call.command), Ok(command), "{line}");
    }
}

#[test]
fn the_log_format_is_read_in_both_spellings() {
    for line in ["--log-format json c", "c --log-format=json"] {
        assert_eq!(call(line).unwrap().log_format, LogFormat::Json, "{line}");
    }
}

#[test]
fn wrong_calls_are_told_what_is_wrong() {
    for (line, error) in [
        ("", "which configuration file? expected its path; see --help"),
        ("--once", "which configuration file? expected its path; see --help"),
        ("a b", "one argument too many: \"b\"; see --help"),
        ("--onec c", "unknown option \"--onec\": did you mean \"--once\"?; see --help"),
        ("--dryrun c", "unknown option \"--dryrun\": did you mean \"--dry-run\"?; see --help"),
        ("--frobnicate c", "unknown option \"--frobnicate\"; see --help"),
        ("-x c", "unknown option \"-x\"; see --help"),
        ("-vx c", "unknown option \"-vx\"; see --help"),
        ("-v -q c", "--verbose and --quiet exclude each other; see --help"),
        ("--check --once c", "--check and --once exclude each other; see --help"),
        ("--check --dry-run c", "--check and --dry-run exclude each other; see --help"),
        ("--json c", "--json and a configuration file exclude each other; see --help"),
        ("discover --once", "discover and --once exclude each other; see --help"),
        (
            "discover router",
            "discover \"router\": expected a gateway's IP address, its name or the URL of its description; see --help",
        ),
        ("status --json --alive", "--json and --alive exclude each other; see --help"),
        ("status --once", "status and --once exclude each other; see --help"),
        ("status a.toml b", "one argument too many: \"b\"; see --help"),
        ("--alive c", "--alive and a configuration file exclude each other; see --help"),
        ("explain", "which configuration file? expected its path; see --help"),
        ("explain c --json", "explain and --json exclude each other; see --help"),
        ("status --online", "status and --online exclude each other; see --help"),
        ("--online c", "--online and a configuration file exclude each other; see --help"),
        ("discover --json --pcp", "--json and --pcp exclude each other; see --help"),
        ("status --pcp", "status and --pcp exclude each other; see --help"),
        ("retry --alive", "retry and --alive exclude each other; see --help"),
        ("retry --once", "retry and --once exclude each other; see --help"),
        ("update a b", "one argument too many: \"b\"; see --help"),
        ("providers --json", "providers and --json exclude each other; see --help"),
        ("providers x y", "one argument too many: \"y\"; see --help"),
        ("discover 192.0.2.1 x", "one argument too many: \"x\"; see --help"),
        ("c --log-format", "--log-format: expected text, json or journal behind it; see --help"),
        ("c --log-format xml", "--log-format \"xml\": expected text, json or journal; see --help"),
    ] {
        assert_eq!(call(line), Err(error.to_owned()), "{line}");
    }
}

#[cfg(unix)]
#[test]
fn paths_need_not_be_utf_8() {
    use std::os::unix::ffi::OsStringExt;
    let path = OsString::from_vec(b"caf\xe9.toml".to_vec());
    let call = parse(vec!["-v".into(), path.clone()]).unwrap();
    assert_eq!(call.command, Command::Run(Work { config: path.into(), dry_run: false }));
}

#[test]
fn the_help_names_every_option_and_fits_a_terminal() {
    for option in OPTIONS {
        assert!(HELP.contains(option), "{option}");
    }
    assert!(HELP.lines().all(|line| line.chars().count() <= 80));
}
