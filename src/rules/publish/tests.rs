use super::*;

const SEEN: [Seen; 7] =
    [Seen::Absent, Seen::Same, Seen::Proven, Seen::Shorter(3), Seen::Other, Seen::Unjudged, Seen::Hidden];

const RENAME: Terms = Terms { strategy: Strategy::Rename, overwrite: Overwrite::Never, repeatable: true };
const TRIGGER: Terms = Terms { strategy: Strategy::Trigger, ..RENAME };
const DIRECT: Terms = Terms { strategy: Strategy::Direct, ..RENAME };
const ATOMIC: Terms = Terms { overwrite: Overwrite::Atomic, ..RENAME };

const NOTHING: Memory = Memory { uploaded: false, sent: false };
const UPLOADED: Memory = Memory { uploaded: true, sent: false };
const SENT: Memory = Memory { uploaded: true, sent: true };
/// A final name that was opened and never closed.
const OPENED: Memory = Memory { uploaded: false, sent: true };

fn every(mut check: impl FnMut(Terms, Seen, Seen, Memory, Action)) {
    for strategy in [Strategy::Rename, Strategy::Trigger, Strategy::Direct] {
        for overwrite in [Overwrite::Never, Overwrite::Atomic] {
            for repeatable in [true, false] {
                for target in SEEN {
                    for temp in SEEN {
                        for memory in [NOTHING, UPLOADED, SENT, OPENED] {
                            let terms = Terms { strategy, overwrite, repeatable };
                            check(terms, target, temp, memory, next(terms, target, temp, memory));
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn line_1_a_final_file_of_ours_is_published() {
    for temp in SEEN {
        assert_eq!(next(RENAME, Seen::Proven, temp, SENT), Action::Done, "{temp:?}");
    }
    for temp in [Seen::Absent, Seen::Hidden] {
        assert_eq!(next(RENAME, Seen::Same, temp, SENT), Action::Done, "{temp:?}");
    }
    // What is to be replaced may have had the same size before.
    assert_eq!(next(ATOMIC, Seen::Same, Seen::Absent, SENT), Action::Prove(Doubt::Done));
    // Both names at once: the bytes decide, and the size when they cannot be read.
    assert_eq!(next(RENAME, Seen::Same, Seen::Same, SENT), Action::Prove(Doubt::Done));
}

#[test]
fn line_2_a_foreign_or_damaged_final_file_is_held_and_nothing_touched() {
    for temp in SEEN {
        for memory in [NOTHING, UPLOADED, SENT, OPENED] {
            for target in [Seen::Other, Seen::Shorter(1)] {
                assert_eq!(next(RENAME, target, temp, memory), Action::Hold(Held::Foreign), "{target:?} {temp:?}");
            }
        }
    }
}

#[test]
fn a_file_of_the_same_size_that_was_never_sent_is_published_only_when_its_bytes_are_ours() {
    for terms in [RENAME, TRIGGER, DIRECT] {
        assert_eq!(next(terms, Seen::Same, Seen::Absent, NOTHING), Action::Prove(Doubt::Hold));
    }
    assert_eq!(next(ATOMIC, Seen::Same, Seen::Absent, NOTHING), Action::Prove(Doubt::Replace));
}

#[test]
fn line_3_a_complete_temporary_file_is_renamed() {
    for temp in [Seen::Same, Seen::Proven, Seen::Unjudged] {
        for memory in [UPLOADED, SENT] {
            assert_eq!(next(RENAME, Seen::Absent, temp, memory), Action::Rename, "{temp:?} {memory:?}");
        }
    }
    // Without the answer to its CLOSE it is not known to be complete.
    assert_eq!(next(RENAME, Seen::Absent, Seen::Same, NOTHING), Action::Upload(u64::MAX));
}

#[test]
fn line_4_a_partial_temporary_file_is_resumed_or_rewritten() {
    for memory in [NOTHING, UPLOADED, SENT] {
        assert_eq!(next(RENAME, Seen::Absent, Seen::Shorter(3), memory), Action::Upload(3));
        assert_eq!(next(RENAME, Seen::Absent, Seen::Other, memory), Action::Upload(0));
    }
    assert_eq!(next(RENAME, Seen::Absent, Seen::Unjudged, NOTHING), Action::Upload(0));
}

#[test]
fn line_5_both_names_gone_after_the_rename_was_sent_is_not_sent_again() {
    assert_eq!(next(RENAME, Seen::Absent, Seen::Absent, SENT), Action::Unverified(Unknown::Taken));
}

#[test]
fn line_6_both_names_gone_before_the_rename_was_sent_is_uploaded() {
    for memory in [NOTHING, UPLOADED] {
        assert_eq!(next(RENAME, Seen::Absent, Seen::Absent, memory), Action::Upload(0));
    }
}

#[test]
fn line_7_a_blind_box_before_the_rename_was_sent_is_written_again() {
    for memory in [NOTHING, UPLOADED] {
        assert_eq!(next(RENAME, Seen::Hidden, Seen::Hidden, memory), Action::Upload(0));
    }
}

#[test]
fn line_8_a_blind_box_after_the_rename_was_sent_is_for_a_person() {
    assert_eq!(next(RENAME, Seen::Hidden, Seen::Hidden, SENT), Action::Unverified(Unknown::Blind));
    assert_eq!(next(RENAME, Seen::Absent, Seen::Hidden, SENT), Action::Unverified(Unknown::Blind));
}

#[test]
fn a_name_that_is_to_be_replaced_is_as_good_as_free() {
    for target in [Seen::Other, Seen::Shorter(1), Seen::Unjudged] {
        for temp in SEEN {
            for memory in [NOTHING, UPLOADED, SENT] {
                let free = next(ATOMIC, Seen::Absent, temp, memory);
                assert_eq!(next(ATOMIC, target, temp, memory), free, "{target:?} {temp:?} {memory:?}");
            }
        }
    }
}

#[test]
fn without_a_temporary_name_the_trigger_decides_whether_it_may_be_written_again() {
    for target in [Seen::Absent, Seen::Hidden, Seen::Unjudged] {
        assert_eq!(next(TRIGGER, target, Seen::Absent, OPENED), Action::Upload(0), "{target:?}");
    }
    assert_eq!(next(DIRECT, Seen::Absent, Seen::Absent, OPENED), Action::Unverified(Unknown::Taken));
    assert_eq!(next(DIRECT, Seen::Hidden, Seen::Absent, OPENED), Action::Unverified(Unknown::Blind));
    for terms in [TRIGGER, DIRECT] {
        assert_eq!(next(terms, Seen::Shorter(3), Seen::Absent, OPENED), Action::Upload(3));
        assert_eq!(next(terms, Seen::Shorter(3), Seen::Absent, NOTHING), Action::Hold(Held::Foreign));
        assert_eq!(next(terms, Seen::Absent, Seen::Absent, SENT), Action::Done, "verified, then taken away");
    }
}

#[test]
fn a_name_that_means_another_file_each_time_is_never_used_twice() {
    every(|terms, target, temp, memory, action| {
        if !terms.repeatable && memory.sent {
            assert!(
                !matches!(action, Action::Upload(_) | Action::Rename),
                "{terms:?} {target:?} {temp:?} {memory:?}: {action:?}"
            );
        }
    });
}

#[test]
fn whatever_is_seen_nothing_is_sent_twice_and_nothing_of_another_is_touched() {
    every(|terms, target, temp, memory, action| {
        let here = format!("{terms:?} {target:?} {temp:?} {memory:?}: {action:?}");
        let renames = terms.strategy == Strategy::Rename;
        let moves = matches!(action, Action::Upload(_) | Action::Rename);
        if renames && memory.sent && !temp.is_there() {
            assert!(!moves, "the rename may have been what took the temporary file away: {here}");
        }
        if terms.overwrite == Overwrite::Never && renames && target.is_there() {
            assert!(!moves, "the name is taken: {here}");
        }
        if !renames && !memory.sent && target.is_there() {
            assert!(!moves, "the name is taken: {here}");
        }
        if action == Action::Rename {
            assert!(renames && memory.uploaded && temp.is_there(), "only what is known to be complete: {here}");
        }
        if action == Action::Done {
            let known = target == Seen::Proven || memory.sent;
            assert!(known, "published without a sign of it: {here}");
        }
        if terms.strategy == Strategy::Direct && memory.sent && !target.is_there() {
            assert!(!moves, "a receiver may have taken it: {here}");
        }
    });
}

#[test]
fn sizes_count_only_where_they_are_exact() {
    assert_eq!(seen(Verify::Size, Some(5), 5), Seen::Same);
    assert_eq!(seen(Verify::Size, Some(4), 5), Seen::Shorter(4));
    assert_eq!(seen(Verify::Size, Some(6), 5), Seen::Other);
    assert_eq!(seen(Verify::Size, None, 5), Seen::Unjudged);
    for told in [None, Some(4), Some(5), Some(6)] {
        assert_eq!(seen(Verify::ReadBack, told, 5), Seen::Unjudged);
    }
    assert_eq!(seen(Verify::None, Some(5), 5), Seen::Same);
    for told in [None, Some(4), Some(6)] {
        assert_eq!(seen(Verify::None, told, 5), Seen::Unjudged);
    }
}

#[test]
fn terms_that_cannot_be_kept_are_named() {
    assert!(contradiction(Strategy::Direct, Overwrite::Atomic, true).is_some());
    assert!(contradiction(Strategy::Trigger, Overwrite::Never, false).is_some());
    assert_eq!(contradiction(Strategy::Trigger, Overwrite::Never, true), None);
    assert_eq!(contradiction(Strategy::Rename, Overwrite::Atomic, false), None);
}
