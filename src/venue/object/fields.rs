//! Objects and lists as serde hands them out: piece by piece, and borrowed.

use super::OBJECT;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// Nothing that anybody asks for has more fields.
const MOST_FIELDS: usize = 65_536;

/// All fields, in their order.
pub(in crate::venue) struct Fields<'f>(pub(in crate::venue) Vec<(Cow<'f, str>, &'f RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(OBJECT)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        while let Some(Name(name)) = map.next_key()? {
            if fields.len() >= MOST_FIELDS {
                return Err(A::Error::custom("too many fields"));
            }
            fields.push((name, map.next_value()?));
        }
        Ok(Fields(fields))
    }
}

/// Borrowed unless there is an escape in it.
#[derive(serde::Deserialize)]
struct Name<'f>(#[serde(borrow)] Cow<'f, str>);

/// Calls a function with each element of a list, so that no list is allocated.
pub(in crate::venue) struct Each<F, T>(F, PhantomData<T>);

impl<F, T> Each<F, T> {
    pub(in crate::venue) const fn new(visit: F) -> Self {
        Self(visit, PhantomData)
    }
}

impl<'de, T: Deserialize<'de>, F: FnMut(T)> Visitor<'de> for Each<F, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        while let Some(element) = list.next_element()? {
            (self.0)(element);
        }
        Ok(())
    }
}
