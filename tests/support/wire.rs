//! A TCP server that reads HTTP requests and answers with whatever bytes, at
//! whatever pace, a script decides. It keeps a record of every connection.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Longer than any client may stay on the line; ends threads of failed tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request as it came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Request {
    /// The value of a header field, or nothing.
    pub(crate) fn field(&self, name: &str) -> &str {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(n, _)| n.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value.trim())
    }
}

/// One connection, from the accept to the close by either side.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) started: Instant,
    pub(crate) ended: Option<Instant>,
    pub(crate) request: Request,
    /// Whether the script called its answer a fault.
    pub(crate) faulty: bool,
    /// Bytes that we sent: that the kernel took from us.
    pub(crate) bytes: u64,
}

impl Exchange {
    pub(crate) fn end(&self) -> Instant {
        self.ended.unwrap_or_else(Instant::now)
    }
}

/// Changes the record of the connection at hand.
type Record<'a> = dyn Fn(&dyn Fn(&mut Exchange)) + 'a;

/// The answering side of a connection.
pub(crate) struct Wire<'a> {
    stream: &'a TcpStream,
    record: &'a Record<'a>,
}

impl Wire<'_> {
    /// Sends all of it; an error means that the client has gone. What went out
    /// before it did is counted.
    pub(crate) fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let count = match self.stream.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            bytes = &bytes[count..];
            let count = u64::try_from(count).unwrap();
            (self.record)(&|exchange| exchange.bytes += count);
        }
        Ok(())
    }

    /// A whole response.
    pub(crate) fn reply(&mut self, status: &str, fields: &str, body: &[u8]) -> io::Result<()> {
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{fields}\r\n",
            body.len()
        );
        self.send(&[head.as_bytes(), body].concat())
    }

    /// Sends byte after byte with a pause behind each, until the client goes.
    pub(crate) fn drip(&mut self, bytes: &[u8], pause: Duration) -> io::Result<()> {
        for byte in bytes {
            self.send(&[*byte])?;
            thread::sleep(pause);
        }
        Ok(())
    }

    /// Says nothing until the client goes.
    pub(crate) fn hold(&mut self) -> io::Result<()> {
        drain(self.stream)
    }

    /// Marks the answer as a fault, for the record.
    pub(crate) fn mark_faulty(&mut self) {
        (self.record)(&|exchange| exchange.faulty = true);
    }
}

/// What a server does with a request.
pub(crate) type Script = Arc<dyn Fn(&Request, &mut Wire<'_>) -> io::Result<()> + Send + Sync>;

/// A listening server; it stops when dropped.
pub(crate) struct Server {
    address: SocketAddr,
    exchanges: Arc<Mutex<Vec<Exchange>>>,
    stop: Arc<AtomicBool>,
    resetting: Arc<AtomicBool>,
    acceptor: Option<thread::JoinHandle<()>>,
}

impl Server {
    /// Listens at `address`, port 0 for any.
    pub(crate) fn start(address: SocketAddr, script: Script) -> Self {
        let resetting = Arc::new(AtomicBool::new(false));
        let reset = Arc::clone(&resetting);
        Self::listen(address, resetting, move |stream, record| {
            if reset.load(Ordering::SeqCst) {
                stream.peek(&mut [0])?;
                record(&|exchange| exchange.faulty = true);
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            let request = read_request(stream)?;
            record(&|exchange| exchange.request = request.clone());
            script(&request, &mut Wire { stream, record })
        })
    }

    /// From now on (or no longer) every connection is reset as soon as a request
    /// comes: a close with unread bytes makes the kernel send RST.
    pub(crate) fn set_resetting(&self, on: bool) {
        self.resetting.store(on, Ordering::SeqCst);
    }

    fn listen<F>(address: SocketAddr, resetting: Arc<AtomicBool>, serve: F) -> Self
    where
        F: Fn(&TcpStream, &Record<'_>) -> io::Result<()> + Send + Sync + 'static,
    {
        let listener =
            TcpListener::bind(address).unwrap_or_else(|e| panic!("cannot listen at {address}: {e}"));
        let address = listener.local_addr().unwrap();
        let exchanges = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (log, stopped, serve) = (Arc::clone(&exchanges), Arc::clone(&stop), Arc::new(serve));
        let acceptor = thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let (log, serve) = (Arc::clone(&log), Arc::clone(&serve));
                thread::spawn(move || converse(&stream, &log, &*serve));
            }
        });
        Self { address, exchanges, stop, resetting, acceptor: Some(acceptor) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Every connection so far, in the order of their beginnings.
    pub(crate) fn exchanges(&self) -> Vec<Exchange> {
        self.exchanges.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the acceptor, so that the port is free when we return.
        drop(TcpStream::connect(self.address));
        if let Some(acceptor) = self.acceptor.take() {
            acceptor.join().unwrap();
        }
    }
}

fn converse(
    stream: &TcpStream,
    log: &Mutex<Vec<Exchange>>,
    serve: &dyn Fn(&TcpStream, &Record<'_>) -> io::Result<()>,
) {
    let index = {
        let mut log = log.lock().unwrap();
        let started = Instant::now();
        log.push(Exchange { started, ended: None, request: Request::default(), faulty: false, bytes: 0 });
        log.len() - 1
    };
    let record = |change: &dyn Fn(&mut Exchange)| change(&mut log.lock().unwrap()[index]);
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    // Errors say that the client went away, which faults provoke.
    if serve(stream, &record).is_ok() && stream.shutdown(Shutdown::Write).is_ok() {
        let _gone = drain(stream);
    }
    record(&|exchange| exchange.ended = Some(Instant::now()));
}

/// Reads until the client closes.
fn drain(mut stream: &TcpStream) -> io::Result<()> {
    let mut buffer = [0; 1024];
    while stream.read(&mut buffer)? > 0 {}
    Ok(())
}

fn read_request(mut stream: &TcpStream) -> io::Result<Request> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some(request) = parse_request(&String::from_utf8_lossy(&bytes)) {
            return Ok(request);
        }
        match stream.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => bytes.extend_from_slice(&buffer[..count]),
        }
    }
}

fn parse_request(text: &str) -> Option<Request> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut words = head.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let request = Request { method, path, head: head.to_owned(), body: body.to_owned() };
    let length = request.field("Content-Length").parse().unwrap_or(0);
    (body.len() >= length).then_some(request)
}
