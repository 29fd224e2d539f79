//! The limits: one list that the page, the code and the tests of their effect share.

use std::fs;

/// A row of the table in SECURITY.md; the constants that hold it, as `FILE NAME: ... = ...;`;
/// the tests that see its effect, as `FILE NAME`.
type Limit = (&'static str, &'static str, &'static [&'static str], &'static [&'static str]);

const LIMITS: &[Limit] = &[
    (
        "a poll of a gateway, in all",
        "5 s; a slow one is waited for beside it, 15 s",
        &[
            "src/sources/mod.rs POLL_TIMEOUT: Duration = Duration::from_millis(4500);",
            "src/sources/candidates.rs CANDIDATE_TIME: Duration = Duration::from_secs(15);",
        ],
        &["tests/slow_router.rs the_daemon_publishes_within_15_s_and_sees_each_change"],
    ),
    (
        "one exchange with it",
        "4 s",
        &["src/sources/candidates.rs ANSWER_TIME: Duration = Duration::from_secs(4);"],
        &["tests/soap_client.rs a_mute_peer_costs_no_more_than_the_deadline"],
    ),
    (
        "HTTP head / fields",
        "8 KiB / 64",
        &["src/http/head.rs MAX_HEAD: usize = 8 * 1024;", "src/http/head.rs MAX_FIELDS: usize = 64;"],
        &[
            "src/http/head.rs heads_have_limits",
            "src/http/response.rs a_head_that_does_not_end_is_refused_at_its_limit",
        ],
    ),
    (
        "description / SOAP answer",
        "64 KiB / 16 KiB",
        &[
            "src/soap/envelope.rs MAX_DESCRIPTION: usize = 64 * 1024;",
            "src/soap/envelope.rs MAX_REPLY: usize = 16 * 1024;",
        ],
        &[
            "src/http/response.rs long_bodies_are_refused_before_they_are_kept",
            "tests/soap_client.rs endless_answers_are_cut_off",
        ],
    ),
    (
        "XML depth / elements / text",
        "32 / 4096 / 1 KiB, then cut",
        &[
            "src/soap/xml.rs MAX_DEPTH: usize = 32;",
            "src/soap/xml.rs MAX_ELEMENTS: usize = 4096;",
            "src/soap/xml.rs MAX_TEXT: usize = 1024;",
        ],
        &[
            "src/soap/xml.rs every_limit_holds_and_its_last_value_passes",
            "src/soap/xml.rs a_long_text_is_cut_and_says_so",
        ],
    ),
    (
        "services in a description / asked",
        "64 / 8",
        &["src/soap/description.rs MAX_SERVICES: usize = 64;", "src/soap/gateway.rs MAX_ASKED: usize = 8;"],
        &[
            "src/soap/description.rs no_more_services_are_kept_than_the_limit",
            "src/soap/gateway/tests.rs a_thorough_survey_asks_every_service_up_to_the_limit",
        ],
    ),
    (
        "URL",
        "512 bytes",
        &["src/http/lan_url.rs MAX_URL: usize = 512;"],
        &["src/http/lan_url.rs everything_else_is_refused_with_its_reason"],
    ),
    (
        "polls because of the kernel",
        "10 at once, then one in 0.5 s; 3 and one in 2 s more that found something new (no packet)",
        &["src/backoff.rs NOTICES: Self = Self::new(10, Duration::from_millis(500));"],
        &["src/backoff.rs notices_count_ten_times_at_once_and_then_twice_a_second"],
    ),
    (
        "polls because of hints",
        "3 at once, then one in 2 s; as many again that found something new; while a poll finds nothing, 4 quick ones more in 6 s",
        &[
            "src/backoff.rs HINTS: Self = Self::new(3, Duration::from_secs(2));",
            "src/backoff.rs EARLY_POLL: [Duration; 4] = [",
            "src/engine/mod.rs EARLY_REST: Duration = Duration::from_secs(6);",
        ],
        &[
            "src/backoff.rs hints_count_three_times_at_once_and_then_every_other_second",
            "src/engine/tests/hints.rs a_flood_of_hints_costs_three_polls_and_then_one_in_two_seconds",
            "src/engine/tests/hints.rs a_flood_of_hints_that_are_true_costs_twice_as_much",
        ],
    ),
    (
        "connections to the listener at once",
        "4; more of the gateway's count as a hint each",
        &["src/gena/listener.rs MAX_CONNECTIONS: usize = 4;"],
        &["tests/events.rs connections_that_say_nothing_hide_no_event"],
    ),
    (
        "head of an event / time for it",
        "8 KiB / 2 s",
        &[
            "src/http/head.rs MAX_HEAD: usize = 8 * 1024;",
            "src/gena/listener.rs TIME: Duration = Duration::from_secs(2);",
        ],
        &["src/http/head.rs heads_have_limits", "tests/events.rs connections_that_say_nothing_hide_no_event"],
    ),
    (
        "body of an event, dropped",
        "16 KiB, 1 s",
        &[
            "src/gena/listener.rs MAX_BODY: usize = 16 * 1024;",
            "src/gena/listener.rs BODY_TIME: Duration = Duration::from_secs(1);",
        ],
        &["tests/events.rs a_body_without_end_is_cut_off"],
    ),
    (
        "subscriptions",
        "5 at once, then one a minute",
        &["src/backoff.rs SUBSCRIPTIONS: Self = Self::new(5, Duration::from_secs(60));"],
        &["src/gena/subscription/tests.rs whoever_feigns_restarts_gains_few_subscriptions"],
    ),
    (
        "announcement (NAT-PMP, PCP)",
        "1100 bytes",
        &["src/natpmp/message.rs MAX_DATAGRAM: usize = 1100;"],
        &["src/natpmp/message.rs other_messages_are_told_apart"],
    ),
    (
        "datagram",
        "2 KiB",
        &["src/ssdp/message.rs MAX_DATAGRAM: usize = 2048;"],
        &["src/ssdp/message.rs every_other_message_is_refused_with_its_reason"],
    ),
    (
        "LOCATIONs of one search under examination at once / in all",
        "8, and 4 of its unicast part / 48",
        &[
            "src/ssdp/filter.rs MAX_LOCATIONS: usize = 8;",
            "src/ssdp/filter.rs RESERVED: usize = 4;",
            "src/ssdp/filter.rs MAX_TRIES: usize = 48;",
        ],
        &[
            "src/ssdp/filter.rs places_are_kept_free_for_the_gateway",
            "src/ssdp/filter.rs a_place_that_fails_makes_room_up_to_a_bound",
        ],
    ),
    (
        "NAT-PMP is waited for by the main thread",
        "20 ms",
        &["src/sources/upnp.rs AT_ONCE: Duration = Duration::from_millis(20);"],
        &["tests/natpmp.rs who_has_little_time_leaves_a_slow_gateway_to_others"],
    ),
    (
        "NAT-PMP confirms what SOAP told",
        "3 polls, 11 where events arrive; 20 min at most",
        &[
            "src/sources/confirmation.rs SOAP_EVERY: u32 = 4;",
            "src/sources/confirmation.rs SOAP_EVERY_WITH_EVENTS: u32 = 12;",
            "src/sources/confirmation.rs SOAP_WITHIN: Duration = Duration::from_secs(20 * 60 + 5);",
        ],
        &[
            "src/sources/confirmation.rs three_polls_of_four_are_confirmed_and_eleven_of_twelve_with_events",
            "src/sources/confirmation.rs polls_that_are_rare_are_confirmed_for_twenty_minutes",
        ],
    ),
    (
        "one request to an echo service / its answer",
        "10 s / 2 KiB",
        &[
            "src/sources/echo.rs TIME: Duration = Duration::from_secs(10);",
            "src/sources/echo_answer.rs MAX_ANSWER: usize = 2048;",
        ],
        &["tests/echo.rs a_silent_service_ends_by_its_time", "tests/echo.rs a_huge_answer_is_not_read"],
    ),
    (
        "asks of an echo service",
        "one every 5 min for each family",
        &["src/sources/echo_rate.rs GAP: Duration = Duration::from_secs(5 * 60);"],
        &[
            "src/sources/echo_rate.rs the_gap_is_kept_at_every_interval",
            "tests/echo.rs polls_in_quick_succession_ask_once",
        ],
    ),
    (
        "one request to a provider",
        "120 s, of it 30 s for the name and 30 s for connecting",
        &[
            "src/transport/provider.rs TIMEOUT: Duration = Duration::from_secs(120);",
            "src/transport/stream.rs CONNECT_TIMEOUT: Duration = Duration::from_secs(30);",
        ],
        &["tests/web.rs silence_and_slow_bytes_end_by_the_deadline"],
    ),
    (
        "all requests of a job",
        "10 min",
        &["src/daemon/jobs.rs JOB_TIMEOUT: Duration = Duration::from_secs(600);"],
        &["src/daemon/jobs.rs a_job_without_time_sends_nothing_more"],
    ),
    (
        "redirects of a request",
        "10",
        &["src/transport/provider.rs MAX_REDIRECTS: usize = 10;"],
        &["tests/web.rs redirects_are_followed_on_the_same_host_only"],
    ),
    (
        "a TLS handshake, and what comes before each part of an answer over TLS (tickets)",
        "32 KiB",
        &["src/transport/tls.rs MAX_SILENT: usize = 32 * 1024;"],
        &[
            "tests/web/certificates.rs certificates_of_more_than_32_kib_are_refused",
            "tests/web/connections.rs tickets_of_more_than_32_kib_are_refused",
        ],
    ),
    (
        "servers whose TLS sessions are kept to be resumed, each with its certificates / sessions of each / for how long",
        "4 / 8 / a day",
        &[
            "src/transport/tls.rs MAX_SESSIONS: usize = 4 * 8;",
            "src/transport/tls.rs SESSIONS_LAST: Duration = Duration::from_secs(24 * 60 * 60);",
        ],
        &[
            "tests/web/connections.rs the_sessions_of_four_servers_are_resumed",
            "src/transport/tls.rs sessions_are_forgotten_after_a_day",
        ],
    ),
    (
        "answers above 32 KiB under way at once",
        "2",
        &[
            "src/transport/long_replies.rs MOST: usize = 2;",
            "src/transport/message.rs SHORT_REPLY: usize = 32 * 1024;",
        ],
        &["src/transport/long_replies.rs a_third_waits_for_the_end_of_one"],
    ),
    (
        "head of its answer / fields",
        "16 KiB / 100",
        &[
            "src/transport/provider.rs MAX_HEAD: usize = 16 * 1024;",
            "src/transport/provider.rs MAX_FIELDS: usize = 100;",
        ],
        &[
            "tests/web.rs a_huge_body_is_cut_and_a_huge_head_refused",
            "tests/web.rs a_head_of_14_kb_is_read",
            "tests/web.rs a_head_of_a_hundred_fields_is_read_and_no_longer_one",
        ],
    ),
    (
        "a provider's answer / a page of Cloudflare's records",
        "32 KiB / 1 MiB",
        &[
            "src/transport/message.rs SHORT_REPLY: usize = 32 * 1024;",
            "src/updaters/cloudflare/api.rs LIST_REPLY: usize = 1024 * 1024;",
        ],
        &["tests/web.rs a_huge_body_is_cut_and_a_huge_head_refused"],
    ),
    (
        "of Cloudflare's records: a list / all replies of a job / entries of a page / kept of a name / of all, beyond the first",
        "8 MiB / 64 MiB / 1,000 / 100 / 500",
        &[
            "src/updaters/cloudflare/records.rs MAX_LIST: usize = 8 * 1024 * 1024;",
            "src/updaters/cloudflare/session.rs MAX_BYTES: usize = 64 * 1024 * 1024;",
            "src/updaters/cloudflare/reply.rs MAX_ENTRIES: usize = 1000;",
            "src/updaters/cloudflare/records.rs MAX_ALIKE: usize = 100;",
            "src/updaters/cloudflare/records.rs MAX_SPARE: usize = 500;",
        ],
        &[
            "src/updaters/cloudflare/tests/refusals.rs a_list_is_bounded_in_bytes_and_a_reply_in_entries",
            "src/updaters/cloudflare/tests.rs a_list_without_end_and_a_job_without_end_are_bounded",
            "src/updaters/cloudflare/tests/refusals.rs of_one_name_no_more_than_a_hundred_are_kept",
            "src/updaters/cloudflare/tests/refusals.rs beside_the_first_of_each_name_no_more_than_five_hundred_are_kept",
        ],
    ),
    (
        "one exchange with a name server",
        "30 s",
        &["src/dns/client.rs TIMEOUT: Duration = Duration::from_secs(30);"],
        &["tests/dns_client.rs forged_answers_are_passed_over_until_the_time_is_up"],
    ),
    (
        "a DNS message: records / pointers in a name",
        "512 / 127",
        &["src/dns/message.rs MAX_RECORDS: usize = 512;", "src/dns/message.rs MAX_POINTERS: usize = 127;"],
        &[
            "src/dns/message.rs long_chains_and_names_end",
            "src/dns/message.rs counts_that_promise_too_much_are_refused_at_once",
        ],
    ),
    (
        "datagrams read while waiting for one answer",
        "4096",
        &["src/dns/client.rs MAX_DATAGRAMS: u32 = 4096;"],
        &["tests/dns_client.rs forged_answers_are_passed_over_until_the_time_is_up"],
    ),
    (
        "a program, from before its start",
        "`timeout`, 10 min unless given",
        &["src/config/run.rs DEFAULT_TIMEOUT: u32 = 600;"],
        &["tests/process.rs a_timeout_ends_grandchildren_even_those_that_ignore_the_request"],
    ),
    (
        "telling: sections / messages under way",
        "16 / one each",
        &["src/config/notify.rs MAX_SECTIONS: usize = 16;"],
        &[
            "tests/config_notify.rs mistakes_are_told_with_their_place",
            "tests/notify.rs a_service_that_hangs_holds_up_no_update",
        ],
    ),
    (
        "a message: targets / bytes",
        "20 / 1900",
        &["src/notify/mod.rs MAX_LINES: usize = 20;", "src/notify/mod.rs MAX_TEXT: usize = 1900;"],
        &["src/notify/tests.rs many_targets_are_one_message_with_a_limit"],
    ),
    (
        "one request for it / its answer / a program",
        "30 s / 4 KiB, of which the status counts / 60 s",
        &[
            "src/notify/message.rs TIMEOUT: Duration = Duration::from_secs(30);",
            "src/notify/message.rs MAX_REPLY: usize = 4096;",
            "src/notify/message.rs PROGRAM_TIMEOUT: Duration = Duration::from_secs(60);",
        ],
        &["tests/notify.rs a_service_that_hangs_holds_up_no_update"],
    ),
    (
        "tries of a message",
        "a change 2; others after 50 ms, 1 s, 8 s, 30 s ... 1 h, or as asked",
        &[
            "src/notify/mod.rs CHANGE_TRIES: u32 = 2;",
            "src/backoff.rs QUICK: [Duration; 3] = [Duration::from_millis(50), Duration::from_secs(1), Duration::from_secs(8)];",
            "src/backoff.rs FIRST: Duration = Duration::from_secs(30);",
            "src/backoff.rs LONGEST: Duration = Duration::from_secs(3600);",
        ],
        &[
            "src/backoff.rs unreached_servers_get_three_quick_tries_in_all",
            "src/notify/tests.rs failure_and_recovery_are_kept_until_delivered_a_change_is_tried_twice",
            "src/notify/tests.rs what_the_server_asks_for_is_waited",
        ],
    ),
    (
        "`[monitor]`: connections at once; more are closed unread",
        "8",
        &["src/monitor/listener.rs MAX_CONNECTIONS: usize = 8;"],
        &["tests/monitor.rs a_flood_and_slow_readers_hold_up_neither_updates_nor_others_for_long"],
    ),
    (
        "a head / time for it / for taking the answer / for a body, dropped",
        "8 KiB / 2 s / 5 s / 16 KiB, 1 s",
        &[
            "src/monitor/listener.rs HEAD_TIME: Duration = Duration::from_secs(2);",
            "src/monitor/listener.rs ANSWER_TIME: Duration = Duration::from_secs(5);",
            "src/monitor/listener.rs MAX_BODY: usize = 16 * 1024;",
            "src/monitor/listener.rs BODY_TIME: Duration = Duration::from_secs(1);",
        ],
        &["tests/monitor.rs a_flood_and_slow_readers_hold_up_neither_updates_nor_others_for_long"],
    ),
    (
        "statuses made for it",
        "one in 0.5 s",
        &["src/monitor/listener.rs FRESH: Duration = Duration::from_millis(500);"],
        &["tests/monitor.rs a_flood_and_slow_readers_hold_up_neither_updates_nor_others_for_long"],
    ),
    (
        "tries of a blocked target",
        "one a day, and one for a start, once an hour at most",
        &[
            "src/engine/target/trouble.rs DAY: Duration = Duration::from_secs(24 * 60 * 60);",
            "src/engine/target/trouble.rs START_TRIES: u64 = 60 * 60;",
        ],
        &[
            "src/engine/tests/trouble.rs a_blocked_target_is_tried_once_a_day_and_told_once_a_day",
            "src/engine/tests/trouble.rs a_start_tells_and_tries_a_blocked_target_but_once_an_hour_at_most",
        ],
    ),
    (
        "a wait that a provider asks for",
        "1 s to 24 h; three times in a row it alone decides",
        &[
            "src/backoff.rs SHORTEST_WISH: Duration = Duration::from_secs(1);",
            "src/backoff.rs LONGEST_WISH: Duration = Duration::from_secs(24 * 3600);",
            "src/backoff.rs WISHES: u32 = 3;",
        ],
        &["src/backoff.rs a_wish_is_what_it_says_three_times_in_a_row_and_bounded"],
    ),
    (
        "attempts at a target",
        "30 at once, 30 an hour",
        &["src/backoff.rs ATTEMPTS: Self = Self::new(30, Duration::from_secs(120));"],
        &[
            "tests/dyndns_bounds.rs an_address_that_changes_all_the_time_costs_thirty_updates_an_hour_after_the_first_thirty",
        ],
    ),
    (
        "jobs at once",
        "16, and 64 with those that have taken 5 s; programs one after the other, 30 s each",
        &[
            "src/engine/mod.rs MAX_JOBS: usize = 16;",
            "src/engine/mod.rs MOST_JOBS: usize = 64;",
            "src/engine/target/attempt.rs HANGS: Duration = Duration::from_secs(5);",
            "src/engine/programs.rs TURN: Duration = Duration::from_secs(30);",
        ],
        &[
            "src/engine/tests.rs at_most_sixteen_jobs_run_at_once",
            "src/engine/tests/programs.rs a_program_does_not_wait_longer_than_it_must",
        ],
    ),
    (
        "jobs at once at one server",
        "4 that have taken less than 3 s, 16 in all",
        &[
            "src/engine/servers.rs SIDE_BY_SIDE: usize = 4;",
            "src/engine/servers.rs UNANSWERED: Duration = Duration::from_secs(3);",
            "src/engine/servers.rs MOST: usize = 16;",
        ],
        &[
            "src/engine/tests/servers.rs four_at_one_server_at_once_and_those_of_one_server_together",
            "src/engine/tests/servers.rs what_is_not_answered_holds_up_nobody_and_sixteen_are_the_most",
        ],
    ),
    (
        "connections that wait for the next job of a change",
        "16; none after its end",
        &["src/daemon/jobs.rs MAX_IDLE: usize = 16;"],
        &["tests/connections.rs targets_at_one_server_share_a_connection"],
    ),
    (
        "jobs at once for a target",
        "2, the second for a newer address, 5 s after the first, which sends nothing more from then on",
        &["src/engine/target/attempt.rs HANGS: Duration = Duration::from_secs(5);"],
        &[
            "src/engine/tests/hanging.rs a_newer_address_is_sent_within_five_seconds_beside_a_request_that_hangs",
            "src/engine/tests/hanging.rs what_hangs_sends_nothing_more_from_the_moment_that_the_newer_address_is_sent",
            "src/system/closer.rs an_overtaken_job_sends_nothing_and_hears_the_answer_to_what_it_has_sent",
        ],
    ),
];

