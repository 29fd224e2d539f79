//! What `[[notify]]`, `[heartbeat]` and `[monitor]` mean, and what is said of wrong ones.

use std::path::Path;
use std::time::Duration;

use ddns_update_daemon::config::notify::Preset;
use ddns_update_daemon::config::{Config, ConfigError, parse};

fn read(text: &str) -> Result<Config, ConfigError> {
    let file = |path: &Path| match path.to_str() {
        Some("folder/./secret") => Ok("http://127.0.0.1/s3cret\n".to_owned()),
        _ => Err("there is no such file".to_owned()),
    };
    let target = "[[urls]]\nurl = \"http://127.0.0.1/\"\n";
    parse(&format!("{text}\n{target}"), Path::new("folder/c.toml"), &file)
}

fn good(text: &str) -> Config {
    read(text).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn defaults_are_filled_in() {
    let config = good("[[notify]]\nurl_file = \"./secret\"\n[heartbeat]\nurl_file = \"./secret\"");
    let notify = &config.telling.notify[0];
    assert_eq!((notify.preset, notify.on, notify.after), (None, [true; 3], Duration::from_secs(3600)));
    assert_eq!(notify.label(), "http://127.0.0.1");
    let heartbeat = config.telling.heartbeat.unwrap();
    assert_eq!(
        (heartbeat.every, heartbeat.label()),
        (Duration::from_secs(3600), "http://127.0.0.1".to_owned())
    );
    let config = good("[[notify]]\npreset = \"telegram\"\ntoken = \"1:a\"\nchat = \"-42\"");
    let notify = &config.telling.notify[0];
    assert_eq!((notify.url.reveal(), notify.preset), ("https://api.telegram.org/", Some(Preset::Telegram)));
    let config = good("[[notify]]\ncmd = [\"/bin/tell\", \"me\"]\non = [\"failure\"]\nafter = 0.5");
    let notify = &config.telling.notify[0];
    assert_eq!((notify.label(), notify.on), ("/bin/tell".to_owned(), [false, true, false]));
    assert_eq!(notify.after, Duration::from_secs(30));
}

#[test]
fn mistakes_are_told_with_their_place() {
    for (text, problem) in [
        ("[[notify]]", "1:1: [[notify]]: url, url_file or cmd is missing"),
        (
            "[[notify]]\npreset = \"nfty\"\nurl = \"http://127.0.0.1\"",
            "2:10: preset = \"nfty\": did you mean \"ntfy\"?",
        ),
        (
            "[[notify]]\npreset = \"pigeon\"",
            "2:10: preset = \"pigeon\": expected one of ntfy, gotify, telegram, discord, slack, mail; or leave it out",
        ),
        ("[[notify]]\ncmd = []", "1:1: [[notify]]: cmd is empty; expected a program"),
        ("[[notify]]\npreset = \"slack\"", "1:1: [[notify]]: url or url_file is missing"),
        ("[[notify]]\npreset = \"ntfy\"\ncmd = [\"x\"]", "1:1: [[notify]]: url or url_file is missing"),
        (
            "[[notify]]\npreset = \"mail\"",
            "1:1: [[notify]]: cmd is missing, a program that sends mail: [\"sendmail\", \"-i\", \"me@example.org\"]",
        ),
        (
            "[[notify]]\nurl = \"http://127.0.0.1\"\ncmd = [\"x\"]",
            "1:1: [[notify]]: url and cmd are both given; keep one of the two",
        ),
        (
            "[[notify]]\npreset = \"telegram\"\ntoken = \"1:a\"",
            "1:1: [[notify]]: Telegram needs token (or token_file), as @BotFather gives it, and chat, the number of the chat",
        ),
        (
            "[[notify]]\npreset = \"gotify\"\nurl = \"http://127.0.0.1\"",
            "1:1: [[notify]]: Gotify needs token (or token_file), that of an application",
        ),
        (
            "[[notify]]\nurl = \"http://127.0.0.1\"\ntoken_file = \"x\"",
            "1:1: [[notify]]: token is for ntfy, Gotify and Telegram; others have theirs in url, or in headers = { Authorization = \"...\" }",
        ),
        ("[[notify]]\nurl = \"http://127.0.0.1\"\nchat = 1", "1:1: [[notify]]: chat is for Telegram"),
        (
            "[[notify]]\ncmd = [\"x\"]\nheaders = { X = \"y\" }",
            "1:1: [[notify]]: a program is given no token and no headers",
        ),
        ("[[notify]]\nurl = \"<hidden>\"", "2:7: url: expected a URL without placeholders"),
        ("[[notify]]\nurl = \"http://127.0.0.1/{ipv4}\"", "2:7: url: expected a URL without placeholders"),
        ("[[notify]]\nurl = \"s3cret\"", "2:7: url: expected a URL: https://..."),
        (
            "[[notify]]\nurl = \"http://127.0.0.1\"\non = [\"always\"]",
            "3:7: on = \"always\": expected \"change\", \"failure\" or \"recovery\"",
        ),
        (
            "[[notify]]\nurl = \"http://127.0.0.1\"\non = []",
            "3:6: on = [...]: expected at least one of \"change\", \"failure\", \"recovery\"",
        ),
        (
            "[[notify]]\nurl = \"http://127.0.0.1\"\nafter = 0",
            "3:9: after = 0: expected minutes: at least 1 second (0.0167 minutes), at most a year",
        ),
        (
            "[[notify]]\nurl = \"http://127.0.0.1\"\nevery = 5",
            "3:1: unknown key \"every\" in [[notify]]: expected preset, cmd, url, url_file, token, token_file, chat, headers, on, after",
        ),
        ("[heartbeat]\nevery = 5", "1:1: [heartbeat]: url or url_file is missing"),
        (
            "[heartbeat]\nurl = \"http://127.0.0.1\"\nevry = 5",
            "3:1: unknown key \"evry\" in [heartbeat]: did you mean \"every\"?",
        ),
        ("[[heartbeat]]\nurl = \"http://127.0.0.1\"", "heartbeat: expected [heartbeat], found a list"),
    ] {
        let error = read(text).expect_err(text).to_string();
        assert!(error.contains(problem), "{text}\n{error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
    // What is there and wrong is not called missing.
    let wrong = "[[notify]]\npreset = \"telegram\"\ntoken = \"a b\"\nchat = -42".to_owned();
    assert_eq!(read(&wrong).unwrap_err().to_string().lines().count(), 1);
    let chat = read(&wrong.replace("a b", "1:ab")).unwrap().telling.notify.remove(0).chat;
    assert_eq!(chat, "-42");
    let many = "[[notify]]\nurl = \"http://127.0.0.1\"\n".repeat(17);
    assert!(
        read(&many).unwrap_err().to_string().contains("33:1: [[notify]]: expected at most 16 such sections")
    );
}

#[test]
fn what_is_described_reads_as_the_same_without_a_secret() {
    let config = good(
        "[[notify]]\npreset = \"gotify\"\nurl = \"http://u:s3cret@127.0.0.1:8080/s3cret?s3cret\"\ntoken = \"s3cret\"\n\
         headers = { X-Auth = \"s3cret\" }\non = [\"failure\", \"recovery\"]\nafter = 0.5\n\
         [[notify]]\npreset = \"mail\"\ncmd = [\"msmtp\", \"--password=s3cret\", \"me@example.org\"]\n\
         [heartbeat]\nurl = \"http://127.0.0.1/s3cret\"\nevery = 15",
    );
    let described = config.describe();
    assert!(!described.contains("s3cret"), "{described}");
    for line in [
        "[[notify]]\npreset = \"gotify\"\nurl = \"http://<hidden>@127.0.0.1:8080/<hidden>\"\ntoken = \"<hidden>\"\n\
         headers = { \"X-Auth\" = \"<hidden>\" }\non = [\"failure\", \"recovery\"]\nafter = 0.5\n",
        "[[notify]]\npreset = \"mail\"\ncmd = [\"msmtp\", \"--password=<hidden>\", \"me@example.org\"]\n\
         on = [\"change\", \"failure\", \"recovery\"]\nafter = 60\n",
        "[heartbeat]\nurl = \"http://127.0.0.1/<hidden>\"\nevery = 15\n",
    ] {
        assert!(described.contains(line), "{described}");
    }
    let again =
        parse(&described.replace("token = \"<hidden>\"", "token = \"restored\""), Path::new("c"), &|_| {
            Err(String::new())
        });
    let again = again.unwrap_or_else(|error| panic!("{error}\n{described}"));
    assert_eq!(again.telling.notify[1].on, config.telling.notify[1].on);
    assert_eq!(again.describe(), described);
}

#[test]
#[cfg(feature = "monitor")]
fn the_monitor_listens_where_it_is_told() {
    for (text, listen) in [
        ("[monitor]", "127.0.0.1:9853"),
        ("[monitor]\nlisten = \"[::1]:80\"", "[::1]:80"),
        (
            "[monitor]\nlisten = \"unix:/run/x/monitor\"\nhosts = [\"DDNS\", \"b\u{fc}ro.example\"]",
            "unix:/run/x/monitor",
        ),
    ] {
        let config = good(&format!("metrics_file = \"x.prom\"\n{text}"));
        let monitor = config.showing.monitor.as_ref().unwrap();
        assert_eq!(monitor.listen.to_string(), listen);
        assert!(monitor.hosts.is_empty() || monitor.hosts == ["ddns", "xn--bro-hoa.example"], "{monitor:?}");
        assert_eq!(config.showing.metrics_file.as_deref(), Some(Path::new("folder/x.prom")));
        let again = parse(&config.describe(), Path::new("c.toml"), &|_| Err(String::new())).unwrap();
        assert_eq!(again.showing, config.showing);
    }
    let expected = "expected an address with a port (\"127.0.0.1:9853\", \"[::1]:9853\") or a socket (\"unix:/run/ddns-update-daemon/monitor\")";
    for (text, problem) in [
        ("listen = \"9853\"", format!("2:10: listen = \"9853\": {expected}")),
        ("listen = \"localhost:9853\"", format!("2:10: listen = \"localhost:9853\": {expected}")),
        ("listen = \"127.0.0.1:0\"", format!("2:10: listen = \"127.0.0.1:0\": {expected}")),
        ("listen = \"unix:monitor\"", format!("2:10: listen = \"unix:monitor\": {expected}")),
        ("hosts = [\"a b\"]", "2:10: hosts = \"a b\": ".to_owned()),
        ("hosts = [\"*\"]", "2:10: hosts = \"*\": expected a host's name".to_owned()),
        ("port = 1", "2:1: unknown key \"port\" in [monitor]: expected listen, hosts".to_owned()),
    ] {
        let error = read(&format!("[monitor]\n{text}")).expect_err(text).to_string();
        assert!(error.contains(&problem), "{error}");
    }
}
