//! Messages of PostgreSQL's protocol: <https://www.postgresql.org/docs/15/protocol-message-formats.html>.

use std::io::Result;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// One message: what kind, and what it says.
pub struct Frame {
    pub tag: u8,
    pub body: Vec<u8>,
}

/// Reads the message that opens a connection, which has no tag: as it came.
pub async fn read_opening(line: &mut (impl AsyncReadExt + Unpin)) -> Result<Vec<u8>> {
    let length = line.read_u32().await?;
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.resize(length as usize, 0);
    line.read_exact(&mut bytes[4..]).await?;
    Ok(bytes)
}

pub async fn read(line: &mut (impl AsyncReadExt + Unpin)) -> Result<Frame> {
    let tag = line.read_u8().await?;
    let mut body = vec![0; line.read_u32().await? as usize - 4];
    line.read_exact(&mut body).await?;
    Ok(Frame { tag, body })
}

pub async fn write(line: &mut (impl AsyncWriteExt + Unpin), frames: &[Frame]) -> Result<()> {
    let mut bytes = Vec::new();
    for Frame { tag, body } in frames {
        bytes.push(*tag);
        bytes.extend(u32::try_from(body.len() + 4).unwrap().to_be_bytes());
        bytes.extend(body);
    }
    line.write_all(&bytes).await
}

/// Reads what a message holds, from its beginning.
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    pub fn bytes(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken
    }

    pub fn text(&mut self) -> String {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap();
        let text = String::from_utf8(self.bytes(end).to_vec()).unwrap();
        self.bytes(1);
        text
    }

    pub fn short(&mut self) -> usize {
        u16::from_be_bytes(self.bytes(2).try_into().unwrap()).into()
    }

    pub fn long(&mut self) -> i32 {
        i32::from_be_bytes(self.bytes(4).try_into().unwrap())
    }

    /// A value with its length before it; `None` is null.
    pub fn value(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.long()).ok()?;
        Some(self.bytes(length))
    }
}

/// The texts of an array in binary form; `None` when it is none of texts.
pub fn texts(array: &[u8]) -> Option<Vec<String>> {
    const TEXT: i32 = 25;
    let mut reader = Reader(array);
    let (dimensions, _has_null, kind) = (reader.long(), reader.long(), reader.long());
    if dimensions != 1 || kind != TEXT {
        return None;
    }
    let (length, _first) = (reader.long(), reader.long());
    (0..length).map(|_| Some(String::from_utf8(reader.value()?.to_vec()).unwrap())).collect()
}
