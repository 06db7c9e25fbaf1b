//! SIMD chosen at run time: kernels are written once over [`Simd`] and compiled for every [`Level`].
//!
//! A level is a token that only exists where its instructions do, so its methods are safe to call. Everything a kernel
//! calls must be `#[inline(always)]` up to [`Level::run`], whose wrapper turns the instructions on. What takes a closure
//! rarely is: work in one handed on, or in `array::map` and `from_fn`, is compiled without the instructions and slow.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod scalar;

/// The instructions that a kernel is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Level {
    /// Plain Rust; separate multiplications and additions.
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "aarch64")]
    Neon,
}

/// Work that can be compiled for every level.
pub trait Kernel {
    type Output;

    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

impl Level {
    /// Every level of this kind of processor, the best one last.
    const ALL: &[Level] = &[
        Level::Scalar,
        #[cfg(target_arch = "x86_64")]
        Level::Avx2,
        #[cfg(target_arch = "x86_64")]
        Level::Avx512,
        #[cfg(target_arch = "aarch64")]
        Level::Neon,
    ];

    /// The best level of this machine.
    pub fn detect() -> Level {
        Level::available().last().expect("the scalar level is always there")
    }

    /// Every level that this machine can run, the best one last.
    pub fn available() -> impl Iterator<Item = Level> {
        Level::ALL.iter().copied().filter(|level| level.is_available())
    }

    /// Whether this machine can run it.
    #[inline]
    pub fn is_available(self) -> bool {
        match self {
            Level::Scalar => true,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => {
                let [f, vl] = [is_x86_feature_detected!("avx512f"), is_x86_feature_detected!("avx512vl")];
                let [dq, bw] = [is_x86_feature_detected!("avx512dq"), is_x86_feature_detected!("avx512bw")];
                f && vl && dq && bw && Level::Avx2.is_available()
            }
            #[cfg(target_arch = "aarch64")]
            Level::Neon => true,
        }
    }

    /// Numbers in a vector.
    pub fn lanes(self) -> usize {
        self.run(Sizes)[0]
    }

    /// Rows of a register tile.
    pub fn rows(self) -> usize {
        self.run(Sizes)[1]
    }

    /// Runs a kernel with this level's instructions.
    ///
    /// # Panics
    /// If the machine lacks them.
    #[inline]
    pub fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self {
            Level::Scalar => kernel.run(scalar::Scalar),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => avx2::run(kernel),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => avx512::run(kernel),
            #[cfg(target_arch = "aarch64")]
            Level::Neon => neon::run(kernel),
        }
    }
}

struct Sizes;

impl Kernel for Sizes {
    type Output = [usize; 2];

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> [usize; 2] {
        [S::LANES, S::ROWS]
    }
}

