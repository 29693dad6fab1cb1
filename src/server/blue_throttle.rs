//! Limits how many clients may connect in a period (Java: server/BlueThrottle.java).
//!
//! A bucket of tokens fills with time, and each connection takes tokens from it. In front of the bucket, if switched
//! on, is the BLUE algorithm: after the bucket has run dry, it rejects connections at random, so that it is not
//! always the same clients that come too late. Both are off by default.
//!
//! Threads: each connection's reader, once. Locks: its own (`Rank::Leaf`); none while the throttle is off. Differs
//! from Java: a fill time that is not positive counts as 1; Java divides by it.

use log::{error, info, warn};

use crate::common::time::Clock;
use crate::common::zk_config::SystemProperties;
use crate::util::lock_rank::{Rank, RankedMutex};
use crate::util::random::random;

/// The logger's name in Java.
const LOG: &str = "org.apache.zookeeper.server.BlueThrottle";

const TOKENS: &str = "zookeeper.connection_throttle_tokens";
const FILL_TIME: &str = "zookeeper.connection_throttle_fill_time";
const FILL_COUNT: &str = "zookeeper.connection_throttle_fill_count";
const FREEZE_TIME: &str = "zookeeper.connection_throttle_freeze_time";
const DROP_INCREASE: &str = "zookeeper.connection_throttle_drop_increase";
const DROP_DECREASE: &str = "zookeeper.connection_throttle_drop_decrease";
const DECREASE_RATIO: &str = "zookeeper.connection_throttle_decrease_ratio";
const WEIGHT_ENABLED: &str = "zookeeper.connection_throttle_weight_enabled";
const GLOBAL_SESSION_WEIGHT: &str = "zookeeper.connection_throttle_global_session_weight";
const LOCAL_SESSION_WEIGHT: &str = "zookeeper.connection_throttle_local_session_weight";
const RENEW_SESSION_WEIGHT: &str = "zookeeper.connection_throttle_renew_session_weight";

/// The settings `zookeeper.connection_throttle_*`.
#[derive(Clone, Debug, PartialEq)]
pub struct BlueThrottleConfig {
    /// The size of the bucket, in tokens; 0 switches the throttle off.
    pub max_tokens: i32,
    /// The time in which `fill_count` tokens are added, ms.
    pub fill_time_ms: i32,
    /// The number of tokens added in this time.
    pub fill_count: i32,
    /// The interval between changes of the chance of rejection, ms; -1 switches random rejection off.
    pub freeze_time_ms: i32,
    /// What is added to the chance while the bucket is empty.
    pub drop_increase: f64,
    /// What is subtracted from the chance when the bucket is full enough.
    pub drop_decrease: f64,
    /// The share of the bucket that may be missing for the chance to decrease.
    pub decrease_ratio: f64,
    /// Whether the number of tokens depends on the kind of session.
    pub weight_enabled: bool,
    /// The tokens for a new global session.
    pub global_session_weight: i32,
    /// The tokens for a new local session.
    pub local_session_weight: i32,
    /// The tokens for a client that reconnects to its session.
    pub renew_session_weight: i32,
}

impl Default for BlueThrottleConfig {
    fn default() -> Self {
        Self {
            max_tokens: 0,
            fill_time_ms: 1,
            fill_count: 1,
            freeze_time_ms: -1,
            drop_increase: 0.02,
            drop_decrease: 0.002,
            decrease_ratio: 0.0,
            weight_enabled: false,
            global_session_weight: 3,
            local_session_weight: 1,
            renew_session_weight: 2,
        }
    }
}

/// Returns a weight that is positive and not below that of local sessions.
fn weight(kind: &str, configured: i32, local: i32, default: i32) -> i32 {
    if configured <= 0 {
        warn!(target: LOG, "Invalid {kind} session weight {configured}. It should be larger than 0");
        default
    } else if configured < local {
        warn!(
            target: LOG,
            "The {kind} session weight {configured} is less than the local session weight {local}. \
             Use the local session weight."
        );
        local
    } else {
        configured
    }
}

