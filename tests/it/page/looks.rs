//! How the page looks: on a telephone and a wide screen, by day and by night.

use super::{browser, refusing};
use crate::support::chromium::Chromium;
use crate::support::receiver::Receiver;

/// Text whose contrast to what is behind it is less than 4.5 to 1 (WCAG 2.2, 1.4.3).
const PALE: &str = r"(() => {
  const canvas = Object.assign(document.createElement('canvas'), { width: 1, height: 1 }).getContext('2d', { willReadFrequently: true });
  const rgb = (colour) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); return canvas.getImageData(0, 0, 1, 1).data; };
  const light = (colour) => { const [r, g, b] = [...colour].map((part) => { const c = part / 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = (node) => { for (let at = node; at; at = at.parentElement) { const colour = rgb(getComputedStyle(at).backgroundColor); if (colour[3] > 200) return colour; } return rgb('white'); };
  const pale = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const node = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim() || ['SCRIPT', 'STYLE', 'NOSCRIPT', 'OPTION'].includes(node.tagName) || !node.checkVisibility({ visibilityProperty: true })) continue;
    const [a, b] = [light(rgb(getComputedStyle(node).color)), light(behind(node))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) pale.push(`${walk.currentNode.data.trim()}: ${contrast.toFixed(1)}`);
  }
  return pale.join('\n');
})()";

/// Whether something sticks out to the side.
fn wide(browser: &mut Chromium) -> String {
    let out = browser.js(
        "[...document.querySelectorAll('body *')].filter((node) => node.checkVisibility() && node.getBoundingClientRect().right > innerWidth + 1) \
         .map((node) => node.outerHTML.slice(0, 100)).join('\\n') + (document.documentElement.scrollWidth > innerWidth ? 'scrolls' : '')",
    );
    out.as_str().unwrap().to_owned()
}

#[test]
fn the_page_is_readable_on_a_telephone_and_on_a_wide_screen_by_day_and_by_night() {
    let target = Receiver::start();
    let (office, agent) = refusing(&target);
    let long = "a-connector-whose-name-somebody-thought-very-long-and-very-very-carefully-about-without-a-blank";
    office.rest(long, &target, "");
    agent.signal(rustix::process::Signal::HUP);
    agent.says("reloaded; running: ");
    let mut browser = browser(&office);
    browser.says("#connectors", long);
    browser.says("#parked-list", "visits 2");
    browser.click("#parked-list .link");
    browser.says("#record-events", "refused");
    let ground = |browser: &mut Chromium| browser.js("getComputedStyle(document.body).backgroundColor");
    let mut grounds = Vec::new();
    for dark in [false, true] {
        for width in [320, 400, 700, 1000, 1600] {
            browser.view(width, dark);
            assert_eq!(wide(&mut browser), "", "{width} px");
            assert_eq!(browser.js(PALE), "", "{width} px, dark: {dark}");
        }
        grounds.push(ground(&mut browser));
    }
    assert_ne!(grounds[0], grounds[1]);
    // Twice as large as usual is half as wide, and everything is still there.
    browser.call("Emulation.setPageScaleFactor", serde_json::json!({"pageScaleFactor": 1}));
    browser.view(640, false);
    assert_eq!(wide(&mut browser), "");
    browser.click("#parked-list .buttons button");
    assert_eq!(browser.js(PALE), "", "the question");
    assert_eq!(wide(&mut browser), "", "the question");
    browser.press("Escape");
    // On paper: dark on white, without what cannot be pressed there.
    browser.call("Emulation.setEmulatedMedia", serde_json::json!({"media": "print", "features": []}));
    assert_eq!(browser.js("getComputedStyle(document.querySelector('.buttons')).display"), "none");
    assert_eq!(ground(&mut browser), "rgb(255, 255, 255)");
    assert_eq!(browser.js(PALE), "", "on paper");
    agent.stop();
}
