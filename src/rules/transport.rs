//! What carries the calls of an adapter's file: HTTP, or one of the other ways that outside systems are reached by.

/// What carries the calls of an adapter's file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// HTTP/1.1: a request, an answer with a status.
    #[default]
    Http,
    /// HL7 v2 over MLLP: a message, its acknowledgement.
    Mllp,
    /// A program: records as lines of JSON on its input, answers as lines of JSON on its output.
    Exec,
}

impl Transport {
    /// The words of `transport`.
    pub const WORDS: [(&'static str, Transport); 3] =
        [("http", Transport::Http), ("mllp", Transport::Mllp), ("exec", Transport::Exec)];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        Transport::WORDS.iter().find(|(_, known)| *known == self).map_or("http", |(word, _)| word)
    }

    /// What a request says that it is done with it, where HTTP has its method.
    pub fn verb(self) -> Option<&'static str> {
        match self {
            Transport::Http => None,
            Transport::Mllp => Some("SEND"),
            Transport::Exec => Some("RUN"),
        }
    }

    /// How many calls may be under way when the connector does not say; none = as many as of any other. A receiver of MLLP
    /// commonly takes one connection, and a program is seldom made to run beside itself.
    pub fn concurrency(self) -> Option<usize> {
        match self {
            Transport::Http => None,
            Transport::Mllp | Transport::Exec => Some(1),
        }
    }
}