fn text(path: &str) -> String {
    fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

#[test]
fn the_page_the_code_and_the_tests_have_the_same_limits() {
    let page = text("SECURITY.md");
    let table = page.split("## Limits\n\n| what | limit |\n| --- | --- |\n").nth(1).unwrap();
    let rows: Vec<_> = table.lines().take_while(|line| line.starts_with('|')).collect();
    let known: Vec<_> = LIMITS.iter().map(|(what, limit, ..)| format!("| {what} | {limit} |")).collect();
    assert_eq!(rows, known);
    for (what, _, constants, tests) in LIMITS {
        for (path, constant) in constants.iter().map(|constant| constant.split_once(' ').unwrap()) {
            assert_eq!(
                text(path).matches(&format!("const {constant}")).count(),
                1,
                "{what}: {path} {constant}"
            );
        }
        assert!(!constants.is_empty() && !tests.is_empty(), "{what}");
        for (path, test) in tests.iter().map(|test| test.split_once(' ').unwrap()) {
            let head = format!("#[test]\nfn {test}() {{");
            assert!(text(path).replace("\n    ", "\n").contains(&head), "{what}: {path} {test}");
        }
    }
}

/// What a host in the local network can do: each row names tests, `FILE \`NAME\`` or rows
/// of a table in one.
#[test]
fn what_a_host_in_the_network_can_do_is_shown_by_tests() {
    let page = text("SECURITY.md");
    let table = page.split("| shown by |\n| --- | --- | --- | --- | --- |\n").nth(1).unwrap();
    let rows: Vec<_> = table.lines().take_while(|line| line.starts_with('|')).collect();
    assert!(rows.len() >= 7, "{rows:?}");
    for row in rows {
        let shown = row.trim_end_matches(" |").rsplit("| ").next().unwrap();
        for (path, names) in shown.split("; ").map(|part| part.split_once(' ').unwrap()) {
            let (names, file) = (names.split('`').skip(1).step_by(2), text(path));
            let mut names = names.peekable();
            assert!(names.peek().is_some(), "{row}");
            for name in names {
                let heads = [format!("fn {name}() {{"), format!("def {name}("), format!("\"{name}\"")];
                assert!(heads.iter().any(|head| file.contains(head)), "{path} has no {name}");
            }
        }
    }
}
