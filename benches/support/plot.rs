//! Charts as SVG, drawn by hand: readable on a light and on a dark page, without a script or a font of their own.

use std::fmt::Write;

/// How a value becomes a place on an axis.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    Linear,
    Log,
}

/// An axis: what it says, from where to where, and where a number stands.
pub struct Axis {
    pub name: &'static str,
    pub scale: Scale,
    pub from: f64,
    pub to: f64,
    pub ticks: Vec<f64>,
}

impl Axis {
    /// Where a value lies between the ends, 0 to 1.
    fn place(&self, value: f64) -> f64 {
        let at = |value: f64| if self.scale == Scale::Log { value.ln() } else { value };
        ((at(value) - at(self.from)) / (at(self.to) - at(self.from))).clamp(0.0, 1.0)
    }

    /// An axis from 0 to a round number above `most`.
    pub fn up_to(name: &'static str, most: f64) -> Axis {
        let unit = 10_f64.powf(most.log10().floor());
        let step =
            [0.2, 0.5, 1.0, 2.0].into_iter().map(|part| part * unit).find(|step| most / step <= 6.0).unwrap_or(unit);
        let steps = (most / step * 1.02).ceil();
        let ticks = (0..=steps as u32).map(|tick| f64::from(tick) * step).collect();
        Axis { name, scale: Scale::Linear, from: 0.0, to: steps * step, ticks }
    }

    /// An axis from one power of a base to another, a tick at each.
    pub fn powers(name: &'static str, base: f64, from: i32, to: i32) -> Axis {
        let ticks = (from..=to).map(|power| base.powi(power)).collect();
        Axis { name, scale: Scale::Log, from: base.powi(from), to: base.powi(to), ticks }
    }
}

/// One line.
pub struct Series {
    /// Stands at its end.
    pub name: String,
    /// Which of the colours.
    pub colour: usize,
    /// A floor, or a limit: dashed, without dots.
    pub dashed: bool,
    pub dots: bool,
    pub points: Vec<(f64, f64)>,
    /// Lowest and highest measured at each point, where there were several.
    pub spread: Vec<(f64, f64)>,
}

/// Lines over two axes.
pub struct Panel {
    pub x: Axis,
    pub y: Axis,
    pub series: Vec<Series>,
}

const HEIGHT: f64 = 410.0;
const TOP: f64 = 100.0;
const BOTTOM: f64 = 56.0;
const LEFT: f64 = 70.0;

const STYLE: &str = "\
.card{fill:#ffffff;stroke:#d0d7de}.title{fill:#1f2328;font-size:17px;font-weight:600}.said{fill:#59636e;font-size:13px}\
.tick,.axis{fill:#59636e;font-size:12px}.grid{stroke:#d8dee4;stroke-width:1}.name{font-size:13px;font-weight:600;paint-order:stroke;stroke:#ffffff;stroke-width:4px;stroke-linejoin:round}\
.line{fill:none;stroke-width:2.5;stroke-linejoin:round;stroke-linecap:round}.dashed{stroke-width:1.5;stroke-dasharray:5 5}\
.c0{stroke:#0969da}.f0{fill:#0969da}.c1{stroke:#bc4c00}.f1{fill:#bc4c00}.c2{stroke:#1a7f37}.f2{fill:#1a7f37}\
.c3{stroke:#6e7781}.f3{fill:#59636e}\
@media(prefers-color-scheme:dark){.card{fill:#0d1117;stroke:#30363d}.title{fill:#e6edf3}.said,.tick,.axis{fill:#9198a1}\
.grid{stroke:#262c36}.name{stroke:#0d1117}.c0{stroke:#4493f8}.f0{fill:#4493f8}.c1{stroke:#f0883e}.f1{fill:#f0883e}.c2{stroke:#3fb950}.f2{fill:#3fb950}\
.c3{stroke:#848d97}.f3{fill:#9198a1}}";

