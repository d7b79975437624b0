//! Random copybooks over all that is accepted.

use fastrand::Rng;

use super::cobol::NUMBERED;

/// A copybook: the text that declares one record, and what it copies.
pub struct Copybook {
    pub record: String,
    pub text: String,
    /// Name and text of a copybook that it copies.
    pub copied: Option<(String, String)>,
    /// The count of a table, and its highest value.
    pub count: Option<(String, usize)>,
    /// Whether the table that depends on it is the last item that has a name.
    pub ends: bool,
}

struct Make<'r> {
    rng: &'r mut Rng,
    lines: Vec<String>,
    names: usize,
    /// Bytes so far, roughly, so that tables in tables stay small.
    budget: usize,
}

#[derive(Clone, Copy)]
struct Around {
    level: usize,
    tables: usize,
    shared: bool,
    usage: bool,
    sign: bool,
}

/// A random copybook; `:TAG:` in its names is what `number` gives it.
pub fn copybook(rng: &mut Rng, number: usize) -> Copybook {
    let tag = format!("G{number:04}");
    let mut make = Make { rng, lines: Vec::new(), names: 0, budget: 4000 };
    let top = [2, 3, 5, 10][make.rng.usize(..4)];
    let around = Around { level: top, tables: 0, shared: false, usage: false, sign: false };
    let counted = make.rng.u8(..4) == 0;
    if counted {
        let form = ["PIC 9(2)", "PIC S9(4) COMP", "PIC S9(3) COMP-3", "PIC 9(4) BINARY"][make.rng.usize(..4)];
        make.entry(top, ":TAG:-CNT", form);
    }
    for _ in 0..make.rng.usize(1..6) {
        make.item(around);
    }
    let mut ends = false;
    let count = counted.then(|| {
        let most = make.rng.usize(2..9);
        let least = make.rng.usize(0..most);
        let occurs = format!("OCCURS {least} TO {most} TIMES DEPENDING ON :TAG:-CNT");
        let table = make.name();
        let inner = Around { tables: 1, level: top + 1, ..around };
        if make.rng.bool() {
            make.entry(top, &table, &format!("{occurs} INDEXED BY :TAG:-IX"));
            for _ in 0..make.rng.usize(1..4) {
                make.item(inner);
            }
        } else {
            ends = table.starts_with(":TAG:");
            make.entry(top, &table, &format!("{occurs} PIC X(3)"));
        }
        (format!("{tag}-CNT"), most)
    });
    let Make { lines, rng, .. } = make;
    let body = fixed(rng, &lines);
    let record = format!("{tag}-REC");
    let head = format!("       01  {record}.\n");
    // Some come by COPY, and get their names by REPLACING.
    if rng.u8(..4) == 0 {
        let copy = format!("           COPY {tag}C REPLACING ==:TAG:== BY ==\n           {tag}==.\n");
        return Copybook { record, text: head + &copy, copied: Some((format!("{tag}C"), body)), count, ends };
    }
    Copybook { record, text: head + &body.replace(":TAG:", &tag), copied: None, count, ends }
}

/// Entries as lines of fixed format, with what does not count around them.
fn fixed(rng: &mut Rng, entries: &[String]) -> String {
    let mut text = String::new();
    for entry in entries {
        if rng.u8(..10) == 0 {
            text.push_str("000100* A COMMENT, IT'S ONE LINE\n      /\n");
        }
        let entry = match rng.u8(..4) {
            0 => entry.to_lowercase().replace(":tag:", ":TAG:"),
            _ => entry.clone(),
        };
        // A word to a line now and then, and what columns 1-6 and 73-80 hold on mainframes.
        let mut line = String::new();
        for word in entry.split(' ') {
            if line.len() + word.len() > 55 || (rng.u8(..12) == 0 && !line.is_empty()) {
                push(rng, &mut text, &line);
                line = "    ".to_owned();
            }
            line.push_str(word);
            line.push(' ');
        }
        push(rng, &mut text, line.trim_end());
    }
    text
}

fn push(rng: &mut Rng, text: &mut String, line: &str) {
    let number = if rng.bool() { "001200" } else { "      " };
    match rng.u8(..6) {
        0 => text.push_str(&format!("{number} {line:<65}{NUMBERED}\n")),
        _ => text.push_str(&format!("{number} {line}\n")),
    }
}

