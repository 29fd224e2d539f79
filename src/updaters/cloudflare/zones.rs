//! Which zone a record is in.

use std::collections::{HashMap, HashSet};

use super::api::ZONES_A_PAGE;
use super::reply::{RefusalKind, Trouble, Zone};
use super::session::{About, Scope, Session, Stop, blocked};
use super::{FEW, Item, MAX_PAGES, is_within, needs_person, reply};
use crate::config;
use crate::config::idn::{is_relative, to_ascii};

/// Zones kept of one name: more than one are too many anyway.
const MAX_ALIKE: usize = 5;

/// Zones found so far, kept between jobs.
#[derive(Debug, Default)]
pub(super) struct Zones {
    known: Vec<Zone>,
    /// Names that are no zones, kept until something goes wrong: a record that
    /// is missed may have moved into a new zone.
    absent: HashSet<String>,
    /// Whether the list of all zones was read to its end; kept and dropped likewise.
    /// `None`: not yet tried.
    listed: Option<bool>,
    /// Why the name of the one with the configured id cannot be learnt, once tried.
    nameless: Option<String>,
}

impl Zones {
    /// Those of a section: one, if it says which.
    pub(super) fn new(config: &config::Cloudflare) -> Self {
        let given = config.zone_id.iter().map(|id| Zone { id: id.clone(), name: None });
        Self { known: given.collect(), ..Self::default() }
    }

    pub(super) fn id(&self, index: usize) -> Option<&str> {
        self.known.get(index).map(|zone| zone.id.as_str())
    }

    pub(super) fn name(&self, index: usize) -> Option<&str> {
        self.known.get(index)?.name.as_deref()
    }

    /// Why the zone with the configured id has no name.
    pub(super) fn nameless(&self) -> &str {
        self.nameless.as_deref().unwrap_or_default()
    }

    /// Forgets what may have changed when something went wrong.
    pub(super) fn doubt(&mut self) {
        self.absent.clear();
        self.listed = None;
        self.nameless = None;
    }

    /// Forgets zones that are no longer there.
    pub(super) fn forget(&mut self, lost: &[usize]) {
        let mut index = 0..;
        self.known.retain(|_| index.next().is_none_or(|index| !lost.contains(&index)));
        self.doubt();
    }

