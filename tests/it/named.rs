//! Names and ids that are not there: the same words and the same end, whether an agent runs or not.

use crate::support::office::Office;
use crate::support::receiver::Receiver;

#[test]
fn a_delivery_that_is_not_parked_is_refused_by_its_id() {
    let target = Receiver::start();
    let office = Office::with(&target, "", "INSERT INTO visits VALUES (1, 'Ada', 10)");
    assert_eq!(office.once().0, Some(0));
    for running in [false, true] {
        let agent = running.then(|| office.agent());
        for verb in ["retry", "discard", "hold", "release"] {
            for more in [&[][..], &["--connector", "legacy"]] {
                let said = office.run(&[&["deliveries", verb, "abc", "4711"], more].concat());
                assert_eq!(said.code, Some(65), "{verb}: {}", said.stderr);
                for id in ["abc", "4711"] {
                    assert!(said.stderr.contains(id), "{verb}: {}", said.stderr);
                }
            }
        }
        assert_eq!(office.run(&["deliveries", "retry", "--all"]).code, Some(0), "a choice that fits nothing is none");
        agent.into_iter().for_each(|agent| agent.stop());
    }
}

#[test]
fn a_connector_or_a_table_that_is_not_there_ends_with_2_also_while_the_agent_runs() {
    let target = Receiver::start();
    let office = Office::with(&target, "", "INSERT INTO visits VALUES (1, 'Ada', 10)");
    assert_eq!(office.once().0, Some(0));
    let ask = || [["sync", "legcay"], ["reconcile", "vists"]].map(|words| office.run(&words));
    let without = ask().map(|said| (said.code, said.stderr));
    assert!(without[0].1.contains("legacy"), "the nearest name: {}", without[0].1);
    let agent = office.agent();
    let with = ask().map(|said| (said.code, said.stderr));
    assert_eq!(with, without);
    assert_eq!(with.map(|(code, _)| code), [Some(2); 2]);
    assert!(!agent.said().contains("ERROR"), "{}", agent.said());
    agent.stop();
}
