//! Every decoder of bytes from outside, as a function of these bytes (no Java twin).
//!
//! No decoder may panic, loop, or reserve much more memory than the length of its input, whatever the input is. The
//! tests of `tests/hostile_decoders.rs` and the fuzzers of `fuzz/` share this list.

#![allow(dead_code, unreachable_pub, reason = "a module of several crates")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]

mod connection;
mod seals;
mod stored;
mod temporary;
mod texts;

use std::collections::BTreeSet;
use std::hint::black_box;

use zookeeper_server::data::{ACL, ClientInfo, Stat, StatPersisted};
use zookeeper_server::ids::Sid;
use zookeeper_server::internals::delete_container_request::DeleteContainerRequest;
use zookeeper_server::internals::jute::{
    BinaryInputArchive, Limits, Record, ToStringOutputArchive,
};
use zookeeper_server::internals::multi_operation_record::MultiOperationRecord;
use zookeeper_server::internals::multi_response::MultiResponse;
use zookeeper_server::internals::proto::{
    AddWatchRequest, AuthPacket, CheckVersionRequest, CheckWatchesRequest, ConnectRequest,
    ConnectResponse, Create2Response, CreateRequest, CreateResponse, CreateTTLRequest,
    DeleteRequest, ErrorResponse, ExistsRequest, ExistsResponse, GetACLRequest, GetACLResponse,
    GetAllChildrenNumberRequest, GetAllChildrenNumberResponse, GetChildren2Request,
    GetChildren2Response, GetChildrenRequest, GetChildrenResponse, GetDataRequest, GetDataResponse,
    GetEphemeralsRequest, GetEphemeralsResponse, GetMaxChildrenRequest, GetMaxChildrenResponse,
    GetSASLRequest, MultiHeader, ReconfigRequest, RemoveWatchesRequest, ReplyHeader, RequestHeader,
    SetACLRequest, SetACLResponse, SetDataRequest, SetDataResponse, SetMaxChildrenRequest,
    SetSASLRequest, SetSASLResponse, SetWatches, SetWatches2, SyncRequest, SyncResponse,
    WatcherEvent, WhoAmIResponse,
};
use zookeeper_server::internals::server::persistence::file_header::FileHeader;
use zookeeper_server::internals::server::quorum::fast_leader_election::notification::{
    CURRENT_VERSION, NotificationFrame,
};
use zookeeper_server::internals::server::quorum::flexible::create_quorum_verifier::from_members;
use zookeeper_server::internals::server::quorum::learner_info::{Greeting, LearnerInfo};
use zookeeper_server::internals::server::quorum::multiple_addresses::{
    DEFAULT_TIMEOUT, MultipleAddresses,
};
use zookeeper_server::internals::server::quorum::quorum_cnx_manager::initial_message::{
    self, InitialMessage,
};
use zookeeper_server::internals::server::quorum::quorum_packet::read_packet;
use zookeeper_server::internals::server::quorum::quorum_peer_config::config_files;
use zookeeper_server::internals::server::util::serialize_utils::{
    TxnBody, TxnFormat, deserialize_sub_txn, deserialize_txn, serialize_txn,
};
use zookeeper_server::internals::txn::{
    CheckVersionTxn, CloseSessionTxn, CreateContainerTxn, CreateSessionTxn, CreateTTLTxn,
    CreateTxn, CreateTxnV0, DeleteTxn, ErrorTxn, MultiTxn, SetACLTxn, SetDataTxn,
    SetMaxChildrenTxn, Txn, TxnDigest, TxnHeader,
};

pub use connection::{connection, finish, handshaken};
pub use stored::{
    DatabaseState, TestDatabase, data_directory, log_directory, log_file, log_tools, multi_part,
    sealed_data_directory, snapshot_gz, snapshot_plain, snapshot_snappy, snapshot_tools,
};
pub use texts::{
    auth_ids, cli_lines, connect_strings, data_directory_names, dynamic_config, http_request,
    my_id, paths, properties, quota_texts, settings, zoo_cfg,
};

/// A function that reads bytes from outside.
pub type Decoder = fn(&[u8]);

