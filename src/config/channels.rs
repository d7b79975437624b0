//! From the channels of `alerts:` to ways that can be gone.

use std::sync::Arc;

use crate::adapter::channel::Channel;
use crate::adapter::channel::exec::Program;
use crate::adapter::channel::file::Lines;
use crate::adapter::channel::mail::{Mail, MailSpec};
use crate::adapter::channel::webhook::{Webhook, WebhookSpec};
use crate::adapter::http::Options;
use crate::adapter::secret::SecretSource;
use crate::config::alerts::Way;
use crate::config::build::{self, Credentials, problem};
use crate::config::credential::Credential;
use crate::config::locate;
use crate::config::problem::Problems;
use crate::config::proxy::ProxySpec;
use crate::config::settings::Settings;
use crate::engine::alarm::Line;

/// Makes the channels ready. Nothing is connected, and no secret is read yet.
///
/// # Errors
/// Everything that keeps one from being made: a certificate's file, a credential of the wrong type.
pub fn channels(settings: &Settings, credentials: &Credentials) -> Result<Vec<Line>, Problems> {
    let (mut lines, mut problems) = (Vec::new(), Vec::new());
    for (at, alert) in settings.alerts.iter().enumerate() {
        match channel(&alert.way, settings, credentials) {
            Ok(channel) => {
                lines.push(Line { name: alert.name.as_str().into(), on: alert.on.clone(), channel });
            }
            Err((key, message)) => problems.push(problem(&settings.file, &format!("alerts[{at}].{key}"), message)),
        }
    }
    if problems.is_empty() { Ok(lines) } else { Err(Problems::new(problems)) }
}

fn channel(
    way: &Way,
    settings: &Settings,
    credentials: &Credentials,
) -> Result<Arc<dyn Channel>, (&'static str, String)> {
    Ok(match way {
        Way::Webhook { url, credential, secret, proxy, tls } => {
            let absent = |name: &String| ("credentialsId", format!("there is no credential `{name}`"));
            let credential = credential.as_ref().map(|name| credentials.get(name).cloned().ok_or_else(|| absent(name)));
            // An alert address is https, but for one on this machine.
            let plain = url.to_ascii_lowercase().starts_with("http:");
            let proxy = proxy.as_ref().map(|url| ProxySpec { url: url.clone(), login: None });
            let http = Options { plain, ..build::options(tls, proxy.as_ref(), settings)? };
            let secret = secret.clone().map(SecretSource::new);
            Arc::new(Webhook::new(WebhookSpec { url: url.clone(), http, credential: credential.transpose()?, secret }))
        }
        Way::Email { smtp, to, from, credential, ca } => {
            let login = credential.as_ref().map(|name| match settings.credentials.get(name) {
                Some(Credential::Basic { username, password }) => {
                    Ok((username.clone(), SecretSource::new(password.clone())))
                }
                _ => Err((
                    "credentialsId",
                    format!("`{name}` is not of type basic: a mail server is shown a user and a password"),
                )),
            });
            let spec = MailSpec {
                smtp: smtp.clone(),
                to: to.clone(),
                from: from.clone(),
                credential: login.transpose()?,
                ca: ca.clone(),
                host: locate::host(),
            };
            Arc::new(Mail::new(spec).map_err(|message| ("smtp", message))?)
        }
        Way::Exec { command, timeout } => Arc::new(Program::new(command.clone(), *timeout)),
        Way::File { path } => Arc::new(Lines::new(path.clone())),
    })
}
