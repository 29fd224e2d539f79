//! What is configured in a seed, and where each target's record is.

use std::path::Path;

use ddns_update_daemon::config::{self, Config};

use crate::chance::Chance;

/// One target.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Its name in the log, and of its record.
    pub(crate) name: String,
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
    urls: Vec<Section>,
}

struct Section {
    name: String,
    host: String,
    key: String,
    expect: bool,
    refresh: Option<u32>,
}

impl Sketch {
    pub(crate) fn new(chance: &mut Chance) -> Self {
        let urls = (0..=chance.below(3)).map(|index| Section {
            name: format!("u{index}.example.org"),
            host: format!("u{}.example", chance.below(2)),
            key: secret(chance),
            expect: chance.one_in(2),
            refresh: chance.one_in(3).then(|| 1 + u32::try_from(chance.below(9)).unwrap()),
        });
        let urls = urls.collect();
        Self { interval: chance.pick(&["1", "5", "5", "5", "10"]), urls }
    }

    /// A person writes other words into a section: it is another target now.
    pub(crate) fn edit(&mut self, chance: &mut Chance) -> String {
        let at = chance.below(self.urls.len());
        let section = &mut self.urls[at];
        section.key = secret(chance);
        section.name.clone()
    }

    pub(crate) fn plan(&self) -> Plan {
        let mut text = format!(
            "interval = {}\nrouter_ip = \"192.168.1.1\"\nipv4 = [\"upnp\"]\nipv6 = []\n",
            self.interval
        );
        for Section { name, host, key, expect, refresh } in &self.urls {
            text += &format!("[[urls]]\nname = \"{name}\"\n");
            text += &format!("url = \"https://{host}/update?host={name}&key={key}&ip={{ipv4}}\"\n");
            if *expect {
                text += "expect = [\"good\", \"nochg\"]\n";
            }
            if let Some(days) = refresh {
                text += &format!("refresh = {days}\n");
            }
        }
        let config = config::parse(&text, Path::new("/sim.toml"), &|_| Err("no files here".to_owned()));
        let config = config.unwrap_or_else(|error| panic!("{error}\n{text}"));
        let find = |name: &str| config.targets.iter().position(|target| target.name == name);
        let entry = |section: &Section| Entry {
            name: section.name.clone(),
            target: find(&section.name).expect("a target of this name"),
            host: section.host.clone(),
        };
        let entries = self.urls.iter().map(entry).collect();
        let providers = self.urls.iter().map(|section| (section.host.clone(), section.key.clone())).collect();
        Plan { config, entries, providers }
    }
}

fn secret(chance: &mut Chance) -> String {
    format!("s3cret{:016x}", chance.number())
}
