//! Which of a gateway's lines may tell the address.
//!
//! A line that is down goes on to name the address that it had. Some gateways call all their
//! lines down at all times, so that what none that is up tells is believed in the end; but a
//! gateway that is just connecting, or that starts together with this host after a power cut,
//! says the same. In order: the line that told the address so far, one that names what was told
//! last, and after a while any.

use std::time::{Duration, Instant};

use crate::address::{Addresses, Finding, Observation};
use crate::http::lan_url::LanUrl;
use crate::soap::description::Service;
use crate::soap::gateway::{GatewayReport, ServiceAnswer};

/// How long a gateway has to bring a line up before one that is down is believed.
const PATIENCE: Duration = Duration::from_secs(3 * 60);

/// The same in a single run, which waits 13 s for all addresses: one of the polls after 1, 2
/// and 4 s more comes behind it.
const ONCE_PATIENCE: Duration = Duration::from_secs(5);

/// Why a line is not believed.
const ALL_DOWN: &str = "no connection of it that is up tells an address, and what one that is down names may be an \
                        earlier one";

/// What is known of the lines of one gateway.
pub(super) struct Lines {
    /// What was told last, in this run or the one before: where it is told again, nothing is
    /// waited for.
    held: Addresses,
    /// The line that told it, as long as the gateway is not silent.
    in_use: Option<Service>,
    /// How many lines this description listed: a gateway that starts may list the first alone,
    /// which is asked for no status then.
    listed: Option<(LanUrl, usize)>,
    patience: Duration,
    down_since: Option<Instant>,
}

impl Lines {
    pub(super) fn new(held: Addresses) -> Self {
        Self { held, in_use: None, listed: None, patience: PATIENCE, down_since: None }
    }

    pub(super) fn once(&mut self) {
        self.patience = ONCE_PATIENCE;
    }

    /// Another gateway is asked from now on.
    pub(super) fn forget(&mut self) {
        *self = Self { patience: self.patience, ..Self::new(Addresses::default()) };
    }

    /// The gateway that was known has to be searched for: it may have started anew.
    pub(super) fn lost(&mut self) {
        if self.in_use.take().is_some() {
            self.down_since = None;
        }
    }

    /// No gateway has answered.
    pub(super) fn silent(&mut self) {
        self.down_since = None;
    }

    /// A poll has told this by this line, be it that there is no IPv4 address.
    pub(super) fn told(&mut self, line: &Service, told: &Observation) {
        if matches!(told.ipv4, Finding::Unknown(_)) {
            return;
        }
        if self.in_use.as_ref() != Some(line) {
            self.in_use = Some(line.clone());
        }
        self.down_since = None;
        self.held = Addresses {
            ipv4: told.ipv4.known(),
            ipv6: told.ipv6.known().or(self.held.ipv6),
            ipv6_prefix: told.ipv6_prefix.known().or(self.held.ipv6_prefix),
        };
    }

    /// Relies on the line of `found`, from the description at `location`, that may tell the
    /// address, and returns what the user is to know of it; an error where none may yet.
    pub(super) fn choose(
        &mut self,
        found: &mut GatewayReport,
        location: &LanUrl,
        now: Instant,
    ) -> Result<Option<String>, &'static str> {
        let count = found.services.len();
        // One that has answered all the while has not started, and means it.
        let started = self.in_use.is_none();
        let fewer =
            started && self.listed.as_ref().is_some_and(|(at, listed)| at == location && count < *listed);
        if !found.chosen().is_some_and(|line| line.up.map_or(fewer && tells(line), |up| !up)) {
            if !fewer {
                self.listed = Some((location.clone(), count));
            }
            return Ok(None);
        }
        let place = |line: &Service| found.services.iter().position(|asked| asked.service == *line);
        if self.in_use.as_ref().and_then(place).is_none() {
            self.lost();
        }
        let since = *self.down_since.get_or_insert(now);
        let is_late = now.saturating_duration_since(since) >= self.patience;
        let right = match &self.in_use {
            // One that is down, too, never takes its place.
            Some(line) => place(line).filter(|index| found.services.get(*index).is_some_and(tells)),
            None => self.holding(found).or(found.chosen.filter(|_| is_late)),
        };
        let right = right.ok_or(ALL_DOWN)?;
        let is_news = self.in_use.is_none() && self.holding(found).is_none();
        rely_on(found, right);
        self.listed = Some((location.clone(), count));
        Ok(is_news.then(|| self.advice()))
    }

    /// The line that names what was told last.
    fn holding(&self, found: &GatewayReport) -> Option<usize> {
        if self.held.ipv4.is_some() {
            return found.services.iter().position(|asked| asked.ipv4.known() == self.held.ipv4);
        }
        // No target holds an IPv4 address; who tells IPv6 was asked for it.
        let (seen, held) = (&found.observation, &self.held);
        let same = (held.ipv6.is_some() && seen.ipv6.known() == held.ipv6)
            || (held.ipv6_prefix.is_some() && seen.ipv6_prefix.known() == held.ipv6_prefix);
        found.chosen.filter(|_| same)
    }

    fn advice(&self) -> String {
        format!(
            "no connection of it that is up has told an address for {} s, so what one that is down names is taken; \
             if that is an earlier address, \"upnp:#1\", \"upnp:#2\" ... name the right one",
            self.patience.as_secs()
        )
    }
}

