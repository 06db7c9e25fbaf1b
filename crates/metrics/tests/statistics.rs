//! Statistics in files, and distances between them.

use mollify_metrics::{Moments, Rows, Statistics, frechet_distance};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

fn statistics(count: usize, by: f32) -> Result<Statistics> {
    let numbers = (0..count * 3).map(|at| by * ((at * at + 3 * at) % 17) as f32).collect();
    let mut moments = Moments::default();
    moments.add(&Rows::new(3, numbers))?;
    Ok(moments.statistics()?)
}

#[test]
fn statistics_come_back_from_a_file() -> Result {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("reference.npz");
    let statistics = statistics(20, 1.0)?.of_network("0123");
    statistics.write(&file)?;
    assert_eq!(Statistics::read(&file)?, statistics);
    Ok(())
}

#[test]
fn a_file_without_a_mean_is_named() -> Result {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("other.npz");
    let mut zip = dataset::ZipWriter::new(Vec::new());
    zip.add("images.npy", b"")?;
    std::fs::write(&file, zip.finish()?)?;
    let wrong = Statistics::read(&file).expect_err("there is no mean");
    assert!(wrong.contains("other.npz") && wrong.contains("mu.npy"), "{wrong}");
    Ok(())
}

#[test]
fn the_distance_of_scaled_data_follows_from_its_spread() -> Result {
    let (one, double) = (statistics(40, 1.0)?, statistics(40, 2.0)?);
    // Σ' = 4 Σ and μ' = 2 μ, so the distance is |μ|² + tr Σ.
    let expected = one.mu.norm_squared() + one.sigma.trace();
    let distance = frechet_distance(&one, &double)?;
    assert!((distance - expected).abs() < 1e-10 * expected, "{distance}, expected {expected}");
    Ok(())
}

#[test]
fn statistics_of_two_networks_are_not_compared() -> Result {
    let [one, other] = [statistics(20, 1.0)?.of_network("a"), statistics(20, 1.0)?.of_network("b")];
    assert!(frechet_distance(&one, &other).is_err());
    Ok(())
}
