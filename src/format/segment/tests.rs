//! What is written is read, and nothing else is taken for it.

use super::super::note::{Checkpoint, Signer};
use super::*;
use crate::clock::Timestamp;
use crate::event::EventId;
use crate::rules::attempt::entries::{self, Kinds};
use crate::rules::attempt::{Intent, Settled, Word};
use crate::rules::chain::{BEGINNING, Body, link};

/// Rows of intents and of their outcomes; record `r` has the mac `r % 100`.
fn segment(rows: i64) -> (Vec<u8>, Vec<u8>, Vec<Vec<u8>>) {
    let head = Head { origin: "x".into(), day: "2026-03-05".into(), first: 1, previous: hex(&BEGINNING) };
    let mut writer = Writer::new(Vec::new(), &head).unwrap();
    let (mut hash, mut all) = (BEGINNING, Vec::new());
    for n in 1..=rows {
        let mut packed = Vec::new();
        for event in 0..20 {
            let seq = (n - 1) / 2 * 20 + event;
            let id = EventId { epoch: 1, seq, nonce: 5 };
            if n % 2 == 1 {
                let mac = (seq % 100).to_le_bytes();
                let intent = Intent { id, attempt: 1, mac, old_mac: None, joined: false, what: None };
                entries::put_intent(&intent, &mut Kinds::default(), &mut packed);
            } else {
                let mut settled = Settled::unanswered(id, Word::Success, "");
                // Hashes are what makes rows hard to compress.
                settled.request_hash = link(&BEGINNING, &seq.to_le_bytes());
                entries::put_settled(&settled, &mut packed);
            }
        }
        let (connector, log, entries) = ("legacy", "office", packed.as_slice());
        let body = if n % 2 == 1 {
            Body::Intents { connector, log, origin: None, config: None, kinds: None, entries }
        } else {
            Body::Outcomes { connector, log, entries }
        };
        let row = Row { n, at: Timestamp(n), up: None, body };
        let mut bytes = Vec::new();
        row.write(&mut bytes);
        hash = link(&hash, &bytes);
        writer.row(&row, &bytes, &hash).unwrap();
        all.push(bytes);
    }
    let signer = Signer::new("x", &[1; 32]).unwrap();
    let note = signer.sign(&Checkpoint { origin: "x".into(), size: rows, root: hash }).unwrap();
    let (file, end, index) = writer.finish(&note).unwrap();
    assert_eq!((end.last, end.rows, end.records), (rows, rows as u64, rows as u64 * 20));
    (file, index, all)
}

fn read(file: &[u8]) -> Result<(Vec<Vec<u8>>, End), SegmentError> {
    let mut reader = Reader::open(file)?;
    let mut rows = Vec::new();
    loop {
        match reader.read_on()? {
            Piece::Row(row, _) => rows.push(row.to_vec()),
            Piece::End(end, _) => return Ok((rows, end)),
        }
    }
}

#[test]
fn a_segment_of_several_members_is_read_as_it_was_written() {
    let (file, _, rows) = segment(2000);
    assert_eq!(read(&file).unwrap().0, rows);
    let none = segment(0).0;
    assert_eq!(read(&none).unwrap().0, Vec::<Vec<u8>>::new());
}

#[test]
fn a_segment_that_is_cut_anywhere_is_no_whole_one() {
    let (file, ..) = segment(6);
    for end in 0..file.len() {
        assert!(read(&file[..end]).is_err(), "{end} of {}", file.len());
    }
    assert!(matches!(read(b"something else"), Err(SegmentError::Magic)));
}

/// The same rows as an earlier release has written them: the head, then members of rows as they are.
fn of_the_first_form(rows: &[Vec<u8>]) -> (Vec<u8>, Vec<u64>) {
    let head = Head { origin: "x".into(), day: "2026-03-05".into(), first: 1, previous: hex(&BEGINNING) };
    let (mut file, mut hash, mut offsets) = (Vec::new(), BEGINNING, Vec::new());
    let mut member = |bytes: &[u8]| {
        offsets.push(file.len() as u64);
        let mut packed = GzEncoder::new(&mut file, Compression::new(4));
        packed.write_all(bytes).unwrap();
        packed.finish().unwrap();
    };
    member(format!("{}{}\n", MAGIC[0].1, serde_json::to_string(&head).unwrap()).as_bytes());
    for rows in rows.chunks(70) {
        let mut bytes = Vec::new();
        for row in rows {
            hash = link(&hash, row);
            bytes.extend([&(row.len() as u32).to_le_bytes(), row.as_slice(), &hash].concat());
        }
        member(&bytes);
    }
    let count = rows.len() as u64;
    let end = End { last: count as i64, hash: hex(&hash), rows: count, records: count * 20 };
    let signer = Signer::new("x", &[1; 32]).unwrap();
    let note = signer.sign(&Checkpoint { origin: "x".into(), size: count as i64, root: hash }).unwrap();
    member(&[&END, serde_json::to_string(&end).unwrap().as_bytes(), b"\n", note.write().as_bytes()].concat());
    offsets.truncate(offsets.len() - 1);
    (file, offsets.split_off(1))
}

