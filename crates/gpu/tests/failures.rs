//! What fails on a GPU is told: what is too large, and a device that is lost.

mod adapter;

use adapter::gpu;
use mollify_gpu::{Mode, Offer, Schedule};
use tensor::{Array, Bindings, Device, Dtype, Error, Graph, Program, compile};

fn doubled(shape: impl Into<tensor::Shape>) -> Program {
    let mut graph = Graph::new();
    let x = graph.input("x", shape);
    let most = graph.sum(x, &[0]);
    let y = graph.scale(x, 2.0);
    graph.output("y", y);
    graph.output("most", most);
    compile(graph)
}

#[test]
fn everything_that_a_lost_gpu_is_asked_for_is_an_error() {
    let Some(gpu) = gpu(Mode::Trusted) else { return };
    let [small, large] = [8, 1 << 21].map(|len| Array::new([len], vec![1.0f32; len]));
    let x = gpu.upload(&small).unwrap();
    let executable = gpu.prepare(doubled([8])).unwrap();
    let bindings = Bindings::new().tensor("x", &x);
    let asked = gpu.fetch(&x).unwrap();
    gpu.destroy();

    let lost = |what: &str, failed: Option<Error>| {
        let error = failed.unwrap_or_else(|| panic!("{what} works on a GPU that was lost"));
        assert!(error.to_string().contains("the GPU was lost (it was given back)"), "{what}: {error}");
    };
    lost("fetching", asked.wait().err());
    lost("a small upload", gpu.upload(&small).err());
    lost("a large upload", gpu.upload(&large).err());
    lost("preparing", gpu.prepare(doubled([9])).err());
    lost("a run", gpu.run(&executable, &bindings).err());
    lost("zeros", gpu.zeros(&[4].into(), Dtype::Real).and_then(|zeros| gpu.download(&zeros)).err());
    lost("downloading", gpu.download(&x).err());
    lost("submitting", gpu.submit().err());
}

#[test]
fn what_has_more_elements_than_32_bits_count_is_too_large_to_bind() {
    let offer = Offer { largest_binding: (1 << 31) - 1, halves: false, cooperative: false };
    let mut graph = Graph::new();
    let (x, weight) = (graph.input("x", [1 << 20, 128, 128, 4]), graph.input("weight", [9, 4, 4]));
    let y = graph.conv(x, weight, None);
    let y = graph.silu(y);
    graph.output("y", y);
    let program = compile(graph);
    let error = Schedule::new(&program, offer).check(&program, offer).unwrap_err();
    assert!(error.is_too_large(), "{error}");
}
