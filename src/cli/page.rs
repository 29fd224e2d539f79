//! Pages of text for people: lines that end at words, columns that fit a terminal; pure.

/// The columns of a terminal that is narrow, and usual.
pub(super) const WIDTH: usize = 80;

/// A page that grows.
#[derive(Default)]
pub(super) struct Page(pub(super) String);

impl Page {
    /// A line of its own.
    pub(super) fn line(&mut self, text: &str) {
        self.at(0, "", text);
    }

    /// A paragraph behind `label`, all its lines `indent` columns from the left; the first
    /// has the label there. What has no spaces is not cut.
    pub(super) fn at(&mut self, indent: usize, label: &str, text: &str) {
        let text = printable(text);
        let mut line = format!("{label:indent$}");
        let mut is_empty = true;
        for word in text.split_whitespace() {
            let length = |text: &str| text.chars().count();
            if !is_empty && length(&line).saturating_add(length(word)) >= WIDTH {
                self.push(&line);
                line = " ".repeat(indent);
                is_empty = true;
            }
            if !is_empty {
                line.push(' ');
            }
            line.push_str(word);
            is_empty = false;
        }
        self.push(&line);
    }

    fn push(&mut self, line: &str) {
        self.0.push_str(line.trim_end());
        self.0.push('\n');
    }
}

/// Without control characters, which would speak to the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_at_words_and_keep_their_indent() {
        let mut page = Page::default();
        page.at(4, "  - ", &"word ".repeat(20));
        page.at(2, "", &"x".repeat(100));
        page.line("");
        page.at(2, "", "a\x1b[2Jb\nc");
        let expected = format!(
            "  - {}\n    {}\n  {}\n\n  a [2Jb c\n",
            ["word"; 15].join(" "),
            ["word"; 5].join(" "),
            "x".repeat(100)
        );
        assert_eq!(page.0, expected);
        assert!(page.0.lines().filter(|line| !line.contains("xx")).all(|line| line.len() <= WIDTH));
    }
}
