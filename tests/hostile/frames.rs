//! Valid requests of every operation (no Java twin). The tests of bad input start from them.

#![allow(dead_code, unreachable_pub, reason = "a module of several test crates")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]

use zookeeper_server::create_mode::CreateMode;
use zookeeper_server::data::{ACL, Id};
use zookeeper_server::ids::{SessionId, Zxid};
use zookeeper_server::internals::jute::Record;
use zookeeper_server::internals::multi_operation_record::MultiOperationRecord;
use zookeeper_server::internals::proto::{
    AddWatchRequest, AuthPacket, CheckVersionRequest, CheckWatchesRequest, ConnectRequest,
    CreateRequest, CreateTTLRequest, DeleteRequest, ExistsRequest, GetACLRequest,
    GetAllChildrenNumberRequest, GetChildren2Request, GetChildrenRequest, GetDataRequest,
    GetEphemeralsRequest, GetMaxChildrenRequest, GetSASLRequest, ReconfigRequest,
    RemoveWatchesRequest, RequestHeader, SetACLRequest, SetDataRequest, SetWatches, SetWatches2,
    SyncRequest,
};
use zookeeper_server::op::Op;
use zookeeper_server::zoo_defs::{OpCode, ids, perms};

/// The parent of all nodes in these requests.
pub const HOME: &str = "/h";

/// The xids that have a special meaning, and some others.
pub const XIDS: &[i32] = &[0, -1, -2, -4, -8, 1, i32::MAX, i32::MIN];

/// The frame, without its length, of a ConnectRequest for a new session.
pub fn connect(time_out: i32) -> Vec<u8> {
    connect_request(time_out).to_bytes()
}

fn connect_request(time_out: i32) -> ConnectRequest {
    ConnectRequest { time_out, passwd: Some(vec![0; 16]), ..ConnectRequest::default() }
}

/// ConnectRequests, both valid ones and some that no client sends.
pub fn connects() -> Vec<Vec<u8>> {
    let good = connect_request(500);
    let unknown = SessionId(0x0123_4567_89ab_cdef);
    let mut frames: Vec<_> = [
        good.clone(),
        ConnectRequest { session_id: unknown, passwd: Some(vec![7; 16]), ..good.clone() },
        ConnectRequest { session_id: SessionId(i64::MIN), passwd: None, ..good.clone() },
        ConnectRequest { last_zxid_seen: Zxid(i64::MAX), ..good.clone() },
        ConnectRequest { last_zxid_seen: Zxid(i64::MIN), time_out: i32::MIN, ..good.clone() },
        ConnectRequest { time_out: i32::MAX, read_only: true, ..good },
    ]
    .iter()
    .map(Record::to_bytes)
    .collect();
    // A client before 3.4 sends no last byte.
    let mut old = frames[0].clone();
    old.pop();
    frames.push(old);
    frames
}

