//! Weights, arrays and summaries survive the disk, and bad files are told apart in words.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use mollify_checkpoint::{
    Array, Content, Dtype, Error, RunState, View, compare, inspect, read_array, read_state, read_weights,
    write_array, write_state, write_weights,
};
use tempfile::tempdir;

fn metadata(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

/// A file with two types of numbers, a scalar and an empty array.
fn write_small(path: &Path) -> Vec<(&'static str, Array)> {
    let arrays = vec![
        ("labels", Array::new(Dtype::U8, &[3], vec![1, 2, 3]).unwrap()),
        ("layer.weight", Array::from_f32s(&[2, 2], &[1.0, -2.0, 3.5, f32::NAN]).unwrap()),
        ("scalar", Array::from_f64s(&[], &[0.1]).unwrap()),
        ("none", Array::from_i64s(&[0, 7], &[]).unwrap()),
    ];
    let views: Vec<_> = arrays.iter().map(|(name, array)| (*name, array.view().unwrap())).collect();
    write_weights(path, &views, &metadata(&[("pipeline", "(nodes: {})\n"), ("a", "ä\"")])).unwrap();
    arrays
}

/// A safetensors file with this header and these bytes after it.
fn raw(header: &str, bytes: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), bytes].concat()
}

fn npy(header: &str, bytes: &[u8]) -> Vec<u8> {
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), bytes].concat()
}

/// What reading these bytes as any kind of file says, with the path cut out.
fn complaint(bytes: &[u8]) -> String {
    let folder = tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, bytes).unwrap();
    read_array(&path, None).unwrap_err().to_string().replace(&path.display().to_string(), "file")
}

#[test]
fn weights_come_back_as_they_went() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let arrays = write_small(&path);
    let weights = read_weights(&path).unwrap();
    assert_eq!(weights.metadata, metadata(&[("pipeline", "(nodes: {})\n"), ("a", "ä\"")]));
    assert_eq!(weights.arrays.len(), arrays.len());
    for (name, array) in arrays {
        assert_eq!(weights.arrays[name], array);
    }
}

#[test]
fn equal_weights_are_equal_files_that_other_readers_take() {
    let folder = tempdir().unwrap();
    let [a, b] = ["a", "b"].map(|name| folder.path().join(name));
    write_small(&a);
    write_small(&b);
    let bytes = fs::read(&a).unwrap();
    assert_eq!(bytes, fs::read(&b).unwrap());

    let peer = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(peer.len(), 4);
    let weight = peer.tensor("layer.weight").unwrap();
    assert_eq!((weight.dtype(), weight.shape()), (Dtype::F32, &[2, 2][..]));
    assert_eq!(&weight.data()[..4], 1f32.to_le_bytes());
    let start = weight.data().as_ptr() as usize - bytes.as_ptr() as usize;
    assert_eq!(start % 4, 0, "aligned for readers that map the file");
}

#[test]
fn files_from_elsewhere_have_no_digest_and_are_taken_as_they_are() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("peer.safetensors");
    fs::write(
        &path,
        raw(r#"{"x":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}"#, &[0x80, 0x3f, 0, 0xc0]),
    )
    .unwrap();
    let weights = read_weights(&path).unwrap();
    assert_eq!(weights.arrays["x"].f32s().unwrap(), [1.0, -2.0]);
    assert!(weights.metadata.is_empty());
}

