//! The bounds on what clients can make a server keep in memory: answers for which a few bytes ask, answers that
//! nobody reads, and incomplete requests (no Java twin: a Java server's heap is its bound, and a full heap its end).
//!
//! The tests read the memory of the process from outside. They allow so much slack that neither the allocator nor a
//! slow machine makes a difference. Without the bounds, each of these cases takes several times as much.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]

#[macro_use]
mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use common::{Client, DEADLINE, RawConnection, Server, ServerBuilder, wait_for, wait_until};
use socket2::{Domain, Socket, Type};
use zookeeper_server::create_mode::CreateMode;
use zookeeper_server::internals::common::time;
use zookeeper_server::internals::jute::Record;
use zookeeper_server::internals::multi_operation_record::MultiOperationRecord;
use zookeeper_server::internals::multi_response::MultiResponse;
use zookeeper_server::internals::proto::{
    ExistsRequest, GetAllChildrenNumberRequest, GetDataRequest, SetDataRequest, SetWatches,
};
use zookeeper_server::keeper_exception::KeeperError;
use zookeeper_server::op::Op;
use zookeeper_server::op_result::OpResult;
use zookeeper_server::zoo_defs::{OpCode, ids};

const MIB: usize = 1 << 20;

/// How late the answer to an honest client may be on a busy machine.
const LATE: Duration = Duration::from_secs(5);

/// Creates a node of nearly a megabyte.
fn create_large(client: &Client) -> Vec<u8> {
    let data = vec![b'x'; 1_000_000];
    client.create("/large", Some(&data), ids::open_acl_unsafe(), CreateMode::Persistent).unwrap();
    data
}

fn get_data(path: &str) -> GetDataRequest {
    GetDataRequest { path: path.into(), watch: false }
}

fn multi_read(reads: usize) -> MultiOperationRecord {
    MultiOperationRecord::new((0..reads).map(|_| Op::get_data("/large")).collect()).unwrap()
}

/// A connection with a session whose socket buffers almost nothing until it is read.
fn slow_reader(server: &Server) -> RawConnection {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&SocketAddr::from(([127, 0, 0, 1], server.client_port())).into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut raw = RawConnection { stream };
    raw.new_session();
    raw
}

/// Sends bytes; false if the server has closed the connection, or does not read for a moment.
fn try_send(raw: &mut RawConnection, bytes: &[u8]) -> bool {
    raw.stream.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    raw.stream.write_all(bytes).is_ok()
}

fn frame(xid: i32, op: OpCode, payload: &[u8]) -> Vec<u8> {
    let len = i32::try_from(8 + payload.len()).unwrap();
    [&len.to_be_bytes(), &xid.to_be_bytes(), &op.code().to_be_bytes(), payload].concat()
}

/// Runs `attack` while a client writes. Returns the time of the slowest write.
fn longest_write_during(server: &Server, attack: impl FnOnce()) -> Duration {
    let client = server.client();
    client.create("/w", None, ids::open_acl_unsafe(), CreateMode::Persistent).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut longest = Duration::ZERO;
            while !done.load(Ordering::Relaxed) {
                let start = time::now();
                client.set_data("/w", Some(b"x"), -1).unwrap();
                longest = longest.max(time::now() - start);
            }
            longest
        });
        let ends_the_writer = Done(&done);
        attack();
        drop(ends_the_writer);
        writer.join().unwrap()
    })
}

/// Stops the writer when it is dropped, also when the test fails.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A connection with a session that outlives a slow test.
fn patient(server: &Server) -> RawConnection {
    let mut raw = server.raw();
    raw.new_session_for(600_000);
    raw
}

