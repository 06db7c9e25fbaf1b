//! Files that want to run something, to take all memory, or are not whole: each is an error, and a small one.

use std::fs::{self, File};
use std::path::Path;

use mollify_checkpoint::{TorchFile, read_torch};

use crate::memory::peak;
use crate::small::{Pickle, snapshot, stream};
use crate::torch_files::{file, training_state};

/// What reading takes at most, however bad the file is.
const MOST: usize = 100_000_000;

/// The message of a file that is refused, which takes little memory.
#[track_caller]
fn refused(bytes: &[u8]) -> String {
    let (_folder, path) = file(bytes);
    let (most, read) = peak(|| read_torch(&path));
    assert!(most < MOST, "{most} bytes of memory");
    read.expect_err("it should be refused").to_string()
}

#[test]
fn what_a_pickle_wants_to_call_is_named_and_not_called() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let harm = folder.path().join("harm");
    let command = format!("touch {}", harm.display());
    for (module, name) in [("os", "system"), ("posix", "system"), ("builtins", "eval"), ("torch", "load")] {
        let by_name = Pickle::new().global(module, name).text(&command).op(b"\x85R").done();
        let by_stack = Pickle::new().text(module).text(name).op(b"\x93").text(&command).op(b"\x85R").done();
        for pickle in [by_name, by_stack] {
            let message = refused(&pickle);
            assert!(message.contains(&format!("`{module}.{name}`")), "{message}");
        }
    }
    let inside = Pickle::new().op(b"}").text("ema").global("torch.storage", "_load_from_bytes");
    let message = refused(&inside.bytes(&Pickle::new().global("os", "system").done()).op(b"\x85Rs.").0);
    assert!(message.contains("`os.system`"), "{message}");
    assert!(!harm.exists());
}

#[test]
fn other_instructions_are_refused_by_name() {
    for (bytes, name) in [
        (&b"(ios\nsystem\n."[..], "INST"),
        (b"(cos\nsystem\no.", "OBJ"),
        (b"\x82\x01.", "EXT1"),
        (b"S'x'\n.", "STRING"),
        (b"Px\n.", "PERSID"),
        (b"\xff.", "0xff"),
    ] {
        let message = refused(bytes);
        let object = name == "OBJ" && message.contains("`os.system`");
        assert!(object || message.contains(&format!("`{name}`")), "{message}");
    }
}

#[test]
fn deep_nesting_is_an_error_and_no_overflow() {
    for (open, close) in [(b"]", b"a"), (b")", b"\x85"), (b"(", b"t")] {
        let mut nested = open.repeat(300_000);
        nested.extend(close.repeat(300_000));
        nested.push(b'.');
        refused(&nested);
    }
    // Modules in modules, each twice in the one around it: few bytes, no end of names.
    let start = Pickle::new().object("Net", &|p| p.op(b"}")).op(b"q\x00");
    let wrapped = |p: Pickle| {
        let modules = |p: Pickle| p.op(b"}(").text("a").op(b"h\x00").text("b").op(b"h\x00u");
        let settings: &dyn Fn(Pickle) -> Pickle = &|p| p.op(b"}");
        let state = |p: Pickle| {
            p.dict(&[("_modules", &modules), ("_init_args", &|p| p.op(b")")), ("_init_kwargs", settings)])
        };
        p.object("Net", &state).op(b"q\x00")
    };
    let pickle = (0..60).fold(start, |pickle, _| wrapped(pickle));
    let message = refused(&pickle.dict(&[("ema", &|p| p.op(b"h\x00"))]).done());
    assert!(message.contains("nested"), "{message}");
}

#[test]
fn a_module_that_holds_itself_is_an_error() {
    let state = |p: Pickle| p.op(b"}q\x01(").text("_init_args").op(b")").text("_init_kwargs").op(b"}u");
    let pickle = Pickle::new().object("Net", &state).op(b"q\x00");
    let pickle = pickle.op(b"h\x01").text("_modules").dict(&[("again", &|p| p.op(b"h\x00"))]).op(b"s");
    let message = refused(&pickle.dict(&[("ema", &|p| p.op(b"h\x00"))]).done());
    assert!(message.contains("nested"), "{message}");
}

