//! Tests of `ExpiryQueue` (no Java twin).

use std::collections::BTreeSet;
use std::thread;

use super::*;
use crate::common::time::{ManualClock, TimeSource};

const TICK_MS: i32 = 100;

struct Element(usize, Expiry);

impl Element {
    fn new(number: usize) -> Arc<Self> {
        Arc::new(Self(number, Expiry::new()))
    }
}

impl Expiring for Element {
    fn expiry(&self) -> &Expiry {
        &self.1
    }
}

impl Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "element {}", self.0)
    }
}

fn queue_at(now_ms: i64) -> (Arc<ManualClock>, ExpiryQueue<Element>) {
    let clock = Arc::new(ManualClock::new(now_ms));
    (clock.clone(), ExpiryQueue::new(TICK_MS, clock))
}

fn numbers(elements: &[Arc<Element>]) -> BTreeSet<usize> {
    elements.iter().map(|element| element.0).collect()
}

#[test]
fn an_end_is_rounded_up_to_the_next_interval_even_from_its_very_start() {
    for (now_ms, timeout_ms, expires_at_ms) in
        [(0, 0, 100), (0, 99, 100), (0, 100, 200), (0, 101, 200), (55, 44, 100), (55, 45, 200)]
    {
        let (_, queue) = queue_at(now_ms);
        let element = Element::new(1);
        assert_eq!(queue.update(&element, timeout_ms), Some(expires_at_ms));
        assert_eq!(queue.update(&element, timeout_ms), None, "unchanged");
        assert_eq!(queue.remove(&element), Some(expires_at_ms));
        assert_eq!(queue.remove(&element), None);
    }
}

#[test]
fn what_was_not_touched_ends_with_its_interval_and_not_before() {
    let (clock, queue) = queue_at(1_000);
    let [idle, alive] = [1, 2].map(Element::new);
    queue.update(&idle, 250);
    queue.update(&alive, 250);
    for now_ms in [1_100, 1_200] {
        assert_eq!(queue.wait_time_ms(), 100);
        clock.advance(100);
        assert!(queue.poll().is_empty(), "{now_ms}");
    }
    assert!(queue.touch(&alive, 250));
    clock.advance(99);
    assert_eq!(queue.wait_time_ms(), 1);
    assert!(queue.poll().is_empty());
    clock.advance(1);
    assert_eq!(numbers(&queue.poll()), BTreeSet::from([1]));
    assert!(!queue.touch(&idle, 250), "it has ended");
    assert_eq!(queue.len(), 2, "until it is removed");
    assert_eq!((queue.remove(&idle), queue.len()), (None, 1));
    clock.advance(10_000);
    while queue.wait_time_ms() == 0 {
        assert!(numbers(&queue.poll()).is_subset(&BTreeSet::from([2])));
    }
    assert!(!queue.touch(&alive, 250));
}

#[test]
fn a_shorter_timeout_brings_the_end_forward() {
    let (clock, queue) = queue_at(0);
    let element = Element::new(1);
    queue.update(&element, 10_000);
    assert_eq!(queue.update(&element, 50), Some(100));
    clock.advance(100);
    assert_eq!(queue.poll().len(), 1);
}

#[test]
fn what_has_ended_can_be_added_again() {
    let (clock, queue) = queue_at(0);
    let element = Element::new(1);
    queue.update(&element, 50);
    clock.advance(100);
    assert_eq!(queue.poll().len(), 1);
    assert_eq!(queue.update(&element, 50), Some(200));
    assert_eq!(queue.len(), 1);
    clock.advance(100);
    assert_eq!(queue.poll().len(), 1);
}

#[test]
fn the_dump_lists_elements_by_the_time_of_their_end() {
    let (clock, queue) = queue_at(0);
    let [one, two] = [1, 2].map(Element::new);
    queue.update(&one, 50);
    queue.update(&two, 150);
    clock.advance(60);
    queue.touch(&one, 50);
    let mut text = String::new();
    queue.dump(&mut text);
    let date = date_string(200);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[..2], ["Sets (1)/(2):", &format!("2 expire at {date}:")]);
    assert_eq!(BTreeSet::from_iter(&lines[2..]), BTreeSet::from([&"\telement 1", &"\telement 2"]));
    assert_eq!(queue.expiry_map().keys().collect::<Vec<_>>(), [&200]);
}

