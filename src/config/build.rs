//! From checked descriptions to parts that run. What only shows now (a certificate file that cannot be read) is
//! said in the same form as everything else that is wrong with a configuration.

mod inlet;
mod source;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::adapter::Adapter;
use crate::adapter::auth::csrf::{Csrf, CsrfSpec};
use crate::adapter::auth::session::{self, Session, SessionSpec, SignIn};
use crate::adapter::auth::sigv4::SigV4;
use crate::adapter::auth::webhook::Webhook;
use crate::adapter::auth::wsse::UsernameToken;
use crate::adapter::auth::{self, Scheme};
use crate::adapter::hook::Hook;
use crate::adapter::http::{Client, Login, Options, Proxy};
use crate::adapter::oauth::{Grant, Kept, OAuth2, OAuth2Spec, Proof, Signer};
use crate::adapter::rest::{RestAdapter, RestSpec};
use crate::adapter::secret::{SecretRef, SecretSource};
use crate::adapter::spec::{Road, SpecAdapter, SpecSettings};
use crate::adapter::tls::{Tls, TlsFiles};
use crate::adapter::websocket::{self, Door};
use crate::config::connector::{ConnectorSpec, Described, Target, Way};
use crate::config::credential::{self, Assertion, Credential, KeyPlace, Word};
use crate::config::drop::deliver::Deliver;
use crate::config::drop::pgp::SealSpec;
use crate::config::endpoint::Endpoint;
use crate::config::hook::HookWay;
use crate::config::problem::{Problem, Problems, Severity};
use crate::config::proxy::ProxySpec;
use crate::config::settings::{SecretPlace, Settings};
use crate::engine::connector::Connector;
use crate::engine::drop::{Drop, Naming};
use crate::engine::inflow::Inflow;
use crate::engine::subscription::Subscription;
use crate::format::message::Shape;
use crate::rules::governance::Gate;
use crate::rules::template::Template;
use crate::rules::transport::Transport;

pub use inlet::inlet;
pub use source::{asked_source_of, source_of};

/// Credentials ready to be shown, by name; one token for all connectors that share one.
pub type Credentials = BTreeMap<String, Arc<auth::Credential>>;

/// Makes the credentials. No secret is read yet.
pub fn credentials(settings: &Settings) -> Result<Credentials, Problems> {
    let mut made = Credentials::new();
    let mut problems = Vec::new();
    for (name, credential) in &settings.credentials {
        let key = format!("credentials.{name}");
        let made_of = schemes(name, credential, settings);
        match made_of.and_then(|schemes| auth::Credential::several(name, schemes)) {
            Ok(credential) => {
                made.insert(name.clone(), Arc::new(credential));
            }
            Err(message) => problems.push(problem(&settings.file, &key, message)),
        }
    }
    if problems.is_empty() { Ok(made) } else { Err(Problems::new(problems)) }
}

/// Makes a connector ready to run. `credentials` are those of [`credentials`]; `secret` keys the hashes of redacted
/// fields.
pub fn connector(
    spec: ConnectorSpec,
    settings: &Settings,
    credentials: &Credentials,
    secret: [u8; 32],
) -> Result<Connector, Problems> {
    let gate = gate(&spec, settings, secret);
    let hook = hook(&spec, settings, credentials)?;
    let retry_on = spec.retry.retry_on.clone();
    let keys = keys(&spec, settings);
    let ways = Ways {
        joins: spec.batch.is_some(),
        both: spec.strategy.pushes() && spec.strategy.pulls(),
        conditional: spec.pull.as_ref().is_some_and(|pull| pull.conditional),
    };
    let adapter = adapter(spec.way, spec.idempotency_key, retry_on, ways, settings, credentials).map_err(|wrongs| {
        Problems::new(wrongs.into_iter().map(|(key, message)| problem(&spec.file, &key, message)).collect())
    })?;
    Ok(Connector {
        name: spec.name.clone(),
        subscription: Subscription {
            name: spec.name,
            listen: spec.listen,
            filter: spec.filter,
            mapping: spec.mapping,
            gate,
            ignore_leave: spec.ignore_leave,
            skip_unchanged: spec.skip_unchanged,
        },
        hook,
        adapter,
        keys,
        pace: spec.pace,
        retry: spec.retry,
        concurrency: spec.concurrency,
        batch: spec.batch,
        rate: spec.rate,
        continue_on_dead: spec.continue_on_dead,
        serial: spec.serial,
        from_beginning: spec.from_beginning,
        config_hash: spec.config_hash,
        config: spec.config,
        file: spec.file,
    })
}

