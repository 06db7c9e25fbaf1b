//! Panels as a drawing.

use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::Shift;
use plotters::coord::cartesian::Cartesian2d;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{PathElement, Polygon, Rectangle};
use plotters::prelude::{Circle, Color, ColorMap, RGBColor, SVGBackend, TriangleMarker};
use plotters::style::colors::colormaps::ViridisRGB;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontStyle, IntoFont, TextStyle, register_font};

use crate::axis::{Ticks, text};
use crate::clip::clip;
use crate::panel::{Cells, Layer, Line, Panel};
use crate::style::{FINE_GRID, GRID, INK, Marker, PAPER, SHADE, colour, dark, dashed, marker};

/// The letters of every figure: a part of DejaVu Sans (`assets/LICENSE-DejaVu`).
pub(crate) const FONT: &[u8] = include_bytes!("../assets/DejaVuSans-subset.ttf");

/// Plotters works in whole units, so that a pixel is a number of them.
const UNIT: u32 = 10;
/// Of letters, in units.
const LARGE: u32 = 15 * UNIT;
const SMALL: u32 = 12 * UNIT;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Ticks, Ticks>>;
type Drawn = Result<(), String>;

fn failed(error: impl std::fmt::Display) -> String {
    format!("cannot draw: {error}")
}

/// A drawing, as SVG on white.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Drawing {
    svg: String,
    /// Width and height in pixels.
    pub(crate) size: [u32; 2],
}

impl Drawing {
    /// Draws panels, so many in a row.
    pub(crate) fn new(panels: &[Panel], columns: usize) -> Result<Self, String> {
        // A second registration says so, and changes nothing.
        let _ = register_font("sans-serif", FontStyle::Normal, FONT);
        let columns = panels.len().min(columns).max(1);
        let rows = panels.len().div_ceil(columns).max(1);
        let [width, height] = if columns == 1 { [520, 360] } else { [350, 300] };
        let legend = legend_width(panels);
        let size = [width * columns as u32 + legend, height * rows as u32];
        let mut svg = String::new();
        {
            let units = size.map(|side| side * UNIT);
            let root = SVGBackend::with_string(&mut svg, (units[0], units[1])).into_drawing_area();
            root.fill(&PAPER).map_err(failed)?;
            let (plots, side) = root.split_horizontally(width * columns as u32 * UNIT);
            for (panel, area) in panels.iter().zip(plots.split_evenly((rows, columns))) {
                draw_panel(panel, &area)?;
            }
            draw_legend(panels, &side)?;
            root.present().map_err(failed)?;
        }
        Ok(Self { svg: dashed(&svg, UNIT), size })
    }

    /// The SVG that PNGs are drawn of.
    pub(crate) fn plain(&self) -> String {
        self.headed("")
    }

    /// The SVG for pages, light or dark.
    pub(crate) fn svg(&self) -> String {
        self.headed(&dark())
    }

    fn headed(&self, style: &str) -> String {
        let [width, height] = self.size;
        let [wide, high] = self.size.map(|side| side * UNIT);
        let old = format!("width=\"{wide}\" height=\"{high}\" ");
        let new = format!("width=\"{width}\" height=\"{height}\" stroke-linejoin=\"round\" ");
        let svg = self.svg.replacen(&old, &new, 1);
        let end = svg.find('>').map_or(0, |at| at + 1);
        [&svg[..end], style, &svg[end..]].concat()
    }
}

fn font(size: u32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&INK)
}

fn draw_panel(panel: &Panel, area: &Area) -> Drawn {
    let mut builder = ChartBuilder::on(area);
    builder.margin(10 * UNIT).margin_right(16 * UNIT);
    builder.x_label_area_size(44 * UNIT).y_label_area_size(62 * UNIT);
    if !panel.title.is_empty() {
        builder.caption(&panel.title, font(LARGE));
    }
    let [x, y] = panel.extent();
    let (x, y) = (panel.x.ticks(x.into_iter()), panel.y.ticks(y.into_iter()));
    let mut chart = builder.build_cartesian_2d(x.clone(), y.clone()).map_err(failed)?;
    let labels = [panel.x.label(), panel.y.label()];
    draw_axes(&mut chart, &x, &y, labels, SMALL)?;
    panel.layers.iter().try_for_each(|layer| draw_layer(&chart, layer, [&x, &y]))
}

fn draw_axes(chart: &mut Chart, x: &Ticks, y: &Ticks, [x_label, y_label]: [&str; 2], size: u32) -> Drawn {
    let mut mesh = chart.configure_mesh();
    mesh.bold_line_style(GRID.stroke_width(UNIT)).light_line_style(FINE_GRID.stroke_width(UNIT));
    mesh.axis_style(INK.stroke_width(UNIT)).label_style(font(size)).axis_desc_style(font(size * 7 / 6));
    mesh.set_all_tick_mark_size(4 * UNIT);
    mesh.x_desc(x_label).y_desc(y_label);
    let (write_x, write_y) = (|at: &f64| x.text(*at), |at: &f64| y.text(*at));
    mesh.x_label_formatter(&write_x).y_label_formatter(&write_y);
    mesh.draw().map_err(failed)
}

