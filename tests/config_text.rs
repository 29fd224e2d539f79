//! What configuration texts mean, and what is said of wrong ones.

use std::path::Path;
use std::time::Duration;

use ddns_update_daemon::config::placeholders::Needs;
use ddns_update_daemon::config::{Config, ConfigError, Gateway, Source, Target, UpdaterConfig, parse};
use ddns_update_daemon::engine::state::State;
use ddns_update_daemon::engine::{Engine, Now};
use ddns_update_daemon::http::lan_url::LanUrl;
use ddns_update_daemon::quote::said;

const IPV4: Needs = Needs { ipv4: true, ipv6: false, ipv6_prefix: false };
const IPV6: Needs = Needs { ipv4: false, ipv6: true, ipv6_prefix: false };
const PREFIX: Needs = Needs { ipv4: false, ipv6: false, ipv6_prefix: true };
const NONE: Needs = Needs { ipv4: false, ipv6: false, ipv6_prefix: false };

/// The files that exist in these tests.
fn file(path: &Path) -> Result<String, String> {
    match path.to_str() {
        Some("folder/text" | "/text") => Ok("some-text\r\n\n".to_owned()),
        Some("folder/empty") => Ok("\n".to_owned()),
        Some("folder/key.pem" | "folder/client-key.pem") => {
            Ok("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n".to_owned())
        }
        Some("folder/client.pem" | "folder/ca.pem" | "folder/air-gapped-ca.pem") => {
            Ok("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned())
        }
        Some("folder/bind.key") => {
            Ok("key \"one\" { algorithm hmac-sha384; secret \"QUJD\"; };\nkey two { algorithm hmac-md5; secret QUJD; };".to_owned())
        }
        _ => Err("there is no such file".to_owned()),
    }
}

fn read(text: &str) -> Result<Config, ConfigError> {
    parse(text, Path::new("folder/c.toml"), &file)
}

fn good(text: &str) -> Config {
    read(text).unwrap_or_else(|error| panic!("{error}"))
}

fn example(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name)).unwrap()
}

const EXAMPLES: [&str; 14] = [
    "quickstart.toml",
    "full.toml",
    "cloudflare.toml",
    "url-dyndns2.toml",
    "dyndns.toml",
    "air-gapped.toml",
    "1.0.toml",
    "rfc2136.toml",
    "url-desec.toml",
    "url-gandi.toml",
    "url-digitalocean.toml",
    "url-hetzner.toml",
    "url-porkbun.toml",
    "url-linode.toml",
];

