//! The window keeps order per record and the cursor honest.

#![allow(clippy::unwrap_used)]

use super::*;

const LOG: LogId = LogId(1);

fn slot(seq: i64, lane: u64, old_lane: Option<u64>) -> Slot {
    Slot::new(Event::sample(seq, lane, old_lane), LOG, Vec::new())
}

#[test]
fn what_was_attempted_is_known_until_the_stored_cursor_has_passed_it() {
    let mut window = Window::default();
    window.begin(LOG, 0);
    let [first, second] = [1, 2].map(|seq| {
        window.has_read(LOG, seq);
        window.add(slot(seq, seq.unsigned_abs(), None))
    });
    for (id, after) in [(first, 7), (second, 5)] {
        window.get_mut(id).unwrap().intent_after = Some(after);
    }
    window.remove(second);
    assert_eq!((window.cursor(LOG), window.oldest_intent()), (0, Some(5)), "delivered, but above the cursor");
    window.remove(first);
    assert_eq!(window.oldest_intent(), Some(5));
    window.has_stored(LOG, 2);
    assert_eq!(window.oldest_intent(), None);
}

fn opened(window: &mut Window) -> Vec<i64> {
    let ids = window.open(99, Timestamp(0));
    ids.iter().filter_map(|id| window.get(*id)).map(|slot| slot.event.seq()).collect()
}

fn window(slots: Vec<Slot>) -> (Window, Vec<SlotId>) {
    let mut window = Window::default();
    window.begin(LOG, 0);
    let mut ids = Vec::new();
    for slot in slots {
        window.has_read(LOG, slot.event.seq());
        ids.push(window.add(slot));
    }
    (window, ids)
}

#[test]
fn two_events_of_one_record_are_never_open_together_and_others_flow() {
    let (mut window, ids) = window(vec![slot(1, 10, None), slot(2, 10, None), slot(3, 20, None)]);
    assert_eq!(opened(&mut window), [1, 3]);
    window.remove(ids[0]);
    assert_eq!(opened(&mut window), [2]);
}

#[test]
fn a_key_change_waits_for_both_records_and_holds_both() {
    let (mut window, ids) =
        window(vec![slot(1, 10, None), slot(2, 20, None), slot(3, 10, Some(20)), slot(4, 20, None), slot(5, 10, None)]);
    assert_eq!(opened(&mut window), [1, 2]);
    window.remove(ids[0]);
    assert_eq!(opened(&mut window), [0_i64; 0]);
    window.remove(ids[1]);
    assert_eq!(opened(&mut window), [3]);
    window.remove(ids[2]);
    assert_eq!(opened(&mut window), [4, 5]);
}

#[test]
fn the_cursor_stands_below_the_first_event_that_is_not_settled() {
    let (mut window, ids) = window(vec![slot(2, 10, None), slot(5, 20, None), slot(6, 30, None)]);
    window.has_read(LOG, 9);
    assert_eq!(window.cursor(LOG), 1);
    window.remove(ids[1]);
    assert_eq!(window.cursor(LOG), 1);
    window.remove(ids[0]);
    assert_eq!(window.cursor(LOG), 5);
    window.remove(ids[2]);
    assert_eq!(window.cursor(LOG), 9);
}

#[test]
fn a_probe_goes_with_another_record_than_the_one_that_failed() {
    let (mut window, ids) = window(vec![slot(1, 10, None), slot(2, 20, None)]);
    assert_eq!(window.open_probe(Some(10), Timestamp(0)), [ids[1]]);
    assert_eq!(window.open_probe(Some(10), Timestamp(0)), [ids[0]], "alone, it goes itself");
    assert_eq!(window.open_probe(None, Timestamp(0)), []);
}

#[test]
fn an_event_that_is_put_back_keeps_its_place_before_later_ones_of_its_record() {
    let (mut window, ids) = window(vec![slot(1, 10, None), slot(2, 10, None)]);
    assert_eq!(opened(&mut window), [1]);
    window.put_back(ids[0], Some(Timestamp(50)));
    assert_eq!(opened(&mut window), [0_i64; 0]);
    assert_eq!(window.next_delayed(), Some(Timestamp(50)));
    window.hurry();
    assert_eq!(opened(&mut window), [1]);
}
