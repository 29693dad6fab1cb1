//! The iteration order of a Java map with long keys (no Java twin: java.util.HashMap).
//!
//! The text of a configuration lists its servers in this order. The text becomes the data of a znode, which should be
//! the same on all members.

/// The initial number of slots of a map, Java's default.
const INITIAL_SLOTS: usize = 16;

/// Sorts keys into the iteration order of Java's map. Keys in the same slot are in ascending order. Java has them in
/// insertion order, which for a configuration is accidental anyway.
pub(in crate::server::quorum) fn java_long_map_order(
    keys: impl IntoIterator<Item = i64>,
) -> Vec<i64> {
    let mut keys: Vec<i64> = keys.into_iter().collect();
    let mut slots = INITIAL_SLOTS;
    while keys.len() > slots / 4 * 3 {
        slots *= 2;
    }
    keys.sort_unstable();
    keys.sort_by_key(|key| hash(*key) & (slots - 1));
    keys
}

/// The hash of a long: Long.hashCode, then HashMap.hash.
const fn hash(key: i64) -> usize {
    let bits = key.cast_unsigned();
    let code = (bits ^ (bits >> 32)) & 0xffff_ffff;
    ((code ^ (code >> 16)) & 0x7fff_ffff) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_numbers_come_in_order_until_they_wrap_around() {
        assert_eq!(java_long_map_order([5, 1, 3]), [1, 3, 5]);
        assert_eq!(java_long_map_order([16, 1, 17, 255]), [16, 1, 17, 255]);
        assert_eq!(java_long_map_order([33, 15, 34, 2]), [33, 2, 34, 15]);
    }

    #[test]
    fn a_map_that_has_grown_has_another_order() {
        let twelve: Vec<i64> = (10..22).collect();
        assert_eq!(java_long_map_order(twelve), [16, 17, 18, 19, 20, 21, 10, 11, 12, 13, 14, 15]);
        let thirteen: Vec<i64> = (10..23).collect();
        assert_eq!(java_long_map_order(thirteen.clone()), thirteen);
    }
}
