//! Which sources are asked, by default and as listed.

use super::*;

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
