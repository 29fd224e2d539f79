//! What is wrong with a configuration file, and where.

use std::cell::RefCell;
use std::fmt;
use std::path::Path;

/// More are not shown: the first ones often cause the others.
const MAX_SHOWN: usize = 10;

/// Likewise; a file can hold thousands of the same mistake.
const MAX_WARNINGS: usize = 50;

/// Why a configuration is refused: one line for each problem, as
/// `FILE:LINE:COLUMN: PROBLEM`. It never holds the value of a secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConfigError {
    file: String,
    problems: Vec<Problem>,
    more: usize,
}

/// One problem; lines and columns count from 1, columns in characters.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Problem {
    place: Option<(usize, usize)>,
    text: String,
}

impl ConfigError {
    /// A problem with the file as a whole.
    pub(super) fn whole(file: &Path, text: String) -> Self {
        Self { file: file.display().to_string(), problems: vec![Problem { place: None, text }], more: 0 }
    }

    /// A problem at a byte of `text`.
    pub(super) fn at(file: &Path, text: &str, offset: usize, problem: String) -> Self {
        let problem = Problem { place: Some(place(text, offset)), text: problem };
        Self { file: file.display().to_string(), problems: vec![problem], more: 0 }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}:", self.file)?;
            if let Some((line, column)) = problem.place {
                write!(f, "{line}:{column}:")?;
            }
            write!(f, " {}", problem.text)?;
        }
        if self.more > 0 {
            write!(f, "\n{}: and {} more", self.file, self.more)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// Collects problems and warnings while a file is read, so that a user sees
/// all of them at once.
pub(super) struct Problems<'a> {
    file: &'a Path,
    text: &'a str,
    found: RefCell<Vec<(usize, String)>>,
    stopped: RefCell<Vec<(usize, String)>>,
    warnings: RefCell<Vec<String>>,
}

impl<'a> Problems<'a> {
    pub(super) fn new(file: &'a Path, text: &'a str) -> Self {
        Self {
            file,
            text,
            found: RefCell::default(),
            stopped: RefCell::default(),
            warnings: RefCell::default(),
        }
    }

    /// Notes a problem at a byte of the text.
    pub(super) fn add(&self, offset: usize, problem: String) {
        self.found.borrow_mut().push((offset, problem));
    }

    /// Notes a problem for which a section, or a record, is left out while the
    /// others work: what 1.0 accepted and failed on at run time.
    pub(super) fn stop(&self, offset: usize, problem: String) {
        self.stopped.borrow_mut().push((offset, problem));
    }

    pub(super) fn warn(&self, warning: String) {
        let mut warnings = self.warnings.borrow_mut();
        if warnings.len() < MAX_WARNINGS && !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }

    /// The warnings and what is left out, unless the file as a whole is no use:
    /// something else is wrong, or `nothing_left`.
    pub(super) fn finish(self, nothing_left: bool) -> Result<(Vec<String>, Vec<String>), ConfigError> {
        let mut found = self.found.into_inner();
        let stopped = self.stopped.into_inner();
        if found.is_empty() && (stopped.is_empty() || !nothing_left) {
            let left_out = stopped.into_iter().map(|(offset, text)| {
                let (line, column) = place(self.text, offset);
                format!("{}:{line}:{column}: {text}", self.file.display())
            });
            return Ok((self.warnings.into_inner(), left_out.take(MAX_WARNINGS).collect()));
        }
        found.extend(stopped);
        found.sort();
        found.dedup();
        let more = found.len().saturating_sub(MAX_SHOWN);
        found.truncate(MAX_SHOWN);
        let problems = found
            .into_iter()
            .map(|(offset, text)| Problem { place: Some(place(self.text, offset)), text })
            .collect();
        Err(ConfigError { file: self.file.display().to_string(), problems, more })
    }
}

/// Line and column of a byte.
fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
    let line = before.split(|byte| *byte == b'\n').count();
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end.saturating_add(1));
    let column = String::from_utf8_lossy(before.get(start..).unwrap_or_default()).chars().count();
    (line, column.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_lines_and_characters_from_one() {
        let text = "ä = 1\r\nbö = 2\n";
        for (offset, expected) in [(0, (1, 1)), (5, (1, 5)), (8, (2, 1)), (13, (2, 5)), (999, (3, 1))] {
            assert_eq!(place(text, offset), expected, "{offset}");
        }
    }

    #[test]
    fn problems_are_sorted_and_their_number_is_limited() {
        let text = "\n".repeat(30);
        let problems = Problems::new(Path::new("c.toml"), &text);
        for line in (0..15).rev() {
            problems.add(line, "wrong".into());
            problems.add(line, "wrong".into());
        }
        let shown = problems.finish(true).unwrap_err().to_string();
        assert!(shown.starts_with("c.toml:1:1: wrong\nc.toml:2:1: wrong\n"), "{shown}");
        assert!(shown.ends_with("c.toml:10:1: wrong\nc.toml: and 5 more"), "{shown}");
    }
}
