//! What is configured in a seed, and where each target's record is.

use std::path::Path;

use ddns_update_daemon::config::placeholders::Needs;
use ddns_update_daemon::config::{self, Config, UpdaterConfig};

use crate::chance::Chance;
use crate::host::suffix;

/// One target.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Its name in the log.
    pub(crate) name: String,
    /// The name of its record.
    pub(crate) record: String,
    /// Index into [`Config::targets`].
    pub(crate) target: usize,
    /// Its provider's host.
    pub(crate) host: String,
    /// The families that it names.
    pub(crate) names: Needs,
    /// What it may be sent: programs are given all that is known.
    pub(crate) given: Needs,
    /// It is sent all of them or nothing.
    pub(crate) all_or_nothing: bool,
    /// It holds the address of another host.
    pub(crate) has_suffix: bool,
    /// One that is absent is sent as an empty text.
    pub(crate) empties: bool,
    /// The line whose address it is to hold; `None`: that of any that is up.
    pub(crate) line: Option<usize>,
}

pub(crate) struct Plan {
    pub(crate) config: Config,
    /// The house has a second line.
    pub(crate) has_two_lines: bool,
    pub(crate) ipv6: Ipv6,
    pub(crate) entries: Vec<Entry>,
    /// Host and secret of each provider.
    pub(crate) providers: Vec<(String, String)>,
}

/// What a configuration is made of.
pub(crate) struct Sketch {
    interval: &'static str,
    ipv6: Ipv6,
    has_two_lines: bool,
    sections: Vec<Section>,
}

/// Who speaks for IPv6.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Ipv6 {
    Off,
    /// Nothing is written: the gateway if it can, else this host.
    Default,
    Interface,
    Upnp,
    /// The gateway, then this host.
    List,
}

/// Which families a section names.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Names {
    Ipv4,
    Ipv6,
    Both,
    Prefix,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Url,
    Dyndns,
    Cloudflare,
    Rfc2136,
    Run,
}

#[expect(clippy::struct_excessive_bools, reason = "independent facts")]
struct Section {
    kind: Kind,
    host: String,
    key: String,
    /// The names of its records.
    records: Vec<String>,
    names: Names,
    has_suffix: bool,
    empties: bool,
    expect: bool,
    refresh: Option<u32>,
    /// In hours.
    verify: Option<u32>,
    retry: bool,
    wait: bool,
    at_start: bool,
    line: Option<usize>,
}

impl Sketch {
    pub(crate) fn new(chance: &mut Chance) -> Self {
        let kinds = [Kind::Url, Kind::Url, Kind::Dyndns, Kind::Cloudflare, Kind::Rfc2136, Kind::Run];
        let modes = [Ipv6::Off, Ipv6::Default, Ipv6::Default, Ipv6::Interface, Ipv6::Upnp, Ipv6::List];
        let drawn = chance.below(modes.len() * 8);
        let ipv6 = modes[drawn % modes.len()];
        // Over both, IPv4 alone.
        let has_two_lines = drawn == 0;
        let mut sections = Vec::new();
        for index in 0..=chance.below(4) {
            let kind = chance.pick(&kinds);
            let several = matches!(kind, Kind::Cloudflare | Kind::Rfc2136 | Kind::Dyndns);
            let count = if several { 1 + chance.below(3) } else { 1 };
            let names = match chance.below(8) {
                _ if ipv6 == Ipv6::Off => Names::Ipv4,
                0..=2 => Names::Ipv4,
                3 | 4 => Names::Ipv6,
                5 if matches!(kind, Kind::Url | Kind::Run) => Names::Prefix,
                _ => Names::Both,
            };
            let in_texts = matches!(kind, Kind::Url | Kind::Run);
            sections.push(Section {
                kind,
                host: if kind == Kind::Rfc2136 {
                    format!("192.0.2.{}", 50 + index)
                } else {
                    format!("p{index}.example")
                },
                key: secret(chance),
                records: (0..count).map(|number| format!("n{number}s{index}.example.org")).collect(),
                names,
                has_suffix: names != Names::Ipv4 && names != Names::Prefix && chance.one_in(3),
                empties: in_texts && chance.one_in(4),
                expect: chance.one_in(2),
                verify: (kind == Kind::Cloudflare && chance.one_in(2)).then(|| 1 + chance.below(12) as u32),
                retry: !chance.one_in(3),
                wait: !chance.one_in(3),
                at_start: chance.one_in(3),
                line: if has_two_lines { chance.pick(&[None, Some(0), Some(1)]) } else { None },
                refresh: (kind != Kind::Run && chance.one_in(3)).then(|| 1 + chance.below(9) as u32),
            });
        }
        Self { interval: chance.pick(&["1", "5", "5", "5", "10"]), ipv6, has_two_lines, sections }
    }

