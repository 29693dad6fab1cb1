//! Finds the numbers of nodes by the hash of their path (no Java twin).
//!
//! Open addressing with linear probing over words that contain a hash and a number. A lookup reads one cache line
//! before it reads the node; a table of tags and entries would read two. Growing reads and writes memory in order
//! and does not need the nodes. The index consists of shards that grow one by one and by a quarter: even with ten
//! million nodes no single growth takes long, and little memory is unused.

use crate::server::data_node::NodeId;

/// Shards, chosen by the highest bits of the hash.
const SHARDS: usize = 64;
const SHARD_BITS: u32 = SHARDS.trailing_zeros();
const _: () = assert!(SHARDS.is_power_of_two());

/// The number of words in a shard that has just got its first number.
const FIRST_WORDS: usize = 8;

/// A shard with fewer words than this doubles when it grows.
const DOUBLES_UP_TO: usize = 512;

/// No number. A used word is never 0.
const EMPTY: u64 = 0;

/// The index.
#[derive(Debug)]
pub(super) struct PathIndex {
    shards: Box<[Shard]>,
}

#[derive(Debug, Default)]
struct Shard {
    words: Box<[u64]>,
    used: usize,
}

fn word(hash: u32, id: NodeId) -> u64 {
    u64::from(hash) << u32::BITS | (u64::from(id.0) + 1)
}

#[expect(clippy::cast_possible_truncation, reason = "the two halves of a word")]
fn parts(word: u64) -> (u32, NodeId) {
    ((word >> u32::BITS) as u32, NodeId((word as u32).wrapping_sub(1)))
}

fn shard_of(hash: u32) -> usize {
    (hash >> (u32::BITS - SHARD_BITS)) as usize
}

impl PathIndex {
    pub(super) fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| Shard::default()).collect() }
    }

    /// The first number with this hash for which `is_it` returns true.
    #[inline]
    pub(super) fn find(&self, hash: u32, is_it: impl Fn(NodeId) -> bool) -> Option<NodeId> {
        let words = &self.shards[shard_of(hash)].words;
        let mut at = home(hash, words.len());
        loop {
            let word = *words.get(at)?; // a shard without words
            if word == EMPTY {
                return None;
            }
            let (other, id) = parts(word);
            if other == hash && is_it(id) {
                return Some(id);
            }
            at = behind(at, words.len());
        }
    }

    /// Adds a number.
    pub(super) fn insert(&mut self, hash: u32, id: NodeId) {
        let shard = &mut self.shards[shard_of(hash)];
        shard.make_room_for(shard.used + 1);
        put(&mut shard.words, hash, word(hash, id));
        shard.used += 1;
    }

    /// Adds many numbers at once, shard by shard, so that memory is not accessed at random. A number that is the
    /// same as an existing one is not added, but returned with the existing one before it.
    pub(super) fn extend(
        &mut self,
        added: impl Iterator<Item = (u32, NodeId)>,
        is_same: impl Fn(NodeId, NodeId) -> bool,
    ) -> Vec<(NodeId, NodeId)> {
        let mut by_shard: Vec<Vec<u64>> = vec![Vec::new(); SHARDS];
        added.for_each(|(hash, id)| by_shard[shard_of(hash)].push(word(hash, id)));
        let mut twice = Vec::new();
        for (shard, added) in self.shards.iter_mut().zip(by_shard) {
            shard.make_room_for(shard.used + added.len());
            for word in added {
                let (hash, id) = parts(word);
                let mut at = home(hash, shard.words.len());
                let there = loop {
                    let (other, there) = parts(shard.words[at]);
                    if shard.words[at] == EMPTY {
                        break None;
                    }
                    if other == hash && is_same(there, id) {
                        break Some(there);
                    }
                    at = behind(at, shard.words.len());
                };
                match there {
                    Some(there) => twice.push((there, id)),
                    None => {
                        shard.words[at] = word;
                        shard.used += 1;
                    }
                }
            }
        }
        twice
    }

    /// Removes a number.
    ///
    /// # Panics
    /// When the index does not contain it.
    pub(super) fn remove(&mut self, hash: u32, id: NodeId) {
        let shard = &mut self.shards[shard_of(hash)];
        let (words, removed) = (&mut shard.words, word(hash, id));
        let mut gap = home(hash, words.len());
        while words[gap] != removed {
            assert!(words[gap] != EMPTY, "a node that is removed is in the index");
            gap = behind(gap, words.len());
        }
        // An entry that a search would no longer find beyond the gap moves into it.
        let mut at = gap;
        loop {
            at = behind(at, words.len());
            if words[at] == EMPTY {
                break;
            }
            let home = home(parts(words[at]).0, words.len());
            let is_between =
                if gap < at { gap < home && home <= at } else { gap < home || home <= at };
            if !is_between {
                words[gap] = words[at];
                gap = at;
            }
        }
        words[gap] = EMPTY;
        shard.used -= 1;
    }
}

