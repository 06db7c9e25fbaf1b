//! Names of files with places to fill in: `out/{class}/{seed:06}.png`.

use std::path::PathBuf;

use pipeline::{Error, Mistake};
use ports::RunFolder;

/// A path with places for the seed and the class of an image.
#[derive(Clone, Debug, PartialEq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    /// A number with leading zeros up to a width.
    Number {
        of: Number,
        width: usize,
    },
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Number {
    Seed,
    Class,
    Tick,
}

const NUMBERS: [(&str, Number); 3] =
    [("seed", Number::Seed), ("class", Number::Class), ("tick", Number::Tick)];

/// What the places of a path are filled in with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filling {
    pub seed: u64,
    pub class: u32,
    pub tick: u64,
}

impl Template {
    /// Reads a path whose folder of the run is not known yet.
    pub fn check(text: &str) -> Result<Self, Mistake> {
        Self::parse(&text.replace(RunFolder::PLACE, "runs"))
    }

    /// Reads a path; a mistake in it is one of the field `to`.
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (place, after) = after.split_once('}').ok_or_else(|| open(text))?;
            parts.extend([Part::Text(before.to_owned()), number(place)?]);
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        if parts.iter().any(|part| matches!(part, Part::Text(text) if text.contains('}'))) {
            return Err(open(text));
        }
        if !text.ends_with(".png") {
            return Err(Mistake::new("to", format!("`{text}` does not end in `.png`")));
        }
        Ok(Template(parts))
    }

    pub fn has_seed(&self) -> bool {
        self.has(Number::Seed)
    }

    pub fn has_class(&self) -> bool {
        self.has(Number::Class)
    }

    pub fn has_tick(&self) -> bool {
        self.has(Number::Tick)
    }

    fn has(&self, number: Number) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Number { of, .. } if *of == number))
    }

    /// The path for one picture.
    pub fn path(&self, filling: Filling) -> PathBuf {
        let fill = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Number { of: Number::Seed, width } => format!("{:0width$}", filling.seed),
            Part::Number { of: Number::Class, width } => format!("{:0width$}", filling.class),
            Part::Number { of: Number::Tick, width } => format!("{:0width$}", filling.tick),
        };
        self.0.iter().map(fill).collect::<String>().into()
    }
}

fn open(text: &str) -> Mistake {
    Mistake::new("to", format!("a brace in `{text}` has no other half")).help("write places like `{seed:06}`")
}

/// Reads what stands between braces: `seed` or `seed:06`.
fn number(place: &str) -> Result<Part, Mistake> {
    let (name, width) = place.split_once(':').unwrap_or((place, "0"));
    let Some((_, of)) = NUMBERS.iter().find(|(known, _)| *known == name) else {
        let error = Error::new(format!("nothing is called `{{{name}}}` in names of files"));
        let Error { what, help, .. } = error.suggest(name, &NUMBERS.map(|(known, _)| known));
        return Err(Mistake { field: "to".into(), what, help });
    };
    match width.parse::<usize>() {
        Ok(width) if width <= 20 => Ok(Part::Number { of: *of, width }),
        _ => Err(Mistake::new("to", format!("`{{{place}}}` has no width from 0 to 20 after the colon"))
            .help(format!("write `{{{name}:06}}` for six digits"))),
    }
}
