//! What an answer does not accept of a credential.

/// Which parts of a credential an answer does not accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused(pub(super) u32);

impl Refused {
    /// All parts: somebody else knows that the answer asks to sign in again.
    pub const ALL: Refused = Refused(u32::MAX);

    pub(super) fn has(self, part: usize) -> bool {
        self.0 >> part.min(31) & 1 == 1
    }
}
