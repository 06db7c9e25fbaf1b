//! Writes small pickles, instruction by instruction, and zip files around them.

/// A pickle in the making.
#[derive(Clone, Default)]
pub struct Pickle(pub Vec<u8>);

impl Pickle {
    pub fn new() -> Self {
        Self(vec![0x80, 4])
    }

    pub fn op(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub fn text(self, text: &str) -> Self {
        self.op(b"X").op(&(text.len() as u32).to_le_bytes()).op(text.as_bytes())
    }

    pub fn int(self, int: i32) -> Self {
        self.op(b"J").op(&int.to_le_bytes())
    }

    pub fn bytes(self, bytes: &[u8]) -> Self {
        self.op(b"B").op(&(bytes.len() as u32).to_le_bytes()).op(bytes)
    }

    pub fn global(self, module: &str, name: &str) -> Self {
        self.op(format!("c{module}\n{name}\n").as_bytes())
    }

    /// A dictionary with these entries.
    pub fn dict(self, entries: &[(&str, &dyn Fn(Self) -> Self)]) -> Self {
        let start = self.op(b"}(");
        entries.iter().fold(start, |pickle, (name, value)| value(pickle.text(name))).op(b"u")
    }

    /// An object of a class that the file defines.
    pub fn object(self, class: &str, state: &dyn Fn(Self) -> Self) -> Self {
        let meta = self.global("torch_utils.persistence", "_reconstruct_persistent_obj").dict(&[
            ("type", &|p| p.text("class")),
            ("version", &|p| p.int(6)),
            ("module_src", &|p| p.text("import os")),
            ("class_name", &|p| p.text(class)),
            ("state", state),
        ]);
        meta.op(b"\x85R")
    }

    /// A tensor of a storage.
    pub fn tensor(self, storage: &dyn Fn(Self) -> Self, offset: i32, shape: &[i32], strides: &[i32]) -> Self {
        let ints =
            |pickle: Self, ints: &[i32]| ints.iter().fold(pickle.op(b"("), |p, int| p.int(*int)).op(b"t");
        let start = storage(self.global("torch._utils", "_rebuild_tensor_v2").op(b"(")).int(offset);
        ints(ints(start, shape), strides).op(b"\x89)tR")
    }

    pub fn done(self) -> Vec<u8> {
        self.op(b".").0
    }
}

/// A storage of f32 as the bytes of an older `torch.save`.
pub fn stream(numbers: &[f32]) -> Vec<u8> {
    let start = |bytes: &[u8]| Pickle(vec![0x80, 2]).op(bytes).done();
    let mut stream = start(b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19");
    stream.extend(start(b"M\xe9\x03"));
    stream.extend(Pickle::new().dict(&[("little_endian", &|p| p.op(b"\x88"))]).done());
    stream.extend(
        Pickle::new()
            .op(b"(")
            .text("storage")
            .global("torch", "FloatStorage")
            .text("7")
            .text("cpu")
            .int(numbers.len() as i32)
            .op(b"NtQ")
            .done(),
    );
    stream.extend(Pickle::new().op(b"]").text("7").op(b"a").done());
    stream.extend((numbers.len() as u64).to_le_bytes());
    stream.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    stream
}

/// A network of one tensor `weight`, and a setting.
pub fn net(pickle: Pickle, tensor: &dyn Fn(Pickle) -> Pickle) -> Pickle {
    pickle.object("Net", &|p| {
        p.dict(&[
            ("_parameters", &|p| {
                p.global("collections", "OrderedDict").op(b")R(").text("weight").op(b"").then(tensor).op(b"u")
            }),
            ("_buffers", &|p| p.op(b"}")),
            ("_modules", &|p| p.op(b"}")),
            ("_init_args", &|p| p.op(b")")),
            ("_init_kwargs", &|p| p.dict(&[("width", &|p| p.int(3))])),
        ])
    })
}

impl Pickle {
    pub fn then(self, next: &dyn Fn(Self) -> Self) -> Self {
        next(self)
    }
}

/// A snapshot of such a network, numbers and all.
pub fn snapshot(numbers: &[f32], shape: &[i32], strides: &[i32]) -> Vec<u8> {
    let storage =
        |p: Pickle| p.global("torch.storage", "_load_from_bytes").bytes(&stream(numbers)).op(b"\x85R");
    let tensor = |p: Pickle| p.tensor(&storage, 0, shape, strides);
    Pickle::new().dict(&[("ema", &|p| net(p, &tensor))]).done()
}

/// A zip file without compression.
pub fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut file, mut list) = (Vec::new(), Vec::new());
    for (name, content) in entries {
        let start = file.len() as u32;
        let mut fields = vec![0; 10];
        fields.extend(crc(content).to_le_bytes());
        fields.extend([content.len() as u32; 2].iter().flat_map(|len| len.to_le_bytes()));
        fields.extend((name.len() as u16).to_le_bytes());
        fields.extend(0u16.to_le_bytes());
        file.extend(b"PK\x03\x04");
        file.extend(&fields);
        file.extend(name.as_bytes());
        file.extend(*content);
        list.extend(b"PK\x01\x02\0\0");
        list.extend(&fields);
        list.extend([0; 10]);
        list.extend(start.to_le_bytes());
        list.extend(name.as_bytes());
    }
    let start = file.len() as u32;
    file.extend(&list);
    file.extend(b"PK\x05\x06\0\0\0\0");
    file.extend([entries.len() as u16; 2].iter().flat_map(|count| count.to_le_bytes()));
    file.extend((list.len() as u32).to_le_bytes());
    file.extend(start.to_le_bytes());
    file.extend([0; 2]);
    file
}

/// CRC-32, bit by bit.
fn crc(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}