/// A read that takes long is not answered by the thread that answers short ones, nor by that which applies writes.
#[track_caller]
fn long_reads_keep_their_place(properties: &[(&str, &str)]) {
    let mut builder = ServerBuilder::new();
    for (key, value) in properties {
        builder = builder.property(key, value);
    }
    let server = builder.start();
    let client = server.client();
    create_large(&client);
    client.create("/n", None, ids::open_acl_unsafe(), CreateMode::Persistent).unwrap();
    let root = GetAllChildrenNumberRequest { path: "/".into() }.to_bytes();
    let node = get_data("/n").to_bytes();
    let mut raw = server.raw();
    raw.new_session();
    let rounds = 8;
    for round in 0..rounds {
        let set = SetDataRequest { path: "/n".into(), data: Some(vec![round]), version: -1 };
        let mut requests = vec![
            (OpCode::SetData, set.to_bytes()),
            (OpCode::MultiRead, multi_read(3).to_bytes()),
            (OpCode::GetData, node.clone()),
            (OpCode::GetAllChildrenNumber, root.clone()),
        ];
        if round % 2 == 0 {
            // Behind a short read, so that nothing is under way.
            requests.rotate_left(1);
        }
        for (at, (op, body)) in requests.into_iter().enumerate() {
            raw.send_request(
                i32::from(round) * 4 + i32::try_from(at).unwrap() + 1,
                op.code(),
                &body,
            );
        }
    }
    for round in 0..rounds {
        let mut kinds =
            [OpCode::SetData, OpCode::MultiRead, OpCode::GetData, OpCode::GetAllChildrenNumber];
        if round % 2 == 0 {
            kinds.rotate_left(1);
        }
        for (at, op) in kinds.into_iter().enumerate() {
            let (header, body) = raw.receive_reply().unwrap();
            let xid = i32::from(round) * 4 + i32::try_from(at).unwrap() + 1;
            assert_eq!((header.xid, header.err), (xid, 0), "{properties:?}, {op:?}");
            match op {
                OpCode::MultiRead => assert!(body.len() > 3_000_000),
                // The value of the write before it: in even rounds, the write of the round comes later.
                OpCode::GetData if round > 0 => {
                    assert_eq!(body[..5], [0, 0, 0, 1, round - u8::from(round % 2 == 0)]);
                }
                _ => {}
            }
        }
    }
}

#[test]
fn long_reads_keep_their_place_whoever_reads() {
    let none = ("zookeeper.nio.maxReaderThreads", "0");
    long_reads_keep_their_place(&[("zookeeper.nio.maxReaderThreads", "4")]);
    long_reads_keep_their_place(&[none]);
    long_reads_keep_their_place(&[none, ("zookeeper.nio.numWorkerThreads", "2")]);
}

#[test]
fn a_multi_read_of_gigabytes_is_refused_and_writes_go_on() {
    let server = Server::start();
    let data = create_large(&server.client());
    let before = server.resident_mib();
    let mut raw = server.raw();
    raw.new_session();
    let longest = longest_write_during(&server, || {
        for xid in 1..=20 {
            let (header, body) = raw.ask(xid, OpCode::MultiRead, &multi_read(2000));
            assert_eq!((header.err, body.len()), (KeeperError::MarshallingError.code(), 0));
        }
    });
    assert!(longest < LATE, "a write took {longest:?}");
    let grown = server.peak_mib() - before;
    assert!(grown < 64, "{grown} MiB for answers that were not given");

    let (header, body) = raw.ask(21, OpCode::MultiRead, &multi_read(30));
    assert_eq!(header.err, 0, "a long answer within the limit is given");
    let (response, _) = common::decode::<MultiResponse>(&body);
    let read = |result: &OpResult| matches!(result, OpResult::GetData { data: Some(read), .. } if *read == data);
    assert!(response.results.len() == 30 && response.results.iter().all(read));
    drop(raw);
    wait_until("the memory is given back", DEADLINE, || server.resident_mib() < before + 64);
}

/// The limit for answers is 16 MiB. 200 clients ask for 800 MB and read nothing.
#[test]
fn answers_that_nobody_reads_have_a_bound_and_who_reads_gets_his() {
    let server = ServerBuilder::new()
        .config("maxClientCnxns=0")
        .property("zookeeper.maxResponseBytes", "2097152")
        .property("zookeeper.globalUnsentBytesLimit", "16777216")
        .start();
    let client = server.client();
    let data = create_large(&client);
    let mut slow: Vec<RawConnection> = (0..200).map(|_| slow_reader(&server)).collect();
    let before = server.resident_mib();
    for raw in &mut slow {
        for xid in 1..=4 {
            let request = frame(xid, OpCode::GetData, &get_data("/large").to_bytes());
            let _closed_meanwhile = try_send(raw, &request);
        }
    }
    for _ in 0..5 {
        let start = time::now();
        assert!(client.get_data("/large", false).unwrap().0 == Some(data.clone()));
        assert!(client.exists("/large", false).unwrap().is_some());
        let took = time::now() - start;
        assert!(took < LATE, "who reads waited {took:?}");
    }
    let grown = server.peak_mib() - before;
    assert!(grown < 100, "{grown} MiB for answers that nobody reads");
    let log = server.log();
    assert!(log.contains("others need the memory that it keeps"), "{log}");
    drop(slow);
    wait_until("the memory is given back", DEADLINE, || server.resident_mib() < before + 50);
}

