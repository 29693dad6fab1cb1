//! The response of `multi` and `multiRead` (Java: org/apache/zookeeper/MultiResponse.java).
//!
//! Its encoding is written by hand: a header before each result and a header that ends the list, but no count.

use std::io::{self, Read};

use crate::jute::{BinaryInputArchive, InputError, OutputArchive, Record};
use crate::multi_operation_record::END_HEADER;
use crate::op_result::OpResult;
use crate::proto::{
    Create2Response, CreateResponse, ErrorResponse, GetChildrenResponse, GetDataResponse,
    MultiHeader, SetDataResponse,
};
use crate::zoo_defs::OpCode;

/// The results of the parts, in order.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct MultiResponse {
    /// One result for each part.
    pub results: Vec<OpResult>,
}

/// Appends one result with its header.
pub(crate) fn serialize_result<A: OutputArchive + ?Sized>(result: &OpResult, archive: &mut A) {
    MultiHeader { r#type: result.type_code(), done: false, err: result.err() }.serialize(archive);
    match result {
        OpResult::Create { path } => archive.write_string(Some(path), "path"),
        OpResult::Create2 { path, stat } => {
            archive.write_string(Some(path), "path");
            stat.serialize(archive);
        }
        OpResult::Delete | OpResult::Check => {}
        OpResult::SetData { stat } => stat.serialize(archive),
        OpResult::GetChildren { children } => {
            archive.start_vector(Some(children.len()), "children");
            for child in children {
                archive.write_string(Some(child), "e1");
            }
            archive.end_vector("children");
        }
        OpResult::GetData { data, stat } => {
            archive.write_buffer(data.as_deref(), "data");
            stat.serialize(archive);
        }
        OpResult::Error { err } => archive.write_int(*err, "err"),
    }
}

fn read_result<R: Read>(
    result_type: i32,
    archive: &mut BinaryInputArchive<R>,
) -> Result<OpResult, InputError> {
    let invalid = || {
        InputError::Io(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("Invalid type {result_type} in MultiResponse"),
        ))
    };
    Ok(match OpCode::try_from(result_type).map_err(|_| invalid())? {
        OpCode::Create => OpResult::Create { path: CreateResponse::deserialize(archive)?.path },
        OpCode::Create2 => {
            let Create2Response { path, stat } = Create2Response::deserialize(archive)?;
            OpResult::Create2 { path, stat }
        }
        OpCode::Delete => OpResult::Delete,
        OpCode::SetData => OpResult::SetData { stat: SetDataResponse::deserialize(archive)?.stat },
        OpCode::Check => OpResult::Check,
        OpCode::GetChildren => {
            OpResult::GetChildren { children: GetChildrenResponse::deserialize(archive)?.children }
        }
        OpCode::GetData => {
            let GetDataResponse { data, stat } = GetDataResponse::deserialize(archive)?;
            OpResult::GetData { data, stat }
        }
        OpCode::Error => OpResult::Error { err: ErrorResponse::deserialize(archive)?.err },
        _ => return Err(invalid()),
    })
}

impl Record for MultiResponse {
    const NAME: &'static str = "MultiResponse";

    /// Empty: it has results, not fields.
    fn fields() -> Vec<(&'static str, String)> {
        Vec::new()
    }

    fn serialize<A: OutputArchive + ?Sized>(&self, archive: &mut A) {
        for result in &self.results {
            serialize_result(result, archive);
        }
        END_HEADER.serialize(archive);
    }

    fn deserialize<R: Read>(archive: &mut BinaryInputArchive<R>) -> Result<Self, InputError> {
        let mut results = Vec::new();
        loop {
            let header = MultiHeader::deserialize(archive)?;
            if header.done {
                return Ok(Self { results });
            }
            results.push(read_result(header.r#type, archive)?);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Stat;
    use crate::ids::Zxid;
    use crate::jute::Limits;
    use crate::keeper_exception::KeeperError;

    fn decode(bytes: &[u8]) -> Result<MultiResponse, InputError> {
        MultiResponse::deserialize(&mut BinaryInputArchive::new(bytes, Limits::default()))
    }

    /// Bytes from a Java server for create(/b), delete(/nope), check(/a), of which the second fails.
    #[test]
    fn a_failed_multi_has_only_error_results() {
        let response = MultiResponse {
            results: [0, KeeperError::NoNode.code(), KeeperError::RuntimeInconsistency.code()]
                .map(|err| OpResult::Error { err })
                .into(),
        };
        let bytes = response.to_bytes();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            concat!(
                "ffffffff000000000000000000",
                "ffffffff00ffffff9bffffff9b",
                "ffffffff00fffffffefffffffe",
                "ffffffff01ffffffff"
            )
        );
        assert_eq!(decode(&bytes).unwrap(), response);
    }

    #[test]
    fn results_of_every_kind_are_read_back() {
        let stat = Stat { mzxid: Zxid(7), ..Stat::default() };
        let response = MultiResponse {
            results: vec![
                OpResult::Create { path: "/a".into() },
                OpResult::Create2 { path: "/b".into(), stat: stat.clone() },
                OpResult::Delete,
                OpResult::SetData { stat: stat.clone() },
                OpResult::Check,
                OpResult::GetChildren { children: vec!["x".into(), "y".into()] },
                OpResult::GetData { data: None, stat },
                OpResult::Error { err: -101 },
            ],
        };
        assert_eq!(decode(&response.to_bytes()).unwrap(), response);
    }

    #[test]
    fn a_create_with_its_state_has_the_type_of_create2() {
        let result = OpResult::Create2 { path: "/a".into(), stat: Stat::default() };
        let bytes = MultiResponse { results: vec![result] }.to_bytes();
        assert_eq!(bytes[..9], [0, 0, 0, 15, 0, 0, 0, 0, 0]);
        assert_eq!(bytes.len(), 9 + 6 + 68 + 9);
    }

    #[test]
    fn a_result_of_another_type_is_refused() {
        for code in [19, 21, 3, 99] {
            let mut bytes = MultiHeader { r#type: code, done: false, err: 0 }.to_bytes();
            bytes.extend([0; 100]);
            let error = decode(&bytes).unwrap_err().to_string();
            assert!(error.contains(&format!("Invalid type {code} in MultiResponse")), "{error}");
        }
    }
}