    /// A person writes other words into a section: its targets are others now.
    pub(crate) fn edit(&mut self, chance: &mut Chance) -> usize {
        let at = chance.below(self.sections.len());
        self.sections[at].key = secret(chance);
        at
    }

    /// The names of a section's records.
    pub(crate) fn records(&self, section: usize) -> &[String] {
        &self.sections[section].records
    }

    fn text(&self) -> String {
        let mut text =
            format!("interval = {}\nrouter_ip = \"192.168.1.1\"\nipv4 = [\"upnp\"]\n", self.interval);
        text += match self.ipv6 {
            Ipv6::Off => "ipv6 = []\n",
            Ipv6::Default => "",
            Ipv6::Interface => "ipv6 = [\"interface\"]\n",
            Ipv6::Upnp => "ipv6 = [\"upnp\"]\n",
            Ipv6::List => "ipv6 = [\"upnp\", \"interface\"]\n",
        };
        for section in &self.sections {
            section.write(&mut text);
        }
        text
    }

    pub(crate) fn plan(&self) -> Plan {
        let text = self.text();
        let config = config::parse(&text, Path::new("/sim.toml"), &|_| Err("no files here".to_owned()));
        let config = config.unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert!(config.left_out.is_empty(), "{:?}\n{text}", config.left_out);
        let entries = config.targets.iter().enumerate().map(|(target, known)| {
            let (record, aaaa) = match &config.groups[known.group] {
                UpdaterConfig::Cloudflare(group) => {
                    let record = &group.records[known.entry];
                    (record.name.clone(), Some(record.aaaa))
                }
                UpdaterConfig::Dyndns(group) => (group.hostnames[known.entry].to_string(), None),
                UpdaterConfig::Rfc2136(group) => {
                    let record = &group.records[known.entry];
                    (record.name.to_string(), Some(record.aaaa))
                }
                UpdaterConfig::Url(_) | UpdaterConfig::Run(_) => (known.name.to_string(), None),
            };
            let section = self.sections.iter().find(|section| section.records.contains(&record));
            let section = section.expect("a section of this name");
            let names = match (aaaa, section.names) {
                (Some(aaaa), _) => Needs { ipv4: !aaaa, ipv6: aaaa, ipv6_prefix: false },
                (None, Names::Ipv4) => Needs { ipv4: true, ..Needs::default() },
                (None, Names::Ipv6) => Needs { ipv6: true, ..Needs::default() },
                (None, Names::Both) => Needs { ipv4: true, ipv6: true, ipv6_prefix: false },
                (None, Names::Prefix) => Needs { ipv6_prefix: true, ..Needs::default() },
            };
            Entry {
                name: known.name.to_string(),
                record,
                target,
                host: section.host.clone(),
                names,
                given: Needs { ipv6_prefix: section.has_suffix, ..Needs::default() }
                    .or(names)
                    .or(known.extra),
                all_or_nothing: matches!(section.kind, Kind::Url | Kind::Run),
                has_suffix: section.has_suffix,
                empties: section.empties,
                line: section.line,
            }
        });
        let entries = entries.collect();
        let providers =
            self.sections.iter().map(|section| (section.host.clone(), section.key.clone())).collect();
        Plan { config, has_two_lines: self.has_two_lines, ipv6: self.ipv6, entries, providers }
    }
}