/// Long answers of many lengths, behind short ones and behind each other. What they took goes back to the system, also if
/// the C library could use it again.
#[test]
fn long_answers_leave_nothing_behind() {
    let server = Server::start();
    create_large(&server.client());
    let before = server.resident_mib();
    std::thread::scope(|scope| {
        for reader in 0..6 {
            let mut raw = server.raw();
            raw.new_session();
            scope.spawn(move || {
                for round in 0..4 {
                    let long = multi_read(4 + 5 * ((reader + round) % 6)).to_bytes();
                    raw.send_request(1, OpCode::GetData.code(), &get_data("/").to_bytes());
                    raw.send_request(2, OpCode::MultiRead.code(), &long);
                    raw.send_request(3, OpCode::MultiRead.code(), &long);
                    for xid in 1..=3 {
                        assert_eq!(raw.receive_reply().unwrap().0.xid, xid);
                    }
                }
            });
        }
    });
    assert!(server.peak_mib() > before + 30, "the answers are long");
    wait_until("the memory is given back", DEADLINE, || server.resident_mib() < before + 16);
}

/// A client that reads slowly gets all of a long answer.
#[test]
fn a_long_answer_that_is_read_slowly_arrives_whole() {
    let server = Server::start();
    create_large(&server.client());
    let mut raw = slow_reader(&server);
    raw.send_request(1, OpCode::MultiRead.code(), &multi_read(10).to_bytes());
    let mut bytes = vec![0; 64 << 10];
    let mut len = 0;
    let mut wanted = usize::MAX;
    while len < wanted {
        let n = raw.stream.read(&mut bytes).unwrap();
        assert!(n > 0, "the connection ends after {len} bytes");
        if len == 0 {
            wanted =
                4 + usize::try_from(u32::from_be_bytes(bytes[..4].try_into().unwrap())).unwrap();
        }
        len += n;
    }
    assert!(len == wanted && wanted > 10_000_000, "{len} of {wanted}");
}

/// The limit for requests is 16 MiB. 100 clients send 90 MB of requests and never complete them.
#[test]
fn requests_that_are_half_here_have_a_bound_and_whole_ones_get_in() {
    let server = ServerBuilder::new()
        .config("maxClientCnxns=0")
        .property("zookeeper.globalOutstandingBytesLimit", "16777216")
        .start();
    let client = server.client();
    create_large(&client);
    let mut raws: Vec<RawConnection> = (0..100)
        .map(|_| {
            let mut raw = server.raw();
            raw.new_session();
            raw
        })
        .collect();
    let before = server.resident_mib();
    let half = &frame(1, OpCode::Exists, &vec![0; 1_000_000])[..900_000];
    for raw in &mut raws {
        let _the_server_does_not_read_on = try_send(raw, half);
    }
    let start = time::now();
    client.set_data("/large", Some(&vec![b'y'; 900_000]), -1).unwrap();
    let took = time::now() - start;
    assert!(took < LATE, "a whole request waited {took:?}");
    let grown = server.peak_mib() - before;
    assert!(grown < 64, "{grown} MiB for half requests");
    drop(raws);
    wait_until("the memory is given back", DEADLINE, || server.resident_mib() < before + 50);
}

/// Requests of many lengths are half here, and small sessions begin between them. When the connections are closed, what
/// they took goes back to the system, although the sessions stay.
#[test]
fn long_requests_leave_no_holes_behind() {
    let server = ServerBuilder::new().config("maxClientCnxns=0").start();
    let before = server.resident_mib();
    let mut sessions = Vec::new();
    for round in 0..4 {
        let mut half: Vec<RawConnection> = Vec::new();
        for at in 0..60_usize {
            let mut raw = server.raw();
            raw.new_session();
            let path = format!("/{}", "x".repeat(500_000 + 7_000 * ((at + round) % 60)));
            let request =
                frame(1, OpCode::Exists, &ExistsRequest { path, watch: false }.to_bytes());
            assert!(try_send(&mut raw, &request[..request.len() - 1]));
            half.push(raw);
            let mut session = server.raw();
            session.new_session();
            sessions.push(session);
        }
        wait_until("the requests are half here", DEADLINE, || server.resident_mib() > before + 30);
        drop(half);
        wait_until("the memory is given back", DEADLINE, || server.resident_mib() < before + 16);
    }
}

/// After a long request, a connection keeps no long buffer.
#[test]
fn a_long_request_leaves_nothing_behind() {
    let server = ServerBuilder::new().config("maxClientCnxns=0").start();
    let before = server.resident_mib();
    let request = ExistsRequest { path: format!("/{}", "x".repeat(900_000)), watch: false };
    let raws: Vec<RawConnection> = (0..100)
        .map(|_| {
            let mut raw = server.raw();
            raw.new_session();
            let (header, _) = raw.ask(1, OpCode::Exists, &request);
            assert_eq!(header.err, KeeperError::NoNode.code());
            raw
        })
        .collect();
    wait_until("the memory is given back", DEADLINE, || server.resident_mib() < before + 50);
    drop(raws);
}

