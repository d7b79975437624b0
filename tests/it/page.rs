//! The status page, in a real Chromium: what a person in front of it sees and does.

mod keyboard;
mod looks;
mod signing_in;

use crate::support::chromium::Chromium;
use crate::support::journal::committed;
use crate::support::loopback::Way;
use crate::support::office::{Agent, Office, THREE, wait};
use crate::support::receiver::Receiver;
use crate::support::scenario::Scenario;

/// An office whose agent has a port for the page.
fn office(target: &Receiver, sql: &str) -> Office {
    let office = Office::with(target, "", sql);
    office.add_settings("api: {listen: \"127.0.0.1:0\"}");
    office
}

/// The address of the page with a code, as the command line prints it.
fn address(office: &Office) -> String {
    let opened = office.run(&["-q", "status", "--open"]);
    assert_eq!(opened.code, Some(0), "{opened:?}");
    let address = opened.stdout.trim().to_owned();
    assert!(address.starts_with("http://127.0.0.1:") && address.contains("/#code="), "{address}");
    address
}

/// A browser in front of the page, signed in.
fn browser(office: &Office) -> Chromium {
    let mut browser = Chromium::start();
    browser.view(1200, false);
    browser.open(&address(office));
    browser.wait("it shows how it stands", "document.querySelector('#fresh')?.innerText");
    browser
}

/// One of three visits is refused, the others are there.
fn refusing(target: &Receiver) -> (Office, Agent) {
    target.meet(|entry| (entry.path == "/visits/2").then(|| Scenario::named("status_422")));
    let office = office(target, THREE);
    let agent = office.agent();
    wait("one is dead", || office.parked_words("legacy") == ["dead http-422"] && office.cursor("legacy") == 3);
    target.behave();
    (office, agent)
}

#[test]
fn the_page_asks_nobody_but_the_agent_and_complains_of_nothing() {
    let target = Receiver::start();
    let office = office(&target, THREE);
    let agent = office.agent();
    let mut browser = browser(&office);
    browser.says("#verdict-title", "All is well");
    browser.says("#connectors", "3 in all");
    browser.says("#logs", "3 changes captured of visits");
    browser.says("#office", "OF042");
    let origin = browser.js("location.origin").as_str().unwrap().to_owned();
    let requests = browser.requests();
    let own = |url: &&String| !url.starts_with(&format!("{origin}/")) && !url.starts_with("data:");
    assert_eq!(requests.iter().find(own), None, "{requests:?}");
    assert!(requests.iter().all(|url| !url.contains("code")), "the code is in no request: {requests:?}");
    assert_eq!(browser.complaints(), Vec::<String>::new());
    // What the page may not do, it cannot: neither style nor script nor a picture of anybody else.
    let tried = browser.js("(async () => { const refused = []; \
         document.addEventListener('securitypolicyviolation', (event) => refused.push(event.effectiveDirective)); \
         document.body.setAttribute('style', 'color: red'); \
         document.body.append(Object.assign(new Image(), {src: 'http://127.0.0.1:9/x.png'})); \
         await fetch('http://127.0.0.1:9/').catch(() => {}); \
         try { document.body.innerHTML = '<b>x</b>'; } catch (error) { refused.push(error.name); } \
         await new Promise((soon) => setTimeout(soon, 100)); return refused.sort().join(' '); })()");
    let tried = tried.as_str().unwrap();
    for directive in ["TypeError", "connect-src", "img-src", "style-src-attr"] {
        assert!(tried.contains(directive), "{tried}");
    }
    agent.stop();
}

#[test]
fn a_change_in_the_office_and_its_delivery_appear_without_loading_the_page_again() {
    let target = Receiver::start();
    let office = office(&target, "");
    let agent = office.agent();
    let mut browser = browser(&office);
    browser.js("window.since = 'the beginning'");
    browser.says("#feed-state", "live");
    office.sql("INSERT INTO visits VALUES (7, 'Secret Name', 10)");
    browser.says("#feed", "visits new");
    office.sql("UPDATE visits SET name = 'Other Name' WHERE id = 7");
    browser.says("#feed", "visits changed: name");
    browser.says("#feed", "legacy: ");
    browser.says("#connectors", "2 in all");
    browser.says("#connectors .hour", "2 delivered");
    assert_eq!(browser.js("window.since"), "the beginning");
    // No value of a record came to the browser at all.
    assert!(!browser.text("body").contains("Name"));
    assert_eq!(browser.complaints(), Vec::<String>::new());
    agent.stop();
}