#[test]
fn a_file_cut_at_any_byte_or_with_any_byte_changed_is_an_error_and_never_a_panic() {
    let folder = tempdir().unwrap();
    let [whole, broken] = ["whole", "broken"].map(|name| folder.path().join(name));
    let array = Array::from_f32s(&[2], &[1.0, 2.0]).unwrap();
    let texts = metadata(&[("adam/steps", "7")]);
    let state = RunState { tick: 3, act: 1, texts, arrays: vec![("m".into(), array)], ..RunState::default() };
    write_state(&whole, &state).unwrap();
    assert_eq!(read_state(&whole).unwrap(), state);

    let bytes = fs::read(&whole).unwrap();
    for length in 0..bytes.len() {
        fs::write(&broken, &bytes[..length]).unwrap();
        let error = read_state(&broken).unwrap_err();
        assert!(matches!(error, Error::Truncated { .. }), "{length} bytes: {error}");
        assert!(
            inspect(&broken).is_err() && read_weights(&broken).is_err() && read_array(&broken, None).is_err()
        );
    }
    for place in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[place] ^= 0x04;
        fs::write(&broken, &changed).unwrap();
        assert!(read_state(&broken).is_err(), "byte {place}: {:?}", bytes[place] as char);
    }
}

#[test]
fn hostile_headers_are_refused_in_words() {
    let header = |shape: &str, offsets: &str| {
        format!(r#"{{"x":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}}}"#)
    };
    assert_eq!(complaint(&[]), "`file` is truncated: it has 0 of 8 bytes");
    assert_eq!(
        complaint(&[0xff; 64]),
        "`file` is not a safetensors file: it does not start with the length of a header"
    );
    assert_eq!(
        complaint(b"PK\x03\x04 a zip file, for example"),
        "`file` is not a safetensors file: it does not start with the length of a header"
    );
    assert!(complaint(&raw("[1, 2]", &[])).starts_with("`file` is not a safetensors file: "));
    assert!(complaint(&raw(&"[".repeat(100_000), &[])).starts_with("`file` is not a safetensors file: "));
    assert!(
        complaint(&raw(&header("[1]", "[0,8]"), &[0; 8])).contains("invalid shape, data type, or offset")
    );
    assert!(complaint(&raw(&header("[1]", "[4,8]"), &[0; 8])).contains("invalid offset for tensor `x`"));
    assert!(complaint(&raw(&header("[4294967296,4294967296]", "[0,4]"), &[0; 4])).contains("overflow"));
    assert!(complaint(&raw(&header("[-1]", "[0,4]"), &[0; 4])).contains("is not a safetensors file"));
    let huge = header("[4611686018427387900]", "[0,18446744073709551600]");
    assert!(complaint(&raw(&huge, &[0; 4])).starts_with("`file` is "));
    let overlap = r#"{"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"y":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}"#;
    assert!(complaint(&raw(overlap, &[0; 6])).contains("invalid offset for tensor `y`"));
    assert_eq!(
        complaint(&raw(&header("[1]", "[0,4]"), &[0; 9])),
        "`file` is not a safetensors file: 5 bytes follow its last array"
    );
}

#[test]
fn one_array_is_found_by_name_or_alone() {
    let folder = tempdir().unwrap();
    let [many, one] = ["many.safetensors", "one.safetensors"].map(|name| folder.path().join(name));
    write_small(&many);
    assert_eq!(read_array(&many, Some("labels")).unwrap().bytes, [1, 2, 3]);
    let say =
        |name| read_array(&many, name).unwrap_err().to_string().replace(&many.display().to_string(), "many");
    assert_eq!(say(Some("layer.wieght")), "`many` has no array `layer.wieght`; did you mean `layer.weight`?");
    let names = "`none`, `scalar`, `layer.weight`, `labels`";
    let sorted = |text: String| {
        let (start, list) =
            text.split_once("; it has ").map(|(a, b)| (a.to_string(), b.to_string())).unwrap();
        let mut list: Vec<String> = list.split(", ").map(str::to_string).collect();
        list.sort();
        (start, list)
    };
    assert_eq!(sorted(say(Some("x"))), sorted(format!("`many` has no array `x`; it has {names}")));
    assert_eq!(sorted(say(None)), sorted(format!("`many` has 4 arrays and none was named; it has {names}")));

    write_array(&one, "x", View::from_f32s(&[1], &[2.5]).unwrap()).unwrap();
    assert_eq!(read_array(&one, None).unwrap().f32s().unwrap(), [2.5]);
    let lost = folder.path().join("lost.npy");
    let error = read_array(&lost, None).unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot read `{}`: ", lost.display())), "{error}");
}

#[test]
fn npy_files_are_byte_for_byte_those_of_numpy() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("x.npy");
    let array = Array::from_f32s(&[2, 3], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
    write_array(&path, "unused", array.view().unwrap()).unwrap();
    let text = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
    let header = format!("{text:<117}\n");
    assert_eq!(fs::read(&path).unwrap(), npy(&header, &array.bytes));
    assert_eq!(read_array(&path, None).unwrap(), array);
}

#[test]
fn npy_keeps_every_type_and_shape() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("x.npy");
    for dtype in [Dtype::F32, Dtype::F64, Dtype::F16, Dtype::U8, Dtype::I64, Dtype::U32, Dtype::BOOL] {
        for shape in [&[][..], &[1], &[2, 1, 2], &[0, 3]] {
            let bytes = (0..shape.iter().product::<usize>() * dtype.bitsize() / 8).map(|byte| byte as u8 % 2);
            let array = Array::new(dtype, shape, bytes.collect()).unwrap();
            write_array(&path, "", array.view().unwrap()).unwrap();
            assert_eq!(fs::read(&path).unwrap().len() % 64, array.bytes.len() % 64);
            assert_eq!(read_array(&path, None).unwrap(), array);
        }
    }
    let brain = Array::new(Dtype::BF16, &[1], vec![0, 0]).unwrap();
    let error = write_array(&path, "", brain.view().unwrap()).unwrap_err().to_string();
    assert_eq!(error, "numbers of type `BF16` cannot be written as `.npy`; take `.safetensors`");
}

