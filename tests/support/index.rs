//! The index of the corpus of real gateway documents, which lies beside the
//! repository where the project is worked on and in its CI.

use std::fs;
use std::path::PathBuf;

/// One document and what is expected of it.
#[derive(Debug)]
pub(crate) struct Row {
    /// Its path in the corpus, such as `soap/x.xml`.
    pub(crate) file: String,
    /// The column `expected`, as it is.
    pub(crate) expected: String,
    /// The document.
    pub(crate) bytes: Vec<u8>,
}

/// The rows whose file lies in `folder`, such as `soap`. `None` where there is
/// no corpus; in CI that is a failure.
pub(crate) fn rows(folder: &str) -> Option<Vec<Row>> {
    let corpus = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/corpus"));
    let Ok(index) = fs::read_to_string(corpus.join("INDEX.tsv")) else {
        assert!(std::env::var_os("CI").is_none(), "no corpus at {}", corpus.display());
        eprintln!("skipped: no corpus at {}", corpus.display());
        return None;
    };
    let mut lines = index.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let columns = lines.next().expect("the index has a first line");
    let column = |name| columns.iter().position(|column| *column == name).expect("a column of the index");
    let (file, expected) = (column("file"), column("expected"));
    let rows: Vec<_> = lines
        .filter(|fields| fields[file].split('/').next() == Some(folder))
        .map(|fields| Row {
            file: fields[file].to_owned(),
            expected: fields[expected].to_owned(),
            bytes: fs::read(corpus.join(fields[file])).expect("a file of the index"),
        })
        .collect();
    assert!(!rows.is_empty(), "no rows in {folder}");
    Some(rows)
}
