//! A subscription in time, with time as a value.

use super::*;

fn url(path: &str) -> LanUrl {
    LanUrl::parse(&format!("http://192.168.1.1:5000/{path}")).unwrap()
}

fn seen(address: u8) -> PollResult {
    PollResult { reached: true, events: Some(url("evt")), ipv4: Some([1, 1, 1, address].into()) }
}

fn unreached() -> PollResult {
    PollResult { reached: false, events: None, ipv4: None }
}

#[test]
fn a_poll_that_found_the_same_is_told_again_only_when_something_stirred() {
    let mut told = Told::default();
    assert!(told.is_new(&seen(1), false));
    assert!(!told.is_new(&seen(1), false));
    assert!(told.is_new(&seen(1), true));
    assert!(told.is_new(&unreached(), false));
    assert!(told.is_new(&seen(1), false), "the gateway was away in between");
    assert!(told.is_new(&seen(2), false) && !told.is_new(&seen(2), false));
}

fn granted(name: &str, seconds: u64) -> SubscribeResponse {
    SubscribeResponse { sid: Sid::parse(name).unwrap(), timeout: Duration::from_secs(seconds) }
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn renew(name: &str) -> NextRequest {
    NextRequest::Renew(url("evt"), Sid::parse(name).unwrap())
}

fn subscribe() -> NextRequest {
    NextRequest::Subscribe(url("evt"))
}

/// Subscribed at 0, with its first event.
fn active() -> Subscription {
    let mut subscription = Subscription::default();
    subscription.seen(at(0), &seen(1));
    assert_eq!(subscription.step(at(0)), Some(subscribe()));
    assert!(!subscription.answered(at(0), Ok(granted("a", 1800))));
    subscription.event_came();
    subscription.seen(at(0), &seen(1));
    assert_eq!((subscription.step(at(0)), subscription.notice()), (None, None));
    subscription
}

#[test]
fn it_renews_at_half_time() {
    let mut subscription = active();
    assert_eq!(subscription.deadline(), Some(at(900)));
    assert_eq!(subscription.step(at(899)), None);
    assert_eq!(subscription.step(at(900)), Some(renew("a")));
    assert!(!subscription.answered(at(900), Ok(granted("b", 120))));
    assert_eq!(subscription.deadline(), Some(at(960)));
    assert_eq!(subscription.step(at(960)), Some(renew("b")));
}

#[test]
fn a_forgotten_subscription_is_made_anew_and_the_gateway_polled() {
    let mut subscription = active();
    assert_eq!(subscription.step(at(900)), Some(renew("a")));
    assert!(subscription.answered(at(900), Err(Failure::Refused(SubscribeError::Precondition))));
    assert_eq!(subscription.step(at(900)), Some(subscribe()));
    assert!(!subscription.answered(at(900), Ok(granted("b", 1800))));
    assert_eq!(subscription.notice(), None);
}

#[test]
fn after_a_failed_poll_it_subscribes_anew() {
    let mut subscription = active();
    subscription.seen(at(5), &unreached());
    assert_eq!(subscription.step(at(6)), None, "nobody there to ask");
    subscription.seen(at(7), &seen(1));
    assert_eq!(subscription.deadline(), Some(Duration::ZERO));
    let old = NextRequest::Unsubscribe(url("evt"), Sid::parse("a").unwrap());
    assert_eq!(subscription.step(at(7)), Some(old));
    assert_eq!(subscription.step(at(7)), Some(subscribe()));
}

#[test]
fn after_a_restart_it_asks_whether_it_is_known_still() {
    let mut subscription = active();
    subscription.gateway_restarted(at(5));
    assert_eq!(subscription.step(at(5)), Some(renew("a")));
    let forgotten = Err(Failure::Refused(SubscribeError::Precondition));
    assert!(subscription.answered(at(5), forgotten));
    assert_eq!(subscription.step(at(5)), Some(subscribe()));
    subscription.answered(at(5), Err(Failure::Refused(SubscribeError::Status(503))));
    assert_eq!(subscription.deadline(), Some(at(65)));
    subscription.gateway_restarted(at(6));
    assert_eq!(subscription.step(at(6)), Some(subscribe()));
}

#[test]
fn another_gateway_is_subscribed_at_and_the_old_one_left_alone() {
    let mut subscription = active();
    let other = PollResult { events: Some(url("other")), ..seen(1) };
    subscription.seen(at(5), &other);
    assert_eq!(subscription.step(at(5)), Some(NextRequest::Subscribe(url("other"))));
}

#[test]
fn a_refusal_is_told_once_and_retried_ever_less() {
    let mut subscription = Subscription::default();
    let (mut now, mut waits) = (at(0), Vec::new());
    subscription.seen(now, &seen(1));
    for _ in 0..8 {
        assert_eq!(subscription.step(now), Some(subscribe()));
        subscription.answered(now, Err(Failure::Refused(SubscribeError::Status(503))));
        let next = subscription.deadline().unwrap();
        waits.push((next - now).as_secs());
        now = next;
        subscription.seen(now, &seen(1));
    }
    assert_eq!(waits, [60, 120, 240, 480, 960, 1800, 1800, 1800]);
    assert!(matches!(subscription.notice(), Some(Status::None(_))));
    assert_eq!(subscription.notice(), None);
}

#[test]
fn a_missing_first_event_is_told_once_and_its_arrival_too() {
    let mut subscription = Subscription::default();
    subscription.seen(at(0), &seen(1));
    subscription.step(at(0));
    subscription.answered(at(0), Ok(granted("a", 1800)));
    assert_eq!(subscription.deadline(), Some(at(10)));
    assert_eq!((subscription.step(at(9)), subscription.notice()), (None, None));
    assert_eq!(subscription.step(at(10)), None);
    assert_eq!((subscription.notice(), subscription.notice()), (Some(Status::Silent), None));
    subscription.seen(at(20), &seen(2));
    subscription.step(at(30));
    assert_eq!(subscription.notice(), None, "said already");
    subscription.event_came();
    assert_eq!(subscription.notice(), Some(Status::Arriving));
}

#[test]
fn a_first_event_before_the_answer_counts() {
    let mut subscription = Subscription::default();
    subscription.seen(at(0), &seen(1));
    subscription.step(at(0));
    subscription.event_came();
    subscription.answered(at(0), Ok(granted("a", 1800)));
    assert_eq!(subscription.deadline(), Some(at(900)));
}

#[test]
fn a_change_without_an_event_is_told_unless_the_event_is_only_late() {
    for late in [false, true] {
        let mut subscription = active();
        subscription.seen(at(300), &seen(2));
        if late {
            subscription.event_came();
        }
        subscription.step(at(302));
        assert_eq!(subscription.notice(), (!late).then_some(Status::Missed));
    }
    let mut subscription = active();
    subscription.event_came();
    subscription.seen(at(300), &seen(2));
    subscription.step(at(400));
    assert_eq!(subscription.notice(), None, "the event came first");
}

#[test]
fn a_gateway_without_events_is_told_once() {
    let mut subscription = Subscription::default();
    for second in 0..5 {
        subscription.seen(at(second), &PollResult { events: None, ..seen(1) });
        assert_eq!((subscription.step(at(second)), subscription.deadline()), (None, None));
    }
    assert!(matches!(subscription.notice(), Some(Status::None(_))));
    assert_eq!(subscription.notice(), None);
}

#[test]
fn whoever_feigns_restarts_gains_few_subscriptions() {
    let (mut subscription, mut count) = (active(), 0);
    for second in 1..3600 {
        subscription.gateway_restarted(at(second));
        subscription.seen(at(second), &unreached());
        subscription.seen(at(second), &seen(1));
        while let Some(step) = subscription.step(at(second)) {
            if let NextRequest::Subscribe(_) = step {
                count += 1;
                subscription.answered(at(second), Ok(granted("a", 1800)));
                subscription.event_came();
            }
        }
    }
    assert!((5..=65).contains(&count), "{count}");
    assert!(subscription.notices.len() <= 1);
}