#[test]
fn npy_files_that_are_not_plain_numbers_say_what_to_save_instead() {
    let with = |descr: &str, order: &str, shape: &str| {
        format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n")
    };
    let says = |header: &str, bytes: &[u8]| {
        let text = complaint(&npy(header, bytes));
        text.strip_prefix("`file` is not a `.npy` file of plain numbers: ").unwrap_or(&text).to_string()
    };
    assert_eq!(
        says(&with("'<f4'", "True", "(1,)"), &[0; 4]),
        "it is in Fortran order; save `np.ascontiguousarray(x)`"
    );
    assert_eq!(
        says(&with("[('a', '<f4'), ('b', '<i8')]", "False", "(1,)"), &[0; 12]),
        "it holds records with named fields; save each field as its own array"
    );
    assert_eq!(
        says(&with("'>f8'", "False", "(1,)"), &[0; 8]),
        "it holds big-endian `>f8`; save `x.astype('<f8')`"
    );
    assert_eq!(
        says(&with("'|O'", "False", "(1,)"), &[0; 8]),
        "it holds `|O`, which are not plain numbers; save `x.astype('<f4')`"
    );
    assert_eq!(says(&with("'<f4'", "False", "(3,)"), &[0; 8]), "`file` is truncated: it has 76 of 80 bytes");
    assert_eq!(says(&with("'<f4'", "False", "(1,)"), &[0; 8]), "4 bytes follow its array");
    assert_eq!(says(&with("'<f4'", "False", "(-1,)"), &[]), "its `shape` is unreadable");
    assert_eq!(
        says(&with("'<f8'", "False", "(9223372036854775807, 9)"), &[]),
        "no file is as large as [9223372036854775807, 9]"
    );
    assert_eq!(says("{'descr': '<f4'}", &[]), "its header has no `fortran_order`");
    assert_eq!(says(&format!("{{'descr': {}", "(".repeat(60_000)), &[]), "its type is unreadable");
}

