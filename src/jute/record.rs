//! Records and the macro that declares them (Java: org/apache/jute/Record.java, OutputArchive.java and the
//! classes that Java's jute compiler generates).
//!
//! [`record!`](crate::record) takes the fields of a record in wire order and generates the struct, its
//! serialization, equality, `Debug` and the list of its fields. Irregular formats (an optional tail, the
//! headers of a multi) are written by hand where they belong.

use std::io::Read;

use super::{BinaryInputArchive, InputError};

/// A sequence of fields that is written without framing (Java: Record).
pub trait Record: Sized {
    /// Java's class name, without its package.
    const NAME: &'static str;

    /// The fields in wire order: the name in this crate and the jute type.
    fn fields() -> Vec<(&'static str, String)>;

    /// Writes the fields in order.
    fn serialize<A: OutputArchive + ?Sized>(&self, archive: &mut A);

    /// Reads the fields in order and leaves the input after the last field.
    ///
    /// # Errors
    /// When the input ends early, or a length in it is negative or above the limit.
    fn deserialize<R: Read>(archive: &mut BinaryInputArchive<R>) -> Result<Self, InputError>;

    /// The record's bytes in a new buffer.
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.serialize(&mut super::BinaryOutputArchive::new(&mut bytes));
        bytes
    }
}

/// The target that records are written to (Java: OutputArchive). The tag is the field's name, which only text
/// formats use.
pub trait OutputArchive {
    /// A single byte.
    fn write_byte(&mut self, value: u8, tag: &str);
    /// One byte, 0 or 1.
    fn write_bool(&mut self, value: bool, tag: &str);
    /// Four bytes, big-endian.
    fn write_int(&mut self, value: i32, tag: &str);
    /// Eight bytes, big-endian.
    fn write_long(&mut self, value: i64, tag: &str);
    /// Length and text in Java's encoding; `None` is length -1.
    fn write_string(&mut self, value: Option<&str>, tag: &str);
    /// Length and bytes; `None` is length -1.
    fn write_buffer(&mut self, value: Option<&[u8]>, tag: &str);
    /// Starts a record. The binary format writes nothing here. The outermost record has an empty tag.
    fn start_record(&mut self, tag: &str);
    /// Ends the innermost record.
    fn end_record(&mut self, tag: &str);
    /// Starts a vector of `len` elements; `None` is length -1.
    fn start_vector(&mut self, len: Option<usize>, tag: &str);
    /// Ends the innermost vector.
    fn end_vector(&mut self, tag: &str);
}

