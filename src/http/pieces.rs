//! Large answers go out piece by piece, so that a client that takes nothing of one costs a piece and not all of it.

use actix_web::body::SizedStream;
use bytes::Bytes;
use futures_util::Stream;

use super::error::Error;

/// Bytes of a piece.
const PIECE: usize = 16 * 1024;

/// `whole` in pieces, which share its memory.
pub(super) fn in_pieces(whole: Bytes) -> SizedStream<impl Stream<Item = Result<Bytes, Error>>> {
    let length = whole.len() as u64;
    let pieces = (0..whole.len()).step_by(PIECE).map(move |at| Ok(whole.slice(at..whole.len().min(at + PIECE))));
    SizedStream::new(length, futures_util::stream::iter(pieces))
}

#[cfg(test)]
mod tests {
    use actix_web::body::{BodySize, MessageBody as _, to_bytes};

    use super::*;

    #[actix_web::test]
    async fn pieces_come_to_the_whole() {
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 5 * PIECE + 7] {
            let whole: Bytes = (0..length).map(|at| at as u8).collect::<Vec<_>>().into();
            let pieces = in_pieces(whole.clone());
            assert_eq!(pieces.size(), BodySize::Sized(length as u64));
            assert_eq!(to_bytes(pieces).await.unwrap_or_else(|_| panic!("{length}")), whole);
        }
    }
}
