//! How long a certificate is valid: the one thing that is read of an X.509 certificate (RFC 5280 4.1) beside the
//! handshake, which judges all the rest.

use crate::clock::Timestamp;

/// From when until when a certificate is valid, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// notBefore.
    pub from: Timestamp,
    /// notAfter.
    pub until: Timestamp,
}

/// Tags of ASN.1 in DER.
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The validity of a certificate in DER; none when the bytes are none.
pub fn validity(der: &[u8]) -> Option<Validity> {
    let mut certificate = expect(&mut { der }, SEQUENCE)?;
    let mut inner = expect(&mut certificate, SEQUENCE)?;
    // version (absent in version 1), serial number, signature algorithm, issuer, validity.
    if inner.first() == Some(&VERSION) {
        element(&mut inner)?;
    }
    for _ in 0..3 {
        element(&mut inner)?;
    }
    let mut validity = expect(&mut inner, SEQUENCE)?;
    Some(Validity { from: time(&mut validity)?, until: time(&mut validity)? })
}

fn expect<'d>(from: &mut &'d [u8], wanted: u8) -> Option<&'d [u8]> {
    element(from).filter(|(tag, _)| *tag == wanted).map(|(_, content)| content)
}

/// Takes one element: its tag and its content.
fn element<'d>(from: &mut &'d [u8]) -> Option<(u8, &'d [u8])> {
    let (tag, rest) = from.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        short @ ..0x80 => (usize::from(*short), rest),
        long => {
            let (digits, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            if digits.is_empty() || digits.len() > 4 {
                return None;
            }
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
    };
    let (content, rest) = rest.split_at_checked(length)?;
    *from = rest;
    Some((*tag, content))
}

/// `YYMMDDHHMMSSZ` (until 2049) or `YYYYMMDDHHMMSSZ`.
fn time(from: &mut &[u8]) -> Option<Timestamp> {
    let (tag, content) = element(from)?;
    let text = std::str::from_utf8(content).ok().filter(|text| text.is_ascii())?;
    let (century, text) = match (tag, text.len()) {
        (UTC_TIME, 13) => (if text < "50" { "20" } else { "19" }, text),
        (GENERALIZED_TIME, 15) => text.split_at(2),
        _ => return None,
    };
    let part = |at: usize| text.get(2 * at..2 * at + 2);
    let written = format!("{century}{}-{}-{}T{}:{}:{}Z", part(0)?, part(1)?, part(2)?, part(3)?, part(4)?, part(5)?);
    written.parse().ok().map(Timestamp::from_jiff)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_time_are_read_and_cut_off_bytes_are_no_certificate() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(1999, 12, 31);
        params.not_after = rcgen::date_time_ymd(2090, 2, 3);
        let der = params.self_signed(&key).unwrap().der().to_vec();
        let read = validity(&der).unwrap();
        assert_eq!(read.from.to_string(), "1999-12-31T00:00:00.000Z");
        assert_eq!(read.until.to_string(), "2090-02-03T00:00:00.000Z");
        for length in 0..100 {
            assert_eq!(validity(&der[..length]), None);
        }
        assert_eq!(validity(b"-----BEGIN CERTIFICATE-----"), None);
    }
}