/// All decoders with their names.
pub const DECODERS: &[(&str, Decoder)] = &[
    // From a client's connection.
    ("connection", connection),
    ("handshaken", handshaken),
    ("requests", requests),
    // From a server, read by our client.
    ("replies", replies),
    // From other servers.
    ("election", election),
    ("quorum", quorum),
    ("members_text", members_text),
    // From files.
    ("stored_records", stored_records),
    ("transaction", transaction),
    ("log_file", log_file),
    ("log_directory", log_directory),
    ("log_tools", log_tools),
    ("snapshot_plain", snapshot_plain),
    ("snapshot_gz", snapshot_gz),
    ("snapshot_snappy", snapshot_snappy),
    ("snapshot_tools", snapshot_tools),
    ("data_directory", data_directory),
    ("sealed_data_directory", sealed_data_directory),
    ("data_directory_names", data_directory_names),
    ("properties", properties),
    ("settings", settings),
    ("zoo_cfg", zoo_cfg),
    ("dynamic_config", dynamic_config),
    ("my_id", my_id),
    // From texts in requests and nodes.
    ("paths", paths),
    ("quota_texts", quota_texts),
    ("auth_ids", auth_ids),
    ("http_request", http_request),
    // From what a user types.
    ("connect_strings", connect_strings),
    ("cli_lines", cli_lines),
];

/// The decoders that are fuzzed together. The first byte of an input selects the decoder for the rest.
pub const GROUPS: &[(&str, &[&str])] = &[
    ("connection", &["connection"]),
    ("handshaken", &["handshaken"]),
    ("records", &["requests", "replies", "stored_records", "transaction"]),
    ("logs", &["log_file", "log_directory", "log_tools"]),
    ("snapshots", &["snapshot_plain", "snapshot_gz", "snapshot_snappy", "snapshot_tools"]),
    ("data_directories", &["data_directory", "sealed_data_directory", "data_directory_names"]),
    ("configuration", &["properties", "settings", "zoo_cfg", "dynamic_config", "my_id"]),
    ("texts", &["paths", "quota_texts", "auth_ids", "connect_strings", "cli_lines"]),
    ("http_request", &["http_request"]),
    ("election", &["election"]),
    ("quorum", &["quorum", "members_text"]),
];

/// Passes an input to the decoder of the group that its first byte selects.
pub fn fuzz_group(name: &str, input: &[u8]) {
    let (_, names) = GROUPS.iter().find(|(known, _)| *known == name).expect("a group");
    let Some((choice, bytes)) = input.split_first() else { return };
    decoder(names[usize::from(*choice) % names.len()])(bytes);
}

/// The decoder with that name.
pub fn decoder(name: &str) -> Decoder {
    let found = DECODERS.iter().find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("there is no decoder {name}")).1
}

/// Reads one record. If it can be read, it must also survive writing and reading again, and printing.
fn record<T: Record + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
    let limits = Limits::default();
    let Ok(record) = T::deserialize(&mut BinaryInputArchive::new(bytes, limits)) else { return };
    let written = record.to_bytes();
    let again = T::deserialize(&mut BinaryInputArchive::new(&written[..], limits));
    assert_eq!(again.expect("what was written can be read"), record, "{}", T::NAME);
    black_box(ToStringOutputArchive::text_of(&record));
}

macro_rules! each_record {
    ($bytes:ident: $($record:ident),* $(,)?) => { $( record::<$record>($bytes); )* };
}

/// The requests of clients. Reads every kind of record, because the opcode is not part of the input.
pub fn requests(bytes: &[u8]) {
    each_record!(bytes:
        ConnectRequest, RequestHeader, MultiHeader, AuthPacket, GetDataRequest, SetDataRequest,
        ReconfigRequest, GetSASLRequest, SetSASLRequest, CreateRequest, CreateTTLRequest,
        DeleteRequest, GetChildrenRequest, GetAllChildrenNumberRequest, GetChildren2Request,
        CheckVersionRequest, GetMaxChildrenRequest, SetMaxChildrenRequest, SyncRequest,
        GetACLRequest, SetACLRequest, AddWatchRequest, ExistsRequest, CheckWatchesRequest,
        RemoveWatchesRequest, GetEphemeralsRequest, SetWatches, SetWatches2,
        DeleteContainerRequest,
    );
    // A part whose flag is no valid mode is read as another operation, as in Java. So what was written is not read
    // again.
    let mut archive = BinaryInputArchive::new(bytes, Limits::default());
    if let Ok(multi) = MultiOperationRecord::deserialize(&mut archive) {
        black_box(multi.to_bytes());
        black_box(multi.op_code());
    }
}