impl BlueThrottleConfig {
    /// Reads the settings. If weights are enabled, token counts mean global sessions and are multiplied by their
    /// weight.
    #[must_use]
    pub fn from_properties(properties: &SystemProperties) -> Self {
        let default = Self::default();
        let number = |key, default| properties.number_or::<i32>(key, default);
        let weight_enabled = properties.bool(WEIGHT_ENABLED);
        let local = number(LOCAL_SESSION_WEIGHT, default.local_session_weight);
        let global = number(GLOBAL_SESSION_WEIGHT, default.global_session_weight);
        let renew = number(RENEW_SESSION_WEIGHT, default.renew_session_weight);
        let global_session_weight = weight("global", global, local, default.global_session_weight);
        let renew_session_weight = weight("renew", renew, local, default.renew_session_weight);
        let local_session_weight = weight("local", local, local, default.local_session_weight);
        let factor = if weight_enabled { global_session_weight } else { 1 };
        let mut fill_time_ms = number(FILL_TIME, default.fill_time_ms);
        if fill_time_ms <= 0 {
            warn!(target: LOG, "{FILL_TIME}={fill_time_ms} must be positive; 1 is used");
            fill_time_ms = 1;
        }
        if weight_enabled {
            info!(
                target: LOG,
                "Weighed connection throttling is enabled. But it will only be effective if connection throttling is \
                 enabled"
            );
            info!(
                target: LOG,
                "The weights for different session types are: global {global_session_weight} renew \
                 {renew_session_weight} local {local_session_weight}"
            );
        } else {
            info!(target: LOG, "Weighed connection throttling is disabled");
        }
        Self {
            max_tokens: number(TOKENS, default.max_tokens).saturating_mul(factor),
            fill_time_ms,
            fill_count: number(FILL_COUNT, default.fill_count).saturating_mul(factor),
            freeze_time_ms: number(FREEZE_TIME, default.freeze_time_ms),
            drop_increase: properties.fraction(DROP_INCREASE).unwrap_or(default.drop_increase),
            drop_decrease: properties.fraction(DROP_DECREASE).unwrap_or(default.drop_decrease),
            decrease_ratio: properties.fraction(DECREASE_RATIO).unwrap_or(default.decrease_ratio),
            weight_enabled,
            global_session_weight,
            local_session_weight,
            renew_session_weight,
        }
    }

    /// How many tokens a connection needs (Java: within ZooKeeperServer.processConnectRequest).
    #[must_use]
    pub const fn tokens_needed(&self, has_session: bool, local_sessions_enabled: bool) -> i32 {
        match (self.weight_enabled, has_session, local_sessions_enabled) {
            (false, _, _) => 1,
            (true, true, _) => self.renew_session_weight,
            (true, false, true) => self.local_session_weight,
            (true, false, false) => self.global_session_weight,
        }
    }
}

/// The bucket, and the chance of a random rejection. Pure.
#[derive(Debug)]
struct Bucket {
    tokens: i32,
    last_time_ms: i64,
    last_freeze_ms: i64,
    drop: f64,
    /// The state of the random number generator.
    random: u64,
}

impl Bucket {
    fn check_limit(&mut self, config: &BlueThrottleConfig, need: i32, now_ms: i64) -> bool {
        let elapsed_ms = now_ms.wrapping_sub(self.last_time_ms);
        if elapsed_ms > i64::from(config.fill_time_ms) {
            self.fill(config, elapsed_ms);
            self.last_time_ms = now_ms;
        }
        if config.freeze_time_ms != -1 && !self.check_blue(config, now_ms) {
            return false;
        }
        if self.tokens < need {
            return false;
        }
        self.tokens -= need;
        true
    }

