//! Random histories: trees with the same contents must be equal, whatever their history.

use super::*;

/// Reproducible random numbers (xorshift).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }
}

/// Generates transactions that a leader would accept: parents exist, deleted nodes have no children, and
/// ephemeral nodes have none.
struct Client {
    server: Server,
    random: Random,
}

impl Client {
    fn new(seed: u64) -> Self {
        Self { server: Server::new(), random: Random(seed.wrapping_mul(0x9e37_79b9) | 1) }
    }

    /// An existing node that is not a system node, or the root.
    fn some_node(&mut self) -> String {
        let is_own = |path: &str| !path.starts_with("/zookeeper");
        let nodes = self.server.tree.all_nodes().map(|node| node.path().to_owned());
        let nodes: Vec<String> = nodes.filter(|path| is_own(path)).collect();
        nodes[self.random.below(nodes.len())].clone()
    }

    fn is_leaf(&self, path: &str) -> bool {
        path != "/" && self.server.tree.node(path).is_some_and(|node| node.child_count() == 0)
    }

    /// A path that does not exist, below a node that can have children. There are few names, so that they are
    /// reused.
    fn new_path(&mut self) -> Option<String> {
        let parent = self.some_node();
        let kind = self.server.tree.node(&parent)?.ephemeral_type();
        if kind == EphemeralType::Normal || parent.len() > 12 {
            return None;
        }
        let name = self.random.below(4);
        let path = format!("{}/{name}", parent.trim_end_matches('/'));
        self.server.tree.node(&path).is_none().then_some(path)
    }

    fn acl(&mut self) -> Vec<ACL> {
        match self.random.below(3) {
            0 => ids::open_acl_unsafe(),
            _ => acl_of(&self.random.below(4).to_string()),
        }
    }

    fn session(&mut self) -> SessionId {
        SessionId(100 + self.random.below(3) as i64)
    }

    fn data(&mut self) -> Option<Vec<u8>> {
        let len = self.random.below(8);
        (len != 7).then(|| vec![b'd'; len])
    }

    fn create_txn(&mut self, path: &str, ephemeral: bool) -> CreateTxn {
        let parent_c_version = self.server.parent_c_version(path);
        let (data, acl) = (self.data(), self.acl());
        CreateTxn { path: path.to_owned(), data, acl, ephemeral, parent_c_version }
    }

    /// Applies a transaction that a leader could propose, or none.
    fn step(&mut self) {
        match self.random.below(12) {
            0..=2 => {
                let Some(path) = self.new_path() else { return };
                let ephemeral = self.random.below(2) == 0;
                let txn = self.create_txn(&path, ephemeral);
                let op = if self.random.below(2) == 0 { OpCode::Create } else { OpCode::Create2 };
                let session_id = self.session();
                self.server.apply(op, session_id, Some(TxnBody::Create(txn)));
            }
            3 => {
                let Some(path) = self.new_path() else { return };
                self.server.create_container(&path);
            }
            4 => {
                let Some(path) = self.new_path() else { return };
                self.server.create_ttl(&path, 5);
            }
            5..=6 => {
                let path = self.some_node();
                if self.is_leaf(&path) {
                    self.server.delete(&path);
                }
            }
            7..=8 => {
                let (path, data) = (self.some_node(), self.data());
                self.server.set_data(&path, data.as_deref());
            }
            9 => {
                let (path, acl) = (self.some_node(), self.acl());
                self.server.set_acl(&path, acl);
            }
            10 => {
                let session_id = self.session();
                self.server.close_session(session_id);
            }
            _ => self.multi(),
        }
    }

    /// Deletes a leaf, creates it again, and adds another node.
    fn multi(&mut self) {
        let mut parts = Vec::new();
        let leaf = self.some_node();
        if self.is_leaf(&leaf) {
            parts.push((OpCode::Delete, TxnBody::Delete(DeleteTxn { path: leaf.clone() })));
            let txn = self.create_txn(&leaf, false);
            parts.push((OpCode::Create, TxnBody::Create(txn)));
        }
        if let Some(path) = self.new_path() {
            let mut txn = self.create_txn(&path, false);
            if path.rsplit_once('/').map(|(parent, _)| parent)
                == leaf.rsplit_once('/').map(|(parent, _)| parent)
                && !parts.is_empty()
            {
                txn.parent_c_version += 1;
            }
            parts.push((OpCode::Create2, TxnBody::Create(txn)));
        }
        if self.random.below(4) == 0 {
            parts.push((OpCode::Error, TxnBody::Error(ErrorTxn { err: -101 })));
        }
        self.server.multi(parts);
    }
}

