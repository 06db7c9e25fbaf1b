use denoise::*;
use tensor::*;
fn main() {
    let config = unet::SongUNetConfig { dropout: 0.13, ..unet::SongUNetConfig::ddpmpp([32,32],3) };
    let architecture = ports::Architecture::SongUNet(config);
    let recipe = architecture.recipe();
    let network = architecture.build().unwrap();
    let len = network.layout().len;
    let d = gpu::Paper::new(gpu::Offer { largest_binding: 1 << 31, halves: true, cooperative: false });
    let arena = d.zeros(&[len].into(), Dtype::Real).unwrap();
    let p = ports::Parameters{network, arena, recipe};
    let net = PreconditionedNetwork::new("net", p, Default::default());
    let mut g = Graph::new();
    let n: usize = std::env::args().nth(1).unwrap().parse().unwrap();
    train::gradient_graph(&mut g, &net, Default::default(), n);
    let prog = compile(g);
    println!("{} steps", prog.steps.len());
    let s = gpu::Schedule::new(&prog, gpu::Offer { largest_binding: 1 << 31, halves: true, cooperative: false });
    let plan = gpu::Plan::of(&s);
    println!("{} calls, {} slots {} MiB, largest {} MiB", s.calls.len(), plan.slots.len(), plan.slots.iter().sum::<usize>() >> 20, plan.slots[0] >> 20);
    let mut h = std::collections::BTreeMap::new();
    for c in &s.calls { *h.entry(c.label.clone()).or_insert(0) += 1; }
    let mut h: Vec<_> = h.into_iter().collect(); h.sort_by_key(|x| -x.1);
    for (l, c) in h { println!("{c:5} {l}"); }
    let mut shaders = std::collections::HashSet::new();
    for c in &s.calls { shaders.insert(c.shader.clone()); }
    println!("{} shaders", shaders.len());
}