/// Files that say who the connector is, and whom it believes.
fn keys(spec: &ConnectorSpec, settings: &Settings) -> Vec<PathBuf> {
    let Some(endpoint) = spec.endpoint() else { return Vec::new() };
    let own = |place: &&SecretPlace| endpoint.credential.as_ref() == Some(&place.credential);
    let secrets = settings.secrets.iter().filter(own).filter_map(|place| place.from.path());
    secrets.chain(endpoint.tls.paths().map(Path::to_path_buf)).collect()
}

/// How a connector's records go.
#[derive(Clone, Copy)]
struct Ways {
    /// Several in one request.
    joins: bool,
    /// It reads too.
    both: bool,
    /// What is written names the version that was read.
    conditional: bool,
}

/// What is wrong, each with the key that it is about.
type Wrongs = Vec<(String, String)>;

/// The way out of a connector that makes calls.
fn adapter(
    way: Way,
    idem_key: Option<Template>,
    retry_on: Vec<u16>,
    ways: Ways,
    settings: &Settings,
    credentials: &Credentials,
) -> Result<Arc<dyn Adapter>, Wrongs> {
    let at_endpoint =
        |wrongs: Vec<String>| -> Wrongs { wrongs.into_iter().map(|text| ("endpoint".to_owned(), text)).collect() };
    match way {
        Way::Drop(_) | Way::Inbox => Err(vec![("drop".to_owned(), "has files, and cannot make calls".to_owned())]),
        Way::Rest(endpoint) => {
            let (http, credential) = client_of(&endpoint, settings, credentials)?;
            let Endpoint { url, method, headers, delete, .. } = *endpoint;
            let conditional = ways.conditional;
            let spec = RestSpec { url, method, headers, delete, idem_key, retry_on, conditional, http, credential };
            Ok(Arc::new(RestAdapter::new(spec).map_err(at_endpoint)?))
        }
        Way::Spec(described) => {
            let Described { target, spec, vars, .. } = *described;
            let office = settings.office.clone();
            let Ways { joins, both: both_ways, .. } = ways;
            let settings = match target {
                Target::Program(program) => {
                    let (base, headers, road) = (String::new(), Vec::new(), Road::Exec(program.make()));
                    SpecSettings {
                        spec,
                        base,
                        vars,
                        office,
                        joins,
                        both_ways,
                        headers,
                        retry_on,
                        road,
                        credential: None,
                    }
                }
                Target::Address { endpoint, base } => {
                    let (http, credential) = client_of(&endpoint, settings, credentials)?;
                    let road = match spec.transport {
                        Transport::Mllp => Road::Mllp(http),
                        Transport::Http | Transport::Exec => Road::Http(http),
                    };
                    SpecSettings {
                        spec,
                        base,
                        vars,
                        office,
                        joins,
                        both_ways,
                        headers: endpoint.headers,
                        retry_on,
                        road,
                        credential,
                    }
                }
            };
            Ok(Arc::new(SpecAdapter::new(settings).map_err(at_endpoint)?))
        }
    }
}

/// What an endpoint is called with, and as whom.
fn client_of(
    endpoint: &Endpoint,
    settings: &Settings,
    credentials: &Credentials,
) -> Result<(Options, Option<Arc<auth::Credential>>), Wrongs> {
    let wrong = |key: &str, message: String| vec![(format!("endpoint.{key}"), message)];
    let known = endpoint.credential.as_ref().map(|name| {
        let found = credentials.get(name).map(Arc::clone);
        found.ok_or_else(|| wrong("credentialsId", format!("there is no credential `{name}`")))
    });
    let http =
        options(&endpoint.tls, endpoint.proxy.as_ref(), settings).map_err(|(key, message)| wrong(key, message))?;
    Ok((Options { plain: endpoint.plain, timeout: endpoint.timeout, ..http }, known.transpose()?))
}

