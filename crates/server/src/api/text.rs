//! Bytes that come in pieces, as text that comes in pieces.

/// Makes text of bytes. A character that is cut in two by the border of two pieces comes whole, with
/// the second; bytes that are no UTF-8 become `U+FFFD`.
#[derive(Debug, Default)]
pub(crate) struct TextPieces {
    /// The begin of a character whose end has not come yet; at most three bytes.
    begun: Vec<u8>,
}

impl TextPieces {
    /// The text up to the last whole character of what has come.
    pub(crate) fn next(&mut self, bytes: &[u8]) -> String {
        let mut piece = std::mem::take(&mut self.begun);
        piece.extend_from_slice(bytes);
        let begun = begun_character(&piece);
        self.begun = piece.split_off(piece.len() - begun);
        String::from_utf8_lossy(&piece).into_owned()
    }

    /// What is left where no more comes.
    pub(crate) fn rest(self) -> String {
        String::from_utf8_lossy(&self.begun).into_owned()
    }
}

/// How many bytes at the end are the begin of a character.
fn begun_character(bytes: &[u8]) -> usize {
    let last = bytes.len().saturating_sub(3);
    (last..bytes.len())
        .find_map(|from| match std::str::from_utf8(&bytes[from..]) {
            // Only an error without a length can still become a character.
            Err(error) if error.valid_up_to() == 0 && error.error_len().is_none() => {
                Some(bytes.len() - from)
            }
            Ok(_) | Err(_) => None,
        })
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_survive_any_border() {
        let text = "aß…𝄞z";
        for border in 0..=text.len() {
            let (left, right) = text.as_bytes().split_at(border);
            let mut pieces = TextPieces::default();
            let all = pieces.next(left) + &pieces.next(right);
            assert_eq!(all + &pieces.rest(), text, "border at {border}");
        }
    }

    #[test]
    fn what_is_no_text_is_replaced_and_never_held_back_for_long() {
        let mut pieces = TextPieces::default();
        assert_eq!(pieces.next(b"a\xffb"), "a\u{fffd}b");
        assert_eq!(pieces.next(b"c\xf0\x9f"), "c");
        assert_eq!(pieces.next(b"d"), "\u{fffd}d");
        assert_eq!(pieces.next(b"\x80\x80\x80"), "\u{fffd}\u{fffd}\u{fffd}");
        assert_eq!(pieces.next(b"e\xe2\x80"), "e");
        assert_eq!(pieces.rest(), "\u{fffd}");
    }
}
