//! Checks that the body of a client's write can be decoded, without decoding it (no Java twin: there a learner
//! forwards whatever comes, and its leader proposes what it cannot decode with the zxid of the transaction before).
//!
//! This is pure logic. Null values can be decoded, so they pass, and the leader refuses them. A `multi` and session
//! requests are not checked, because leaders assign them a zxid before they decode them.

use byteorder::{BigEndian, ByteOrder};

use crate::jute::Limits;
use crate::server::request::Request;
use crate::zoo_defs::OpCode;

/// A field of a request.
#[derive(Clone, Copy, Debug)]
enum Field {
    /// That many bytes.
    Fixed(usize),
    /// A length followed by that many bytes: text or a buffer.
    Bytes,
    /// A list of permissions and ids.
    Acl,
}

const INT: Field = Field::Fixed(4);
const LONG: Field = Field::Fixed(8);
/// The fields of an ACL entry.
const ACL_ENTRY: [Field; 3] = [INT, Field::Bytes, Field::Bytes];

const fn fields_of(op: OpCode) -> &'static [Field] {
    match op {
        OpCode::Create | OpCode::Create2 | OpCode::CreateContainer => {
            &[Field::Bytes, Field::Bytes, Field::Acl, INT]
        }
        OpCode::CreateTtl => &[Field::Bytes, Field::Bytes, Field::Acl, INT, LONG],
        OpCode::Delete => &[Field::Bytes, INT],
        OpCode::DeleteContainer => &[Field::Bytes],
        OpCode::SetData => &[Field::Bytes, Field::Bytes, INT],
        OpCode::SetAcl => &[Field::Bytes, Field::Acl, INT],
        OpCode::Reconfig => &[Field::Bytes, Field::Bytes, Field::Bytes, LONG],
        _ => &[],
    }
}

/// Whether the request's body has all its fields.
pub(in crate::server::quorum) fn is_well_formed(request: &Request, limits: Limits) -> bool {
    let Ok(op) = OpCode::try_from(request.op_type) else { return true };
    let mut shape = Shape {
        rest: request.payload.as_deref().unwrap_or_default(),
        max_length: limits.max_length(),
    };
    shape.take(fields_of(op)).is_some()
}

/// The part of a body that is not checked yet.
struct Shape<'a> {
    rest: &'a [u8],
    max_length: usize,
}

impl Shape<'_> {
    fn take(&mut self, fields: &[Field]) -> Option<()> {
        fields.iter().try_for_each(|field| match field {
            Field::Fixed(len) => self.skip(*len),
            Field::Bytes => match self.length()? {
                -1 => Some(()),
                len => {
                    let len = usize::try_from(len).ok().filter(|len| *len <= self.max_length)?;
                    self.skip(len)
                }
            },
            // As in Java, a negative count means no entries.
            Field::Acl => (0..self.length()?).try_for_each(|_| self.take(&ACL_ENTRY)),
        })
    }

    fn skip(&mut self, len: usize) -> Option<()> {
        self.rest = self.rest.get(len..)?;
        Some(())
    }

    fn length(&mut self) -> Option<i32> {
        let (len, rest) = self.rest.split_at_checked(4)?;
        self.rest = rest;
        Some(BigEndian::read_i32(len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{ACL, Id};
    use crate::delete_container_request::DeleteContainerRequest;
    use crate::ids::SessionId;
    use crate::jute::{InputError, Record};
    use crate::proto::{
        CreateRequest, CreateTTLRequest, DeleteRequest, ReconfigRequest, SetACLRequest,
        SetDataRequest,
    };
    use std::sync::Arc;

    const LIMIT: usize = 40;

    fn limits() -> Limits {
        Limits::new(LIMIT, 0)
    }

    fn request(op: OpCode, payload: &[u8]) -> Request {
        Request::new(None, SessionId(1), 1, op.code(), Some(payload.into()), Arc::new([]))
    }

    fn acl() -> Option<Vec<ACL>> {
        let entry = |id: &str| ACL { perms: 31, id: Id { scheme: "ip".into(), id: id.into() } };
        Some(vec![entry("::1"), entry("")])
    }

    /// Decoding must give the same result. A null is well-formed, but decoding stops there, and the rest may be
    /// malformed.
    fn expect_as_decoded<T: Record>(op: OpCode, body: &[u8]) {
        let request = request(op, body);
        let is_well_formed = is_well_formed(&request, limits());
        match request.read_request_record::<T>(limits()) {
            Ok(_) => assert!(is_well_formed, "{op:?} {body:?}"),
            Err(InputError::Null { .. }) => {}
            Err(problem) => assert!(!is_well_formed, "{op:?} {body:?}: {problem}"),
        }
    }

    /// Tries every prefix of the body, and the body with each of its bytes replaced.
    fn expect_all_as_decoded<T: Record>(op: OpCode, record: &T) {
        let body = record.to_bytes();
        assert!(is_well_formed(&request(op, &body), limits()), "{op:?}");
        for len in 0..body.len() {
            assert!(!is_well_formed(&request(op, &body[..len]), limits()), "{op:?} {len}");
            expect_as_decoded::<T>(op, &body[..len]);
            for byte in [0, 1, 0x7f, 0x80, 0xff] {
                let mut changed = body.clone();
                changed[len] = byte;
                expect_as_decoded::<T>(op, &changed);
                // A null, and a length below that.
                for end in [byte, 0xff, 0xfe] {
                    if let Some(field) = changed.get_mut(len..len + 4) {
                        field.copy_from_slice(&[0xff, 0xff, 0xff, end]);
                        expect_as_decoded::<T>(op, &changed);
                    }
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_decoded_and_that_alone_is_not_well_formed() {
        let (path, data) = ("/a".to_owned(), Some(vec![1, 2, 3]));
        for op in [OpCode::Create, OpCode::Create2, OpCode::CreateContainer] {
            let record =
                CreateRequest { path: path.clone(), data: data.clone(), acl: acl(), flags: 1 };
            expect_all_as_decoded(op, &record);
        }
        let record = CreateTTLRequest {
            path: path.clone(),
            data: data.clone(),
            acl: acl(),
            flags: 1,
            ttl: 9,
        };
        expect_all_as_decoded(OpCode::CreateTtl, &record);
        expect_all_as_decoded(OpCode::Delete, &DeleteRequest { path: path.clone(), version: 1 });
        let record = DeleteContainerRequest { path: path.clone() };
        expect_all_as_decoded(OpCode::DeleteContainer, &record);
        let record = SetDataRequest { path: path.clone(), data, version: 2 };
        expect_all_as_decoded(OpCode::SetData, &record);
        expect_all_as_decoded(OpCode::SetAcl, &SetACLRequest { path, acl: acl(), version: 3 });
        expect_all_as_decoded(OpCode::Reconfig, &ReconfigRequest::default());
    }

    #[test]
    fn what_leaders_take_a_zxid_for_is_not_looked_at() {
        for op in [OpCode::Multi, OpCode::CreateSession, OpCode::CloseSession, OpCode::Check] {
            assert!(is_well_formed(&request(op, &[]), limits()), "{op:?}");
        }
    }

    #[test]
    fn a_length_above_the_limit_is_none() {
        let data = Some(vec![0; limits().max_length() + 1]);
        let record = SetDataRequest { path: "/a".into(), data, version: 2 };
        assert!(!is_well_formed(&request(OpCode::SetData, &record.to_bytes()), limits()));
    }
}