#[test]
fn an_npy_file_cut_at_any_byte_is_an_error_and_never_a_panic() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("x.npy");
    write_array(&path, "", View::from_f32s(&[3], &[1.0, 2.0, 3.0]).unwrap()).unwrap();
    let bytes = fs::read(&path).unwrap();
    for length in 0..bytes.len() {
        fs::write(&path, &bytes[..length]).unwrap();
        assert!(read_array(&path, None).is_err(), "{length} bytes");
    }
}

#[test]
fn later_versions_of_npy_are_read() {
    let header = "{\"shape\": (2,), \"fortran_order\": False, \"descr\": \"|u1\"}\n";
    let file =
        [b"\x93NUMPY\x02\x00", &(header.len() as u32).to_le_bytes()[..], header.as_bytes(), &[4, 5]].concat();
    let folder = tempdir().unwrap();
    let path = folder.path().join("no-ending");
    fs::write(&path, file).unwrap();
    let array = read_array(&path, None).unwrap();
    assert_eq!((array.dtype, array.f64s().unwrap()), (Dtype::U8, vec![4.0, 5.0]));
}

#[test]
fn a_name_of_a_file_that_says_no_format_is_refused() {
    let error = write_array(Path::new("out.txt"), "x", View::from_f32s(&[1], &[0.0]).unwrap()).unwrap_err();
    let expected = "`out.txt` is not the name of a file of arrays: it must end in `.npy` or `.safetensors`";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn numbers_of_every_type_are_widened_exactly() {
    let f64s = |dtype, bytes: &[u8]| {
        let array = Array::new(dtype, &[bytes.len() * 8 / dtype.bitsize()], bytes.to_vec()).unwrap();
        array.f64s()
    };
    let halves: Vec<u8> =
        [0x3c00u16, 0xc000, 0x0001, 0x7bff, 0x7c00, 0x8000].iter().flat_map(|h| h.to_le_bytes()).collect();
    let widened = f64s(Dtype::F16, &halves).unwrap();
    assert_eq!(widened, [1.0, -2.0, 2f64.powi(-24), 65504.0, f64::INFINITY, 0.0]);
    assert!(widened[5].is_sign_negative());
    assert!(f64s(Dtype::F16, &[0x01, 0x7e]).unwrap()[0].is_nan());
    assert_eq!(f64s(Dtype::I64, &(-3i64).to_le_bytes()).unwrap(), [-3.0]);
    assert_eq!(f64s(Dtype::U32, &[0xff; 4]).unwrap(), [4294967295.0]);
    assert_eq!(f64s(Dtype::I32, &[0xff; 4]).unwrap(), [-1.0]);
    assert_eq!(f64s(Dtype::I8, &[0xff, 1]).unwrap(), [-1.0, 1.0]);
    assert_eq!(f64s(Dtype::BOOL, &[0, 1]).unwrap(), [0.0, 1.0]);
    assert_eq!(Array::from_f64s(&[1], &[0.1]).unwrap().f32s().unwrap(), [0.1f32]);
    let error = f64s(Dtype::C64, &[0; 8]).unwrap_err().to_string();
    assert_eq!(error, "numbers of type `C64` cannot be read as plain numbers; save them as `F32`");
}

#[test]
fn bytes_that_do_not_fill_a_shape_are_refused_before_anything_is_written() {
    let error = Array::from_f32s(&[2, 2], &[1.0]).unwrap_err().to_string();
    assert_eq!(error, "4 bytes do not fill an array of `F32` of shape [2, 2]");
    assert!(Array::new(Dtype::U8, &[usize::MAX, 2], Vec::new()).is_err());

    let folder = tempdir().unwrap();
    let path = folder.path().join("state");
    let array = Array { dtype: Dtype::F32, shape: vec![3], bytes: vec![0; 4] };
    let state = RunState { arrays: vec![("x".into(), array)], ..RunState::default() };
    assert!(matches!(write_state(&path, &state), Err(Error::Size { .. })));
    assert!(!path.exists());
}

#[test]
fn empty_arrays_come_back_in_any_order() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("state");
    let empty = |dtype| Array::new(dtype, &[0], Vec::new()).unwrap();
    let dtypes = [Dtype::F64, Dtype::U8, Dtype::F32, Dtype::I64];
    let mut arrays: Vec<_> = "zyxw".chars().map(String::from).zip(dtypes.map(empty)).collect();
    arrays.push(("full".into(), Array::from_f32s(&[1], &[1.0]).unwrap()));
    write_state(&path, &RunState { arrays, ..RunState::default() }).unwrap();
    for _ in 0..20 {
        let names: Vec<String> =
            read_state(&path).unwrap().arrays.into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["w", "x", "y", "z", "full"]);
    }
}