#[test]
fn what_an_earlier_release_has_sealed_is_still_read() {
    let (new, _, rows) = segment(200);
    let (old, members) = of_the_first_form(&rows);
    assert_eq!(read(&old).unwrap(), read(&new).unwrap());
    for end in (0..old.len()).step_by(97) {
        assert!(read(&old[..end]).is_err(), "{end} of {}", old.len());
    }
    let mut found = Vec::new();
    member(Form::Rows, &old[members[1] as usize..], |bytes, _| found.push(bytes.to_vec())).unwrap();
    assert_eq!(found, rows[70..140]);
    // Its index is sorted by the bytes of what is found, not by their number.
    let mut index = b"HMSAUDX1".to_vec();
    let number = |index: &mut Vec<u8>, number: u64| index.extend(number.to_le_bytes());
    number(&mut index, members.len() as u64);
    members.iter().for_each(|offset| number(&mut index, *offset));
    number(&mut index, 0);
    let mut places: Vec<[u8; 8]> = (250..300_i64).map(i64::to_le_bytes).collect();
    places.sort_unstable();
    number(&mut index, places.len() as u64);
    places.iter().for_each(|place| index.extend([place.as_slice(), &2u32.to_le_bytes()].concat()));
    let mut index = Index::open(io::Cursor::new(index)).unwrap();
    assert_eq!(index.form(), Form::Rows);
    for seq in 240..310 {
        let wanted = if (250..300).contains(&seq) { vec![members[2]] } else { vec![] };
        assert_eq!(index.find(Wanted::Position(seq)).unwrap(), wanted, "{seq}");
    }
}

#[test]
fn a_changed_byte_is_no_whole_segment_and_rows_before_it_are_given() {
    let (file, _, rows) = segment(6);
    for at in 0..file.len() {
        let mut file = file.clone();
        file[at] ^= 0x20;
        let Ok(mut reader) = Reader::open(file.as_slice()) else { continue };
        let (mut given, mut hash) = (0, BEGINNING);
        let whole = loop {
            match reader.read_on() {
                Ok(Piece::Row(row, said)) => {
                    hash = link(&hash, row);
                    if hash != said {
                        break false;
                    }
                    assert_eq!(row, rows[given], "byte {at}");
                    given += 1;
                }
                Ok(Piece::End(..)) => break true,
                Err(_) => break false,
            }
        };
        // Time and system of a member's head say nothing of the rows.
        assert!(!whole || given == rows.len(), "byte {at}");
    }
}

#[test]
fn the_index_leads_to_every_row_of_a_record_and_to_no_other_member() {
    let (file, index, rows) = segment(2000);
    let mut index = Index::open(io::Cursor::new(index)).unwrap();
    let mut found = 0;
    let all = index.find(Wanted::Mac(7i64.to_le_bytes())).unwrap();
    assert!(all.len() > 1 && all.is_sorted(), "{all:?}");
    for offset in all {
        member(index.form(), &file[offset as usize..], |bytes, _| {
            assert!(rows.iter().any(|row| row == bytes));
            found += usize::from(bytes[1] == 1);
        })
        .unwrap();
    }
    assert_eq!(found, 1000, "all members have intents of it");
    assert_eq!(index.find(Wanted::Position(11)).unwrap().len(), 1);
    assert_eq!(index.find(Wanted::Position(-4)).unwrap(), Vec::<u64>::new());
    assert_eq!(index.find(Wanted::Mac([255; 8])).unwrap(), Vec::<u64>::new());
}

#[test]
fn an_index_that_is_cut_is_none() {
    let index = segment(2).1;
    for end in 0..index.len() {
        assert!(Index::open(io::Cursor::new(&index[..end])).is_none(), "{end}");
    }
}
