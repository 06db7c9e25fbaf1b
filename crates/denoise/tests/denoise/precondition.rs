//! Networks as denoisers.

use cpu::Cpu;
use diffusion::{Scheme, SigmaData};
use mollify_denoise::{Coefficients, PreconditionedNetwork, Recipe, coefficients, precondition_network};
use ports::{Architecture, Denoise};
use tensor::{Array, Bindings, Device, Graph, Reference, compile};

use crate::small::{ask, ask_all, mistake, numbers, parameters, question, tiny, upload, wire};

/// What a device makes of the coefficients at these noise levels: each `[sigma][channel]`.
fn on(device: &dyn Device, scheme: &Scheme, sigmas: &[f64], channels: usize) -> Vec<Vec<[f64; 4]>> {
    let n = sigmas.len();
    let mut graph = Graph::new();
    let sigma = graph.input("sigma", [n, 1, 1, 1]);
    let Coefficients { c_skip, c_out, c_in, c_noise } = coefficients(&mut graph, scheme, sigma);
    for (name, value) in [("c_skip", c_skip), ("c_out", c_out), ("c_in", c_in), ("c_noise", c_noise)] {
        let each = graph.broadcast(value, [n, 1, 1, channels]);
        graph.output(name, each);
    }
    let program = device.prepare(compile(graph)).unwrap();
    let sigma = device.upload(&Array::new([n, 1, 1, 1], sigmas.to_vec())).unwrap();
    let mut outputs = device.run(&program, &Bindings::new().tensor("sigma", &sigma)).unwrap();
    let mut all = |name| device.download(&outputs.take(name).unwrap()).unwrap().f64s();
    let [c_skip, c_out, c_in, c_noise] = ["c_skip", "c_out", "c_in", "c_noise"].map(&mut all);
    let at = |i: usize| [c_skip[i], c_out[i], c_in[i], c_noise[i]];
    (0..n).map(|row| (0..channels).map(|channel| at(row * channels + channel)).collect()).collect()
}

fn schemes() -> Vec<Scheme> {
    let each = SigmaData::Each(vec![0.5, 0.2, 1.3]);
    vec![
        Scheme::vp(),
        Scheme::ve(),
        Scheme::iddpm(),
        Scheme::default(),
        Scheme::Edm { sigma_data: 1.3.into() },
        Scheme::Edm { sigma_data: each },
    ]
}

#[test]
fn coefficients_on_a_device_are_those_of_the_formulas() {
    let sigmas = [0.0011, 0.002, 0.1, 0.5, 1.0, 80.0, 150.0];
    let devices: [(&dyn Device, f64); 2] = [(&Reference, 1e-12), (&Cpu::new(1), 3e-6)];
    for scheme in schemes() {
        for (device, tolerance) in devices {
            for (sigma, found) in sigmas.iter().zip(on(device, &scheme, &sigmas, 3)) {
                for (channel, found) in found.into_iter().enumerate() {
                    let c = scheme.coefficients(*sigma, channel);
                    for (found, expected) in found.into_iter().zip([c.c_skip, c.c_out, c.c_in, c.c_noise]) {
                        let error = (found - expected).abs();
                        let what = format!("{found} for {expected} at {sigma} by {scheme:?}");
                        assert!(error <= tolerance * expected.abs(), "{what} on {}", device.name());
                    }
                }
            }
        }
    }
}

#[test]
fn of_a_network_that_puts_out_a_variance_too_the_first_channels_count() {
    let (x, sigmas) = (numbers(6), [0.02, 5.0]);
    let answers = |scheme: &Scheme, outputs: usize| {
        let mut graph = Graph::new();
        let asked = question(&mut graph, &[2, 1, 1, 3].into(), 0);
        let denoised = precondition_network(&mut graph, scheme, &asked, |graph, inputs| {
            let noise = noise_of_three(graph, inputs);
            let twice = graph.concat(&[inputs.x, noise], 3);
            graph.slice(twice, 3, 0..outputs)
        });
        assert_eq!(graph.shape(denoised)[..], [2, 1, 1, 3]);
        graph.output("d", denoised);
        let program = Reference.prepare(compile(graph)).unwrap();
        let bindings = Bindings::new().tensor("x", &upload([2, 1, 1, 3], x.clone()));
        let bindings = bindings.tensor("sigma", &upload([2, 1, 1, 1], sigmas.to_vec()));
        let found = Reference.run(&program, &bindings).unwrap().take("d").unwrap();
        Reference.download(&found).unwrap().f64s()
    };
    for scheme in schemes() {
        assert_eq!(answers(&scheme, 6), answers(&scheme, 3), "{scheme:?}");
    }
}

