//! A Rust file as the layer test sees it: its paths (with `use` trees opened up) and its string literals, each
//! with the line it stands on and whether it is test code. Comments and doc comments are not part of it.

use proc_macro2::{Delimiter, Group, Literal, TokenStream, TokenTree};

/// A path such as `crate::store::state` or `std::fs`; a word that stands alone is a path of one segment.
#[derive(Debug)]
pub struct Path {
    pub segments: Vec<String>,
    pub line: usize,
    pub test: bool,
    /// Inline modules (`mod x { … }`) around it.
    pub inside: usize,
}

/// A string literal, as it stands in the source without its quotes.
#[derive(Debug)]
pub struct Text {
    pub text: String,
    pub line: usize,
    pub test: bool,
}

/// What the file is made of, as far as layers go.
#[derive(Debug, Default)]
pub struct Source {
    pub paths: Vec<Path>,
    pub texts: Vec<Text>,
}

/// Takes a file apart.
pub fn read(source: &str) -> Source {
    let tokens: TokenStream = source.parse().expect("the file is Rust");
    let mut found = Source::default();
    walk(tokens, false, 0, &mut found);
    found
}

fn walk(tokens: TokenStream, test: bool, inside: usize, found: &mut Source) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut item_is_test = false;
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let test = test || item_is_test;
        match token {
            TokenTree::Punct(hash) if hash.as_char() == '#' => {
                let attribute = attribute(&tokens, at + 1);
                if let Some((end, group)) = attribute {
                    item_is_test |= marks_test(group);
                    if !first_word_is(group, "doc") {
                        walk(group.stream(), test, inside, found);
                    }
                    at = end;
                }
            }
            TokenTree::Punct(end) if end.as_char() == ';' => item_is_test = false,
            TokenTree::Punct(_) => {}
            TokenTree::Literal(literal) => found.texts.extend(text(literal, test)),
            TokenTree::Group(group) => {
                let module = group.delimiter() == Delimiter::Brace && follows_mod(&tokens, at);
                walk(group.stream(), test, inside + usize::from(module), found);
                if group.delimiter() == Delimiter::Brace {
                    item_is_test = false;
                }
            }
            TokenTree::Ident(_) => {
                let first = found.paths.len();
                at = path(&tokens, at, &[], &mut found.paths);
                for path in found.paths.iter_mut().skip(first) {
                    (path.test, path.inside) = (test, inside);
                }
                continue;
            }
        }
        at += 1;
    }
}

/// The group of an attribute whose `#` stands before `at`, and where it stands.
fn attribute(tokens: &[TokenTree], at: usize) -> Option<(usize, &Group)> {
    let at = at + usize::from(is_punct(tokens.get(at), '!'));
    match tokens.get(at) {
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Bracket => Some((at, group)),
        _ => None,
    }
}

/// `#[test]`, `#[cfg(test)]`, `#[cfg(all(test, …))]`, and not `#[cfg(not(test))]`.
fn marks_test(attribute: &Group) -> bool {
    let text = attribute.stream().to_string().replace(' ', "");
    text == "test" || (text.starts_with("cfg(") && text.contains("test") && !text.contains("not(test"))
}

fn first_word_is(group: &Group, word: &str) -> bool {
    matches!(group.stream().into_iter().next(), Some(TokenTree::Ident(ident)) if ident == word)
}

fn follows_mod(tokens: &[TokenTree], at: usize) -> bool {
    at >= 2 && matches!(&tokens[at - 2], TokenTree::Ident(word) if word == "mod")
}

fn is_punct(token: Option<&TokenTree>, mark: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == mark)
}

/// Reads the path that begins at `at` below `prefix`, opening up a `{…}` at its end; gives where it ends.
fn path(tokens: &[TokenTree], mut at: usize, prefix: &[String], paths: &mut Vec<Path>) -> usize {
    let mut segments = prefix.to_vec();
    let mut line = 0;
    loop {
        match tokens.get(at) {
            Some(TokenTree::Ident(word)) => {
                segments.push(word.to_string());
                line = word.span().start().line;
                at += 1;
            }
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                let members: Vec<TokenTree> = group.stream().into_iter().collect();
                let mut member = 0;
                while member < members.len() {
                    member = match members.get(member) {
                        Some(TokenTree::Punct(_)) => member + 1,
                        Some(TokenTree::Ident(word)) if word == "as" => member + 2,
                        _ => path(&members, member, &segments, paths),
                    };
                }
                return at + 1;
            }
            _ => break,
        }
        if !(is_punct(tokens.get(at), ':') && is_punct(tokens.get(at + 1), ':')) {
            break;
        }
        let next = tokens.get(at + 2);
        let goes_on = match next {
            Some(TokenTree::Ident(_)) => true,
            Some(TokenTree::Group(group)) => group.delimiter() == Delimiter::Brace,
            _ => false,
        };
        if !goes_on {
            at += 2;
            break;
        }
        at += 2;
    }
    if line == 0 {
        // Neither a word nor a group begins here (a literal inside the braces): step over it.
        return at + 1;
    }
    paths.push(Path { segments, line, test: false, inside: 0 });
    at
}

/// The content of a string literal; none for numbers and characters.
fn text(literal: &Literal, test: bool) -> Option<Text> {
    let whole = literal.to_string();
    let open = whole.find('"')?;
    let close = whole.rfind('"')?;
    let prefix = &whole[..open];
    if open == close || !prefix.chars().all(|c| matches!(c, 'r' | 'b' | 'c' | '#')) {
        return None;
    }
    Some(Text { text: whole[open + 1..close].to_owned(), line: literal.span().start().line, test })
}
