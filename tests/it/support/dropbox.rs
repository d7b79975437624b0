//! An SFTP server that behaves as a [`Shelf`] is told to, over real SSH: passwords, partial authentication, cuts.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use hms_sync::adapter::sftp::target::{Identity, Known, Target};
use hms_sync::adapter::sftp::wire::{Inbox, Packet, Reader, kind, status};
use russh::keys::{HashAlg, PrivateKey, load_secret_key};
use russh::server::{Auth, ChannelOpenHandle, Config, Handler, Msg, Response, Session, VerifiedPublicKey, run_stream};
use russh::{Channel, ChannelId, MethodKind, MethodSet};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

use super::shelf::{Shelf, State};
use super::sshd::{keygen, secret};

/// What the server demands of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    Key,
    Password,
    Interactive,
    /// Both, one after the other.
    KeyAndPassword,
}

/// The only password that is right.
pub const PASSWORD: &str = "correct horse";

/// Request at which a connection breaks, counted down over all connections, and whether it is carried out.
type Cut = Arc<Mutex<Option<(usize, bool)>>>;

/// A running server.
pub struct DropBox {
    pub shelf: Shelf,
    pub cut: Cut,
    /// While it is set, requests are swallowed.
    pub silent: Arc<AtomicBool>,
    /// Attempts to show who one is, as `password`.
    pub attempts: Arc<Mutex<Vec<&'static str>>>,
    pub folder: tempfile::TempDir,
    port: u16,
    fingerprint: String,
}

impl DropBox {
    pub fn start(shelf: Shelf, demand: Demand) -> DropBox {
        let folder = tempfile::tempdir().unwrap();
        keygen(&folder.path().join("host"), "ed25519", "");
        keygen(&folder.path().join("user"), "ed25519", "");
        let key: PrivateKey = load_secret_key(folder.path().join("host"), None).unwrap();
        let fingerprint = key.public_key().fingerprint(HashAlg::Sha256).to_string();
        let methods: &[MethodKind] = match demand {
            Demand::Key | Demand::KeyAndPassword => &[MethodKind::PublicKey],
            Demand::Password => &[MethodKind::Password],
            Demand::Interactive => &[MethodKind::KeyboardInteractive],
        };
        let config = Arc::new(Config {
            keys: vec![key],
            methods: MethodSet::from(methods),
            auth_rejection_time: std::time::Duration::ZERO,
            ..Config::default()
        });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (cut, attempts, silent): (Cut, Arc<Mutex<Vec<_>>>, Arc<AtomicBool>) = Default::default();
        let server = DropBox { shelf, cut, silent, attempts, folder, port, fingerprint };
        let silent = Arc::clone(&server.silent);
        let (shelf, cut, attempts) = (server.shelf.again(None), Arc::clone(&server.cut), Arc::clone(&server.attempts));
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let broken = Arc::new(Notify::new());
                let guest = Guest {
                    demand,
                    shelf: shelf.again(None),
                    cut: Arc::clone(&cut),
                    silent: Arc::clone(&silent),
                    attempts: Arc::clone(&attempts),
                    broken: Arc::clone(&broken),
                    channel: None,
                };
                let config = Arc::clone(&config);
                std::thread::spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                    runtime.block_on(async {
                        socket.set_nonblocking(true).unwrap();
                        let socket = tokio::net::TcpStream::from_std(socket).unwrap();
                        socket.set_nodelay(true).unwrap();
                        let Ok(session) = run_stream(config, socket, guest).await else { return };
                        tokio::select! {
                            _ = session => {}
                            () = broken.notified() => {}
                        }
                    });
                });
            }
        });
        server
    }

    /// A target with a key, a password, or both.
    pub fn target(&self, key: bool, password: Option<&str>) -> Target {
        let known = Known { fingerprints: vec![self.fingerprint.clone()], hosts: None };
        let password = password.map(|password| {
            let path = self.folder.path().join("password");
            std::fs::write(&path, password).unwrap();
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
            secret(&path)
        });
        let key = key.then(|| secret(&self.folder.path().join("user")));
        Target {
            port: self.port,
            ..Target::new("127.0.0.1", "OF042", Identity { key, passphrase: None, password }, known)
        }
    }
}

struct Guest {
    demand: Demand,
    shelf: Shelf,
    cut: Cut,
    silent: Arc<AtomicBool>,
    attempts: Arc<Mutex<Vec<&'static str>>>,
    broken: Arc<Notify>,
    channel: Option<Channel<Msg>>,
}

impl Guest {
    fn judge(&self, right: bool) -> Auth {
        if right { Auth::Accept } else { Auth::reject() }
    }
}

impl Handler for Guest {
    type Error = russh::Error;

    async fn auth_password(&mut self, _user: &str, password: &str) -> Result<Auth, russh::Error> {
        self.attempts.lock().unwrap().push("password");
        Ok(self.judge(password == PASSWORD))
    }

