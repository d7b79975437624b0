//! A publication that is cut anywhere ends as if it had not been: whole, once, in order; or it says that nobody knows.

mod remote;

use std::cell::RefCell;
use std::fs;

use hms_sync::adapter::directory::Directory;
use hms_sync::adapter::place::{Class, Content, Entry, Look, Name, Opening, Place, Progress, Replace, Sink, Trouble};
use hms_sync::adapter::sftp::wire::status;
use hms_sync::engine::drop::publish::{Ended, Plan, Tidy, publish};
use hms_sync::engine::drop::staged::{Files, Source, Staged};
use hms_sync::rules::publish::name::temporary;
use hms_sync::rules::publish::noted::{Mark, Noted, Part, Step};
use hms_sync::rules::publish::{Overwrite, Strategy, Terms, Verify};

use crate::support::drops::{bytes, one, plan, run, three, word};
use crate::support::shelf::{Manner, Renames, Shelf, Sizes};
use crate::support::sshd::names;

/// One run that ends by itself, or by a crash at a note: `before` or after it is stored.
fn attempt(
    place: &mut dyn Place,
    files: &Files,
    plan: &Plan,
    noted: &mut Noted,
    crash: Option<(usize, bool)>,
) -> Option<Ended> {
    let mut left = crash;
    let before = noted.clone();
    let mut note = |step: Step| {
        let now = left.is_some_and(|(count, _)| count == 0);
        if !now || left.is_some_and(|(_, after)| after) {
            noted.add(step);
        }
        if let Some((count, _)) = &mut left {
            *count = count.wrapping_sub(1);
        }
        if now { Err("crashed") } else { Ok(()) }
    };
    publish(place, files, plan, before, &mut note, &mut |_| ()).ok()
}

/// What must be so at every moment.
fn check(shelf: &Shelf, files: &Files, strategy: Strategy, here: &str) {
    let state = shelf.state();
    let everything: Vec<&Staged> =
        std::iter::once(&files.data).chain(&files.controls).chain(files.trigger.as_ref()).collect();
    let all = state.files.iter().chain(state.taken.iter().map(|(name, bytes)| (name, bytes)));
    let mut there = Vec::new();
    for (name, bytes) in all {
        let Some(staged) = everything.iter().find(|staged| staged.name == *name) else { continue };
        assert!(!there.contains(name), "{here}: {name} was published twice");
        there.push(name.clone());
        if strategy == Strategy::Rename {
            assert!(Content::of(bytes) == staged.content, "{here}: {name} is partial");
        }
    }
    for (at, staged) in everything.iter().enumerate() {
        let times = state.appeared.iter().filter(|name| **name == staged.name).count();
        assert!(times <= 1, "{here}: {} appeared {times} times", staged.name);
        if there.contains(&staged.name) && at > 0 && strategy == Strategy::Rename {
            let earlier = &everything[at - 1].name;
            assert!(there.contains(earlier), "{here}: {} came before {earlier}", staged.name);
        }
    }
    let trigger = files.trigger.as_ref().is_some_and(|trigger| there.contains(&trigger.name));
    if trigger {
        let data = state.files.get(&files.data.name);
        let data = data.or_else(|| state.taken.iter().find(|(name, _)| *name == files.data.name).map(|(_, b)| b));
        assert!(
            data.is_some_and(|data| Content::of(data) == files.data.content),
            "{here}: the trigger came before the data"
        );
    }
}

