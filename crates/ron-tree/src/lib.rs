//! RON that remembers where every value came from.