/// Applies the same operations to a queue and to a plain table of expiry times.
fn agrees_with_a_table(seed: u64) {
    let mut random = seed;
    let mut below = |limit: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % limit
    };
    let (clock, queue) = queue_at(i64::try_from(below(1_000)).unwrap());
    let elements: Vec<_> = (0..20).map(Element::new).collect();
    let mut ends: BTreeMap<usize, i64> = BTreeMap::new();
    let round = |time: i64| (time / 100 + 1) * 100;
    for _ in 0..500 {
        let element = &elements[usize::try_from(below(20)).unwrap()];
        let timeout_ms = i32::try_from(below(1_500)).unwrap();
        let end = round(clock.elapsed_ms() + i64::from(timeout_ms));
        match below(8) {
            0..3 => {
                let old = ends.insert(element.0, end);
                assert_eq!(
                    queue.update(element, timeout_ms),
                    Some(end).filter(|_| old != Some(end))
                );
            }
            3..5 => {
                let queued = ends.get_mut(&element.0).map(|old| *old = end).is_some();
                assert_eq!(queue.touch(element, timeout_ms), queued);
            }
            5 => assert_eq!(queue.remove(element), ends.remove(&element.0)),
            _ => {
                clock.advance(i64::try_from(below(250)).unwrap());
                while queue.wait_time_ms() == 0 {
                    let due_ms = queue.next_expiration_ms();
                    let ended: BTreeSet<_> = ends
                        .extract_if(.., |_, end| *end == due_ms)
                        .map(|(number, _)| number)
                        .collect();
                    let polled = queue.poll();
                    assert_eq!(numbers(&polled), ended, "seed {seed}");
                    polled.iter().for_each(|element| _ = queue.remove(element));
                }
            }
        }
        let map = queue.expiry_map();
        let by_element: BTreeMap<_, _> =
            map.iter().flat_map(|(end, all)| all.iter().map(|element| (element.0, *end))).collect();
        assert_eq!(by_element, ends, "seed {seed}");
        assert_eq!(queue.len(), ends.len());
    }
}

#[test]
fn it_does_what_a_plain_table_does() {
    for seed in 1..30 {
        agrees_with_a_table(seed);
    }
}

#[test]
fn threads_that_touch_put_off_and_bring_forward_lose_nothing() {
    let (clock, queue) = queue_at(0);
    let elements: Vec<_> = (0..64).map(Element::new).collect();
    elements.iter().for_each(|element| _ = queue.update(element, 300));
    // The earliest expiry that the last successful touch has promised.
    let promised: Vec<_> = elements.iter().map(|_| AtomicI64::new(0)).collect();
    let ended_at: Vec<_> = elements.iter().map(|_| AtomicI64::new(0)).collect();
    thread::scope(|scope| {
        for part in 0..4 {
            let (clock, queue, elements, promised) = (&clock, &queue, &elements, &promised);
            scope.spawn(move || {
                for round in 0..3_000 {
                    let number = part * 16 + round % 16;
                    let timeout_ms = [250, 900, 50][round % 3];
                    let now_ms = clock.elapsed_ms();
                    if queue.touch(&elements[number], timeout_ms) {
                        let end = (now_ms + i64::from(timeout_ms)) / 100 * 100 + 100;
                        promised[number].store(end, SeqCst);
                    }
                }
            });
        }
        for _ in 0..2_000 {
            clock.advance(7);
            while queue.wait_time_ms() == 0 {
                for element in queue.poll() {
                    let before = ended_at[element.0].swap(clock.elapsed_ms(), SeqCst);
                    assert_eq!(before, 0, "element {} has ended twice", element.0);
                }
            }
        }
    });
    clock.advance(2_000);
    while queue.wait_time_ms() == 0 {
        for element in queue.poll() {
            assert_eq!(ended_at[element.0].swap(clock.elapsed_ms(), SeqCst), 0);
        }
    }
    for (ended_at, promised) in ended_at.iter().zip(&promised) {
        let (ended_at, promised) = (ended_at.load(SeqCst), promised.load(SeqCst));
        assert!(ended_at > 0, "it never ended");
        assert!(ended_at >= promised, "ended at {ended_at}, promised {promised}");
    }
}