#[test]
fn cut_at_every_request_and_at_every_note_it_ends_whole_once_and_in_order() {
    let mut ends = 0;
    for strategy in [Strategy::Rename, Strategy::Trigger] {
        for verify in [Verify::Size, Verify::ReadBack, Verify::None] {
            let plan = Plan { terms: Terms { strategy, ..plan().terms }, verify, ..plan() };
            for after in [false, true] {
                for at in 0.. {
                    let files = three(bytes(4500));
                    let shelf = Shelf::new(Manner::default());
                    let mut noted = Noted::default();
                    let here = format!("{strategy:?} {verify:?} request {at} after {after}");
                    let first = attempt(&mut shelf.again(Some((at, after))), &files, &plan, &mut noted, None).unwrap();
                    check(&shelf, &files, strategy, &here);
                    let last = attempt(&mut shelf.again(None), &files, &plan, &mut noted, None).unwrap();
                    check(&shelf, &files, strategy, &here);
                    // The trigger's own name, opened directly, may have been there and taken: a person asks.
                    let known = last == Ended::Triggered
                        || (strategy == Strategy::Trigger && word(&last) == "unverified:taken");
                    assert!(known, "{here}: {last:?}");
                    ends += 1;
                    if first == Ended::Triggered {
                        break;
                    }
                }
                for at in 0.. {
                    let files = three(bytes(4500));
                    let shelf = Shelf::new(Manner::default());
                    let mut noted = Noted::default();
                    let here = format!("{strategy:?} {verify:?} note {at} after {after}");
                    let first = attempt(&mut shelf.again(None), &files, &plan, &mut noted, Some((at, after)));
                    check(&shelf, &files, strategy, &here);
                    let last = attempt(&mut shelf.again(None), &files, &plan, &mut noted, None).unwrap();
                    check(&shelf, &files, strategy, &here);
                    let known = last == Ended::Triggered
                        || (strategy == Strategy::Trigger && word(&last) == "unverified:taken");
                    assert!(known, "{here}: {last:?}");
                    ends += 1;
                    if first.is_some() {
                        break;
                    }
                }
            }
        }
    }
    assert!(ends > 200, "{ends}");
}

/// A thousand publications, each cut several times, with receivers that take files away at any moment.
#[test]
fn after_any_number_of_cuts_nothing_is_partial_nothing_comes_twice_and_the_trigger_is_last() {
    let mut random = fastrand::Rng::with_seed(0x0dd_ba11);
    let (mut triggered, mut unverified) = (0, 0);
    for case in 0..1000 {
        let verify = [Verify::Size, Verify::ReadBack, Verify::None][random.usize(..3)];
        let overwrite = [Overwrite::Never, Overwrite::Atomic][random.usize(..2)];
        let blind = verify == Verify::None && random.bool();
        let manner = Manner {
            blind,
            renames: [Renames::Well, Renames::Well, Renames::ButFails][random.usize(..3)],
            sizes: if verify == Verify::Size { Sizes::Exact } else { [Sizes::Exact, Sizes::None][random.usize(..2)] },
            ..Manner::default()
        };
        let plan = Plan { terms: Terms { overwrite, ..plan().terms }, verify, resume: random.bool(), ..plan() };
        let files = three(bytes(random.usize(..9000)));
        let shelf = Shelf::new(manner.clone());
        let mut noted = Noted::default();
        let mut last = None;
        for round in 0..40 {
            let here = format!("case {case} round {round}: {plan:?} {manner:?}");
            let cut = (round < 30 && random.u8(..4) > 0).then(|| (random.usize(..25), random.bool()));
            let crash = (round < 30 && random.u8(..4) == 0).then(|| (random.usize(..9), random.bool()));
            let ended = attempt(&mut shelf.again(cut), &files, &plan, &mut noted, crash);
            check(&shelf, &files, Strategy::Rename, &here);
            if random.u8(..5) == 0 {
                let mut state = shelf.state();
                let published: Vec<String> =
                    state.files.keys().filter(|name| !name.ends_with(".part")).cloned().collect();
                for name in published {
                    let taken = state.files.remove(&name).unwrap();
                    state.taken.push((name, taken));
                }
            }
            match ended {
                Some(ended @ Ended::Later(..)) => last = Some(ended),
                Some(ended) => {
                    last = Some(ended);
                    break;
                }
                None => {}
            }
        }
        match last.unwrap() {
            Ended::Triggered => {
                triggered += 1;
                let state = shelf.state();
                let there = state.files.len() + state.taken.len();
                assert_eq!(there, 3, "case {case}: {:?}", state.files.keys());
            }
            Ended::Unverified(_) => unverified += 1,
            ended => panic!("case {case}: {ended:?} {plan:?} {manner:?}"),
        }
    }
    assert!(triggered > 400 && unverified > 50, "{triggered} {unverified}");
}

