//! The page: both sides are compared, and one is chosen.

use super::{disputed, entry, told};
use crate::support::chromium::Chromium;
use crate::support::office::Office;
use crate::support::receiver::Receiver;

fn browser(office: &Office) -> Chromium {
    let opened = office.run(&["-q", "status", "--open"]);
    assert_eq!(opened.code, Some(0), "{opened:?}");
    let mut browser = Chromium::start();
    browser.view(1200, false);
    browser.open(opened.stdout.trim());
    browser.says("#disputes-list", "visits 1");
    browser
}

fn opened(target: &Receiver) -> Office {
    let office = disputed(target);
    office.add_settings("api: {listen: \"127.0.0.1:0\"}");
    office
}

#[test]
fn both_sides_are_compared_when_somebody_asks_and_one_is_chosen_with_a_reason() {
    let target = Receiver::start();
    let office = opened(&target);
    let agent = office.agent();
    let mut browser = browser(&office);
    browser.says("#verdict-title", "One thing needs you");
    browser.says("#connectors", "1 conflict");
    assert!(!browser.text("body").contains("Ada"), "no value before somebody asks for it");
    browser.click("#disputes-list .buttons button");
    browser.wait("it is open", "document.querySelector('#dispute').open");
    let shown = browser.text("#dispute");
    for words in ["Agreed before", "Ada L.", "Ada B.", "for the whole record", "What legacy has, here too"] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    browser.click("#dispute-yes");
    browser.says("#dispute-wrong", "Choose one of the three.");
    browser.click("#take-remote");
    browser.click("#dispute-yes");
    browser.says("#dispute-wrong", "Say why");
    browser.click("#dispute-reason");
    browser.write("they called her");
    browser.press("Enter");
    browser.wait("nothing is left to decide", "document.querySelector('#disputes').hidden");
    browser.says("#verdict-title", "All is well");
    let kept = entry(&office);
    assert_eq!((kept.take.as_deref(), kept.why.as_deref()), (Some("remote"), Some("they called her")));
    assert!(kept.who.unwrap().ends_with("(page)"));
    assert_eq!(told(&office), 1);
    assert_eq!(browser.js("document.querySelector('#dispute-rows').textContent"), "", "no value stays");
    browser.js("document.querySelector('#find-type').value = 'visits'");
    browser.click("#find-key");
    browser.write("1");
    browser.press("Enter");
    browser.says("#record-events", "took remote: they called her");
    assert_eq!(browser.complaints(), Vec::<String>::new());
    agent.stop();
}

#[test]
fn another_value_can_be_given_and_leaving_forgets_what_was_shown() {
    let target = Receiver::start();
    let office = opened(&target);
    let agent = office.agent();
    let mut browser = browser(&office);
    browser.click("#disputes-list .buttons button");
    browser.wait("it is open", "document.querySelector('#dispute').open");
    browser.press("Escape");
    browser.wait("it is closed", "!document.querySelector('#dispute').open");
    browser.wait("it is forgotten", "!document.documentElement.textContent.includes('Ada B.')");
    assert_eq!(told(&office), 0);
    browser.click("#disputes-list .buttons button");
    browser.wait("it is open", "document.querySelector('#dispute').open");
    for width in [360, 1200] {
        browser.view(width, width == 360);
        let wide = "(() => { const box = document.querySelector('#dispute'); \
             return Math.max(box.scrollWidth - box.clientWidth, document.documentElement.scrollWidth - innerWidth); })()";
        assert_eq!(browser.js(wide), 0, "nothing is beyond the edge of {width}");
    }
    browser.click("#take-value");
    browser.wait("it asks which", "!document.querySelector('#dispute-fields').hidden");
    browser.js("document.querySelector('#dispute-fields input').value = 'Ada C.'");
    browser.click("#dispute-reason");
    browser.write("asked her");
    browser.click("#dispute-yes");
    browser.wait("nothing is left to decide", "document.querySelector('#disputes').hidden");
    assert_eq!(entry(&office).value.unwrap().get("name"), Some(&"Ada C.".into()));
    assert_eq!(browser.complaints(), Vec::<String>::new());
    agent.stop();
}