    /// Says of each item without outcome which zone it is in.
    pub(super) fn place(
        &mut self,
        config: &config::Cloudflare,
        items: &mut [Item<'_>],
        session: &mut Session<'_, '_>,
    ) -> Result<(), Stop> {
        if config.zone_id.is_some() {
            for item in items {
                item.zone = Some(0);
            }
            return Ok(());
        }
        let unknown =
            items.iter().filter(|item| item.outcome.is_none() && self.holding(&item.name).is_none());
        let unknown = unknown.count();
        if unknown > FEW && self.listed.is_none() {
            self.list(config, unknown, session)?;
        }
        for item in items.iter_mut().filter(|item| item.outcome.is_none()) {
            match self.find(&item.name, session) {
                Ok(zone) => item.zone = Some(zone),
                Err(Stop { scope: Scope::Record, outcome }) => item.outcome = Some(outcome),
                Err(stop) => return Err(stop),
            }
        }
        Ok(())
    }

    /// The longest known zone around `name`.
    fn holding(&self, name: &str) -> Option<&Zone> {
        let named = |part| self.known.iter().find(|zone| zone.name.as_deref() == Some(part));
        parts(name).find_map(named)
    }

    /// Asks for the zone around `name`: the longest part of it that is one.
    pub(super) fn find(&mut self, name: &str, session: &mut Session<'_, '_>) -> Result<usize, Stop> {
        if is_relative(name) {
            let why =
                format!("{name:?} is relative, to what is not known; set zone_id or write the full name");
            return Err(Stop { scope: Scope::Record, outcome: blocked(why) });
        }
        for part in parts(name) {
            let known = |zone: &Zone| zone.name.as_deref() == Some(part);
            if !self.known.iter().any(known) && self.listed != Some(true) && !self.absent.contains(part) {
                let found = zones_named(part, session)?;
                if found.len() > 1 {
                    return Err(several(part, found.len()));
                }
                if found.is_empty() {
                    self.absent.insert(part.to_owned());
                }
                self.known.extend(found);
            }
            match (self.known.iter().position(known), self.known.iter().filter(|zone| known(zone)).count()) {
                (Some(zone), 1) => return Ok(zone),
                (Some(_), count) => return Err(several(part, count)),
                (None, _) => {}
            }
        }
        let why = format!(
            "no active zone that the token may read holds {name:?}; check the name, and that the token has Zone:Read \
             for the zone, or set zone_id"
        );
        Err(Stop { scope: Scope::Record, outcome: needs_person(why) })
    }

    /// Reads the list of all zones and keeps those that hold a configured name, unless
    /// it is too long for so few records.
    fn list(
        &mut self,
        config: &config::Cloudflare,
        few: usize,
        session: &mut Session<'_, '_>,
    ) -> Result<(), Stop> {
        let wanted: HashSet<&str> = config.records.iter().flat_map(|record| parts(&record.name)).collect();
        let mut ids: HashSet<String> = HashSet::new();
        let mut alike: HashMap<&str, usize> = HashMap::new();
        self.known.clear();
        self.listed = Some(false);
        for number in 1..=MAX_PAGES {
            let request = session.api.active_zones(number);
            let page = session.reply(&request).and_then(|reply| reply::zones(&reply, ZONES_A_PAGE));
            let page = page.map_err(|trouble| session.stop(trouble, About::Zones))?;
            for zone in page.entries {
                let Some(name) = zone.name.as_deref().and_then(|name| wanted.get(name)) else { continue };
                let alike = alike.entry(name).or_default();
                // Each once: a list shifts when someone adds a zone meanwhile.
                if *alike < MAX_ALIKE && ids.insert(zone.id.clone()) {
                    *alike = alike.saturating_add(1);
                    self.known.push(zone);
                }
            }
            if page.last {
                self.listed = Some(true);
                break;
            }
            if page.pages.is_some_and(|pages| pages.saturating_sub(number) > few) {
                break;
            }
        }
        Ok(())
    }

    /// Learns the name of the zone with the configured id: from the list of zones or,
    /// where the token may not read that, from what it may read.
    pub(super) fn learn_name(&mut self, session: &mut Session<'_, '_>) -> Result<(), Stop> {
        let Some(zone) = self.known.first_mut().filter(|_| self.nameless.is_none()) else { return Ok(()) };
        let mut why = "the token may not read the name of the zone with this zone_id".to_owned();
        for ask in [listed_name, exported_name, common_name] {
            match ask(&zone.id, session) {
                Ok(Some(name)) => {
                    zone.name = Some(name);
                    return Ok(());
                }
                Ok(None) => {}
                Err(Trouble { kind: RefusalKind::Denied | RefusalKind::Forbidden, said, .. }) => {
                    why = format!("the token may not read the zone's name ({said})");
                }
                Err(trouble) => return Err(session.stop(trouble, About::Zones)),
            }
        }
        self.nameless = Some(why);
        Ok(())
    }
}

/// The active zones with this name; the token sees those of several accounts.
fn zones_named(name: &str, session: &mut Session<'_, '_>) -> Result<Vec<Zone>, Stop> {
    let request = session.api.zones_named(name);
    let page = session.reply(&request).and_then(|reply| reply::zones(&reply, ZONES_A_PAGE));
    let mut zones = page.map_err(|trouble| session.stop(trouble, About::Zones))?.entries;
    zones.retain(|zone| zone.name.as_deref() == Some(name));
    Ok(zones)
}

/// The name as the list of zones has it.
fn listed_name(id: &str, session: &mut Session<'_, '_>) -> Result<Option<String>, Trouble> {
    for number in 1..=MAX_PAGES {
        let reply = session.reply(&session.api.zones(number))?;
        let page = reply::zones(&reply, ZONES_A_PAGE)?;
        if let Some(zone) = page.entries.into_iter().find(|zone| zone.id == id) {
            return Ok(zone.name);
        }
        if page.last {
            break;
        }
    }
    Ok(None)
}

/// The name as it stands at the head of the zone's file, which DNS:Edit is enough for.
fn exported_name(id: &str, session: &mut Session<'_, '_>) -> Result<Option<String>, Trouble> {
    let reply = session.reply(&session.api.export(id))?;
    let domain = |line: &str| line.trim_start_matches(';').trim().strip_prefix("Domain:").map(str::to_owned);
    let name = reply.body.lines().find_map(domain).filter(|_| reply.status == 200);
    Ok(name.and_then(|name| to_ascii(name.trim()).ok()))
}

/// What the names of the zone's records have in common, where that has two labels: no
/// zone has less.
fn common_name(id: &str, session: &mut Session<'_, '_>) -> Result<Option<String>, Trouble> {
    let reply = session.reply(&session.api.records(id, 1))?;
    let names = reply::names(&reply)?;
    let mut names = names.iter().filter_map(|name| to_ascii(name).ok());
    let Some(mut common) = names.next() else { return Ok(None) };
    for name in names {
        while !is_within(&name, &common) {
            match common.split_once('.') {
                Some((_, rest)) => common = rest.into(),
                None => return Ok(None),
            }
        }
    }
    Ok((common.split('.').count() == 2).then_some(common))
}

/// `name` and what is left of it without its first labels, as far as it may be a
/// zone: a top-level domain is nobody's at Cloudflare.
fn parts(name: &str) -> impl Iterator<Item = &str> {
    let name = name.strip_prefix("*.").unwrap_or(name);
    let parts = std::iter::successors(Some(name), |part| part.split_once('.').map(|(_, rest)| rest));
    parts.filter(|part| part.contains('.'))
}

fn several(name: &str, count: usize) -> Stop {
    let why = format!("the token reads {count} active zones {name:?}; set zone_id to the right one");
    Stop { scope: Scope::Record, outcome: needs_person(why) }
}