/// Texts, and what is said of them behind the name of the file.
const MISTAKES: &[(&str, &str)] = &[
    ("interval = 0", "1:12: interval = 0: expected at least 1 second (0.0167 minutes)"),
    ("interval = \"5\"", "1:12: interval = \"5\": expected a number, without quotes"),
    ("interval = -1", "1:12: interval = -1: expected at least 1 second (0.0167 minutes)"),
    ("interval = nan", "1:12: interval = nan: expected a number"),
    ("interval = -inf", "1:12: interval = -inf: expected a number"),
    ("interval = 0x8000_0000_0000_0000", "1:12: interval = 0x8000000000000000: expected a number"),
    ("interval = -0.5e+3", "1:12: interval = -0.5e+3: expected at least 1 second (0.0167 minutes)"),
    ("interval = 0.01", "1:12: interval = 0.01: expected at least 1 second (0.0167 minutes)"),
    (
        "router_ip = []",
        "1:13: router_ip = [...]: expected at least one address; leave router_ip out for the default route's",
    ),
    (
        "router_ip = [\"127.0.0.1\"]",
        "1:14: router_ip = \"127.0.0.1\": expected a router's IP address; only addresses can stand in a list",
    ),
    ("interval = [5]", "1:12: interval = [...]: expected a number"),
    ("intervall = 5", "1:1: unknown key \"intervall\": did you mean \"interval\"?"),
    (
        "frobnicate = 5",
        "1:1: unknown key \"…\": expected interval, router_ip, ipv4, ipv6, agree, allow_private, events, state_file, tls, proxy, proxy_file, no_proxy, metrics_file, monitor, notify, heartbeat, cloudflare, urls, dyndns, rfc2136, runs",
    ),
    ("Interval = 5", "1:1: unknown key \"Interval\": did you mean \"interval\"?"),
    (
        "\"\" = 5",
        "1:1: unknown key \"\": expected interval, router_ip, ipv4, ipv6, agree, allow_private, events, state_file, tls, proxy, proxy_file, no_proxy, metrics_file, monitor, notify, heartbeat, cloudflare, urls, dyndns, rfc2136, runs",
    ),
    (
        "interval = 5\ninterval = 6",
        "2:1: not TOML: duplicate key; it stands there twice (of sections, several are written [[...]])",
    ),
    ("interval", "1:9: not TOML: key with no value, expected `=`; a line is: key = value"),
    ("interval = 5 6", "1:12: not TOML: string values must be quoted, expected literal string"),
    ("[cloudflare", "1:12: not TOML: unclosed table, expected `]`"),
    (
        "x = \"\\q\"",
        "1:7: not TOML: missing escaped value, expected `b`, `e`, `f`, `n`, `r`, `\\`, `\"`, `x`, `u`, `U`; a backslash in \"...\" is written \\\\, or the text stands in '...'",
    ),
    ("router_ip = 5", "1:13: router_ip = 5: expected text in quotes"),
    (
        "router_ip = \"router\"",
        "1:13: router_ip = \"router\": expected the router's IP address (\"192.168.1.1\") or name (\"fritz.box\"), a loopback address to watch this host, the URL of the router's description (\"http://192.168.1.1:5000/rootDesc.xml\"), or a list of addresses",
    ),
    ("router_ip = \"0.0.0.0\"", "1:13: router_ip = \"0.0.0.0\": no router can have this address"),
    (
        "router_ip = \"http://192.168.1.1:0/\"",
        "1:13: router_ip: this is no gateway's URL: the port is not one that gateways use",
    ),
    ("router_ip = \"https://192.168.1.1/\"", "1:13: router_ip: this is no gateway's URL: expected http://"),
    (
        "router_ip = \"192.168.1.1:5000\"",
        "1:13: router_ip = \"192.168.1.1:5000\": expected the router's IP address (\"192.168.1.1\") or name (\"fritz.box\"), a loopback address to watch this host, the URL of the router's description (\"http://192.168.1.1:5000/rootDesc.xml\"), or a list of addresses",
    ),
    ("ipv4 = \"upnp\"", "1:8: ipv4 = \"upnp\": expected a list: [\"...\", \"...\"]"),
    ("ipv4 = [\"upn\"]", "1:9: ipv4 = \"upn\": no such source; did you mean \"upnp\"?"),
    (
        "ipv4 = [\"stun\"]",
        "1:9: ipv4 = \"stun\": no such source; expected \"upnp\", \"natpmp\", \"pcp\", \"interface\" or an echo service's URL (\"https://...\")",
    ),
    ("ipv4 = [\"pcq\"]", "1:9: ipv4 = \"pcq\": no such source; did you mean \"pcp\"?"),
    (
        "ipv4 = [\"pcp:router\"]",
        "1:9: ipv4 = \"pcp:router\": expected a gateway's IPv4 address behind the colon, as in \"pcp:192.168.1.1\"",
    ),
    (
        "ipv6 = [\"pcp\"]",
        "1:9: ipv6 = \"pcp\": PCP tells no IPv6 address; expected \"upnp\" or \"interface\"",
    ),
    ("ipv4 = [5]", "1:9: ipv4 = 5: expected text in quotes"),
    ("ipv4 = [\"upnp\", \"upnp\"]", "1:17: ipv4 = \"upnp\": this source is listed twice"),
    (
        "ipv4 = [\"upnp:router\"]",
        "1:9: ipv4: expected a gateway's IP address, its name or the URL of its description",
    ),
    (
        "ipv4 = [\"natpmp:fe80::1\"]",
        "1:9: ipv4 = \"natpmp:fe80::1\": expected a gateway's IPv4 address behind the colon, as in \"natpmp:192.168.1.1\"",
    ),
    (
        "ipv4 = [\"interface:\"]",
        "1:9: ipv4 = \"interface:\": expected an interface's name behind the colon, as in \"interface:eth0\"",
    ),
    (
        "ipv6 = [\"natpmp\"]",
        "1:9: ipv6 = \"natpmp\": NAT-PMP tells no IPv6 address; expected \"upnp\" or \"interface\"",
    ),
    (
        "router_ip = \"fe80::1\"\nipv4 = [\"natpmp\"]",
        "2:9: ipv4 = \"natpmp\": router_ip is no IPv4 address, which natpmp needs: \"natpmp:192.168.1.1\"",
    ),
    (
        "ipv4 = [\"upnp:http://me:pw@192.168.1.1/\"]",
        "1:9: ipv4: this is no gateway's URL: the host must be an IP address, as in http://192.168.1.1:5000/",
    ),
    ("events = 1", "1:10: events = 1: expected true or false"),
    ("agree = 0", "1:9: agree = 0: expected how many of the sources must give the same address, at least 1"),
    (
        "agree = \"all\"",
        "1:9: agree = \"all\": expected how many of the sources must give the same address, at least 1",
    ),
    ("allow_private = \"yes\"", "1:17: allow_private = \"yes\": expected true or false, without quotes"),
    ("state_file = \"\"", "1:14: state_file = \"\": expected some text"),
    ("tls = 5", "1:7: tls: expected [tls], found a number"),
    ("[[tls]]", "1:1: tls: expected [tls], found a list"),
    ("[tls]\nca_file = \"missing.pem\"", "2:11: ca_file = \"missing.pem\": there is no such file"),
    (
        "[tls]\nca_file = \"text\"",
        "2:11: ca_file = \"text\": expected certificates in PEM form (-----BEGIN CERTIFICATE-----) in this file",
    ),
    (
        "[tls]\nca_file = \"ca.pem\"\nbuiltin_roots = false\nsystem_roots = true",
        "4:1: \"system_roots\": never counts with builtin_roots = false",
    ),
    (
        "[tls]\nbuiltin_roots = false",
        "2:17: builtin_roots = false: without ca_file, no server could be trusted",
    ),
    ("[tls]\nclient_cert = \"ca.pem\"", "2:1: \"client_cert\": needs its private key, client_key"),
    ("[tls]\nclient_key_file = \"key.pem\"", "2:1: \"client_key_file\": needs its certificate, client_cert"),
    (
        "[tls]\nclient_key = \"key.pem\"\nclient_key_file = \"key.pem\"",
        "3:1: \"client_key_file\": \"client_key\" is given too; keep one of the two",
    ),
    (
        "[tls]\nclient_cert = \"ca.pem\"\nclient_key = \"ca.pem\"",
        "3:14: client_key: expected PEM text (-----BEGIN PRIVATE KEY-----), or the path of a file with it",
    ),
    ("proxy = \"socks5://a:1080\"", "1:9: proxy: expected a proxy that speaks HTTP: http://host:port"),
    ("proxy = \"http://a:1/x\"", "1:9: proxy: expected a proxy without a path: http://host:port"),
    ("proxy = \"\"", "1:9: proxy: expected http://host:port, or \"none\""),
    ("proxy = \"http://a:99999\"", "1:9: proxy: expected a port from 1 to 65535"),
    ("no_proxy = [\"lan\"]", "1:1: \"no_proxy\": means nothing without proxy"),
    ("proxy = \"a:1\"\nno_proxy = \"lan\"", "2:12: no_proxy = \"lan\": expected a list: [\"...\", \"...\"]"),
    ("prox = \"a:1\"", "1:1: unknown key \"prox\": did you mean \"proxy\"?"),
    (
        "[tls]\nca = \"x\"",
        "2:1: unknown key \"ca\" in [tls]: expected ca_file, builtin_roots, system_roots, client_cert, client_key, client_key_file",
    ),
    ("cloudflare = \"x\"", "1:14: cloudflare: expected [cloudflare] sections, found text"),
    ("[cloudflare]\nzone_id = \"a\"", "1:1: [cloudflare]: api_token or api_token_file is missing"),
    (
        "[cloudflare]\napi_token = \"\"",
        "2:13: api_token: expected an API token; this is only a placeholder for one",
    ),
    (
        "[cloudflare]\napi_token = \"<token>\"",
        "2:13: api_token: expected an API token; this is only a placeholder for one",
    ),
    (
        "[cloudflare]\napi_token = \"two words\"",
        "2:13: api_token: expected an API token without blanks and special characters",
    ),
    ("[cloudflare]\napi_token = 5", "2:13: api_token: expected text in quotes, found a number"),
    (
        "[cloudflare]\napi_token_file = \"./missing\"",
        "2:18: api_token_file = \"./missing\": there is no such file",
    ),
    (
        "[cloudflare]\napi_token_file = \"ThisIsTheSecretToken\"",
        "2:18: api_token_file: there is no such file",
    ),
    ("[[urls]]\nurl_file = \"https://me:pw@a.example/\"", "2:12: url_file: there is no such file"),
    ("[cloudflare]\napi_token_file = \"empty\"", "2:18: api_token_file: this file is empty"),
    (
        "[cloudflare]\napi_token = \"t\"\napi_token_file = \"text\"",
        "3:1: \"api_token_file\": \"api_token\" is given too; keep one of the two",
    ),
    (
        "[cloudflare]\napi_token = \"t\"\nzone_id = \"<zone ID>\"",
        "3:11: zone_id: expected a zone id as Cloudflare's overview page of the zone shows it, or none at all",
    ),
    (
        "[cloudflare]\napi_token = \"t\"\napi_url = \"http://example.org/\"",
        "3:11: api_url: expected https://, as the API token must not travel unencrypted",
    ),
    (
        "[cloudflare]\napi_token = \"t\"\napi_url = \"https://u:p@example.org/\"",
        "3:11: api_url: expected a URL without credentials, query and placeholders",
    ),
    (
        "[cloudflare]\napi_token = \"t\"\nwhen_absent = \"empty\"",
        "3:15: when_absent = \"empty\": a DNS record cannot be empty; leave this key out",
    ),
    (
        "[cloudflare]\napi_token = \"t\"\nrecord = []",
        "3:1: unknown key \"record\" in [cloudflare]: did you mean \"records\"?",
    ),
    (
        "[cloudflare]\napi_token = \"t\"\n[cloudflare.records]\nname = \"a\"",
        "3:1: records: expected [[cloudflare.records]] sections, found a single section",
    ),
    (
        "[cloudflare]\napi_token = \"t\"\n[[cloudflare.records]]\ntype = \"A\"",
        "3:1: [[cloudflare.records]]: name is missing",
    ),
    (
        "[cloudflare]\napi_token = \"t\"\n[[cloudflare.records]]\nname = \"a\"",
        "3:1: [[cloudflare.records]]: type is missing",
    ),
    (
        "[cloudflare]\napi_token = \"t\"\nrecords = [{ name = \"a\", type = \"a\" }]",
        "3:33: type = \"a\": expected \"A\" or \"AAAA\", in capitals",
    ),
    (
        "[cloudflare]\napi_token = \"t\"\nrecords = [{ name = \"a\", type = \"MX\" }]",
        "3:33: type = \"MX\": expected \"A\" (IPv4) or \"AAAA\" (IPv6)",
    ),
    (
        "[cloudflare]\napi_token = \"t\"\nrecords = [{ name = \"a..b\", type = \"A\" }]",
        "3:21: name = \"a..b\": the name, or a part of it between two dots, is empty",
    ),
    (
        "[cloudflare]\napi_token = \"t\"\nrecords = [{ name = \"\", type = \"A\" }]",
        "3:21: name = \"\": expected some text",
    ),
    (
        "[cloudflare]\napi_token = \"t\"\nrecords = [{ name = \"a\", type = \"A\", ttl = 5 }]",
        "3:44: ttl = 5: expected 30 to 86400 seconds, or 1 for automatic",
    ),
    (
        "[cloudflare]\napi_token = \"t\"\nrecords = [{ name = \"a\", type = \"A\", ttl = 99999999999 }]",
        "3:44: ttl = 99999999999: expected 30 to 86400 seconds, or 1 for automatic",
    ),
    (
        "[cloudflare]\napi_token = \"t\"\nrecords = [{ name = \"a\", type = \"A\", proxied = 1 }]",
        "3:48: proxied = 1: expected true or false",
    ),
    (
        "[cloudflare]\napi_token = \"t\"\nrecords = [{ name = \"a\", type = \"A\", comment = \"\" }]",
        "3:48: comment = \"\": expected some text",
    ),
    (
        "[cloudflare]\napi_token = \"t\"\nrecords = [{ name = \"a\", type = \"A\", ipv6_suffix = \"::1\" }]",
        "3:12: [[cloudflare.records]]: ipv6_suffix belongs to records of type AAAA",
    ),
    (
        "[cloudflare]\napi_token = \"t\"\nrecords = [{ name = \"a\", type = \"AAAA\", ipv6_suffix = \"2001:db8::1\" }]",
        "3:55: ipv6_suffix = \"2001:db8::1\": expected only the host part: the upper 48 bits come from the router's prefix",
    ),
    (
        "[cloudflare]\napi_token = \"t\"\nrecords = [{ name = \"a\", type = \"AAAA\", ipv6_suffix = \"x\" }]",
        "3:55: ipv6_suffix = \"x\": expected the host part of an IPv6 address, as in \"::211:32ff:fe12:3456\"",
    ),
    (
        "[cloudflare]\napi_token = \"t\"\nrecords = [{ name = \"a\", type = \"AAAA\", refresh = 0.5 }]",
        "3:51: refresh = 0.5: expected 1 to 366 days",
    ),
    (
        "ipv6 = []\n[cloudflare]\napi_token = \"t\"\nrecords = [{ name = \"a\", type = \"AAAA\" }]",
        "4:12: [[cloudflare.records]]: it needs IPv6, which ipv6 = [] switches off",
    ),
    (
        "agree = 3\nipv4 = [\"upnp\", \"natpmp\"]\n[cloudflare]\napi_token = \"t\"\nrecords = [{ name = \"a\", type = \"A\" }]",
        "1:9: agree = 3: expected 1 to 2: there are 2 IPv4 sources",
    ),
    (
        "ipv4 = [\"upnp\"]\n[cloudflare]\napi_token = \"t\"\nrecords = [{ name = \"a\", type = \"A\", agree = 2 }]",
        "4:46: agree = 2: expected 1: there is only one IPv4 source",
    ),
    ("[urls]\nurl = \"https://a.example/\"", "1:1: urls: expected [[urls]] sections, found a single section"),
    ("[[urls]]", "1:1: [[urls]]: url or url_file is missing"),
    ("[[urls]]\nurl = 5", "2:7: url: expected text in quotes, found a number"),
    ("[[urls]]\nurl = \"<url>\"", "2:7: url: expected a URL; this is only a placeholder for one"),
    ("[[urls]]\nurl = \"a.example?token=pw\"", "2:7: url: expected a URL: https://..."),
    (
        "[[urls]]\nurl = \"ftp://a.example?token=pw\"",
        "2:7: url: expected https:// or http:// at its beginning",
    ),
    ("[[urls]]\nurl = \"https://me:pw@a b.example/\"", "2:7: url: the host is neither a name nor an address"),
    ("[[urls]]\nurl = \"https://a.example:70000/?token=pw\"", "2:7: url: expected a port from 1 to 65535"),
    ("[[urls]]\nurl_file = \"missing\"", "2:12: url_file: there is no such file"),
    (
        "[[urls]]\nurl = \"https://a.example/\"\nmethod = \"pots\"",
        "3:10: method = \"pots\": did you mean \"post\"?",
    ),
    (
        "[[urls]]\nurl = \"https://a.example/\"\nmethod = \"fetch it\"",
        "3:10: method = \"fetch it\": expected an HTTP method, for example \"get\", \"post\" or \"put\"",
    ),
    (
        "[[urls]]\nurl = \"https://a.example/\"\nheaders = \"X: y\"",
        "3:11: headers: expected { NAME = \"value\" }, found text",
    ),
    (
        "[[urls]]\nurl = \"https://a.example/\"\nheaders = { \"a b\" = \"pw\" }",
        "3:13: \"a b\": this is no name of an HTTP header",
    ),
    (
        "[[urls]]\nurl = \"https://a.example/\"\nheaders = { a = 5 }",
        "3:17: a: expected text in quotes, found a number",
    ),
    (
        "[[urls]]\nurl = \"https://a.example/\"\nheaders = { a = \"p\\u0000w\" }",
        "3:17: a: no line breaks or control characters may stand in a header",
    ),
    (
        "[[urls]]\nurl = \"https://a.example/\"\nheaders = { a = \"pw\", A = \"pw\" }",
        "3:23: \"A\": this header is given twice",
    ),
    (
        "[[urls]]\nurl = \"https://a.example/\"\nbody = [\"pw\"]",
        "3:8: body: expected text in quotes, found a list",
    ),
    (
        "[[urls]]\nurl = \"https://a.example/\"\nbody = \"pw\"\nbody_file = \"text\"",
        "4:1: \"body_file\": \"body\" is given too; keep one of the two",
    ),
    (
        "[[urls]]\nurl = \"https://a.example/\"\nexpect = []",
        "3:10: expect = [...]: expected at least one word, or no such key",
    ),
    (
        "[[urls]]\nurl = \"https://a.example/\"\nexpect = [\"two words\"]",
        "3:11: expect = \"two words\": expected a single word: the first one of an accepted answer",
    ),
    (
        "[[urls]]\nurl = \"https://a.example/\"\nwhen_absent = \"delete\"",
        "3:15: when_absent = \"delete\": expected \"empty\"",
    ),
    (
        "[[urls]]\nurl = \"https://a.example/?ip={ipv6}\"\nipv6 = []",
        "1:1: [[urls]]: it needs IPv6, which ipv6 = [] switches off",
    ),
    (
        "[[urls]]\nurl = \"https://a.example/\"\nipv4 = []\nipv6 = []",
        "1:1: [[urls]]: ipv4 = [] and ipv6 = [] leave nothing to send",
    ),
    ("[[urls]]\nurl = \"https://a.example/\"\nname = \"\"", "3:8: name = \"\": expected some text"),
    ("[[runs]]", "1:1: [[runs]]: cmd is missing"),
    ("[[runs]]\ncmd = \"prog\"", "2:7: cmd = \"prog\": expected a list: [\"...\", \"...\"]"),
    ("[[runs]]\ncmd = [\"\"]", "2:8: cmd = \"\": expected a program"),
    (
        "[[runs]]\ncmd = [\"{ipv4}\"]",
        "2:8: cmd = \"{ipv4}\": the program itself cannot hold placeholders; its arguments can",
    ),
    ("[[runs]]\ncmd = [\"a\", 5]", "2:13: cmd = 5: expected text in quotes"),
    ("[[runs]]\ncmd = [\"a\"]\ntimeout = 0", "3:11: timeout = 0: expected 1 to 86400 seconds"),
    ("[[runs]]\ncmd = [\"a\"]\ntimeout = \"1m\"", "3:11: timeout = \"1m\": expected 1 to 86400 seconds"),
    (
        "[[runs]]\ncmd = [\"a\"]\nat_start = \"yes\"",
        "3:12: at_start = \"yes\": expected true or false, without quotes",
    ),
    (
        "[[runs]]\ncmd = [\"a\"]\nverify = 6",
        "3:1: \"verify\": belongs to [cloudflare]; set refresh to send an unchanged address again",
    ),
    (
        "[[urls]]\nurl = \"https://a.example/\"\nverify = 6",
        "3:1: \"verify\": belongs to [cloudflare]; set refresh to send an unchanged address again",
    ),
    ("[cloudflare]\napi_token = \"t\"\nverify = 0.5", "3:10: verify = 0.5: expected 1 to 8784 hours"),
    (
        "[cloudflare]\napi_token = \"t\"\nverfiy = 6",
        "3:1: unknown key \"verfiy\" in [cloudflare]: did you mean \"verify\"?",
    ),
    ("[[runs]]\ncmd = [\"a\"]\nrefresh = 999", "3:11: refresh = 999: expected 1 to 366 days"),
    (
        "[[runs]]\ncmd = [\"a\"]\nmethod = \"get\"",
        "3:1: unknown key \"method\" in [[runs]]: expected ipv4, ipv6, agree, allow_private, ipv6_suffix, refresh, when_absent, name, cmd, timeout, at_start, retry, wait",
    ),
    ("ä = 1", "1:1: not TOML: invalid unquoted key, expected letters, numbers, `-`, `_`"),
    (
        "ipv4 = [\"https://me:pw@echo.example/\"]",
        "1:9: ipv4: expected an echo service's URL without credentials, query and placeholders, of at most 256 characters",
    ),
    (
        "ipv4 = [\"https://echo.example/?token=x\"]",
        "1:9: ipv4: expected an echo service's URL without credentials, query and placeholders, of at most 256 characters",
    ),
    (
        "ipv4 = [\"http://echo.example/\"]",
        "1:9: ipv4: expected https://, as whoever forges the answer chooses what is published (http:// only towards loopback and private addresses)",
    ),
    (
        "ipv6 = [\"https://1.1.1.1/cdn-cgi/trace\"]",
        "1:9: ipv6: this echo service can be asked over IPv4 only",
    ),
    (
        "ipv4 = [\"https://[2606:4700:4700::1111]/cdn-cgi/trace\"]",
        "1:9: ipv4: this echo service can be asked over IPv6 only",
    ),
    ("ipv4 = [\"https://\"]", "1:9: ipv4: the host is neither a name nor an address"),
    (
        "ipv4 = [\"ftp://echo.example/\"]",
        "1:9: ipv4: no such source; expected \"upnp\", \"natpmp\", \"pcp\", \"interface\" or an echo service's URL (\"https://...\")",
    ),
    (
        "ipv4 = [\"https://echo.example\", \"https://echo.example/\"]",
        "1:33: ipv4 = \"…\": this source is listed twice",
    ),
    // As people write it who know other programs, or have not read the example.
    ("x = 5m", "1:5: not TOML: string values must be quoted, expected literal string"),
    ("; mine\ninterval = 5", "1:3: not TOML: key with no value, expected `=`; a comment begins with #"),
    ("interval: 5", "1:11: not TOML: key with no value, expected `=`; a line is: key = value"),
    (
        "state_file = \"C:\\Users\\me\"",
        "1:19: not TOML: too few unicode value digits, expected unicode hexadecimal value; a backslash in \"...\" is written \\\\, or the text stands in '...'",
    ),
    (
        "[[urls]]\nurl = \"http://a.example\"\ninterval = 5",
        "3:1: unknown key \"interval\" in [[urls]]: it belongs to the top of the file, before the first section",
    ),
    ("api_token = \"x\"", "1:1: unknown key \"api_token\": it belongs in [cloudflare]"),
    ("ca_file = \"x\"", "1:1: unknown key \"ca_file\": it belongs in [tls]"),
    ("router = \"x\"", "1:1: unknown key \"router\": did you mean \"router_ip\"?"),
    (
        "[[runs]]\ncmd = [\"a\"]\nexec = [\"b\"]",
        "3:1: unknown key \"exec\" in [[runs]]: did you mean \"cmd\"?",
    ),
];