/// A persistent watch costs one request. After that, everybody's writes cause events.
#[test]
fn events_that_nobody_reads_have_a_bound() {
    let server = ServerBuilder::new()
        .config("maxClientCnxns=0")
        .property("zookeeper.maxResponseBytes", "1048576")
        .property("zookeeper.globalUnsentBytesLimit", "8388608")
        .start();
    let client = server.client();
    let path = format!("/{}", "p".repeat(50_000));
    client.create(&path, None, ids::open_acl_unsafe(), CreateMode::Persistent).unwrap();
    let mut slow: Vec<RawConnection> = (0..20).map(|_| slow_reader(&server)).collect();
    for raw in &mut slow {
        let watch =
            zookeeper_server::internals::proto::AddWatchRequest { path: path.clone(), mode: 0 };
        assert_eq!(raw.ask(1, OpCode::AddWatch, &watch).0.err, 0);
    }
    let before = server.resident_mib();
    // These writes cause 200 MB of events.
    for _ in 0..200 {
        client.set_data(&path, None, -1).unwrap();
    }
    let grown = server.peak_mib() - before;
    assert!(grown < 100, "{grown} MiB of events that nobody reads");
    drop(slow);
}

/// Many clients ask at once for four-letter words and admin commands about many watches.
#[test]
fn reports_for_many_at_once_cost_as_much_as_one_and_writes_go_on() {
    const WATCHES: usize = 10_000;
    let server = ServerBuilder::new()
        .config("maxClientCnxns=0")
        .config("maxSessionTimeout=600000")
        .admin_server()
        .start();
    let mut raw = patient(&server);
    for part in 0..WATCHES / 1000 {
        let path = |n| format!("/watched/{}/{:07}", "p".repeat(60), part * 1000 + n);
        let exist_watches = (0..1000).map(path).collect();
        let watches = SetWatches { exist_watches, ..SetWatches::default() };
        assert_eq!(raw.ask(-8, OpCode::SetWatches, &watches).0.err, 0);
    }
    let before = server.resident_mib();
    let ask_admin = |command: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", server.admin_port())).unwrap();
        write!(stream, "GET /commands/{command} HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let longest = longest_write_during(&server, || {
        for command in ["wchp", "wchc", "watches_by_path", "watches"] {
            let ask = || match command.len() {
                4 => server.wait_four_letter_word(command),
                _ => ask_admin(command),
            };
            thread::scope(|scope| {
                let asked: Vec<_> = (0..10).map(|_| scope.spawn(ask)).collect();
                for answer in asked {
                    let paths = answer.join().unwrap().matches("/watched/").count();
                    assert_eq!(paths, WATCHES, "{command}");
                }
            });
        }
    });
    assert!(longest < LATE, "a write took {longest:?}");
    let grown = server.peak_mib() - before;
    assert!(grown < 150, "{grown} MiB for reports");
}

/// Reports that nobody reads do not keep others from getting theirs.
#[test]
fn reports_that_nobody_reads_have_a_bound() {
    let server = ServerBuilder::new()
        .config("maxClientCnxns=0")
        .config("maxSessionTimeout=600000")
        .property("zookeeper.maxResponseBytes", "1048576")
        .property("zookeeper.globalUnsentBytesLimit", "8388608")
        .start();
    let mut raw = patient(&server);
    for part in 0..20 {
        let path = |n| format!("/watched/{}/{:07}", "p".repeat(400), part * 1000 + n);
        let watches =
            SetWatches { exist_watches: (0..1000).map(path).collect(), ..SetWatches::default() };
        assert_eq!(raw.ask(-8, OpCode::SetWatches, &watches).0.err, 0);
    }
    let before = server.resident_mib();
    // Each report has 8 MB.
    let slow: Vec<TcpStream> = (0..60)
        .map(|_| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.set_recv_buffer_size(4096).unwrap();
            let address = SocketAddr::from(([127, 0, 0, 1], server.client_port()));
            socket.connect(&address.into()).unwrap();
            let mut stream = TcpStream::from(socket);
            stream.write_all(b"wchp").unwrap();
            stream
        })
        .collect();
    let report = wait_for(DEADLINE, || {
        server.four_letter_word("wchp").filter(|report| report.len() > 8 * MIB)
    });
    assert!(report.is_some(), "an honest reader gets his report");
    let grown = server.peak_mib() - before;
    assert!(grown < 200, "{grown} MiB for reports that nobody reads");
    drop(slow);
}
