//! What a person asks of a running daemon, as text.

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Request {
    /// Tells answers apart: the process that asks.
    pub id: u32,
    pub kind: RequestKind,
    /// A label or host name; `None`: every target.
    pub name: Option<String>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RequestKind {
    /// Try again what is blocked or waits.
    Retry,
    /// Send although it is unchanged.
    Update,
    /// Write the status file.
    Status,
}

impl RequestKind {
    const ALL: [(Self, &str); 3] =
        [(Self::Retry, "retry"), (Self::Update, "update"), (Self::Status, "status")];

    /// As it is written on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or("", |(_, word)| word)
    }
}

impl Request {
    #[must_use]
    pub fn write(&self) -> String {
        format!("{} {}\n{}\n", self.id, self.kind.word(), self.name.as_deref().unwrap_or_default())
    }

    /// Reads what [`Self::write`] writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (first, name) = text.strip_suffix('\n')?.split_once('\n')?;
        let (id, word) = first.split_once(' ')?;
        let (kind, _) = RequestKind::ALL.into_iter().find(|(_, known)| *known == word)?;
        if name.contains(char::is_control) {
            return None;
        }
        Some(Self { id: id.parse().ok()?, kind, name: Some(name.to_owned()).filter(|name| !name.is_empty()) })
    }
}

/// The longest text of an answer, in characters: its file has a limit.
const MAX_TEXT: usize = 1000;

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer {
    pub id: u32,
    pub done: bool,
    /// What is told the person.
    pub text: String,
}

impl Answer {
    #[must_use]
    pub fn write(&self) -> String {
        let text: String = self.text.chars().take(MAX_TEXT).collect();
        format!("{} {}\n{text}\n", self.id, if self.done { "done" } else { "not done" })
    }

    /// Reads what [`Self::write`] writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (first, text) = text.strip_suffix('\n')?.split_once('\n')?;
        let (id, word) = first.split_once(' ')?;
        Some(Self { id: id.parse().ok()?, done: word == "done", text: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_answers_survive_as_text() {
        let request = Request { id: 77, kind: RequestKind::Retry, name: Some("A home.example.org".into()) };
        assert_eq!(request.write(), "77 retry\nA home.example.org\n");
        assert_eq!(Request::parse(&request.write()), Some(request));
        let all = Request { id: 1, kind: RequestKind::Update, name: None };
        assert_eq!(Request::parse("1 update\n\n"), Some(all));
        for wrong in [
            "",
            "77",
            "77 retry",
            "77 retry\n",
            "x retry\n\n",
            "1 stop\n\n",
            "1 retry\na\nb\n",
            "1 retry\n\u{1b}[2J\n",
        ] {
            assert_eq!(Request::parse(wrong), None, "{wrong:?}");
        }
        let answer = Answer { id: 77, done: false, text: "no\nsuch target".into() };
        assert_eq!(Answer::parse(&answer.write()), Some(answer));
    }
}