#[test]
fn every_mistake_is_told_with_its_place_and_remedy() {
    for (text, expected) in MISTAKES {
        let error = read(text).err().map(|error| error.to_string());
        assert_eq!(error, Some(format!("folder/c.toml:{expected}")), "{text}");
    }
}

#[test]
fn a_name_is_told_how_it_is_written() {
    const TOKEN: &str = "Zq7Xv9Kw4Jb2Hf8Gd6Np3Rt5Ym1Uc0Qz7Xv9Kw4J";
    let record =
        |line: &str| format!("[cloudflare]\napi_token = \"{TOKEN}\"\n[[cloudflare.records]]\n{line}\n");
    for (line, expected) in [
        ("name = \"https://a.example\"\ntype = \"A\"", "only the name, without https://, port and path"),
        ("name = \"a.example, b.example\"\ntype = \"A\"", "each name has quotes of its own: [\"a\", \"b\"]"),
        ("name = [\"a.example\"]\ntype = \"A\"", "a list is written names = [...]"),
        ("name = \"a.example\"\ntype = [\"A\", \"AAAA\"]", "a list is written types = [...]"),
        (
            "hostname = \"a.example\"\ntype = \"A\"",
            "unknown key \"hostname\" in [[cloudflare.records]]: did you mean \"name\"?",
        ),
    ] {
        let error = read(&record(line)).unwrap_err().to_string();
        assert!(error.contains(expected), "{line}: {error}");
    }
    let error =
        read(&record("name = \"a.example\"\ntype = \"A\"").replace(TOKEN, &format!("Bearer {TOKEN}")))
            .unwrap_err();
    assert!(error.to_string().contains("with the word Bearer, which is written without that"), "{error}");
}