#[test]
fn a_dead_letter_is_sent_again_with_a_reason_and_the_record_tells_of_it() {
    let target = Receiver::start();
    let (office, agent) = refusing(&target);
    let mut browser = browser(&office);
    browser.says("#verdict-title", "One thing needs you");
    browser.says("#parked-list", "visits 2");
    browser.says("#connectors", "1 refused");
    browser.click("#parked-list .buttons button");
    browser.wait("it asks why", "document.querySelector('#ask').open");
    browser.click("#ask-yes");
    assert_eq!(browser.js("document.querySelector('#ask').open"), true, "not without a reason");
    browser.write("the target knows the clinic now");
    browser.click("#ask-yes");
    target.wait("it arrives", |journal| committed(journal) == 3);
    browser.says("#verdict-title", "All is well");
    browser.wait("nothing is left to decide", "document.querySelector('#parked').hidden");
    browser.js("document.querySelector('#find-type').value = 'visits'");
    browser.click("#find-key");
    browser.write("2");
    browser.press("Enter");
    browser.says("#record-events", "retry by");
    // What is shown follows what is written down.
    for step in
        ["visits 2", "1 change", "attempt 1", "HTTP 422", "(page): the target knows the clinic now", "delivered, HTTP"]
    {
        browser.says("#record", step);
    }
    assert_eq!(browser.complaints(), Vec::<String>::new());
    agent.stop();
}

#[test]
fn a_dead_letter_is_discarded_and_a_held_one_released_and_what_cannot_be_done_is_said() {
    let target = Receiver::start();
    let (office, agent) = refusing(&target);
    assert_eq!(office.run(&["deliveries", "discard", "2"]).code, Some(0));
    let hold = |sql: &str| {
        assert_eq!(Way::socket(&office).post("/connectors/legacy/pause", "").status, 200);
        office.sql(sql);
        let last = office.highest().to_string();
        assert_eq!(office.run(&["deliveries", "hold", &last, "--connector", "legacy"]).code, Some(0));
        assert_eq!(Way::socket(&office).post("/connectors/legacy/resume", "").status, 200);
        wait("it is held", || office.parked_words("legacy") == ["held operator"]);
    };
    let mut browser = browser(&office);
    hold("INSERT INTO visits VALUES (8, 'Dee', 5)");
    browser.says("#parked-list", "visits 8");
    browser.says("#parked-list .buttons", "Release");
    browser.click("#parked-list .buttons button");
    browser.write("looked at it");
    // Somebody else was quicker.
    assert_eq!(office.run(&["deliveries", "release", "4"]).code, Some(0));
    target.wait("it arrives", |journal| committed(journal) == 3);
    wait("it is written down", || office.parked("legacy").is_empty());
    browser.click("#ask-yes");
    browser.says("#ask-wrong", "no delivery");
    browser.press("Escape");
    hold("INSERT INTO visits VALUES (9, 'Eve', 5)");
    browser.says("#parked-list", "visits 9");
    browser.click("#parked-list .buttons button");
    browser.write("looked at it");
    browser.press("Enter");
    target.wait("it arrives", |journal| committed(journal) == 4);
    browser.wait("nothing is left to decide", "document.querySelector('#parked').hidden");
    target.meet(|entry| (entry.path == "/visits/10").then(|| Scenario::named("status_422")));
    office.sql("INSERT INTO visits VALUES (10, 'Fay', 5)");
    browser.says("#parked-list", "visits 10");
    browser.click("#parked-list .buttons button + button");
    browser.says("#ask-title", "Give it up?");
    browser.write("a test row");
    browser.press("Enter");
    browser.wait("nothing is left to decide", "document.querySelector('#parked').hidden");
    let history = String::from_utf8(Way::socket(&office).get("/records/visits/10").body).unwrap();
    assert!(history.contains("discard by") && history.contains("(page): a test row"), "{history}");
    // The one complaint is the refusal that was met.
    assert!(browser.complaints().iter().all(|said| said.contains("404")), "{:?}", browser.complaints());
    agent.stop();
}

