//! Valid inputs for every decoder (no Java twin), from our own writers and from Java.

#![allow(dead_code, unreachable_pub, reason = "a module of several crates")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]

use std::fs;
use std::path::Path;

use zookeeper_server::data::ClientInfo;
use zookeeper_server::data::{Id, Stat};
use zookeeper_server::ids::{SessionId, Sid, Zxid};
use zookeeper_server::internals::jute::Record;
use zookeeper_server::internals::multi_response::MultiResponse;
use zookeeper_server::internals::proto::{
    ConnectResponse, GetACLResponse, GetChildren2Response, GetDataResponse, ReplyHeader,
    WatcherEvent, WhoAmIResponse,
};
use zookeeper_server::internals::server::quorum::learner_info::{LearnerInfo, PROTOCOL_VERSION};
use zookeeper_server::internals::server::quorum::quorum_packet::{PacketType, QuorumPacket};
use zookeeper_server::internals::server::util::serialize_utils::{TxnBody, serialize_txn};
use zookeeper_server::internals::txn::{
    CheckVersionTxn, CloseSessionTxn, CreateContainerTxn, CreateSessionTxn, CreateTTLTxn,
    CreateTxn, DeleteTxn, ErrorTxn, MultiTxn, SetACLTxn, SetDataTxn, Txn, TxnDigest, TxnHeader,
};
use zookeeper_server::op_result::OpResult;
use zookeeper_server::zoo_defs::{OpCode, ids};

use super::decoders::multi_part;
use super::frames;
use super::mutation::framed;

/// The directory with files of Java servers, below the repository's root.
const JAVA_FILES: &str = "tests/compat_data/storage";

/// A file that a Java server wrote.
pub fn javas_file(root: &Path, name: &str) -> Vec<u8> {
    let path = root.join(JAVA_FILES).join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files with that prefix in a directory of a Java server, with their names.
fn javas_files(root: &Path, directory: &str, prefix: &str) -> Vec<(String, Vec<u8>)> {
    let directory = root.join(JAVA_FILES).join(directory);
    let mut names: Vec<String> = fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(prefix))
        .collect();
    names.sort();
    names.into_iter().map(|name| (name.clone(), fs::read(directory.join(name)).unwrap())).collect()
}

/// The input for a decoder that reads several files.
fn directory(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    let names = names.join("\n").into_bytes();
    let contents = files.iter().map(|(_, bytes)| without_padding(bytes));
    multi_part(&std::iter::once(names).chain(contents).collect::<Vec<_>>())
}

/// A log file without most of its zeros, because a change among them shows nothing.
fn without_padding(bytes: &[u8]) -> Vec<u8> {
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
    bytes[..bytes.len().min(end + 24)].to_vec()
}

const LOG_DIRECTORIES: &[&str] = &["v3.4.14", "v3.9.5", "v3.9.5-fuzzy"];

const DATA_DIRECTORIES: &[&str] =
    &["v3.4.14-snap", "v3.5.10", "v3.9.5", "v3.9.5-fuzzy", "v3.9.5-gz", "v3.9.5-snappy"];

fn logs(root: &Path) -> Vec<Vec<u8>> {
    let files = LOG_DIRECTORIES.iter().flat_map(|directory| javas_files(root, directory, "log."));
    files.map(|(_, bytes)| without_padding(&bytes)).collect()
}

fn snapshots(root: &Path) -> Vec<Vec<u8>> {
    ["v3.4.14-snap/snapshot.f", "v3.5.10/snapshot.1b", "v3.6.4/snapshot.0", "v3.9.5/snapshot.1c"]
        .iter()
        .map(|name| javas_file(root, name))
        .collect()
}

fn data_directories(root: &Path) -> Vec<Vec<u8>> {
    DATA_DIRECTORIES
        .iter()
        .map(|name| {
            let snapshots = javas_files(root, name, "snapshot.");
            directory(&[snapshots, javas_files(root, name, "log.")].concat())
        })
        .collect()
}

