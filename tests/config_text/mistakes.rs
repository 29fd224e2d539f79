//! What is said of mistakes, where, and how they are mended.

use super::read;

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