/// The answers of servers.
pub fn replies(bytes: &[u8]) {
    each_record!(bytes:
        ConnectResponse, ReplyHeader, SetDataResponse, SetSASLResponse, GetMaxChildrenResponse,
        SyncResponse, SetACLResponse, WatcherEvent, ErrorResponse, CreateResponse, Create2Response,
        ExistsResponse, GetDataResponse, GetChildrenResponse, GetAllChildrenNumberResponse,
        GetChildren2Response, GetACLResponse, GetEphemeralsResponse, WhoAmIResponse, MultiResponse,
    );
}

/// What servers send on the election port: a greeting, and then notifications.
pub fn election(bytes: &[u8]) {
    if let Ok(frame) = NotificationFrame::decode(bytes) {
        black_box(frame.config_version());
        let written = NotificationFrame {
            version: CURRENT_VERSION,
            config: Some(frame.config.clone().unwrap_or_default()),
            ..frame
        };
        assert_eq!(NotificationFrame::decode(&written.encode()), Ok(written));
    }
    let Ok(greeting) = InitialMessage::parse(&mut &*bytes, &|_| None) else { return };
    let addresses = MultipleAddresses::new(greeting.election_addresses.clone(), DEFAULT_TIMEOUT);
    if !addresses.is_empty() {
        let written = initial_message::greeting(greeting.sid, &addresses, true);
        // An address that is written in full may be longer than a greeting may contain.
        if let Ok(again) = InitialMessage::parse(&mut &*written, &|_| None) {
            assert_eq!((again.sid, &again.election_addresses[..]), (greeting.sid, addresses.all()));
        }
    }
}

/// What servers send on the quorum port: packets, whose data are read by their type.
pub fn quorum(bytes: &[u8]) {
    let mut input = bytes;
    while let Ok(packet) = read_packet(&mut input, Limits::default()) {
        let again = read_packet(&packet.to_bytes()[..], Limits::default());
        assert_eq!(again.expect("what was written can be read"), packet);
        let Some(data) = &packet.data else { continue };
        if let Ok(greeting) = Greeting::read(Some(data)) {
            assert!(greeting.sid.is_some());
            assert_eq!(greeting.config_version.is_some(), data.len() >= 20);
        }
        record::<LearnerInfo>(data);
        transaction(data);
        members_text(data);
    }
}

/// A configuration as servers send it in NEWLEADER, in notifications and in transactions.
pub fn members_text(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let resolve = |_: &str| None;
    for has_oracle in [false, true] {
        let Ok(members) = config_files::members_from_text(&text, has_oracle, &resolve) else {
            continue;
        };
        let verifier = from_members(members, None);
        black_box(verifier.contains_quorum(&BTreeSet::from([Sid(1), Sid(2)])));
        black_box(verifier.to_text());
    }
}

/// The records in logs and snapshots.
pub fn stored_records(bytes: &[u8]) {
    each_record!(bytes:
        ACL, Stat, StatPersisted, ClientInfo, FileHeader, TxnDigest, TxnHeader, CreateTxnV0,
        CreateTxn, CreateTTLTxn, CreateContainerTxn, DeleteTxn, SetDataTxn, CheckVersionTxn,
        SetACLTxn, SetMaxChildrenTxn, CreateSessionTxn, CloseSessionTxn, ErrorTxn, Txn, MultiTxn,
    );
}

/// A transaction as it stands in a log and in a proposal, in all formats.
pub fn transaction(bytes: &[u8]) {
    for (digest_enabled, close_session_txn_enabled) in
        [(true, true), (true, false), (false, true), (false, false)]
    {
        let format =
            TxnFormat { digest_enabled, close_session_txn_enabled, ..TxnFormat::default() };
        let Ok(entry) = deserialize_txn(bytes, &format) else { continue };
        if let Some(TxnBody::Multi(multi)) = &entry.txn {
            for part in &multi.txns {
                if let Ok(body) = deserialize_sub_txn(part, format.limits) {
                    assert!(!body.to_bytes().is_empty(), "{body:?}");
                }
            }
        }
        let mut written = Vec::new();
        serialize_txn(&entry.header, entry.txn.as_ref(), entry.digest.as_ref(), &mut written);
        let again = deserialize_txn(&written, &format).expect("what was written can be read");
        assert_eq!(again, entry, "digest {digest_enabled}, close {close_session_txn_enabled}");
    }
}
