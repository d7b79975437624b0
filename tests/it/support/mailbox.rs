//! A mail server: takes mail by SMTP, with STARTTLS or TLS from the first byte, and keeps it.

use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use base64::Engine as _;
use rustls::ServerConfig;

use super::ca::{Ca, Leaf};
use super::stream::Stream;

/// What it offers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manners {
    /// TLS from the first byte.
    pub wrapped: bool,
    /// STARTTLS.
    pub starttls: bool,
    /// Who must log in: user and password.
    pub login: Option<(&'static str, &'static str)>,
    /// Refuses every mail with this answer.
    pub refuses: Option<&'static str>,
}

/// A mail as it came.
#[derive(Clone, Debug)]
pub struct Letter {
    pub from: String,
    pub to: Vec<String>,
    pub text: String,
    /// It came over TLS.
    pub sealed: bool,
}

pub struct Mailbox {
    pub ca: Ca,
    address: SocketAddr,
    kept: Arc<(Mutex<Kept>, Condvar)>,
}

#[derive(Default)]
struct Kept {
    letters: Vec<Letter>,
    /// Users and passwords that came in the clear.
    bare: usize,
    calls: usize,
}

impl Mailbox {
    pub fn start(manners: Manners) -> Mailbox {
        let ca = Ca::new();
        let config = ca.server(Leaf::Good);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let kept: Arc<(Mutex<Kept>, Condvar)> = Arc::default();
        let shared = kept.clone();
        std::thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let (config, kept) = (config.clone(), shared.clone());
                // Who goes away is what this is for, too.
                std::thread::spawn(move || drop(attend(socket, &config, manners, &kept)));
            }
        });
        Mailbox { ca, address, kept }
    }

    /// `smtp://` or `smtps://` and the address.
    pub fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.address)
    }

    pub fn letters(&self) -> Vec<Letter> {
        self.kept.0.lock().unwrap().letters.clone()
    }

    /// How often somebody has shown a password without TLS.
    pub fn bare_logins(&self) -> usize {
        self.kept.0.lock().unwrap().bare
    }

    pub fn calls(&self) -> usize {
        self.kept.0.lock().unwrap().calls
    }

    /// Waits for so many letters.
    pub fn wait(&self, count: usize) -> Vec<Letter> {
        let kept = self.kept.0.lock().unwrap();
        let few = |kept: &mut Kept| kept.letters.len() < count;
        let (kept, waited) = self.kept.1.wait_timeout_while(kept, Duration::from_secs(180), few).unwrap();
        assert!(!waited.timed_out(), "{} letters of {count}", kept.letters.len());
        kept.letters.clone()
    }
}

fn attend(
    socket: TcpStream,
    config: &Arc<ServerConfig>,
    manners: Manners,
    kept: &(Mutex<Kept>, Condvar),
) -> io::Result<()> {
    kept.0.lock().unwrap().calls += 1;
    let mut sealed = manners.wrapped;
    let mut line = BufReader::new(match manners.wrapped {
        true => Stream::tls(socket, config.clone())?,
        false => Stream::Plain(socket),
    });
    say(&mut line, "220 mail.test ready")?;
    let (mut from, mut to, mut logged_in) = (String::new(), Vec::new(), manners.login.is_none());
    loop {
        let mut text = String::new();
        if line.read_line(&mut text)? == 0 {
            return Ok(());
        }
        let text = text.trim_end();
        let verb = text.split(' ').next().unwrap_or_default().to_ascii_uppercase();
        match verb.as_str() {
            "EHLO" => {
                let mut offers = vec!["mail.test"];
                offers.extend((manners.starttls && !sealed).then_some("STARTTLS"));
                offers.extend(manners.login.map(|_| "AUTH PLAIN LOGIN"));
                offers.push("8BITMIME");
                for (at, offer) in offers.iter().enumerate() {
                    say(&mut line, &format!("250{}{offer}", if at + 1 == offers.len() { ' ' } else { '-' }))?;
                }
            }
            "STARTTLS" => {
                say(&mut line, "220 go on")?;
                let Stream::Plain(socket) = line.into_inner() else { return Ok(()) };
                line = BufReader::new(Stream::tls(socket, config.clone())?);
                sealed = true;
            }
            "AUTH" => {
                kept.0.lock().unwrap().bare += usize::from(!sealed);
                let shown = text.split(' ').nth(2).unwrap_or_default();
                let shown = base64::engine::general_purpose::STANDARD.decode(shown).unwrap_or_default();
                let known = manners.login.map(|(user, password)| format!("\0{user}\0{password}"));
                logged_in = known.is_some_and(|known| known.as_bytes() == shown);
                say(&mut line, if logged_in { "235 welcome" } else { "535 who are you" })?;
            }
            "MAIL" if !logged_in => say(&mut line, "530 log in first")?,
            "MAIL" => {
                from = address(text);
                say(&mut line, manners.refuses.unwrap_or("250 ok"))?;
            }
            "RCPT" => {
                to.push(address(text));
                say(&mut line, "250 ok")?;
            }
            "DATA" => {
                say(&mut line, "354 go on")?;
                let text = letter(&mut line)?;
                let letter = Letter { from: from.clone(), to: std::mem::take(&mut to), text, sealed };
                kept.0.lock().unwrap().letters.push(letter);
                kept.1.notify_all();
                say(&mut line, "250 kept")?;
            }
            "QUIT" => {
                say(&mut line, "221 bye")?;
                return Ok(());
            }
            "RSET" | "NOOP" => say(&mut line, "250 ok")?,
            _ => say(&mut line, "500 what")?,
        }
    }
}

fn say(line: &mut BufReader<Stream>, text: &str) -> io::Result<()> {
    let stream = line.get_mut();
    stream.write_all(format!("{text}\r\n").as_bytes())?;
    stream.flush()
}

fn address(text: &str) -> String {
    text.split(['<', '>']).nth(1).unwrap_or_default().to_owned()
}

/// Up to the lone dot.
fn letter(line: &mut BufReader<Stream>) -> io::Result<String> {
    let mut text = String::new();
    loop {
        let mut next = String::new();
        if line.by_ref().read_line(&mut next)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if next == ".\r\n" {
            return Ok(text);
        }
        text.push_str(next.strip_prefix('.').unwrap_or(&next));
    }
}
