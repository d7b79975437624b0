//! `type: sigV4`, `type: webhook` and `type: wsSecurity`: what is made anew for each request.

use std::time::Duration;

use crate::adapter::auth::wsse::UsernameToken;
use crate::adapter::secret::SecretRef;
use crate::config::credential::Reading;
use crate::config::fields::Fields;
use crate::config::found::Found;

/// AWS Signature Version 4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigV4 {
    /// Access key id.
    pub access_key_id: String,
    /// Secret access key.
    pub secret_access_key: SecretRef,
    /// Token of temporary credentials.
    pub session_token: Option<SecretRef>,
    /// Region.
    pub region: String,
    /// Service.
    pub service: String,
}

/// WS-Security `UsernameToken`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WsSecurity {
    /// User name.
    pub username: String,
    /// Password.
    pub password: SecretRef,
    /// It is not shown itself.
    pub digest: bool,
    /// How long a message counts.
    pub lifetime: Duration,
}

/// How long a message may count.
const LIFETIMES: std::ops::RangeInclusive<Duration> = Duration::from_secs(10)..=Duration::from_secs(24 * 3600);

pub(super) fn sigv4(fields: &Fields<'_>, reading: &Reading<'_>) -> Option<SigV4> {
    let word = |name| fields.need(name).and_then(|found| word(&found));
    let (access_key_id, region, service) = (word("accessKeyId"), word("region"), word("service"));
    let secret = fields.need("secretAccessKey").and_then(|found| reading.secret(&found));
    let session_token = fields.take("sessionToken").map(|found| reading.secret(&found));
    Some(SigV4 {
        access_key_id: access_key_id?,
        secret_access_key: secret?,
        session_token: session_token.map_or(Some(None), |found| found.map(Some))?,
        region: region?,
        service: service?,
    })
}

/// What stands in a header field between other words.
fn word(found: &Found<'_>) -> Option<String> {
    let text = found.text()?;
    if text.is_empty() || !text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
        found.error("is not a word of letters, digits, - _ .");
        return None;
    }
    Some(text.to_owned())
}

pub(super) fn ws_security(fields: &Fields<'_>, reading: &Reading<'_>) -> Option<WsSecurity> {
    let username = fields.need("username").and_then(|found| found.text().map(str::to_owned));
    let password = fields.need("password").and_then(|found| reading.secret(&found));
    let kinds = [("digest", true), ("text", false)];
    let digest = fields.take("passwordType").map_or(Some(true), |found| found.choice("passwordType", &kinds));
    let lifetime = match fields.take("lifetime") {
        None => Some(UsernameToken::LIFETIME),
        Some(found) => found.duration().filter(|lifetime| {
            if !LIFETIMES.contains(lifetime) {
                found.error("is not between 10s and 1d");
            }
            LIFETIMES.contains(lifetime)
        }),
    };
    Some(WsSecurity { username: username?, password: password?, digest: digest?, lifetime: lifetime? })
}

pub(super) fn webhook(fields: &Fields<'_>, reading: &Reading<'_>) -> Option<Vec<SecretRef>> {
    let found = fields.need("secrets")?;
    let items = found.one_or_many();
    if items.is_empty() || items.len() > 4 {
        found.error_hint("is not one to four secrets", "secrets: [{credential: NEW}, {credential: OLD}]");
        return None;
    }
    let secrets: Vec<_> = items.iter().map(|item| reading.secret(item)).collect();
    secrets.into_iter().collect()
}
