//! What a `records` section names: one name or several, one type or both.

use super::section::{Section, Value};

/// The values of `name` or `names`.
pub(super) fn names<'a>(section: &mut Section<'a>) -> Vec<Value<'a>> {
    several(section, "name", "names")
}

/// What `type` or `types` says: AAAA instead of A, for each.
pub(super) fn types(section: &mut Section<'_>) -> Vec<bool> {
    let mut types = Vec::new();
    for value in several(section, "type", "types") {
        match read_type(&value) {
            Some(aaaa) if types.contains(&aaaa) => value.refuse("this type is listed twice").unwrap_or(()),
            aaaa => types.extend(aaaa),
        }
    }
    types
}

fn several<'a>(section: &mut Section<'a>, one: &'static str, many: &'static str) -> Vec<Value<'a>> {
    match (section.take(one), section.take(many)) {
        (Some(_), Some(list)) => {
            list.refuse_key::<()>(&format!("{one:?} is given too; keep one of the two"));
            Vec::new()
        }
        (Some(value), None) if value.is_list() => {
            value.refuse::<()>(&format!("expected one text in quotes; a list is written {many} = [...]"));
            Vec::new()
        }
        (Some(value), None) => vec![value],
        (None, Some(list)) => {
            let entries = list.list();
            if entries.as_ref().is_some_and(Vec::is_empty) {
                list.refuse::<()>("expected at least one entry");
            }
            entries.unwrap_or_default()
        }
        (None, None) => {
            section.refuse(&format!("{one} is missing"));
            Vec::new()
        }
    }
}

fn read_type(value: &Value<'_>) -> Option<bool> {
    match value.text()? {
        "A" => Some(false),
        "AAAA" => Some(true),
        "a" | "aaaa" => value.refuse("expected \"A\" or \"AAAA\", in capitals"),
        _ => value.refuse("expected \"A\" (IPv4) or \"AAAA\" (IPv6)"),
    }
}
