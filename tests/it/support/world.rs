//! An outside system that can be read: records with versions, served in pages of every kind, by a clock of its own.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use hms_sync::clock::Timestamp;
use serde_json::{Value, json};

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub query: BTreeMap<String, String>,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

/// An answer as it leaves.
#[derive(Clone, Debug)]
pub struct Told {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Told {
    pub fn json(value: &Value) -> Told {
        Told::of(200, "application/json", value.to_string().into_bytes())
    }

    pub fn status(status: u16) -> Told {
        Told::of(status, "text/plain", Vec::new())
    }

    pub fn of(status: u16, kind: &str, body: Vec<u8>) -> Told {
        Told { status, headers: vec![("Content-Type".into(), kind.into())], body }
    }

    pub fn with(mut self, name: &str, value: &str) -> Told {
        self.headers.push((name.into(), value.into()));
        self
    }
}

/// How pages follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paging {
    Link,
    Url,
    Token,
    Offset,
    Page,
    Keyset,
}

/// A record there.
#[derive(Clone, Debug, PartialEq)]
pub struct Thing {
    pub title: String,
    /// Empty = it has none.
    pub note: String,
    pub version: u64,
    /// By the clock there, in milliseconds.
    pub updated: i64,
    pub deleted: bool,
}

#[derive(Debug)]
struct Desk {
    things: BTreeMap<u64, Thing>,
    paging: Paging,
    size: usize,
    /// The clock there: it stands still, or runs since then.
    now: i64,
    runs: Option<std::time::Instant>,
    journal: Vec<Asked>,
    next: VecDeque<Told>,
    form: Option<fn(&str) -> String>,
    loses: usize,
    dateless: bool,
    writes: usize,
    refused: usize,
}

type Meets = Box<dyn Fn(&Asked, usize) -> Option<Told> + Send>;
type Stirs = Box<dyn FnMut(&mut BTreeMap<u64, Thing>, i64, usize) + Send>;

struct Shared {
    desk: Mutex<Desk>,
    meets: Mutex<Option<Meets>>,
    stirs: Mutex<Option<Stirs>>,
    stop: AtomicBool,
}

/// A running one; it stops when dropped.
pub struct World {
    shared: Arc<Shared>,
    address: SocketAddr,
}

