//! Stores the bytes of nodes, data and path in one piece (no Java twin).
//!
//! Pieces of about the same length are next to each other in pages. They have no headers and are only rounded up to
//! eight bytes, and short-lived allocations during the creation of nodes leave no gaps between them. With a million
//! small nodes, this takes a fifth less memory than the allocator's own blocks. An empty page is given back. Long
//! pieces come from the allocator. The owner of a piece knows its place and its length.

/// Longer pieces are not stored in pages, in bytes.
const LONGEST: usize = 1024;

/// Lengths are rounded up to a multiple of this, in bytes.
const STEP: usize = 8;

/// The size of a page, in bytes; the number of its blocks is rounded down to a power of two.
const PAGE: usize = 16 * 1024;

/// No block.
const NONE: u16 = u16::MAX;

/// The place of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(u32);

impl Place {
    /// The place of an empty piece.
    pub(super) const EMPTY: Self = Self(0);
}

/// All pieces.
#[derive(Debug)]
pub(super) struct ByteStore {
    /// By length, in steps.
    classes: Vec<Class>,
    long: Vec<Box<[u8]>>,
    free_long: Vec<u32>,
}

/// The pieces of one length.
#[derive(Debug)]
struct Class {
    /// The length, in bytes.
    size: usize,
    /// The number of blocks in a page, as a power of two.
    block_bits: u32,
    pages: Vec<Page>,
    /// The pages that are not full.
    with_room: Vec<u32>,
}

#[derive(Debug)]
struct Page {
    /// The bytes up to the highest block that was ever used.
    bytes: Vec<u8>,
    /// The first free block in `bytes`. A free block begins with the number of the next one.
    free: u16,
    used: u16,
}

impl ByteStore {
    pub(super) fn new() -> Self {
        let classes = (1..=LONGEST / STEP).map(|steps| Class::new(steps * STEP)).collect();
        Self { classes, long: Vec::new(), free_long: Vec::new() }
    }

    /// Stores both, one behind the other. If they are long, the first is extended instead of copied.
    pub(super) fn insert(&mut self, mut first: Vec<u8>, second: &[u8]) -> Place {
        let len = first.len() + second.len();
        if len == 0 {
            return Place::EMPTY;
        }
        if len > LONGEST {
            first.reserve_exact(second.len());
            first.extend_from_slice(second);
            return self.insert_long(first.into_boxed_slice());
        }
        let class = &mut self.classes[class_of(len)];
        let place = class.allocate();
        let piece = class.piece_mut(place, len);
        piece[..first.len()].copy_from_slice(&first);
        piece[first.len()..].copy_from_slice(second);
        place
    }

    fn insert_long(&mut self, piece: Box<[u8]>) -> Place {
        if let Some(free) = self.free_long.pop() {
            self.long[free as usize] = piece;
            return Place(free);
        }
        self.long.push(piece);
        Place(number(self.long.len() - 1))
    }

    /// The piece of this length at this place.
    #[inline]
    pub(super) fn get(&self, place: Place, len: usize) -> &[u8] {
        if len == 0 {
            &[]
        } else if len <= LONGEST {
            self.classes[class_of(len)].piece(place, len)
        } else {
            &self.long[place.0 as usize]
        }
    }

    /// As [`get`](Self::get), for writing.
    pub(super) fn get_mut(&mut self, place: Place, len: usize) -> &mut [u8] {
        if len == 0 {
            &mut []
        } else if len <= LONGEST {
            self.classes[class_of(len)].piece_mut(place, len)
        } else {
            &mut self.long[place.0 as usize]
        }
    }

    /// Removes the piece of this length at this place.
    pub(super) fn remove(&mut self, place: Place, len: usize) {
        if len > LONGEST {
            self.long[place.0 as usize] = Box::default();
            self.free_long.push(place.0);
        } else if len > 0 {
            self.classes[class_of(len)].release(place);
        }
    }
}

impl Class {
    const fn new(size: usize) -> Self {
        let block_bits = (PAGE / size).ilog2();
        Self { size, block_bits, pages: Vec::new(), with_room: Vec::new() }
    }

    /// The page, and the offset of the block in it.
    #[inline]
    const fn at(&self, place: Place) -> (usize, usize) {
        let block = place.0 & ((1 << self.block_bits) - 1);
        ((place.0 >> self.block_bits) as usize, block as usize * self.size)
    }

    #[inline]
    fn piece(&self, place: Place, len: usize) -> &[u8] {
        let (page, start) = self.at(place);
        &self.pages[page].bytes[start..start + len]
    }

    fn piece_mut(&mut self, place: Place, len: usize) -> &mut [u8] {
        let (page, start) = self.at(place);
        &mut self.pages[page].bytes[start..start + len]
    }