impl Section {
    fn write(&self, text: &mut String) {
        let Self { host, key, records, .. } = self;
        let name = &records[0];
        let parameters = match self.names {
            Names::Ipv4 => "ip={ipv4}",
            Names::Ipv6 => "ip6={ipv6}",
            Names::Both => "ip={ipv4}&ip6={ipv6}",
            Names::Prefix => "prefix={ipv6_prefix}",
        };
        let families: &[&str] = match self.names {
            Names::Ipv4 => &["A"],
            Names::Ipv6 | Names::Prefix => &["AAAA"],
            Names::Both => &["A", "AAAA"],
        };
        let zoned = match self.kind {
            Kind::Url => {
                *text += &format!("[[urls]]\nname = \"{name}\"\n");
                *text += &format!("url = \"https://{host}/update?host={name}&key={key}&{parameters}\"\n");
                if self.expect {
                    *text += "expect = [\"good\", \"nochg\"]\n";
                }
                None
            }
            Kind::Dyndns => {
                *text +=
                    &format!("[[dyndns]]\nurl = \"https://{host}/nic/update\"\nhostnames = {records:?}\n");
                *text += &format!("username = \"someone\"\npassword = \"{key}\"\n");
                match self.names {
                    Names::Ipv4 => *text += "ipv6 = []\n",
                    Names::Ipv6 | Names::Prefix => *text += "ipv4 = []\n",
                    Names::Both => {}
                }
                None
            }
            Kind::Cloudflare => {
                *text += &format!(
                    "[[cloudflare]]\napi_token = \"{key}\"\napi_url = \"https://{host}/client/v4\"\n"
                );
                Some(("cloudflare", "zone_id = \"0123456789abcdef0123456789abcdef\"\n"))
            }
            Kind::Rfc2136 => {
                *text += &format!("[[rfc2136]]\nserver = \"{host}\"\nkey = \"k\"\nsecret = \"{key}\"\n");
                Some(("rfc2136", "zone = \"example.org\"\n"))
            }
            Kind::Run => {
                *text += &format!("[[runs]]\nname = \"{name}\"\n");
                *text += &format!("cmd = [\"{host}\", \"{name}\", \"{parameters}\", \"{key}\"]\n");
                None
            }
        };
        if let Some(days) = self.refresh {
            *text += &format!("refresh = {days}\n");
        }
        if let Some(hours) = self.verify {
            *text += &format!("verify = {hours}\n");
        }
        if self.kind == Kind::Run {
            *text += &format!("retry = {}\nwait = {}\nat_start = {}\n", self.retry, self.wait, self.at_start);
        }
        if self.has_suffix {
            *text += &format!("ipv6_suffix = \"{}\"\n", suffix());
        }
        if self.empties {
            *text += "when_absent = \"empty\"\n";
        }
        let source = self.line.map(|line| format!("ipv4 = [\"upnp:#{}\"]\n", line + 1)).unwrap_or_default();
        let Some((word, zone)) = zoned else { return *text += &source };
        if self.expect {
            *text += zone;
        }
        for (record, kind) in
            records.iter().flat_map(|record| families.iter().map(move |kind| (record, kind)))
        {
            *text += &format!("[[{word}.records]]\nname = \"{record}\"\ntype = \"{kind}\"\n{source}");
        }
    }
}

/// A secret that every kind of section takes.
fn secret(chance: &mut Chance) -> String {
    let word = |chance: &mut Chance| format!("{:016x}", chance.number());
    let text = word(chance) + &word(chance) + &word(chance);
    text[..44].to_owned()
}
