//! The server that stands in for a provider, and what arrived at it.

use super::*;

/// A request as it arrived, decoded.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Arrived {
    pub(super) method: String,
    pub(super) path: String,
    /// Parameters of query and body; a piece without a sign has no value.
    pub(super) query: Vec<(String, Option<String>)>,
    pub(super) form: Vec<(String, Option<String>)>,
    pub(super) json: Option<Value>,
    /// Of the provider.
    pub(super) host: String,
    pub(super) headers: BTreeMap<String, String>,
}

pub(super) fn parameters(text: &str, decode: bool) -> Vec<(String, Option<String>)> {
    let decode = |text: &str| if decode { percent_decoded(text) } else { text.to_owned() };
    text.split('&')
        .filter(|piece| !piece.is_empty())
        .map(|piece| match piece.split_once('=') {
            Some((key, value)) => (decode(key), Some(decode(value))),
            None => (decode(piece), None),
        })
        .collect()
}

/// As a form decoder does it: a plus sign is a blank.
fn percent_decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.bytes());
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let hex: Vec<u8> = rest.by_ref().take(2).collect();
                u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap()
            }
            b'+' => b' ',
            byte => byte,
        });
    }
    String::from_utf8(bytes).unwrap()
}

pub(super) fn base64_decoded(text: &str) -> String {
    let digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut count, mut bytes) = (0_u32, 0, Vec::new());
    for digit in text.trim_end_matches('=').chars() {
        bits = (bits << 6) | u32::try_from(digits.find(digit).unwrap()).unwrap();
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from((bits >> count) & 255).unwrap());
        }
    }
    String::from_utf8(bytes).unwrap()
}

fn receive(stream: &TcpStream) -> Arrived {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    // To a proxy, the whole URL is sent.
    let (host, path) = words[1].strip_prefix("http://").unwrap_or(words[1]).split_once('/').unwrap();
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        assert!(headers.insert(name.to_ascii_lowercase(), value.to_owned()).is_none(), "{name} twice");
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let raw = query.starts_with("t0k");
    let is_json = headers.get("content-type").is_some_and(|kind| kind == "application/json");
    let body = std::str::from_utf8(&body).unwrap();
    Arrived {
        method: words[0].to_owned(),
        host: host.strip_suffix(":80").unwrap_or(host).to_owned(),
        path: format!("/{}", percent_decoded(path)),
        query: if raw { vec![(query.to_owned(), None)] } else { parameters(query, true) },
        form: if is_json { Vec::new() } else { parameters(body, true) },
        json: is_json.then(|| serde_json::from_str(body).unwrap()),
        headers,
    }
}

/// Answers one request after the other with what is sent to it, and reports
/// what arrived.
pub(super) struct StandIn {
    pub(super) port: u16,
    pub(super) arrived: Receiver<Arrived>,
    pub(super) answers: mpsc::Sender<(u16, String)>,
}

impl StandIn {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (report, arrived) = mpsc::channel();
        let (answers, next) = mpsc::channel::<(u16, String)>();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                report.send(receive(&stream)).unwrap();
                let Ok((status, body)) = next.recv() else { return };
                let head = format!(
                    "HTTP/1.1 {status} x\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                stream.write_all((head + &body).as_bytes()).unwrap();
            }
        });
        Self { port, arrived, answers }
    }

    /// Sends a request here that is meant for the preset's host.
    pub(super) fn carry(
        &self,
        request: &Request,
        answer: (u16, String),
        web: &HttpClient,
    ) -> (Reply, Arrived) {
        // Without TLS, as this has no certificate of the provider; and it has one
        // family, while that the right one is asked for is a unit test.
        let url = request.url.replacen("https://", "http://", 1);
        let here = Request { url, family: None, ..request.clone() };
        self.answers.send(answer).unwrap();
        let reply = web.send(&here, Duration::from_secs(20)).unwrap();
        (reply, self.arrived.recv().unwrap())
    }

    /// The way to all providers, which leads here.
    pub(super) fn web(&self) -> HttpClient {
        let text = format!("proxy = \"http://127.0.0.1:{}\"\n[[runs]]\ncmd = [\"true\"]", self.port);
        let config = config::parse(&text, Path::new("c.toml"), &|_| Err(String::new())).unwrap();
        HttpClient::with_proxies(&Tls::default(), config.proxies).unwrap()
    }
}
