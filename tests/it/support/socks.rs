//! A SOCKS5 proxy (RFC 1928, 1929).

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A running proxy.
pub struct SocksProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    login: Option<(String, String)>,
    /// Where every name leads to.
    names: Option<SocketAddr>,
    reply: Mutex<u8>,
    asked: Mutex<Vec<String>>,
}

impl SocksProxy {
    /// Lets everything through that shows this login; names lead to one place.
    pub fn start(login: Option<(&str, &str)>, names: Option<SocketAddr>) -> SocksProxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let login = login.map(|(user, password)| (user.to_owned(), password.to_owned()));
        let shared = Arc::new(Shared { login, names, reply: Mutex::new(0), asked: Mutex::default() });
        let accepting = shared.clone();
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let shared = accepting.clone();
                std::thread::spawn(move || shared.serve(socket));
            }
        });
        SocksProxy { address, shared }
    }

    /// `scheme://host:port`.
    pub fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.address)
    }

    /// From now on every request for a way is answered by this code.
    pub fn reply(&self, code: u8) {
        *self.shared.reply.lock().unwrap() = code;
    }

    /// What ways were asked for: `kind host:port`.
    pub fn asked(&self) -> Vec<String> {
        self.shared.asked.lock().unwrap().clone()
    }
}

impl Shared {
    fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        let [version, count] = read(&mut client)?;
        assert_eq!(version, 5);
        let mut methods = vec![0; usize::from(count)];
        client.read_exact(&mut methods)?;
        let wanted = if self.login.is_some() { 2 } else { 0 };
        if !methods.contains(&wanted) {
            return client.write_all(&[5, 0xff]);
        }
        client.write_all(&[5, wanted])?;
        if let Some((user, password)) = &self.login {
            assert_eq!(read(&mut client)?, [1]);
            let given = (text(&mut client)?, text(&mut client)?);
            let good = given == (user.clone(), password.clone());
            client.write_all(&[1, u8::from(!good)])?;
            if !good {
                return Ok(());
            }
        }
        let [_, command, _, kind] = read(&mut client)?;
        assert_eq!(command, 1);
        let (word, host) = match kind {
            1 => ("address", Ipv4Addr::from(read::<4>(&mut client)?).to_string()),
            3 => ("name", text(&mut client)?),
            other => panic!("address of kind {other}"),
        };
        let port = u16::from_be_bytes(read(&mut client)?);
        self.asked.lock().unwrap().push(format!("{word} {host}:{port}"));
        let code = *self.reply.lock().unwrap();
        // With a name as where it speaks from, which nobody expects.
        client.write_all(&[5, code, 0, 3, 4])?;
        client.write_all(b"here\0\0")?;
        if code != 0 {
            return Ok(());
        }
        let to = self.names.filter(|_| word == "name").unwrap_or_else(|| format!("{host}:{port}").parse().unwrap());
        let server = TcpStream::connect(to)?;
        let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
        std::thread::spawn(move || {
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        });
        let (mut from, mut to) = (server, client);
        let _ = io::copy(&mut from, &mut to);
        to.shutdown(Shutdown::Write)
    }
}

fn read<const N: usize>(from: &mut TcpStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn text(from: &mut TcpStream) -> io::Result<String> {
    let [length] = read(from)?;
    let mut bytes = vec![0; usize::from(length)];
    from.read_exact(&mut bytes)?;
    Ok(String::from_utf8(bytes).unwrap())
}
