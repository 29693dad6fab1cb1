//! The iteration order of Java's hash maps (no Java twin).
//!
//! Java keeps its metrics in ConcurrentHashMaps of strings. `mntr` and the AdminServer print them in iteration
//! order, which depends on the hash codes of the strings. The order is arbitrary but fixed, so outputs that are
//! compared line by line should not differ in it.

/// The initial number of slots. This is Java's default.
const INITIAL_SLOTS: usize = 16;

/// Returns the entries in the iteration order of Java's map, if they were inserted in the given order.
#[must_use]
pub(crate) fn java_map_order<T>(entries: Vec<T>, key: impl Fn(&T) -> &str) -> Vec<T> {
    let mut slots: Vec<Vec<(usize, T)>> = Vec::new();
    slots.resize_with(INITIAL_SLOTS, Vec::new);
    for (size, entry) in (1..).zip(entries) {
        let hash = spread(java_hash(key(&entry)));
        let slot = hash % slots.len();
        slots[slot].push((hash, entry));
        while size >= slots.len() - slots.len() / 4 {
            slots = doubled(slots);
        }
    }
    slots.into_iter().flatten().map(|(_, entry)| entry).collect()
}

/// Computes Java's String.hashCode.
fn java_hash(text: &str) -> u32 {
    text.encode_utf16().fold(0, |hash: u32, unit| hash.wrapping_mul(31).wrapping_add(unit.into()))
}

/// Spreads a hash code as Java's map does.
const fn spread(hash: u32) -> usize {
    ((hash ^ (hash >> 16)) & 0x7fff_ffff) as usize
}

/// Doubles the number of slots and splits each slot in two. The last run of entries with the same target keeps
/// its order; the entries before it are reversed.
fn doubled<T>(slots: Vec<Vec<(usize, T)>>) -> Vec<Vec<(usize, T)>> {
    let old_len = slots.len();
    let mut new: Vec<Vec<(usize, T)>> = Vec::new();
    new.resize_with(old_len * 2, Vec::new);
    for (number, mut slot) in slots.into_iter().enumerate() {
        let target = |hash: usize| if hash & old_len == 0 { number } else { number + old_len };
        let Some(&(last_hash, _)) = slot.last() else { continue };
        let goes_along = |(hash, _): &(usize, T)| target(*hash) == target(last_hash);
        let run_start = slot.iter().rposition(|entry| !goes_along(entry)).map_or(0, |at| at + 1);
        let run = slot.split_off(run_start);
        for (hash, entry) in slot.into_iter().rev() {
            new[target(hash)].push((hash, entry));
        }
        new[target(last_hash)].extend(run);
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_codes_are_javas() {
        // Printed by Java 17's String.hashCode.
        for (text, hash) in [("", 0), ("a", 97), ("avg_latency", 903_052_433), ("ä€", 15_432)] {
            assert_eq!(java_hash(text), hash, "{text}");
        }
    }

    #[test]
    fn forty_keys_come_out_as_javas_map_gives_them_out() {
        // The key set of a ConcurrentHashMap of Java 17 after inserting these keys.
        let java = "919 838 380 84 542 165 0 461 3 704 109 922 866 327 623 489 841 785 246 947 \
                    408 190 56 894 299 651 \
                    595 352 28 570 271 813 757 218 514 975 732 676 137 433";
        let keys: Vec<String> =
            (0..40).map(|number| format!("/k{}", number * 7919 % 1000)).collect();
        let order = java_map_order(keys, |key| key);
        assert_eq!(order.join(" ").replace("/k", ""), java);
    }
}
