//! Properties of what is shown of a server's words.

use ddns_update_daemon::quote::{self, Secrets};

use super::settings::write_base64;

/// No three characters in a row of a secret survive, nor four of it in base64,
/// whatever stands around them.
pub(super) fn said(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Some((secret, said)) = text.split_once('\n') else { return };
    check(secret, said);
    let base64 = write_base64(secret.as_bytes());
    let each = |form: fn(u8) -> String| secret.bytes().map(form).collect::<String>();
    for spelling in [
        secret.to_owned(),
        secret.to_uppercase(),
        secret.chars().rev().collect(),
        secret.split("").collect::<Vec<_>>().join(" "),
        write_base64(format!("me:{secret}").as_bytes()),
        base64,
        each(|byte| format!("%{byte:02x}")),
        each(|byte| format!("&#{byte};")),
        each(|byte| format!("&#x{byte:X};")),
        each(|byte| format!("\\u{byte:04x}")),
        each(|byte| format!("{byte:02x} ")),
        each(|byte| format!("{byte} ")),
    ] {
        check(secret, &format!("{said}{spelling}"));
        check(secret, &format!("{spelling}{said}"));
    }
}

fn check(secret: &str, said: &str) {
    let shown = quote::said(said, &Secrets::new([secret]), []);
    assert!(shown.chars().count() <= 200 && !shown.contains('\n'), "{shown}");
    let base64 = bare(&write_base64(secret.as_bytes()));
    for piece in shown.split('…') {
        let (exact, plain) = (bare(piece), lower(piece));
        assert!(!share(&plain, &lower(secret), 3), "{secret:?} in {shown}");
        assert!(!share(&exact, &base64, 4), "{secret:?} in {shown}");
    }
}

fn share(one: &[char], other: &[char], size: usize) -> bool {
    one.windows(size).any(|piece| other.windows(size).any(|known| known == piece))
}

fn bare(text: &str) -> Vec<char> {
    text.chars().filter(|c| c.is_alphanumeric()).collect()
}

fn lower(text: &str) -> Vec<char> {
    bare(text).into_iter().map(|c| c.to_lowercase().next().unwrap_or(c)).collect()
}
