//! The status page: one file that asks nobody but this agent. Its parts lie in `page/`: the frame, the style, and small
//! scripts that are put one after the other; there is no build step. The policy names the digests of style and script, so
//! that no other script can run, and nothing may be fetched from elsewhere.

use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

const FRAME: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPTS: [&str; 10] = [
    include_str!("page/words.js"),
    include_str!("page/dom.js"),
    include_str!("page/agent.js"),
    include_str!("page/glance.js"),
    include_str!("page/drops.js"),
    include_str!("page/deliveries.js"),
    include_str!("page/disputes.js"),
    include_str!("page/record.js"),
    include_str!("page/feed.js"),
    include_str!("page/main.js"),
];
/// Where they go in the frame.
const STYLE_HERE: &str = "/* the style */";
const SCRIPT_HERE: &str = "/* the script */";

static SCRIPT: LazyLock<String> = LazyLock::new(|| format!("'use strict';\n{}", SCRIPTS.concat()));
static TEXT: LazyLock<String> =
    LazyLock::new(|| FRAME.replacen(STYLE_HERE, STYLE, 1).replacen(SCRIPT_HERE, &SCRIPT, 1));

/// The page, as HTML.
pub fn text() -> &'static str {
    &TEXT
}

/// What the page may do, as a `Content-Security-Policy`: run its own style and script, show the icon that it draws itself,
/// and ask this agent.
pub fn policy() -> String {
    let hash = |text: &str| BASE64_STANDARD.encode(digest(&SHA256, text.as_bytes()));
    format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; img-src data:; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
         trusted-types 'none'",
        hash(&SCRIPT),
        hash(STYLE)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_one_file_that_names_no_other_and_sets_no_markup_from_data() {
        let text = text();
        assert!(text.contains(STYLE) && text.contains(&*SCRIPT) && !text.contains(STYLE_HERE));
        for elsewhere in ["http://", "https://", "src=", "@import", "url(", "//cdn"] {
            let found =
                text.match_indices(elsewhere).filter(|(at, _)| !text[*at..].starts_with("http://www.w3.org/2000/svg"));
            assert_eq!(found.count(), 0, "{elsewhere}");
        }
        for unsafe_way in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function("] {
            assert!(!text.contains(unsafe_way), "{unsafe_way}");
        }
        // What ends a script early would break the digest, and the page.
        assert!(!SCRIPT.contains("</") && !STYLE.contains("</"));
        assert!(!policy().contains("unsafe-"));
    }
}
