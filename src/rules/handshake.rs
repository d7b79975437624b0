//! What acknowledgements a message of HL7 v2 asks for, and when the last of them has come (HL7 v2.5.1 §2.9, tables 0008
//! and 0155).
//!
//! A message that asks for nothing (MSH-15 and MSH-16 empty) is in *original mode*: one answer, `AA`, `AE` or `AR`. Else it is
//! in *enhanced mode*: a commit acknowledgement (`CA`, `CE`, `CR`) as MSH-15 asks, then the application's as MSH-16 asks.

use crate::rules::outcome::Reason;

/// What a message asks for in one of the two fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ask {
    Always,
    Never,
    OnError,
    OnSuccess,
}

impl Ask {
    /// From the word of a field; an empty one beside one that is given asks for nothing.
    fn of(field: &str, word: &str) -> Result<Ask, Reason> {
        match word {
            "AL" => Ok(Ask::Always),
            "NE" | "" => Ok(Ask::Never),
            "ER" => Ok(Ask::OnError),
            "SU" => Ok(Ask::OnSuccess),
            _ => Err(Reason::new("template", format!("{field} of the message is none of AL, NE, ER, SU"))),
        }
    }

    fn of_success(self) -> bool {
        matches!(self, Ask::Always | Ask::OnSuccess)
    }
}

/// What a message asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// The application's acknowledgement follows the commit.
    follows: bool,
}

impl Handshake {
    /// By MSH-15 and MSH-16 of the message.
    ///
    /// # Errors
    /// A word that there is not, or none of the two acknowledges a success: nobody would know whether the message arrived.
    pub fn of(accept: &str, application: &str) -> Result<Handshake, Reason> {
        if accept.is_empty() && application.is_empty() {
            return Ok(Handshake { follows: false });
        }
        let (accept, application) = (Ask::of("MSH-15", accept)?, Ask::of("MSH-16", application)?);
        if !accept.of_success() && !application.of_success() {
            let text = "the message asks for no acknowledgement of a success (MSH-15, MSH-16): nobody would know that it arrived";
            return Err(Reason::new("template", text));
        }
        Ok(Handshake { follows: application.of_success() })
    }

    /// Whether another acknowledgement is waited for after this one (MSA-1). A refused commit is the last word.
    pub fn goes_on(self, code: &str) -> bool {
        self.follows && code == "CA"
    }
}

/// Whether whoever sent an acknowledgement wants to hear that it was received (its own MSH-15).
pub fn wants_commit(accept: &str) -> bool {
    matches!(accept, "AL" | "SU")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn in_original_mode_the_first_answer_is_the_last() {
        let original = Handshake::of("", "").unwrap();
        for code in ["AA", "AE", "AR", "CA", "CE", ""] {
            assert!(!original.goes_on(code), "{code}");
        }
    }

    #[test]
    fn in_enhanced_mode_an_accepted_message_waits_for_the_application_where_it_asks_for_it() {
        for (accept, application) in [("AL", "AL"), ("ER", "AL"), ("NE", "AL"), ("", "AL"), ("AL", "SU")] {
            let asked = Handshake::of(accept, application).unwrap();
            assert!(asked.goes_on("CA"), "{accept}|{application}");
            for code in ["CE", "CR", "AA", "AE", "AR"] {
                assert!(!asked.goes_on(code), "{accept}|{application}: {code}");
            }
        }
        for application in ["NE", "ER", ""] {
            assert!(!Handshake::of("AL", application).unwrap().goes_on("CA"), "{application}");
        }
    }

    #[test]
    fn a_message_that_nobody_would_acknowledge_is_refused() {
        for (accept, application) in [("NE", "NE"), ("ER", "NE"), ("NE", "ER"), ("ER", "ER"), ("", "NE"), ("NE", "")] {
            let reason = Handshake::of(accept, application).unwrap_err();
            assert!(reason.text.contains("nobody would know"), "{accept}|{application}: {reason}");
        }
        assert!(Handshake::of("XX", "AL").unwrap_err().text.contains("MSH-15"));
        assert!(Handshake::of("AL", "al").unwrap_err().text.contains("MSH-16"));
    }
}
