//! Jobs of one change share connections, and connect while the disk is waited for.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use ddns_update_daemon::address::Addresses;
use ddns_update_daemon::config::{self, Config};
use ddns_update_daemon::daemon::jobs::{Job, SharedClient};
use ddns_update_daemon::system::closer::Closer;
use ddns_update_daemon::updaters::run::Standing;
use ddns_update_daemon::updaters::{Outcome, Task};

/// No test waits for it.
const PATIENT: Duration = Duration::from_secs(20);

fn read_request(stream: &mut TcpStream) -> Option<String> {
    let (mut text, mut byte) = (String::new(), [0]);
    while !text.ends_with("\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        text.push(char::from(byte[0]));
    }
    Some(text)
}

/// Answers `most` requests of each connection, then closes it at the next without a
/// word; tells the connection and the first line of each request.
fn server(most: usize) -> (u16, mpsc::Receiver<(usize, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, requests) = mpsc::channel();
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let (mut stream, sender) = (stream.unwrap(), sender.clone());
            thread::spawn(move || {
                for served in 0.. {
                    let Some(request) = read_request(&mut stream) else { return };
                    sender.send((number, request.lines().next().unwrap().to_owned())).unwrap();
                    if served == most {
                        return;
                    }
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood").unwrap();
                }
            });
        }
    });
    (port, requests)
}

fn sections(port: u16, method: &str, count: usize) -> Config {
    let section =
        |n| format!("[[urls]]\nmethod = \"{method}\"\nurl = \"http://127.0.0.1:{port}/{n}?ip={{ipv4}}\"\n");
    let text: String = (0..count).map(section).collect();
    config::parse(&text, Path::new("c.toml"), &|_| Err(String::new())).unwrap()
}

fn perform(config: &Config, group: usize, client: &SharedClient) -> Vec<(usize, Outcome)> {
    let addresses = Addresses { ipv4: Some([192, 0, 2, 9].into()), ..Addresses::default() };
    let task = Task { entry: 0, addresses, old: Addresses::default() };
    Job::new(config.groups.get(group).unwrap()).perform(vec![task], client, &Standing::default())
}

#[test]
fn targets_at_one_server_share_a_connection() {
    for method in ["GET", "POST"] {
        let (port, requests) = server(100);
        let config = sections(port, method, 6);
        let client = SharedClient::new(&config);
        let numbers = |jobs: usize| -> Vec<usize> {
            (0..jobs).for_each(|group| {
                // Each job has a closer of its own, which is dropped with it.
                let outcomes = perform(&config, group, &client.ended_by(&Closer::default()));
                assert_eq!(outcomes, [(0, Outcome::Published { changed: true })]);
            });
            requests.try_iter().map(|(number, _)| number).collect()
        };
        assert_eq!(numbers(6), [0; 6], "{method}");
        client.rest();
        assert_eq!(numbers(2), [1; 2], "{method}: another change");
    }
}

/// RFC 9112, section 9.3.1: only what is safe to repeat is repeated by itself.
#[test]
fn a_connection_that_dies_under_a_request_repeats_only_a_question() {
    let (port, requests) = server(1);
    let arrived = || requests.try_iter().map(|(number, _)| number).collect::<Vec<_>>();
    let config = sections(port, "GET", 2);
    let client = SharedClient::new(&config);
    for group in 0..2 {
        assert_eq!(perform(&config, group, &client), [(0, Outcome::Published { changed: true })]);
    }
    assert_eq!(arrived(), [0, 0, 1]);
    let config = sections(port, "POST", 2);
    let client = SharedClient::new(&config);
    assert_eq!(perform(&config, 0, &client), [(0, Outcome::Published { changed: true })]);
    let [(0, Outcome::Retry { reached: true, .. })] = perform(&config, 1, &client)[..] else {
        panic!("it may have been done");
    };
    assert_eq!(arrived(), [2, 2]);
}