fn draw_layer(chart: &Chart, layer: &Layer, axes: [&Ticks; 2]) -> Drawn {
    match layer {
        Layer::Line(line) => draw_line(chart, line, axes),
        Layer::Area { points, .. } => draw_shade(chart, points, axes),
        Layer::Cells(cells) => draw_cells(chart, cells, axes),
        Layer::Level { at, .. } => draw_level(chart, *at, axes),
    }
}

fn draw_line(chart: &Chart, line: &Line, [x, y]: [&Ticks; 2]) -> Drawn {
    let area = chart.plotting_area();
    let colour = colour(line.style);
    if !x.names.is_empty() {
        return draw_separate(chart, line, y);
    }
    let within = |at: f64, ticks: &Ticks| at.clamp(ticks.range.start, ticks.range.end);
    let side = |end: usize| {
        let place = move |band: &[f64; 3]| (x.place(band[0]), within(y.place(band[end]), y));
        line.band.iter().map(place).filter(|(at, _)| x.range.contains(at))
    };
    let band: Vec<(f64, f64)> = side(1).chain(side(2).collect::<Vec<_>>().into_iter().rev()).collect();
    if band.len() > 3 {
        area.draw(&Polygon::new(band, colour.mix(0.2).filled())).map_err(failed)?;
    }
    let places: Vec<(f64, f64)> =
        line.points.iter().map(|[at, value]| (x.place(*at), y.place(*value))).collect();
    let style = if line.thin { colour.stroke_width(UNIT * 11 / 10) } else { colour.stroke_width(2 * UNIT) };
    for part in clip(&places, &x.range, &y.range) {
        area.draw(&PathElement::new(part, style)).map_err(failed)?;
    }
    let shown = |(at, value): &&(f64, f64)| x.range.contains(at) && y.range.contains(value);
    for place in places.iter().filter(shown).filter(|_| line.markers) {
        draw_marker(area, *place, line.style)?;
    }
    Ok(())
}

/// Between words lies nothing: a marker each, with a bar instead of a band.
fn draw_separate(chart: &Chart, line: &Line, y: &Ticks) -> Drawn {
    let area = chart.plotting_area();
    for [at, low, high] in &line.band {
        let bar = vec![(*at, y.place(*low)), (*at, y.place(*high))];
        area.draw(&PathElement::new(bar, colour(line.style).stroke_width(2 * UNIT))).map_err(failed)?;
    }
    line.points.iter().try_for_each(|[at, value]| draw_marker(area, (*at, y.place(*value)), line.style))
}

fn draw_level(chart: &Chart, at: f64, [x, y]: [&Ticks; 2]) -> Drawn {
    let ends = vec![(x.range.start, y.place(at)), (x.range.end, y.place(at))];
    chart.plotting_area().draw(&PathElement::new(ends, SHADE.stroke_width(2 * UNIT))).map_err(failed)
}

fn draw_marker<C: plotters::coord::CoordTranslate>(
    area: &DrawingArea<SVGBackend, C>,
    at: C::From,
    style: usize,
) -> Drawn
where
    C::From: Clone,
{
    let (filled, half) = (colour(style).filled(), (7 * UNIT / 2) as i32);
    let around = |points: &[(i32, i32)]| {
        plotters::element::EmptyElement::at(at.clone()) + Polygon::new(points.to_vec(), filled)
    };
    match marker(style) {
        Marker::Circle => area.draw(&Circle::new(at, half, filled)),
        Marker::Triangle => area.draw(&TriangleMarker::new(at, half * 4 / 3, filled)),
        Marker::Square => area.draw(&around(&[(-half, -half), (half, -half), (half, half), (-half, half)])),
        Marker::Diamond => {
            let far = half * 4 / 3;
            area.draw(&around(&[(-far, 0), (0, -far), (far, 0), (0, far)]))
        }
    }
    .map_err(failed)
}

/// Heights are shares of the panel, not numbers on its axis.
fn draw_shade(chart: &Chart, points: &[[f64; 2]], [x, y]: [&Ticks; 2]) -> Drawn {
    let height = |share: f64| y.range.start + share * (y.range.end - y.range.start);
    let top: Vec<(f64, f64)> = points.iter().map(|[at, share]| (x.place(*at), height(*share))).collect();
    let top: Vec<(f64, f64)> = top.into_iter().filter(|(at, _)| x.range.contains(at)).collect();
    let (Some(first), Some(last)) = (top.first(), top.last()) else { return Ok(()) };
    let ends = [(last.0, y.range.start), (first.0, y.range.start)];
    let whole: Vec<(f64, f64)> = top.iter().copied().chain(ends).collect();
    let area = chart.plotting_area();
    area.draw(&Polygon::new(whole, SHADE.mix(0.25).filled())).map_err(failed)?;
    area.draw(&PathElement::new(top, SHADE.stroke_width(UNIT))).map_err(failed)
}