/// A type that a field of a record can have.
pub trait JuteField: Sized {
    /// The type's name in jute, as in `vector<ustring>`.
    fn jute_type() -> String;
    /// Writes the value.
    fn write<A: OutputArchive + ?Sized>(&self, archive: &mut A, tag: &'static str);
    /// Reads a value.
    ///
    /// # Errors
    /// As [`Record::deserialize`].
    fn read<R: Read>(
        archive: &mut BinaryInputArchive<R>,
        tag: &'static str,
    ) -> Result<Self, InputError>;
}

impl JuteField for bool {
    fn jute_type() -> String {
        "boolean".into()
    }
    fn write<A: OutputArchive + ?Sized>(&self, archive: &mut A, tag: &'static str) {
        archive.write_bool(*self, tag);
    }
    fn read<R: Read>(
        archive: &mut BinaryInputArchive<R>,
        _tag: &'static str,
    ) -> Result<Self, InputError> {
        archive.read_bool()
    }
}

impl JuteField for i32 {
    fn jute_type() -> String {
        "int".into()
    }
    fn write<A: OutputArchive + ?Sized>(&self, archive: &mut A, tag: &'static str) {
        archive.write_int(*self, tag);
    }
    fn read<R: Read>(
        archive: &mut BinaryInputArchive<R>,
        _tag: &'static str,
    ) -> Result<Self, InputError> {
        archive.read_int()
    }
}

impl JuteField for i64 {
    fn jute_type() -> String {
        "long".into()
    }
    fn write<A: OutputArchive + ?Sized>(&self, archive: &mut A, tag: &'static str) {
        archive.write_long(*self, tag);
    }
    fn read<R: Read>(
        archive: &mut BinaryInputArchive<R>,
        _tag: &'static str,
    ) -> Result<Self, InputError> {
        archive.read_long()
    }
}

/// A required text: reading null is an error.
impl JuteField for String {
    fn jute_type() -> String {
        "ustring".into()
    }
    fn write<A: OutputArchive + ?Sized>(&self, archive: &mut A, tag: &'static str) {
        archive.write_string(Some(self), tag);
    }
    fn read<R: Read>(
        archive: &mut BinaryInputArchive<R>,
        tag: &'static str,
    ) -> Result<Self, InputError> {
        archive.read_string(tag)?.ok_or(InputError::Null { tag })
    }
}

impl JuteField for Option<String> {
    fn jute_type() -> String {
        "ustring".into()
    }
    fn write<A: OutputArchive + ?Sized>(&self, archive: &mut A, tag: &'static str) {
        archive.write_string(self.as_deref(), tag);
    }
    fn read<R: Read>(
        archive: &mut BinaryInputArchive<R>,
        tag: &'static str,
    ) -> Result<Self, InputError> {
        archive.read_string(tag)
    }
}

/// `None` is jute's null buffer (length -1); an empty buffer is `Some(vec![])`. Clients can tell them apart.
impl JuteField for Option<Vec<u8>> {
    fn jute_type() -> String {
        "buffer".into()
    }
    fn write<A: OutputArchive + ?Sized>(&self, archive: &mut A, tag: &'static str) {
        archive.write_buffer(self.as_deref(), tag);
    }
    fn read<R: Read>(
        archive: &mut BinaryInputArchive<R>,
        tag: &'static str,
    ) -> Result<Self, InputError> {
        archive.read_buffer(tag)
    }
}

/// A vector; null is read as an empty one.
impl<T: JuteField> JuteField for Vec<T> {
    fn jute_type() -> String {
        format!("vector<{}>", T::jute_type())
    }
    fn write<A: OutputArchive + ?Sized>(&self, archive: &mut A, tag: &'static str) {
        archive.start_vector(Some(self.len()), tag);
        for element in self {
            element.write(archive, "e1");
        }
        archive.end_vector(tag);
    }
    fn read<R: Read>(
        archive: &mut BinaryInputArchive<R>,
        tag: &'static str,
    ) -> Result<Self, InputError> {
        let elements = archive.read_vector(tag)?;
        if elements.is_none() {
            archive.note_null_vector();
        }
        Ok(elements.unwrap_or_default())
    }
}

/// A vector whose null (count -1) differs from an empty vector.
impl<T: JuteField> JuteField for Option<Vec<T>> {
    fn jute_type() -> String {
        Vec::<T>::jute_type()
    }
    fn write<A: OutputArchive + ?Sized>(&self, archive: &mut A, tag: &'static str) {
        match self {
            Some(elements) => elements.write(archive, tag),
            None => {
                archive.start_vector(None, tag);
                archive.end_vector(tag);
            }
        }
    }
    fn read<R: Read>(
        archive: &mut BinaryInputArchive<R>,
        tag: &'static str,
    ) -> Result<Self, InputError> {
        archive.read_vector(tag)
    }
}

/// Declares records as structs with the fields in wire order.
///
/// ```text
/// crate::record! {
///     /// Asks for the data of a node.
///     pub struct GetDataRequest {
///         /// The node.
///         path: String,
///         /// Whether to leave a watch.
///         watch: bool,
///     }
/// }
/// ```
macro_rules! record {
    ($(
        $(#[$meta:meta])*
        pub struct $name:ident {
            $( $(#[$field_meta:meta])* $field:ident : $type:ty ),* $(,)?
        }
    )+) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, Default)]
        pub struct $name {
            $( $(#[$field_meta])* pub $field: $type, )*
        }

        impl $crate::jute::Record for $name {
            const NAME: &'static str = stringify!($name);

            fn fields() -> Vec<(&'static str, String)> {
                vec![$( (
                    stringify!($field),
                    <$type as $crate::jute::JuteField>::jute_type(),
                ), )*]
            }

            fn serialize<A: $crate::jute::OutputArchive + ?Sized>(&self, archive: &mut A) {
                $crate::jute::JuteField::write(self, archive, "");
            }

            fn deserialize<R: std::io::Read>(
                archive: &mut $crate::jute::BinaryInputArchive<R>,
            ) -> Result<Self, $crate::jute::InputError> {
                Ok(Self {
                    $( $field: <$type as $crate::jute::JuteField>::read(
                        archive,
                        stringify!($field),
                    )?, )*
                })
            }
        }

        impl $crate::jute::JuteField for $name {
            fn jute_type() -> String {
                <Self as $crate::jute::Record>::NAME.into()
            }
            fn write<A: $crate::jute::OutputArchive + ?Sized>(
                &self,
                archive: &mut A,
                tag: &'static str,
            ) {
                archive.start_record(tag);
                $( $crate::jute::JuteField::write(&self.$field, archive, stringify!($field)); )*
                archive.end_record(tag);
            }
            fn read<R: std::io::Read>(
                archive: &mut $crate::jute::BinaryInputArchive<R>,
                _tag: &'static str,
            ) -> Result<Self, $crate::jute::InputError> {
                <Self as $crate::jute::Record>::deserialize(archive)
            }
        }
    )+};
}

pub(crate) use record;

#[cfg(test)]
#[expect(unreachable_pub, reason = "the macro declares what others use")]
mod tests {
    use crate::jute::{BinaryInputArchive, InputError, Limits, Record};

    record! {
        /// A record with all kinds of fields.
        pub struct Everything {
            /// A field.
            flag: bool,
            /// A field.
            number: i32,
            /// A field.
            big: i64,
            /// A field.
            text: Option<String>,
            /// A field.
            bytes: Option<Vec<u8>>,
            /// A field.
            list: Option<Vec<String>>,
        }
    }

    #[test]
    fn a_record_is_written_in_the_order_of_its_fields_and_read_back() {
        let record = Everything {
            flag: true,
            number: -2,
            big: 3,
            text: Some("ab".into()),
            bytes: None,
            list: Some(vec!["c".into()]),
        };
        let bytes = record.to_bytes();
        assert_eq!(
            bytes,
            [
                1, 0xff, 0xff, 0xff, 0xfe, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 2, b'a', b'b', 0xff,
                0xff, 0xff, 0xff, 0, 0, 0, 1, 0, 0, 0, 1, b'c'
            ]
        );
        let mut archive = BinaryInputArchive::new(&bytes[..], Limits::default());
        assert_eq!(Everything::deserialize(&mut archive).unwrap(), record);
    }

    #[test]
    fn every_proper_prefix_of_a_record_is_an_early_end() {
        let bytes = Everything {
            text: Some("ab".into()),
            bytes: Some(vec![1]),
            list: Some(vec!["c".into()]),
            ..Everything::default()
        }
        .to_bytes();
        for len in 0..bytes.len() {
            let mut archive = BinaryInputArchive::new(&bytes[..len], Limits::default());
            let error = Everything::deserialize(&mut archive).unwrap_err();
            assert!(matches!(error, InputError::EndOfInput { .. }), "at {len}: {error}");
        }
    }
}
