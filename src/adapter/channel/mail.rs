//! Mail by SMTP.
//!
//! `smtps` is TLS from the first byte. `smtp` becomes TLS by STARTTLS where the server offers it; where a credential is
//! shown it must. A notice holds nothing that a relay in the house must not read.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lettre::message::{Mailbox, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, Message, SmtpTransport, Transport as _};

use super::Channel;
use crate::adapter::secret::SecretSource;
use crate::format::notice::Notice;
use crate::rules::outcome::Reason;

/// The longest wait for the server, at each step.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Longest text of a server that is repeated.
const SAID: usize = 200;

/// How a mail server is reached, and who writes to whom.
#[derive(Debug)]
pub struct MailSpec {
    /// `smtp://host:port` or `smtps://host:port`; ports 25 (587 with a credential) and 465.
    pub smtp: String,
    /// Recipients.
    pub to: Vec<String>,
    /// Sender; none = `hms-sync@` and the name of this machine.
    pub from: Option<String>,
    /// User and password.
    pub credential: Option<(String, SecretSource)>,
    /// Authorities beyond the system's, in PEM.
    pub ca: Vec<PathBuf>,
    /// This machine's name.
    pub host: String,
}

/// A mail server. It has the notice when it has accepted it for each recipient.
#[derive(Debug)]
pub struct Mail {
    host: String,
    port: u16,
    tls: Way,
    me: String,
    from: Mailbox,
    to: Vec<Mailbox>,
    credential: Option<(String, Arc<SecretSource>)>,
}

enum Way {
    Wrapped(TlsParameters),
    Must(TlsParameters),
    May(TlsParameters),
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Way::Wrapped(_) => "Wrapped",
            Way::Must(_) => "Must",
            Way::May(_) => "May",
        })
    }
}

/// An address of mail, `ops@office.gov`, perhaps with a name before it.
///
/// # Errors
/// What is wrong with it.
pub fn address(text: &str) -> Result<Mailbox, String> {
    text.parse().map_err(|error: lettre::address::AddressError| error.to_string())
}

impl Mail {
    /// Nothing is connected yet.
    ///
    /// # Errors
    /// What of the settings cannot be used, with a file where there is one.
    pub fn new(spec: MailSpec) -> Result<Mail, String> {
        let MailSpec { smtp, to, from, credential, ca, host: me } = spec;
        let uri: ureq::http::Uri = smtp.parse().map_err(|_| "smtp: is not an address".to_owned())?;
        let wrapped = uri.scheme_str().is_some_and(|scheme| scheme.eq_ignore_ascii_case("smtps"));
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let port = uri.port_u16().unwrap_or(match (wrapped, &credential) {
            (true, _) => 465,
            (false, Some(_)) => 587,
            (false, None) => 25,
        });
        let mut tls = TlsParameters::builder(host.clone());
        for file in ca {
            let wrong = |error: String| format!("tls.ca: {}: {error}", file.display());
            let pem = std::fs::read(&file).map_err(|error| wrong(error.to_string()))?;
            let authorities = Certificate::from_pem(&pem).map_err(|error| wrong(error.to_string()))?;
            tls = tls.add_root_certificate(authorities);
        }
        let tls = tls.build_rustls().map_err(|error| format!("TLS cannot be set up: {error}"))?;
        let tls = match (wrapped, &credential) {
            (true, _) => Way::Wrapped(tls),
            (false, Some(_)) => Way::Must(tls),
            (false, None) => Way::May(tls),
        };
        let from = match from {
            Some(from) => address(&from)?,
            None => {
                let made =
                    Address::new("hms-sync", &me).map_err(|_| format!("from: say who writes: {me} is no domain"))?;
                Mailbox::new(None, made)
            }
        };
        let to = to.iter().map(|to| address(to)).collect::<Result<_, _>>()?;
        let credential = credential.map(|(user, password)| (user, Arc::new(password)));
        Ok(Mail { host, port, tls, me, from, to, credential })
    }

    fn message(&self, notice: &Notice) -> Result<Message, String> {
        let mut message = Message::builder().from(self.from.clone()).subject(notice.subject());
        for to in &self.to {
            message = message.to(to.clone());
        }
        let id = notice.id.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' });
        let id = format!("<{}@{}>", id.collect::<String>(), self.from.email.domain());
        let message = message.message_id(Some(id)).user_agent(notice.agent.clone());
        message.singlepart(SinglePart::plain(notice.text())).map_err(|error| error.to_string())
    }

    fn transport(&self) -> Result<SmtpTransport, String> {
        let tls = match &self.tls {
            Way::Wrapped(tls) => Tls::Wrapper(tls.clone()),
            Way::Must(tls) => Tls::Required(tls.clone()),
            Way::May(tls) => Tls::Opportunistic(tls.clone()),
        };
        let mut transport = SmtpTransport::builder_dangerous(&self.host)
            .port(self.port)
            .tls(tls)
            .timeout(Some(TIMEOUT))
            .hello_name(ClientId::Domain(self.me.clone()));
        if let Some((user, password)) = &self.credential {
            let password = password.get()?;
            transport = transport.credentials(Credentials::new(user.clone(), password.expose().to_owned()));
        }
        Ok(transport.build())
    }
}

impl Channel for Mail {
    fn tell(&self, notice: &Notice) -> Result<(), Reason> {
        let failed = |why: String| {
            let plain: String = why.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SAID).collect();
            Reason::new("smtp", format!("{}:{}: {plain}", self.host, self.port))
        };
        let message = self.message(notice).map_err(failed)?;
        self.transport().map_err(failed)?.send(&message).map(drop).map_err(|error| failed(chain(&error)))
    }
}

/// An error with what is behind it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        next = cause.source();
    }
    text
}
