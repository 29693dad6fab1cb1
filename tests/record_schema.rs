//! Compares the fields of our records with those that Java's generated classes write (no Java twin).
//! `tests/java/RecordSchema.java` prints Java's fields from the jar itself.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use zookeeper_server::data;
use zookeeper_server::internals::jute::Record;
use zookeeper_server::internals::server::quorum::{learner_info, quorum_packet};
use zookeeper_server::internals::{proto, txn};

/// Records in Java's jar that we do not have as such: their feature is missing here, or the record is written by
/// hand.
const NOT_OURS: [&str; 2] = ["FileHeader", "QuorumAuthPacket"];

/// A field as (name without case and underscores, jute type).
type Field = (String, String);

fn plain(name: &str) -> String {
    name.trim_start_matches("r#").replace('_', "").to_lowercase()
}

fn fields<R: Record>(records: &mut BTreeMap<&'static str, Vec<Field>>) {
    let fields = R::fields().into_iter().map(|(name, kind)| (plain(name), kind)).collect();
    assert!(records.insert(R::NAME, fields).is_none(), "{} is listed twice", R::NAME);
}

/// Lists records by type.
macro_rules! all {
    ($($module:ident :: { $($name:ident),* $(,)? }),* $(,)?) => {{
        let mut records = BTreeMap::new();
        $( $( fields::<$module::$name>(&mut records); )* )*
        records
    }};
}

fn ours() -> BTreeMap<&'static str, Vec<Field>> {
    all! {
        data::{Id, ACL, Stat, StatPersisted, ClientInfo},
        proto::{
            ConnectRequest, ConnectResponse, SetWatches, SetWatches2, RequestHeader, MultiHeader,
            AuthPacket, ReplyHeader, GetDataRequest, SetDataRequest, ReconfigRequest,
            SetDataResponse, GetSASLRequest, SetSASLRequest, SetSASLResponse, CreateRequest,
            CreateTTLRequest, DeleteRequest, GetChildrenRequest, GetAllChildrenNumberRequest,
            GetChildren2Request, CheckVersionRequest, GetMaxChildrenRequest,
            GetMaxChildrenResponse, SetMaxChildrenRequest, SyncRequest, SyncResponse,
            GetACLRequest, SetACLRequest, SetACLResponse, AddWatchRequest, WatcherEvent,
            ErrorResponse, CreateResponse, Create2Response, ExistsRequest, ExistsResponse,
            GetDataResponse, GetChildrenResponse, GetAllChildrenNumberResponse,
            GetChildren2Response, GetACLResponse, CheckWatchesRequest, RemoveWatchesRequest,
            GetEphemeralsRequest, GetEphemeralsResponse, WhoAmIResponse,
        },
        txn::{
            TxnDigest, TxnHeader, CreateTxnV0, CreateTxn, CreateTTLTxn, CreateContainerTxn,
            DeleteTxn, SetDataTxn, CheckVersionTxn, SetACLTxn, SetMaxChildrenTxn,
            CreateSessionTxn, CloseSessionTxn, ErrorTxn, Txn, MultiTxn,
        },
        learner_info::{LearnerInfo},
        quorum_packet::{QuorumPacket},
    }
}

/// Parses a line `Name { type:field; type:field; }`. Returns `None` for any other line.
fn parse(line: &str) -> Option<(&str, Vec<Field>)> {
    let (name, rest) = line.split_once(" { ")?;
    let fields = rest
        .trim_end_matches('}')
        .split("; ")
        .filter(|field| !field.trim().is_empty())
        .map(|field| field.split_once(':').map(|(kind, name)| (plain(name), kind.to_owned())))
        .collect::<Option<_>>()?;
    Some((name, fields))
}

#[test]
#[ignore = "needs Java's jute jar"]
fn every_record_has_the_fields_that_java_writes_in_the_same_order() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/java/record_schema.sh");
    let output = Command::new(script).output().expect("bash runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("the schema is text");
    let java: BTreeMap<&str, Vec<Field>> =
        text.lines().map(|line| parse(line).expect("a line of RecordSchema")).collect();
    assert!(java.len() > 60, "only {} records in Java's jar", java.len());

    let ours = ours();
    for (name, fields) in &java {
        match ours.get(name) {
            Some(our_fields) => assert_eq!(our_fields, fields, "fields of {name}"),
            None => assert!(NOT_OURS.contains(name), "{name} is missing here"),
        }
    }
    for name in ours.keys() {
        assert!(java.contains_key(name), "Java has no record {name}");
    }
}
