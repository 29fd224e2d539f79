//! Files that a configuration names, and secrets that may stand in one.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use super::section::{Section, Value};

/// Reads the text of a file, or says why not.
pub type ReadFile<'a> = dyn Fn(&Path) -> Result<String, String> + 'a;

/// The files beside a configuration.
pub(super) struct Files<'a> {
    pub(super) folder: &'a Path,
    read: &'a ReadFile<'a>,
    config: &'a Path,
    with_secrets: RefCell<Vec<PathBuf>>,
}

/// A text, with the value it came from for errors.
pub(super) struct TextFrom<'a> {
    pub(super) text: String,
    pub(super) value: Value<'a>,
}

impl<'a> Files<'a> {
    /// Relative paths start at the folder of the `config` file; where that is a
    /// pipe (`/dev/fd/63`, `/dev/stdin`), at the working directory.
    pub(super) fn beside(config: &'a Path, read: &'a ReadFile<'a>) -> Self {
        let pipe = config.starts_with("/dev") || config.starts_with("/proc");
        let folder = config.parent().filter(|_| !pipe).unwrap_or(Path::new(""));
        Self { folder, read, config, with_secrets: RefCell::default() }
    }

    pub(super) fn path(&self, value: &Value<'_>) -> Option<PathBuf> {
        Some(self.folder.join(value.line()?))
    }

    /// The path and the text of the file that a value names.
    pub(super) fn read(&self, value: &Value<'_>) -> Option<(PathBuf, String)> {
        let path = self.path(value)?;
        match (self.read)(&path) {
            Ok(text) => Some((path, text)),
            Err(why) => value.refuse(&why),
        }
    }

    /// Like [`Self::read`]; but a value that looks like no path might be the
    /// secret itself, put in the wrong place, and is not shown.
    pub(super) fn read_secret(&self, value: &Value<'_>) -> Option<String> {
        let text = value.hidden_text()?;
        self.note(&self.folder.join(text));
        if text.contains(['/', '\\', '.']) && !text.contains("://") {
            return self.read(value).map(|(_, text)| text);
        }
        match (self.read)(&self.folder.join(text)) {
            Ok(text) => Some(text),
            Err(why) => value.refuse_hidden(&why),
        }
    }

    /// A text that stands in `key`, or in the file that `file_key` names.
    pub(super) fn text<'v>(
        &self,
        section: &mut Section<'v>,
        key: &'static str,
        file_key: &'static str,
    ) -> Option<TextFrom<'v>> {
        match (section.take(key), section.take(file_key)) {
            (Some(_), Some(file)) => file.refuse_key(&format!("{key:?} is given too; keep one of the two")),
            (Some(value), None) => Some(TextFrom { text: value.hidden_text()?.to_owned(), value }),
            (None, Some(value)) => {
                let text = self.read_secret(&value)?;
                let text = text.trim_end_matches(['\r', '\n']).to_owned();
                if text.is_empty() {
                    return value.refuse_hidden("this file is empty");
                }
                Some(TextFrom { text, value })
            }
            (None, None) => None,
        }
    }

    /// The same for a text that must be there.
    pub(super) fn require<'v>(
        &self,
        section: &mut Section<'v>,
        key: &'static str,
        file_key: &'static str,
    ) -> Option<TextFrom<'v>> {
        let given = section.has(key) || section.has(file_key);
        let found = self.text(section, key, file_key);
        if !given {
            section.refuse(&format!("{key} or {file_key} is missing"));
        }
        found
    }

    /// Remembers that a secret stands in the configuration file itself.
    pub(super) fn saw_inline_secret(&self) {
        self.note(self.config);
    }

    fn note(&self, path: &Path) {
        let mut paths = self.with_secrets.borrow_mut();
        if !paths.iter().any(|known| known == path) {
            paths.push(path.to_owned());
        }
    }

    /// The files that hold secrets.
    pub(super) fn with_secrets(&self) -> Vec<PathBuf> {
        self.with_secrets.borrow().clone()
    }
}

/// Whether a text is what examples hold in place of a value.
pub(super) fn is_placeholder(text: &str) -> bool {
    let text = text.trim();
    text.is_empty()
        || (text.starts_with('<') && text.ends_with('>'))
        || text.chars().all(|c| matches!(c, '.' | '…' | '*' | 'x' | 'X'))
}
