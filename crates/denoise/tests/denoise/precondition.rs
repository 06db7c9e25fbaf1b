//! Networks as denoisers.

use diffusion::Scheme;
use mollify_denoise::{Coefficients, PreconditionedNetwork, Recipe, coefficients, precondition_network};
use ports::{Architecture, Denoise};
use tensor::{Bindings, Device, Graph, Reference, compile};

use crate::small::{ask, ask_all, numbers, parameters, question, tiny, upload};

#[test]
fn coefficients_on_a_device_are_those_of_the_formulas() {
    let sigmas = vec![0.002, 0.1, 0.5, 1.0, 80.0];
    for scheme in [Scheme::default(), Scheme::Edm { sigma_data: 1.3.into() }] {
        let mut graph = Graph::new();
        let sigma = graph.input("sigma", [5, 1, 1, 1]);
        let Coefficients { c_skip, c_out, c_in, c_noise } = coefficients(&mut graph, &scheme, sigma);
        for (name, value) in [("c_skip", c_skip), ("c_out", c_out), ("c_in", c_in), ("c_noise", c_noise)] {
            graph.output(name, value);
        }
        let program = Reference.prepare(compile(graph)).unwrap();
        let bindings = Bindings::new().tensor("sigma", &upload([5, 1, 1, 1], sigmas.clone()));
        let mut outputs = Reference.run(&program, &bindings).unwrap();
        let mut all = |name| Reference.download(&outputs.take(name).unwrap()).unwrap().f64s();
        let found = ["c_skip", "c_out", "c_in", "c_noise"].map(&mut all);
        for (i, sigma) in sigmas.iter().enumerate() {
            let expected = scheme.coefficients(*sigma, 0);
            let expected = [expected.c_skip, expected.c_out, expected.c_in, expected.c_noise];
            for (found, expected) in found.iter().zip(expected) {
                assert!(
                    (found[i] - expected).abs() <= 1e-14 * expected.abs(),
                    "{found:?} {expected} at {sigma}"
                );
            }
        }
    }
}

#[test]
fn any_network_can_be_preconditioned() {
    let (x, sigmas) = (numbers(6), [0.02, 5.0]);
    let mut graph = Graph::new();
    let asked = question(&mut graph, &[2, 1, 1, 3].into(), 0);
    let denoised = precondition_network(&mut graph, &Scheme::default(), &asked, |graph, inputs| {
        let noise = graph.reshape(inputs.noise, [2, 1, 1, 1]);
        graph.map(&[inputs.x, noise], |v| v(0).sin() + v(1))
    });
    graph.output("d", denoised);
    let program = Reference.prepare(compile(graph)).unwrap();
    let bindings = Bindings::new().tensor("x", &upload([2, 1, 1, 3], x.clone()));
    let bindings = bindings.tensor("sigma", &upload([2, 1, 1, 1], sigmas.to_vec()));
    let found = Reference.run(&program, &bindings).unwrap().take("d").unwrap();
    for (i, found) in Reference.download(&found).unwrap().f64s().into_iter().enumerate() {
        let c = Scheme::default().coefficients(sigmas[i / 3], 0);
        let expected = c.c_skip * x[i] + c.c_out * ((c.c_in * x[i]).sin() + c.c_noise);
        assert!((found - expected).abs() < 1e-14, "{found} {expected}");
    }
}

#[test]
fn an_image_does_not_see_its_neighbours_noise_level() {
    let net = PreconditionedNetwork::new("net", parameters(tiny()), Scheme::default());
    let x = numbers(3 * 32);
    let all = ask(&net, &x, &[0.1, 1.0, 10.0]);
    assert!(all.iter().all(|value| value.is_finite()));
    // Class 0 is the first image's, in any batch.
    assert_eq!(ask(&net, &x[..32], &[0.1]), all[..32]);
    assert_ne!(ask(&net, &x[..32], &[0.2]), all[..32]);
}

#[test]
fn two_denoisers_fit_into_one_graph() {
    let make = |name: &str, sigma_data: f64| {
        PreconditionedNetwork::new(name, parameters(tiny()), Scheme::Edm { sigma_data: sigma_data.into() })
    };
    let mut other = parameters(tiny());
    other.arena = upload([other.network.layout().len], vec![0.01; other.network.layout().len]);
    let (one, two) = (make("one", 0.5), PreconditionedNetwork::new("two", other, Scheme::default()));
    let (x, sigmas) = (numbers(64), [0.3, 3.0]);
    let both = ask_all(&[&one, &two], &x, &sigmas);
    assert_eq!(both, [ask(&one, &x, &sigmas), ask(&two, &x, &sigmas)]);
    assert_ne!(both[0], both[1]);
}

#[test]
fn a_recipe_builds_the_same_denoiser_again() {
    let scheme = Scheme::Edm { sigma_data: (0.1 + 0.2).into() };
    let net = PreconditionedNetwork::new("net", parameters(tiny()), scheme.clone());
    let recipe = Recipe::read(&net.recipe().unwrap()).unwrap();
    assert_eq!(recipe, Recipe { scheme, network: Architecture::SongUNet(tiny()) });
    let (input, trained) = net.trainable().unwrap();
    assert_eq!((input, trained.recipe.as_str()), ("net.parameters", recipe.network.recipe().as_str()));
    assert_eq!((net.image(), net.labels()), ([4, 4, 2].into(), 3));
}
