//! Whether a key may be used, and for how long: its own signatures decide (RFC 4880 5.2.3.3).
//!
//! Of the valid signatures of one kind the newest counts. A revocation counts whenever it was made.

use pgp::composed::{SignedPublicKey, SignedPublicSubKey};
use pgp::packet::{PublicKey, PublicSubkey, Signature, SignatureType};
use pgp::types::{KeyDetails, Tag};

use crate::clock::Timestamp;

/// A part of a key that may be used.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part<'k> {
    /// The primary key itself.
    Primary(&'k PublicKey),
    /// A subkey.
    Sub(&'k PublicSubkey),
}

/// When something ends, in seconds since 1970; none = never.
type Ends = Option<u64>;

/// What a part is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Encrypt,
    Sign,
}

impl Purpose {
    fn fits(self, key: &impl KeyDetails, signature: &Signature) -> bool {
        let (flags, algorithm) = (signature.key_flags(), key.algorithm());
        // Keys of old programs do not say what they are for.
        let unsaid = flags == pgp::packet::KeyFlags::default();
        match self {
            Purpose::Encrypt => algorithm.can_encrypt() && (unsaid || flags.encrypt_comms() || flags.encrypt_storage()),
            Purpose::Sign => algorithm.can_sign() && (unsaid || flags.sign()),
        }
    }

    fn verb(self) -> &'static str {
        match self {
            Purpose::Encrypt => "encrypt",
            Purpose::Sign => "sign",
        }
    }
}

/// The part that encrypts, the newest of several, and when there is none any more.
///
/// # Errors
/// In words, for whoever configured it.
pub(super) fn encrypting(key: &SignedPublicKey, now: Timestamp) -> Result<(Part<'_>, Option<Timestamp>), String> {
    let (parts, ends) = parts(key, Purpose::Encrypt, now)?;
    parts.first().map(|part| (*part, ends)).ok_or_else(|| "it has no part that can encrypt".to_owned())
}

/// The parts that sign, the newest subkey first, and when there is none any more.
///
/// # Errors
/// In words, for whoever configured it.
pub(super) fn signing(key: &SignedPublicKey, now: Timestamp) -> Result<(Vec<Part<'_>>, Option<Timestamp>), String> {
    parts(key, Purpose::Sign, now)
}

fn parts(
    key: &SignedPublicKey,
    purpose: Purpose,
    now: Timestamp,
) -> Result<(Vec<Part<'_>>, Option<Timestamp>), String> {
    let primary = &key.primary_key;
    if key.details.revocation_signatures.iter().any(|revoked| revoked.verify_key(primary).is_ok()) {
        return Err("it was revoked".to_owned());
    }
    let own = own_signature(key).ok_or("it has no valid signature of its own")?;
    let whole = ends(primary, own);
    if is_over(whole, now) {
        return Err(format!("it expired at {}", time(whole)));
    }
    let mut found: Vec<(u32, Part<'_>, Ends)> = Vec::new();
    // Why a part that would fit is not used: the last that is said.
    let mut why = None;
    for sub in &key.public_subkeys {
        match subkey(primary, sub, purpose, now) {
            Fit::Yes(until) => found.push((sub.key.created_at().as_secs(), Part::Sub(&sub.key), sooner(whole, until))),
            Fit::No => {}
            Fit::Not(reason) => why = Some(reason),
        }
    }
    found.sort_by_key(|(created, ..)| std::cmp::Reverse(*created));
    if purpose.fits(primary, own) {
        found.push((0, Part::Primary(primary), whole));
    }
    if found.is_empty() {
        return Err(why.unwrap_or_else(|| format!("it has no part that can {}", purpose.verb())));
    }
    // What ends last.
    let last = found.iter().map(|(.., until)| *until).reduce(|a, b| a.zip(b).map(|(a, b)| a.max(b))).flatten();
    Ok((found.into_iter().map(|(_, part, _)| part).collect(), last.map(|_| time(last))))
}

/// The newest of a key's signatures over itself or one of its names.
fn own_signature(key: &SignedPublicKey) -> Option<&Signature> {
    let primary = &key.primary_key;
    let direct = key.details.direct_signatures.iter().filter(|signature| signature.verify_key(primary).is_ok());
    let named = key.details.users.iter().filter_map(|user| {
        let valid = |signature: &&Signature| signature.verify_certification(primary, Tag::UserId, &user.id).is_ok();
        let revoked = |signature: &&Signature| signature.typ() == Some(SignatureType::CertRevocation);
        let newest = user.signatures.iter().filter(|one| one.is_certification() && !revoked(one)).filter(valid);
        let newest = newest.max_by_key(|signature| made(signature))?;
        let ended = user.signatures.iter().filter(revoked).filter(valid).map(made).max();
        ended.is_none_or(|ended| ended < made(newest)).then_some(newest)
    });
    direct.chain(named).max_by_key(|signature| made(signature))
}

/// Whether a subkey is fit for a purpose.
enum Fit {
    Yes(Ends),
    /// It is for something else.
    No,
    /// It would be, but.
    Not(String),
}

fn subkey(primary: &PublicKey, sub: &SignedPublicSubKey, purpose: Purpose, now: Timestamp) -> Fit {
    let of = |typ: SignatureType| {
        let right = move |signature: &&Signature| signature.typ() == Some(typ);
        sub.signatures
            .iter()
            .filter(right)
            .filter(|signature| signature.verify_subkey_binding(primary, &sub.key).is_ok())
    };
    let Some(bound) = of(SignatureType::SubkeyBinding).max_by_key(|signature| made(signature)) else { return Fit::No };
    if !purpose.fits(&sub.key, bound) {
        return Fit::No;
    }
    // Whoever holds the primary key alone could claim a signing key of somebody else as its own.
    let mutual =
        || bound.embedded_signature().is_some_and(|back| back.verify_primary_key_binding(&sub.key, primary).is_ok());
    if purpose == Purpose::Sign && !mutual() {
        return Fit::No;
    }
    if of(SignatureType::SubkeyRevocation).next().is_some() {
        return Fit::Not(format!("its part that can {} was revoked", purpose.verb()));
    }
    let until = ends(&sub.key, bound);
    match is_over(until, now) {
        true => Fit::Not(format!("its part that can {} expired at {}", purpose.verb(), time(until))),
        false => Fit::Yes(until),
    }
}

fn made(signature: &Signature) -> u32 {
    signature.created().map_or(0, pgp::types::Timestamp::as_secs)
}

/// When a key ends, as a signature over it says.
fn ends(key: &impl KeyDetails, signature: &Signature) -> Ends {
    let after = signature.key_expiration_time().map_or(0, pgp::types::Duration::as_secs);
    (after > 0).then(|| u64::from(key.created_at().as_secs()) + u64::from(after))
}

fn is_over(ends: Ends, now: Timestamp) -> bool {
    ends.is_some_and(|_| time(ends) <= now)
}

fn sooner(one: Ends, other: Ends) -> Ends {
    one.into_iter().chain(other).min()
}

fn time(ends: Ends) -> Timestamp {
    let seconds = ends.and_then(|ends| i64::try_from(ends).ok()).unwrap_or(i64::MAX / 1000);
    Timestamp(seconds.saturating_mul(1000))
}
