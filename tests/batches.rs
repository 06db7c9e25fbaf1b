//! What a seed draws depends on nothing but the seed: not on the batch it is in, nor on the number of threads.

use mollify_tests::{Mollify, gpus, mollify};

/// Every picture of the tiny pipeline, drawn in batches of a size.
fn pictures(size: &str, device: &[&str]) -> Vec<(String, Vec<u8>)> {
    let mollify: Mollify = mollify!().with_tiny();
    let size = format!("size={size}");
    let args = ["run", "tiny.ron", "--set", "seeds=0-63", "--set", &size, "--quiet"];
    mollify.succeed(&[&args[..], device].concat());
    let pictures = mollify.files("out");
    assert_eq!(pictures.len(), 64);
    let first = &pictures[0].1;
    assert!(pictures.iter().any(|(_, picture)| picture != first), "every seed drew the same picture");
    pictures
}

fn expect_the_same_in_batches_of_1_7_and_64(device: &[&str]) {
    let whole = pictures("64", device);
    for size in ["1", "7"] {
        assert!(pictures(size, device) == whole, "batches of {size} and of 64 differ");
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_in_batches_of_1_7_and_64() {
    expect_the_same_in_batches_of_1_7_and_64(&["--device", "cpu", "--threads", "2"]);
}

#[test]
fn the_same_seed_gives_the_same_bytes_in_batches_of_1_7_and_64_on_a_gpu() {
    if !gpus::left_out() {
        expect_the_same_in_batches_of_1_7_and_64(&["--device", "gpu"]);
    }
}

#[test]
fn one_two_and_three_threads_give_the_same_bytes() {
    let states = |threads: &str| {
        let mollify: Mollify = mollify!().with_tiny();
        mollify.succeed(&["run", "tiny.ron", "--device", "cpu", "--threads", threads, "--quiet"]);
        let mut files = mollify.files("runs/tiny");
        files.extend(mollify.files("out"));
        files
    };
    let one = states("1");
    assert!(
        one.iter().any(|(path, _)| path.contains("state-"))
            && one.iter().any(|(path, _)| path.ends_with("png"))
    );
    for threads in ["2", "3"] {
        for (ours, theirs) in states(threads).iter().zip(&one) {
            assert_eq!(ours.0, theirs.0);
            assert!(ours.1 == theirs.1, "`{}` differs between 1 and {threads} threads", ours.0);
        }
    }
}