/// What may leave by a connector.
fn gate(spec: &ConnectorSpec, settings: &Settings, secret: [u8; 32]) -> Gate {
    match &settings.governance {
        Some(classes) => Gate::new(classes, spec.allow.as_deref(), &spec.redact, secret),
        None if spec.redact.is_empty() => Gate::open(),
        None => Gate::redacting(&spec.redact, secret),
    }
}

/// Who else is asked about each payload of a connector.
fn hook(spec: &ConnectorSpec, settings: &Settings, credentials: &Credentials) -> Result<Option<Arc<Hook>>, Problems> {
    let (spec, file, key) = match (&spec.hook, &settings.hook) {
        (Some(own), _) => (own, &spec.file, "hook"),
        (None, Some(all)) => (all, &settings.file, "governance.hook"),
        (None, None) => return Ok(None),
    };
    let wrong = |name: &str, message: String| Problems::new(vec![problem(file, &format!("{key}.{name}"), message)]);
    let timeout = spec.timeout;
    Ok(Some(Arc::new(match &spec.way {
        HookWay::Exec { program, arguments } => Hook::exec(program.clone(), arguments.clone(), timeout),
        HookWay::Url { url, plain, credential, proxy, tls, concurrency } => {
            let proxy = proxy.as_ref().map(|url| ProxySpec { url: url.clone(), login: None });
            let http = options(tls, proxy.as_ref(), settings).map_err(|(name, message)| wrong(name, message))?;
            let known = credential.as_ref().map(|name| {
                let found = credentials.get(name).map(Arc::clone);
                found.ok_or_else(|| wrong("credentialsId", format!("there is no credential `{name}`")))
            });
            Hook::url(url, Options { plain: *plain, timeout, ..http }, known.transpose()?, *concurrency)
        }
    })))
}

/// Makes a drop ready to run. `secret` keys the hashes of redacted fields.
pub fn drop(spec: ConnectorSpec, settings: &Settings, secret: [u8; 32]) -> Result<Drop, Problems> {
    let wrong = |key: &str, messages: Vec<String>| {
        Problems::new(messages.into_iter().map(|message| problem(&spec.file, key, message)).collect())
    };
    let gate = gate(&spec, settings, secret);
    // A token for files' hooks is asked for by themselves.
    let hook = hook(&spec, settings, &credentials(settings)?)?;
    let files = match spec.way {
        Way::Drop(files) => *files,
        Way::Rest(_) | Way::Spec(_) | Way::Inbox => {
            return Err(wrong("endpoint", vec!["makes calls, and has no files".to_owned()]));
        }
    };
    let mut feed =
        files.feed.make(&settings.office, &spec.name, None).map_err(|messages| wrong("drop.format", messages))?;
    let triggers = files.deliver.iter().filter_map(|place| place.trigger.as_ref());
    for beside in files.controls.iter().chain(triggers) {
        feed.count_also(beside.text.totals());
    }
    let ack = files.ack.map(|ack| ack.answers(&files.deliver, &files.feed)).transpose();
    let ack = ack.map_err(|messages| wrong("drop.ack", messages))?;
    let folder = settings.state.parent().unwrap_or(Path::new("")).join("drops").join(safe(&spec.name));
    Ok(Drop {
        subscription: Subscription {
            name: spec.name,
            listen: spec.listen,
            filter: spec.filter,
            mapping: spec.mapping,
            gate,
            ignore_leave: spec.ignore_leave,
            skip_unchanged: spec.skip_unchanged,
        },
        hook,
        feed,
        content: files.content,
        timing: files.timing,
        naming: Naming {
            name: files.name,
            rerun: files.rerun,
            sequence: files.sequence,
            office: settings.office.clone(),
            extension: files.pgp.as_ref().map(|pgp| pgp.extension.clone()).unwrap_or_default(),
        },
        pgp: files.pgp.map(SealSpec::seal),
        controls: files.controls,
        folder,
        outlets: files.deliver.into_iter().map(Deliver::outlet).collect(),
        ack,
        retry: spec.retry,
        from_beginning: spec.from_beginning,
        keep: files.keep,
        config_hash: spec.config_hash,
        config: spec.config,
        file: spec.file,
    })
}