    fn fill(&mut self, config: &BlueThrottleConfig, elapsed_ms: i64) {
        let refill = elapsed_ms.checked_mul(config.fill_count.into());
        let refill = refill.map(|refill| refill / i64::from(config.fill_time_ms));
        let tokens = refill.and_then(|refill| i64::from(self.tokens).checked_add(refill));
        self.tokens = match tokens.map(|tokens| tokens.min(config.max_tokens.into())) {
            // At most max_tokens, so it fits.
            Some(tokens) if tokens >= 0 => i32::try_from(tokens).unwrap_or(config.max_tokens),
            _ => {
                error!(
                    target: LOG,
                    "Throttle config values {FILL_TIME}({}) and {FILL_COUNT}({}) are insane and cause long integer \
                     overflow after {elapsed_ms}ms",
                    config.fill_time_ms,
                    config.fill_count
                );
                config.max_tokens
            }
        };
    }

    fn check_blue(&mut self, config: &BlueThrottleConfig, now_ms: i64) -> bool {
        let missing = config.max_tokens.saturating_sub(self.tokens);
        if now_ms.wrapping_sub(self.last_freeze_ms) > i64::from(config.freeze_time_ms) {
            let few = (f64::from(config.max_tokens) * config.decrease_ratio).round();
            if missing == config.max_tokens && self.drop < 1.0 {
                self.drop = (self.drop + config.drop_increase).min(1.0);
            } else if f64::from(missing) <= few && self.drop > 0.0 {
                self.drop = (self.drop - config.drop_decrease).max(0.0);
            }
            self.last_freeze_ms = now_ms;
        }
        self.next_random() >= self.drop
    }

    /// A number from 0 to below 1, by xorshift, which is good enough for fairness.
    fn next_random(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let [a, b, c, d, ..] = self.random.to_be_bytes();
        f64::from(u32::from_be_bytes([a, b, c, d])) / (f64::from(u32::MAX) + 1.0)
    }
}

/// Decides whether clients may connect.
#[derive(Debug)]
pub struct BlueThrottle {
    config: BlueThrottleConfig,
    clock: Clock,
    bucket: RankedMutex<Bucket>,
}

impl BlueThrottle {
    /// Creates a throttle with a full bucket.
    #[must_use]
    pub fn new(config: BlueThrottleConfig, clock: Clock) -> Self {
        let now_ms = clock.elapsed_ms();
        let bucket = Bucket {
            tokens: config.max_tokens,
            last_time_ms: now_ms,
            last_freeze_ms: now_ms,
            drop: 0.0,
            // Xorshift must not start at 0.
            random: random() | 1,
        };
        Self { config, clock, bucket: RankedMutex::new(Rank::Leaf, "BlueThrottle", bucket) }
    }

    /// The settings.
    #[must_use]
    pub const fn config(&self) -> &BlueThrottleConfig {
        &self.config
    }

    /// Takes this many tokens. Returns false if the client must be rejected.
    #[must_use]
    pub fn check_limit(&self, need: i32) -> bool {
        if self.config.max_tokens == 0 {
            return true;
        }
        let now_ms = self.clock.elapsed_ms();
        self.bucket.lock().check_limit(&self.config, need, now_ms)
    }

    /// How many tokens are missing (Java: getDeficit).
    #[must_use]
    pub fn deficit(&self) -> i32 {
        if self.config.max_tokens == 0 {
            return 0;
        }
        self.config.max_tokens.saturating_sub(self.bucket.lock().tokens)
    }

    /// The chance of a random rejection (Java: getDropChance).
    #[must_use]
    pub fn drop_chance(&self) -> f64 {
        self.bucket.lock().drop
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::common::time::ManualClock;

    fn throttle(config: BlueThrottleConfig) -> (BlueThrottle, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::new(1_000));
        (BlueThrottle::new(config, clock.clone()), clock)
    }

    fn config(max_tokens: i32, fill_time_ms: i32, fill_count: i32) -> BlueThrottleConfig {
        BlueThrottleConfig { max_tokens, fill_time_ms, fill_count, ..BlueThrottleConfig::default() }
    }

    #[test]
    fn it_is_off_by_default() {
        let (throttle, _) = throttle(BlueThrottleConfig::default());
        assert!((0..10_000).all(|_| throttle.check_limit(1)));
        assert_eq!(throttle.deficit(), 0);
    }