impl World {
    /// One without records.
    pub fn start(paging: Paging, size: usize) -> World {
        let desk = Desk {
            things: BTreeMap::new(),
            paging,
            size,
            now: hms_sync::clock::now().0,
            runs: None,
            journal: Vec::new(),
            next: VecDeque::new(),
            form: None,
            loses: 0,
            dateless: false,
            writes: 0,
            refused: 0,
        };
        let shared = Arc::new(Shared {
            desk: Mutex::new(desk),
            meets: Mutex::new(None),
            stirs: Mutex::new(None),
            stop: AtomicBool::new(false),
        });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let own = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if own.stop.load(SeqCst) {
                    return;
                }
                let own = Arc::clone(&own);
                std::thread::spawn(move || own.serve(stream.unwrap(), address));
            }
        });
        World { shared, address }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What is answered to a request, by its number; none = a page.
    pub fn meet(&self, rule: impl Fn(&Asked, usize) -> Option<Told> + Send + 'static) {
        *self.shared.meets.lock().unwrap() = Some(Box::new(rule));
    }

    /// It answers by itself again.
    pub fn calm_answers(&self) {
        *self.shared.meets.lock().unwrap() = None;
    }

    /// The next answer.
    pub fn next(&self, told: Told) {
        self.shared.desk.lock().unwrap().next.push_back(told);
    }

    /// Each so-manieth write is stored, and its answer is lost.
    pub fn lose_answers(&self, each: usize) {
        self.shared.desk.lock().unwrap().loses = each;
    }

    /// Its answers have no `Date` any more.
    pub fn hide_date(&self) {
        self.shared.desk.lock().unwrap().dateless = true;
    }

    /// What it makes of a title that is written to it.
    pub fn store_as(&self, form: fn(&str) -> String) {
        self.shared.desk.lock().unwrap().form = Some(form);
    }

    /// What happens to the records after each answer, by its number.
    pub fn stir(&self, rule: impl FnMut(&mut BTreeMap<u64, Thing>, i64, usize) + Send + 'static) {
        *self.shared.stirs.lock().unwrap() = Some(Box::new(rule));
    }

    /// Nothing happens any more.
    pub fn calm(&self) {
        *self.shared.stirs.lock().unwrap() = None;
    }

    /// Writes a record at a time of the world's clock.
    pub fn put_at(&self, id: u64, title: &str, updated: i64) {
        let mut desk = self.shared.desk.lock().unwrap();
        let (version, note) = desk.next(id);
        desk.things.insert(id, Thing { title: title.into(), note, version, updated, deleted: false });
    }

    /// Writes the note of a record now.
    pub fn note(&self, id: u64, note: &str) {
        let mut desk = self.shared.desk.lock().unwrap();
        let updated = desk.time();
        let thing = desk.things.get_mut(&id).unwrap();
        (thing.note, thing.updated, thing.version) = (note.into(), updated, thing.version + 1);
    }

    /// The notes of the records that are there.
    pub fn notes(&self) -> BTreeMap<String, String> {
        let desk = self.shared.desk.lock().unwrap();
        let alive = desk.things.iter().filter(|(_, thing)| !thing.deleted);
        alive.map(|(id, thing)| (id.to_string(), thing.note.clone())).collect()
    }

    /// Writes a record now.
    pub fn put(&self, id: u64, title: &str) {
        let now = self.now();
        self.put_at(id, title, now);
    }

    /// Writes a record that was begun so long ago and is seen only now; its own time never goes back.
    pub fn put_late(&self, id: u64, title: &str, late: i64) {
        let mut desk = self.shared.desk.lock().unwrap();
        let last = desk.things.get(&id).map_or(0, |thing| thing.updated + 1);
        let (version, note) = desk.next(id);
        let updated = (desk.time() - late).max(last);
        desk.things.insert(id, Thing { title: title.into(), note, version, updated, deleted: false });
    }

    /// Writes that were refused because they named another version.
    pub fn refused(&self) -> usize {
        self.shared.desk.lock().unwrap().refused
    }

    /// Marks a record as deleted.
    pub fn delete(&self, id: u64) {
        let mut desk = self.shared.desk.lock().unwrap();
        let now = desk.time();
        let thing = desk.things.get_mut(&id).unwrap();
        (thing.deleted, thing.updated, thing.version) = (true, now, thing.version + 1);
    }

    /// A record is there no more, and nothing says so.
    pub fn lose(&self, id: u64) {
        self.shared.desk.lock().unwrap().things.remove(&id);
    }

    pub fn now(&self) -> i64 {
        self.shared.desk.lock().unwrap().time()
    }

    /// Its clock runs from now on.
    pub fn run_clock(&self) {
        self.shared.desk.lock().unwrap().runs = Some(std::time::Instant::now());
    }

    /// Lets the clock there go on.
    pub fn pass(&self, ms: i64) {
        self.shared.desk.lock().unwrap().now += ms;
    }

    /// The records that are there.
    pub fn alive(&self) -> BTreeMap<String, String> {
        let desk = self.shared.desk.lock().unwrap();
        let alive = desk.things.iter().filter(|(_, thing)| !thing.deleted);
        alive.map(|(id, thing)| (id.to_string(), thing.title.clone())).collect()
    }

    pub fn journal(&self) -> Vec<Asked> {
        self.shared.desk.lock().unwrap().journal.clone()
    }

    /// How many requests have come.
    pub fn requests(&self) -> usize {
        self.shared.desk.lock().unwrap().journal.len()
    }

    pub fn forget(&self) {
        self.shared.desk.lock().unwrap().journal.clear();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.shared.stop.store(true, SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream, address: SocketAddr) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut writer = stream;
        while let Some(asked) = read(&mut reader) {
            let (number, date) = {
                let mut desk = self.desk.lock().unwrap();
                desk.journal.push(asked.clone());
                (desk.journal.len(), desk.time())
            };
            let queued = self.desk.lock().unwrap().next.pop_front();
            let met = self.meets.lock().unwrap().as_ref().and_then(|rule| rule(&asked, number));
            let told = queued.or(met).unwrap_or_else(|| {
                let mut desk = self.desk.lock().unwrap();
                desk.write(&asked).unwrap_or_else(|| desk.page(&asked, address))
            });
            if matches!(asked.method.as_str(), "PUT" | "DELETE") {
                let mut desk = self.desk.lock().unwrap();
                desk.writes += 1;
                if desk.loses > 0 && desk.writes.is_multiple_of(desk.loses) {
                    return;
                }
            }
            let date = Timestamp(date).to_jiff().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
            let mut head = format!("HTTP/1.1 {} X\r\n", told.status);
            if !self.desk.lock().unwrap().dateless {
                head.push_str(&format!("Date: {date}\r\n"));
            }
            told.headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
            head.push_str(&format!("Content-Length: {}\r\n\r\n", told.body.len()));
            if writer.write_all(head.as_bytes()).and_then(|()| writer.write_all(&told.body)).is_err() {
                return;
            }
            if let Some(rule) = self.stirs.lock().unwrap().as_mut() {
                let mut desk = self.desk.lock().unwrap();
                let now = desk.time();
                rule(&mut desk.things, now, number);
            }
        }
    }
}

impl Desk {
    fn time(&self) -> i64 {
        let ran = self.runs.map_or(0, |since| i64::try_from(since.elapsed().as_millis()).unwrap());
        self.now + ran
    }