/// Answers one request a connection and closes it, as servers do that keep none.
#[test]
fn a_connection_that_its_server_has_closed_is_not_used() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = sections(listener.local_addr().unwrap().port(), "POST", 3);
    let (sender, closed) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = read_request(&mut stream).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood").unwrap();
            drop(stream);
            sender.send(()).unwrap();
        }
    });
    let client = SharedClient::new(&config);
    for group in 0..3 {
        assert_eq!(perform(&config, group, &client), [(0, Outcome::Published { changed: true })]);
        closed.recv().unwrap();
    }
}

#[test]
fn closing_a_job_that_has_ended_does_not_end_the_connection_that_it_left() {
    let (port, requests) = server(100);
    let config = sections(port, "POST", 2);
    let client = SharedClient::new(&config);
    let first = Closer::default();
    perform(&config, 0, &client.ended_by(&first));
    first.close();
    let second = Closer::default();
    perform(&config, 1, &client.ended_by(&second));
    assert_eq!(requests.try_iter().map(|(number, _)| number).collect::<Vec<_>>(), [0, 0]);
    let closed = Closer::default();
    closed.close();
    let [(0, Outcome::Retry { reached: false, .. })] = perform(&config, 0, &client.ended_by(&closed))[..]
    else {
        panic!("a closed job sent something");
    };
    assert_eq!(requests.try_iter().count(), 0);
}

#[test]
fn a_held_job_connects_and_asks_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = sections(listener.local_addr().unwrap().port(), "GET", 1);
    let closer = Closer::default();
    closer.hold();
    let client = SharedClient::new(&config).ended_by(&closer);
    let job = thread::spawn(move || perform(&config, 0, &client));
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_nonblocking(true).unwrap();
    assert_eq!(stream.peek(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    closer.release();
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(PATIENT)).unwrap();
    assert!(read_request(&mut stream).unwrap().starts_with("GET /0?ip=192.0.2.9 "));
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood").unwrap();
    assert_eq!(job.join().unwrap(), [(0, Outcome::Published { changed: true })]);
}

#[test]
fn an_overtaken_job_that_has_connected_asks_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = sections(listener.local_addr().unwrap().port(), "GET", 1);
    let closer = Closer::default();
    closer.hold();
    let client = SharedClient::new(&config).ended_by(&closer);
    let job = thread::spawn(move || perform(&config, 0, &client));
    let (mut stream, _) = listener.accept().unwrap();
    closer.overtake();
    stream.set_read_timeout(Some(PATIENT)).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    let outcomes = job.join().unwrap();
    let [(0, Outcome::Retry { why, reached: false, .. })] = &outcomes[..] else { panic!("{outcomes:?}") };
    assert_eq!(why, "the job was overtaken: a newer address is sent beside it");
}

#[test]
fn an_overtaken_request_takes_its_answer_and_follows_nobody_elsewhere() {
    for (answer, done) in
        [("200 OK\r\nContent-Length: 4\r\n\r\ngood", true), ("307 No\r\nLocation: /a", false)]
    {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let config = sections(listener.local_addr().unwrap().port(), "GET", 1);
        let closer = Closer::default();
        let client = SharedClient::new(&config).ended_by(&closer);
        let job = thread::spawn(move || perform(&config, 0, &client));
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENT)).unwrap();
        read_request(&mut stream).unwrap();
        closer.overtake();
        stream.write_all(format!("HTTP/1.1 {answer}\r\n\r\n").as_bytes()).unwrap();
        assert!(read_request(&mut stream).is_none());
        let outcomes = job.join().unwrap();
        let [(0, outcome)] = &outcomes[..] else { panic!("{outcomes:?}") };
        assert_eq!(*outcome == Outcome::Published { changed: true }, done, "{outcome:?}");
        listener.set_nonblocking(true).unwrap();
        assert!(listener.accept().is_err());
    }
}