#[test]
fn a_record_that_is_not_known_is_said_to_be_so() {
    let target = Receiver::start();
    let office = office(&target, THREE);
    let agent = office.agent();
    wait("all is there", || office.cursor("legacy") == 3);
    let mut browser = browser(&office);
    let find = |browser: &mut Chromium, kind: &str, key: &str| {
        browser.js(&format!(
            "(() => {{ document.querySelector('#find-type').value = {kind:?}; \
             document.querySelector('#find-key').value = {key:?}; document.querySelector('#search').requestSubmit(); }})()"
        ));
    };
    find(&mut browser, "visits", "77");
    browser.says("#record-said", "No change of this record is in a log or parked");
    find(&mut browser, "nothing/of:that?kind", "1");
    browser.says("#record-said", "No such type or table is known");
    find(&mut browser, "visits", "3");
    browser.says("#record-said", "1 change");
    browser.says("#record-events", "delivered");
    // What is shown follows what happens.
    office.sql("UPDATE visits SET minutes = 31 WHERE id = 3");
    browser.says("#record-said", "2 changes");
    browser.says("#record-events", "changed: minutes");
    agent.stop();
}

#[test]
fn an_agent_that_is_away_is_said_to_be_and_the_page_comes_back_with_it() {
    let target = Receiver::start();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let office = Office::with(&target, "", THREE);
    office.add_settings(&format!("api: {{listen: \"{port}\"}}"));
    let agent = office.agent();
    let mut browser = browser(&office);
    browser.says("#verdict-title", "All is well");
    agent.stop();
    browser.says("#verdict-title", "The agent is not reachable");
    browser.says("#connectors", "legacy");
    let agent = office.agent();
    // Sessions end with the agent.
    browser.says("#signin", "hms-sync status --open");
    browser.open(&address(&office));
    browser.says("#verdict-title", "All is well");
    browser.says("#feed-state", "live");
    office.sql("INSERT INTO visits VALUES (4, 'Dee', 40)");
    browser.says("#feed", "visits new");
    agent.stop();
}

#[test]
fn a_page_that_nobody_looks_at_asks_nothing_and_goes_on_when_somebody_does() {
    let target = Receiver::start();
    let office = office(&target, "");
    let agent = office.agent();
    let mut browser = browser(&office);
    browser.says("#feed-state", "live");
    let look = |browser: &mut Chromium, hidden: bool| {
        browser.js(&format!(
            "(() => {{ Object.defineProperty(document, 'hidden', {{get: () => {hidden}, configurable: true}}); \
             document.dispatchEvent(new Event('visibilitychange')); }})()"
        ));
    };
    look(&mut browser, true);
    browser.says("#feed-state", "paused");
    // Whatever was under way has come to its end; from then on nothing is asked.
    browser.js("new Promise((then) => setTimeout(then, 500))");
    let before = browser.requests().len();
    office.sql(THREE);
    target.wait("all arrive", |journal| committed(journal) == 3);
    browser.js("new Promise((then) => setTimeout(then, 2500))");
    assert_eq!(browser.requests().len(), before, "{:?}", browser.requests());
    look(&mut browser, false);
    browser.says("#feed", "visits new");
    browser.says("#connectors", "3 in all");
    agent.stop();
}

#[test]
fn names_that_are_markup_are_shown_as_they_are_and_do_nothing() {
    let target = Receiver::start();
    let office = office(&target, "");
    let name = "<img src=x onerror=alert(1)>";
    let url = target.url("/odd/{id}");
    let ca = target.ca.file();
    office.connector(
        "odd",
        &format!("name: \"{name}\"\nlisten: '*'\ntarget: {{url: \"{url}\", tls: {{ca: \"{}\"}}}}\n", ca.display()),
    );
    target.meet(|entry| entry.path.starts_with("/odd/").then(|| Scenario::named("status_422")));
    let agent = office.agent();
    let mut browser = browser(&office);
    browser.says("#connectors", name);
    browser.says("#feed-state", "live");
    let body = r#"{"type": "<script>alert(1)</script>", "payload": {"id": "<b>\"bold\"</b>&amp;"}}"#;
    assert_eq!(Way::socket(&office).post("/sync", body).status, 200);
    browser.says("#parked-list", r#"<script>alert(1)</script> <b>"bold"</b>&amp;"#);
    browser.says("#feed", "<script>alert(1)</script> came in");
    browser.says("#needs", name);
    browser.click("#parked-list .link");
    browser.says("#record-events", name);
    assert_eq!(browser.js("document.querySelectorAll('main img, main script, main b, footer b').length"), 0);
    browser.click("#parked-list .buttons button");
    browser.says("#ask-what", name);
    browser.write("<i>so</i>");
    browser.press("Enter");
    browser.says("#record-events", "<i>so</i>");
    assert_eq!(browser.complaints(), Vec::<String>::new());
    agent.stop();
}