fn tells(asked: &ServiceAnswer) -> bool {
    !matches!(asked.ipv4, Finding::Unknown(_))
}

/// IPv6 was asked of the chosen line alone, so that another one's is not known.
fn rely_on(found: &mut GatewayReport, line: usize) {
    let Some(asked) = found.services.get(line).filter(|_| found.chosen != Some(line)) else { return };
    found.observation = Observation {
        ipv4: asked.ipv4.clone(),
        offers_ipv6: found.observation.offers_ipv6,
        ..Observation::unknown("not asked")
    };
    found.chosen = Some(line);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soap::description::ServiceType;

    const UP: Option<bool> = Some(true);
    const DOWN: Option<bool> = Some(false);
    const FIRST: [u8; 4] = [8, 8, 8, 1];
    const SECOND: [u8; 4] = [8, 8, 8, 2];
    const THIRD: [u8; 4] = [8, 8, 8, 3];

    /// Lines as a gateway lists them: the address, or none yet, and whether it is up.
    type Told<'a> = &'a [(Option<[u8; 4]>, Option<bool>)];

    fn line(number: usize) -> Service {
        Service {
            service_type: ServiceType::parse("urn:schemas-upnp-org:service:WANIPConnection:1").unwrap(),
            name: "WANIPConn1".to_owned(),
            control: LanUrl::parse(&format!("http://192.168.1.1/{number}")).unwrap(),
            event: None,
        }
    }

    fn report(told: Told<'_>) -> GatewayReport {
        let answer = |(number, (address, up)): (usize, &(Option<[u8; 4]>, Option<bool>))| {
            let none = || Finding::Unknown("not connected".to_owned());
            let ipv4 = address.map_or_else(none, |address| Finding::Known(address.into()));
            ServiceAnswer { service: line(number + 1), ipv4, ipv6: None, up: *up, answered: true }
        };
        let services: Vec<_> = told.iter().enumerate().map(answer).collect();
        // As a survey does: one that is up, else one that is down, else any.
        let rank = |asked: &&ServiceAnswer| match (tells(asked), asked.up) {
            (true, Some(true) | None) => 0,
            (true, Some(false)) => 1,
            (false, _) => 2,
        };
        let best = services.iter().min_by_key(rank).unwrap();
        let chosen = services.iter().position(|asked| asked == best);
        let observation = Observation { ipv4: best.ipv4.clone(), ..Observation::unknown("not asked") };
        GatewayReport { device: None, services, chosen, observation, ipv6_valid_seconds: None }
    }

    /// A gateway that is polled, and the seconds since the first poll.
    struct Polls {
        lines: Lines,
        began: Instant,
    }

    impl Polls {
        fn after(held: Option<[u8; 4]>) -> Self {
            let held = Addresses { ipv4: held.map(Into::into), ..Addresses::default() };
            Self { lines: Lines::new(held), began: Instant::now() }
        }

        fn choose(
            &mut self,
            seconds: u64,
            found: &mut GatewayReport,
        ) -> Result<Option<String>, &'static str> {
            let location = LanUrl::parse("http://192.168.1.1/desc.xml").unwrap();
            self.lines.choose(found, &location, self.began + Duration::from_secs(seconds))
        }

        /// The address that a poll tells.
        fn poll(&mut self, seconds: u64, told: Told<'_>) -> Option<[u8; 4]> {
            let mut found = report(told);
            self.choose(seconds, &mut found).ok()?;
            let chosen = found.chosen().unwrap().service.clone();
            self.lines.told(&chosen, &found.observation);
            Some(found.observation.ipv4.known()?.octets())
        }
    }

    #[test]
    fn a_line_that_is_not_down_tells_the_address() {
        for up in [UP, None] {
            let mut polls = Polls::after(None);
            assert_eq!(polls.poll(0, &[(Some(FIRST), up), (Some(SECOND), DOWN)]), Some(FIRST));
            assert_eq!(polls.poll(5, &[(Some(FIRST), DOWN), (Some(SECOND), up)]), Some(SECOND));
        }
    }

    #[test]
    fn of_lines_that_are_down_only_the_one_in_use_goes_on_to_tell() {
        let mut polls = Polls::after(Some(FIRST));
        assert_eq!(polls.poll(0, &[(Some(FIRST), DOWN), (Some(SECOND), UP)]), Some(SECOND));
        for minutes in [0, 1, 3, 60] {
            let now = 60 * minutes + 1;
            assert_eq!(polls.poll(now, &[(Some(FIRST), DOWN), (None, DOWN)]), None);
            // Wherever it stands among them, and also another address than before.
            assert_eq!(polls.poll(now, &[(Some(FIRST), DOWN), (Some(SECOND), DOWN)]), Some(SECOND));
            assert_eq!(polls.poll(now, &[(Some(FIRST), DOWN), (Some(THIRD), DOWN)]), Some(THIRD));
        }
    }

    #[test]
    fn a_line_that_tells_no_address_does_not_come_into_use() {
        let boot: Told<'_> = &[(None, None), (None, None)];
        let reconnecting: Told<'_> = &[(Some(FIRST), DOWN), (None, None)];
        let mut polls = Polls::after(None);
        assert_eq!((polls.poll(0, boot), polls.poll(1, reconnecting)), (None, None));
        assert_eq!(polls.poll(2, &[(Some(FIRST), DOWN), (Some(SECOND), UP)]), Some(SECOND));
        // The same while one is in use.
        assert_eq!((polls.poll(3, boot), polls.poll(4, reconnecting)), (None, None));
        assert_eq!(polls.poll(600, reconnecting), None);
    }

    #[test]
    fn a_router_that_calls_all_lines_down_is_believed_after_three_minutes() {
        let down: Told<'_> = &[(Some(FIRST), DOWN), (None, None)];
        let (mut polls, mut single) = (Polls::after(None), Polls::after(None));
        single.lines.once();
        for (seconds, expected, expected_single) in
            [(0, None, None), (4, None, None), (5, None, Some(FIRST)), (179, None, Some(FIRST))]
        {
            assert_eq!(polls.poll(seconds, down), expected, "{seconds} s");
            assert_eq!(single.poll(seconds, down), expected_single, "{seconds} s, once");
        }
        let said = polls.choose(180, &mut report(down)).unwrap().unwrap();
        assert!(said.contains("for 180 s"), "{said}");
        assert_eq!(polls.poll(180, down), Some(FIRST));
        assert_eq!(polls.choose(181, &mut report(down)), Ok(None), "said once");
    }

    #[test]
    fn a_line_that_is_down_and_has_no_ipv4_is_told_once_as_well() {
        let mut polls = Polls::after(None);
        for (seconds, said) in [(0, Err(ALL_DOWN)), (180, Ok(true)), (181, Ok(false)), (999, Ok(false))] {
            let mut found = report(&[(Some(FIRST), DOWN), (None, None)]);
            found.services[0].ipv4 = Finding::Absent("DS-Lite".to_owned());
            found.observation.ipv4 = found.services[0].ipv4.clone();
            let chosen = polls.choose(seconds, &mut found);
            assert_eq!(chosen.as_ref().map(Option::is_some).map_err(|why| *why), said, "{seconds} s");
            if chosen.is_ok() {
                polls.lines.told(&line(1), &found.observation);
            }
        }
    }

    #[test]
    fn each_trouble_begins_the_three_minutes_anew() {
        let down: Told<'_> = &[(Some(FIRST), DOWN), (None, None)];
        let up: Told<'_> = &[(Some(FIRST), DOWN), (Some(SECOND), UP)];
        let mut polls = Polls::after(None);
        assert_eq!((polls.poll(0, down), polls.poll(10, up)), (None, Some(SECOND)));
        // Days later the gateway starts anew.
        polls.lines.lost();
        assert_eq!(polls.poll(100_000, down), None);
        assert_eq!(polls.poll(100_179, down), None);
        // So also where the line in use was down before that.
        assert_eq!((polls.poll(200_000, up), polls.poll(200_001, down)), (Some(SECOND), None));
        polls.lines.lost();
        assert_eq!(polls.poll(200_400, down), None);
        // And where nobody answered in between.
        polls.lines.silent();
        assert_eq!(polls.poll(200_600, down), None);
        assert_eq!(polls.poll(200_780, down), Some(FIRST));
    }

    #[test]
    fn a_line_that_is_down_is_believed_at_once_where_it_names_what_was_told_last() {
        let both: Told<'_> = &[(Some(FIRST), DOWN), (Some(SECOND), DOWN)];
        for (held, expected) in [(FIRST, Some(FIRST)), (SECOND, Some(SECOND)), (THIRD, None)] {
            assert_eq!(Polls::after(Some(held)).poll(0, both), expected);
        }
        // Another line was in use meanwhile.
        let mut polls = Polls::after(Some(FIRST));
        assert_eq!(polls.poll(0, &[(Some(FIRST), DOWN), (Some(SECOND), UP)]), Some(SECOND));
        polls.lines.lost();
        assert_eq!(polls.poll(1, &[(Some(FIRST), DOWN), (None, None)]), None);
        assert_eq!(polls.poll(2, both), Some(SECOND));
        // Another gateway's address says nothing.
        polls.lines.forget();
        assert_eq!(polls.poll(3, both), None);
    }

    #[test]
    fn where_no_target_holds_ipv4_the_same_ipv6_is_enough() {
        let held = Addresses { ipv6: "2003::1".parse().ok(), ..Addresses::default() };
        for (address, expected) in [("2003::1", Ok(None)), ("2003::2", Err(ALL_DOWN))] {
            let mut found = report(&[(Some(FIRST), DOWN), (None, None)]);
            found.observation.ipv6 = Finding::Known(address.parse().unwrap());
            let mut polls = Polls { lines: Lines::new(held), began: Instant::now() };
            assert_eq!(polls.choose(0, &mut found), expected, "{address}");
        }
    }

    #[test]
    fn of_another_line_than_the_one_asked_for_ipv6_none_is_known() {
        let mut found = report(&[(Some(FIRST), DOWN), (Some(SECOND), DOWN)]);
        found.observation.ipv6 = Finding::Known("2003::1".parse().unwrap());
        assert_eq!(Polls::after(Some(SECOND)).choose(0, &mut found), Ok(None));
        assert_eq!((found.chosen, found.observation.ipv6.known()), (Some(1), None));
    }

    #[test]
    fn a_line_that_stands_alone_after_a_start_is_not_sure() {
        let mut polls = Polls::after(None);
        assert_eq!(polls.poll(0, &[(Some(FIRST), DOWN), (Some(SECOND), UP)]), Some(SECOND));
        polls.lines.lost();
        assert_eq!(polls.poll(10, &[(Some(FIRST), None)]), None);
        assert_eq!(polls.poll(11, &[(Some(FIRST), DOWN), (Some(SECOND), UP)]), Some(SECOND));
        // One that has fewer for good.
        polls.lines.lost();
        assert_eq!(
            (polls.poll(20, &[(Some(FIRST), None)]), polls.poll(200, &[(Some(FIRST), None)])),
            (None, Some(FIRST))
        );
        polls.lines.lost();
        assert_eq!(polls.poll(201, &[(Some(THIRD), None)]), Some(THIRD));
    }

    #[test]
    fn a_line_that_is_listed_no_more_is_waited_for_no_longer_than_another() {
        let mut polls = Polls::after(None);
        assert_eq!(polls.poll(0, &[(Some(FIRST), DOWN), (Some(SECOND), UP)]), Some(SECOND));
        assert_eq!(polls.poll(10, &[(Some(FIRST), DOWN)]), None);
        assert_eq!(polls.poll(189, &[(Some(FIRST), DOWN)]), None);
        assert_eq!(polls.poll(190, &[(Some(FIRST), DOWN)]), Some(FIRST));
        // The gateway did not start anew in between.
        assert_eq!(polls.poll(200, &[(Some(FIRST), DOWN), (Some(SECOND), UP)]), Some(SECOND));
        assert_eq!(polls.poll(201, &[(Some(THIRD), None)]), Some(THIRD));
    }
}
