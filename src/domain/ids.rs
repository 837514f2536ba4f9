//! Ids: a prefix and a UUIDv7 in 32 hexadecimal digits.
