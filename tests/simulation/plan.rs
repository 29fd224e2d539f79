//! What is configured in a seed, and where each target's record is.

use std::path::Path;

use ddns_update_daemon::config::{self, Config, UpdaterConfig};

use crate::chance::Chance;

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
}

pub(crate) struct Plan {
    pub(crate) config: Config,
    pub(crate) entries: Vec<Entry>,
    /// Host and secret of each provider.
    pub(crate) providers: Vec<(String, String)>,
}

/// What a configuration is made of.
pub(crate) struct Sketch {
    interval: &'static str,
    sections: Vec<Section>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Url,
    Dyndns,
    Cloudflare,
    Rfc2136,
    Run,
}

struct Section {
    kind: Kind,
    host: String,
    key: String,
    /// The names of its records.
    records: Vec<String>,
    expect: bool,
    refresh: Option<u32>,
}

impl Sketch {
    pub(crate) fn new(chance: &mut Chance) -> Self {
        let kinds = [Kind::Url, Kind::Url, Kind::Dyndns, Kind::Cloudflare, Kind::Rfc2136, Kind::Run];
        let mut sections = Vec::new();
        for index in 0..=chance.below(4) {
            let kind = chance.pick(&kinds);
            let several = matches!(kind, Kind::Cloudflare | Kind::Rfc2136 | Kind::Dyndns);
            let count = if several { 1 + chance.below(3) } else { 1 };
            sections.push(Section {
                kind,
                host: if kind == Kind::Rfc2136 {
                    format!("192.0.2.{}", 50 + index)
                } else {
                    format!("p{index}.example")
                },
                key: secret(chance),
                records: (0..count).map(|number| format!("n{number}s{index}.example.org")).collect(),
                expect: chance.one_in(2),
                refresh: (kind != Kind::Run && chance.one_in(3)).then(|| 1 + chance.below(9) as u32),
            });
        }
        Self { interval: chance.pick(&["1", "5", "5", "5", "10"]), sections }
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
        let mut text = format!(
            "interval = {}\nrouter_ip = \"192.168.1.1\"\nipv4 = [\"upnp\"]\nipv6 = []\n",
            self.interval
        );
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
            let record = match &config.groups[known.group] {
                UpdaterConfig::Cloudflare(group) => group.records[known.entry].name.clone(),
                UpdaterConfig::Dyndns(group) => group.hostnames[known.entry].clone(),
                UpdaterConfig::Rfc2136(group) => group.records[known.entry].name.to_string(),
                UpdaterConfig::Url(_) | UpdaterConfig::Run(_) => known.name.clone(),
            };
            let section = self.sections.iter().find(|section| section.records.contains(&record));
            let host = section.expect("a section of this name").host.clone();
            Entry { name: known.name.clone(), record, target, host }
        });
        let entries = entries.collect();
        let providers =
            self.sections.iter().map(|section| (section.host.clone(), section.key.clone())).collect();
        Plan { config, entries, providers }
    }
}

impl Section {
    fn write(&self, text: &mut String) {
        let Self { host, key, records, .. } = self;
        let name = &records[0];
        match self.kind {
            Kind::Url => {
                *text += &format!("[[urls]]\nname = \"{name}\"\n");
                *text += &format!("url = \"https://{host}/update?host={name}&key={key}&ip={{ipv4}}\"\n");
                if self.expect {
                    *text += "expect = [\"good\", \"nochg\"]\n";
                }
            }
            Kind::Dyndns => {
                *text +=
                    &format!("[[dyndns]]\nurl = \"https://{host}/nic/update\"\nhostnames = {records:?}\n");
                *text += &format!("username = \"someone\"\npassword = \"{key}\"\n");
            }
            Kind::Cloudflare => {
                *text += &format!(
                    "[[cloudflare]]\napi_token = \"{key}\"\napi_url = \"https://{host}/client/v4\"\n"
                );
                if self.expect {
                    *text += "zone_id = \"0123456789abcdef0123456789abcdef\"\n";
                }
                if let Some(days) = self.refresh {
                    *text += &format!("refresh = {days}\n");
                }
                for record in records {
                    *text += &format!("[[cloudflare.records]]\nname = \"{record}\"\ntype = \"A\"\n");
                }
                return;
            }
            Kind::Rfc2136 => {
                *text += &format!("[[rfc2136]]\nserver = \"{host}\"\nkey = \"k\"\nsecret = \"{key}\"\n");
                if self.expect {
                    *text += "zone = \"example.org\"\n";
                }
                if let Some(days) = self.refresh {
                    *text += &format!("refresh = {days}\n");
                }
                for record in records {
                    *text += &format!("[[rfc2136.records]]\nname = \"{record}\"\ntype = \"A\"\n");
                }
                return;
            }
            Kind::Run => {
                *text += &format!("[[runs]]\nname = \"{name}\"\n");
                *text += &format!("cmd = [\"{host}\", \"{name}\", \"{{ipv4}}\", \"{key}\"]\n");
            }
        }
        if let Some(days) = self.refresh {
            *text += &format!("refresh = {days}\n");
        }
    }
}

/// A secret that every kind of section takes.
fn secret(chance: &mut Chance) -> String {
    let word = |chance: &mut Chance| format!("{:016x}", chance.number());
    let text = word(chance) + &word(chance) + &word(chance);
    text[..44].to_owned()
}