#[test]
fn several_mistakes_are_told_at_once() {
    let error = read("interval = 0\n\nurl = 1\n[[runs]]\ncmd = 1\n").unwrap_err().to_string();
    assert_eq!(
        error.lines().collect::<Vec<_>>(),
        [
            "folder/c.toml:1:12: interval = 0: expected at least 1 second (0.0167 minutes)",
            "folder/c.toml:3:1: unknown key \"url\": did you mean \"urls\"?",
            "folder/c.toml:5:7: cmd = 1: expected a list: [\"...\", \"...\"]",
        ]
    );
}

#[test]
fn every_example_is_accepted_without_a_warning() {
    for name in EXAMPLES {
        let config = good(&example(name));
        assert_eq!(config.warnings, [""; 0], "{name}");
        assert!(!config.targets.is_empty(), "{name}");
    }
}

#[test]
fn the_quick_start_needs_ipv4_only_and_asks_the_router_first() {
    let config = good(&example("quickstart.toml"));
    let target = &config.targets[0];
    assert_eq!((target.required, target.allow_private, target.at_start), (IPV4, true, true));
    let sources: Vec<&Source> = target.ipv4.iter().map(|index| &config.sources[*index]).collect();
    assert_eq!(sources, [&Source::Upnp(Gateway::Any), &Source::Interface(None)]);
}

#[test]
fn files_of_1_0_keep_their_meaning() {
    let config = good(&example("1.0.toml"));
    assert_eq!(config.interval, Duration::from_secs(1800));
    let router: std::net::IpAddr = "192.168.1.1".parse().unwrap();
    let names: Vec<&str> = config.targets.iter().map(|target| &*target.name).collect();
    assert_eq!(names, ["A @", "AAAA www", "url api.yourservice.example", "run myprog"]);
    assert_eq!(config.sources[0], Source::Upnp(Gateway::At(vec![router])));
    assert!(!config.sources.iter().any(|source| matches!(source, Source::NatPmp(_))));
    let both = Needs { ipv4: true, ipv6: true, ipv6_prefix: false };
    let required: Vec<Needs> = config.targets.iter().map(|target| target.required).collect();
    assert_eq!(required, [IPV4, IPV6, both, IPV4]);
    for text in [
        "interval = 0.5",
        "interval = 0x10",
        "interval = 30\n[cloudflare]\napi_token = \"t\"\nzone_id = \"z\"\nrecords = []",
        "interval = 30\nrouter_ip = \"127.0.0.1\"\n[[runs]]\ncmd = []",
        "interval = 30\nrouter_ip = \"http://192.168.178.1:49000/igd2desc.xml\"",
        "interval = 30\n[[urls]]\nurl = \"http://a.example\"\nmethod = \"options\"",
        "interval = 30\n[[runs]]\ncmd = [\"a\", \"{ipv6}\", \"\"]",
    ] {
        good(text);
    }
}

#[test]
fn a_router_may_have_a_name_and_a_connection_of_its_own() {
    let sources = |text: &str| {
        let config = good(&format!("{text}\n[[runs]]\ncmd = [\"a\", \"{{ipv4}}\"]"));
        config.sources[0].to_string()
    };
    for (router, source) in [
        ("fritz.box", "upnp:fritz.box"),
        ("http://fritz.box:49000/igddesc.xml", "upnp:http://fritz.box:49000/igddesc.xml"),
        ("http://192.168.1.1:80/x", "upnp:http://192.168.1.1:80/x"),
        ("http://192.168.1.1:135/x", "upnp:http://192.168.1.1:135/x"),
    ] {
        assert_eq!(sources(&format!("router_ip = \"{router}\"")), source);
        assert_eq!(sources(&format!("ipv4 = [\"upnp:{router}\"]")), source);
    }
    // 1.0 took these, and sent no credentials.
    for (router, source) in [
        ("http://me:p@w@192.168.1.1:5000/x?y#z", "upnp:http://192.168.1.1:5000/x?y"),
        ("http://me@fritz.box/x", "upnp:http://fritz.box/x"),
    ] {
        assert_eq!(sources(&format!("router_ip = \"{router}\"")), source);
    }
    for source in ["upnp:#2", "upnp:192.168.1.1#WANIPConn2", "upnp:http://192.168.1.1:80/x#2"] {
        assert_eq!(sources(&format!("ipv4 = [\"{source}\"]")), source);
    }
    assert_eq!(sources("router_ip = \"192.168.1.1\"\nipv4 = [\"upnp:#2\"]"), "upnp:192.168.1.1#2");
    let problem = read("ipv4 = [\"upnp:192.168.1.1#\"]\n[[runs]]\ncmd = [\"a\"]").unwrap_err();
    assert!(problem.to_string().contains("as in \"#2\""), "{problem}");
}

#[test]
fn an_empty_file_is_a_configuration_with_nothing_to_do() {
    let config = good("");
    assert_eq!(config.interval, Duration::from_secs(300));
    assert!(config.events && config.tls.builtin_roots && config.sources.is_empty());
    assert_eq!(
        config.warnings,
        [
            "nothing to update: there is no [[cloudflare.records]], [[urls]], [[dyndns]], [[rfc2136.records]] or [[runs]] section"
        ]
    );
}

#[test]
fn router_ip_decides_what_the_default_sources_are() {
    let upnp = |gateway| Source::Upnp(gateway);
    let at = |text: &str| upnp(Gateway::At(vec![text.parse().unwrap()]));
    let description = LanUrl::parse("http://127.0.0.1:5000/d.xml").unwrap();
    for (router, source) in [
        ("", upnp(Gateway::Any)),
        ("192.0.2.1", at("192.0.2.1")),
        ("fe80::1", at("fe80::1")),
        ("fritz.box", upnp(Gateway::Named("fritz.box".to_owned(), None))),
        ("http://127.0.0.1:5000/d.xml", upnp(Gateway::Description(description))),
    ] {
        let config = good(&format!("router_ip = \"{router}\"\n[[runs]]\ncmd = [\"a\"]"));
        assert_eq!(config.sources, [source, Source::Interface(None)], "{router}");
        let Target { ipv4, ipv6, follows_gateway, .. } = &*config.targets[0];
        assert_eq!((&**ipv4, &**ipv6, *follows_gateway), (&[0][..], &[0, 1][..], true));
        let described = config.describe();
        assert!(described.contains("\n# ipv6: of the router where it has actions for it"), "{described}");
        assert_eq!(good(&described), config, "{described}");
    }
    for router in ["127.0.0.9", "::1"] {
        let config = good(&format!("router_ip = \"{router}\"\n[[runs]]\ncmd = [\"a\"]"));
        let described = config.describe();
        assert!(described.contains("\nipv4 = [\"interface\"]\nipv6 = [\"interface\"]\n"), "{described}");
        assert!(!config.targets[0].follows_gateway);
    }
}

