//! The password of a session (Java: generatePasswd and checkPasswd of server/ZooKeeperServer.java).
//!
//! It is computed from the session's id alone, in the same way by every server of every version, so that a client
//! can continue its session on another server.

use crate::ids::SessionId;

/// The length of a password, in bytes.
pub(crate) const LEN: usize = 16;

/// Java: superSecret. It is the same in every ZooKeeper server.
const SUPER_SECRET: i64 = 0xB341_5C00;

// java.util.Random: a linear congruential generator of 48 bits that returns the upper 32.
const MULTIPLIER: u64 = 0x5_DEEC_E66D;
const INCREMENT: u64 = 0xB;
const MASK: u64 = (1 << 48) - 1;

/// The password of the session (Java: generatePasswd).
#[must_use]
pub const fn generate(session_id: SessionId) -> [u8; LEN] {
    let mut state = ((session_id.0 ^ SUPER_SECRET).cast_unsigned() ^ MULTIPLIER) & MASK;
    let mut password = [0; LEN];
    let mut at = 0;
    while at < LEN {
        state = state.wrapping_mul(MULTIPLIER).wrapping_add(INCREMENT) & MASK;
        let bytes = (state >> 16).to_le_bytes();
        password[at] = bytes[0];
        password[at + 1] = bytes[1];
        password[at + 2] = bytes[2];
        password[at + 3] = bytes[3];
        at += 4;
    }
    password
}

/// Whether this is the session's password; no session has the id 0. The time that this takes does not depend on how
/// much is right (Java: checkPasswd, where it does).
#[must_use]
pub(crate) fn check(session_id: SessionId, password: &[u8]) -> bool {
    let right = generate(session_id);
    let difference =
        right.iter().zip(password).fold(0, |all, (right, given)| all | (right ^ given));
    session_id.0 != 0 && password.len() == LEN && std::hint::black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_those_that_java_s_servers_give_out() {
        for (id, password) in [
            (0x0100_0055_b645_0002, 0xebd9_63f8_8ad3_3dc7_ed39_d532_7c0f_c100_u128),
            (0x0300_005b_9e91_0000, 0xd582_bd00_3e44_2db3_3b8e_be4a_b7d9_f1e4),
        ] {
            let id = SessionId(id);
            assert_eq!(generate(id), password.to_be_bytes(), "{id}");
            assert!(check(id, &password.to_be_bytes()));
        }
    }

    #[test]
    fn only_the_whole_password_of_a_session_is_right() {
        let id = SessionId(0x0100_0055_b645_0002);
        let right = generate(id);
        for at in 0..LEN {
            let mut wrong = right;
            wrong[at] ^= 1;
            assert!(!check(id, &wrong));
            assert!(!check(id, &right[..at]));
        }
        let longer: Vec<u8> = right.iter().copied().chain([0]).collect();
        assert!(!check(id, &longer));
        assert!(!check(SessionId(0), &generate(SessionId(0))));
        assert!(!check(SessionId(id.0 + 1), &right));
    }
}
