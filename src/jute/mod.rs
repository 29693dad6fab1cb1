//! The serialization of all wire and disk formats (Java: package org.apache.jute).
//!
//! This module does not depend on ZooKeeper. [`record`] declares records, [`binary_input_archive`] and
//! [`binary_output_archive`] read and write them, and [`to_string_output_archive`] prints them as Java's tools
//! do.

pub(crate) mod record;

pub(crate) mod binary_input_archive;
pub(crate) mod binary_output_archive;
pub(crate) mod to_string_output_archive;

pub(crate) use binary_input_archive::InputError;
pub(crate) use binary_input_archive::decode_text;
pub use binary_input_archive::{BinaryInputArchive, Limits};
pub use binary_output_archive::BinaryOutputArchive;
pub(crate) use record::JuteField;
pub use record::{OutputArchive, Record};
pub use to_string_output_archive::ToStringOutputArchive;
