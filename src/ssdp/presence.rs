//! Whether an announcement of a gateway is news: UPnP Device Architecture 1.1,
//! section 1.2.
//!
//! Gateways repeat themselves every half minute. News is a place that was not
//! announced before, another boot number at a known place, and whoever comes back
//! after a farewell. Pure; anyone can forge an announcement, so news are hints.

use super::message::{Notify, NotifyKind, Verdict, verdict};
use crate::http::lan_url::LanUrl;

/// The most places remembered; gateways have one or two.
const MAX_PLACES: usize = 8;

/// What has been announced so far.
#[derive(Clone, Debug, Default)]
pub struct Presence {
    places: Vec<(LanUrl, Option<u32>)>,
}

impl Presence {
    /// Takes an announcement of the gateway; returns whether it is news.
    pub fn hear(&mut self, notify: &Notify) -> bool {
        if verdict(&notify.nt) != Verdict::Gateway {
            return false;
        }
        match (notify.kind, &notify.location) {
            // No more can be done about one that leaves than to listen for its return.
            (NotifyKind::Byebye, _) => {
                self.places.clear();
                false
            }
            (NotifyKind::Alive, Some(place)) => self.is_new(place, notify.boot_id),
            (NotifyKind::Alive | NotifyKind::Update, _) => false,
        }
    }

    fn is_new(&mut self, place: &LanUrl, boot_id: Option<u32>) -> bool {
        if let Some((_, known)) = self.places.iter_mut().find(|(known, _)| known == place) {
            return std::mem::replace(known, boot_id) != boot_id;
        }
        if self.places.len() >= MAX_PLACES {
            self.places.remove(0);
        }
        self.places.push((place.clone(), boot_id));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notify(kind: NotifyKind, place: &str, boot_id: Option<u32>) -> Notify {
        Notify {
            kind,
            nt: "urn:schemas-upnp-org:device:InternetGatewayDevice:1".to_owned(),
            location: LanUrl::parse(&format!("http://192.168.1.1:5000/{place}")).ok(),
            boot_id,
        }
    }

    #[test]
    fn repetitions_are_no_news_but_restarts_are() {
        let mut presence = Presence::default();
        let mut alive = |place, boot| presence.hear(&notify(NotifyKind::Alive, place, boot));
        assert!(alive("a", Some(1)));
        assert!(alive("b", Some(1)), "a second description");
        assert!(!alive("a", Some(1)) && !alive("b", Some(1)));
        assert!(alive("a", Some(2)));
        assert!(!alive("a", Some(2)));
        assert!(alive("c", None));
        assert!(!alive("c", None));
    }

    #[test]
    fn whoever_left_and_comes_back_is_news() {
        let mut presence = Presence::default();
        assert!(presence.hear(&notify(NotifyKind::Alive, "a", None)));
        assert!(!presence.hear(&notify(NotifyKind::Byebye, "a", None)));
        assert!(!presence.hear(&notify(NotifyKind::Update, "a", None)));
        assert!(presence.hear(&notify(NotifyKind::Alive, "a", None)));
    }

    #[test]
    fn other_devices_are_no_news_and_memory_is_bounded() {
        let mut presence = Presence::default();
        let other = Notify { nt: "upnp:rootdevice".to_owned(), ..notify(NotifyKind::Alive, "a", None) };
        assert!(!presence.hear(&other));
        for number in 0..1000 {
            presence.hear(&notify(NotifyKind::Alive, &number.to_string(), None));
        }
        assert_eq!(presence.places.len(), MAX_PLACES);
    }
}