fn draw_cells(chart: &Chart, cells: &Cells, [x, y]: [&Ticks; 2]) -> Drawn {
    let (columns, rows) = (borders(&cells.x, x), borders(&cells.y, y));
    for (row, values) in cells.values.iter().enumerate() {
        for (column, value) in values.iter().enumerate() {
            let Some(value) = value else { continue };
            let corners = [(columns[column], rows[row]), (columns[column + 1], rows[row + 1])];
            let cell = Rectangle::new(corners, warmth(*value, cells.range).filled());
            chart.plotting_area().draw(&cell).map_err(failed)?;
        }
    }
    Ok(())
}

/// Half-way between neighbours, and as far beyond the ends, within the axis.
fn borders(at: &[f64], ticks: &Ticks) -> Vec<f64> {
    let at: Vec<f64> = at.iter().map(|at| ticks.place(*at)).collect();
    let between = at.windows(2).map(|pair| (pair[0] + pair[1]) / 2.0);
    std::iter::once(ticks.range.start).chain(between).chain([ticks.range.end]).collect()
}

/// From dark to light, in grey as in colour.
fn warmth(value: f64, (low, high): (f64, f64)) -> RGBColor {
    let share = if high > low { (value - low) / (high - low) } else { 0.5 };
    ViridisRGB.get_color(share as f32)
}

/// The lines and areas that have names, each once.
fn named(panels: &[Panel]) -> Vec<&Layer> {
    let mut named: Vec<(&str, &Layer)> = Vec::new();
    for layer in panels.iter().flat_map(|panel| &panel.layers) {
        let name = match layer {
            Layer::Line(Line { name, .. }) | Layer::Area { name, .. } | Layer::Level { name, .. } => {
                name.as_str()
            }
            Layer::Cells(cells) => cells.label.as_str(),
        };
        if !name.is_empty() && named.iter().all(|(known, _)| *known != name) {
            named.push((name, layer));
        }
    }
    named.into_iter().map(|(_, layer)| layer).collect()
}

fn legend_width(panels: &[Panel]) -> u32 {
    let widest = named(panels).into_iter().map(|layer| match layer {
        Layer::Line(Line { name, .. }) | Layer::Area { name, .. } | Layer::Level { name, .. } => {
            48 + width_of(name)
        }
        Layer::Cells(cells) => (width_of(&cells.label)).max(80),
    });
    widest.max().map_or(0, |width| width + 12)
}

fn width_of(name: &str) -> u32 {
    let size = font(SMALL).font.box_size(name).map_or(0, |(width, _)| width);
    size / UNIT + 8
}

fn draw_legend(panels: &[Panel], area: &Area) -> Drawn {
    let middle = Pos::new(HPos::Left, VPos::Center);
    for (at, layer) in named(panels).into_iter().enumerate() {
        let y = ((30 + 20 * at as u32) * UNIT) as i32;
        let (left, right, words) = (0, (32 * UNIT) as i32, (40 * UNIT) as i32);
        match layer {
            Layer::Line(line) => {
                let colour = colour(line.style);
                area.draw(&PathElement::new(vec![(left, y), (right, y)], colour.stroke_width(2 * UNIT)))
                    .map_err(failed)?;
                if line.markers {
                    draw_marker(area, ((left + right) / 2, y), line.style)?;
                }
                area.draw_text(&line.name, &font(SMALL).pos(middle), (words, y)).map_err(failed)?;
            }
            Layer::Area { name, .. } => {
                let high = (5 * UNIT) as i32;
                let sample = Rectangle::new([(left, y - high), (right, y + high)], SHADE.mix(0.25).filled());
                area.draw(&sample).map_err(failed)?;
                area.draw_text(name, &font(SMALL).pos(middle), (words, y)).map_err(failed)?;
            }
            Layer::Level { name, .. } => {
                area.draw(&PathElement::new(vec![(left, y), (right, y)], SHADE.stroke_width(2 * UNIT)))
                    .map_err(failed)?;
                area.draw_text(name, &font(SMALL).pos(middle), (words, y)).map_err(failed)?;
            }
            Layer::Cells(cells) => draw_bar(cells, area)?,
        }
    }
    Ok(())
}

/// What the colours of a heat map mean.
fn draw_bar(cells: &Cells, area: &Area) -> Drawn {
    let (low, high) = cells.range;
    let (top, steps, step) = ((40 * UNIT) as i32, 64, (7 * UNIT / 2) as i32);
    let middle = Pos::new(HPos::Left, VPos::Center);
    area.draw_text(&cells.label, &font(SMALL).pos(middle), (0, top - (16 * UNIT) as i32)).map_err(failed)?;
    for at in 0..steps {
        let value = high - (high - low) * (f64::from(at) + 0.5) / f64::from(steps);
        let corners = [(0, top + at * step), ((16 * UNIT) as i32, top + (at + 1) * step + 1)];
        area.draw(&Rectangle::new(corners, warmth(value, (low, high)).filled())).map_err(failed)?;
    }
    for part in 0..5 {
        let value = high - (high - low) * f64::from(part) / 4.0;
        let place = ((22 * UNIT) as i32, top + steps * step * part / 4);
        area.draw_text(&text(value), &font(SMALL).pos(middle), place).map_err(failed)?;
    }
    Ok(())
}
