//! The disk with the state file, which may lose what was not flushed.

use ddns_update_daemon::engine::state::{State, TITLE};

pub(crate) struct Disk {
    text: String,
    /// How much of it survives a power cut.
    durable: usize,
}

impl Disk {
    pub(crate) fn new() -> Self {
        let text = format!("{TITLE}\n");
        Self { durable: text.len(), text }
    }

    pub(crate) fn load(&self) -> State {
        State::parse(&self.text).0
    }

    pub(crate) fn append(&mut self, lines: &str, flush: bool, whole: &dyn Fn() -> String) {
        self.text.push_str(lines);
        if flush && self.text.len() > 64 * 1024 {
            self.text = format!("{TITLE}\n{}", whole());
        }
        if flush {
            self.durable = self.text.len();
        }
    }

    /// The power is cut: of what was not flushed only so much, in thousandths, is left.
    pub(crate) fn cut(&mut self, thousandths: usize) {
        let lost = (self.text.len() - self.durable) * (1000 - thousandths) / 1000;
        let mut end = self.text.len() - lost;
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        self.text.truncate(end);
        // Half a line is left out, and must not become the beginning of another.
        self.text.truncate(self.text.rfind('\n').map_or(0, |end| end + 1));
        let end = self.text.len();
        self.durable = end.min(self.durable);
    }
}
