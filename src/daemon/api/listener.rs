//! Where the API listens, and its thread.

use std::io;
use std::net::{SocketAddr, TcpListener as Tcp};
use std::os::unix::net::UnixListener as Unix;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::caller::Caller;
use super::door::{self, Room};
use super::session::Sessions;
use super::token::Token;
use super::{Desk, Shared, router, signin};
use crate::adapter::secret::SecretRef;
use crate::clock;
use crate::engine::need::Need;

/// How long an ending agent waits for calls that are under way.
const ENDING: Duration = Duration::from_secs(3);

/// Where it listens.
#[derive(Clone, Debug)]
pub struct Ways {
    /// The unix socket.
    pub socket: PathBuf,
    /// TCP ports of this machine.
    pub tcp: Vec<SocketAddr>,
    /// The token of TCP callers; none = the file `api.token` beside the state file.
    pub token: Option<SecretRef>,
    /// `/metrics` needs no token.
    pub open_metrics: bool,
}

/// The running API.
#[derive(Debug)]
pub struct Api {
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
    path: PathBuf,
    ports: Arc<Vec<SocketAddr>>,
    sessions: Arc<Sessions>,
}

impl Api {
    /// Listens on a unix socket, mode 0660, and on the TCP ports. A socket left behind by an agent that was killed is
    /// replaced: the caller holds the lock of the state file, so nobody listens there. A port that cannot be had is
    /// logged and told of in `status`, and the rest goes on.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub fn listen(ways: &Ways, shared: Shared) -> io::Result<Api> {
        let path = ways.socket.clone();
        let socket = bind(&path)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = watch::channel(false);
        let state = shared.read().unwrap_or_else(std::sync::PoisonError::into_inner).state().to_owned();
        let (mut ports, mut shut) = (Vec::new(), Vec::new());
        let token = if ways.tcp.is_empty() { Ok(None) } else { Token::open(&state, ways.token.as_ref()).map(Some) };
        let token = token.unwrap_or_else(|error| {
            shut.push(closed(&format!("the token file beside {} cannot be made: {error}", state.display())));
            None
        });
        for address in ways.tcp.iter().filter(|_| token.is_some()) {
            match open(*address) {
                Ok(port) => ports.push(port),
                Err(error) => shut.push(closed(&format!("{address} cannot be listened on: {error}"))),
            }
        }
        if let (Some(token), false) = (&token, ports.is_empty()) {
            let at: Vec<String> = ports.iter().map(|(address, _)| format!("http://{address}")).collect();
            log::info!("the API is at {}; its token is in {}", at.join(", "), token.from());
        }
        let open = ports.iter().map(|(address, _)| *address).collect();
        let desk = Desk::new(shared, stopped.clone(), token.map(Arc::new), shut, open);
        let desk = Desk { open_metrics: ways.open_metrics, ..desk };
        let (ports_open, sessions) = (desk.ports.clone(), desk.sessions.clone());
        let thread = std::thread::Builder::new().name("api".into()).spawn(move || {
            if let Err(error) = runtime.block_on(serve(socket, ports, desk, stopped)) {
                log::error!("the API cannot listen: {error}");
            }
            // Who reads on a thread of its own for somebody that is gone is not waited for.
            runtime.shutdown_background();
        })?;
        Ok(Api { stop, thread, path, ports: ports_open, sessions })
    }

    /// The address of the status page with a code that signs in who opens it, once and within `life`; none when no port is
    /// open.
    pub fn page(&self, who: &str, life: Duration) -> Option<String> {
        let port = self.ports.first()?;
        Some(format!("{}#code={}", signin::address(*port), self.sessions.code(who, life)?))
    }

    /// Ends it: takes nobody in any more, lets calls that are under way come to their end if that is soon.
    pub fn stop(self) {
        let _ = self.stop.send(true);
        let _ = std::fs::remove_file(&self.path);
        let until = clock::steady().plus(ENDING);
        while !self.thread.is_finished() && clock::steady() < until {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

fn closed(what: &str) -> Need {
    log::error!("the API: {what}");
    let mend = "see who has the port (`ss -ltnp`), or name another with `api: {listen:}`, and restart the agent";
    Need { subject: "api".to_owned(), what: what.to_owned(), mend: mend.to_owned() }
}

fn bind(path: &Path) -> io::Result<Unix> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = Unix::bind(path)?;
    listener.set_nonblocking(true)?;
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o660))?;
    Ok(listener)
}

fn open(address: SocketAddr) -> io::Result<(SocketAddr, Tcp)> {
    let listener = Tcp::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok((listener.local_addr()?, listener))
}

async fn serve(socket: Unix, ports: Vec<(SocketAddr, Tcp)>, desk: Desk, stop: watch::Receiver<bool>) -> io::Result<()> {
    let (room, router) = (Arc::<Room>::default(), router(desk));
    let mut doors = JoinSet::new();
    let peer = |stream: &UnixStream| Caller::Peer(stream.peer_cred().ok().map(|peer| peer.uid()));
    doors.spawn(door::open(UnixListener::from_std(socket)?, peer, room.clone(), router.clone(), stop.clone()));
    for (address, port) in ports {
        let who = move |_: &_| Caller::Tcp(address);
        doors.spawn(door::open(TcpListener::from_std(port)?, who, room.clone(), router.clone(), stop.clone()));
    }
    while doors.join_next().await.is_some() {}
    Ok(())
}
