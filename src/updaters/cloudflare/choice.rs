//! Which of the records with one name and type is ours, and is it right?

use super::Item;
use super::api::Record;

/// The answer.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Choice<'a> {
    Ours(&'a Record),
    /// There is none, or only such as belong to other entries.
    Missing,
    /// So many, and nothing says which.
    Unclear(usize),
}

/// `matching` have the item's name and type; `taken` are the comments by which
/// other entries of the configuration know theirs. Never a guess: a record is
/// ours by its comment, or because there is no other.
pub(super) fn choose<'a>(item: &Item, matching: Vec<&'a Record>, taken: &[&str]) -> Choice<'a> {
    let count = matching.len();
    if let Some(comment) = &item.record.comment {
        let mut bearing = matching.iter().filter(|record| record.comment == *comment);
        match (bearing.next(), bearing.next()) {
            (Some(ours), None) => return Choice::Ours(ours),
            (Some(_), Some(_)) => return Choice::Unclear(count),
            (None, _) => {}
        }
    }
    let own = item.record.comment.as_deref();
    let free: Vec<&Record> = matching
        .into_iter()
        .filter(|record| own == Some(&record.comment) || !taken.contains(&record.comment.as_str()))
        .collect();
    match free.as_slice() {
        [] => Choice::Missing,
        // Beside the record of another entry, one without our comment may be
        // anyone's.
        &[only] if count == 1 || own.is_none() => Choice::Ours(only),
        _ => Choice::Unclear(count),
    }
}

/// Whether `record` holds the item's address and configured settings.
pub(super) fn holds(record: &Record, item: &Item) -> bool {
    let wanted = &item.record;
    let proxied = wanted.proxied.unwrap_or(record.proxied);
    record.content.parse() == Ok(item.address)
        && proxied == record.proxied
        && wanted.comment.as_ref().is_none_or(|comment| *comment == record.comment)
        // The TTL of a proxied record is always automatic.
        && (proxied || wanted.ttl.is_none_or(|ttl| Some(u64::from(ttl)) == record.ttl))
}
