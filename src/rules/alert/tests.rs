use super::*;

const NOW: Timestamp = Timestamp(1_900_000_000_000);
const MINUTE: Duration = Duration::from_secs(60);

fn found(condition: Condition, since: Option<Timestamp>) -> Finding {
    Finding {
        condition,
        subject: "legacy".to_owned(),
        severity: Severity::Critical,
        since,
        count: Some(1),
        what: "it is down".to_owned(),
        mend: "look".to_owned(),
    }
}

/// What is told while the finding is there at the minutes that `there` says, looked at each minute: minutes and steps.
fn told(minutes: u32, since: u32, there: impl Fn(u32) -> bool) -> Vec<(u32, Step)> {
    let (mut book, mut told) = (None, Vec::new());
    for minute in 0..minutes {
        let found = there(minute).then(|| found(Condition::BreakerOpen, Some(NOW.plus(MINUTE * since))));
        let now = NOW.plus(MINUTE * minute);
        let (next, step) = judge(Pace::Fast, book, found.as_ref(), &Limits::default(), now);
        // What is remembered survives a restart at any minute.
        book = next.map(|book| serde_json::from_str(&serde_json::to_string(&book).unwrap_or_default()).unwrap_or(book));
        told.extend(step.map(|step| (minute, step)));
    }
    told
}

#[test]
fn an_outage_is_told_after_a_quarter_of_an_hour_an_hour_a_day_and_then_each_day_until_it_is_over() {
    const DAY: u32 = 24 * 60;
    let days = told(5 * DAY, 0, |minute| (15..3 * DAY + 100).contains(&minute));
    let expected = [
        (15, Step::Opened),
        (60, Step::Reminded),
        (DAY, Step::Reminded),
        (2 * DAY, Step::Reminded),
        (3 * DAY, Step::Reminded),
        (3 * DAY + 105, Step::Cleared),
    ];
    assert_eq!(days, expected);
}

#[test]
fn what_begins_now_is_told_at_once() {
    assert_eq!(told(61, 0, |_| true), [(0, Step::Opened), (60, Step::Reminded)]);
    // The agent was away while it began: no two notices within minutes.
    assert_eq!(told(24 * 60 + 51, 0, |minute| minute >= 50), [(50, Step::Opened), (1440, Step::Reminded)]);
}

#[test]
fn what_comes_and_goes_stays_open_and_what_comes_again_needs_a_longer_calm() {
    // Gone for four minutes of five: nothing is over.
    assert_eq!(told(59, 0, |minute| minute % 5 == 0), [(0, Step::Opened)]);
    // Gone for ten minutes each time: over after 5 minutes, then it takes 10, then it stays.
    let flapping = told(58, 0, |minute| minute % 11 == 0);
    assert_eq!(flapping, [(0, Step::Opened), (6, Step::Cleared), (11, Step::Opened)]);
    let long = told(24 * 60, 0, |minute| minute % 45 == 0);
    let opened = long.iter().filter(|(_, step)| *step == Step::Opened).count();
    assert!(opened <= 5, "{long:?}");
    // A day later it is something new.
    let again = told(2 * 24 * 60, 0, |minute| minute == 0 || minute == 24 * 60 + 20);
    let cleared: Vec<u32> =
        again.iter().filter(|(_, step)| *step == Step::Cleared).map(|(minute, _)| *minute).collect();
    assert_eq!(cleared, [6, 24 * 60 + 26]);
}

#[test]
fn a_certificate_is_told_each_week_and_each_day_when_it_is_urgent() {
    let (mut book, mut told) = (None, Vec::new());
    for day in 0..34_u32 {
        let severity = if day < 23 { Severity::Warning } else { Severity::Critical };
        let found = Finding { severity, ..found(Condition::Certificate, None) };
        let (next, step) = judge(Pace::Slow, book, Some(&found), &Limits::default(), NOW.plus(DAY * day));
        book = next;
        told.extend(step.map(|_| day));
    }
    assert_eq!(told, [0, 7, 14, 21, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33]);
}

#[test]
fn ten_thousand_dead_letters_are_one_alert_with_the_latest_count() {
    let limits = Limits::default();
    let mut book = None;
    let mut steps = Vec::new();
    for n in 1..=10_000_u64 {
        let found = Finding { count: Some(n), ..found(Condition::DeadLetters, None) };
        let (next, step) =
            judge(Pace::Fast, book, Some(&found), &limits, Timestamp(NOW.0 + i64::try_from(n).unwrap_or(0)));
        book = next;
        steps.extend(step);
    }
    assert_eq!((steps, book.and_then(|book| book.count)), (vec![Step::Opened], Some(10_000)));
}

#[test]
fn a_clock_that_is_set_back_silences_nothing() {
    let finding = found(Condition::Halted, None);
    let (book, _) = judge(Pace::Fast, None, Some(&finding), &Limits::default(), NOW);
    let back = NOW.minus(DAY * 400);
    let (book, step) = judge(Pace::Fast, book, Some(&finding), &Limits::default(), back);
    assert_eq!(step, None);
    let (book, step) = judge(Pace::Fast, book, Some(&finding), &Limits::default(), back.plus(DAY));
    assert_eq!(step, Some(Step::Reminded));
    let (book, _) = judge(Pace::Fast, book, None, &Limits::default(), back);
    let (_, step) = judge(Pace::Fast, book, None, &Limits::default(), back.plus(MINUTE * 5));
    assert_eq!(step, Some(Step::Cleared));
}
