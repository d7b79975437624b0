//! No space while pages come in: nothing of them is lost, nothing is written twice, and it goes on by itself.

use super::both_ways::{office, rows};
use crate::disk_full::{let_go, no_space};
use crate::support::office::wait;
use crate::support::verdict::integrity;
use crate::support::world::{Paging, World};

#[test]
fn pages_that_find_no_space_are_written_once_there_is_some() {
    for of_state in [false, true] {
        let world = World::start(Paging::Token, 40);
        (1..=50).for_each(|id| world.put(id, "before"));
        let office = office(&world, "", "50ms");
        let agent = office.agent();
        wait("it has read", || rows(&office) == world.alive());
        let file = if of_state { office.state() } else { office.database() };
        let strace = no_space(&office, &file, &agent);
        world.pass(1000);
        (1..=100).for_each(|id| world.put(id, "after"));
        agent.says("disk is full");
        // Whatever of the pages could be written before that is there whole.
        let there = rows(&office);
        assert!(there.len() >= 50, "{}", there.len());
        let_go(strace);
        wait("it goes on by itself", || rows(&office) == world.alive());
        agent.stop();
        assert_eq!(office.run(&["run", "--once"]).code, Some(0));
        assert_eq!((rows(&office), office.highest()), (world.alive(), 150), "each was written once");
        assert_eq!([integrity(&office.database()), integrity(&office.state())], [Vec::<String>::new(), Vec::new()]);
        assert!(world.journal().iter().all(|asked| asked.method == "GET"), "nothing is echoed");
    }
}
