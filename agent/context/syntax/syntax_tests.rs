//! Tests of reading texts by grammars.
