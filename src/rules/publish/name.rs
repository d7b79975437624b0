//! Temporary names: one for each content, so that two files never meet in one and a file meets its own again.

use crate::rules::hex::hex;

/// Ending of every temporary name.
pub const ENDING: &str = ".part";

/// Bytes before the point of resumption that are read back and compared.
pub const TAIL: u64 = 32 * 1024;

/// Hexadecimal digits of the SHA-256 in a temporary name.
const DIGITS: usize = 8;

/// The temporary name of a file: `name.<first 8 hex digits of its SHA-256>.part`, with a dot in front where a place
/// hides such names.
///
/// ```
/// use hms_sync::rules::publish::name::temporary;
/// assert_eq!(temporary("A.DAT", &[0xab; 32], false), "A.DAT.abababab.part");
/// assert_eq!(temporary("A.DAT", &[0xab; 32], true), ".A.DAT.abababab.part");
/// ```
pub fn temporary(name: &str, sha256: &[u8; 32], hidden: bool) -> String {
    let dot = if hidden { "." } else { "" };
    let digits = hex(sha256.get(..DIGITS / 2).unwrap_or(sha256));
    format!("{dot}{name}.{digits}{ENDING}")
}

/// Whether a name has the form of a temporary one.
pub fn is_temporary(name: &str) -> bool {
    let Some((rest, digits)) = name.strip_suffix(ENDING).and_then(|rest| rest.rsplit_once('.')) else { return false };
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    !rest.is_empty() && digits.len() == DIGITS && digits.bytes().all(is_digit)
}

/// Whether a file is a leftover to be removed: named as our temporary files are, and last written more than `days`
/// before `now` (both in seconds since 1970). A file without a time, or one of the future, stays.
pub fn is_stale(name: &str, written: Option<u64>, now: u64, days: u32) -> bool {
    let age = written.and_then(|written| now.checked_sub(written));
    is_temporary(name) && age.is_some_and(|age| age > u64::from(days) * 86_400)
}

/// Whether a name means the same file each time. A relative generation, `OF042.WIC(+1)`, is a new one each time it is
/// opened.
pub fn is_repeatable(name: &str) -> bool {
    let relative = |rest: &str| rest.split_once(')').is_some_and(|(number, _)| number.parse::<u16>().is_ok());
    !name.split("(+").skip(1).any(relative)
}

/// Where to resume an upload: after what is there, when that is not more than the file and more than nothing.
/// `found` is the size of what is there, exact; `u64::MAX` stands for "all of it".
pub fn resume_at(found: u64, size: u64) -> Option<u64> {
    let found = if found == u64::MAX { size } else { found };
    (found > 0 && found <= size).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_name_is_known_again_and_a_name_like_it_is_not() {
        for name in ["OF042.WICAPPT.D261120.S000001.DAT", "a", "x.part", "ä ö"] {
            assert!(is_temporary(&temporary(name, &[0x0f; 32], false)), "{name}");
            assert!(is_temporary(&temporary(name, &[0xf0; 32], true)), "{name}");
        }
        for name in ["a.part", ".part", "a.0123456.part", "a.0123456x.part", "a.01234567.PART", "a.ABCDEF01.part", ""] {
            assert!(!is_temporary(name), "{name}");
        }
        assert!(!is_temporary(".01234567.part"), "nothing before the digits");
    }

    #[test]
    fn other_bytes_have_another_temporary_name() {
        assert_ne!(temporary("a", &[1; 32], false), temporary("a", &[2; 32], false));
    }

    #[test]
    fn only_an_old_file_of_our_naming_is_stale() {
        let now = 100 * 86_400;
        assert!(is_stale("a.01234567.part", Some(0), now, 7));
        assert!(!is_stale("a.01234567.part", Some(now - 7 * 86_400), now, 7));
        assert!(is_stale("a.01234567.part", Some(now - 7 * 86_400 - 1), now, 7));
        assert!(!is_stale("a.01234567.part", None, now, 7));
        assert!(!is_stale("a.01234567.part", Some(now + 1), now, 0));
        assert!(!is_stale("a.dat", Some(0), now, 7));
    }

    #[test]
    fn a_relative_generation_is_another_file_each_time() {
        assert!(!is_repeatable("OF042.WIC(+1)") && !is_repeatable("'OF042.WIC(+12)'"));
        for name in ["OF042.WIC.G0001V00", "OF042.WIC(0)", "OF042.WIC(-1)", "A(+B)", "A(+1", "A(+)"] {
            assert!(is_repeatable(name), "{name}");
        }
    }

    #[test]
    fn an_upload_resumes_only_after_bytes_that_may_be_its_own() {
        assert_eq!(resume_at(0, 10), None);
        assert_eq!(resume_at(4, 10), Some(4));
        assert_eq!(resume_at(10, 10), Some(10));
        assert_eq!(resume_at(11, 10), None);
        assert_eq!(resume_at(u64::MAX, 10), Some(10));
        assert_eq!(resume_at(u64::MAX, 0), None);
    }
}
