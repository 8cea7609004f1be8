//! Tests on the production shell.