#[test]
fn a_list_that_is_written_is_no_default_whatever_it_says() {
    let run = "[[runs]]\ncmd = [\"a\", \"{ipv6}\"]\n";
    let written = "ipv6 = [\"upnp\", \"interface\"]\n";
    for (text, follows) in [
        (run.to_owned(), true),
        (format!("ipv4 = [\"upnp\"]\n{run}"), true),
        (format!("{written}{run}"), false),
        (format!("{run}{written}"), false),
    ] {
        let config = good(&text);
        assert_eq!(config.targets[0].follows_gateway, follows, "{text}");
        assert_eq!(config.sources.len(), 2, "{text}");
        assert_eq!(good(&config.describe()), config, "{text}");
    }
    let config = good("[[runs]]\ncmd = [\"a\", \"{ipv4}\"]\nipv6 = []\n");
    assert!(!config.targets[0].follows_gateway, "the family is switched off");
}

#[test]
fn what_must_agree_has_to_be_listed() {
    let lists = "ipv4 = [\"upnp\", \"https://a.example/\"]\nagree = 2\n";
    let config = good(&format!("{lists}[[runs]]\nname = \"six\"\ncmd = [\"a\", \"{{ipv6}}\"]"));
    let [warning] = config.warnings.as_slice() else { panic!("{:?}", config.warnings) };
    assert!(
        warning.starts_with("six: its IPv6 address stays unknown: agree = 2, but by default"),
        "{warning}"
    );
    let config = good(&format!("{lists}[[runs]]\ncmd = [\"a\", \"{{ipv4}}\"]"));
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
}

#[test]
fn router_ip_takes_a_list_of_addresses() {
    let config =
        good("router_ip = [\"192.168.77.1\", \"192.168.77.3\"]\n[[runs]]\ncmd = [\"a\", \"{ipv4}\"]");
    let both = vec!["192.168.77.1".parse().unwrap(), "192.168.77.3".parse().unwrap()];
    assert_eq!(config.sources[0], Source::Upnp(Gateway::At(both.clone())));
    let described = config.describe();
    assert!(described.contains("\nipv4 = [\"upnp:192.168.77.1,192.168.77.3\"]\n"), "{described}");
    assert_eq!(good(&described).sources[0], Source::Upnp(Gateway::At(both)));
}