fn bodies() -> Vec<(OpCode, TxnBody)> {
    let (path, acl) = (String::from("/a"), ids::open_acl_unsafe());
    let data = Some(vec![1, 2, 3]);
    let create = CreateTxn {
        path: path.clone(),
        data: data.clone(),
        acl: acl.clone(),
        ephemeral: false,
        parent_c_version: 1,
    };
    let delete = DeleteTxn { path: path.clone() };
    let set_data = SetDataTxn { path: path.clone(), data: data.clone(), version: 1 };
    let part = |op: OpCode, bytes: Vec<u8>| Txn { r#type: op.code(), data: Some(bytes) };
    let check = CheckVersionTxn { path: path.clone(), version: 1 };
    let multi = MultiTxn {
        txns: vec![
            part(OpCode::Create, create.to_bytes()),
            part(OpCode::SetData, set_data.to_bytes()),
            part(OpCode::Check, check.to_bytes()),
            part(OpCode::Delete, delete.to_bytes()),
            part(OpCode::Error, ErrorTxn { err: -101 }.to_bytes()),
        ],
    };
    let container = CreateContainerTxn {
        path: path.clone(),
        data: data.clone(),
        acl: acl.clone(),
        parent_c_version: 2,
    };
    let ttl =
        CreateTTLTxn { path: path.clone(), data, acl: acl.clone(), parent_c_version: 3, ttl: 1000 };
    vec![
        (OpCode::Create, TxnBody::Create(create)),
        (OpCode::CreateContainer, TxnBody::CreateContainer(container)),
        (OpCode::CreateTtl, TxnBody::CreateTtl(ttl)),
        (OpCode::Delete, TxnBody::Delete(delete)),
        (OpCode::SetData, TxnBody::SetData(set_data)),
        (OpCode::SetAcl, TxnBody::SetAcl(SetACLTxn { path: path.clone(), acl, version: 1 })),
        (OpCode::CreateSession, TxnBody::CreateSession(CreateSessionTxn { time_out: 30_000 })),
        (
            OpCode::CloseSession,
            TxnBody::CloseSession(CloseSessionTxn { paths2_delete: vec![path] }),
        ),
        (OpCode::Error, TxnBody::Error(ErrorTxn { err: -101 })),
        (OpCode::Multi, TxnBody::Multi(multi)),
    ]
}

fn transactions() -> Vec<Vec<u8>> {
    let digest = TxnDigest { version: 2, tree_digest: 0x1234_5678 };
    bodies()
        .iter()
        .map(|(op, body)| {
            let header = TxnHeader {
                client_id: SessionId(0x0100_0000_0000_0000),
                cxid: 1,
                zxid: Zxid(2),
                time: 1_700_000_000_000,
                r#type: op.code(),
            };
            let mut bytes = Vec::new();
            serialize_txn(&header, Some(body), Some(&digest), &mut bytes);
            bytes
        })
        .collect()
}

fn replies() -> Vec<Vec<u8>> {
    let stat = Stat { version: 1, data_length: 3, ..Stat::default() };
    let children = vec!["a".to_owned(), "b".to_owned()];
    let results = vec![
        OpResult::Create { path: "/a".into() },
        OpResult::Create2 { path: "/a".into(), stat: stat.clone() },
        OpResult::Delete,
        OpResult::Check,
        OpResult::SetData { stat: stat.clone() },
        OpResult::GetChildren { children: children.clone() },
        OpResult::GetData { data: Some(vec![1, 2, 3]), stat: stat.clone() },
        OpResult::Error { err: -101 },
    ];
    let id = Id { scheme: "digest".into(), id: "bob".into() };
    vec![
        ConnectResponse { passwd: Some(vec![1; 16]), ..ConnectResponse::default() }.to_bytes(),
        ReplyHeader::default().to_bytes(),
        MultiResponse { results }.to_bytes(),
        GetDataResponse { data: Some(vec![1; 20]), stat: stat.clone() }.to_bytes(),
        GetChildren2Response { children, stat: stat.clone() }.to_bytes(),
        GetACLResponse { acl: ids::open_acl_unsafe(), stat }.to_bytes(),
        WatcherEvent { r#type: 1, state: 3, path: "/a".into() }.to_bytes(),
        WhoAmIResponse { client_info: vec![ClientInfo { auth_scheme: id.scheme, user: id.id }] }
            .to_bytes(),
    ]
}

/// Connections with requests of every operation, and one with a four-letter word.
fn connections(behind_handshake: bool) -> Vec<Vec<u8>> {
    let connect = if behind_handshake { Vec::new() } else { framed(frames::connect(500)) };
    let requests = frames::requests();
    let mut connections: Vec<Vec<u8>> = requests
        .chunks(6)
        .map(|requests| {
            let requests = requests.iter().flat_map(framed);
            connect.iter().copied().chain(requests).collect()
        })
        .collect();
    if !behind_handshake {
        connections.extend(frames::connects().iter().map(framed));
        connections.extend([
            b"ruok".to_vec(),
            b"mntr".to_vec(),
            b"stmk\0\0\0\0\0\0\0\x1f".to_vec(),
        ]);
    }
    connections
}

fn payloads() -> Vec<Vec<u8>> {
    let payloads = frames::requests().into_iter().map(|frame| frame[8..].to_vec());
    payloads.chain(frames::connects()).collect()
}

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

const ZOO_CFG: &str = "tickTime=2000\ninitLimit=10\nsyncLimit=5\ndataDir=/tmp/zk\\\n  /data\n\
    clientPort=2181\nclientPortAddress=127.0.0.1\nmaxClientCnxns=60\nautopurge.purgeInterval=1\n\
    ! a comment\n4lw.commands.whitelist=*\nminSessionTimeout=4000\nserver.1=127.0.0.1:2888:3888\n\
    admin.serverPort=8080\nmetricsProvider.httpPort=7000\nsnapCount=1000\n";

const DYNAMIC: &str = "server.1=127.0.0.1:2888:3888:participant;127.0.0.1:2181\n\
    server.2=127.0.0.2:2888:3888|[::1]:2889:3889:observer;2182\nserver.3=a:1:2\n\
    group.1=1:2\ngroup.2=3\nweight.1=1\nweight.2=0\nweight.3=5\nversion=100000000\n";

const SETTINGS: &str = "jute.maxbuffer=4194304\nzookeeper.jute.maxbuffer.extrasize=1024\n\
    zookeeper.forceSync=no\nzookeeper.preAllocSize=65536\nzookeeper.snapCount=100\n\
    zookeeper.globalOutstandingLimit=1000\nzookeeper.extendedTypesEnabled=true\n\
    zookeeper.admin.serverPort=8080\nzookeeper.admin.idleTimeout=30000\n\
    zookeeper.admin.rateLimiterIntervalInMS=300000\nznode.container.checkIntervalMs=1000\n\
    zookeeper.maxResponseCacheSize=0x10\nzookeeper.commitLogCount=500\n\
    zookeeper.4lw.commands.whitelist=stat, ruok\nzookeeper.maxBatchSize=010\n\
    zookeeper.snapSizeLimitInKb=4194304\nzookeeper.fsync.warningthresholdms=1000\n\
    zookeeper.DigestAuthenticationProvider.digestAlg=SHA-256\nzookeeper.flushDelay=0\n\
    zookeeper.snapshot.compression.method=gz\nzookeeper.connection_throttle_tokens=5\n";

fn text_seeds(name: &str) -> Vec<Vec<u8>> {
    match name {
        "data_directory_names" => texts(&[
            "log.1\nsnapshot.1c\nsnapshot.0.gz\nsnapshot.ff.snappy\nlog.ffffffffffffffff",
            "zoo.cfg.dynamic.100000000\ncurrentEpoch\nlog.\nsnapshot.-1",
        ]),
        "properties" => texts(&["a=b\nc : d\\\n  e\n# f\n! g\nh\\u0041\\t=\\n", ZOO_CFG]),
        "settings" => texts(&[SETTINGS]),
        "zoo_cfg" => texts(&[ZOO_CFG, DYNAMIC, "clientPort=1\ndataDir=/d\n"]),
        "dynamic_config" => texts(&[DYNAMIC, "server.1=[::1]:1:2;[::]:3\n"]),
        "my_id" => texts(&["1", "255\n", "-3\r\n"]),
        "paths" => texts(&[
            "/\n/a/b\n/zookeeper/quota/a/zookeeper_limits\n/a b/\u{e9}\u{10ffff}\n/a/../b\n//",
            "\0\0\0\u{3}/a/\n/zookeeper\n/s-0000000001",
        ]),
        "quota_texts" => texts(&[
            "count=9,bytes=99",
            "count=9,bytes=99=;byteHardLimit=-1;countHardLimit=7",
            "count=-1,bytes=9223372036854775807",
        ]),
        "auth_ids" => texts(&[
            "127.0.0.1\n127.0.0.0/8",
            "::1\n2001:db8::1:0/33",
            "bob:nXbWUXCAE0PWj5E8XcFWRSzYn4c=\nbob:nXbWUXCAE0PWj5E8XcFWRSzYn4c=",
            "digest:bob:x:cdrwa,world:anyone:r,ip:10.0.0.0/8:rw",
            "77\n7",
        ]),
        "http_request" => texts(&[
            "GET /commands/stat?a=b&c=%41+d HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            "POST /commands/restore HTTP/1.1\r\nContent-Length: 5\r\nAuthorization: digest a:b\r\n\
                Content-Type: x\r\n\r\nabcdeGET / HTTP/1.0\r\n\r\n",
            "POST http://h:1/commands/snapshot HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\
                Expect: 100-continue\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nT: u\r\n\r\n",
        ]),
        "connect_strings" => {
            texts(&["127.0.0.1:3000,[::1]:3001,h/app/a", "localhost", "2181 /data 2000 60"])
        }
        "cli_lines" => texts(&[
            "create -s -e /a 'some data' world:anyone:cdrwa\nls -R -w /\nsetquota -n 5 -b 6 /a",
            "delete -v 3 /a\nget -s -w \"/a b\"\nreconfig -add server.1=h:1:2;3 -v 4\n-- -x --y=z",
        ]),
        _ => panic!("there are no seeds for {name}"),
    }
}

/// Greetings and notifications in all formats.
fn election() -> Vec<Vec<u8>> {
    let config = "server.1=127.0.0.1:1:2:participant\nversion=100000000";
    let length = u8::try_from(config.len()).unwrap();
    let notification = [0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 7];
    let notification = [&notification[..], &[0; 15], &[1, 0, 0, 0, 2, 0, 0, 0, length]].concat();
    let mut seeds: Vec<Vec<u8>> =
        [28, 36, 40].into_iter().map(|length| notification[..length].to_vec()).collect();
    seeds.push([&notification, config.as_bytes()].concat());
    seeds.push(3_i64.to_be_bytes().to_vec());
    for (version, text) in [(-65536_i64, "[::1]:3888"), (-65535, "10.0.0.2:3888|zoo:3889")] {
        let length = u8::try_from(text.len()).unwrap();
        let sid_and_length = [0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, length];
        seeds.push([&version.to_be_bytes()[..], &sid_and_length, text.as_bytes()].concat());
    }
    seeds
}

const MEMBERS: &[&str] = &[
    "server.1=127.0.0.1:1:2:participant;3\nserver.2=[::1]:4:5:observer\nversion=100000000",
    "server.1=h:1:2\nserver.2=h:3:4\ngroup.1=1:2\nweight.1=1\nweight.2=3\nversion=7f",
];

/// The conversations of learners and leaders.
fn quorum() -> Vec<Vec<u8>> {
    let packet = |packet_type: PacketType, data: Option<Vec<u8>>| {
        QuorumPacket::new(packet_type, Zxid(0x1_0000_0007), data).to_bytes()
    };
    let info =
        LearnerInfo { serverid: Sid(3), protocol_version: PROTOCOL_VERSION, config_version: 0 };
    let touched = [&7_i64.to_be_bytes()[..], &30_000_i32.to_be_bytes()].concat();
    let mut seeds: Vec<Vec<u8>> = transactions()
        .into_iter()
        .map(|txn| {
            [packet(PacketType::Proposal, Some(txn)), packet(PacketType::Commit, None)].concat()
        })
        .collect();
    seeds.push(
        [
            packet(PacketType::FollowerInfo, Some(info.to_bytes())),
            packet(PacketType::AckEpoch, Some(1_i32.to_be_bytes().to_vec())),
            packet(PacketType::Ack, None),
            packet(PacketType::Ping, Some(touched.clone())),
            packet(PacketType::Revalidate, Some(touched)),
        ]
        .concat(),
    );
    let config = MEMBERS[0].as_bytes().to_vec();
    let version = PROTOCOL_VERSION.to_be_bytes().to_vec();
    seeds.push(
        [
            packet(PacketType::LeaderInfo, Some(version)),
            packet(PacketType::Diff, None),
            packet(PacketType::NewLeader, Some(config)),
            packet(PacketType::UpToDate, None),
        ]
        .concat(),
    );
    seeds
}

/// Valid inputs for the decoder with that name. `root` is the repository's root.
pub fn seeds(name: &str, root: &Path) -> Vec<Vec<u8>> {
    match name {
        "connection" => connections(false),
        "handshaken" => connections(true),
        "requests" => payloads(),
        "replies" => replies(),
        "transaction" => transactions(),
        "election" => election(),
        "quorum" => quorum(),
        "members_text" => texts(MEMBERS),
        "stored_records" => {
            let bodies = bodies().into_iter().map(|(_, body)| body.to_bytes());
            bodies.chain(transactions()).collect()
        }
        "log_file" | "log_tools" => logs(root),
        "log_directory" => {
            LOG_DIRECTORIES.iter().map(|name| directory(&javas_files(root, name, "log."))).collect()
        }
        "snapshot_plain" | "snapshot_tools" => snapshots(root),
        "snapshot_gz" => vec![javas_file(root, "v3.9.5-gz/snapshot.1b.gz")],
        "snapshot_snappy" => vec![javas_file(root, "v3.9.5-snappy/snapshot.1b.snappy")],
        "data_directory" | "sealed_data_directory" => data_directories(root),
        text => text_seeds(text),
    }
}
