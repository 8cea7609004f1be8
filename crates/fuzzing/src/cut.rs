//! How a target takes its input apart, and how seeds are put together: bytes, and blocks that follow their length. Any
//! bytes are an input: what is missing is empty.

/// What is left of an input.
#[derive(Clone, Copy)]
pub struct Cut<'a>(&'a [u8]);

impl<'a> Cut<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    pub fn flags(&mut self) -> Flags {
        Flags(self.byte())
    }

    /// One of them, for each input the same.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::from(self.byte()) % from.len()]
    }

    /// Two bytes of length, little-endian, and as many bytes as that says, or as there are.
    pub fn block(&mut self) -> &'a [u8] {
        let length = usize::from(u16::from_le_bytes([self.byte(), self.byte()]));
        let (block, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        block
    }

    /// A block as text, what is no UTF-8 replaced.
    pub fn text(&mut self) -> String {
        String::from_utf8_lossy(self.block()).into_owned()
    }

    pub fn rest(self) -> &'a [u8] {
        self.0
    }
}

/// Eight yeses and noes.
#[derive(Clone, Copy)]
pub struct Flags(u8);

impl Flags {
    pub fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }
}

/// The other way: what [`Cut`] takes apart.
#[derive(Default, Clone)]
pub struct Glue(Vec<u8>);

impl Glue {
    pub fn byte(mut self, byte: u8) -> Self {
        self.0.push(byte);
        self
    }

    /// Longer ones than a length can tell are cut.
    pub fn block(mut self, block: impl AsRef<[u8]>) -> Self {
        let block = block.as_ref();
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        self.0.extend(length.to_le_bytes());
        self.0.extend(&block[..usize::from(length)]);
        self
    }

    pub fn rest(mut self, rest: impl AsRef<[u8]>) -> Vec<u8> {
        self.0.extend(rest.as_ref());
        self.0
    }
}
