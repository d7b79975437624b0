#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

/// Feeds the bytes in pieces of one length, then the end.
fn read(bytes: &[u8], piece: usize, clean: bool) -> Result<Complete, Trouble> {
    let mut reading = Reading::default();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (now, later) = rest.split_at(piece.min(rest.len()));
        rest = later;
        if let Some(mut complete) = reading.feed(now)? {
            complete.keep &= rest.is_empty();
            return Ok(complete);
        }
    }
    reading.ended(clean)
}

#[test]
fn an_answer_is_the_same_however_its_bytes_come_in() {
    for (bytes, body, keep) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", true),
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\nConnection: close\r\n\r\nhello", "hello", false),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=1\r\nlo\r\n0\r\nA: b\r\n\r\n",
            "hello",
            true,
        ),
        ("HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", true),
        ("HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n", "", true),
        ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "ok", false),
        ("HTTP/1.1 200 OK\r\n\r\nuntil the end", "until the end", false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more", "ok", false),
    ] {
        for piece in [1, 2, 3, 7, 1000] {
            let complete = read(bytes.as_bytes(), piece, true).unwrap();
            assert!(complete.reply.whole);
            assert_eq!(String::from_utf8(complete.reply.body).unwrap(), body, "{bytes:?} by {piece}");
            assert_eq!(complete.keep, keep, "{bytes:?} by {piece}");
        }
    }
}

#[test]
fn an_answer_that_breaks_off_is_no_success_and_a_refusal_stands() {
    for bytes in [
        "",
        "HTTP/1.1 200 OK\r\nConte",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
    ] {
        assert_eq!(read(bytes.as_bytes(), 5, true).unwrap_err().reason.class, "closed", "{bytes:?}");
    }
    assert!(read(b"HTTP/1.1 200 OK\r\n\r\nno end", 5, false).is_err(), "a cut is no end");
    let refused = read(b"HTTP/1.1 422 No\r\nContent-Length: 50\r\n\r\nbecau", 5, true).unwrap();
    assert_eq!((refused.reply.status, refused.reply.whole, refused.keep), (422, false, false));
}

#[test]
fn an_answer_with_two_lengths_or_none_that_can_be_read_is_refused() {
    for fields in [
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Content-Length: 5, 5",
        "Content-Length: +5",
        "Content-Length: 99999999999999999999999",
        "Content-Length:",
    ] {
        let text = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\nhello");
        assert_eq!(read(text.as_bytes(), 1000, true).unwrap_err().reason.class, "bad-answer", "{fields}");
    }
    for text in ["SSH-2.0-OpenSSH", "HTTP/2 200\r\n\r\n", "HTTP/1.1 2x0 OK\r\n\r\n", "HTTP/1.1 101 Switch\r\n\r\n"] {
        assert_eq!(read(text.as_bytes(), 1000, true).unwrap_err().reason.class, "bad-answer", "{text}");
    }
    for chunk in ["x\r\n", "\r\n", "5\r\nhelloworld", "ffffffffffffffffffff\r\n", &"1".repeat(3000)] {
        let text = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}\r\n\r\n");
        assert_eq!(read(text.as_bytes(), 9, true).unwrap_err().reason.class, "bad-answer", "{chunk}");
    }
}

#[test]
fn heads_and_bodies_have_their_limits() {
    let long = format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "x".repeat(HEAD_LIMIT));
    assert!(read(long.as_bytes(), 999, true).unwrap_err().reason.text.contains("longer than"));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(5000));
    assert_eq!(read(many.as_bytes(), 999, true).unwrap_err().reason.class, "bad-answer");
    let early = format!("{}HTTP/1.1 204 OK\r\n\r\n", "HTTP/1.1 103 Early\r\n\r\n".repeat(1000));
    assert!(read(early.as_bytes(), 999, true).unwrap().reply.whole);
    let endless = format!("{}HTTP/1.1 204 OK\r\n\r\n", "HTTP/1.1 103 Early\r\n\r\n".repeat(10_000));
    assert!(read(endless.as_bytes(), 999, true).is_err());
    let large = format!("HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n{}", "x".repeat(BODY_LIMIT + 1));
    let complete = read(large.as_bytes(), 999, true).unwrap();
    assert_eq!((complete.reply.body.len(), complete.reply.whole, complete.keep), (BODY_LIMIT, false, false));
    let trailers = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n{}", "A: b\r\n".repeat(20_000));
    assert!(read(trailers.as_bytes(), 999, true).is_err());
}

#[test]
fn a_compressed_answer_is_no_success_and_a_compressed_refusal_is_not_read() {
    let yes = read(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello", 100, true);
    assert_eq!(yes.unwrap_err().reason.class, "content-encoding");
    let no = read(b"HTTP/1.1 400 No\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello", 100, true).unwrap();
    assert_eq!((no.reply.status, no.reply.body.len(), no.reply.whole, no.keep), (400, 0, false, false));
}
