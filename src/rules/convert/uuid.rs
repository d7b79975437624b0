//! UUIDs that are made of a text (RFC 9562 §5.5).

use aws_lc_rs::digest;

use crate::rules::nearest::hint;

/// The name spaces of RFC 9562 §6.6.
const SPACES: [(&str, &str); 3] = [
    ("dns", "6ba7b8109dad11d180b400c04fd430c8"),
    ("url", "6ba7b8119dad11d180b400c04fd430c8"),
    ("oid", "6ba7b8129dad11d180b400c04fd430c8"),
];

/// A name space: `dns`, `url`, `oid` or a UUID. The error says what is wanted.
pub fn space(name: &str) -> Result<[u8; 16], String> {
    let known = SPACES.iter().find(|(known, _)| *known == name).map(|(_, hex)| (*hex).to_owned());
    let hex = known.unwrap_or_else(|| name.replace('-', "").to_lowercase());
    let bytes = data_encoding::HEXLOWER.decode(hex.as_bytes()).ok();
    bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| {
        let hint = hint(name, SPACES.map(|(known, _)| known));
        format!("uuid5 wants dns, url, oid or a UUID as its name space{hint}")
    })
}

/// The UUID of version 5 of a text.
pub fn five(space: &[u8; 16], text: &str) -> String {
    let mut hash = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(space);
    hash.update(text.as_bytes());
    let mut bytes: Vec<u8> = hash.finish().as_ref().iter().copied().take(16).collect();
    if let [_, _, _, _, _, _, version, _, variant, ..] = bytes.as_mut_slice() {
        *version = (*version & 0x0f) | 0x50;
        *variant = (*variant & 0x3f) | 0x80;
    }
    let hex = data_encoding::HEXLOWER.encode(&bytes);
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
}