/// Vectors of f32 and of 32-bit integers of one level.
pub trait Simd: Copy + Send + Sync + 'static {
    /// Numbers in a vector, at most 16.
    const LANES: usize;
    /// Rows of a register tile that is two vectors wide: as many as the registers hold comfortably.
    const ROWS: usize;
    /// f32 numbers.
    type F: Copy;
    /// 32-bit integers.
    type I: Copy;
    /// One truth value per number.
    type M: Copy;

    fn splat(self, x: f32) -> Self::F;

    /// # Safety
    /// `from` must point at `LANES` numbers.
    unsafe fn load(self, from: *const f32) -> Self::F;

    /// # Safety
    /// `to` must point at `LANES` numbers.
    unsafe fn store(self, to: *mut f32, x: Self::F);

    /// The first `len` numbers; zeros follow.
    ///
    /// # Safety
    /// `from` must point at `len` numbers, `len <= LANES`.
    #[inline(always)]
    unsafe fn load_part(self, from: *const f32, len: usize) -> Self::F {
        let mut lanes = [0.0f32; 16];
        // SAFETY: `len` numbers are there, and 16 lanes are enough for every level.
        unsafe {
            std::ptr::copy_nonoverlapping(from, lanes.as_mut_ptr(), len);
            self.load(lanes.as_ptr())
        }
    }

    /// # Safety
    /// `to` must point at `len` numbers, `len <= LANES`.
    #[inline(always)]
    unsafe fn store_part(self, to: *mut f32, x: Self::F, len: usize) {
        let mut lanes = [0.0f32; 16];
        // SAFETY: `len` numbers are there, and 16 lanes are enough for every level.
        unsafe {
            self.store(lanes.as_mut_ptr(), x);
            std::ptr::copy_nonoverlapping(lanes.as_ptr(), to, len);
        }
    }

    /// Writes a square of `LANES` rows and columns with rows and columns exchanged; each side is where it begins and how
    /// far apart its rows lie.
    ///
    /// # Safety
    /// All its numbers must be there to be read, and to be written.
    #[inline(always)]
    unsafe fn transpose(self, (from, step): (*const f32, usize), (to, row): (*mut f32, usize)) {
        for i in 0..Self::LANES {
            for j in 0..Self::LANES {
                // SAFETY: the caller's promise.
                unsafe { *to.add(j * row + i) = *from.add(i * step + j) };
            }
        }
    }

    /// In every four lanes, rows and columns exchanged: lane `4i + j` of result `k` is lane `4i + k` of argument `j`.
    #[inline(always)]
    fn transpose_fours(self, x: [Self::F; 4]) -> [Self::F; 4] {
        let mut from = [[0.0f32; 16]; 4];
        for (from, x) in from.iter_mut().zip(x) {
            self.write(&mut from[..Self::LANES], 0, x);
        }
        let mut to = [[0.0f32; 16]; 4];
        for i in 0..Self::LANES {
            for k in 0..4 {
                to[k][i] = from[i % 4][i / 4 * 4 + k];
            }
        }
        [self.read(&to[0], 0), self.read(&to[1], 0), self.read(&to[2], 0), self.read(&to[3], 0)]
    }

    /// Numbers in bf16: the upper halves of their words.
    ///
    /// # Safety
    /// `from` must point at `LANES` numbers.
    unsafe fn load_bf16(self, from: *const u16) -> Self::F;

    /// The lower halves of words between -2^15 and 2^15.
    ///
    /// # Safety
    /// `to` must point at `LANES` numbers.
    unsafe fn store_shorts(self, to: *mut u16, x: Self::I);

    /// The first `len` numbers; zeros follow.
    ///
    /// # Safety
    /// `from` must point at `len` numbers, `len <= LANES`.
    #[inline(always)]
    unsafe fn load_bf16_part(self, from: *const u16, len: usize) -> Self::F {
        let mut lanes = [0; 16];
        // SAFETY: `len` numbers are there, and 16 lanes are enough for every level.
        unsafe {
            std::ptr::copy_nonoverlapping(from, lanes.as_mut_ptr(), len);
            self.load_bf16(lanes.as_ptr())
        }
    }

    /// # Safety
    /// `to` must point at `len` numbers, `len <= LANES`.
    #[inline(always)]
    unsafe fn store_shorts_part(self, to: *mut u16, x: Self::I, len: usize) {
        let mut lanes = [0; 16];
        // SAFETY: `len` numbers are there, and 16 lanes are enough for every level.
        unsafe {
            self.store_shorts(lanes.as_mut_ptr(), x);
            std::ptr::copy_nonoverlapping(lanes.as_ptr(), to, len);
        }
    }

    /// The nearest bf16, to even between two, in the lower halves of words; NaN stays NaN.
    #[inline(always)]
    fn to_bf16(self, x: Self::F) -> Self::I {
        let bits = self.bits(x);
        let odd = self.and(self.shift_right::<16>(bits), self.splat_int(1));
        let rounded = self.add_int(self.add_int(bits, self.splat_int(0x7fff)), odd);
        let rounded = self.select(self.eq(x, x), self.reinterpret(rounded), self.splat(f32::NAN));
        self.shift_right::<16>(self.bits(rounded))
    }

    /// The vector at `x[i..]` of bf16; zeros follow where the slice ends.
    #[inline(always)]
    fn read_bf16(self, x: &[u16], i: usize) -> Self::F {
        let x = &x[i..];
        // SAFETY: as many numbers are read as there are.
        unsafe {
            match x.len() >= Self::LANES {
                true => self.load_bf16(x.as_ptr()),
                false => self.load_bf16_part(x.as_ptr(), x.len()),
            }
        }
    }

    /// Writes a vector to `out[i..]` as bf16, as much of it as fits.
    #[inline(always)]
    fn write_bf16(self, out: &mut [u16], i: usize, x: Self::F) {
        let out = &mut out[i..];
        // SAFETY: as many numbers are written as there are places.
        unsafe {
            match out.len() >= Self::LANES {
                true => self.store_shorts(out.as_mut_ptr(), self.to_bf16(x)),
                false => self.store_shorts_part(out.as_mut_ptr(), self.to_bf16(x), out.len()),
            }
        }
    }

    /// The vector at `x[i..]`; zeros follow where the slice ends.
    #[inline(always)]
    fn read(self, x: &[f32], i: usize) -> Self::F {
        let x = &x[i..];
        // SAFETY: as many numbers are read as there are.
        unsafe {
            if x.len() >= Self::LANES { self.load(x.as_ptr()) } else { self.load_part(x.as_ptr(), x.len()) }
        }
    }

    /// Writes a vector to `out[i..]`, as much of it as fits.
    #[inline(always)]
    fn write(self, out: &mut [f32], i: usize, x: Self::F) {
        let out = &mut out[i..];
        // SAFETY: as many numbers are written as there are places.
        unsafe {
            match out.len() >= Self::LANES {
                true => self.store(out.as_mut_ptr(), x),
                false => self.store_part(out.as_mut_ptr(), x, out.len()),
            }
        }
    }

    fn add(self, a: Self::F, b: Self::F) -> Self::F;
    fn sub(self, a: Self::F, b: Self::F) -> Self::F;
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;
    fn div(self, a: Self::F, b: Self::F) -> Self::F;
    /// a · b + c, rounded once where the level has such an instruction.
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// `if a < b { a } else { b }`, so `b` where one is NaN.
    fn min(self, a: Self::F, b: Self::F) -> Self::F;
    /// `if a > b { a } else { b }`, so `b` where one is NaN.
    fn max(self, a: Self::F, b: Self::F) -> Self::F;
    fn sqrt(self, x: Self::F) -> Self::F;
    /// To the nearest whole number, to even between two; for |x| < 2^22.
    #[inline(always)]
    fn round(self, x: Self::F) -> Self::F {
        let magic = self.splat(12_582_912.0); // 1.5 · 2^23 leaves no bits for a fraction
        self.sub(self.add(x, magic), magic)
    }
    /// x · 2^n of a whole number n in -252..=254.
    #[inline(always)]
    fn scale(self, x: Self::F, n: Self::F) -> Self::F {
        // In two factors, so that neither overflows where the result is subnormal or infinite.
        let half = self.round(self.mul(n, self.splat(0.5)));
        let power =
            |n| self.reinterpret(self.shift_left::<23>(self.add_int(self.to_int(n), self.splat_int(127))));
        self.mul(self.mul(x, power(half)), power(self.sub(n, half)))
    }
    /// 1 / x to 1 ulp, for normal numbers whose reciprocal is normal too.
    #[inline(always)]
    fn recip(self, x: Self::F) -> Self::F {
        self.div(self.splat(1.0), x)
    }
    fn lt(self, a: Self::F, b: Self::F) -> Self::M;
    fn le(self, a: Self::F, b: Self::F) -> Self::M;
    fn eq(self, a: Self::F, b: Self::F) -> Self::M;
    fn select(self, mask: Self::M, yes: Self::F, no: Self::F) -> Self::F;

    fn splat_int(self, x: i32) -> Self::I;
    fn bits(self, x: Self::F) -> Self::I;
    /// The numbers that have these bits.
    fn reinterpret(self, x: Self::I) -> Self::F;
    /// Of a whole number.
    fn to_int(self, x: Self::F) -> Self::I;
    fn to_float(self, x: Self::I) -> Self::F;
    fn add_int(self, a: Self::I, b: Self::I) -> Self::I;
    fn and(self, a: Self::I, b: Self::I) -> Self::I;
    fn xor(self, a: Self::I, b: Self::I) -> Self::I;
    /// High and low words of the products with a constant, unsigned.
    fn mul_wide(self, a: Self::I, b: u32) -> [Self::I; 2];
    /// a < b, signed.
    fn lt_int(self, a: Self::I, b: Self::I) -> Self::M;
    fn shift_left<const BITS: u32>(self, x: Self::I) -> Self::I;
    /// Copies the sign in from the left.
    fn shift_right<const BITS: u32>(self, x: Self::I) -> Self::I;
}

/// Writes the methods of [`Simd`] that are one instruction each.
macro_rules! instructions {
    ($($name:ident($($arg:ident: $in:ty),*) -> $out:ty { $body:expr })*) => {
        $(
            #[inline(always)]
            fn $name(self, $($arg: $in),*) -> $out {
                // SAFETY: the token exists only where the level's instructions do.
                unsafe { $body }
            }
        )*
    };
}
use instructions;
