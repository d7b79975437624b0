//! What a request meets, by name.

use std::collections::HashMap;

/// How a connection goes on after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It waits for the next request.
    Keep,
    /// close_notify and FIN.
    Close,
    /// FIN without close_notify.
    Cut,
    /// RST.
    Reset,
    /// Silence until the peer gives up.
    Hang,
}

/// What is done with one request.
#[derive(Clone, Debug)]
pub enum Act {
    /// Commit or not, send these bytes, end like that.
    Answer { commit: bool, bytes: Vec<u8>, end: End },
    /// Commit, and send these bytes once the receiver is told to let go.
    Late { bytes: Vec<u8> },
    /// Commit, send `head`, then `rest` byte by byte for ever.
    Drip { head: Vec<u8>, rest: Vec<u8> },
    /// Commit, send `head`, then `unit` so many times, as long as the peer reads.
    Flood { head: Vec<u8>, unit: Vec<u8>, times: u64 },
    /// Answer when the head was read, do not read the body, reset.
    Early { bytes: Vec<u8> },
    /// Reset after the first bytes of the request.
    ResetInRequest,
}

/// A named act.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub name: String,
    pub act: Act,
}

/// An answer with a JSON body.
pub fn json(status: u16, more: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{more}Content-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

impl Scenario {
    /// Any bytes as an answer.
    pub fn answer(name: &str, commit: bool, bytes: impl Into<Vec<u8>>, end: End) -> Scenario {
        Scenario { name: name.to_owned(), act: Act::Answer { commit, bytes: bytes.into(), end } }
    }

    /// A status with further header lines (each ended by CRLF) and no body; 2xx commits.
    pub fn status(status: u16, more: &str) -> Scenario {
        let bytes = format!("HTTP/1.1 {status} X\r\n{more}Content-Length: 0\r\n\r\n");
        Scenario::answer(&format!("status_{status}"), (200..300).contains(&status), bytes, End::Keep)
    }

    /// A scenario by its name, or `status_NNN`.
    pub fn named(name: &str) -> Scenario {
        if let Some(status) = name.strip_prefix("status_").and_then(|digits| digits.parse().ok()) {
            return Scenario::status(status, "");
        }
        let keep = |bytes: Vec<u8>| Act::Answer { commit: true, bytes, end: End::Keep };
        let end = |bytes: &[u8], end| Act::Answer { commit: true, bytes: bytes.to_vec(), end };
        let close = |bytes: &[u8]| end(bytes, End::Close);
        let head = |more: &str| format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{more}\r\n");
        let act = match name {
            "ok" => keep(json(200, "", r#"{"status":"ok"}"#)),
            "ok_late" => Act::Late { bytes: json(200, "", r#"{"status":"ok"}"#) },
            "refused" => Act::Answer { commit: false, bytes: json(422, "", r#"{"title":"no"}"#), end: End::Keep },
            "rst_mid_request" => Act::ResetInRequest,
            "rst_after_request" => Act::Answer { commit: false, bytes: Vec::new(), end: End::Reset },
            "commit_rst" => end(b"", End::Reset),
            "commit_close" => close(b""),
            "commit_cut" => end(b"", End::Cut),
            "commit_partial" => close(b"HTTP/1.1 200 OK\r\nContent-Le"),
            "commit_hang" => end(b"", End::Hang),
            "hang" => Act::Answer { commit: false, bytes: Vec::new(), end: End::Hang },
            "slow_headers" => Act::Drip { head: b"HTTP/1.1 200 OK\r\n".to_vec(), rest: b"X-Slow: yes\r\n".to_vec() },
            "slow_body" => Act::Drip { head: head("Content-Length: 60000\r\n").into_bytes(), rest: b" ".to_vec() },
            "idle_close" => close(&json(200, "", "{}")),
            "cl_extra" => keep([json(200, "", "{}"), b"EXTRA".to_vec()].concat()),
            "keepalive_poison" => keep([json(200, "", "{}"), json(200, "", r#"{"poison":1}"#)].concat()),
            "cl_short" => close((head("Content-Length: 100\r\n") + "{}").as_bytes()),
            "cl_short_cut" => end((head("Content-Length: 100\r\n") + "{}").as_bytes(), End::Cut),
            "chunked" => keep((head("Transfer-Encoding: chunked\r\n") + "2\r\n{}\r\n0\r\n\r\n").into_bytes()),
            "chunked_trunc" => close((head("Transfer-Encoding: chunked\r\n") + "5\r\n{\"a").as_bytes()),
            "bad_chunk" => close((head("Transfer-Encoding: chunked\r\n") + "zz\r\n{}\r\n0\r\n\r\n").as_bytes()),
            "gzip_bomb" => keep(
                (head("Content-Encoding: gzip\r\nContent-Length: 20\r\n") + "\x1f\x08xxxxxxxxxxxxxxxxxx").into_bytes(),
            ),
            "gzip_refusal" => Act::Answer {
                commit: false,
                bytes: b"HTTP/1.1 422 X\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nxxxx".to_vec(),
                end: End::Keep,
            },
            "huge_body" => Act::Flood {
                head: b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n".to_vec(),
                unit: vec![b'x'; 16 * 1024],
                times: 610_000,
            },
            "huge_json" => Act::Flood {
                head: head("Transfer-Encoding: chunked\r\n").into_bytes(),
                unit: b"8\r\n        \r\n".repeat(1000),
                times: 1_000_000,
            },
            "many_headers" => close(head(&(0..5000).map(|n| format!("X-{n}: y\r\n")).collect::<String>()).as_bytes()),
            "big_header" => close(head(&format!("X-Big: {}\r\n", "y".repeat(1 << 20))).as_bytes()),
            "early_hints" => keep(
                ["HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n".repeat(1000).into_bytes(), json(200, "", "{}")]
                    .concat(),
            ),
            "two_lengths" => close((head("Content-Length: 2\r\nContent-Length: 3\r\n") + "{}").as_bytes()),
            "same_length_twice" => close((head("Content-Length: 2\r\nContent-Length: 2\r\n") + "{}").as_bytes()),
            "te_cl" => {
                close((head("Transfer-Encoding: chunked\r\nContent-Length: 2\r\n") + "2\r\n{}\r\n0\r\n\r\n").as_bytes())
            }
            "bad_status_line" => close(b"HTTP/1.1 OK 200\r\n\r\n"),
            "garbage" => close(b"SSH-2.0-OpenSSH_9.2\r\n"),
            "http10" => close(b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{}"),
            "no_length" => close((head("") + "{}").as_bytes()),
            "no_length_cut" => end((head("") + "{}").as_bytes(), End::Cut),
            "html" => keep(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 17\r\n\r\n<html>Hello</html".to_vec(),
            ),
            "deep_json" => keep(json(200, "", &("[".repeat(30_000) + &"]".repeat(30_000)))),
            "empty_json" => keep(json(200, "", "")),
            "bad_json" => keep(json(200, "", "{\"id\":")),
            "error_inside" => keep(json(200, "", r#"{"error":{"code":498}}"#)),
            "early_413" => {
                Act::Early { bytes: b"HTTP/1.1 413 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec() }
            }
            "early_200" => {
                Act::Early { bytes: b"HTTP/1.1 200 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec() }
            }
            other => panic!("no scenario is named {other:?}"),
        };
        Scenario { name: name.to_owned(), act }
    }
}

/// Scenarios by chance, the same ones for the same seed.
#[derive(Debug)]
pub struct Mix {
    chance: fastrand::Rng,
    parts: Vec<(u32, &'static str)>,
    /// Faults that one key has met: after `mercy` it is let through, so that a run ends.
    met: HashMap<String, u32>,
    mercy: u32,
}

impl Mix {
    /// `parts` = weight and name.
    pub fn new(seed: u64, parts: &[(u32, &'static str)]) -> Mix {
        Mix { chance: fastrand::Rng::with_seed(seed), parts: parts.to_vec(), met: HashMap::new(), mercy: 5 }
    }

    /// What this request meets.
    pub fn draw(&mut self, key: &str) -> Scenario {
        let total: u32 = self.parts.iter().map(|(weight, _)| weight).sum();
        let mut point = self.chance.u32(0..total);
        let mut name = "ok";
        for (weight, part) in &self.parts {
            if point < *weight {
                name = part;
                break;
            }
            point -= weight;
        }
        if name != "ok" {
            let met = self.met.entry(key.to_owned()).or_default();
            *met += 1;
            if *met > self.mercy {
                name = "ok";
            }
        }
        Scenario::named(name)
    }
}
