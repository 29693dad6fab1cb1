//! `multiRead`: several reads with one answer (Java: the multiRead case of processRequest in
//! server/FinalRequestProcessor.java).
//!
//! Results are written directly from the tree into the answer. A few bytes of the request may ask for a megabyte,
//! again and again. So when an answer exceeds the usual length, the length of all its results is computed. The
//! answer is then refused, or gets its room before the rest is made.
//! Threads, locks: those of the caller, which holds the tree's lock.

use std::io;

use super::reads::{Read, ReadError, ReadResult};
use crate::jute::{BinaryOutputArchive, InputError, OutputArchive, Record};
use crate::keeper_exception::KeeperError;
use crate::multi_operation_record::{END_HEADER, MultiOperationRecord};
use crate::multi_response::serialize_result;
use crate::op::Op;
use crate::op_result::OpResult;
use crate::proto::MultiHeader;
use crate::server::data_tree::NodeView;
use crate::server::memory_account::SMALL_ANSWER;
use crate::zoo_defs::{OpCode, perms};

/// The bytes of a result besides data or names: a header, a length and a stat.
const RESULT_OVERHEAD: usize = HEADER + 4 + 68;

/// The length of a header, also of the one after the last result, in bytes.
const HEADER: usize = 9;

/// The length of the result of reading this node, in bytes. Counting ends above `limit`.
fn result_bytes(op: &Op, node: &NodeView<'_>, limit: usize) -> usize {
    let mut bytes = RESULT_OVERHEAD;
    if let Op::GetData(_) = op {
        return bytes + node.data().map_or(0, <[u8]>::len);
    }
    for child in node.children() {
        bytes += 4 + child.len();
        if bytes > limit {
            break;
        }
    }
    bytes
}

fn path_of(op: &Op) -> Option<&str> {
    match op {
        Op::GetChildren(read) => Some(&read.path),
        Op::GetData(read) => Some(&read.path),
        _ => None,
    }
}

impl Read<'_> {
    pub(super) fn multi_read(&self, payload: &[u8], body: &mut Vec<u8>) -> ReadResult {
        let record: MultiOperationRecord = self.record(payload)?;
        self.lists(self.children_of_all(record.ops()))?;
        let start = body.len();
        let mut has_room = false;
        for (number, op) in record.ops().iter().enumerate() {
            let Some(path) = path_of(op) else {
                END_HEADER.serialize(&mut BinaryOutputArchive::new(body));
                let problem = io::Error::new(io::ErrorKind::InvalidData, "Invalid type of readOp");
                return Err(ReadError::MalformedAfter(InputError::Io(problem)));
            };
            let result = self.readable(path, perms::READ).and_then(|node| {
                if !has_room {
                    let bytes = body.len() - start + result_bytes(op, &node, SMALL_ANSWER);
                    if bytes > SMALL_ANSWER {
                        return Ok(None);
                    }
                }
                self.append_result(op, path, body).map(Some)
            });
            let result = match result {
                Ok(None) => {
                    self.make_room(body, self.bytes_of_all(&record.ops()[number..]))?;
                    has_room = true;
                    self.append_result(op, path, body)
                }
                Ok(Some(())) => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = result {
                let result = OpResult::Error { err: error.code() };
                serialize_result(&result, &mut BinaryOutputArchive::new(body));
            }
        }
        END_HEADER.serialize(&mut BinaryOutputArchive::new(body));
        Ok(())
    }

    /// How many children these operations list together.
    fn children_of_all(&self, ops: &[Op]) -> usize {
        let children = |op: &Op| match op {
            Op::GetChildren(read) => {
                self.tree.node(&read.path).map_or(0, |node| node.child_count())
            }
            _ => 0,
        };
        ops.iter().map(children).sum()
    }

    /// The length of these results and the end together, or a number above the limit of an answer.
    fn bytes_of_all(&self, ops: &[Op]) -> usize {
        let limit = self.server.memory().limits().response_bytes;
        let mut bytes = HEADER;
        for op in ops {
            let node = path_of(op).and_then(|path| self.tree.node(path));
            bytes += node.map_or(RESULT_OVERHEAD, |node| result_bytes(op, &node, limit));
            if bytes > limit {
                break;
            }
        }
        bytes
    }

    fn append_result(&self, op: &Op, path: &str, body: &mut Vec<u8>) -> Result<(), KeeperError> {
        let archive = &mut BinaryOutputArchive::new(body);
        let header = |code: OpCode| MultiHeader { r#type: code.code(), done: false, err: 0 };
        if let Op::GetData(_) = op {
            let (data, stat) = self.tree.get_data(path, None)?;
            header(OpCode::GetData).serialize(archive);
            archive.write_buffer(data, "data");
            stat.serialize(archive);
            return Ok(());
        }
        let (node, _) = self.tree.children(path, None)?;
        header(OpCode::GetChildren).serialize(archive);
        archive.start_vector(Some(node.child_count()), "children");
        for child in node.children() {
            archive.write_string(Some(child), "e1");
        }
        Ok(())
    }
}
