//! Every shader of the operation table is valid, within the limits of every adapter. Needs no adapter.
//!
//! `ROW=word cargo test -p mollify-gpu --test shaders` looks at the rows with that word in their name.

use std::panic::{AssertUnwindSafe, catch_unwind};

use mollify_gpu::{Offer, Paper};
use tensor::operation_table::{Row, rows};

/// The flaws of a row's shaders, and how many shaders it has.
fn flaws(row: &Row, offer: Offer) -> Result<usize, String> {
    let paper = Paper::new(offer);
    match catch_unwind(AssertUnwindSafe(|| row.run(&paper))) {
        Err(_) => return Err("lowering panics".into()),
        Ok(Err(error)) => return Err(error.to_string()),
        Ok(Ok(_)) => {}
    }
    let shaders = paper.shaders();
    let flaws = shaders.iter().filter_map(|shader| shader.text().err());
    let flaws: Vec<String> = flaws.map(|flaw| flaw.to_string()).collect();
    if flaws.is_empty() { Ok(shaders.len()) } else { Err(flaws.join("\n")) }
}

#[test]
fn every_operation_has_valid_shaders() {
    let word = std::env::var("ROW").unwrap_or_default();
    let mut wrong = Vec::new();
    for (halves, cooperative) in [(false, false), (true, false), (true, true)] {
        let offer = Offer { largest_binding: 1 << 27, halves, cooperative };
        for row in rows().into_iter().filter(|row| row.name.contains(&word)) {
            match flaws(&row, offer) {
                Ok(0) => wrong.push(format!("{}: it has no shader", row.name)),
                Ok(_) => {}
                Err(flaws) => wrong.push(format!("{}: {flaws}", row.name)),
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}