/// The name of a connector as that of a folder: what is neither letter, digit, `-` nor `_`, and a dot at the beginning,
/// becomes its bytes in hexadecimal digits behind a `%`, so that two names are never one folder.
fn safe(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for (at, byte) in name.bytes().enumerate() {
        match byte {
            b'-' | b'_' => out.push(char::from(byte)),
            b'.' if at > 0 => out.push('.'),
            byte if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// Makes the event sources ready to be followed.
pub fn sources(settings: &Settings, credentials: &Credentials) -> Result<Vec<Inflow>, Problems> {
    let mut made = Vec::new();
    let mut problems = Vec::new();
    for (at, source) in settings.events.iter().enumerate() {
        let credential = source.credential.as_ref().map(|name| {
            let known = credentials.get(name).map(Arc::clone);
            known.ok_or_else(|| ("credentialsId", format!("there is no credential `{name}`")))
        });
        let inflow = credential.transpose().and_then(|credential| {
            let http = options(&source.tls, source.proxy.as_ref(), settings)?;
            let shape = Shape::new(&source.listen, source.id.clone(), source.key.clone());
            let door = Door::new(websocket::Options {
                url: source.url.clone(),
                tls: http.tls,
                plain: source.plain,
                proxy: http.proxy,
                credential,
                subprotocol: source.subprotocol.clone(),
            });
            let shape = shape.map_err(|message| ("listen", message))?;
            Ok(Inflow { name: source.name.clone(), door, shape, ping: source.ping })
        });
        match inflow {
            Ok(inflow) => made.push(inflow),
            Err((key, message)) => problems.push(problem(&settings.file, &format!("events[{at}].{key}"), message)),
        }
    }
    if problems.is_empty() { Ok(made) } else { Err(Problems::new(problems)) }
}

/// The parts of a credential; an error comes without its name.
fn schemes(name: &str, credential: &Credential, settings: &Settings) -> Result<Vec<Scheme>, String> {
    let Credential::Several(parts) = credential else { return Ok(vec![scheme(name, credential, settings)?]) };
    parts.iter().map(|part| scheme(name, part, settings)).collect()
}

fn scheme(name: &str, credential: &Credential, settings: &Settings) -> Result<Scheme, String> {
    Ok(match credential {
        Credential::Bearer { token } => Scheme::Bearer(source(token)),
        Credential::Basic { username, password } => {
            Scheme::Basic { user: username.clone(), password: source(password) }
        }
        Credential::ApiKey { place: KeyPlace::Header(name), key } => {
            Scheme::HeaderKey { name: name.clone(), key: source(key) }
        }
        Credential::ApiKey { place: KeyPlace::Query(name), key } => {
            Scheme::QueryKey { name: name.clone(), key: source(key) }
        }
        Credential::ApiKey { place: KeyPlace::Body(name), key } => {
            Scheme::BodyKey { name: name.clone(), key: source(key) }
        }
        Credential::OAuth2(oauth) => {
            let client = client(&oauth.token_url, &oauth.way, settings)?;
            // What follows a refresh token is kept beside the state file, under the credential's name.
            let folder = settings.state.parent().unwrap_or(Path::new("")).join("credentials");
            let spec = OAuth2Spec {
                token_url: oauth.token_url.clone(),
                client_id: oauth.client_id.clone(),
                proof: match &oauth.proof {
                    credential::Proof::Secret(secret, how) => Proof::Secret { secret: source(secret), how: *how },
                    credential::Proof::Key(assertion) => Proof::Key(signer(assertion)),
                    credential::Proof::Name => Proof::Name,
                },
                grant: match &oauth.grant {
                    credential::Grant::ClientCredentials => Grant::ClientCredentials,
                    credential::Grant::RefreshToken(first) => {
                        Grant::RefreshToken(Kept::new(source(first), folder.join(format!("{}.json", safe(name)))))
                    }
                    credential::Grant::JwtBearer(assertion) => Grant::JwtBearer(signer(assertion)),
                },
                scope: oauth.scope.clone(),
                audience: oauth.audience.clone(),
                base: oauth.base.clone(),
            };
            Scheme::OAuth2(Box::new(OAuth2::new(spec, client)))
        }
        Credential::Session(session) => {
            let word = |(name, word): &(String, Word)| {
                let word = match word {
                    Word::Plain(text) => session::Word::Plain(text.clone()),
                    Word::Secret(from) => session::Word::Secret(source(from)),
                };
                (name.clone(), word)
            };
            let words = session.words.iter().map(word).collect();
            let spec = SessionSpec {
                url: session.url.clone(),
                sign_in: if session.json { SignIn::Json(words) } else { SignIn::Form(words) },
                cookie: session.cookie.clone(),
                token: session.token.clone(),
                lifetime: session.lifetime,
            };
            Scheme::Session(Box::new(Session::new(spec, client(&session.url, &session.way, settings)?)))
        }
        Credential::Csrf(csrf) => {
            let spec = CsrfSpec { url: csrf.url.clone(), method: csrf.method.into(), header: csrf.header.clone() };
            Scheme::Csrf(Box::new(Csrf::new(spec, client(&csrf.url, &csrf.way, settings)?)?))
        }
        Credential::WsSecurity(token) => Scheme::UsernameToken(Box::new(UsernameToken {
            user: token.username.clone(),
            password: source(&token.password),
            digest: token.digest,
            lifetime: token.lifetime,
        })),
        Credential::SigV4(sigv4) => Scheme::SigV4(Box::new(SigV4 {
            access_key_id: sigv4.access_key_id.clone(),
            secret_access_key: source(&sigv4.secret_access_key),
            session_token: sigv4.session_token.as_ref().map(source),
            region: sigv4.region.clone(),
            service: sigv4.service.clone(),
        })),
        Credential::Webhook(secrets) => {
            Scheme::Webhook(Box::new(Webhook { secrets: secrets.iter().map(source).collect() }))
        }
        Credential::Several(_) => return Err("is a list in a list".to_owned()),
    })
}

fn source(reference: &SecretRef) -> SecretSource {
    SecretSource::new(reference.clone())
}

fn signer(assertion: &Assertion) -> Signer {
    Signer {
        key: SecretSource::with_lines(assertion.key.clone()),
        key_id: assertion.key_id.clone(),
        algorithm: assertion.algorithm,
        issuer: assertion.issuer.clone(),
        subject: assertion.subject.clone(),
        audience: assertion.audience.clone(),
        lifetime: assertion.lifetime,
        claims: assertion.claims.clone(),
    }
}

/// A client for an address that gives tokens or sessions.
fn client(url: &str, way: &credential::Way, settings: &Settings) -> Result<Client, String> {
    let options =
        options(&way.tls, way.proxy.as_ref(), settings).map_err(|(key, message)| format!("{key}: {message}"))?;
    // Such an address is https, but for one on this machine.
    let plain = url.to_ascii_lowercase().starts_with("http:");
    Ok(Client::new(Options { plain, ..options }))
}

/// Client settings; an error comes with the key it is about.
pub(crate) fn options(
    files: &TlsFiles,
    proxy: Option<&ProxySpec>,
    settings: &Settings,
) -> Result<Options, (&'static str, String)> {
    let tls = Tls::of(files).map_err(|message| ("tls", message))?;
    let proxy = proxy.map(|proxy| {
        let login = proxy.login.as_ref().map(|name| match settings.credentials.get(name) {
            Some(Credential::Basic { username, password }) => {
                Ok(Login { user: username.clone(), password: source(password) })
            }
            Some(_) => Err(format!("the credential `{name}` is not of type basic, which a proxy takes")),
            None => Err(format!("there is no credential `{name}`")),
        });
        Proxy::parse(&proxy.url, login.transpose()?)
    });
    let proxy = proxy.transpose().map_err(|message| ("proxy", message))?;
    Ok(Options { proxy, ..Options::new(tls) })
}

pub(crate) fn problem(file: &str, key: &str, message: String) -> Problem {
    Problem {
        severity: Severity::Error,
        file: file.to_owned(),
        line: 0,
        column: 0,
        key: key.to_owned(),
        message,
        hint: None,
        disk: false,
    }
}