fn loaded(bytes: &[u8], zxid: Zxid) -> DataTree {
    let mut tree = load(bytes, extended()).unwrap();
    tree.set_last_processed_zxid(zxid);
    check_tree(&tree);
    tree
}

fn history(seed: u64, steps: usize) -> Client {
    let mut client = Client::new(seed);
    for _ in 0..steps {
        client.step();
    }
    client
}

#[test]
fn a_random_tree_is_the_same_after_a_snapshot_and_after_a_replay() {
    for seed in 1..=60 {
        let Client { server, .. } = history(seed, 150);
        check_tree(&server.tree);
        let contents = server.tree.contents();

        let mut bytes = Vec::new();
        server.tree.serialize(&mut bytes);
        let restored = loaded(&bytes, server.tree.last_processed_zxid());
        assert_eq!(restored.contents(), contents, "seed {seed}");

        let mut replayed = new_tree(extended());
        server.replay_onto(&mut replayed, Zxid::ZERO);
        assert_eq!(replayed.contents(), contents, "seed {seed}");
        check_tree(&replayed);
    }
}

#[test]
fn replaying_the_end_of_a_log_again_changes_nothing() {
    for seed in 1..=60 {
        let mut client = history(seed, 60);
        let start = client.server.tree.last_processed_zxid();
        for _ in 0..60 {
            client.step();
        }
        let server = &mut client.server;
        let contents = server.tree.contents();
        let log = server.log.clone();
        for (header, txn) in log.iter().filter(|(header, _)| header.zxid > start) {
            server.tree.process_txn(header, txn.clone());
        }
        check_tree(&server.tree);
        assert_eq!(server.tree.contents(), contents, "seed {seed}");
    }
}

/// Takes a snapshot while transactions are applied, loads it, and replays from the zxid at which it started.
fn fuzzy(seed: u64, every: usize) {
    let mut client = history(seed, 80);
    let start = client.server.tree.last_processed_zxid();
    let mut cursor = SnapshotCursor::new(&client.server.tree);
    let mut bytes = Vec::new();
    while cursor.next_chunk(&client.server.tree, &mut bytes, 1).unwrap() {
        for _ in 0..client.random.below(every + 1) {
            client.step();
        }
    }
    let mut digest = Vec::new();
    client.server.tree.serialize_zxid_digest(&mut digest);
    for _ in 0..20 {
        client.step();
    }
    let server = &client.server;
    check_tree(&server.tree);
    let mut tree = loaded(&bytes, start);
    let mut archive = BinaryInputArchive::new(&digest[..], Limits::default());
    assert!(tree.deserialize_zxid_digest(&mut archive, start).unwrap());
    for (header, txn) in server.log.iter().filter(|(header, _)| header.zxid > start) {
        tree.process_txn(header, txn.clone());
        if header.zxid.0 % 8 == 0 {
            check_tree(&tree);
        }
    }
    check_tree(&tree);
    assert_eq!(tree.contents(), server.tree.contents(), "seed {seed}, every {every}");
    assert_eq!(tree.digest_from_loaded_snapshot(), None, "it was reached and compared");
}

#[test]
fn a_fuzzy_snapshot_and_its_log_lead_to_the_same_tree() {
    for seed in 1..=30 {
        for every in [1, 2, 6, 20] {
            fuzzy(seed, every);
        }
    }
}

#[test]
#[ignore = "long: thousands of seeds"]
fn many_fuzzy_snapshots_and_their_logs_lead_to_the_same_trees() {
    for seed in 1_000..4_000 {
        fuzzy(seed, 1 + usize::try_from(seed % 20).unwrap());
    }
}