impl Shard {
    /// Makes sure that at most four fifths of the words are used. A search then reads three words on average.
    fn make_room_for(&mut self, numbers: usize) {
        let len = self.words.len();
        let needed = numbers + numbers.div_ceil(4);
        if needed <= len {
            return;
        }
        let step = if len < DOUBLES_UP_TO { (2 * len).max(FIRST_WORDS) } else { len + len / 4 };
        let mut words = vec![EMPTY; step.max(needed)].into_boxed_slice();
        for word in self.words.iter().copied().filter(|word| *word != EMPTY) {
            put(&mut words, parts(word).0, word);
        }
        self.words = words;
    }
}

/// The preferred position of a hash: the bits that do not choose the shard, as a fraction of the length. So words
/// are stored almost in the order of their hashes.
#[inline]
fn home(hash: u32, len: usize) -> usize {
    ((u64::from(hash << SHARD_BITS) * len as u64) >> u32::BITS) as usize
}

#[inline]
fn behind(at: usize, len: usize) -> usize {
    if at + 1 == len { 0 } else { at + 1 }
}

fn put(words: &mut [u64], hash: u32, word: u64) {
    let mut at = home(hash, words.len());
    while words[at] != EMPTY {
        at = behind(at, words.len());
    }
    words[at] = word;
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn what_was_added_is_found_until_it_is_removed() {
        // Few different hashes, some at the end of a shard, so that chains are long and wrap around.
        let mut state = 88_172_645_463_325_252_u64;
        let mut random = |limit: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            u32::try_from(state % limit).unwrap()
        };
        let mut index = PathIndex::new();
        let mut model = BTreeMap::new();
        for id in 0..50_000 {
            let hash = u32::MAX - random(300) * 0x0010_0001;
            index.insert(hash, NodeId(id));
            model.insert(id, hash);
            if random(10) < 9 {
                let from = model.range(random(u64::from(id) + 1)..).next();
                let (id, hash) = from.map(|(id, hash)| (*id, *hash)).unwrap();
                index.remove(hash, NodeId(id));
                model.remove(&id);
                assert_eq!(index.find(hash, |found| found == NodeId(id)), None);
            }
        }
        for (id, hash) in &model {
            let id = NodeId(*id);
            assert_eq!(index.find(*hash, |found| found == id), Some(id));
        }
        let used: usize = index.shards.iter().map(|shard| shard.used).sum();
        assert_eq!(used, model.len());
        for (id, hash) in &model {
            index.remove(*hash, NodeId(*id));
        }
        assert!(index.shards.iter().all(|shard| shard.words.iter().all(|word| *word == EMPTY)));
    }

    #[test]
    fn many_are_added_at_once_and_what_is_there_already_is_reported() {
        let mut index = PathIndex::new();
        let hash = |id: u32| (id % 1000).wrapping_mul(0x9e37_79b9);
        index.insert(hash(5), NodeId(5));
        // Ids whose distance is 2000 are the same. Ids whose distance is 1000 only have the same hash.
        let is_same = |there: NodeId, id: NodeId| there.0 % 2000 == id.0 % 2000;
        let added = (0..4000).filter(|id| *id != 5).map(|id| (hash(id), NodeId(id)));
        let twice = index.extend(added, is_same);
        assert_eq!(twice.len(), 2000);
        assert!(twice.iter().all(|(there, id)| there.0 < 2000 && id.0 == there.0 + 2000));
        for id in (0..2000).map(NodeId) {
            assert_eq!(index.find(hash(id.0), |found| found == id), Some(id));
        }
        assert_eq!(index.shards.iter().map(|shard| shard.used).sum::<usize>(), 2000);
        assert!(index.shards.iter().all(|shard| shard.used * 5 <= shard.words.len() * 4));
    }

    #[test]
    fn an_empty_index_finds_nothing_and_takes_no_memory() {
        let index = PathIndex::new();
        assert_eq!(index.find(7, |_| true), None);
        assert!(index.shards.iter().all(|shard| shard.words.is_empty()));
    }

    #[test]
    fn no_shard_is_fuller_than_four_fifths() {
        let mut index = PathIndex::new();
        for id in 0..100_000_u32 {
            index.insert(id.wrapping_mul(0x9e37_79b9), NodeId(id));
        }
        for shard in &index.shards {
            assert!(shard.used * 5 <= shard.words.len() * 4);
            assert!(shard.used * 10 >= shard.words.len() * 6, "and none much emptier");
        }
    }
}
