//! The floor of a drain: a loop written by hand over the application's own JSON outbox. No mapping, no audit, no
//! order, no intents; acknowledged in groups.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rusqlite::Connection;

use crate::support::client::Client;
use crate::support::{authority, office};

/// Rows that are read, and acknowledged, at once.
const GROUP: i64 = 100;

/// A process that drains: the application's file, folder of the authority, port, requests in flight, and events a
/// request where it is not one. Stays when it is done, so that it can be looked at.
pub fn drain(mut words: impl Iterator<Item = String>) {
    let office = words.next().unwrap();
    let tls = authority::client(&PathBuf::from(words.next().unwrap()));
    let port: u16 = words.next().unwrap().parse().unwrap();
    let flight: usize = words.next().unwrap().parse().unwrap();
    let batch: usize = words.next().map_or(1, |word| word.parse().unwrap());
    let outbox = Mutex::new(Outbox { db: office::open(Path::new(&office)), after: 0 });
    std::thread::scope(|scope| {
        for _ in 0..flight {
            scope.spawn(|| {
                let mut client = Client::connect(port, tls.clone());
                loop {
                    let group = outbox.lock().unwrap().next();
                    let (Some((first, _)), Some((last, _))) = (group.first(), group.last()) else { return };
                    if batch == 1 {
                        group.iter().for_each(|(seq, body)| client.post(*seq, body));
                    } else {
                        group.chunks(batch).for_each(|some| client.post(some[0].0, &array(some)));
                    }
                    outbox.lock().unwrap().acknowledge(*first, *last);
                }
            });
        }
    });
    loop {
        std::thread::park();
    }
}

/// Events as one JSON array.
fn array(events: &[(i64, Vec<u8>)]) -> Vec<u8> {
    let mut body = vec![b'['];
    for (_, event) in events {
        body.extend_from_slice(event);
        body.push(b',');
    }
    body.pop();
    body.push(b']');
    body
}

struct Outbox {
    db: Connection,
    after: i64,
}

impl Outbox {
    fn next(&mut self) -> Vec<(i64, Vec<u8>)> {
        let mut read =
            self.db.prepare_cached("SELECT seq, body FROM plain WHERE seq > ?1 ORDER BY seq LIMIT ?2").unwrap();
        let rows = read.query_map((self.after, GROUP), |row| Ok((row.get(0)?, row.get_ref(1)?.as_bytes()?.to_vec())));
        let group: Vec<(i64, Vec<u8>)> = rows.unwrap().collect::<Result<_, _>>().unwrap();
        self.after = group.last().map_or(self.after, |(seq, _)| *seq);
        group
    }

    fn acknowledge(&self, first: i64, last: i64) {
        self.db
            .prepare_cached("DELETE FROM plain WHERE seq BETWEEN ?1 AND ?2")
            .unwrap()
            .execute([first, last])
            .unwrap();
    }
}
