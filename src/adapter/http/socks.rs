//! SOCKS5 (RFC 1928) with a user name and a password where they are configured (RFC 1929).

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};

use zeroize::Zeroizing;

use super::proxy::Proxy;
use super::trouble::Trouble;
use super::wire::trouble;

const VERSION: u8 = 5;
const NOTHING: u8 = 0;
const PASSWORD: u8 = 2;

/// Where the proxy is to connect to.
#[derive(Clone, Copy, Debug)]
pub enum To<'t> {
    /// An address that was checked.
    Address(SocketAddr),
    /// A name that the proxy looks up, or an address as text.
    Name(&'t str, u16),
}

/// Asks a proxy for a way; what is read and written afterwards is between us and the target.
pub fn tunnel(stream: &mut (impl Read + Write), proxy: &Proxy, to: To<'_>) -> Result<(), Trouble> {
    let login = proxy.login()?;
    let offered: &[u8] = if login.is_some() { &[VERSION, 2, NOTHING, PASSWORD] } else { &[VERSION, 1, NOTHING] };
    write(stream, offered)?;
    match read::<2>(stream)? {
        [VERSION, NOTHING] => {}
        [VERSION, PASSWORD] => match &login {
            Some((user, password)) => sign_in(stream, user, password.expose())?,
            None => return Err(Trouble::halt("proxy", "the proxy wants a user name and a password")),
        },
        [VERSION, _] => {
            return Err(Trouble::halt(
                "proxy",
                "the proxy wants a user name and a password, or a sign-in that is not known here",
            ));
        }
        _ => return Err(Trouble::halt("proxy", "the proxy does not answer as SOCKS5 does; is it an http proxy?")),
    }
    let mut request = vec![VERSION, 1, 0];
    let port = match to {
        To::Address(address) => {
            put(&mut request, address.ip());
            address.port()
        }
        To::Name(name, port) => {
            let bare = name.trim_start_matches('[').trim_end_matches(']');
            match bare.parse() {
                Ok(address) => put(&mut request, address),
                Err(_) => {
                    let length = u8::try_from(bare.len())
                        .map_err(|_| Trouble::halt("proxy", "the target's name is longer than SOCKS5 can say"))?;
                    request.extend([3, length]);
                    request.extend_from_slice(bare.as_bytes());
                }
            }
            port
        }
    };
    request.extend(port.to_be_bytes());
    write(stream, &request)?;
    let [version, code, _, kind] = read::<4>(stream)?;
    if version != VERSION {
        return Err(Trouble::halt("proxy", "the proxy does not answer as SOCKS5 does"));
    }
    if code != 0 {
        return Err(refusal(code));
    }
    // Where it speaks from: of no use, but in the way.
    let length = match kind {
        1 => 4,
        4 => 16,
        3 => usize::from(read::<1>(stream)?[0]),
        _ => return Err(Trouble::passing("proxy", "the proxy answers with an unknown kind of address")),
    };
    let mut rest = vec![0; length + 2];
    stream.read_exact(&mut rest).map_err(|error| broke(&error))
}

fn sign_in(stream: &mut (impl Read + Write), user: &str, password: &str) -> Result<(), Trouble> {
    let long =
        |_| Trouble::halt("proxy", "the proxy's user name or password is longer than SOCKS5 can say (255 bytes)");
    let (user_length, length) = (u8::try_from(user.len()).map_err(long)?, u8::try_from(password.len()).map_err(long)?);
    let mut message = Zeroizing::new(vec![1, user_length]);
    message.extend_from_slice(user.as_bytes());
    message.push(length);
    message.extend_from_slice(password.as_bytes());
    write(stream, &message)?;
    match read::<2>(stream)? {
        [_, 0] => Ok(()),
        _ => Err(Trouble::halt("proxy", "the proxy refuses our user name or password")),
    }
}

fn put(request: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            request.push(1);
            request.extend(address.octets());
        }
        IpAddr::V6(address) => {
            request.push(4);
            request.extend(address.octets());
        }
    }
}

/// The replies of RFC 1928 §6.
fn refusal(code: u8) -> Trouble {
    match code {
        2 => Trouble::halt("proxy", "the proxy does not let us through to this target"),
        7 | 8 => Trouble::halt("proxy", "the proxy cannot do what SOCKS5 asks of it here"),
        3 => Trouble::passing("proxy", "the proxy has no way to the target's network"),
        4 => Trouble::passing("proxy", "the proxy has no way to the target"),
        5 => Trouble::passing("proxy", "the target refuses the proxy's connection"),
        6 => Trouble::passing("proxy", "the target does not answer the proxy"),
        _ => Trouble::passing("proxy", format!("the proxy cannot reach the target (SOCKS5 reply {code})")),
    }
}

fn write(stream: &mut impl Write, bytes: &[u8]) -> Result<(), Trouble> {
    stream.write_all(bytes).map_err(|error| broke(&error))
}

fn read<const N: usize>(stream: &mut impl Read) -> Result<[u8; N], Trouble> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).map_err(|error| broke(&error))?;
    Ok(bytes)
}

fn broke(error: &io::Error) -> Trouble {
    let mut trouble = trouble(error, true);
    trouble.reason.class = "proxy".into();
    trouble.reason.text = format!("through the proxy: {}", trouble.reason.text).into();
    trouble
}
