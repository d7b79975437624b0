#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn written(framing: &Framing, pad: Option<Pad>, records: &[&[u8]]) -> Result<Vec<u8>, FrameError> {
    let mut writer = Writer::new(Vec::new(), framing.clone(), pad);
    for record in records {
        writer.write(record)?;
    }
    let (out, _, bytes) = writer.finish()?;
    assert_eq!(out.len() as u64, bytes);
    Ok(out)
}

fn read(framing: &Framing, bytes: &[u8]) -> Result<Vec<Vec<u8>>, FrameError> {
    let mut reader = Reader::new(bytes, framing.clone());
    let (mut records, mut record) = (Vec::new(), Vec::new());
    while reader.next(&mut record)? {
        records.push(record.clone());
    }
    Ok(records)
}

fn said<T: std::fmt::Debug>(result: Result<T, FrameError>) -> String {
    result.unwrap_err().to_string()
}

fn fixed(lrecl: usize, terminator: &str) -> Framing {
    Framing::Fixed { lrecl, terminator: terminator.into() }
}

fn variable(lrecl: usize, blksize: Option<usize>) -> Framing {
    Framing::Variable { lrecl, blksize }
}

#[test]
fn each_frame_has_the_bytes_that_its_reader_expects() {
    assert_eq!(written(&fixed(3, ""), None, &[b"abc", b"def"]).unwrap(), b"abcdef");
    assert_eq!(written(&fixed(3, "\r\n"), None, &[b"abc", b"def"]).unwrap(), b"abc\r\ndef\r\n");
    assert_eq!(written(&variable(10, None), None, &[b"abc", b""]).unwrap(), b"\0\x07\0\0abc\0\x04\0\0");
    // 4 + 7 + 6 bytes are a block; the next record would make it 24.
    let blocks = written(&variable(10, Some(20)), None, &[b"abc", b"de", b"fgh"]).unwrap();
    assert_eq!(blocks, b"\0\x11\0\0\0\x07\0\0abc\0\x06\0\0de\0\x0b\0\0\0\x07\0\0fgh");
    let text = Framing::Text { terminator: vec![0x15] };
    assert_eq!(written(&text, None, &[b"abc", b""]).unwrap(), b"abc\x15\x15");
}

#[test]
fn a_record_that_does_not_fit_its_frame_is_named_and_not_written() {
    assert_eq!(said(written(&fixed(3, ""), None, &[b"abc", b"ab"])), "record 2 has 2 bytes, but LRECL is 3");
    assert_eq!(
        said(written(&variable(6, None), None, &[b"abc"])),
        "record 1 has 3 bytes and 4 of its descriptor, but LRECL is 6"
    );
    let text = Framing::Text { terminator: b"\r\n".to_vec() };
    assert_eq!(said(written(&text, None, &[b"a\r\nb"])), "record 1 holds the bytes that end a line");
    assert!(written(&text, None, &[b"a\nb\r"]).is_ok());
    let double = Framing::Text { terminator: b"\n\n".to_vec() };
    assert!(written(&double, None, &[b"a\n"]).is_err());
}

#[test]
fn a_file_is_filled_up_to_whole_blocks_of_records() {
    let pad = Pad { multiple: 3, record: b"999".to_vec() };
    let padded = |records: &[&[u8]]| written(&fixed(3, ""), Some(pad.clone()), records).unwrap();
    assert_eq!(padded(&[b"abc"]), b"abc999999");
    assert_eq!(padded(&[b"abc", b"def", b"ghi"]), b"abcdefghi");
    assert_eq!(padded(&[]), b"");
}

#[test]
fn a_damaged_file_is_refused_with_the_record_and_the_byte() {
    assert_eq!(said(read(&fixed(3, ""), b"abcde")), "the file ends within record 2, at byte 5");
    assert_eq!(said(read(&fixed(3, "\n"), b"abc\ndef")), "after record 2, at byte 7, its terminator is missing");
    assert_eq!(said(read(&fixed(3, "\n"), b"abcx")), "after record 1, at byte 3, its terminator is missing");
    for (bytes, part) in [
        (&b"\0\x07\0\0ab"[..], "ends within record 1, at byte 6"),
        (b"\0\x03\0\0", "shorter than itself"),
        (b"\0\x07\0\x01abc", "spanned"),
        (b"\0\x0b\0\0abcdefg", "longer than LRECL"),
        (b"\xff\xff\0\0", "longer than any"),
        (b"\0", "ends within record 1"),
    ] {
        let said = said(read(&variable(10, None), bytes));
        assert!(said.contains(part), "{said}");
    }
    for (bytes, part) in [
        (&b"\0\x0a\0\0\0\x07\0\0abc"[..], "ends behind its block"),
        (b"\0\x0f\0\0\0\x07\0\0abc", "ends within record 2"),
        (b"\0\x08\0\0", "ends within record 1"),
    ] {
        let said = said(read(&variable(10, Some(20)), bytes));
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn the_check_shows_the_arithmetic() {
    let parts = vec![("WD-A".to_owned(), 10), ("WD-T (3 x 5)".to_owned(), 15)];
    let record = Lengths { name: "WIC".to_owned(), shortest: 25, longest: 25, parts };
    let check = |framing: Framing, record: &Lengths| framing.check(std::slice::from_ref(record));
    assert_eq!(check(fixed(25, ""), &record), Vec::<String>::new());
    assert_eq!(
        check(fixed(24, ""), &record),
        ["LRECL is 24, but WIC has 25 bytes, 1 too many: WD-A 10 + WD-T (3 x 5) 15 = 25"]
    );
    assert_eq!(
        check(variable(28, None), &record),
        ["LRECL is 28, but WIC has up to 25 bytes and 4 of its descriptor = 29: WD-A 10 + WD-T (3 x 5) 15 = 25"]
    );
    assert_eq!(check(variable(29, Some(33)), &record), Vec::<String>::new());
    assert_eq!(
        check(variable(29, Some(32)), &record),
        ["BLKSIZE is 32, but a block holds at least one record: LRECL 29 and 4 of its descriptor = 33"]
    );
    let varies = Lengths { shortest: 10, ..record };
    assert_eq!(
        check(fixed(25, ""), &varies),
        ["WIC has 10 to 25 bytes, but F and FB have records of one length: use VB"]
    );
    assert_eq!(check(Framing::Text { terminator: Vec::new() }, &varies).len(), 1);
    assert_eq!(check(variable(40_000, Some(40_004)), &varies).len(), 2);
}

proptest! {
    #[test]
    fn what_is_framed_is_read_again(
        records in proptest::collection::vec(proptest::collection::vec(b'a'..=b'f', 0..20), 0..30),
        kind in 0..4,
        blksize in 28_usize..100,
    ) {
        let framing = match kind {
            0 => Framing::Text { terminator: b"\r\n".to_vec() },
            1 => variable(24, None),
            2 => variable(24, Some(blksize)),
            _ => fixed(20, "!"),
        };
        let records: Vec<Vec<u8>> = records
            .into_iter()
            .map(|mut record| {
                if kind == 3 {
                    record.resize(20, b' ');
                }
                record
            })
            .collect();
        let slices: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
        let bytes = written(&framing, None, &slices).unwrap();
        prop_assert_eq!(read(&framing, &bytes).unwrap(), records);
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in 0..4) {
        let framing = match kind {
            0 => Framing::Text { terminator: vec![0] },
            1 => variable(100, None),
            2 => variable(100, Some(200)),
            _ => fixed(7, ""),
        };
        let _ = read(&framing, &bytes);
    }
}
