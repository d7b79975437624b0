//! Bytes in hexadecimal.

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The bytes of lower-case hexadecimal of exactly this length; none = it is no such text.
pub fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let digits = text.as_bytes();
    if digits.len() != N * 2 {
        return None;
    }
    let mut out = [0; N];
    for (to, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *to = value(*high)? << 4 | value(*low)?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_half_byte_is_a_digit() {
        assert_eq!(super::hex(&[0, 0x0f, 0xa9, 0xff]), "000fa9ff");
        assert_eq!(super::bytes("000fa9ff"), Some([0, 0x0f, 0xa9, 0xff]));
        for wrong in ["000fa9f", "000fa9fff", "000FA9FF", "000fa9fg"] {
            assert_eq!(super::bytes::<4>(wrong), None, "{wrong}");
        }
    }
}