#[test]
fn every_line_of_the_recovery_table_holds_at_a_place() {
    let whole = bytes(2500);
    let files = one("A.DAT", whole.clone());
    let temp = temporary("A.DAT", &files.data.content.sha256, false);
    let step = |mark| Step { part: Part::Data, mark };
    let sent: Noted = [step(Mark::Uploaded), step(Mark::Sent)].into_iter().collect();
    let uploaded: Noted = [step(Mark::Uploaded)].into_iter().collect();
    let nothing = Noted::default();
    let other = vec![1; 2500];
    // Final file, temporary file, notes, blind; how it ends, and whether the data was written in doing so.
    type Line<'a> = (Option<&'a [u8]>, Option<&'a [u8]>, &'a Noted, bool, &'a str, bool);
    let lines: [Line<'_>; 12] = [
        (Some(&whole), None, &sent, false, "published", false),
        (Some(&whole), Some(&whole), &sent, false, "published", false),
        (Some(b"foreign"), None, &sent, false, "held:foreign", false),
        (Some(b"foreign"), None, &nothing, false, "held:foreign", false),
        (Some(&other), None, &nothing, false, "held:foreign", false),
        (Some(&whole), None, &nothing, false, "published", false),
        (None, Some(&whole), &uploaded, false, "published", false),
        (None, Some(&whole[..1200]), &nothing, false, "published", true),
        (None, None, &sent, false, "unverified:taken", false),
        (None, None, &uploaded, false, "published", true),
        (None, Some(&whole[..1200]), &nothing, true, "published", true),
        (None, None, &sent, true, "unverified:blind", false),
    ];
    for (target, part, notes, blind, expected, writes) in lines {
        let shelf = Shelf::new(Manner { blind, ..Manner::default() });
        let put = |name: &str, bytes: Option<&[u8]>| {
            bytes.map(|bytes| shelf.state().files.insert(name.to_owned(), bytes.to_vec()))
        };
        put("A.DAT", target);
        put(&temp, part);
        let verify = if blind { Verify::None } else { Verify::Size };
        let mut noted = notes.clone();
        let ended = run(&mut shelf.again(None), &files, &Plan { verify, ..plan() }, &mut noted);
        let here = format!("{target:?} {part:?} {noted} {blind}");
        assert_eq!(word(&ended), expected, "{}", &here[..here.len().min(200)]);
        let state = shelf.state();
        let wrote = state.log.iter().any(|line| line.starts_with("OPEN") && !line.ends_with("0x1"));
        assert_eq!(wrote, writes, "{:?}", state.log);
        match expected {
            "published" => assert_eq!(state.files.keys().collect::<Vec<_>>(), ["A.DAT"]),
            "held:foreign" => assert_eq!(state.files.get("A.DAT").map(Vec::as_slice), target),
            _ => assert!(state.appeared.is_empty()),
        }
    }
}