#[test]
fn two_arrays_of_one_name_are_refused() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("weights");
    let view = View::from_f32s(&[1], &[0.0]).unwrap();
    for names in [["x", "x"], ["x", "__metadata__"]] {
        let error = write_weights(&path, &names.map(|name| (name, view)), &BTreeMap::new()).unwrap_err();
        let expected = format!("the name `{}` is taken, so no second array can have it", names[1]);
        assert_eq!(error.to_string(), expected);
    }
    assert!(!path.exists());
}

#[test]
fn a_summary_tells_what_a_file_is() {
    let folder = tempdir().unwrap();
    let [weights, state, npy] =
        ["w.safetensors", "s.safetensors", "x.npy"].map(|name| folder.path().join(name));
    write_small(&weights);
    let summary = inspect(&weights).unwrap();
    assert_eq!((&summary.content, summary.parameters()), (&Content::Weights, 8));
    assert_eq!(summary.metadata["pipeline"], "(nodes: {})\n");
    assert!(summary.to_string().contains("\n  layer.weight F32  [2, 2]\n"), "{summary}");

    let texts = metadata(&[("adam/steps", "7")]);
    let kept = RunState { tick: 12, act: 2, texts: texts.clone(), ..RunState::default() };
    write_state(&state, &kept).unwrap();
    let summary = inspect(&state).unwrap();
    assert_eq!(summary.content, Content::State { tick: 12, act: 2, texts });
    assert!(summary.metadata.is_empty());
    assert_eq!(
        summary.to_string(),
        "state of a run after 12 ticks, in act 2\n0 arrays, 0 numbers\nadam/steps: 7"
    );

    write_array(&npy, "", View::from_f32s(&[2, 2], &[0.0; 4]).unwrap()).unwrap();
    assert_eq!((inspect(&npy).unwrap().content, inspect(&npy).unwrap().parameters()), (Content::Npy, 4));
}

#[test]
fn a_network_and_a_file_are_compared_by_name_and_shape() {
    let network =
        [("enc.conv.weight", &[16, 3, 3, 3][..]), ("enc.conv.bias", &[16]), ("dec.conv.bias", &[3])];
    let say = |found: &[(&str, &[usize])]| compare(&network, found).unwrap_err().to_string();
    let [weight, bias, last] = network;
    assert!(compare(&network, &[last, weight, bias]).is_ok());
    let owned = network.map(|(name, shape)| (name.to_string(), shape.to_vec()));
    assert!(compare(&network, &owned).is_ok());
    assert_eq!(
        say(&[(weight.0, &[32, 3, 3, 3]), (bias.0, &[32]), last]),
        "`enc.conv.weight` is [32, 3, 3, 3] in the file and [16, 3, 3, 3] in the network"
    );
    assert_eq!(
        say(&[weight, ("enc.conv0.bias", &[16]), last]),
        "the file has no `enc.conv.bias`, which the network needs; is it what the file calls `enc.conv0.bias`?"
    );
    assert_eq!(say(&[weight]), "the file has no `enc.conv.bias` (the first of 2), which the network needs");
    assert_eq!(
        say(&[weight, bias, last, ("out.bias", &[3])]),
        "the file has `out.bias`, which the network does not have"
    );
}
