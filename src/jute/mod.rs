//! The serialization of all wire and disk formats (Java: package org.apache.jute).
//!
//! This module does not depend on ZooKeeper. [`record`] declares records, [`binary_input_archive`] and
//! [`binary_output_archive`] read and write them, and [`to_string_output_archive`] prints them as Java's tools
//! do.

pub mod record;

pub mod binary_input_archive;
pub mod binary_output_archive;
pub mod to_string_output_archive;

pub use binary_input_archive::{BinaryInputArchive, InputError, Limits, decode_text};
pub use binary_output_archive::BinaryOutputArchive;
pub use record::{JuteField, OutputArchive, Record};
pub use to_string_output_archive::ToStringOutputArchive;