#[test]
fn what_servers_do_wrong_is_told_apart_and_never_published_partial() {
    let fails = |manner: Manner| Shelf::new(manner);
    let exact = plan();
    let read_back = Plan { verify: Verify::ReadBack, ..plan() };
    let none = Plan { verify: Verify::None, ..plan() };
    let default = Manner::default;
    let cases = [
        ("short write", Manner { short: 7, ..default() }, exact, "later:failure:verify"),
        ("short write, read back", Manner { short: 7, ..default() }, read_back, "later:failure:verify"),
        ("close fails", Manner { close_fails: true, ..default() }, exact, "later:failure:failure"),
        ("disk full", Manner { room: Some(3000), ..default() }, exact, "later:failure:failure"),
        ("no sizes", Manner { sizes: Sizes::None, ..default() }, exact, "later:failure:verify"),
        ("estimated sizes", Manner { sizes: Sizes::Blocks, ..default() }, exact, "later:failure:verify"),
        ("no sizes, read back", Manner { sizes: Sizes::None, ..default() }, read_back, "published"),
        ("estimated sizes, read back", Manner { sizes: Sizes::Blocks, ..default() }, read_back, "published"),
        ("estimated sizes, unverified", Manner { sizes: Sizes::Blocks, ..default() }, none, "published"),
        ("write-only box", Manner { blind: true, ..default() }, none, "published"),
        ("write-only box, verified", Manner { blind: true, ..default() }, exact, "later:failure:verify"),
        ("taken at once", Manner { takes: true, ..default() }, exact, "published"),
        ("rename fails though done", Manner { renames: Renames::ButFails, ..default() }, exact, "published"),
        (
            "rename fails though done, taken at once",
            Manner { renames: Renames::ButFails, takes: true, ..default() },
            exact,
            "unverified:taken",
        ),
        (
            "rename fails",
            Manner { renames: Renames::Not(status::FAILURE), ..default() },
            exact,
            "later:failure:failure",
        ),
        (
            "no rename",
            Manner { renames: Renames::Not(status::OP_UNSUPPORTED), ..default() },
            exact,
            "later:unsupported:unsupported",
        ),
    ];
    for (name, manner, plan, expected) in cases {
        let shelf = fails(manner);
        let mut noted = Noted::default();
        let ended = run(&mut shelf.again(None), &one("A.DAT", bytes(4500)), &plan, &mut noted);
        assert_eq!(word(&ended), expected, "{name}: {ended:?}");
        if expected.starts_with("later") {
            assert!(!shelf.state().files.contains_key("A.DAT"), "{name}");
            // When the trouble is over, it goes on without a person.
            shelf.state().manner = Manner::default();
            let ended = run(&mut shelf.again(None), &one("A.DAT", bytes(4500)), &plan, &mut noted);
            assert_eq!(word(&ended), "published", "{name}: {ended:?}");
            assert!(shelf.state().files["A.DAT"] == bytes(4500), "{name}");
        }
    }
}

#[test]
fn a_refused_rename_is_not_taken_for_a_sent_one_when_a_janitor_removes_the_temporary_file() {
    let shelf = Shelf::new(Manner { renames: Renames::Not(status::FAILURE), ..Manner::default() });
    let (files, mut noted) = (one("A.DAT", bytes(100)), Noted::default());
    assert_eq!(word(&run(&mut shelf.again(None), &files, &plan(), &mut noted)), "later:failure:failure");
    shelf.state().files.clear();
    shelf.state().manner = Manner::default();
    assert_eq!(word(&run(&mut shelf.again(None), &files, &plan(), &mut noted)), "published");
}

#[test]
fn a_file_that_was_changed_on_this_side_is_not_published() {
    for strategy in [Strategy::Rename, Strategy::Direct] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("staged");
        fs::write(&path, bytes(3000)).unwrap();
        let data =
            Staged { name: "A.DAT".into(), source: Source::File(path.clone()), content: Content::of(&bytes(3000)) };
        let files = Files { data, controls: Vec::new(), trigger: None };
        fs::write(&path, bytes(2999)).unwrap();
        let shelf = Shelf::new(Manner::default());
        let plan = Plan { terms: Terms { strategy, ..plan().terms }, ..plan() };
        let ended = run(&mut shelf.again(None), &files, &plan, &mut Noted::default());
        assert_eq!(word(&ended), "held:staged");
        assert!(!shelf.state().files.contains_key("A.DAT"));
    }
}

