use diffusion::{Churn, Spacing};
use mollify_sampler::*;
use std::collections::BTreeMap;
use tensor::*;
fn run(build: impl FnOnce(&mut Graph), b: Bindings) -> Tensor {
    let mut g = Graph::new();
    build(&mut g);
    let p = Reference.prepare(compile(g)).unwrap();
    Reference.run(&p, &b).unwrap().take("y").unwrap()
}
#[test]
fn oracle() {
    let text = std::fs::read_to_string("/tmp/oracle.txt").unwrap();
    let all: BTreeMap<&str, Vec<f64>> = text
        .lines()
        .map(|l| {
            let p: Vec<&str> = l.split('|').collect();
            (p[0], p[2].split(',').map(|x| x.parse().unwrap()).collect())
        })
        .collect();
    let inf = f64::INFINITY;
    for (case, n, lo, hi, rho, ch) in [
        ("edm_n2", 2, 0.002, 80., 7., (0., 0., inf, 1.)),
        ("edm_n5", 5, 0.002, 80., 7., (0., 0., inf, 1.)),
        ("edm_n18", 18, 0.002, 80., 7., (0., 0., inf, 1.)),
        ("edm_rho3", 6, 0.002, 80., 3., (0., 0., inf, 1.)),
        ("edm_range", 6, 0.01, 20., 7., (0., 0., inf, 1.)),
        ("edm_netclamp", 6, 0.02, 30., 7., (0., 0., inf, 1.)),
        ("edm_churn", 8, 0.002, 80., 7., (3., 0., inf, 1.)),
        ("edm_churn_window", 9, 0.002, 80., 7., (30., 0.05, 50., 1.003)),
    ] {
        let churn = Churn { amount: ch.0, min: ch.1, max: ch.2, noise: ch.3 };
        let t = Spacing::Edm { rho }.time_steps(n, lo, hi).unwrap();
        let up = |v: Vec<f64>| Reference.upload(&Array::new([2, 12], v)).unwrap();
        let points = Reference.upload(&Array::new([5, 12], all["points"].clone())).unwrap();
        let mut calls = vec![];
        let mut d = |x: &Tensor, s: f64| {
            calls.push(s);
            run(
                |g| {
                    let x = g.input("x", [2, 12]);
                    let p = g.input("p", [5, 12]);
                    let x3 = g.reshape(x, [2, 1, 12]);
                    let q = g.map(&[x3, p], |v| (v(0) - v(1)).square());
                    let q = g.sum(q, &[2]);
                    let q = g.reshape(q, [2, 5]);
                    let s = g.scalar("s");
                    let l = g.map(&[q, s], |v| -v(0) / (v(1).square() * 2.0));
                    let w = g.softmax(l);
                    let m = g.matmul(w, p);
                    g.output("y", m)
                },
                Bindings::new().tensor("x", x).tensor("p", &points).scalar("s", s),
            )
        };
        let mut x = up(all["latents"].iter().map(|v| v * t[0]).collect());
        let steps = &all[format!("{case}/x_steps").as_str()];
        let mut worst = 0.0f64;
        for i in 0..=n {
            let now = Reference.download(&x).unwrap().f64s();
            for (a, b) in now.iter().zip(&steps[i * 24..]) {
                worst = worst.max((a - b).abs());
            }
            if i == n {
                break;
            }
            let th = churn.t_hat(t[i], n);
            if th != t[i] {
                let e = up(all[format!("{case}/noise").as_str()][i * 24..(i + 1) * 24].to_vec());
                x = run(
                    |g| {
                        let x = g.input("x", [2, 12]);
                        let e = g.input("e", [2, 12]);
                        let s = g.scalar("s");
                        let y = add_noise(g, x, e, s);
                        g.output("y", y)
                    },
                    Bindings::new().tensor("x", &x).tensor("e", &e).scalar("s", churn.noise_std(t[i], th)),
                );
            }
            let first = d(&x, th);
            let b = Interval::bind(Bindings::new().tensor("x", &x).tensor("d", &first), th, t[i + 1]);
            let e = run(
                |g| {
                    let x = g.input("x", [2, 12]);
                    let dd = g.input("d", [2, 12]);
                    let o = Interval::of(g);
                    let y = euler_step(g, x, dd, o);
                    g.output("y", y)
                },
                b,
            );
            x = if i + 1 == n {
                e
            } else {
                let second = d(&e, t[i + 1]);
                let b = Interval::bind(
                    Bindings::new().tensor("x", &x).tensor("d", &first).tensor("e", &e).tensor("d2", &second),
                    th,
                    t[i + 1],
                );
                run(
                    |g| {
                        let [x, dd, e, d2] = ["x", "d", "e", "d2"].map(|n| g.input(n, [2, 12]));
                        let o = Interval::of(g);
                        let y = heun_step(g, [x, dd], [e, d2], o);
                        g.output("y", y)
                    },
                    b,
                )
            };
        }
        let cs = &all[format!("{case}/call_sigma").as_str()];
        assert_eq!(calls.len(), cs.len());
        let cw = calls.iter().zip(cs).map(|(a, b)| (a / b - 1.).abs()).fold(0.0f64, f64::max);
        println!("{case}: x {worst:e} sigma {cw:e}");
        assert!(worst < 1e-11);
    }
}
