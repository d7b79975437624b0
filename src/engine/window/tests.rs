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
    let ids = window.open(99, Timestamp(0), |_| None);
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
    assert_eq!(window.open_probe(Some(10), Timestamp(0), |_| None), [ids[1]]);
    assert_eq!(window.open_probe(Some(10), Timestamp(0), |_| None), [ids[0]], "alone, it goes itself");
    assert_eq!(window.open_probe(None, Timestamp(0), |_| None), []);
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

mod joined {
    use super::*;
    use crate::adapter::{Parcel, Request};
    use crate::event::Op;
    use crate::rules::batch::{Batch, Shape};
    use crate::store::state::attempt::Together;

    const BATCH: Batch = Batch { max: 3, max_bytes: 100, shape: Shape::Array };

    fn record(seq: i64, body: usize) -> Slot {
        let request = Request {
            method: "POST".into(),
            url: "https://a.example/".into(),
            headers: vec![],
            body: vec![b'1'; body],
        };
        let parcel = Parcel::frozen(format!("e-{seq}"), Op::Insert, "t", request);
        let mut slot = Slot::new(Event::sample(seq, seq.unsigned_abs(), None), LOG, vec![parcel]);
        slot.shape = Shape::Array;
        slot
    }

    /// The positions of the requests that are opened.
    fn requests(window: &mut Window, most: usize, few: usize, to_come: bool) -> Vec<Vec<i64>> {
        let opened = window.open_joined((most, few), &BATCH, to_come, Timestamp(0), |_| None);
        let mut requests: Vec<Vec<i64>> = Vec::new();
        for slot in opened.iter().filter_map(|id| window.get(*id)) {
            match requests.last_mut() {
                Some(request) if slot.is_joined() => request.push(slot.event.seq()),
                _ => requests.push(vec![slot.event.seq()]),
            }
        }
        requests
    }

    #[test]
    fn a_request_that_is_not_full_waits_for_more_while_others_are_under_way() {
        let (mut window, ids) = window((1..=5).map(|seq| record(seq, 10)).collect());
        assert_eq!(requests(&mut window, 9, 1, false), [[1, 2, 3]]);
        assert_eq!((window.opened(), window.ready()), (1, 0), "two wait to be more");
        window.has_read(LOG, 6);
        window.add(record(6, 10));
        assert_eq!(requests(&mut window, 9, 1, false), [[4, 5, 6]]);
        window.add(record(7, 10));
        assert_eq!(requests(&mut window, 9, 1, false), [] as [Vec<i64>; 0]);
        ids.iter().take(3).for_each(|id| drop(window.remove(*id)));
        assert_eq!((window.opened(), window.ready()), (1, 1), "there may be room now");
        assert_eq!(requests(&mut window, 9, 2, false), [[7]]);
    }

    #[test]
    fn a_request_ends_where_it_would_be_too_large_or_was_too_large_before() {
        let (mut window, _) =
            window([60, 30, 30, 200, 10].iter().zip(1..).map(|(body, seq)| record(seq, *body)).collect());
        assert_eq!(requests(&mut window, 9, 9, false), [vec![1, 2], vec![3], vec![4], vec![5]]);
        let mut slots: Vec<Slot> = (1..=4).map(|seq| record(seq, 1)).collect();
        slots.iter_mut().for_each(|slot| slot.most_together = 2);
        let (mut window, _) = super::window(slots);
        assert_eq!(requests(&mut window, 9, 9, false), [[1, 2], [3, 4]]);
    }

    #[test]
    fn what_went_together_goes_together_again_or_as_it_comes_when_one_is_gone() {
        let together = |slot: &mut Slot| slot.together = Some(Together { request: 8, of: 2, last: 4 });
        let mut slots: Vec<Slot> = (1..=4).map(|seq| record(seq, 1)).collect();
        slots[1].together = Some(Together { request: 8, of: 2, last: 9 });
        let (mut window, _) = window(slots);
        assert_eq!(requests(&mut window, 9, 9, true), [[1, 3, 4]], "its other half may still come");
        let mut slots: Vec<Slot> = (1..=4).map(|seq| record(seq, 1)).collect();
        together(&mut slots[1]);
        together(&mut slots[3]);
        let (mut window, _) = super::window(slots);
        assert_eq!(requests(&mut window, 9, 9, false), [[1, 3], [2, 4]]);
        let mut alone = record(1, 1);
        together(&mut alone);
        let (mut window, _) = super::window(vec![alone, record(2, 1)]);
        assert_eq!(requests(&mut window, 9, 9, false), [[1, 2]], "nothing more will come");
    }
}