/// c_noise in three channels.
fn noise_of_three(graph: &mut Graph, inputs: &unet::Inputs) -> tensor::Value {
    let n = graph.shape(inputs.noise)[0];
    let noise = graph.reshape(inputs.noise, [n, 1, 1, 1]);
    graph.broadcast(noise, [n, 1, 1, 3])
}

#[test]
fn a_denoiser_knows_the_noise_levels_of_its_scheme() {
    for scheme in schemes() {
        let two = Scheme::Edm { sigma_data: SigmaData::Each(vec![0.5, 0.2]) };
        let scheme = if matches!(&scheme, Scheme::Edm { .. }) { two } else { scheme };
        let net = PreconditionedNetwork::new("net", parameters(tiny()), scheme.clone());
        assert_eq!(net.sigma_range(), scheme.sigma_range());
        for sigma in [0.01, 0.7, 40.0] {
            assert_eq!(net.round_sigma(sigma), scheme.round_sigma(sigma));
        }
        assert!(ask(&net, &numbers(64), &[0.1, 30.0]).iter().all(|value| value.is_finite()), "{scheme:?}");
    }
    assert_ne!(Scheme::iddpm().round_sigma(0.7), 0.7);
}

#[test]
fn choices_that_make_no_sense_are_refused_while_wiring() {
    for (scheme, says) in [
        ("Ddpm()", "no choice `Ddpm`; known here: `Vp`, `Ve`, `Iddpm`, `Edm`"),
        ("Ve(sigma_min: 100.0, sigma_max: 0.02)", "`sigma_min` is 100 and `sigma_max` 0.02; swap the two"),
        ("Vp(epsilon_t: 2.0)", "`epsilon_t` is 2, expected a time above 0 and below 1"),
        ("Iddpm(timesteps: 1)", "`timesteps` is 1, expected 2 to 100000"),
        (
            "Edm(sigma_data: [0.5])",
            "a list of 1, but the images have 2 channels; give a number for each channel",
        ),
        ("Edm(sigma_data: [0.5, -1.0])", "must be a finite number above 0, not -1"),
        ("Edm(sigma_data: \"0.5\")", "expected a number, or a list of a number for each channel"),
    ] {
        let found = mistake(&format!(
            r#""data": Given(shape: (1, 4, 4, 2), pixels: [0.0]),
            "unet": SongUNet(like: "data", channels: 8, multipliers: [1], blocks: 1, attention: []),
            "net": Precondition(by: "unet", scheme: {scheme})"#
        ));
        assert!(found.contains(says), "{scheme}: {found}");
    }
}

#[test]
fn files_written_before_there_was_a_choice_are_still_read() {
    let network = Architecture::SongUNet(tiny()).recipe();
    let recipe = Recipe::read(&format!("(scheme:Edm(sigma_data:0.5),network:{network})")).unwrap();
    assert_eq!(recipe.scheme, Scheme::default());
    let mistake =
        Recipe::read(&format!("(scheme:Ve(sigma_min:9,sigma_max:1),network:{network})")).unwrap_err();
    assert!(mistake.contains("swap the two"), "{mistake}");
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
    for scheme in schemes().into_iter().chain([Scheme::Edm { sigma_data: (0.1 + 0.2).into() }]) {
        let net = PreconditionedNetwork::new("net", parameters(tiny()), scheme.clone());
        let recipe = Recipe::read(&net.recipe().unwrap()).unwrap();
        assert_eq!(recipe, Recipe { scheme, network: Architecture::SongUNet(tiny()) });
    }
    let net = PreconditionedNetwork::new("net", parameters(tiny()), Scheme::vp());
    let recipe = Recipe::read(&net.recipe().unwrap()).unwrap();
    let (input, trained) = net.trainable().unwrap();
    assert_eq!((input, trained.recipe.as_str()), ("net.parameters", recipe.network.recipe().as_str()));
    assert_eq!((net.image(), net.labels()), ([4, 4, 2].into(), 3));
}

#[test]
fn a_denoiser_says_while_wiring_how_long_the_labels_of_augmentation_are() {
    let described = |augment: usize| {
        let nodes = format!(
            r#""data": Given(shape: (1, 4, 4, 2), pixels: [0.0]),
            "unet": SongUNet(like: "data", channels: 8, multipliers: [1], attention: [], augment: {augment}),
            "net": Precondition(by: "unet")"#
        );
        let engine = wire(&nodes).unwrap_or_else(|report| panic!("{report}"));
        engine.describe().matches(&format!("→ AugmentLabels {augment}")).count()
    };
    assert_eq!((described(9), described(0)), (2, 0));
}