#[test]
fn sources_are_kept_once_and_only_when_used() {
    let config = good(
        "ipv6 = [\"interface:eth0\"]
        [[urls]]
        url = \"https://a.example/?{ipv4}\"
        [[urls]]
        url = \"https://b.example/?{ipv4}\"
        ipv4 = [\"natpmp\"]",
    );
    assert_eq!(config.sources, [Source::Upnp(Gateway::Any), Source::NatPmp(None)]);
    assert_eq!((&*config.targets[0].ipv4, &*config.targets[0].ipv6), (&[0][..], &[][..]));
    assert_eq!(*config.targets[1].ipv4, [1]);
}

#[test]
fn targets_need_what_they_mention() {
    let all = Needs { ipv4: true, ipv6: true, ipv6_prefix: true };
    let both = Needs { ipv6_prefix: false, ..all };
    let v4_and_prefix = Needs { ipv6: false, ..all };
    for (section, required, optional) in [
        ("[[urls]]\nurl = \"https://a.example/\"", NONE, both),
        ("[[urls]]\nurl = \"https://a.example/\"\nipv6 = []", NONE, IPV4),
        ("[[urls]]\nurl = \"https://a.example/{ipv6}\"", IPV6, NONE),
        ("[[urls]]\nurl = \"https://a.example/\"\nbody = \"{ipv6_prefix}\"", PREFIX, NONE),
        ("[[urls]]\nurl = \"https://a.example/\"\nheaders = { a = \"{ipv4}\" }", IPV4, NONE),
        ("[[urls]]\nurl = \"https://a.example/{ipv6}\"\nipv6_suffix = \"::1\"", PREFIX, NONE),
        ("[[urls]]\nurl = \"https://a.example/\"\nipv6_suffix = \"::1\"", NONE, v4_and_prefix),
        ("[[runs]]\ncmd = [\"a\"]", NONE, all),
        ("[[runs]]\ncmd = [\"a\", \"{ipv6}\"]", IPV6, all),
        ("[[runs]]\ncmd = [\"a\"]\nipv6 = []", NONE, IPV4),
    ] {
        let target = &good(section).targets[0];
        assert_eq!((target.required, target.optional.or(target.extra)), (required, optional), "{section}");
    }
}

#[test]
fn records_inherit_from_their_section_and_that_from_the_file() {
    let config = good(
        "ipv4 = [\"natpmp\", \"upnp\"]
        agree = 2
        [[cloudflare]]
        api_token_file = \"text\"
        refresh = 7
        ipv6_suffix = \"::7\"
        [[cloudflare.records]]
        name = \"*.WWW.Example.Org.\"
        type = \"A\"
        [[cloudflare.records]]
        name = \"@\"
        type = \"AAAA\"
        ipv6 = [\"interface\"]
        agree = 1
        refresh = 1.5
        allow_private = true
        [[cloudflare]]
        api_token_file = \"/text\"
        records = [{ name = \"@\", type = \"A\", create = false, proxied = true, ttl = 1, comment = \"c\" }]",
    );
    let [first, second, third] = &config.targets[..] else { panic!() };
    assert_eq!((&*first.name, first.group, first.entry), ("A *.www.example.org", 0, 0));
    assert_eq!(
        (first.agree, first.ipv6_suffix, first.refresh),
        (2, None, Some(Duration::from_secs(604_800)))
    );
    assert_eq!((second.required, second.agree, second.allow_private), (PREFIX, 1, true));
    assert_eq!(second.refresh, Some(Duration::from_secs(129_600)));
    assert_eq!((&*third.name, third.group, third.entry), ("A @", 1, 0));
    let UpdaterConfig::Cloudflare(account) = &config.groups[1] else { panic!() };
    assert_eq!(account.api_token.reveal(), "some-text");
    let record = &account.records[0];
    assert_eq!((record.ttl, record.proxied, record.create), (Some(1), Some(true), false));
}

#[test]
fn names_and_fingerprints_are_unique_and_duplicates_are_mentioned() {
    let config = good(&"[[runs]]\ncmd = [\"/bin/a\"]\n".repeat(3));
    let names: Vec<&str> = config.targets.iter().map(|target| &*target.name).collect();
    assert_eq!(names, ["run a", "run a (2)", "run a (3)"]);
    let [first, second, third] = &config.targets[..] else { panic!() };
    assert_eq!(*second.id, *format!("{}-2", first.id));
    assert_eq!(*third.id, *format!("{}-3", first.id));
    assert_eq!(
        config.warnings,
        ["run a (2): this target is configured 2 times", "run a (3): this target is configured 3 times"]
    );
}

#[test]
fn a_fingerprint_changes_with_what_is_sent_and_with_nothing_else() {
    let of = |text: &str| good(text).targets[0].id.clone();
    let record = |account: &str, record: &str| {
        of(&format!("[cloudflare]\n{account}\nrecords = [{{ type = \"AAAA\", {record} }}]"))
    };
    let base = record("api_token = \"t\"", "name = \"a\"");
    for (account, fields) in [
        ("api_token = \"u\"", "name = \"a\""),
        ("api_token = \"t\"\nzone_id = \"z\"", "name = \"a\""),
        ("api_token = \"t\"\napi_url = \"https://b.example\"", "name = \"a\""),
        ("api_token = \"t\"", "name = \"b\""),
        ("api_token = \"t\"", "name = \"a\", ttl = 1"),
        ("api_token = \"t\"", "name = \"a\", proxied = false"),
        ("api_token = \"t\"", "name = \"a\", comment = \"c\""),
        ("api_token = \"t\"", "name = \"a\", create = false"),
        ("api_token = \"t\"", "name = \"a\", ipv6_suffix = \"::1\""),
    ] {
        assert_ne!(record(account, fields), base, "{account} {fields}");
    }
    let same = "name = \"a\", refresh = 9, ipv6 = [\"interface\", \"upnp\"], agree = 2, create = true";
    assert_eq!(record("api_token = \"t\"", same), base);
    let run = |rest: &str| of(&format!("[[runs]]\ncmd = [\"a\"]\n{rest}"));
    assert_eq!(run("name = \"x\"\ntimeout = 9\nat_start = true"), run(""));
    assert_ne!(run("when_absent = \"empty\""), run(""));
    let url = |rest: &str| of(&format!("[[urls]]\nurl = \"https://a.example/\"\n{rest}"));
    for rest in ["method = \"put\"", "body = \"b\"", "headers = { a = \"\" }", "expect = [\"a\"]"] {
        assert_ne!(url(rest), url(""), "{rest}");
    }
}

#[test]
fn warnings_tell_what_works_but_is_hardly_wanted() {
    for (text, warning) in [
        ("[[runs]]\ncmd = []\n[[runs]]\ncmd = [\"a\"]", "a [[runs]] section with an empty cmd runs nothing"),
        (
            "[[runs]]\ncmd = [\"a\", \"{ip4}\"]",
            "run a: something in braces is almost {ipv4}, and is sent as it is",
        ),
        (
            "[[urls]]\nurl = \"http://u:p@a.example/{ipv4}\"",
            "url a.example: its credentials travel unencrypted; use https:// if the server has it",
        ),
        (
            "agree = 2\nipv4 = [\"upnp\", \"natpmp\"]\nipv6 = [\"upnp\"]\n[[runs]]\ncmd = [\"a\"]",
            "run a: its IPv6 address stays unknown: agree = 2, but 1 listed",
        ),
    ] {
        assert_eq!(good(text).warnings, [warning], "{text}");
    }
    assert!(good("[[urls]]\nurl = \"http://u:p@127.0.0.1/{ipv4}\"").warnings.is_empty());
}

#[test]
fn what_1_0_failed_on_at_run_time_stops_its_section_alone() {
    let works = "[[runs]]\ncmd = [\"works\"]\n";
    for (text, expected) in [
        ("[[urls]]\nurl = \"a.example?token=pw\"\n", "2:7: url: expected a URL: https://..."),
        ("[[urls]]\nurl = \"ftp://a.example\"\n", "2:7: url: expected https:// or http:// at its beginning"),
        ("[[urls]]\nurl = \"https://\"\n", "2:7: url: the host is neither a name nor an address"),
        ("[[runs]]\ncmd = [\"\"]\n", "2:8: cmd = \"\": expected a program"),
        (
            "[[runs]]\ncmd = [\"{ipv4}\"]\n",
            "2:8: cmd = \"{ipv4}\": the program itself cannot hold placeholders; its arguments can",
        ),
        (
            "[cloudflare]\napi_token = \"<token>\"\nrecords = [{ name = \"a\", type = \"A\" }]\n",
            "2:13: api_token: expected an API token; this is only a placeholder for one",
        ),
        (
            "[cloudflare]\napi_token = \"t\"\nzone_id = \"<zone ID>\"\nrecords = [{ name = \"a\", type = \"A\" }]\n",
            "3:11: zone_id: expected a zone id as Cloudflare's overview page of the zone shows it, or none at all",
        ),
    ] {
        let config = good(&format!("{text}{works}"));
        assert_eq!(config.left_out, [format!("folder/c.toml:{expected}")], "{text}");
        let names: Vec<&str> = config.targets.iter().map(|target| &*target.name).collect();
        assert_eq!(names, ["run works"], "{text}");
        assert_eq!(config.groups.len(), 1, "{text}");
        let alone = read(text).err().map(|error| error.to_string());
        assert_eq!(alone, Some(format!("folder/c.toml:{expected}")), "{text}");
    }
    let record = "records = [{ name = \"a..b\", type = \"A\" }, { name = \"c\", type = \"A\" }]";
    let config = good(&format!("[cloudflare]\napi_token = \"t\"\n{record}"));
    assert_eq!((config.targets.len(), config.left_out.len()), (1, 1), "{:?}", config.left_out);
    // What 1.0 refused, and what it did not know, stops the whole file.
    for wrong in [
        "[[urls]]\nurl = 5",
        "[[runs]]\ncmd = [\"a\"]\ntimeout = 0",
        "[[urls]]\nurl = \"https://a.example\"\nurk = 1",
        "[tls]\nca_file = \"missing\"",
    ] {
        assert!(read(&format!("{works}{wrong}")).is_err(), "{wrong}");
    }
}

#[test]
fn intervals_of_any_length_are_taken() {
    for (text, minutes) in [("600000", 600_000), ("999999999", 52_704_000), ("1e9", 52_704_000)] {
        let config = good(&format!("interval = {text}"));
        assert_eq!(config.interval, Duration::from_secs(minutes * 60), "{text}");
        assert_eq!(good(&config.describe()).interval, config.interval);
    }
}

#[test]
fn loopback_means_this_host_in_a_closed_network_too() {
    for address in ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"] {
        let config = good(&format!("router_ip = \"{address}\"\n[[runs]]\ncmd = [\"a\"]"));
        assert_eq!(config.sources, [Source::Interface(None)], "{address}");
        assert!(config.targets[0].allow_private, "{address}");
    }
    let config = good("router_ip = \"127.0.0.1\"\nallow_private = false\n[[runs]]\ncmd = [\"a\"]");
    assert!(!config.targets[0].allow_private);
    assert!(!good("[[runs]]\ncmd = [\"a\"]").targets[0].allow_private);
}

#[test]
fn a_program_runs_for_what_its_arguments_name() {
    let target = |cmd: &str| good(&format!("[[runs]]\ncmd = [\"a\", \"{cmd}\"]")).targets.remove(0);
    let all = Needs { ipv4: true, ipv6: true, ipv6_prefix: true };
    let named = target("{ipv4}");
    assert_eq!((named.required, named.optional, named.extra), (IPV4, NONE, all));
    assert!(!named.any_address && !named.both_families);
    let any = target("x");
    assert_eq!((any.required, any.optional, any.extra), (NONE, all, NONE));
    assert!(any.any_address);
    assert!(target("{ipv4} {ipv6}").both_families);
    let url = |url: &str| good(&format!("[[urls]]\nurl = \"https://a.example/{url}\"")).targets.remove(0);
    assert!(url("{ipv4}{ipv6}").both_families && url("").any_address && !url("{ipv6}").both_families);
}

#[test]
fn a_file_of_1_0_is_told_what_differs() {
    let differences = |text: &str| good(text).differences.len();
    assert_eq!(differences(&example("1.0.toml")), 7);
    assert_eq!(differences("interval = 5\n[[runs]]\ncmd = [\"a\"]"), 4);
    // Each with its cure, and where it applies only.
    let told = |text: &str| good(&format!("interval = 5\n{text}")).differences.join("\n");
    let url = "[[urls]]\nurl = \"http://a.example/{ipv4}\"";
    let any = ["2>&1", "at_start = true"];
    for (text, cures) in [
        (
            "[[runs]]\ncmd = [\"a\"]",
            &["retry = false", "10 minutes", "timeout", "router_ip = \"192.168.1.1\""][..],
        ),
        (
            &format!("router_ip = \"192.168.1.1\"\n{url}"),
            &["120 s", "[[runs]]", "allow_private", "when_absent"],
        ),
        (&format!("router_ip = \"127.0.0.1\"\n{url}"), &["120 s", "ipv4 = [\"interface:eth0\"]"]),
        ("[[runs]]\ncmd = [\"a\", \"{ipv6}\"]", &["retry = false", "ipv6 = [\"upnp\"]"]),
    ] {
        let told = told(text);
        for cure in any.iter().chain(cures) {
            assert!(told.contains(cure), "{text}: {cure}\n{told}");
        }
        assert_eq!(told.contains("ipv6 = "), text.contains("{ipv6}"), "{told}");
        assert_eq!(told.contains("interface:eth0"), text.contains("127.0.0.1"), "{told}");
        // A loopback address implies allow_private.
        let named = text.contains("{ip");
        assert_eq!(told.contains("allow_private"), named && !text.contains("127.0.0.1"), "{told}");
        assert_eq!(told.contains("when_absent"), named, "{told}");
        assert_eq!(told.contains("router_ip"), !text.contains("router_ip"), "{told}");
    }
    // Without interval, which 1.0 wanted, or with a key that it did not know.
    for newer in [
        "[[runs]]\ncmd = [\"a\"]",
        "interval = 5\nevents = true\n[[runs]]\ncmd = [\"a\"]",
        "interval = 5\n[[runs]]\ncmd = [\"a\"]\ntimeout = 5",
        "interval = 5\n[[dyndns]]\nprovider = \"duckdns\"\nhostname = \"a.duckdns.org\"\ntoken = \"t\"",
        "interval = 5",
    ] {
        assert_eq!(differences(newer), 0, "{newer}");
    }
}

#[test]
fn what_may_be_a_secret_in_the_wrong_place_is_not_shown() {
    let secret = "k3y-0f-4-k1nd-abcdefghijklmnopqrstuvwxyz";
    for text in [
        "interval = \"SECRET\"",
        "SECRET = 5",
        "\"SECRET\" = 5",
        "method = \"SECRET\"",
        "[[urls]]\nurl = \"https://a.example\"\nmethod = \"SECRET\"",
        "[[urls]]\nurl = \"https://a.example\"\nheaders = { \"SECRET x\" = \"\" }",
        "[[urls]]\nurl = \"https://a.example\"\nexpect = [\"SECRET x\"]",
        "[[runs]]\ncmd = \"curl https://a.example/SECRET\"",
        "[[runs]]\ncmd = \"curl -u me:SECRET\"",
        "[[dyndns]]\nprovider = \"SECRET\"",
        "[[rfc2136]]\nalgorithm = \"SECRET\"",
        "ipv4 = [\"SECRET\"]",
        "router_ip = \"http://me:SECRET@192.168.1.1.1/\"",
        "state_file = [\"SECRET\"]",
        "x = SECRET",
        "SECRET",
        "[SECRET",
        "[SECRET]",
        "api_token = \"\"\"SECRET",
    ] {
        let told = read(&text.replace("SECRET", secret)).unwrap_err().to_string();
        for piece in ["k3y", "0f-4", "k1nd", "abcdefg"] {
            assert!(!told.contains(piece), "{text}: {told}");
        }
    }
}

/// Every place that can hold a secret holds one that begins with SENTINEL.
const SECRETS: &str = r#"
router_ip = "192.168.1.1"
proxy = "http://SENTINELp:SENTINELq@proxy.example:3128"
no_proxy = ["lan", "10.0.0.0/8"]
[tls]
ca_file = "ca.pem"
client_cert = "client.pem"
client_key = "-----BEGIN PRIVATE KEY-----\nSENTINELr\n-----END PRIVATE KEY-----"
[[cloudflare]]
api_token = "SENTINELa"
records = [{ name = "a", type = "A" }, { name = "a", type = "AAAA", ipv6_suffix = "::5", refresh = 2.5, verify = 7.5 }]
[[urls]]
method = "POST"
url = "https://SENTINELb:SENTINELc@a.example:81/path/{ipv4}?k=SENTINELd&ip={ipv4}&SENTINELe#SENTINELf"
headers = { X-Key = "SENTINELg", Authorization = "SENTINELh {ipv6}" }
body = "SENTINELi {ipv4}"
expect = ["good"]
agree = 2
ipv4 = ["upnp", "natpmp"]
[[urls]]
url = "https://b.example"
when_absent = "empty"
ipv6 = []
[[rfc2136]]
server = "ns1.example:5353"
zone = "home.example"
key = "k"
algorithm = "HMAC-SHA512."
secret = "SENTINELlmno"
transport = "udp"
records = [{ name = "a", type = "A" }, { name = "a", type = "AAAA", ipv6_suffix = "::5" }]
[[runs]]
cmd = ["curl", "https://SENTINELj@a.example/?k=SENTINELk", "say \"{ipv4}\"\t\\\u0001"]
timeout = 5
ipv6 = []
at_start = true
allow_private = true
"#;

#[test]
fn secrets_are_never_shown() {
    let config = good(SECRETS);
    assert!(!config.describe().contains("SENTINEL"), "{}", config.describe());
    let mut shown = config.clone();
    // Arguments of programs are for every user of the machine to see.
    shown.groups.retain(|group| !matches!(group, UpdaterConfig::Run(_)));
    assert!(!format!("{shown:?}").contains("SENTINEL"), "{shown:?}");
    assert!(!config.warnings.join("").contains("SENTINEL"), "{:?}", config.warnings);
}

#[test]
fn secrets_are_never_shown_however_the_file_is_damaged() {
    for index in (0..SECRETS.len()).filter(|index| SECRETS.is_char_boundary(*index)) {
        for damage in ["", "\"", "\n", "[", "é"] {
            let (before, behind) = SECRETS.split_at(index);
            for rest in [behind, behind.get(1..).unwrap_or_default()] {
                let text = format!("{before}{damage}{rest}");
                let told = match read(&text) {
                    Ok(config) => config.warnings.join("\n"),
                    Err(error) => error.to_string(),
                };
                assert!(!told.contains("SENTINEL"), "{index} {damage:?}: {told}");
            }
        }
    }
}

#[test]
fn every_source_is_described_as_it_is_read() {
    let ipv4 = "ipv4 = [\"upnp\", \"natpmp:192.168.1.1\", \"pcp\", \"pcp:192.168.1.1\", \"interface:eth0\", \
                \"https://1.1.1.1/cdn-cgi/trace\", \"http://192.168.1.2:8080/ip\"]\n";
    let ipv6 = "ipv6 = [\"interface\", \"https://echo.example/\", \"http://[fd00::1]/\"]\n";
    let config = good(&format!("{ipv4}{ipv6}[[runs]]\ncmd = [\"x\", \"{{ipv4}}\", \"{{ipv6}}\"]\n"));
    let described = config.describe();
    assert!(described.contains(ipv6) && described.contains("\"https://1.1.1.1/<hidden>\""), "{described}");
    assert_eq!(good(&put_back(&described, &["cdn-cgi/trace", "ip"])).sources, config.sources);
}

/// Their paths are nobody's business, also when a server repeats them; their names, by
/// which state and metrics know them, are no less different.
#[test]
fn services_at_one_host_have_names_of_their_own() {
    let lists = "ipv4 = [\"https://echo.example/four/hushhush\"]\nipv6 = [\"https://echo.example/six\"]\n";
    let config = good(&format!("{lists}[[runs]]\ncmd = [\"x\", \"{{ipv4}}\", \"{{ipv6}}\"]\n"));
    let names = ["https://echo.example/<hidden>", "https://echo.example/<hidden> (2)"];
    assert_eq!([0, 1].map(|index| config.source_name(index)), names);
    let engine = Engine::new(&config, State::default(), 1);
    let status = engine.status(Now::new(Duration::ZERO, 0));
    assert_eq!(status.sources.iter().map(|source| &*source.name).collect::<Vec<_>>(), names);
    assert_eq!(said("no hushhush", &config.secrets, []), "\"no …\"");
}

/// The description with the hidden values put back, in their order.
fn put_back(described: &str, hidden: &[&str]) -> String {
    let mut pieces = described.split("<hidden>");
    let first = pieces.next().unwrap_or_default().to_owned();
    assert_eq!(described.matches("<hidden>").count(), hidden.len(), "{described}");
    pieces.zip(hidden).fold(first, |text, (piece, hidden)| text + hidden + piece)
}

#[test]
fn a_description_reads_as_the_same_configuration() {
    let config = good(SECRETS);
    let hidden = [
        "SENTINELp:SENTINELq",
        "-----BEGIN PRIVATE KEY-----\\nSENTINELr\\n-----END PRIVATE KEY-----",
        "SENTINELa",
        "SENTINELb:SENTINELc",
        "path/",
        "?k=SENTINELd&ip=",
        "&SENTINELe",
        "SENTINELg",
        "SENTINELh {ipv6}",
        "SENTINELi {ipv4}",
        "SENTINELlmno",
        "SENTINELj",
        "?k=SENTINELk",
    ];
    let text = put_back(&config.describe(), &hidden);
    // Its paths are complete: it is not to be found in the folder again.
    let again = parse(&text, Path::new("c.toml"), &file).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(again, config, "{text}");
    for name in EXAMPLES {
        let described = good(&example(name)).describe();
        toml::de::DeTable::parse(&described).unwrap_or_else(|error| panic!("{error}\n{described}"));
    }
}

#[test]
fn no_text_makes_it_panic_or_slow() {
    let full = example("full.toml");
    let lines: Vec<&str> = full.split_inclusive('\n').collect();
    for end in 0..lines.len() {
        let _ = read(&lines[..end].concat());
    }
    // What stands before a section does not change how it is read.
    for section in lines.chunk_by(|_, line| !line.starts_with('[')).map(<[&str]>::concat) {
        for end in 0..section.len() {
            let _ = read(section.get(..end).unwrap_or_default());
        }
    }
    // Numbers of a linear congruential generator choose what to exchange.
    let (mut state, words): (u32, Vec<&str>) =
        (1, full.split_inclusive([' ', '\n', '"', '[', ']']).collect());
    let mut next = |below: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        usize::try_from(state >> 8).unwrap() % below
    };
    for _ in 0..2000 {
        let mut mixed = words.clone();
        for _ in 0..4 {
            let (to, from) = (next(words.len()), next(words.len()));
            mixed[to] = words[from];
        }
        let _ = read(&mixed.concat());
    }
    for text in ["[".repeat(100_000), "a.".repeat(50_000), "x = {".repeat(50_000), "a = 1\n".repeat(50_000)] {
        assert!(read(&text).is_err());
    }
    let keys: Vec<String> = (0..50_000_u32).map(|n| format!("urlz{n} = 1\n")).collect();
    assert!(read(&keys.concat()).unwrap_err().to_string().ends_with("and 49990 more"));
}

#[test]
fn there_are_limits_to_what_one_file_holds() {
    let many = "[[runs]]\ncmd = [\"a\"]\n".repeat(10_001);
    let error = read(&many).unwrap_err().to_string();
    assert!(error.ends_with("[[runs]]: expected at most 10000 records, urls and runs"), "{error}");
    let sources: Vec<String> = (0..65)
        .map(|n| format!("[[runs]]\ncmd = [\"a\"]\nipv4 = [\"interface:e{n}\"]\nipv6 = []\n"))
        .collect();
    let error = read(&sources.concat()).unwrap_err().to_string();
    assert!(error.ends_with("[[runs]]: expected at most 64 different sources in all"), "{error}");
}

/// An `[[rfc2136]]` section with one record.
fn name_server(keys: &str) -> String {
    format!("[[rfc2136]]\n{keys}\nrecords = [{{ name = \"a.home.example\", type = \"A\" }}]")
}

fn zone_of(config: &Config) -> &ddns_update_daemon::config::Rfc2136 {
    match &config.groups[0] {
        UpdaterConfig::Rfc2136(zone) => zone,
        other => panic!("{other:?}"),
    }
}

#[test]
fn records_of_a_name_server_get_full_names() {
    let config = good(
        r#"
        [[rfc2136]]
        server = "127.0.0.1:5353"
        zone = "Home.Example."
        ipv6_suffix = "::5"
        records = [{ name = "@", type = "A" }, { name = "nas", type = "AAAA" }, { name = "a.home.example", type = "A" },
                   { name = "*", type = "A" }, { name = "köln.b.home.example.", type = "A" }, { name = "*.köln", type = "A" },
                   { name = "_x", type = "A" }, { name = "home", type = "A" }]
        "#,
    );
    let names: Vec<String> = zone_of(&config).records.iter().map(|record| record.name.to_string()).collect();
    let expected = [
        "home.example",
        "nas.home.example",
        "a.home.example",
        "*.home.example",
        "xn--kln-sna.b.home.example",
        "*.xn--kln-sna.home.example",
        "_x.home.example",
        "home.home.example",
    ];
    assert_eq!(names, expected);
    assert_eq!(&*config.targets[1].name, "AAAA nas.home.example");
    assert_eq!((config.targets[0].required, config.targets[1].required), (IPV4, PREFIX));
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
}

#[test]
fn keys_of_a_name_server_come_from_the_file_or_beside_it() {
    for (keys, name, algorithm) in [
        ("key = \"k\"\nsecret = \"QUJD\"", "k", "hmac-sha256"),
        ("key = \"k.\"\nalgorithm = \"hmac-sha512\"\nsecret_file = \"b64\"", "k", "hmac-sha512"),
        ("key = \"one\"\nkey_file = \"bind.key\"", "one", "hmac-sha384"),
    ] {
        let text = name_server(keys);
        let files = |path: &Path| match path.to_str() {
            Some("folder/b64") => Ok("QUJD\n".to_owned()),
            _ => file(path),
        };
        let config = parse(&text, Path::new("folder/c.toml"), &files).unwrap();
        let key = zone_of(&config).key.clone().unwrap();
        assert_eq!(
            (key.name.to_string().as_str(), key.algorithm.name(), key.reveal()),
            (name, algorithm, &b"ABC"[..])
        );
        assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    }
    let fingerprint = |keys: &str| good(&name_server(keys)).targets[0].id.clone();
    let first = fingerprint("key = \"k\"\nsecret = \"QUJD\"");
    assert_ne!(first, fingerprint("key = \"k\"\nsecret = \"QUJE\""));
    assert_ne!(first, fingerprint("key = \"k\"\nsecret = \"QUJD\"\nalgorithm = \"hmac-sha384\""));
    assert_ne!(first, fingerprint("key = \"k\"\nsecret = \"QUJD\"\nserver = \"192.0.2.1\""));
}

#[test]
fn updates_without_a_key_are_warned_of() {
    let config = good(&name_server("server = \"192.0.2.53\"\nzone = \"home.example\""));
    assert!(
        config.warnings[0].contains("for the zone home.example has no key, which is unsafe"),
        "{:?}",
        config.warnings
    );
    assert!(good(&name_server("server = \"[::1]:5353\"")).warnings.is_empty());
}

#[test]
fn mistakes_with_name_servers_are_explained() {
    for (keys, problem) in [
        (
            "server = \"192.0.2.53/24\"",
            "2:10: server = \"192.0.2.53/24\": expected a name server's address or name",
        ),
        ("server = \"0.0.0.0\"", "2:10: server = \"0.0.0.0\": expected a name server's address"),
        ("zone = \"@\"", "2:8: zone = \"@\": expected a zone's full name"),
        ("key = \"k\"", "1:1: [[rfc2136]]: secret or secret_file is missing"),
        ("secret = \"QUJD\"", "1:1: [[rfc2136]]: key is missing"),
        (
            "key = \"k\"\nsecret = \"QUJ\u{e4}\"",
            "3:10: secret: expected a secret in base64, as tsig-keygen writes it",
        ),
        (
            "key = \"k\"\nsecret = \"...\"",
            "3:10: secret: expected a secret in base64; this is only a placeholder",
        ),
        ("key = \"k k\"\nsecret = \"QUJD\"", "2:7: key: a domain name holds no blanks"),
        (
            "key = \"k\"\nsecret = \"QUJD\"\nalgorithm = \"hmac-md5\"",
            "4:13: algorithm = \"hmac-md5\": expected an algorithm that is safe today: hmac-sha256, hmac-sha384, hmac-sha512",
        ),
        ("key_file = \"bind.key\"", "2:12: key_file: several keys are in this file: say which one by key"),
        ("key = \"x\"\nkey_file = \"bind.key\"", "3:12: key_file: no key in this file has the name"),
        (
            "key = \"two\"\nkey_file = \"bind.key\"",
            "3:12: key_file: expected an algorithm that is safe today",
        ),
        ("key_file = \"text\"", "2:12: key_file: this is no key file of BIND: expected a key statement"),
        (
            "key_file = \"bind.key\"\nsecret = \"QUJD\"",
            "3:1: \"secret\": key_file holds it too; keep one of the two",
        ),
        ("transport = \"udp\"", "2:13: transport = \"udp\": UDP needs a key"),
        ("ttl = 1000000", "2:7: ttl = 1000000: expected 0 to 604800 seconds"),
        ("when_absent = \"empty\"", "2:15: when_absent = \"empty\": a DNS record cannot be empty"),
        ("sever = \"a\"", "2:1: unknown key \"sever\" in [[rfc2136]]: did you mean \"server\"?"),
    ] {
        let error = read(&name_server(keys)).unwrap_err().to_string();
        assert!(
            error.lines().any(|line| line.starts_with(&format!("folder/c.toml:{problem}"))),
            "{keys}\n{error}"
        );
    }
    let record = |record: &str| {
        read(&format!("[[rfc2136]]\nserver = \"::1\"\nrecords = [{record}]")).unwrap_err().to_string()
    };
    assert!(record("{ name = \"nas\", type = \"A\" }").contains("expected a full name"));
    assert!(record("{ name = \"a.b\", type = \"a\" }").contains("in capitals"));
    for (name, advice) in [
        ("nas.lan", "nas.lan.home.example"),
        ("home.example.org", "home.example.org.home.example"),
        ("nashome.example", "nashome.example.home.example"),
        ("nas.", "nas.home.example"),
        ("*.a.b", "*.a.b.home.example"),
    ] {
        let text = format!(
            "[[rfc2136]]\nserver = \"::1\"\nzone = \"home.example\"\nrecords = [{{ name = \"{name}\", type = \"A\" }}]"
        );
        let error = read(&text).unwrap_err().to_string();
        let expected = format!(
            "name = \"{name}\": this name is not inside the zone home.example; for one that is, write it in full: \"{advice}\""
        );
        assert!(error.contains(&expected), "{error}");
    }
    let twice = "{ name = \"a.b\", type = \"A\" }, { name = \"A.b.\", type = \"A\" }";
    assert!(record(twice).contains("stand in this section already"), "{}", record(twice));
}

#[test]
fn a_program_waits_unless_it_stands_first_or_says_so() {
    let run = "[[runs]]\ncmd = [\"true\"]\n";
    let url = "[[urls]]\nurl = \"http://127.0.0.1/?{ipv4}\"\n";
    let hasty = format!("{run}wait = false\n");
    let patient = format!("{run}wait = true\n");
    for (text, expected) in [
        (format!("{run}{url}{run}"), vec![false, true]),
        (format!("{url}{run}{run}"), vec![true, true]),
        (format!("{url}{run}{hasty}"), vec![true, false]),
        (format!("{patient}{url}"), vec![true]),
        (format!("{run}{run}"), vec![true, true]),
    ] {
        let config = good(&text);
        let waits: Vec<bool> = config
            .groups
            .iter()
            .filter_map(|group| match group {
                UpdaterConfig::Run(run) => Some(run.wait),
                _ => None,
            })
            .collect();
        assert_eq!(waits, expected, "{text}");
    }
    let UpdaterConfig::Run(run) = &good(run).groups[0] else { panic!("no program") };
    assert_eq!((run.timeout, run.retry), (Duration::from_secs(600), true));
}