impl Make<'_> {
    fn name(&mut self) -> String {
        self.names += 1;
        match self.rng.u8(..12) {
            0 => "FILLER".to_owned(),
            1 => String::new(),
            _ => format!(":TAG:-N{}", self.names),
        }
    }

    fn entry(&mut self, level: usize, name: &str, clauses: &str) {
        let words = format!("{level:02} {name} {clauses}");
        self.lines.push(format!("{}.", words.split_whitespace().collect::<Vec<_>>().join(" ")));
    }

    /// An item, and now and then others that share its place.
    fn item(&mut self, around: Around) {
        let named = format!(":TAG:-N{}", self.names + 1);
        let share = !around.shared && self.rng.u8(..5) == 0;
        if !share {
            let name = self.name();
            return self.any(around, &name, "");
        }
        self.names += 1;
        let inside = Around { shared: true, ..around };
        self.any(Around { tables: 9, ..inside }, &named, "");
        for _ in 0..self.rng.usize(1..3) {
            let name = self.name();
            self.any(inside, &name, &format!("REDEFINES {named}"));
        }
    }

    /// A group or an elementary item; in nine tables it is none itself.
    fn any(&mut self, around: Around, name: &str, clause: &str) {
        let group = around.level < 40 && self.rng.u8(..3) == 0;
        let times = self.rng.usize(2..5);
        let table = around.tables < 2 && self.budget > 600 && self.rng.u8(..4) == 0;
        let occurs = if table {
            format!("OCCURS {times}{}", if self.rng.bool() { " TIMES" } else { "" })
        } else {
            String::new()
        };
        let tables = around.tables + usize::from(table);
        if !group {
            let form = self.form(around);
            let (before, after) = if self.rng.bool() { (&*occurs, "") } else { ("", &*occurs) };
            self.entry(around.level, name, &format!("{clause} {before} {form} {after}"));
            if !name.is_empty() && self.rng.u8(..6) == 0 {
                self.lines.push(format!("88 {}-Y{} VALUE 1 THRU 3.", name.replace("FILLER", ":TAG:-F"), self.names));
            }
            return;
        }
        // What a group hands down is for numbers alone.
        let down = if around.usage || around.sign { 9 } else { self.rng.u8(..6) };
        let (clauses, usage, sign) = match down {
            0 => (["USAGE IS COMP-3", "COMP", "USAGE BINARY", "PACKED-DECIMAL"][self.rng.usize(..4)], true, false),
            1 => (
                ["SIGN IS LEADING SEPARATE", "SIGN TRAILING SEPARATE CHARACTER", "LEADING"][self.rng.usize(..3)],
                false,
                true,
            ),
            _ => ("", around.usage, around.sign),
        };
        self.entry(around.level, name, &format!("{clause} {clauses} {occurs}"));
        let step = self.rng.usize(1..6);
        // In a group of nine tables the tables below would be redefined: they may be, but not the item itself.
        let tables = if around.tables == 9 { 0 } else { tables };
        let below = Around { level: around.level + step, tables, usage, sign, ..around };
        self.budget = self.budget.saturating_sub(300);
        for _ in 0..self.rng.usize(1..5) {
            self.item(below);
        }
    }

    /// Picture and usage of an elementary item.
    fn form(&mut self, around: Around) -> String {
        let picture = ["PIC", "PICTURE", "PIC IS", "PICTURE IS"][self.rng.usize(..4)];
        if around.usage {
            return format!("{picture} {}", self.number(true, 18));
        }
        let n = self.rng.usize(1..30);
        if self.rng.u8(..12) == 0 && !around.sign {
            let edited = ["Z(5)9.99", "ZZ,ZZ9.99CR", "99/99/9999", "XXBXX", "----9V99", "***,**9.9"];
            return format!("{picture} {}", edited[self.rng.usize(..6)]);
        }
        match self.rng.u8(..if around.shared { 11 } else { 13 }) {
            0 => format!("{picture} X({n:02})"),
            // GnuCOBOL 3.1 fails on PIC A below a SIGN.
            1 if around.sign => format!("{picture} XX"),
            1 => format!("{picture} {}", ["X", "XXX", "A(7)", "XX(3)9(2)", "A9X"][self.rng.usize(..5)]),
            2 => format!("{picture} {}", self.number(false, 18)),
            3 if around.sign => format!("{picture} S{}", self.number(false, 18)),
            3 => format!("{picture} S{} SIGN {}", self.number(false, 18), self.sign()),
            4 if around.sign => format!("{picture} S{}", self.number(false, 18)),
            4 => format!("{picture} S{} {}", self.number(false, 18), self.sign()),
            5 => format!("{picture} {} COMP-3", self.number(true, 18)),
            6 => format!("USAGE PACKED-DECIMAL {picture} {}", self.number(true, 18)),
            7 => format!(
                "{picture} {} {}",
                self.number(true, 18),
                ["COMP", "COMP-4", "USAGE IS BINARY"][self.rng.usize(..3)]
            ),
            // GnuCOBOL has COMP-5 of a single byte; IBM's compilers begin with two, at one digit.
            8 => format!("{picture} S9({})V9(1) COMP-5", self.rng.usize(3..18)),
            9 => ["PIC 9(3)PP", "PIC SPP9(3)", "PIC S9(2)P(3) COMP-3", "PIC SVP(2)9(4) COMP"][self.rng.usize(..4)]
                .to_owned(),
            // GnuCOBOL 3.1 counts the V of an item with BLANK WHEN ZERO as a byte, which IBM's compilers do not.
            10 => ["PIC X(5) JUSTIFIED RIGHT", "PIC X(3) JUST", "PIC 9(4) BLANK WHEN ZERO", "PIC 9(3) BLANK ZEROS"]
                [self.rng.usize(..4)]
            .to_owned(),
            11 => format!(
                "{picture} X(5) VALUE {}",
                ["'AB,C.'", "SPACES", "IS \"It's\"", "LOW-VALUES", "ALL '*'"][self.rng.usize(..5)]
            ),
            _ => format!(
                "{picture} S9(3)V9 {} VALUE {}",
                ["", "COMP-3"][self.rng.usize(..2)],
                ["ZERO", "-12.5", "IS +1"][self.rng.usize(..3)]
            ),
        }
    }

    fn sign(&mut self) -> &'static str {
        ["LEADING", "TRAILING", "LEADING SEPARATE", "TRAILING SEPARATE CHARACTER"][self.rng.usize(..4)]
    }

    /// A picture of digits.
    fn number(&mut self, sign: bool, most: usize) -> String {
        let whole = self.rng.usize(0..=most);
        let places = self.rng.usize(usize::from(whole == 0)..=(most - whole).max(usize::from(whole == 0)));
        let sign = if sign && self.rng.bool() { "S" } else { "" };
        let run = |rng: &mut Rng, n: usize| match n {
            0 => String::new(),
            1..=4 if rng.bool() => "9".repeat(n),
            _ => format!("9({n})"),
        };
        let (whole, fraction) = (run(self.rng, whole), run(self.rng, places));
        match fraction.is_empty() {
            true => format!("{sign}{whole}"),
            false => format!("{sign}{whole}V{fraction}"),
        }
    }
}