#[test]
fn only_old_temporary_files_of_our_naming_are_removed_and_only_when_asked_to() {
    let shelf = Shelf::new(Manner::default());
    for name in ["OLD.DAT.01234567.part", "OLD.DAT", "OLD.part", "notes.txt"] {
        shelf.state().files.insert(name.to_owned(), Vec::new());
    }
    let asked = Plan { tidy: Some(Tidy { days: 7, now: 8 * 86_400 }), ..plan() };
    assert_eq!(
        word(&run(&mut shelf.again(None), &one("A.DAT", bytes(10)), &plan(), &mut Noted::default())),
        "published"
    );
    assert_eq!(shelf.state().files.len(), 5);
    assert_eq!(
        word(&run(&mut shelf.again(None), &one("B.DAT", bytes(10)), &asked, &mut Noted::default())),
        "published"
    );
    let state = shelf.state();
    let left: Vec<&String> = state.files.keys().collect();
    assert_eq!(left, ["A.DAT", "B.DAT", "OLD.DAT", "OLD.part", "notes.txt"]);
}

#[test]
fn one_destination_that_fails_changes_nothing_at_another() {
    let (up, down) = (Shelf::new(Manner::default()), Shelf::new(Manner::default()));
    let files = three(bytes(3000));
    let (mut at_up, mut at_down) = (Noted::default(), Noted::default());
    assert_eq!(
        word(&run(&mut down.again(Some((4, false))), &files, &plan(), &mut at_down)),
        "later:connection:connection"
    );
    assert_eq!(word(&run(&mut up.again(None), &files, &plan(), &mut at_up)), "triggered");
    let requests = up.state().log.len();
    assert_eq!(word(&run(&mut down.again(None), &files, &plan(), &mut at_down)), "triggered");
    assert_eq!(word(&run(&mut up.again(None), &files, &plan(), &mut at_up)), "triggered");
    assert_eq!(up.state().log.len(), requests, "what is noted as published is not even looked at");
}

/// A place that stops answering after so many operations.
struct Cut<'a> {
    place: &'a mut dyn Place,
    left: &'a RefCell<usize>,
    after: bool,
}

impl Cut<'_> {
    fn run<T>(&mut self, work: impl FnOnce(&mut dyn Place) -> Result<T, Trouble>) -> Result<T, Trouble> {
        let mut left = self.left.borrow_mut();
        if *left > 0 {
            *left -= 1;
            if *left > 0 {
                return work(self.place);
            }
            if self.after {
                let _ = work(self.place);
            }
        }
        Err(Trouble::new(Class::Connection, "cut"))
    }
}

impl Place for Cut<'_> {
    fn probe(&mut self) -> Result<(), Trouble> {
        Ok(())
    }

    fn look(&mut self, name: Name<'_>) -> Result<Look, Trouble> {
        self.run(|place| place.look(name))
    }
    fn create(&mut self, name: Name<'_>, opening: Opening) -> Result<(), Trouble> {
        self.run(|place| place.create(name, opening))
    }
    fn write(&mut self, offset: u64, from: &mut dyn std::io::Read, progress: Progress<'_>) -> Result<u64, Trouble> {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).unwrap();
        let (first, second) = bytes.split_at(bytes.len().min(1500));
        let written = self.run(|place| place.write(offset, &mut &*first, progress))?;
        self.run(|place| place.write(offset + written, &mut &*second, progress)).map(|more| written + more)
    }
    fn sync(&mut self) -> Result<(), Trouble> {
        self.run(|place| place.sync())
    }
    fn close(&mut self) -> Result<(), Trouble> {
        self.run(|place| place.close())
    }
    fn rename(&mut self, from: Name<'_>, to: Name<'_>, replace: Replace) -> Result<(), Trouble> {
        self.run(|place| place.rename(from, to, replace))
    }
    fn settle(&mut self) -> Result<(), Trouble> {
        self.run(|place| place.settle())
    }
    fn remove(&mut self, name: Name<'_>) -> Result<(), Trouble> {
        self.run(|place| place.remove(name))
    }
    fn read(&mut self, name: Name<'_>, offset: u64, sink: Sink<'_>) -> Result<(), Trouble> {
        self.run(|place| place.read(name, offset, sink))
    }
    fn list(&mut self, temp: bool) -> Result<Vec<Entry>, Trouble> {
        self.run(|place| place.list(temp))
    }
}

