//! Addresses that nobody can reach, in words for people; pure.
//!
//! A router that is itself behind a NAT tells a private or shared address. A
//! service on the internet then sees another one, which is public and useless:
//! it is the outer NAT's, and no port of it leads here.

use std::net::{IpAddr, Ipv4Addr};

use super::address_kind::{AddressKind, AddressValue};
use super::source_status::{Origin, SourceStatus};
use crate::address::{Finding, Scope, scope};

/// Shared address space (RFC 6598).
const SHARED: Ipv4Addr = Ipv4Addr::new(100, 64, 0, 0);
const SHARED_BITS: u32 = 10;

/// A reason, which is put into words only where it is shown.
pub type Why<'s> = Box<dyn FnOnce() -> String + 's>;

/// Why `address` must not be published, if so.
#[must_use]
pub fn refusal(address: IpAddr, allow_private: bool) -> Option<&'static str> {
    match scope(address) {
        Scope::Global => None,
        Scope::Local(_) if allow_private => None,
        Scope::Local(why) | Scope::Unusable(why) => Some(why),
    }
}

/// Why `address`, as `speaker` tells it, is not published, if so.
pub(super) fn objection(
    address: IpAddr,
    speaker: Option<Origin>,
    allow_private: bool,
) -> Option<Why<'static>> {
    let why = refusal(address, allow_private)?;
    Some(Box::new(move || unreachable_by(address, speaker, why)))
}

fn unreachable_by(address: IpAddr, speaker: Option<Origin>, why: &str) -> String {
    let IpAddr::V4(ipv4) = address else { return plain(address, why) };
    match speaker {
        Some(Origin::Gateway) if is_shared(ipv4) => format!(
            "your router's address {ipv4} is shared by your provider's customers ({why}); a public IPv4 \
             record cannot reach you: use IPv6, or ask your provider for a public address"
        ),
        Some(Origin::Gateway) if ipv4.is_private() => format!(
            "your router's address {ipv4} is {why}: it is itself behind another router (double NAT); a \
             public IPv4 record cannot reach you: let the outer router work as a modem (bridge mode), or \
             make the daemon ask that one (router_ip)"
        ),
        // This host may be the router itself.
        Some(Origin::Kernel) if is_shared(ipv4) => format!(
            "this host's address {ipv4} is shared by a provider's customers ({why}); a public IPv4 record cannot \
             reach it: use IPv6, or ask the provider for a public address; if a router is in between, let that be \
             asked (\"upnp\")"
        ),
        Some(Origin::Kernel) if ipv4.is_private() => {
            format!(
                "this host's address {ipv4} is {why}: it is behind a router; let the router be asked (\"upnp\")"
            )
        }
        _ => plain(address, why),
    }
}

fn plain(address: IpAddr, why: &str) -> String {
    format!("the address {address} is not publicly reachable: {why}")
}

fn is_shared(address: Ipv4Addr) -> bool {
    (address.to_bits() ^ SHARED.to_bits()).leading_zeros() >= SHARED_BITS
}

/// Whether a source is a router that can contradict an echo service.
pub(super) fn is_witness(source: &SourceStatus, kind: AddressKind) -> bool {
    kind == AddressKind::Ipv4 && source.speaker == Origin::Gateway
}

/// Why the address that an echo service told does not lead here, if a router
/// among the listed sources has told that it is behind a NAT. Its last word
/// counts, also while it is silent.
pub(super) fn contradiction<'s>(
    sources: &'s [SourceStatus],
    preferred: &[usize],
    told: AddressValue,
    teller: usize,
) -> Option<Why<'s>> {
    if sources.get(teller)?.speaker != Origin::Echo {
        return None;
    }
    let AddressValue::Ipv4(outer) = told else { return None };
    let routers = preferred.iter().filter_map(|index| sources.get(*index));
    let mut routers = routers.filter(|source| is_witness(source, AddressKind::Ipv4));
    let (router, why) = routers.find_map(|source| Some((&source.label, hidden_behind(source)?)))?;
    Some(Box::new(move || {
        format!(
            "the internet sees {outer}, but {router}: {}; to publish {outer} all the same, list the echo \
             service alone",
            why()
        )
    }))
}

/// Why a router is not to be reached from outside, by its own word.
fn hidden_behind(router: &SourceStatus) -> Option<Why<'_>> {
    let answers = router.answers(AddressKind::Ipv4);
    match (&answers.last, answers.known) {
        (Some(Finding::Absent(why)), _) => {
            Some(Box::new(move || format!("your router has no IPv4 address of its own: {why}")))
        }
        (_, Some(AddressValue::Ipv4(inner))) => objection(inner.into(), Some(Origin::Gateway), false),
        _ => None,
    }
}

/// What two different addresses mean, for those who asked for agreement.
pub(super) fn explain_disagreement(voices: &[(Ipv4Addr, Origin)]) -> Option<String> {
    let echoed = voices.iter().find(|(_, speaker)| *speaker == Origin::Echo)?;
    let (inner, speaker) =
        voices.iter().find(|(address, speaker)| *speaker == Origin::Gateway && *address != echoed.0)?;
    let other = "a second internet line, a VPN or a proxy may lie between this host and the echo service";
    Some(objection((*inner).into(), Some(*speaker), false).map_or_else(|| other.to_owned(), |why| why()))
}