    #[test]
    fn the_bucket_runs_dry_and_fills_up_with_time() {
        let (throttle, clock) = throttle(config(3, 10, 2));
        assert!(throttle.check_limit(2));
        assert!(!throttle.check_limit(2));
        assert!(throttle.check_limit(1));
        assert!(!throttle.check_limit(1));
        assert_eq!(throttle.deficit(), 3);
        clock.advance(10);
        assert!(!throttle.check_limit(1), "not before the fill time has passed");
        clock.advance(1);
        assert!(throttle.check_limit(2), "11 ms give 2 tokens of 10 ms");
        clock.advance(1_000);
        assert!(throttle.check_limit(3));
        assert!(!throttle.check_limit(1), "never more than the bucket holds");
    }

    #[test]
    fn numbers_that_overflow_fill_the_bucket() {
        let (throttle, clock) = throttle(config(5, 1, i32::MAX));
        assert!(throttle.check_limit(5));
        clock.advance(i64::MAX / 2);
        assert!(throttle.check_limit(5));
    }

    #[test]
    fn an_empty_bucket_turns_clients_away_at_random_until_it_is_full() {
        let settings = BlueThrottleConfig {
            freeze_time_ms: 10,
            drop_increase: 0.5,
            drop_decrease: 0.25,
            ..config(1, 1, 1)
        };
        // No token is ever added, so the bucket stays empty.
        let (empty, clock) = throttle(BlueThrottleConfig { fill_count: 0, ..settings.clone() });
        assert!(empty.check_limit(1));
        for chance in [0.5, 1.0, 1.0] {
            clock.advance(11);
            assert!(!empty.check_limit(1));
            assert!((empty.drop_chance() - chance).abs() < 1e-9, "{}", empty.drop_chance());
        }
        // With a chance of 1 all clients are rejected, although there are tokens. Then the chance decreases.
        let (full, clock) = throttle(settings);
        full.bucket.lock().drop = 1.0;
        assert!(!full.check_limit(1));
        for chance in [0.75, 0.5, 0.25, 0.0] {
            clock.advance(11);
            full.bucket.lock().tokens = 1;
            let _either = full.check_limit(1);
            assert!((full.drop_chance() - chance).abs() < 1e-9, "{}", full.drop_chance());
        }
        clock.advance(11);
        assert!(full.check_limit(1));
    }

    #[test]
    fn a_chance_of_a_half_lets_about_half_through() {
        let mut bucket = Bucket {
            tokens: 0,
            last_time_ms: 0,
            last_freeze_ms: 0,
            drop: 0.5,
            random: 0x1234_5678_9abc_def1,
        };
        let passed = (0..10_000).filter(|_| bucket.next_random() >= bucket.drop).count();
        assert!((4_500..5_500).contains(&passed), "{passed}");
    }

    #[test]
    fn weights_multiply_the_tokens_and_are_never_below_that_of_local_sessions() {
        let read = |pairs: &[(&str, &str)]| {
            BlueThrottleConfig::from_properties(&SystemProperties::from_pairs(
                pairs.iter().copied(),
            ))
        };
        let plain = read(&[(TOKENS, "10"), (FILL_COUNT, "4"), (FILL_TIME, "0")]);
        assert_eq!((plain.max_tokens, plain.fill_count, plain.fill_time_ms), (10, 4, 1));
        assert_eq!(plain.tokens_needed(false, false), 1);
        let weighed = read(&[
            (TOKENS, "10"),
            (WEIGHT_ENABLED, "true"),
            (LOCAL_SESSION_WEIGHT, "5"),
            (GLOBAL_SESSION_WEIGHT, "4"),
            (RENEW_SESSION_WEIGHT, "-1"),
        ]);
        assert_eq!((weighed.max_tokens, weighed.fill_count), (50, 5));
        assert_eq!(weighed.tokens_needed(false, false), 5);
        assert_eq!(weighed.tokens_needed(false, true), 5);
        assert_eq!(weighed.tokens_needed(true, false), 2);
    }
}
