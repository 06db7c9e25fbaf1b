//! `mollify devices`: what there is to compute on.

use gpu::Adapter;
use tensor::Device;

use crate::device;
use crate::problem::{Problem, print};

pub(crate) fn devices() -> Result<(), Problem> {
    let adapters = gpu::adapters();
    let taken = adapters.iter().position(|adapter| device::why_not(adapter).is_none());
    let mut text = block(device::cpu(None).name(), &[("option", option("cpu", taken.is_none()))]);
    for (at, adapter) in adapters.iter().enumerate() {
        let option = option(&format!("'gpu:{}'", adapter.name()), taken == Some(at));
        let mut lines = vec![("option", option)];
        lines.extend(abilities(adapter));
        text += "\n";
        text += &block(adapter.to_string(), &lines);
    }
    if adapters.is_empty() {
        text += "\nthere is no GPU that Vulkan, Metal or DirectX 12 can use\n";
    }
    print(&text)
}

fn block(name: String, lines: &[(&str, String)]) -> String {
    let lines = lines.iter().map(|(what, words)| format!("  {what:6} {words}\n"));
    format!("{name}\n{}", lines.collect::<String>())
}

fn option(device: &str, taken: bool) -> String {
    format!("--device {device}{}", if taken { ", which is what `auto` takes" } else { "" })
}

/// What an adapter can do, and what mollify makes of it.
fn abilities(adapter: &Adapter) -> Vec<(&'static str, String)> {
    let offer = adapter.offer();
    let features = [
        ("16-bit shaders", offer.halves),
        ("cooperative matrices", offer.cooperative),
        ("timestamps", adapter.has_timestamps()),
        ("pipeline cache", adapter.keeps_pipelines()),
    ];
    let with = |there: bool| -> Vec<&str> {
        features.iter().filter(|(_, has)| *has == there).map(|(what, _)| *what).collect()
    };
    let limits = format!(
        "{} MiB a binding, {} MiB a buffer, {} KiB of workgroup memory",
        offer.largest_binding >> 20,
        adapter.largest_buffer() >> 20,
        adapter.workgroup_bytes() >> 10
    );
    let mut lines = vec![("limits", limits)];
    for (what, features) in [("has", with(true)), ("lacks", with(false))] {
        if !features.is_empty() {
            lines.push((what, features.join(", ")));
        }
    }
    lines.push(("paths", paths(adapter)));
    lines
}

/// How mollify would compute there.
fn paths(adapter: &Adapter) -> String {
    if let Some(lack) = adapter.lacks() {
        return format!("none, as {lack}");
    }
    let offer = adapter.offer();
    let mut paths = vec!["f32"];
    if offer.halves {
        paths.push("`precision: Mixed`");
    }
    if offer.cooperative {
        paths.push("cooperative matrices, if they pass the test that comes before every run");
    }
    let software = if adapter.is_real() { "" } else { "; only software, so `auto` passes it over" };
    format!("{}{software}", paths.join(", "))
}
