//! `alerts:`: who is told when something needs a person. Checked now, so that a file written today still loads
//! when they take effect.

use crate::config::found::Found;
use crate::config::url::{self, Use};

/// Who is told when something needs a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Alert {
    /// A POST to an address.
    Webhook {
        /// The address.
        url: String,
        /// Credential to show.
        credential: Option<String>,
    },
    /// Mail.
    Email {
        /// The server.
        smtp: String,
        /// Recipients.
        to: Vec<String>,
        /// Sender; none = made from office and host.
        from: Option<String>,
        /// Credential to show.
        credential: Option<String>,
    },
}

/// Reads `alerts:`; `credential` checks a credential's name.
pub(crate) fn alerts(found: &Found<'_>, credential: impl Fn(&Found<'_>) -> Option<String>) -> Vec<Alert> {
    found.no_effect();
    let read = |item: Found<'_>| {
        let fields = item.fields()?;
        let mail =
            fields.need("type").and_then(|kind| kind.choice("alert type", &[("webhook", false), ("email", true)]))?;
        let credential = fields.take("credentialsId").and_then(|found| credential(&found));
        let alert = if mail {
            let smtp = fields.need("smtp").and_then(|found| url::check(&found, Use::Mail));
            let to = fields.need("to").and_then(|found| found.texts());
            let from = fields.text("from");
            smtp.zip(to).map(|(smtp, to)| Alert::Email { smtp, to, from, credential })
        } else {
            let url = fields.need("url").and_then(|found| url::check(&found, Use::Https));
            url.map(|url| Alert::Webhook { url, credential })
        };
        fields.done();
        alert
    };
    found.items().unwrap_or_default().into_iter().filter_map(read).collect()
}
