//! How lines are told apart: by colour, by dashes and by markers, so that grey paper tells them, too.

use plotters::style::RGBColor;

/// Colours that differ for colour-blind eyes and in lightness (Okabe and Ito, 2008), on white and on black.
const COLOURS: [RGBColor; 8] = [
    RGBColor(0x00, 0x72, 0xB2),
    RGBColor(0xD5, 0x5E, 0x00),
    RGBColor(0x00, 0x9E, 0x73),
    RGBColor(0xCC, 0x79, 0xA7),
    RGBColor(0xE6, 0x9F, 0x00),
    RGBColor(0x56, 0xB4, 0xE9),
    RGBColor(0x80, 0x80, 0x80),
    RGBColor(0x7A, 0x4F, 0xD0),
];

/// The dashes of each colour, in pixels; none for a line without gaps.
const DASHES: [&[u32]; 8] =
    [&[], &[7, 3], &[2, 2], &[9, 3, 2, 3], &[12, 3], &[4, 2], &[1, 3], &[9, 2, 2, 2, 2, 2]];

pub(crate) const INK: RGBColor = RGBColor(0, 0, 0);
pub(crate) const PAPER: RGBColor = RGBColor(255, 255, 255);
pub(crate) const GRID: RGBColor = RGBColor(0xDD, 0xDD, 0xDD);
pub(crate) const FINE_GRID: RGBColor = RGBColor(0xF0, 0xF0, 0xF0);
pub(crate) const SHADE: RGBColor = RGBColor(0x99, 0x99, 0x99);

/// A marker, by number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Marker {
    Circle,
    Square,
    Triangle,
    Diamond,
}

pub(crate) fn colour(style: usize) -> RGBColor {
    COLOURS[style % COLOURS.len()]
}

pub(crate) fn marker(style: usize) -> Marker {
    [Marker::Circle, Marker::Square, Marker::Triangle, Marker::Diamond][style % 4]
}

fn hex(RGBColor(r, g, b): RGBColor) -> String {
    format!("#{r:02X}{g:02X}{b:02X}")
}

/// Gives strokes of each colour their dashes; `unit` is the length of a pixel.
pub(crate) fn dashed(svg: &str, unit: u32) -> String {
    let mut svg = svg.to_owned();
    for (colour, dashes) in COLOURS.into_iter().zip(DASHES).filter(|(_, dashes)| !dashes.is_empty()) {
        let stroke = format!("stroke=\"{}\"", hex(colour));
        let lengths: Vec<String> = dashes.iter().map(|length| (length * unit).to_string()).collect();
        svg = svg.replace(&stroke, &format!("{stroke} stroke-dasharray=\"{}\"", lengths.join(" ")));
    }
    svg
}

/// What turns ink and paper round where a page is dark.
pub(crate) fn dark() -> String {
    let swaps =
        [(PAPER, "#0d1117"), (INK, "#e6edf3"), (GRID, "#30363d"), (FINE_GRID, "#1a2028"), (SHADE, "#8b949e")];
    let rules = swaps.map(|(light, dark)| {
        let light = hex(light);
        format!("[fill=\"{light}\"]{{fill:{dark}}}[stroke=\"{light}\"]{{stroke:{dark}}}")
    });
    format!("<style>@media (prefers-color-scheme:dark){{{}}}</style>", rules.concat())
}
