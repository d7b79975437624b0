//! The page for who has no mouse, and for who does not see it.

use super::{browser, refusing};
use crate::support::chromium::Chromium;
use crate::support::journal::committed;
use crate::support::receiver::Receiver;

/// What has the focus: its id, or its name for who does not see.
fn focus(browser: &mut Chromium) -> String {
    let at = browser.js(
        "(() => { const at = document.activeElement; return at.getAttribute('aria-label') || at.id || at.innerText || at.tagName; })()",
    );
    at.as_str().unwrap().to_owned()
}

/// Whether one sees that it has.
fn is_seen(browser: &mut Chromium) -> bool {
    let seen = browser.js(
        "(() => { const at = document.activeElement; const style = getComputedStyle(at); const box = at.getBoundingClientRect(); \
         return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2 && box.width > 0 && box.top >= 0 && box.top < innerHeight; })()",
    );
    seen == true
}

#[test]
fn a_dead_letter_is_sent_again_by_the_keyboard_alone_and_one_sees_where_one_is() {
    let target = Receiver::start();
    let (office, agent) = refusing(&target);
    let mut browser = browser(&office);
    browser.says("#parked-list", "visits 2");
    let mut way = Vec::new();
    while way.last().is_none_or(|at: &String| at != "Retry visits 2 at legacy") {
        browser.press("Tab");
        way.push(focus(&mut browser));
        assert!(is_seen(&mut browser), "{way:?}");
        assert!(way.len() < 30, "{way:?}");
    }
    let expected = [
        "Skip to the content",
        "find-type",
        "find-key",
        "Find record",
        "sign-out",
        "visits 2",
        "Retry visits 2 at legacy",
    ];
    assert_eq!(way, expected);
    browser.press("Enter");
    browser.wait("it asks why", "document.querySelector('#ask').open");
    assert_eq!(focus(&mut browser), "ask-reason");
    browser.press("Escape");
    browser.wait("it does not ask any more", "!document.querySelector('#ask').open");
    assert_eq!(focus(&mut browser), "Retry visits 2 at legacy", "back where one was");
    browser.press("Enter");
    browser.write("mended");
    // Cancel is passed on the way to the button that does it.
    browser.press("Tab");
    assert_eq!(focus(&mut browser), "ask-no");
    browser.press("Tab");
    assert_eq!(focus(&mut browser), "ask-yes");
    browser.press(" ");
    target.wait("it arrives", |journal| committed(journal) == 3);
    browser.says("#verdict-title", "All is well");
    agent.stop();
}

#[test]
fn a_record_is_found_by_the_keyboard_alone() {
    let target = Receiver::start();
    let (office, agent) = refusing(&target);
    let mut browser = browser(&office);
    browser.press("Tab");
    browser.press("Tab");
    browser.write("visits");
    browser.press("Tab");
    browser.write("3");
    browser.press("Enter");
    browser.says("#record-events", "delivered");
    assert_eq!(focus(&mut browser), "record-title", "who does not see is told");
    browser.press("Tab");
    assert_eq!(focus(&mut browser), "record-close");
    browser.press("Enter");
    browser.wait("it is closed", "document.querySelector('#record').hidden");
    assert_eq!(focus(&mut browser), "find-key");
    agent.stop();
}

#[test]
fn who_does_not_see_the_page_hears_everything_that_it_says() {
    let target = Receiver::start();
    let (office, agent) = refusing(&target);
    let mut browser = browser(&office);
    browser.says("#parked-list", "visits 2");
    browser.says("#feed-state", "live");
    office.sql("DELETE FROM visits WHERE id = 3");
    browser.says("#feed", "visits deleted");
    browser.says("#connectors .hour", "3 delivered");
    for width in [1200, 400] {
        browser.view(width, false);
        let tree = browser.tree();
        let hears = |role: &str, name: &str| tree.iter().any(|(of, said)| of == role && said.contains(name));
        for (role, name) in [
            ("heading", "One thing needs you"),
            ("search", "Find one record"),
            ("textbox", "Key"),
            ("combobox", "Type or table"),
            ("button", "Find record"),
            ("button", "Retry visits 2 at legacy"),
            ("button", "Discard visits 2 at legacy"),
            ("main", ""),
            ("banner", ""),
            ("region", "Connectors"),
            ("region", "Need a decision"),
            ("table", "Connectors"),
            ("columnheader", "Last success"),
            ("rowheader", "legacy"),
            ("cell", "needs a decision"),
            ("image", "Last hour: 3 delivered, 1 failed"),
            ("list", "The newest changes first"),
        ] {
            assert!(hears(role, name), "{width}: no {role} {name:?} in {tree:#?}");
        }
        // Nothing that can be used has no name, and no picture.
        let nameless = |(role, name): &&(String, String)| {
            ["button", "textbox", "combobox", "link", "image", "checkbox"].contains(&role.as_str()) && name.is_empty()
        };
        assert_eq!(tree.iter().find(nameless), None, "{width}");
        let live = browser.js("document.querySelector('#verdict-title').parentElement.getAttribute('aria-live')");
        assert_eq!(live, "polite");
    }
    assert_eq!(browser.js("document.documentElement.lang"), "en");
    agent.stop();
}