    /// The next version of a record, and the note that it keeps.
    fn next(&self, id: u64) -> (u64, String) {
        self.things.get(&id).map_or((1, String::new()), |thing| (thing.version + 1, thing.note.clone()))
    }

    /// A record that is written or deleted, unless it has another version than the request says; none = it only reads.
    fn write(&mut self, asked: &Asked) -> Option<Told> {
        if !matches!(asked.method.as_str(), "PUT" | "DELETE") {
            return None;
        }
        let id: u64 = asked.path.strip_prefix("/items/")?.parse().unwrap();
        let known = self.things.get(&id).filter(|thing| !thing.deleted);
        let version = self.things.get(&id).map_or(0, |thing| thing.version);
        if asked.headers.get("if-match").is_some_and(|wanted| known.is_none() || *wanted != version.to_string()) {
            self.refused += 1;
            return Some(Told::status(412));
        }
        if asked.method == "DELETE" && known.is_none() {
            return Some(Told::status(404));
        }
        let deleted = asked.method == "DELETE";
        let body: Value = if deleted { Value::Null } else { serde_json::from_str(&asked.body).unwrap() };
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        let title = self.form.map_or(text("title"), |form| form(&text("title")));
        let thing = Thing { title, note: text("note"), version: version + 1, updated: self.time(), deleted };
        let told = Told::json(&item(id, &thing)).with("ETag", &thing.version.to_string());
        self.things.insert(id, thing);
        Some(told)
    }

    /// A page of what was changed at or after `since`, ordered by time and id.
    fn page(&self, asked: &Asked, address: SocketAddr) -> Told {
        let word = |name: &str| asked.query.get(name).cloned();
        let time = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_millisecond();
        if let Some(id) = asked.path.strip_prefix("/items/") {
            return match self.things.get(&id.parse().unwrap()) {
                Some(thing) if !thing.deleted => Told::json(&item(id.parse().unwrap(), thing)),
                _ => Told::status(404),
            };
        }
        let since = word("since").map_or(i64::MIN, |since| time(&since));
        let mut all: Vec<(&u64, &Thing)> = self.things.iter().filter(|(_, thing)| thing.updated >= since).collect();
        all.sort_by_key(|(id, thing)| (thing.updated, **id));
        if let (Some(updated), Some(key)) = (word("after"), word("key")) {
            let (updated, key) = (time(&updated), key.parse::<u64>().unwrap());
            all.retain(|(id, thing)| (thing.updated, **id) > (updated, key));
        }
        // Words and addresses stand for the last record, whatever moves meanwhile.
        if let Some(at) = word("token").or(word("at")) {
            let (updated, key) = at.split_once('-').unwrap();
            let last = (updated.parse().unwrap(), key.parse::<u64>().unwrap());
            all.retain(|(id, thing)| (thing.updated, **id) > last);
        }
        let from = match (word("offset"), word("page")) {
            (Some(offset), _) => offset.parse().unwrap(),
            (_, Some(page)) => (page.parse::<usize>().unwrap() - 1) * self.size,
            _ => 0,
        };
        let last = all.iter().skip(from).take(self.size).next_back();
        let last = last.map(|(id, thing)| format!("{}-{id}", thing.updated)).unwrap_or_default();
        let items: Vec<Value> = all.iter().skip(from).take(self.size).map(|(id, thing)| item(**id, thing)).collect();
        let end = from + items.len();
        let more = end < all.len();
        let mut answer = json!({"items": items});
        let next = || {
            let since = word("since").map(|since| format!("&since={}", since.replace(':', "%3A"))).unwrap_or_default();
            format!("http://{address}/items?at={last}{since}")
        };
        let mut link = None;
        match self.paging {
            Paging::Link if more => link = Some(format!("<{}>; title=\"a, b\"; rel=\"next last\"", next())),
            Paging::Url if more => answer["next"] = json!(next()),
            Paging::Token if more => answer["next"] = json!(last),
            _ => {}
        }
        let told = Told::json(&answer);
        match link {
            Some(link) => told.with("Link", &link),
            None => told,
        }
    }
}

fn item(id: u64, thing: &Thing) -> Value {
    let mut item = json!({
        "id": id,
        "title": thing.title,
        "version": thing.version,
        "updated": Timestamp(thing.updated).to_string(),
        "deleted": thing.deleted,
    });
    if !thing.note.is_empty() {
        item["note"] = json!(thing.note);
    }
    item
}

fn read(reader: &mut impl BufRead) -> Option<Asked> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|count| *count > 0)?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (plain(name), plain(value))
    };
    let query = query.split('&').filter(|text| !text.is_empty()).map(pair).collect();
    let body = String::from_utf8_lossy(&body).into_owned();
    Some(Asked { method, path: path.to_owned(), query, headers, body })
}

fn plain(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        if bytes[at] == b'%' {
            out.push(u8::from_str_radix(&text[at + 1..at + 3], 16).unwrap());
            at += 3;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8(out).unwrap()
}
