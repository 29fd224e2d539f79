//! The text format of Prometheus (version 0.0.4), and its conventions for names: base
//! units, `_total`, `_timestamp_seconds`, `_info`; pure.

use std::fmt::{Display, Write as _};

use crate::engine::status::{Held, Source, Status, Target, Time};

/// A metric of every source or target: name, kind, help, value.
type Row<T> = (&'static str, &'static str, &'static str, fn(&T) -> Option<u64>);

const SOURCES: [Row<Source>; 4] = [
    ("source_polls_total", "counter", "Polls of the source since the start.", |source| Some(source.polls)),
    ("source_poll_failures_total", "counter", "Polls that found nothing of use.", |source| {
        Some(source.poll_failures)
    }),
    ("source_last_poll_timestamp_seconds", "gauge", "When the source was asked last.", |source| {
        seconds(source.asked)
    }),
    ("source_last_event_timestamp_seconds", "gauge", "When a change was announced last.", |source| {
        seconds(source.last_event)
    }),
];

const TARGETS: [Row<Target>; 9] = [
    ("target_up_to_date", "gauge", "Whether the target holds what it should.", |target| {
        Some(u64::from(target.state == "ok"))
    }),
    ("target_blocked", "gauge", "Whether a person has to mend something.", |target| {
        Some(u64::from(target.state == "blocked"))
    }),
    ("target_consecutive_failures", "gauge", "Failures in a row.", |target| Some(target.failures.into())),
    ("target_updates_total", "counter", "Updates and checks that ended well.", |target| {
        Some(target.updates_ok)
    }),
    ("target_update_failures_total", "counter", "Updates and checks that did not.", |target| {
        Some(target.updates_failed)
    }),
    ("target_confirmed_timestamp_seconds", "gauge", "When the provider confirmed it last.", |target| {
        seconds(target.confirmed)
    }),
    ("target_changed_timestamp_seconds", "gauge", "When what it holds changed last.", |target| {
        seconds(target.changed)
    }),
    ("target_trouble_timestamp_seconds", "gauge", "Since when something is wrong.", |target| {
        seconds(target.trouble_since)
    }),
    ("target_next_try_timestamp_seconds", "gauge", "When it is tried next.", |target| seconds(target.next)),
];

fn seconds(time: Option<Time>) -> Option<u64> {
    time.map(|time| time.0)
}

/// All that is known, as Prometheus reads it.
#[must_use]
pub fn write(status: &Status) -> String {
    let mut page = Metrics(String::new());
    page.family("build_info", "gauge", "The version of the program.");
    page.sample("build_info", &[("version", &status.version)], 1);
    page.family("start_timestamp_seconds", "gauge", "The start of the daemon.");
    if let Some(since) = seconds(status.running_since) {
        page.sample("start_timestamp_seconds", &[], since);
    }
    page.family("poll_interval_seconds", "gauge", "Time between two polls.");
    page.sample("poll_interval_seconds", &[], status.interval);
    page.family("polls_in_time", "gauge", "Whether every source was asked when it should have been.");
    page.sample("polls_in_time", &[], u8::from(status.polls_in_time));
    page.rows("source", &status.sources, &SOURCES, |source| &source.name);
    page.family("source_address_known", "gauge", "Whether the source tells an address of the family.");
    page.addresses(status);
    page.rows("target", &status.targets, &TARGETS, |target| &target.name);
    page.family("target_address_info", "gauge", "What the provider holds, as far as it has said so.");
    for target in &status.targets {
        let Held { ipv4, ipv6, ipv6_prefix } = &target.holds;
        for (family, address) in [("ipv4", ipv4), ("ipv6", ipv6), ("prefix", ipv6_prefix)] {
            if let Some(address) = address {
                let labels = [("target", target.name.as_str()), ("family", family), ("address", address)];
                page.sample("target_address_info", &labels, 1);
            }
        }
    }
    page.0
}

struct Metrics(String);

impl Metrics {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a String cannot fail, here and below.
        let _ = write!(self.0, "# HELP ddns_{name} {help}\n# TYPE ddns_{name} {kind}\n");
    }

    fn rows<T>(&mut self, label: &str, items: &[T], rows: &[Row<T>], name: fn(&T) -> &str) {
        for (metric, kind, help, value) in rows {
            self.family(metric, kind, help);
            for item in items {
                if let Some(value) = value(item) {
                    self.sample(metric, &[(label, name(item))], value);
                }
            }
        }
    }

    fn addresses(&mut self, status: &Status) {
        let all = || status.sources.iter().flat_map(|s| s.addresses.iter().map(move |address| (s, address)));
        for (source, address) in all() {
            let labels = [("source", source.name.as_str()), ("family", &address.kind)];
            self.sample("source_address_known", &labels, u8::from(address.state == "known"));
        }
        self.family("address_info", "gauge", "The address that is published, and who told it.");
        for (source, address) in all().filter(|(_, address)| address.used) {
            if let Some(value) = &address.value {
                let labels =
                    [("source", source.name.as_str()), ("family", &address.kind), ("address", value)];
                self.sample("address_info", &labels, 1);
            }
        }
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let _ = write!(self.0, "ddns_{name}");
        for (index, (label, text)) in labels.iter().enumerate() {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{}{label}=\"{text}\"", if index == 0 { "{" } else { "," });
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::status::Address;

    fn status() -> Status {
        let address = Address {
            kind: "ipv4".to_owned(),
            state: "known".to_owned(),
            value: Some("192.0.2.7".to_owned()),
            why: None,
            since: Some(Time(90)),
            used: true,
        };
        let source = Source {
            name: "upnp".to_owned(),
            gateway: None,
            wanted: true,
            asked: Some(Time(100)),
            next: None,
            polls: 3,
            poll_failures: 1,
            events: None,
            last_event: None,
            addresses: vec![address],
        };
        let target = Target {
            name: "A \"x\"\\\n".to_owned(),
            kind: "url".to_owned(),
            state: "blocked".to_owned(),
            holds: Held { ipv4: Some("192.0.2.6".to_owned()), ..Held::default() },
            confirmed: Some(Time(95)),
            changed: None,
            changed_because: None,
            trouble: Some("no".to_owned()),
            trouble_since: Some(Time(99)),
            failures: 2,
            next: None,
            advice: None,
            updates_ok: 5,
            updates_failed: 6,
        };
        Status {
            version: "2.0.0".to_owned(),
            running: true,
            config: "/etc/x.toml".to_owned(),
            running_since: Some(Time(50)),
            written: Some(Time(100)),
            interval: 0.5,
            polls_in_time: true,
            sources: vec![source],
            targets: vec![target],
            left_out: Vec::new(),
            history: Vec::new(),
        }
    }

    #[test]
    fn every_line_is_as_the_format_wants_it() {
        let text = write(&status());
        for line in [
            "ddns_build_info{version=\"2.0.0\"} 1",
            "ddns_start_timestamp_seconds 50",
            "ddns_poll_interval_seconds 0.5",
            "ddns_polls_in_time 1",
            "# TYPE ddns_source_polls_total counter",
            "ddns_source_polls_total{source=\"upnp\"} 3",
            "ddns_source_poll_failures_total{source=\"upnp\"} 1",
            "ddns_source_last_poll_timestamp_seconds{source=\"upnp\"} 100",
            "ddns_source_address_known{source=\"upnp\",family=\"ipv4\"} 1",
            "ddns_address_info{source=\"upnp\",family=\"ipv4\",address=\"192.0.2.7\"} 1",
            "ddns_target_up_to_date{target=\"A \\\"x\\\"\\\\\\n\"} 0",
            "ddns_target_blocked{target=\"A \\\"x\\\"\\\\\\n\"} 1",
            "ddns_target_updates_total{target=\"A \\\"x\\\"\\\\\\n\"} 5",
            "ddns_target_update_failures_total{target=\"A \\\"x\\\"\\\\\\n\"} 6",
            "ddns_target_address_info{target=\"A \\\"x\\\"\\\\\\n\",family=\"ipv4\",address=\"192.0.2.6\"} 1",
        ] {
            assert!(text.lines().any(|known| known == line), "{line}\n{text}");
        }
        let mut family = String::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap();
                assert!(name.starts_with("ddns_") && help.ends_with('.'));
                family = name.to_owned();
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert_eq!(name, family);
                assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
            } else {
                assert!(
                    line.strip_prefix(&family).is_some_and(|rest| rest.starts_with(['{', ' '])),
                    "{line}"
                );
                assert!(line.rsplit_once(' ').unwrap().1.parse::<f64>().is_ok());
            }
        }
    }
}
