//! Parsing in one pass over the body: entries are read, checked, and kept as positions in the body.

mod entry;
pub(crate) mod id;
#[cfg(feature = "json")]
mod json;
pub(crate) mod submission;

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, SeqAccess, Visitor};

pub use id::{id_text, parse_id};
#[cfg(feature = "json")]
pub use json::{JsonError, Split};
pub use submission::Submission;

use self::entry::Names;
use crate::format::Format;
use crate::policy::Limits;

/// Parses `[{"id": …, "data": …}, …]` into a [`Submission`] that borrows from the body. It is a
/// [`DeserializeSeed`] for any self-describing format of `serde`.
///
/// A fault of one entry (a malformed id, a text of the wrong type, a member that occurs twice) is
/// recorded in the submission, and parsing continues; other members are ignored. If the value is
/// not a list, or is not well-formed in its format, the deserializer returns the error.
#[derive(Debug, Clone, Copy)]
pub struct CipherList<'b> {
    pub(crate) body: Body<'b>,
    pub(crate) limits: Limits,
    pub(crate) format: &'b dyn Format,
    pub(crate) names: Names,
}

/// The bytes that contain the entries.
#[derive(Clone, Copy)]
pub(crate) struct Body<'b>(pub(crate) &'b [u8]);

impl fmt::Debug for Body<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.0.len())
    }
}

impl<'b> CipherList<'b> {
    /// Creates a list for the `body` that the deserializer reads. Texts in it are kept as
    /// positions. A text that lies elsewhere, because it is escaped in the body, is copied. The
    /// members are called `id` and `data`.
    #[must_use]
    pub fn new(body: &'b [u8], limits: Limits, format: &'b dyn Format) -> Self {
        Self { body: Body(body), limits, format, names: Names { id: "id", text: "data" } }
    }

    /// Sets other names for an entry's two members.
    #[must_use]
    pub const fn members(mut self, id: &'static str, text: &'static str) -> Self {
        self.names = Names { id, text };
        self
    }
}

impl<'de> DeserializeSeed<'de> for CipherList<'de> {
    type Value = Submission<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Submission<'de>, D::Error> {
        if u32::try_from(self.body.0.len()).is_err() {
            return Err(D::Error::custom("the body is larger than 4 GiB"));
        }
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for CipherList<'de> {
    type Value = Submission<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of ciphers")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Submission<'de>, A::Error> {
        let mut submission = Submission::new(&self);
        loop {
            if submission.has_room(&self.limits) {
                let Some(read) = list.next_element_seed(entry::Seed(self.names))? else { break };
                submission.add(&self.limits, read);
            } else {
                let Some(IgnoredAny) = list.next_element()? else { break };
                submission.add_beyond();
            }
        }
        submission.finish();
        Ok(submission)
    }
}
