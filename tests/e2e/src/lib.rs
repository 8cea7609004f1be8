//! The whole platform on real servers, seen from outside: everything is in `tests/`.