    async fn auth_publickey(&mut self, _user: &str, _key: VerifiedPublicKey<'_>) -> Result<Auth, russh::Error> {
        self.attempts.lock().unwrap().push("key");
        Ok(match self.demand {
            Demand::Key => Auth::Accept,
            Demand::KeyAndPassword => Auth::Reject {
                proceed_with_methods: Some(MethodSet::from([MethodKind::Password].as_slice())),
                partial_success: true,
            },
            _ => Auth::reject(),
        })
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        _user: &str,
        _submethods: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, russh::Error> {
        let Some(mut response) = response else {
            let prompts = vec![("Password: ".into(), false)];
            return Ok(Auth::Partial { name: "".into(), instructions: "".into(), prompts: prompts.into() });
        };
        self.attempts.lock().unwrap().push("interactive");
        let right = response.next().is_some_and(|text| text == PASSWORD.as_bytes());
        Ok(self.judge(right))
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        self.channel = Some(channel);
        reply.accept().await;
        Ok(())
    }

    async fn subsystem_request(
        &mut self,
        id: ChannelId,
        _name: &str,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        session.channel_success(id)?;
        let mut stream = self.channel.take().unwrap().into_stream();
        let (shelf, cut, broken) = (self.shelf.again(None), Arc::clone(&self.cut), Arc::clone(&self.broken));
        let silent = Arc::clone(&self.silent);
        tokio::spawn(async move {
            let (mut inbox, mut buffer) = (Inbox::default(), vec![0; 65536]);
            while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                inbox.push(&buffer[..read]);
                while let Some(packet) = inbox.packet().unwrap() {
                    if silent.load(Ordering::Relaxed) {
                        continue;
                    }
                    let now = {
                        let mut cut = cut.lock().unwrap();
                        let now = cut.filter(|(left, _)| *left == 0);
                        if let Some((left, _)) = &mut *cut {
                            *left = left.saturating_sub(1);
                        }
                        if now.is_some() {
                            *cut = None;
                        }
                        now
                    };
                    if let Some((_, false)) = now {
                        return broken.notify_one();
                    }
                    let answer = answer(&mut shelf.state(), &packet);
                    if now.is_some() {
                        return broken.notify_one();
                    }
                    if stream.write_all(&answer).await.is_err() {
                        return;
                    }
                }
            }
        });
        Ok(())
    }
}

/// The answer to one request. Handles are no text on purpose.
fn answer(state: &mut State, packet: &[u8]) -> Vec<u8> {
    let mut rest = Reader(packet);
    let (what, id) = (rest.u8().unwrap(), rest.u32().unwrap());
    let text = |rest: &mut Reader<'_>| String::from_utf8(rest.text().unwrap()).unwrap();
    let handle = |rest: &mut Reader<'_>| u32::from_be_bytes(rest.text().unwrap()[1..].try_into().unwrap());
    let words = state.manner.words.clone();
    let say = |code: u32| Packet::new(kind::STATUS, id, 0).u32(code).text(&words).text("").done();
    let settle = |done: Result<(), u32>| say(done.err().unwrap_or(status::OK));
    match what {
        kind::INIT => Packet::new(kind::VERSION, 3, 0).text("posix-rename@openssh.com").text("1").done(),
        kind::STAT => match state.stat(&text(&mut rest)) {
            Ok(Some(size)) => Packet::new(kind::ATTRS, id, 0).u32(1).u64(size).done(),
            Ok(None) => Packet::new(kind::ATTRS, id, 0).u32(0).done(),
            Err(code) => say(code),
        },
        kind::OPEN => match state.open(&text(&mut rest), rest.u32().unwrap()) {
            Ok(handle) => {
                let bytes = [&[0xff_u8][..], &handle.to_be_bytes()].concat();
                Packet::new(kind::HANDLE, id, 0).text(bytes).done()
            }
            Err(code) => say(code),
        },
        kind::WRITE => {
            let (handle, offset) = (handle(&mut rest), rest.u64().unwrap());
            settle(state.write(handle, offset, &rest.text().unwrap()))
        }
        kind::READ => match state.read(handle(&mut rest), rest.u64().unwrap(), rest.u32().unwrap()) {
            Ok(bytes) => Packet::new(kind::DATA, id, bytes.len()).text(bytes).done(),
            Err(code) => say(code),
        },
        kind::CLOSE => settle(state.close(handle(&mut rest))),
        kind::RENAME => settle(state.rename(&text(&mut rest), &text(&mut rest), false)),
        kind::REMOVE => settle(state.remove(&text(&mut rest))),
        kind::EXTENDED if text(&mut rest) == "posix-rename@openssh.com" => {
            settle(state.rename(&text(&mut rest), &text(&mut rest), true))
        }
        _ => say(status::OP_UNSUPPORTED),
    }
}
