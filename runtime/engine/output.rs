//! The text of one sample, as far as it is certain.

use std::sync::Arc;

use crate::engine::stop::{Scanned, StopStrings};
use crate::model::TokenId;
use crate::text::{StreamDecoder, Tokenizer};

/// Turns a sample's tokens into text, up to the first stop string.
#[derive(Debug)]
pub(super) struct SampleText {
    decoder: Option<StreamDecoder>,
    stops: StopStrings,
    ended: bool,
}

impl SampleText {
    /// The text of what follows `prompt`; always empty without a tokenizer.
    pub(super) fn new(
        tokenizer: Option<&Arc<Tokenizer>>,
        prompt: &[TokenId],
        stops: &[String],
    ) -> SampleText {
        SampleText {
            decoder: tokenizer.map(|tokenizer| StreamDecoder::after(Arc::clone(tokenizer), prompt)),
            stops: StopStrings::new(stops),
            ended: false,
        }
    }

    /// Takes a token.
    pub(super) fn push(&mut self, token: TokenId) -> Scanned {
        match &mut self.decoder {
            Some(decoder) => {
                let scanned = self.stops.push(&decoder.push(token));
                self.ended = scanned.stopped.is_some();
                scanned
            }
            None => self.nothing(),
        }
    }

    /// What a token without text yields.
    pub(super) fn nothing(&self) -> Scanned {
        Scanned {
            text: String::new(),
            stopped: None,
        }
    }

    /// What is held back at the end. A character that never got whole may still complete a stop string.
    pub(super) fn finish(&mut self) -> Scanned {
        let ended = std::mem::replace(&mut self.ended, true);
        let (false, Some(decoder)) = (ended, &mut self.decoder) else {
            return self.nothing();
        };
        let mut scanned = self.stops.push(&decoder.finish());
        if scanned.stopped.is_none() {
            scanned.text.push_str(&self.stops.finish());
        }
        scanned
    }
}