/// Draws panels side by side. `right` is the room for the names at the ends of the lines.
pub fn draw(title: &str, said: &str, right: f64, panels: &[Panel]) -> String {
    let width = 800.0;
    let each = width / panels.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {HEIGHT}\" width=\"{width}\" height=\"{HEIGHT}\" \
         font-family=\"-apple-system, 'Segoe UI', 'Noto Sans', Helvetica, Arial, sans-serif\" role=\"img\">\n<title>{title}</title>\n\
         <style>{STYLE}</style>\n<rect class=\"card\" x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"8\"/>\n\
         <text class=\"title\" x=\"24\" y=\"34\">{title}</text>\n<text class=\"said\" x=\"24\" y=\"56\">{said}</text>\n",
        width - 1.0,
        HEIGHT - 1.0
    );
    for (number, panel) in panels.iter().enumerate() {
        let left = each * number as f64 + LEFT;
        panel.draw(&mut svg, left, each * (number + 1) as f64 - right);
    }
    svg + "</svg>\n"
}

impl Panel {
    fn draw(&self, svg: &mut String, left: f64, right: f64) {
        let (top, bottom) = (TOP, HEIGHT - BOTTOM);
        let x = |value: f64| left + self.x.place(value) * (right - left);
        let y = |value: f64| bottom - self.y.place(value) * (bottom - top);
        for tick in &self.y.ticks {
            let at = y(*tick);
            writeln!(
                svg,
                "<line class=\"grid\" x1=\"{left:.1}\" x2=\"{right:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
                 <text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                left - 8.0,
                at + 4.0,
                short(*tick)
            )
            .unwrap();
        }
        for tick in &self.x.ticks {
            let (at, below) = (x(*tick), bottom + 18.0);
            writeln!(
                svg,
                "<text class=\"tick\" x=\"{at:.1}\" y=\"{below:.1}\" text-anchor=\"middle\">{}</text>",
                short(*tick)
            )
            .unwrap();
        }
        let middle = f64::midpoint(left, right);
        writeln!(
            svg,
            "<text class=\"axis\" x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\
             <text class=\"axis\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            bottom + 40.0,
            self.x.name,
            left - 46.0,
            top - 12.0,
            self.y.name
        )
        .unwrap();
        let mut ends: Vec<(f64, f64, &Series)> = Vec::new();
        for series in &self.series {
            let colour = series.colour;
            let path: Vec<String> =
                series.points.iter().map(|(at, value)| format!("{:.1},{:.1}", x(*at), y(*value))).collect();
            let dashed = if series.dashed { " dashed" } else { "" };
            writeln!(svg, "<polyline class=\"line c{colour}{dashed}\" points=\"{}\"/>", path.join(" ")).unwrap();
            for ((at, _), (low, high)) in series.points.iter().zip(&series.spread) {
                let at = x(*at);
                writeln!(
                    svg,
                    "<line class=\"line c{colour}\" opacity=\"0.35\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{:.1}\" y2=\"{:.1}\"/>",
                    y(*low),
                    y(*high)
                )
                .unwrap();
            }
            for (at, value) in series.points.iter().filter(|_| series.dots) {
                writeln!(svg, "<circle class=\"f{colour}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\"/>", x(*at), y(*value))
                    .unwrap();
            }
            if let Some((at, value)) = series.points.last().filter(|_| !series.name.is_empty()) {
                ends.push((x(*at), y(*value), series));
            }
        }
        // Names that would stand on each other are moved apart, from the top down.
        ends.sort_by(|one, other| one.1.total_cmp(&other.1));
        let mut lowest = f64::MIN;
        for (at, end, series) in ends {
            let place = end.max(lowest + 16.0);
            lowest = place;
            writeln!(
                svg,
                "<text class=\"name f{}\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                series.colour,
                at + 10.0,
                place + 4.0,
                series.name
            )
            .unwrap();
        }
    }
}

/// A number as a tick says it: 20, 0.5, 10 k, 1 M.
fn short(value: f64) -> String {
    let (part, unit) = match value {
        value if value >= 1e6 => (value / 1e6, " M"),
        value if value >= 1e4 => (value / 1e3, " k"),
        value => (value, ""),
    };
    let text = format!("{part:.2}");
    format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
}