#[test]
fn lengths_beyond_the_file_take_no_memory() {
    for (bytes, what) in [
        (&b"\x80\x04X\xff\xff\xff\xff."[..], "a text"),
        (b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7f.", "a long text"),
        (b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xff.", "a longer text"),
        (b"\x80\x04B\xff\xff\xff\xff.", "bytes"),
        (b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\xff.", "many bytes"),
        (b"\x80\x04\x8a\xff.", "an integer"),
    ] {
        let (_folder, path) = file(bytes);
        let (most, read) = peak(|| read_torch(&path));
        assert!(read.is_err() && most < 100_000, "{what} takes {most} bytes");
    }
    let message = refused(&Pickle::new().op(b"r\xff\xff\xff\xff.").0);
    assert!(message.contains("stack is empty"), "{message}");
}

#[test]
fn tensors_beyond_their_storage_are_errors() {
    for (shape, strides) in [
        (&[7][..], &[1][..]),
        (&[2, 3], &[4, 1]),
        (&[1_000_000_000, 1_000_000_000], &[0, 0]),
        (&[7], &[0]),
        (&[-1], &[1]),
        (&[2], &[-1]),
        (&[2, 3], &[1]),
        (&[1; 9], &[1; 9]),
        (&[i32::MAX; 8], &[i32::MAX; 8]),
    ] {
        let message = refused(&snapshot(&[0.0; 6], shape, strides));
        assert!(message.contains("a tensor"), "{shape:?}: {message}");
    }
}

#[test]
fn many_values_end_at_a_limit() {
    let nothing = [b"\x80\x04(".to_vec(), b"N".repeat(10_000_000)].concat();
    let lists = [b"\x80\x04(".to_vec(), b"]".repeat(10_000_000)].concat();
    let kept = [b"\x80\x04N".to_vec(), b"\x94".repeat(10_000_000)].concat();
    let idle = [b"\x80\x04".to_vec(), b"\x80\x04".repeat(10_000_000)].concat();
    for pickle in [nothing, lists, kept, idle] {
        let message = refused(&pickle);
        assert!(message.contains("MiB of memory") || message.contains("instructions"), "{message}");
    }
    let text = Pickle::new().text(&"x".repeat(50_000_000)).done();
    assert!(refused(&text).contains("MiB of memory"));
}

#[test]
fn a_file_of_tensors_in_another_one_is_refused() {
    let inner =
        Pickle::new().global("torch.storage", "_load_from_bytes").bytes(&stream(&[1.0])).op(b"\x85R").done();
    let outer = Pickle::new().op(b"}").text("ema").global("torch.storage", "_load_from_bytes").bytes(&inner);
    let message = refused(&outer.op(b"\x85Rs.").0);
    assert!(message.contains("nested in another one"), "{message}");
}

/// Cuts a file shorter and shorter.
fn cut(bytes: &[u8]) {
    let (_folder, path) = file(bytes);
    for len in (0..bytes.len()).rev() {
        shorten(&path, len);
        let (most, read) = peak(|| read_torch(&path));
        assert!(most < 1_000_000, "{len} bytes take {most} bytes of memory");
        assert!(read.is_err(), "{len} of {} bytes are enough", bytes.len());
    }
}

fn shorten(path: &Path, len: usize) {
    let file = File::options().write(true).open(path).expect("the file");
    file.set_len(len as u64).expect("a shorter file");
}

#[test]
fn a_snapshot_that_was_cut_anywhere_is_an_error() {
    cut(&snapshot(&[1.0, 2.0, 3.0], &[3], &[1]));
}

#[test]
fn a_training_state_that_was_cut_anywhere_is_an_error() {
    cut(&training_state(&[0.0; 6]));
}

/// Another byte in any place is an error or other numbers, never a panic.
#[test]
fn a_byte_that_changed_anywhere_does_no_harm() {
    for whole in [snapshot(&[1.0, 2.0, 3.0], &[3], &[1]), training_state(&[0.0; 6])] {
        let (_folder, path) = file(&whole);
        for place in 0..whole.len() {
            for flip in [0x01, 0xff] {
                let mut bytes = whole.clone();
                bytes[place] ^= flip;
                fs::write(&path, &bytes).expect("the file");
                let (most, read) = peak(|| read_torch(&path));
                assert!(most < MOST, "{most} bytes of memory");
                if let Ok(TorchFile::Snapshot(module)) = read {
                    module.parameters.iter().for_each(|(_, tensor)| drop(tensor.read()));
                }
            }
        }
    }
}