fn frame(xid: i32, op: OpCode, payload: &[u8]) -> Vec<u8> {
    [RequestHeader { xid, r#type: op.code() }.to_bytes(), payload.to_vec()].concat()
}

fn home(name: &str) -> String {
    format!("{HOME}{name}")
}

fn create(name: &str, mode: CreateMode, acl: Vec<ACL>) -> CreateRequest {
    CreateRequest {
        path: home(name),
        data: Some(vec![1, 2, 3]),
        acl: Some(acl),
        flags: mode.flag(),
    }
}

fn acl(scheme: &str, id: &str, perms: i32) -> Vec<ACL> {
    vec![ACL { perms, id: Id { scheme: scheme.into(), id: id.into() } }]
}

fn creates() -> Vec<(OpCode, Vec<u8>)> {
    let open = ids::open_acl_unsafe;
    let modes = [
        ("/e", CreateMode::Ephemeral),
        ("/s/s-", CreateMode::PersistentSequential),
        ("/s/e-", CreateMode::EphemeralSequential),
        ("/a/b", CreateMode::Persistent),
        ("/s", CreateMode::Persistent),
    ];
    let mut requests =
        vec![(OpCode::Create, create("", CreateMode::Persistent, open()).to_bytes())];
    for (name, mode) in modes {
        requests.push((OpCode::Create, create(name, mode, open()).to_bytes()));
        requests.push((OpCode::Create2, create(name, mode, open()).to_bytes()));
    }
    for (name, acl) in [
        ("/a", open()),
        ("/own", acl("auth", "", perms::ALL)),
        ("/ip", acl("ip", "127.0.0.1/8", perms::READ | perms::WRITE)),
        ("/digest", acl("digest", "bob:nXbWUXCAE0PWj5E8XcFWRSzYn4c=", perms::ALL)),
    ] {
        let node = create(name, CreateMode::Persistent, acl);
        requests.push((OpCode::Create, node.to_bytes()));
    }
    let nulls =
        CreateRequest { data: None, acl: None, ..create("/n", CreateMode::Persistent, open()) };
    requests.push((OpCode::Create2, nulls.to_bytes()));
    let container = create("/c", CreateMode::Container, open());
    requests.push((OpCode::CreateContainer, container.to_bytes()));
    let ttl = CreateTTLRequest {
        path: home("/t"),
        data: None,
        acl: Some(open()),
        flags: CreateMode::PersistentWithTtl.flag(),
        ttl: 50,
    };
    requests.push((OpCode::CreateTtl, ttl.to_bytes()));
    // The tree reads the limits below /zookeeper/quota.
    for (name, data) in
        [("", None), (HOME, None), ("/h/zookeeper_limits", Some("count=9,bytes=99"))]
    {
        let quota = CreateRequest {
            path: format!("/zookeeper/quota{name}"),
            data: data.map(|text| text.into()),
            acl: Some(open()),
            flags: 0,
        };
        requests.push((OpCode::Create, quota.to_bytes()));
    }
    requests
}

fn reads() -> Vec<(OpCode, Vec<u8>)> {
    let (path, watch) = (home("/a"), true);
    vec![
        (OpCode::Exists, ExistsRequest { path: home("/nope"), watch }.to_bytes()),
        (OpCode::GetData, GetDataRequest { path: path.clone(), watch }.to_bytes()),
        (OpCode::GetAcl, GetACLRequest { path: path.clone() }.to_bytes()),
        (OpCode::GetChildren, GetChildrenRequest { path: path.clone(), watch }.to_bytes()),
        (OpCode::GetChildren2, GetChildren2Request { path: "/".into(), watch: false }.to_bytes()),
        (OpCode::Sync, SyncRequest { path: path.clone() }.to_bytes()),
        (OpCode::Ping, Vec::new()),
        (OpCode::GetEphemerals, GetEphemeralsRequest { prefix_path: Some(home("")) }.to_bytes()),
        (OpCode::GetEphemerals, GetEphemeralsRequest { prefix_path: None }.to_bytes()),
        (OpCode::GetAllChildrenNumber, GetAllChildrenNumberRequest { path }.to_bytes()),
        (OpCode::WhoAmI, Vec::new()),
        (OpCode::Notification, GetMaxChildrenRequest { path: home("") }.to_bytes()),
    ]
}

fn watches() -> Vec<(OpCode, Vec<u8>)> {
    let path = home("/a");
    let paths = || vec![home("/a"), home("/nope"), "/".to_owned()];
    let old = SetWatches {
        relative_zxid: Zxid(1),
        data_watches: paths(),
        exist_watches: paths(),
        child_watches: paths(),
    };
    let new = SetWatches2 {
        relative_zxid: Zxid(0),
        data_watches: paths(),
        exist_watches: Vec::new(),
        child_watches: paths(),
        persistent_watches: paths(),
        persistent_recursive_watches: paths(),
    };
    let mut requests =
        vec![(OpCode::SetWatches, old.to_bytes()), (OpCode::SetWatches2, new.to_bytes())];
    for mode in 0..=1 {
        let request = AddWatchRequest { path: path.clone(), mode };
        requests.push((OpCode::AddWatch, request.to_bytes()));
    }
    for r#type in 1..=5 {
        let check = CheckWatchesRequest { path: path.clone(), r#type };
        requests.push((OpCode::CheckWatches, check.to_bytes()));
        let remove = RemoveWatchesRequest { path: path.clone(), r#type };
        requests.push((OpCode::RemoveWatches, remove.to_bytes()));
    }
    requests
}

fn multis() -> Vec<(OpCode, Vec<u8>)> {
    let open = ids::open_acl_unsafe;
    let writes = vec![
        Op::create(home("/m"), Some(vec![1]), open(), CreateMode::Persistent),
        Op::create(home("/m/c"), None, open(), CreateMode::Container),
        Op::create(home("/m/s-"), None, open(), CreateMode::EphemeralSequential),
        Op::create_ttl(home("/m/t"), None, open(), CreateMode::PersistentWithTtl, 50).unwrap(),
        Op::set_data(home("/m"), Some(vec![2; 40]), 0),
        Op::check(home("/m"), 1),
        Op::delete(home("/m/c"), -1),
    ];
    let failing = vec![Op::set_data(home("/a"), None, -1), Op::check(home("/nope"), 0)];
    let reads = vec![Op::get_data(home("/a")), Op::get_children(home("")), Op::get_data("/nope")];
    [writes, failing, reads, Vec::new()]
        .into_iter()
        .map(|ops| {
            let record = MultiOperationRecord::new(ops).unwrap();
            (record.op_code(), record.to_bytes())
        })
        .collect()
}

fn others() -> Vec<(OpCode, Vec<u8>)> {
    let auth = |scheme: &str, auth: &str| AuthPacket {
        r#type: 0,
        scheme: scheme.into(),
        auth: Some(auth.into()),
    };
    let reconfig = ReconfigRequest {
        joining_servers: Some("server.4=h:1:2;3".into()),
        leaving_servers: None,
        new_members: None,
        cur_config_id: -1,
    };
    vec![
        (
            OpCode::SetData,
            SetDataRequest { path: home("/a"), data: Some(vec![9; 100]), version: -1 }.to_bytes(),
        ),
        (OpCode::SetData, SetDataRequest { path: home("/a"), data: None, version: 0 }.to_bytes()),
        (OpCode::Delete, DeleteRequest { path: home("/a/b"), version: -1 }.to_bytes()),
        (OpCode::Delete, DeleteRequest { path: home("/m"), version: -1 }.to_bytes()),
        (
            OpCode::SetAcl,
            SetACLRequest { path: home("/a"), acl: Some(ids::open_acl_unsafe()), version: -1 }
                .to_bytes(),
        ),
        (
            OpCode::SetAcl,
            SetACLRequest { path: home("/s"), acl: Some(acl("ip", "::1", 31)), version: 0 }
                .to_bytes(),
        ),
        (OpCode::Check, CheckVersionRequest { path: home("/a"), version: -1 }.to_bytes()),
        (OpCode::Reconfig, reconfig.to_bytes()),
        (OpCode::DeleteContainer, GetACLRequest { path: home("/c") }.to_bytes()),
        (OpCode::Auth, auth("digest", "bob:secret").to_bytes()),
        (OpCode::Auth, auth("ip", "").to_bytes()),
        (OpCode::Auth, auth("nonsense", "x").to_bytes()),
        (OpCode::Sasl, GetSASLRequest { token: Some(vec![1; 20]) }.to_bytes()),
        (OpCode::CreateSession, 30_000_i32.to_be_bytes().to_vec()),
        (OpCode::CloseSession, Vec::new()),
        (OpCode::Error, (-101_i32).to_be_bytes().to_vec()),
    ]
}

/// Requests of every operation, as frames without their length.
pub fn requests() -> Vec<Vec<u8>> {
    let all = [creates(), reads(), watches(), multis(), others()].concat();
    for op in OpCode::ALL {
        assert!(all.iter().any(|(of, _)| of == op), "there is no request of {op:?}");
    }
    (1..).zip(all).map(|(xid, (op, payload))| frame(xid, op, &payload)).collect()
}
