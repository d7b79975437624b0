//! Who hears that a credential was renewed.

use std::sync::Arc;

use super::{Credential, Scheme};

impl Credential {
    /// Whoever is told here hears when it was renewed, or could not be. One that never expires is never renewed.
    pub fn tell(&self, told: impl Fn(bool) + Send + Sync + 'static) {
        let told = Arc::new(told);
        for part in &self.parts {
            let told = told.clone();
            let told = move |renewed| told(renewed);
            match &part.scheme {
                Scheme::OAuth2(oauth) => oauth.tell(told),
                Scheme::Session(session) => session.tell(told),
                Scheme::Csrf(csrf) => csrf.tell(told),
                _ => {}
            }
        }
    }
}
