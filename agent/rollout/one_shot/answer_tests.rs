//! Tests of answer.
