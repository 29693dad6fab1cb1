//! Bytes a node and nanoseconds an operation of the data tree (no Java twin).
//!
//! `cargo bench --bench data_tree [-- nodes [data bytes [loads]]]`; a million nodes of 100 bytes
//! when nothing is said. Figures are printed, never asserted.

#![expect(clippy::print_stdout, reason = "figures are what it is for")]
#![expect(clippy::unwrap_used, reason = "a benchmark that fails shall stop")]

use std::fs;
use std::hint::black_box;
use std::io::BufReader;
use std::sync::Arc;

use zookeeper_server::ids::{SessionId, Zxid};
use zookeeper_server::internals::common::time::now;
use zookeeper_server::internals::jute::{BinaryInputArchive, Limits};
use zookeeper_server::internals::server::data_tree::{
    DataTree, DataTreeConfig, DataTreeParts, SnapshotCursor,
};
use zookeeper_server::internals::server::server_metrics::ServerMetrics;
use zookeeper_server::internals::server::util::serialize_utils::TxnBody;
use zookeeper_server::internals::server::watch::WatchManager;
use zookeeper_server::internals::txn::{CreateTxn, DeleteTxn, SetDataTxn, TxnHeader};
use zookeeper_server::zoo_defs::{OpCode, ids};

/// Nodes below one parent.
const FAN_OUT: usize = 10_000;

/// Memory of this process that is in use now, in bytes.
fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let kib: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}

struct Bench {
    tree: DataTree,
    zxid: i64,
    longest_ns: u128,
}

impl Bench {
    fn new() -> Self {
        Self { tree: new_tree(), zxid: 0, longest_ns: 0 }
    }

    fn apply(&mut self, op: OpCode, txn: TxnBody) {
        self.zxid += 1;
        let header = TxnHeader {
            client_id: SessionId(1),
            cxid: 1,
            zxid: Zxid(self.zxid),
            time: 1_700_000_000_000 + self.zxid,
            r#type: op.code(),
        };
        let started_at = now();
        black_box(self.tree.process_txn(&header, Some(txn)));
        self.longest_ns = self.longest_ns.max(started_at.elapsed().as_nanos());
    }

    fn create(&mut self, path: String, data: Vec<u8>, number: usize) {
        let txn = CreateTxn {
            path,
            data: Some(data),
            acl: ids::open_acl_unsafe(),
            ephemeral: false,
            parent_c_version: i32::try_from(number % FAN_OUT).unwrap() + 1,
        };
        self.apply(OpCode::Create, TxnBody::Create(txn));
    }
}

fn new_tree() -> DataTree {
    let watches = || Arc::new(WatchManager::new(ServerMetrics::null()));
    DataTree::new(DataTreeConfig::default(), DataTreeParts::new(watches(), watches()))
}

fn parent(number: usize) -> String {
    format!("/bench{:04}", number / FAN_OUT)
}

/// 20 characters, as `/bench0012/n00123456`.
fn path(number: usize) -> String {
    format!("{}/n{number:08}", parent(number))
}

/// Nanoseconds that this thread has had the processor: what others do on it does not count.
fn cpu_ns() -> u64 {
    let schedstat = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    schedstat.split_whitespace().next().unwrap().parse().unwrap()
}

fn report(what: &str, started: u64, count: usize) {
    let elapsed = cpu_ns() - started;
    let each = elapsed / count.max(1) as u64;
    println!("{what:<30} {each:>6} ns each {:>9.1} ms in all", elapsed as f64 / 1e6);
}

/// All numbers, in an order that no cache likes.
fn shuffled(count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for at in (1..count).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        order.swap(at, usize::try_from(state % (at as u64 + 1)).unwrap());
    }
    order
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter_map(|argument| argument.parse().ok());
    let nodes: usize = arguments.next().unwrap_or(1_000_000);
    let data_len: usize = arguments.next().unwrap_or(100);
    println!("{nodes} nodes, paths of {} bytes, data of {data_len} bytes", path(0).len());
    let paths: Vec<String> = shuffled(nodes).into_iter().map(path).collect();

    let mut bench = create_all(nodes, data_len);
    read_all(&bench.tree, &paths, data_len);
    let snapshot = snapshot(&bench.tree, nodes * (data_len + 110));
    change_all(&mut bench, &paths, data_len);
    drop(bench);

    for _ in 0..arguments.next().unwrap_or(1) {
        let mut tree = new_tree();
        let input = BufReader::with_capacity(64 * 1024, &snapshot[..]);
        let started = cpu_ns();
        tree.deserialize(&mut BinaryInputArchive::new(input, Limits::default())).unwrap();
        report("load of the snapshot", started, nodes);
        black_box(tree.node_count());
    }
}

fn create_all(nodes: usize, data_len: usize) -> Bench {
    let before = resident();
    let mut bench = Bench::new();
    let started = cpu_ns();
    for number in 0..nodes {
        if number % FAN_OUT == 0 {
            let path = parent(number);
            let txn = CreateTxn { path, parent_c_version: -1, ..CreateTxn::default() };
            bench.apply(OpCode::Create, TxnBody::Create(txn));
        }
        bench.create(path(number), vec![b'd'; data_len], number);
    }
    report("create", started, nodes);
    println!("{:<30} {:>6} us", "longest create", bench.longest_ns / 1000);
    let used = resident() - before;
    let mib = used as f64 / 1_048_576.0;
    println!("{:<30} {:>6} bytes each {mib:>6.1} MiB in all", "memory", used / nodes);
    bench
}

fn read_all(tree: &DataTree, paths: &[String], data_len: usize) {
    let nodes = paths.len();
    let started = cpu_ns();
    let found = paths.iter().filter(|path| tree.node(path).is_some()).count();
    report("lookup, random", started, nodes);
    assert_eq!(found, nodes);
    let started = cpu_ns();
    let bytes: usize =
        paths.iter().map(|path| tree.get_data(path, None).unwrap().0.unwrap().len()).sum();
    report("get_data, random", started, nodes);
    assert_eq!(bytes, nodes * data_len);
    let started = cpu_ns();
    black_box(paths.iter().filter(|path| tree.node(&path[1..]).is_some()).count());
    report("lookup of what is not there", started, nodes);
    let started = cpu_ns();
    black_box(tree.node("/bench0000").unwrap().children().map(str::len).sum::<usize>());
    report("children", started, FAN_OUT.min(nodes));
}

fn snapshot(tree: &DataTree, about_bytes: usize) -> Vec<u8> {
    let mut snapshot = Vec::with_capacity(about_bytes);
    let started = cpu_ns();
    let mut cursor = SnapshotCursor::new(tree);
    while cursor.next_chunk(tree, &mut snapshot, 64 * 1024).unwrap() {}
    report("snapshot", started, tree.node_count());
    snapshot
}

fn change_all(bench: &mut Bench, paths: &[String], data_len: usize) {
    let started = cpu_ns();
    for path in paths {
        let data = Some(vec![b'x'; data_len]);
        let txn = SetDataTxn { path: path.clone(), data, version: 1 };
        bench.apply(OpCode::SetData, TxnBody::SetData(txn));
    }
    report("set_data, random", started, paths.len());
    let started = cpu_ns();
    for path in paths {
        bench.apply(OpCode::Delete, TxnBody::Delete(DeleteTxn { path: path.clone() }));
    }
    report("delete, random", started, paths.len());
}