/// Cuts at each operation (or each so many), with a new session each time from `open`, until one gets through; gives the
/// number of operations.
fn cut_everywhere(
    files: &Files,
    plan: &Plan,
    each: usize,
    mut open: impl FnMut() -> Box<dyn Place>,
    clean: impl Fn(),
) -> usize {
    for after in [false, true] {
        for at in (1..).step_by(each) {
            let left = RefCell::new(at);
            let mut noted = Noted::default();
            let mut place = open();
            let first = run(&mut Cut { place: &mut *place, left: &left, after }, files, plan, &mut noted);
            drop(place);
            let last = run(&mut *open(), files, plan, &mut noted);
            assert_eq!(word(&last), "triggered", "cut at {at}, after {after}: {noted}");
            clean();
            if first == Ended::Triggered {
                if after {
                    return at;
                }
                break;
            }
        }
    }
    0
}

#[test]
fn what_an_earlier_run_renamed_is_stored_before_it_counts_as_published() {
    struct Unstored(Directory);
    impl Place for Unstored {
        fn probe(&mut self) -> Result<(), Trouble> {
            Ok(())
        }

        fn look(&mut self, name: Name<'_>) -> Result<Look, Trouble> {
            self.0.look(name)
        }
        fn settle(&mut self) -> Result<(), Trouble> {
            Err(Trouble::new(Class::Failure, "the folder cannot be stored"))
        }
        fn create(&mut self, _: Name<'_>, _: Opening) -> Result<(), Trouble> {
            panic!("it is there already")
        }
        fn write(&mut self, _: u64, _: &mut dyn std::io::Read, _: Progress<'_>) -> Result<u64, Trouble> {
            panic!("it is there already")
        }
        fn sync(&mut self) -> Result<(), Trouble> {
            panic!("it is there already")
        }
        fn close(&mut self) -> Result<(), Trouble> {
            panic!("it is there already")
        }
        fn rename(&mut self, _: Name<'_>, _: Name<'_>, _: Replace) -> Result<(), Trouble> {
            panic!("it is there already")
        }
        fn remove(&mut self, _: Name<'_>) -> Result<(), Trouble> {
            panic!("nothing is left over")
        }
        fn read(&mut self, _: Name<'_>, _: u64, _: Sink<'_>) -> Result<(), Trouble> {
            panic!("its size is enough")
        }
        fn list(&mut self, _: bool) -> Result<Vec<Entry>, Trouble> {
            panic!("nobody asked for that")
        }
    }
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("A.DAT"), bytes(100)).unwrap();
    let step = |mark| Step { part: Part::Data, mark };
    let mut noted: Noted = [step(Mark::Uploaded), step(Mark::Sent)].into_iter().collect();
    let mut place = Unstored(Directory::open(folder.path(), None).unwrap());
    let ended = run(&mut place, &one("A.DAT", bytes(100)), &plan(), &mut noted);
    assert_eq!(word(&ended), "later:failure:failure");
    assert!(!noted.of(Part::Data).published);
    assert_eq!(word(&run(&mut place.0, &one("A.DAT", bytes(100)), &plan(), &mut noted)), "published");
}

#[test]
fn a_folder_cut_at_every_operation_holds_whole_files_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let files = three(bytes(4000));
    let hidden = Plan { hidden: true, ..plan() };
    let cuts = cut_everywhere(
        &files,
        &hidden,
        1,
        || Box::new(Directory::open(folder.path(), None).unwrap()),
        || {
            assert_eq!(names(folder.path()), ["A.CTL", "A.DAT", "A.DONE"]);
            assert!(fs::read(folder.path().join("A.DAT")).unwrap() == bytes(4000));
            for name in names(folder.path()) {
                fs::remove_file(folder.path().join(name)).unwrap();
            }
        },
    );
    assert!(cuts > 20, "{cuts}");
}