    fn allocate(&mut self) -> Place {
        let blocks = 1 << self.block_bits;
        let page_number = self.with_room.last().copied().unwrap_or_else(|| {
            self.pages.push(Page { bytes: Vec::new(), free: NONE, used: 0 });
            let added = number(self.pages.len() - 1);
            self.with_room.push(added);
            added
        });
        let page = &mut self.pages[page_number as usize];
        let block = if page.free == NONE {
            if page.bytes.capacity() == 0 {
                page.bytes.reserve_exact(blocks * self.size);
            }
            let block = page.bytes.len() / self.size;
            page.bytes.resize(page.bytes.len() + self.size, 0);
            number(block)
        } else {
            let block = page.free;
            let start = usize::from(block) * self.size;
            page.free = u16::from_le_bytes([page.bytes[start], page.bytes[start + 1]]);
            u32::from(block)
        };
        page.used += 1;
        if usize::from(page.used) == blocks {
            self.with_room.pop();
        }
        #[expect(clippy::expect_used, reason = "four billion pieces need a hundred gigabytes")]
        let first = page_number.checked_mul(1 << self.block_bits).expect("not so many pieces");
        Place(first + block)
    }

    fn release(&mut self, place: Place) {
        let (page_number, start) = self.at(place);
        let page = &mut self.pages[page_number];
        if usize::from(page.used) == 1 << self.block_bits {
            self.with_room.push(number(page_number));
        }
        page.used -= 1;
        if page.used == 0 {
            page.bytes = Vec::new();
            page.free = NONE;
            return;
        }
        page.bytes[start..start + 2].copy_from_slice(&page.free.to_le_bytes());
        #[expect(clippy::cast_possible_truncation, reason = "a page has at most 2048 blocks")]
        let block = (start / self.size) as u16;
        page.free = block;
    }
}

const fn class_of(len: usize) -> usize {
    (len - 1) / STEP
}

#[expect(clippy::expect_used, reason = "four billion pieces need a hundred gigabytes")]
fn number(index: usize) -> u32 {
    u32::try_from(index).expect("not so many pieces")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Random numbers that are the same in each run.
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, limit: usize) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            usize::try_from(self.0 >> 33).unwrap() % limit
        }
    }

    #[test]
    fn pieces_of_all_lengths_stay_what_they_are_while_others_come_and_go() {
        let (mut store, mut numbers) = (ByteStore::new(), Numbers(7));
        let mut kept: Vec<(Place, Vec<u8>)> = Vec::new();
        for round in 0..60_000 {
            // The store grows, shrinks, and grows again.
            let grows = round % 20_000 < 12_000;
            if numbers.below(10) < if grows { 8 } else { 2 } || kept.is_empty() {
                let longest = if numbers.below(50) == 0 { 3000 } else { 60 };
                let len = numbers.below(longest);
                let bytes: Vec<u8> =
                    (0..len).map(|_| u8::try_from(numbers.below(256)).unwrap()).collect();
                let (first, second) = bytes.split_at(numbers.below(len + 1));
                kept.push((store.insert(first.to_vec(), second), bytes));
            } else {
                let (place, bytes) = kept.swap_remove(numbers.below(kept.len()));
                assert_eq!(store.get(place, bytes.len()), bytes);
                store.remove(place, bytes.len());
            }
        }
        assert!(kept.len() > 1000);
        for (place, bytes) in &kept {
            assert_eq!(store.get(*place, bytes.len()), bytes);
        }
        for (place, bytes) in kept {
            store.remove(place, bytes.len());
        }
        for class in &store.classes {
            assert!(class.pages.iter().all(|page| page.used == 0 && page.bytes.capacity() == 0));
            assert_eq!(class.with_room.len(), class.pages.len());
        }
        assert!(store.long.iter().all(|piece| piece.is_empty()));
    }

    #[test]
    fn a_page_takes_memory_only_as_far_as_it_is_used_and_is_used_again() {
        let mut store = ByteStore::new();
        let places: Vec<Place> = (0..300).map(|_| store.insert(vec![1; 100], &[2; 28])).collect();
        let class = &store.classes[class_of(128)];
        assert_eq!(class.pages.len(), 3);
        assert_eq!(class.pages[2].bytes.len(), (300 - 2 * 128) * 128);
        for place in &places {
            store.remove(*place, 128);
        }
        (0..300).for_each(|_| {
            store.insert(vec![3; 100], &[4; 25]);
        });
        assert_eq!(store.classes[class_of(128)].pages.len(), 3);
    }

    #[test]
    fn nothing_needs_no_place() {
        let mut store = ByteStore::new();
        assert_eq!(store.insert(Vec::new(), b""), Place::EMPTY);
        assert_eq!(store.get(Place::EMPTY, 0), b"");
        store.remove(Place::EMPTY, 0);
        assert!(store.classes.iter().all(|class| class.pages.is_empty()));
    }
}
